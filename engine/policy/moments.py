"""The first moment at which a held message could go: quiet hours, window and caps together. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from engine.plan.model import Window
from engine.policy.caps import decide_cap
from engine.policy.quiet import quiet_until
from engine.policy.windows import window_until
from engine.project import Cap, QuietHours

#: Nights and windows repeat weekly: hours that do not meet in three weeks (one of them cut by a clock change) never do.
_LOOK_AHEAD = timedelta(days=21)


def earliest_allowed(
    now: datetime,
    zone: ZoneInfo,
    quiet_hours: Sequence[QuietHours],
    window: Window | None,
    caps: Sequence[Cap],
    channel: str,
    counted: Sequence[tuple[datetime, str]],
) -> datetime | None:
    """The first moment from `now` on at which quiet hours, window and caps all allow the message, or None: never.

    A message that skips caps and quiet hours (transactional) hands in none.
    """
    cap = decide_cap(now, caps, channel, counted)
    if cap.is_capped and cap.until is None:
        return None
    # What is counted only grows older: once the caps allow it, they go on allowing it.
    moment = start = cap.until or now
    while moment < start + _LOOK_AHEAD:
        holds = [quiet_until(moment, zone, quiet_hours, channel), window_until(moment, zone, window)]
        later = [until for until in holds if until is not None]
        if not later:
            return moment
        moment = max(later)
    return None
