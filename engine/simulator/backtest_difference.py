"""Two versions of a journey over the same events: what one would send and the other would not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from engine.simulator.backtest import Backtest, Planned, by_time


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """What one version would send and the other would not."""

    added: tuple[Planned, ...]
    removed: tuple[Planned, ...]
    #: The same message at another moment: before, after.
    moved: tuple[tuple[Planned, Planned], ...]
    same: int


def compare(before: Backtest, after: Backtest) -> Difference:
    """The difference in messages, matched by person, step and channel: those of one moment first, the rest in order."""
    old, new = _grouped(before.messages), _grouped(after.messages)
    added: list[Planned] = []
    removed: list[Planned] = []
    moved: list[tuple[Planned, Planned]] = []
    same = 0
    for place in {**old, **new}:
        one, other = old.get(place, {}), new.get(place, {})
        kept = one.keys() & other.keys()
        same += len(kept)
        gone = [message for at, message in one.items() if at not in kept]
        come = [message for at, message in other.items() if at not in kept]
        moved += zip(gone, come, strict=False)
        removed += gone[len(come) :]
        added += come[len(gone) :]
    return Difference(
        added=by_time(added),
        removed=by_time(removed),
        moved=tuple(sorted(moved, key=lambda pair: pair[1].at)),
        same=same,
    )


def _grouped(messages: Sequence[Planned]) -> dict[tuple[str, str, str, str], dict[datetime, Planned]]:
    groups: dict[tuple[str, str, str, str], dict[datetime, Planned]] = {}
    for message in messages:
        place = (message.person, message.journey, message.step, message.channel)
        groups.setdefault(place, {})[message.at] = message
    return groups
