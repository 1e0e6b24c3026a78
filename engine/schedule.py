"""Durations, local times, cron: every rule about clocks and zones. The only home of croniter.

One definition carries all of it: a local time means **the first moment at which the zone's wall clock shows that time
or a later one**. A time that occurs twice is therefore the first pass, a time that never occurs is the first moment
after the gap, and later local times never come before earlier ones.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from croniter import CroniterBadDateError, CroniterError, croniter

from engine.errors import BadInput

#: Longer durations are refused: a moment beyond it may lie outside the calendar.
MAX_DURATION = timedelta(days=36_525)

_SECONDS = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
_DURATION = re.compile(r"(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", re.ASCII)
_CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d)", re.ASCII)
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
# Narrower than croniter's own grammar: its `H` and `R` stand for hashed and random values.
_CRON_FIELD = re.compile(rf"(?:[0-9*/,#-]|l|{'|'.join(_DAYS + _MONTHS)})+", re.ASCII | re.IGNORECASE)
_EARLIEST = datetime.min.replace(tzinfo=UTC)
_LATEST = datetime.max.replace(tzinfo=UTC)
#: Names that the database answers to, but that are no place: `localtime` would differ from machine to machine.
_NO_PLACES = frozenset({"localtime", "posixrules", "Factory"})


# ── durations ────────────────────────────────────────────────────────────────────────────────────────────────────────
def parse_duration(text: str, *, can_be_negative: bool = False) -> timedelta:
    """The span that `90m`, `3d4h` or `17h59m59s` names. Units `w d h m s`, each once, largest first; a `d` is 24 h."""
    sign, digits = (-1, text[1:]) if can_be_negative and text.startswith("-") else (1, text)
    match = _DURATION.fullmatch(digits)
    if match is None or not digits:
        raise BadInput(
            f"{text!r} is no duration: write whole numbers with the units w d h m s, largest first, such as 90m or 3d4h"
        )
    # Digits are counted before they are added up: a number of a million digits is refused, not computed.
    parts = [part or "0" for part in match.groups()]
    if any(len(part) > 12 for part in parts):
        raise BadInput(f"the duration is too long: at most {MAX_DURATION.days}d")
    seconds = sum(int(part) * size for part, size in zip(parts, _SECONDS.values(), strict=True))
    if seconds > MAX_DURATION.total_seconds():
        raise BadInput(f"{text!r} is too long a duration: at most {MAX_DURATION.days}d")
    return timedelta(seconds=sign * seconds)


def doubled(first: timedelta, times: int, longest: timedelta) -> timedelta:
    """A pause that grows from try to try: `first`, doubled so many times, and `longest` at most."""
    # No longest one is a thousand times its first: further doublings would only overflow.
    pause: timedelta = min(first * 2 ** min(times, 10), longest)
    return pause


def format_duration(span: timedelta) -> str:
    """The shortest text that `parse_duration` reads back, in days and smaller units: `1h30m`, `3d`, `-40d`, `0s`.

    Fractions of a second are left out.
    """
    rest = int(abs(span).total_seconds())
    words = "-" if span < timedelta(0) and rest else ""
    for unit in "dhms":
        count, rest = divmod(rest, _SECONDS[unit])
        words += f"{count}{unit}" if count else ""
    return words or "0s"


# ── local times ──────────────────────────────────────────────────────────────────────────────────────────────────────
@lru_cache(maxsize=1024)
def find_zone(name: str) -> ZoneInfo | None:
    """The zone of an IANA name (`Europe/Madrid`), or None where there is none."""
    if name in _NO_PLACES:
        return None
    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError):  # unknown; not a name at all; a folder such as `Europe`
        return None


@lru_cache(maxsize=2048)
def parse_clock(text: str) -> time:
    """The time of day that `HH:MM` names, 00:00 to 23:59."""
    match = _CLOCK.fullmatch(text)
    if match is None:
        raise BadInput(f"{text!r} is no time of day: write HH:MM from 00:00 to 23:59, such as 09:00")
    return time(int(match[1]), int(match[2]))


def parse_weekday(text: str) -> int:
    """The ISO weekday, 1 (Monday) to 7, of `mon` to `sun` in any case."""
    try:
        return _DAYS.index(text.casefold()) + 1
    except ValueError:
        raise BadInput(f"{text!r} is no day of the week: write one of {' '.join(_DAYS)}") from None


def parse_local_time(text: str) -> tuple[int | None, str]:
    """The weekday (or None) and the time of `[day ]HH:MM`: `tue 10:00` is `(2, "10:00")`."""
    day, _, clock = text.strip().rpartition(" ")
    parse_clock(clock)
    return (parse_weekday(day.strip()) if day else None), clock


def parse_days(text: str) -> tuple[int, ...]:
    """The ISO weekdays, ascending, of `mon-fri`, `mon,wed,fri` or `fri-mon` (over the weekend)."""
    days: set[int] = set()
    for part in text.split(","):
        first, dash, last = (word.strip() for word in part.partition("-"))
        start = parse_weekday(first)
        end = parse_weekday(last) if dash else start
        days.update((start - 1 + offset) % 7 + 1 for offset in range((end - start) % 7 + 1))
    return tuple(sorted(days))


def local_moment(on: date, at: str, zone: ZoneInfo) -> datetime:
    """The instant (UTC) of a local date and time `HH:MM`; the edge of the calendar where it lies beyond."""
    return _first_moment(datetime.combine(on, parse_clock(at)), zone)


def next_local(now: datetime, at: str, zone: ZoneInfo, weekday: int | None = None) -> datetime:
    """The next instant (UTC), `now` included, of a local `HH:MM`, on an ISO weekday where one is given."""
    today = now.astimezone(zone).date()
    # From yesterday: a day that the zone leaves out altogether begins and ends with the next one's first moment.
    for offset in range(-1, 9):
        day = today + timedelta(days=offset)
        if weekday is None or day.isoweekday() == weekday:
            moment = local_moment(day, at, zone)
            if moment >= now:
                return moment
    raise BadInput(f"{weekday!r} is no ISO weekday: 1 (Monday) to 7 (Sunday)")


def calendar_days(start: datetime, days: int, at: str | None, zone: ZoneInfo) -> datetime:
    """The instant (UTC) so many calendar days after `start`'s local date, at `at` (None: at the same local time).

    It may lie before `start`, where `days` is 0.
    """
    wall = start.astimezone(zone).replace(tzinfo=None)
    if days == 0 and at is None:
        return start
    try:
        day = wall.date() + timedelta(days=days)
    except OverflowError:
        return _LATEST
    return _first_moment(datetime.combine(day, wall.time() if at is None else parse_clock(at)), zone)


def next_date_moment(value: date, at: str, zone: ZoneInfo, is_yearly: bool, after: datetime) -> datetime | None:
    """The first instant (UTC) at or after `after` of a local date at `HH:MM`, or None where it is gone.

    Yearly, it recurs from the date's own year on; 29 February falls on the 28th in common years.
    """
    if not is_yearly:
        moment = local_moment(value, at, zone)
        return moment if moment >= after else None
    this_year = after.astimezone(zone).year
    for year in range(max(this_year - 1, value.year), max(this_year + 1, value.year) + 1):
        if year <= date.max.year:
            moment = local_moment(_in_year(value, year), at, zone)
            if moment >= after:
                return moment
    return None


def _in_year(value: date, year: int) -> date:
    try:
        return value.replace(year=year)
    except ValueError:
        return date(year, 2, 28)


def _first_moment(wall: datetime, zone: ZoneInfo) -> datetime:
    """The first instant at which the zone's clock shows `wall` (naive) or a later time."""
    try:
        early, late = (wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (1, 0))
        if late.astimezone(zone).replace(tzinfo=None) == wall:
            return late  # the ordinary case, and the first pass of a time that occurs twice
        # In a gap: fold 1 reckons with the offset after it and so lands before it, fold 0 the other way round.
        while late - early > timedelta(seconds=1):
            middle = early + timedelta(seconds=(late - early) // timedelta(seconds=2))
            if middle.astimezone(zone).replace(tzinfo=None) >= wall:
                late = middle
            else:
                early = middle
        return late.replace(microsecond=0)
    except OverflowError:
        return _EARLIEST if wall.year == date.min.year else _LATEST


# ── cron ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
@lru_cache(maxsize=1024)
def check_cron(cron: str) -> None:
    """Raises BadInput where the five fields are not to be read, or name a moment that never comes (30 February)."""
    fields = cron.split()
    if len(fields) != 5:
        raise BadInput(f"{cron!r} has {len(fields)} fields: a schedule has five (minute hour day month weekday)")
    for field in fields:
        if not _CRON_FIELD.fullmatch(field):
            raise BadInput(f"{field!r} is no cron field: write numbers, names, * , - / or #, such as */15 or mon-fri")
    try:
        croniter(cron, datetime(2024, 1, 1, tzinfo=UTC)).get_next(datetime)
    except CroniterBadDateError:
        raise BadInput(f"{cron!r} never comes: no date fits its day and month") from None
    except (CroniterError, ValueError) as error:
        raise BadInput(f"{cron!r} is no schedule: {error}") from None


def next_fire(cron: str, zone: ZoneInfo, after: datetime) -> datetime:
    """The first instant (UTC) strictly after `after` at which the local schedule fires.

    Each local time fires once: in the autumn hour at its first pass, in the spring gap at the first moment after it
    (all of the gap's times together).
    """
    # croniter walks the wall clock, without a zone; zones are dealt with here, where the two passes are one time.
    walls = croniter(cron, after.astimezone(zone).replace(tzinfo=None))
    while True:
        moment = _first_moment(walls.get_next(datetime), zone)
        if moment > after:
            return moment
