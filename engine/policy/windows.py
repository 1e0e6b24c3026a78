"""Windows: the local hours in which an author lets a message go. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from engine.errors import BadInput
from engine.plan.model import Window
from engine.schedule import local_moment


def window_until(now: datetime, zone: ZoneInfo, window: Window | None) -> datetime | None:
    """When the window next opens, or None where it is open now (or there is none).

    Hours that cross midnight belong to the day on which they open; `from` equal to `to` is the whole day.
    """
    if window is None:
        return None
    today = now.astimezone(zone).date()
    # Two weeks: an opening that a spring gap swallows leaves the next week's.
    for offset in range(-1, 15):
        day = today + timedelta(days=offset)
        if day.isoweekday() in window.days:
            is_whole_day = window.from_ == window.to
            last = day + timedelta(days=1) if window.to <= window.from_ else day
            opens = local_moment(day, "00:00" if is_whole_day else window.from_, zone)
            closes = local_moment(last, "00:00" if is_whole_day else window.to, zone)
            if now < closes and opens < closes:
                return None if opens <= now else opens
    raise BadInput("the window never opens: it needs at least one day, mon to sun")
