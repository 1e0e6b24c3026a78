"""The hour or day, on a zone's clock, in which an instant lies: between its two ends neither changes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

_MICROSECOND = timedelta(microseconds=1)


def local_span(instant: datetime, zone: ZoneInfo, unit: Literal["hour", "day"]) -> tuple[datetime, datetime]:
    """The beginning (inside) and end (outside) of a span around `instant` without a change of local hour or day.

    Where the zone's clock is put forward or back within the hour or day, the span ends, or begins, at that moment.
    """
    here = instant.astimezone(zone)
    offset = here.utcoffset() or timedelta(0)
    wall = here.replace(tzinfo=None, fold=0, minute=0, second=0, microsecond=0)
    wall = wall if unit == "hour" else wall.replace(hour=0)
    start = (wall - offset).replace(tzinfo=UTC)
    end = start + (timedelta(hours=1) if unit == "hour" else timedelta(days=1))

    def is_as_now(moment: datetime) -> bool:
        return moment.astimezone(zone).utcoffset() == offset

    if not is_as_now(end):
        end = _turn(instant, end, is_as_now)
    if not is_as_now(start):
        start = _turn(instant, start, is_as_now) + _MICROSECOND
    return start, end


def _turn(same: datetime, other: datetime, is_same: Callable[[datetime], bool]) -> datetime:
    """The moment nearest to `same`, on the way to `other`, at which the clock is another."""
    while abs(other - same) > _MICROSECOND:
        middle = same + (other - same) // 2 if other > same else other + (same - other) // 2
        if is_same(middle):
            same = middle
        else:
            other = middle
    return other
