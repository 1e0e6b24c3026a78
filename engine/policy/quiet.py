"""Quiet hours: the local night in which no marketing goes out. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from engine.project import QuietHours
from engine.schedule import local_moment

#: Nobody is kept waiting longer on one decision; where rules leave no gap at all, it is taken again then.
_LOOK_AHEAD = timedelta(days=7)


def quiet_until(now: datetime, zone: ZoneInfo, rules: Sequence[QuietHours], channel: str) -> datetime | None:
    """When the quiet hours around `now` end for a channel, rules that overlap taken together; None where it is loud.

    A night is one stretch of time, from the moment of its `from` (inside) to the moment of its `to` (outside), so a
    change of the clocks makes it shorter or longer, never two. Hours that begin when they end are none.
    """
    mine = [rule for rule in rules if not rule.channels or channel in rule.channels]
    until = now
    while until < now + _LOOK_AHEAD:
        later = [end for rule in mine for start, end in _nights(rule, until, zone) if start <= until < end]
        if not later:
            break
        until = max(later)
    return until if until > now else None


def _nights(rule: QuietHours, now: datetime, zone: ZoneInfo) -> Iterator[tuple[datetime, datetime]]:
    """The stretches of one rule that begin yesterday, today or tomorrow."""
    if rule.from_ == rule.to:
        return
    today: date = now.astimezone(zone).date()
    for offset in (-1, 0, 1):
        day = today + timedelta(days=offset)
        last = day + timedelta(days=1) if rule.to < rule.from_ else day
        yield local_moment(day, rule.from_, zone), local_moment(last, rule.to, zone)
