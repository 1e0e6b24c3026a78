"""Values in SQL: what a part of a condition is for each row, as far as a database can tell.

A number, a moment or a span is an `Amount`: an interval in which memory's value lies for certain. Where its ends meet
the value is exact. Comparing two intervals gives true, false, or NULL where they overlap: so a sum of floats close to
its threshold, and a local date whose zone the database does not know, narrow instead of guessing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal

from sqlalchemy import BigInteger, Double, and_, case, false, literal, or_, true

from engine.expressions.nodes import Comparison
from engine.expressions.values import NUMBERS, as_moment
from engine.profiles.model import Value
from engine.storage.segments.verdicts import NEVER, AtLeast, Sql, Verdict, both, negated, where_sure

#: What an amount measures: moments in microseconds since 1970, spans in microseconds.
Dimension = Literal["number", "moment", "span"]

#: Whole numbers up to here are the same as a double; beyond, memory reckons exactly and a database does not.
LARGEST = 9.0e15
#: Smaller fractions might vanish in a product, which PostgreSQL refuses to compute.
SMALLEST = 1e-100
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
DAY = 86_400_000_000
#: A local midnight is at most so far from midnight in UTC: no zone was ever a whole day away, and twice that is safe.
ZONES = 2 * DAY
#: The calendar in microseconds, less what zones may add: a moment beyond is missing in memory.
FIRST = (datetime.min.replace(tzinfo=UTC) - EPOCH) // MICROSECOND + 2 * ZONES
LAST = (datetime.max.replace(tzinfo=UTC) - EPOCH) // MICROSECOND - 2 * ZONES
#: No moment that a database holds lies further from 1970, in microseconds.
REACH = 3 * 10**17
#: 64-bit integers hold it, and sums of a few.
_WIDEST = 10**18


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Known:
    """The same for every profile: computed once, by memory's own rules."""

    value: Value


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Amount:
    """Between `low` and `high`, both NULL where the value is missing (or not of this dimension)."""

    dimension: Dimension
    low: Sql
    high: Sql
    #: Right where it is true; None: everywhere.
    sure: Sql | None = None
    #: No moment or span is larger, in microseconds.
    reach: int = 0

    @property
    def is_point(self) -> bool:
        return self.low is self.high


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Words:
    """A text; NULL where the value is none."""

    text: Sql
    sure: Sql | None = None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Truth:
    """A value that is true or false."""

    verdict: Verdict


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Opaque:
    """A value of which a database knows nothing."""


OPAQUE = Opaque()
SIGNS: dict[Comparison, Comparison] = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}


def point(dimension: Dimension, value: Sql, *, sure: Sql | None = None, reach: int = 0) -> Amount:
    """An exact amount."""
    return Amount(dimension=dimension, low=value, high=value, sure=sure, reach=reach)


def micros(moment: datetime) -> int:
    return (moment - EPOCH) // MICROSECOND


def amount_of(value: Value) -> Amount | None:
    """The amount that a known value is, also where a text writes a moment; None where it is none that SQL may hold."""
    if type(value) in NUMBERS:
        is_safe = math.isfinite(value) and (value == 0 or SMALLEST <= abs(value) <= LARGEST)
        return point("number", literal(float(value), Double)) if is_safe else None
    if isinstance(value, timedelta):
        length = value // MICROSECOND
        return point("span", literal(length, BigInteger), reach=abs(length)) if abs(length) < _WIDEST else None
    moment = as_moment(value)
    if isinstance(moment, datetime):
        return point("moment", literal(micros(moment), BigInteger), reach=abs(micros(moment)))
    if isinstance(moment, date):
        midnight = micros(datetime.combine(moment, time(), UTC))
        if not FIRST <= midnight <= LAST:
            return None
        low, high = literal(midnight - ZONES, BigInteger), literal(midnight + ZONES, BigInteger)
        return Amount(dimension="moment", low=low, high=high, reach=abs(midnight) + ZONES)
    return None


def missing(amount: Amount) -> Verdict:
    """Whether there is no value."""
    return where_sure(amount.sure, amount.low.is_(None))


def compare_amounts(left: Amount, sign: Comparison, right: Amount) -> Verdict:
    """The six comparisons; false of a missing value, and between unlike dimensions, but for `!=`."""
    if sign == "!=":
        return negated(compare_amounts(left, "==", right))
    if left.dimension != right.dimension:
        return NEVER
    if sign in (">", ">="):
        return compare_amounts(right, SIGNS[sign], left)
    sure = both(left.sure, right.sure)
    is_missing = or_(left.low.is_(None), right.low.is_(None))
    if left.is_point and right.is_point:
        if sign == "==":
            holds = left.low == right.low
        else:
            holds = left.low < right.low if sign == "<" else left.low <= right.low
        return where_sure(sure, case((is_missing, false()), else_=holds))
    match sign:
        case "==":
            holds = and_(left.low == left.high, right.low == right.high, left.low == right.low)
            fails = or_(left.high < right.low, right.high < left.low)
        case "<":
            holds, fails = left.high < right.low, left.low >= right.high
        case _:
            holds, fails = left.high <= right.low, left.low > right.high
    decided = case((is_missing, false()), (holds, true()), (fails, false()))
    return AtLeast(decided if sure is None else case((sure, decided)))


def add_amounts(left: Amount, sign: Literal["+", "-"], right: Amount) -> Amount | None:
    """Moments and spans; None where the language gives nothing, or SQL cannot follow. Numbers are memory's."""
    if sign == "-":
        if right.dimension == "moment" and left.dimension != "moment":
            return None
        low, high = left.low - right.high, left.high - right.low
    else:
        if left.dimension == right.dimension == "moment":
            return None
        low, high = left.low + right.low, left.high + right.high
    if "number" in (left.dimension, right.dimension):
        return None
    reach = left.reach + right.reach
    if reach > _WIDEST:
        return None
    sure = both(left.sure, right.sure)
    is_moment = (left.dimension == "moment") is not (right.dimension == "moment")
    if left.is_point and right.is_point:
        high = low
    if is_moment:
        inside = or_(low.is_(None), and_(low > FIRST, high < LAST))
        return Amount(dimension="moment", low=low, high=high, sure=both(sure, inside), reach=reach)
    return Amount(dimension="span", low=low, high=high, sure=sure, reach=reach)


def negative(amount: Amount) -> Amount | None:
    """`-x`; None for what has no negative."""
    if amount.dimension == "moment":
        return None
    low = -amount.high
    high = low if amount.is_point else -amount.low
    return Amount(dimension=amount.dimension, low=low, high=high, sure=amount.sure, reach=amount.reach)


def truth_of_amount(amount: Amount) -> Verdict:
    """A moment is true where it is there; a number or span where it is not zero."""
    there = negated(missing(amount))
    if amount.dimension == "moment":
        return there
    if amount.is_point:
        return where_sure(amount.sure, case((amount.low.is_(None), false()), else_=amount.low != 0))
    decided = case(
        (amount.low.is_(None), false()),
        (or_(amount.low > 0, amount.high < 0), true()),
        (and_(amount.low == 0, amount.high == 0), false()),
    )
    return AtLeast(decided if amount.sure is None else case((amount.sure, decided)))


def is_text_for_sql(text: str) -> bool:
    """Whether a text can be a parameter on both databases: no NUL, no half of a surrogate pair."""
    return "\x00" not in text and not any("\ud800" <= char <= "\udfff" for char in text)
