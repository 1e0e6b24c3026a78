"""What values are and how they compare and add up: the one set of rules behind evaluation, stability and explanation.

A missing value is None. Numbers are int and float, never bool. Text that is ISO 8601 with an offset stands for a
timestamp, and `YYYY-MM-DD` for a date, wherever a moment is compared or computed with. A date compared with a
timestamp is its local midnight.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

from engine.expressions.facts import Facts
from engine.profiles.model import Value
from engine.schedule import local_moment

NUMBERS: frozenset[type] = frozenset({int, float})

_TIMESTAMP = re.compile(
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d([.,]\d+)?)?(Z|[+-]\d\d(:?\d\d)?)",
    re.ASCII,
)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
#: Shorter text is neither a date nor a timestamp.
_SHORTEST_DATE, _SHORTEST_TIMESTAMP = 10, 17


def is_number(value: Value) -> bool:
    """Whether a value is a number to reckon with: no boolean, and neither infinite nor NaN."""
    kind = type(value)
    return kind is int or (kind is float and math.isfinite(value))


def truth(value: Value) -> bool:
    """The truth of any value, as in Python: missing, false, 0, and what is empty are false, all else is true."""
    return bool(value)


# ── moments ──────────────────────────────────────────────────────────────────────────────────────────────────────────
@lru_cache(maxsize=4096)
def as_time(text: str) -> datetime | date | None:
    """The timestamp (UTC) or date that a text writes, or None for any other text."""
    try:
        if _DATE.fullmatch(text):
            return date.fromisoformat(text)
        if _TIMESTAMP.fullmatch(text):
            return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):  # the 30th of February, an hour 24, the end of the calendar
        return None
    return None


def as_moment(value: Value) -> datetime | date | None:
    """A timestamp or date, also where text writes it; None for anything else."""
    if isinstance(value, str):
        return as_time(value) if len(value) >= _SHORTEST_DATE else None
    return value if isinstance(value, date) else None  # a datetime is a date, too


def as_instant(value: Value, facts: Facts) -> datetime | None:
    """The instant that a value means: a date is its local midnight; None for what is no moment."""
    moment = as_moment(value)
    if moment is None or isinstance(moment, datetime):
        return moment
    return _midnight(moment, facts)


def as_local_date(value: Value, facts: Facts) -> date | None:
    """The calendar date of a moment in the profile's zone; None for what is no moment."""
    moment = as_moment(value)
    return local(moment, facts).date() if isinstance(moment, datetime) else moment


def local(instant: datetime, facts: Facts) -> datetime:
    """An instant on the profile's clock."""
    try:
        return instant.astimezone(facts.zone)
    except OverflowError:  # within a day of the calendar's ends no zone can be applied
        return instant


def _midnight(on: date, facts: Facts) -> datetime | None:
    try:
        return local_moment(on, "00:00", facts.zone)
    except (OverflowError, ValueError):  # the first or last day of the calendar
        return None


# ── comparing ────────────────────────────────────────────────────────────────────────────────────────────────────────
def same(left: Value, right: Value, facts: Facts) -> bool:
    """`==`, but for the literal `none`: a missing value equals nothing, not even another one."""
    if left is None or right is None:
        return False
    kind, other = type(left), type(right)
    if kind is str and other is str:
        if left == right:
            return True
        shorter, longer = sorted((len(left), len(right)))
        return shorter >= _SHORTEST_DATE and longer >= _SHORTEST_TIMESTAMP and order(left, right, facts) == 0
    if kind in NUMBERS and other in NUMBERS:
        return bool(left == right)
    if kind is bool or other is bool:
        return left is right
    if isinstance(left, list | tuple) and isinstance(right, list | tuple):
        return len(left) == len(right) and all(_alike(a, b, facts) for a, b in zip(left, right, strict=True))
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(_alike(left[name], right[name], facts) for name in left)
    return order(left, right, facts) == 0


def _alike(left: Value, right: Value, facts: Facts) -> bool:
    """Equality inside lists and objects, where `null` is a value."""
    return (left is None and right is None) or same(left, right, facts)


