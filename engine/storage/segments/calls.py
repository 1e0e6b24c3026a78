"""Functions of one value, in SQL."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Double, case, cast, func, literal, or_

from engine.storage.segments.comparing import Term, as_moment_amount, as_words
from engine.storage.segments.documents import Json
from engine.storage.segments.fields import Field
from engine.storage.segments.terms import DAY, OPAQUE, ZONES, Amount, Words, micros, negative, point
from engine.storage.segments.verdicts import both

#: How far local dates may lie from elapsed days: two zones' offsets, and the part of a day.
_DAYS_APART = 3.0


def of_value(json: Json, function: str, given: Term, now: datetime) -> Term:
    """`lower upper len date days_since days_until weekday hour` of a value."""
    match function:
        case "lower" | "upper":
            words = as_words(given)
            if words is None:
                return OPAQUE
            change = func.lower if function == "lower" else func.upper
            is_plain = or_(words.text.is_(None), json.is_ascii(words.text))
            return Words(text=change(json.by_code_point(words.text)), sure=both(words.sure, is_plain))
        case "len":
            return _length(json, given)
    moment = as_moment_amount(given)
    if moment is None:
        return OPAQUE
    if function == "date":
        return Amount(
            dimension="moment",
            low=moment.low - ZONES,
            high=moment.high + ZONES,
            sure=moment.sure,
            reach=moment.reach + ZONES,
        )
    if function in ("days_since", "days_until"):
        since = Amount(
            dimension="number",
            low=cast(micros(now) - moment.high, Double) / DAY - _DAYS_APART,
            high=cast(micros(now) - moment.low, Double) / DAY + _DAYS_APART,
            sure=moment.sure,
        )
        return since if function == "days_since" else negative(since) or OPAQUE
    first, last = (1.0, 7.0) if function == "weekday" else (0.0, 23.0)
    return Amount(
        dimension="number",
        low=case((moment.low.is_not(None), literal(first, Double))),
        high=case((moment.low.is_not(None), literal(last, Double))),
        sure=moment.sure,
    )


def _length(json: Json, given: Term) -> Term:
    if isinstance(given, Words):
        return point("number", cast(func.length(given.text), Double), sure=given.sure)
    if not isinstance(given, Field):
        return OPAQUE
    array = case((given.kind == "array", given.content))
    size = cast(
        case((given.kind == "text", func.length(given.text)), (given.kind == "array", json.length(array))),
        Double,
    )
    is_counted = or_(given.kind.is_(None), given.kind != "object")
    return point("number", size, sure=both(given.sure, is_counted))
