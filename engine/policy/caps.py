"""Frequency caps: how much marketing one person gets in a rolling span of time. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from msgspec import Struct

from engine.project import Cap
from engine.schedule import format_duration


class CapDecision(Struct, frozen=True, kw_only=True):
    is_capped: bool
    #: The first moment at which every cap allows one more; None where they do now, or never will.
    until: datetime | None = None
    #: For the record, what is counted under each cap that concerns the channel: `("1 per 1d on sms", 0)`.
    counts: tuple[tuple[str, int], ...] = ()


def decide_cap(
    now: datetime, caps: Sequence[Cap], channel: str, counted: Sequence[tuple[datetime, str]]
) -> CapDecision:
    """Whether one more marketing message on a channel would pass the caps.

    `counted` is instant and channel of each message that holds a place (`Deliveries.counted`); one of them counts
    while its instant is after `now - per`. A cap with channels counts, and stops, messages on those channels together.
    """
    counts: list[tuple[str, int]] = []
    is_capped = False
    frees_at: list[datetime | None] = []
    for cap in caps:
        if cap.channels and channel not in cap.channels:
            continue
        per = timedelta(seconds=cap.per_seconds)
        places = sorted(at for at, used in counted if at > now - per and (not cap.channels or used in cap.channels))
        counts.append((_words(cap), len(places)))
        if len(places) >= cap.at_most:
            is_capped = True
            # Once this one is old enough, one place fewer than allowed is taken.
            frees_at.append(places[len(places) - cap.at_most] + per if cap.at_most > 0 else None)
    moments = [moment for moment in frees_at if moment is not None]
    is_final = len(moments) < len(frees_at)
    return CapDecision(
        is_capped=is_capped,
        until=max(moments) if moments and not is_final else None,
        counts=tuple(counts),
    )


def _words(cap: Cap) -> str:
    where = f" on {' '.join(cap.channels)}" if cap.channels else ""
    return f"{cap.at_most} per {format_duration(timedelta(seconds=cap.per_seconds))}{where}"