def order(left: Value, right: Value, facts: Facts) -> int | None:
    """-1, 0 or 1 as left comes before, with or after right; None where a value is missing or they are of unlike types.

    Numbers, texts (by code point), moments and durations have an order; booleans, lists and objects have none.
    """
    kind, other = type(left), type(right)
    if kind in NUMBERS and other in NUMBERS:
        return None if left != left or right != right else _sign(left, right)
    if kind is timedelta and other is timedelta:
        return _sign(left, right)
    first, second = as_moment(left), as_moment(right)
    if first is None or second is None:
        return _sign(left, right) if kind is str and other is str else None
    if isinstance(first, datetime) is isinstance(second, datetime):
        return _sign(first, second)
    first, second = as_instant(first, facts), as_instant(second, facts)
    return None if first is None or second is None else _sign(first, second)


def _sign(left: Value, right: Value) -> int:
    return int(left > right) - int(left < right)


def within(item: Value, holder: Value, facts: Facts) -> bool:
    """`in`: an item of a list, a part of a text, a name of an object; false of a missing value."""
    if item is None:
        return False
    if isinstance(holder, list | tuple):
        return any(same(item, other, facts) for other in holder)
    if isinstance(holder, str | Mapping):
        return isinstance(item, str) and item in holder
    return False


# ── arithmetic ───────────────────────────────────────────────────────────────────────────────────────────────────────
def add(left: Value, right: Value, facts: Facts) -> Value:
    """Numbers; durations; a moment and a duration; two texts, joined. Missing for anything else."""
    kind, other = type(left), type(right)
    if kind in NUMBERS and other in NUMBERS:
        return finite(lambda: left + right)
    if kind is timedelta:
        return _sum(left, right) if other is timedelta else move(right, left, facts)
    if other is timedelta:
        return move(left, right, facts)
    return left + right if kind is str and other is str else None


def subtract(left: Value, right: Value, facts: Facts) -> Value:
    """Numbers; durations; a moment less a duration; two moments, which give a duration. Missing for anything else."""
    kind, other = type(left), type(right)
    if kind in NUMBERS and other in NUMBERS:
        return finite(lambda: left - right)
    if other is timedelta:
        return _sum(left, -right) if kind is timedelta else move(left, -right, facts)
    first, second = as_moment(left), as_moment(right)
    if first is None or second is None:
        return None
    if isinstance(first, datetime) is not isinstance(second, datetime):
        first, second = as_instant(first, facts), as_instant(second, facts)
        if first is None or second is None:
            return None
    return first - second


def multiply(left: Value, right: Value) -> Value:
    """Numbers; missing for anything else."""
    if type(left) in NUMBERS and type(right) in NUMBERS:
        return finite(lambda: left * right)
    return None


def divide(left: Value, right: Value) -> Value:
    """Numbers; missing for anything else, and by zero. Whole numbers that divide evenly give a whole one."""
    if type(left) not in NUMBERS or type(right) not in NUMBERS or right == 0:
        return None
    if type(left) is int and type(right) is int and left % right == 0:
        return left // right
    return finite(lambda: left / right)


def negate(value: Value) -> Value:
    """A number or duration with the other sign; missing for anything else."""
    return -value if type(value) in NUMBERS or type(value) is timedelta else None


def move(moment: Value, by: timedelta, facts: Facts) -> datetime | date | None:
    """A moment later by a duration. A date by whole days is calendar arithmetic; otherwise it counts from midnight."""
    start = as_moment(moment)
    try:
        if start is None or isinstance(start, datetime) or by == timedelta(days=by.days):
            return None if start is None else start + by
        midnight = _midnight(start, facts)
        return None if midnight is None else midnight + by
    except OverflowError:
        return None


def _sum(left: timedelta, right: timedelta) -> timedelta | None:
    try:
        return left + right
    except OverflowError:
        return None


def finite(compute: Callable[[], Value]) -> Value:
    """The number, or missing where it is none any more."""
    try:
        result = compute()
    except OverflowError:
        return None
    return result if is_number(result) else None


# ── as JSON ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def as_json(value: Value) -> Value:
    """A computed value as JSON: a timestamp is ISO 8601 in UTC, a date `YYYY-MM-DD`, a duration its seconds."""
    match value:
        case datetime():
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case date():
            return value.isoformat()
        case timedelta():
            return divide(value // timedelta(microseconds=1), 1_000_000)
        case list() | tuple():
            return [as_json(item) for item in value]
        case Mapping():
            return {name: as_json(item) for name, item in value.items()}
        case _:
            return value
