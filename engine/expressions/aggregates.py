"""What `count`, `sum`, `last` and their kin make of a profile's events."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Hashable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import assert_never

from engine.expressions.nodes import AggregateName
from engine.expressions.values import divide, finite, is_number
from engine.profiles.model import Event, Value


def in_window(
    events: Sequence[Event], now: datetime, within: timedelta | None, since: datetime | None
) -> Sequence[Event]:
    """Those with `now - within < timestamp` and `since <= timestamp`; `events` are by timestamp, as facts give them.

    Facts bound them above: by `now`, but for the event under test, which always counts.
    """
    begin = 0 if within is None else bisect_right(events, now - within, key=_timestamp)
    if since is not None:
        begin = bisect_left(events, since, lo=begin, key=_timestamp)
    return events[begin:] if begin else events


def _timestamp(event: Event) -> datetime:
    return event.timestamp


def summarise(function: AggregateName, events: Sequence[Event], property_: str | None) -> Value:
    """The function's value over the events that it counts, by timestamp."""
    match function:
        case "count":
            return len(events)
        case "did":
            return bool(events)
        case "first":
            return events[0].timestamp if events else None
        case "last":
            return events[-1].timestamp if events else None
    found: list[Value] = [event.properties.get(property_ or "") for event in events]
    if function == "distinct":
        return len({_key(value) for value in found if value is not None})
    numbers: list[Value] = [value for value in found if is_number(value)]
    match function:
        case "sum":
            return _total(numbers)
        case "avg":
            return divide(_total(numbers), len(numbers))
        case "min":
            return min(numbers, default=None)
        case "max":
            return max(numbers, default=None)
        case _:
            assert_never(function)


def _total(numbers: Sequence[Value]) -> Value:
    # The exact sum, rounded once: the order of events cannot change it, and ten times 0.1 is 1.
    if all(type(number) is int for number in numbers):
        return sum(numbers)
    return finite(lambda: math.fsum(numbers))


def _key(value: Value) -> Hashable:
    """Equal where two JSON values are: 1 and 1.0 are one value, 1 and true are two."""
    if isinstance(value, bool):
        return (bool, value)
    if isinstance(value, list | tuple):
        return (list, tuple(map(_key, value)))
    if isinstance(value, Mapping):
        return (dict, frozenset((name, _key(item)) for name, item in value.items()))
    return value  # type: ignore[no-any-return]
