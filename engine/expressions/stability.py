"""Until when a condition's truth stands, if only time passes: no event, attribute, consent or message comes in.

Every part of the tree gets a course: its value now, the rate at which time carries it on (`now` moves by a second a
second, a count does not move), and the instant before which that holds. Where two moving moments are compared, the
instant at which they meet is computed, so nothing has to be asked again and again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import assert_never

from engine.expressions.evaluate import compile_node, compile_selection
from engine.expressions.facts import Facts
from engine.expressions.local_spans import local_span
from engine.expressions.nodes import (
    Aggregate,
    And,
    Arithmetic,
    Call,
    Compare,
    Comparison,
    Constant,
    HasConsent,
    HasReceived,
    InSegment,
    IsEnrolled,
    ListOf,
    Negative,
    Node,
    Not,
    Now,
    Or,
    Read,
    children,
    is_none,
)
from engine.expressions.parse import parse_expression
from engine.expressions.plain import PLAIN
from engine.expressions.values import add, as_instant, divide, multiply, negate, order, subtract, truth
from engine.profiles.model import Value
from engine.project import Segment

_MICROSECOND = timedelta(microseconds=1)
_DAY = timedelta(days=1)
_OF_DAYS = ("date", "days_since", "days_until", "weekday")


def next_change(text: str, facts: Facts, segments: Mapping[str, Segment]) -> datetime | None:
    """The earliest instant after `facts.now` at which a condition's truth may change by the passing of time alone.

    None where time cannot change it. It may be early (the truth is the same still), never late.
    """
    if _is_timeless(text):
        return None
    return _Study(facts, segments).truth_of(parse_expression(text), None).until


@lru_cache(maxsize=8192)
def _is_timeless(text: str) -> bool:
    return not _asks_for_time(parse_expression(text))


def _asks_for_time(node: Node) -> bool:
    match node:
        case Now() | InSegment() | HasConsent() | HasReceived() | Aggregate():
            return True  # an aggregate even without `within`: events may lie ahead
        case Call(function="days_since" | "days_until"):
            return True
        case _:
            return any(_asks_for_time(child) for child in children(node))


@dataclass(frozen=True, slots=True)
class _Course:
    #: At `facts.now`.
    value: Value
    #: Holds before this instant; None is for good.
    until: datetime | None = None
    #: Seconds that a timestamp or duration gains each second.
    rate: int = 0


#: An event's properties in a `where`, None outside.
_Scope = Mapping[str, Value] | None


class _Study:
    """One person at one instant; segments are studied once, however often they are named."""

    def __init__(self, facts: Facts, segments: Mapping[str, Segment]) -> None:
        self._facts = facts
        self._segments = segments
        self._known: dict[str, datetime | None] = {}

    def truth_of(self, node: Node, scope: _Scope) -> _Course:
        course = self.of(node, scope)
        meets_zero = None
        if course.rate and isinstance(course.value, timedelta):
            meets_zero = self._meeting(course, _Course(timedelta(0)), "!=")
        return _Course(truth(course.value), _first(course.until, meets_zero))

    def of(self, node: Node, scope: _Scope) -> _Course:
        match node:
            case Constant() | Read() | IsEnrolled():
                return _Course(self._value(node, scope))
            case Now():
                return _Course(self._facts.now, rate=1)
            case ListOf():
                return self._list([self.of(item, scope) for item in node.items])
            case Negative():
                operand = self.of(node.operand, scope)
                return self._moved(negate(operand.value), -operand.rate, operand.until)
            case Not():
                denied = self.truth_of(node.operand, scope)
                return replace(denied, value=not denied.value)
            case And():
                return _joined([self.truth_of(part, scope) for part in node.parts], is_and=True)
            case Or():
                return _joined([self.truth_of(part, scope) for part in node.parts], is_and=False)
            case Compare():
                return self._compare(node, scope)
            case Arithmetic():
                return self._arithmetic(node, scope)
            case Call():
                return self._call(node, scope)
            case Aggregate():
                return _Course(self._value(node, scope), self._aggregate_until(node, scope))
            case InSegment():
                return _Course(self._facts.in_segment(node.segment), self._segment_until(node.segment))
            case HasConsent():
                until = self._facts.consent_changes_at(node.channel, node.topic)
                return _Course(self._value(node, scope), until)
            case HasReceived():
                return _Course(self._value(node, scope), self._received_until(node))
            case _:
                assert_never(node)

    def _value(self, node: Node, scope: _Scope) -> Value:
        return compile_node(node)(self._facts, scope)

    def _after(self, microseconds: int) -> datetime | None:
        """So long after now; None beyond the calendar."""
        try:
            return self._facts.now + microseconds * _MICROSECOND
        except OverflowError:
            return None

    def _moved(self, value: Value, rate: int, until: datetime | None) -> _Course:
        return _Course(value, until, rate if isinstance(value, datetime | timedelta) else 0)

    def _list(self, items: list[_Course]) -> _Course:
        until = _first(*(item.until for item in items))
        # A list that moves is worth asking for again at once; comparing its items one by one is `_in`'s.
        return _Course([item.value for item in items], _first(until, self._at_once(items)))

    def _at_once(self, courses: Iterable[_Course]) -> datetime | None:
        return self._after(1) if any(course.rate for course in courses) else None

    # ── comparing ────────────────────────────────────────────────────────────────────────────────────────────────────
    def _compare(self, node: Compare, scope: _Scope) -> _Course:
        value = self._value(node, scope)
        left = self.of(node.left, scope)
        if node.sign in ("in", "not in") and isinstance(node.right, ListOf):
            items = [self.of(item, scope) for item in node.right.items]
            meetings = [self._meeting(left, item, "==") for item in items]
            return _Course(value, _first(left.until, *(item.until for item in items), *meetings))
        right = self.of(node.right, scope)
        until = _first(left.until, right.until)
        if is_none(node.left) or is_none(node.right):
            return _Course(value, until)
        if node.sign in ("in", "not in"):
            held = right.value if isinstance(right.value, list | tuple) else ()
            return _Course(value, _first(until, *(self._meeting(left, _Course(item), "==") for item in held)))
        return _Course(value, _first(until, self._meeting(left, right, node.sign)))

    def _meeting(self, left: _Course, right: _Course, sign: Comparison) -> datetime | None:
        """When the comparison of two courses turns out otherwise than now; None for never."""
        rate = left.rate - right.rate
        if rate == 0 or order(left.value, right.value, self._facts) is None:
            return None
        if isinstance(left.value, timedelta):
            apart = left.value - right.value
        else:
            first, second = as_instant(left.value, self._facts), as_instant(right.value, self._facts)
            if first is None or second is None:
                return None
            apart = first - second
        gap = apart // _MICROSECOND
        if gap * rate > 0:
            return None  # they move apart
        is_now, is_later = _holds(sign, gap), _holds(sign, rate)
        steps, rest = divmod(abs(gap), abs(rate))
        if gap and not rest and _holds(sign, 0) is not is_now:
            return self._after(steps)
        return self._after(steps + 1) if is_later is not is_now else None

    # ── computing ────────────────────────────────────────────────────────────────────────────────────────────────────
    def _arithmetic(self, node: Arithmetic, scope: _Scope) -> _Course:
        left, right = self.of(node.left, scope), self.of(node.right, scope)
        until = _first(left.until, right.until)
        match node.sign:
            case "+":
                until = _first(until, self._whole_days(left, right), self._whole_days(right, left))
                return self._moved(add(left.value, right.value, self._facts), left.rate + right.rate, until)
            case "-":
                until = _first(until, self._whole_days(left, right))
                return self._moved(subtract(left.value, right.value, self._facts), left.rate - right.rate, until)
            case "*":
                return _Course(multiply(left.value, right.value), until)
            case "/":
                return _Course(divide(left.value, right.value), until)
            case _:
                assert_never(node.sign)

    def _whole_days(self, moment: _Course, duration: _Course) -> datetime | None:
        """When a moving duration passes the line between whole days, which keep a date a date, and others."""
        if not duration.rate or not isinstance(duration.value, timedelta) or isinstance(moment.value, datetime):
            return None
        into = duration.value % _DAY // _MICROSECOND
        if not into:
            return self._after(1)
        way = _DAY // _MICROSECOND - into if duration.rate > 0 else into
        return self._after(-(-way // abs(duration.rate)))

    def _call(self, node: Call, scope: _Scope) -> _Course:
        given = [self.of(argument, scope) for argument in node.arguments]
        if node.function == "coalesce":
            return self._coalesce(given)
        value = PLAIN[node.function]([course.value for course in given], self._facts)
        until = _first(*(course.until for course in given))
        if node.function in _OF_DAYS or node.function == "hour":
            return _Course(value, _first(until, self._turn_of(given[0], node.function)))
        return _Course(value, _first(until, None if node.function == "exists" else self._at_once(given)))

    @staticmethod
    def _coalesce(given: list[_Course]) -> _Course:
        until = None
        for course in given:
            until = _first(until, course.until)
            if course.value is not None:
                return replace(course, until=until)
        return _Course(None, until)

    def _turn_of(self, moment: _Course, function: str) -> datetime | None:
        """When the local day (or hour) of a moment becomes another; of `days_since`, also when today does."""
        facts = self._facts
        today_ends = None
        if function in ("days_since", "days_until"):
            today_ends = local_span(facts.now, facts.zone, "day")[1]
        if not moment.rate or not isinstance(moment.value, datetime):
            return today_ends
        begin, end = local_span(moment.value, facts.zone, "hour" if function == "hour" else "day")
        if moment.rate > 0:
            steps = -(-((end - moment.value) // _MICROSECOND) // moment.rate)
        else:
            steps = (moment.value - begin) // _MICROSECOND // -moment.rate + 1
        return _first(today_ends, self._after(steps))

    # ── the profile's past ───────────────────────────────────────────────────────────────────────────────────────────
    def _aggregate_until(self, node: Aggregate, scope: _Scope) -> datetime | None:
        facts = self._facts
        ahead = facts.upcoming(node.event)
        since = None if node.since is None else self.of(node.since, scope)
        wanted = [self.of(value, scope) for _, value in node.equals]
        until = _first(ahead[0].timestamp if ahead else None, self._at_once(wanted), *(w.until for w in wanted))
        start = None
        if since is not None:
            until = _first(until, since.until)
            start = as_instant(since.value, facts)
            if start is None:
                return until
        if node.within is None and since is None and node.where is None:
            return until  # what counts now counts for good: no need to read it
        equals = compile_selection(replace(node, where=None))
        is_wanted = equals(facts, scope) if equals else None
        leaves: list[datetime] = []
        for event in facts.events(node.event, since=None if node.within is None else facts.now - node.within):
            if node.within is not None and event.timestamp <= facts.now - node.within:
                continue  # time only takes it further away
            if is_wanted is not None and not is_wanted(event):
                continue
            if node.where is not None:
                passes = self.truth_of(node.where, event.properties)
                until = _first(until, passes.until)
                if not passes.value:
                    continue
            if since is not None and start is not None:
                until = _first(until, self._meeting(_Course(event.timestamp), since, ">="))
                if event.timestamp < start:
                    continue
            if node.within is not None:
                leaves.append(event.timestamp + node.within)
        if not leaves:
            return until
        # One event is enough for `did`, and the newest for `last`: what older ones do changes neither.
        return _first(until, leaves[-1] if node.function in ("did", "last") else leaves[0])

    def _received_until(self, node: HasReceived) -> datetime | None:
        sent = self._facts.received(node.journey)
        if node.within is None or not sent:
            return None
        leaves_at = sent[-1] + node.within
        return leaves_at if leaves_at > self._facts.now else None

    def _segment_until(self, name: str) -> datetime | None:
        if name not in self._known:
            self._known[name] = None  # also ends a cycle, which `check` refuses
            segment = self._segments.get(name)
            if segment is not None:
                self._known[name] = self.truth_of(parse_expression(segment.condition), None).until
        return self._known[name]


def _first(*moments: datetime | None) -> datetime | None:
    """The earliest; None is never."""
    return min((moment for moment in moments if moment is not None), default=None)


def _joined(parts: list[_Course], *, is_and: bool) -> _Course:
    """`and` of truths, or `or`: what one part alone decides stands as long as the longest such part does."""
    deciding = [part.until for part in parts if part.value is not is_and]
    if not deciding:
        return _Course(is_and, _first(*(part.until for part in parts)))
    lasting = [until for until in deciding if until is not None]
    return _Course(not is_and, max(lasting) if len(lasting) == len(deciding) else None)


def _holds(sign: Comparison, gap: int) -> bool:
    """Whether `left SIGN right` where left is ahead of right by `gap`."""
    match sign:
        case "==" | "in":
            return gap == 0
        case "!=" | "not in":
            return gap != 0
        case "<":
            return gap < 0
        case "<=":
            return gap <= 0
        case ">":
            return gap > 0
        case ">=":
            return gap >= 0
        case _:
            assert_never(sign)
