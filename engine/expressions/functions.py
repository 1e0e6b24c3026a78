"""The functions of the language: their names, arguments and results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

#: What a value is, statically. The catalogue's words, and `duration`, which only computing makes.
TypeWord = Literal["string", "number", "boolean", "date", "timestamp", "list", "object", "any", "duration"]

_MOMENT: tuple[TypeWord, ...] = ("date", "timestamp")


@dataclass(frozen=True, kw_only=True, slots=True)
class Function:
    """One function of plain arguments."""

    #: What each argument may be.
    parameters: tuple[tuple[TypeWord, ...], ...]
    result: TypeWord
    #: For messages: `lower(text)`.
    usage: str
    #: The last parameter may be repeated.
    is_variadic: bool = False
    #: Places of the arguments that must be texts in quotes.
    literals: tuple[int, ...] = ()


FUNCTIONS: Mapping[str, Function] = {
    "lower": Function(parameters=(("string",),), result="string", usage="lower(text)"),
    "upper": Function(parameters=(("string",),), result="string", usage="upper(text)"),
    "starts_with": Function(
        parameters=(("string",), ("string",)), result="boolean", usage='starts_with(text, "start")'
    ),
    "ends_with": Function(parameters=(("string",), ("string",)), result="boolean", usage='ends_with(text, "end")'),
    "contains": Function(
        parameters=(("string", "list"), ("any",)), result="boolean", usage='contains(text_or_list, "part")'
    ),
    "matches": Function(
        parameters=(("string",), ("string",)), result="boolean", usage='matches(text, "^pattern$")', literals=(1,)
    ),
    "len": Function(parameters=(("string", "list", "object"),), result="number", usage="len(text_or_list)"),
    "exists": Function(parameters=(("any",),), result="boolean", usage="exists(x)"),
    "coalesce": Function(parameters=(("any",), ("any",)), result="any", usage="coalesce(a, b)", is_variadic=True),
    "bucket": Function(parameters=(("string",),), result="number", usage='bucket("salt")', literals=(0,)),
    "days": Function(parameters=(("number",),), result="duration", usage="days(3)"),
    "hours": Function(parameters=(("number",),), result="duration", usage="hours(3)"),
    "minutes": Function(parameters=(("number",),), result="duration", usage="minutes(3)"),
    "weeks": Function(parameters=(("number",),), result="duration", usage="weeks(3)"),
    "date": Function(parameters=(_MOMENT,), result="date", usage="date(timestamp)"),
    "days_since": Function(parameters=(_MOMENT,), result="number", usage="days_since(timestamp_or_date)"),
    "days_until": Function(parameters=(_MOMENT,), result="number", usage="days_until(timestamp_or_date)"),
    "weekday": Function(parameters=(_MOMENT,), result="number", usage="weekday(timestamp_or_date)"),
    "hour": Function(parameters=(_MOMENT,), result="number", usage="hour(timestamp)"),
}

#: Functions over the profile's events, and what they give; all but those in `OF_EVENTS` name a property.
AGGREGATES: Mapping[str, TypeWord] = {
    "count": "number",
    "did": "boolean",
    "sum": "number",
    "min": "number",
    "max": "number",
    "avg": "number",
    "distinct": "number",
    "first": "timestamp",
    "last": "timestamp",
}
OF_EVENTS = ("count", "did", "first", "last")

#: Questions about the profile, by their usage; all are true or false.
QUESTIONS: Mapping[str, str] = {
    "segment": 'segment("vip")',
    "consent": 'consent("email", "news")',
    "enrolled": 'enrolled("abandoned_cart")',
    "received": 'received("abandoned_cart", within="30d")',
}

ALL_NAMES = (*FUNCTIONS, *AGGREGATES, *QUESTIONS)


def usage(name: str) -> str:
    """How an author writes a function: `sum("Order Completed", "total")`."""
    if name in FUNCTIONS:
        return FUNCTIONS[name].usage
    of_events = f'{name}("Order Completed")' if name in OF_EVENTS else f'{name}("Order Completed", "total")'
    return QUESTIONS.get(name, of_events)
