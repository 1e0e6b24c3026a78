"""The functions of plain arguments at work; what each may be given is in `engine.expressions.functions`.

A function of text gives a missing value, or false where it asks a question, for what is no text; so do all others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from engine import ids
from engine.expressions.facts import Facts
from engine.expressions.patterns import compile_pattern
from engine.expressions.values import as_local_date, as_moment, is_number, local, within
from engine.profiles.model import Value

Plain = Callable[[Sequence[Value], Facts], Value]


def _of_text(change: Callable[[str], Value]) -> Plain:
    def run(given: Sequence[Value], _: Facts) -> Value:
        return change(given[0]) if isinstance(given[0], str) else None

    return run


def _about_texts(ask: Callable[[str, str], bool]) -> Plain:
    def run(given: Sequence[Value], _: Facts) -> Value:
        text, other = given
        return isinstance(text, str) and isinstance(other, str) and ask(text, other)

    return run


def _contains(given: Sequence[Value], facts: Facts) -> Value:
    holder, item = given
    return isinstance(holder, str | list | tuple) and within(item, holder, facts)


def _len(given: Sequence[Value], _: Facts) -> Value:
    return len(given[0]) if isinstance(given[0], str | list | tuple | Mapping) else None


def _coalesce(given: Sequence[Value], _: Facts) -> Value:
    return next((value for value in given if value is not None), None)


def _bucket(given: Sequence[Value], facts: Facts) -> Value:
    return ids.bucket(given[0], facts.profile_id)


def _span(of_one: timedelta) -> Plain:
    def run(given: Sequence[Value], _: Facts) -> Value:
        try:
            return of_one * given[0] if is_number(given[0]) else None
        except OverflowError:
            return None

    return run


def _date(given: Sequence[Value], facts: Facts) -> Value:
    return as_local_date(given[0], facts)


def _days_since(given: Sequence[Value], facts: Facts) -> Value:
    on = as_local_date(given[0], facts)
    return None if on is None else (local(facts.now, facts).date() - on).days


def _days_until(given: Sequence[Value], facts: Facts) -> Value:
    since = _days_since(given, facts)
    return None if since is None else -since


def _weekday(given: Sequence[Value], facts: Facts) -> Value:
    on = as_local_date(given[0], facts)
    return None if on is None else on.isoweekday()


def _hour(given: Sequence[Value], facts: Facts) -> Value:
    moment = as_moment(given[0])
    if moment is None:
        return None
    return local(moment, facts).hour if isinstance(moment, datetime) else 0


PLAIN: Mapping[str, Plain] = {
    "lower": _of_text(str.lower),
    "upper": _of_text(str.upper),
    "starts_with": _about_texts(str.startswith),
    "ends_with": _about_texts(str.endswith),
    "contains": _contains,
    "matches": _about_texts(lambda text, pattern: compile_pattern(pattern).search(text)),
    "len": _len,
    "exists": lambda given, _: given[0] is not None,
    "coalesce": _coalesce,
    "bucket": _bucket,
    "days": _span(timedelta(days=1)),
    "hours": _span(timedelta(hours=1)),
    "minutes": _span(timedelta(minutes=1)),
    "weeks": _span(timedelta(weeks=1)),
    "date": _date,
    "days_since": _days_since,
    "days_until": _days_until,
    "weekday": _weekday,
    "hour": _hour,
}
