"""Expressions at work. A tree is turned into closures once, kept by its text, and called with facts.

The rules of values are in `engine.expressions.values`. A condition is true where its value is (`truth`): missing,
false, 0 and what is empty are false. `and`, `or` and `not` give true or false.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import assert_never

from engine.expressions.aggregates import in_window, summarise
from engine.expressions.facts import Facts
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
    Root,
    is_none,
)
from engine.expressions.parse import parse_expression
from engine.expressions.plain import PLAIN
from engine.expressions.values import (
    NUMBERS,
    add,
    as_instant,
    as_json,
    divide,
    multiply,
    negate,
    order,
    same,
    subtract,
    truth,
    within,
)
from engine.plan.model import Authored
from engine.profiles.model import Event, Value

#: A compiled tree. The second argument is what `event.` reads in a `where`; None is the event under test.
Run = Callable[[Facts, Mapping[str, Value] | None], Value]


def evaluate(text: str, facts: Facts) -> Value:
    """The value of an expression, None where it is missing; it may be a timestamp, a date or a duration."""
    return _compiled(text)(facts, None)


def is_true(text: str | None, facts: Facts) -> bool:
    """Whether a condition holds; no condition (None) holds."""
    return text is None or truth(_compiled(text)(facts, None))


def resolve(authored: Authored, facts: Facts) -> Value:
    """Authored JSON with every string that begins with `=` replaced by its value, as JSON (`as_json`)."""
    match authored:
        case str() if authored.startswith("="):
            return as_json(evaluate(authored[1:], facts))
        case Mapping():
            return {name: resolve(value, facts) for name, value in authored.items()}
        case list() | tuple():
            return [resolve(value, facts) for value in authored]
        case _:
            return authored


@lru_cache(maxsize=8192)
def _compiled(text: str) -> Run:
    return compile_node(parse_expression(text))


def compile_node(node: Node) -> Run:
    """The closure that computes a tree's value."""
    match node:
        case Constant():
            value = node.value
            return lambda _facts, _event: value
        case Now():
            return lambda facts, _event: facts.now
        case Read():
            return _read(node)
        case ListOf():
            items = [compile_node(item) for item in node.items]
            return lambda facts, event: [item(facts, event) for item in items]
        case Negative():
            operand = compile_node(node.operand)
            return lambda facts, event: negate(operand(facts, event))
        case Not():
            denied = compile_node(node.operand)
            return lambda facts, event: not denied(facts, event)
        case And():
            return _all_of([compile_node(part) for part in node.parts])
        case Or():
            return _any_of([compile_node(part) for part in node.parts])
        case Compare():
            return _compare(node)
        case Arithmetic():
            return _arithmetic(node)
        case Call():
            function, arguments = PLAIN[node.function], [compile_node(argument) for argument in node.arguments]
            return lambda facts, event: function([argument(facts, event) for argument in arguments], facts)
        case Aggregate():
            return _aggregate(node)
        case InSegment():
            segment = node.segment
            return lambda facts, _event: facts.in_segment(segment)
        case HasConsent():
            channel, topic = node.channel, node.topic
            return lambda facts, _event: facts.has_consent(channel, topic)
        case IsEnrolled():
            journey = node.journey
            return lambda facts, _event: facts.is_enrolled(journey)
        case HasReceived():
            return _received(node)
        case _:
            assert_never(node)


# ── names ────────────────────────────────────────────────────────────────────────────────────────────────────────────
def _read(node: Read) -> Run:
    name, path = node.name, node.path
    root = _root(node.root, name)
    if not path:
        return root

    def run(facts: Facts, event: Mapping[str, Value] | None) -> Value:
        value = root(facts, event)
        for place in path:
            value = _inside(value, place)
        return value

    return run


def _root(root: Root, name: str) -> Run:
    match root:
        case "profile":
            return lambda facts, _event: facts.profile.get(name)
        case "event":
            return lambda facts, event: (facts.event if event is None else event).get(name)
        case "trigger":
            return lambda facts, _event: facts.trigger.get(name)
        case "steps":
            return lambda facts, _event: facts.steps.get(name)
        case _:
            assert_never(root)


def _inside(value: Value, name: str | int) -> Value:
    if isinstance(name, str):
        return value.get(name) if isinstance(value, Mapping) else None
    return value[name] if isinstance(value, list | tuple) and -len(value) <= name < len(value) else None


# ── truth ────────────────────────────────────────────────────────────────────────────────────────────────────────────
def _all_of(parts: list[Run]) -> Run:
    if len(parts) == 2:
        first, second = parts
        return lambda facts, event: truth(first(facts, event)) and truth(second(facts, event))
    return lambda facts, event: all(truth(part(facts, event)) for part in parts)


def _any_of(parts: list[Run]) -> Run:
    return lambda facts, event: any(truth(part(facts, event)) for part in parts)


_ORDERS: Mapping[Comparison, Callable[[Value, Value], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def _compare(node: Compare) -> Run:
    left, right = compile_node(node.left), compile_node(node.right)
    match node.sign:
        case "==":
            return _equal(node, left, right)
        case "!=":
            equal = _equal(node, left, right)
            return lambda facts, event: not equal(facts, event)
        case "in":
            return _in(node, left, right)
        case "not in":
            held = _in(node, left, right)
            return lambda facts, event: not held(facts, event)
        case _:
            return _ordered(_ORDERS[node.sign], left, right)


def _equal(node: Compare, left: Run, right: Run) -> Run:
    if is_none(node.right):
        return lambda facts, event: left(facts, event) is None
    if is_none(node.left):
        return lambda facts, event: right(facts, event) is None
    return lambda facts, event: same(left(facts, event), right(facts, event), facts)


def _in(node: Compare, left: Run, right: Run) -> Run:
    if isinstance(node.right, ListOf) and any(map(is_none, node.right.items)):

        def run(facts: Facts, event: Mapping[str, Value] | None) -> Value:
            item = left(facts, event)
            return item is None or within(item, right(facts, event), facts)

        return run
    return lambda facts, event: within(left(facts, event), right(facts, event), facts)


def _ordered(holds: Callable[[Value, Value], bool], left: Run, right: Run) -> Run:
    def run(facts: Facts, event: Mapping[str, Value] | None) -> Value:
        first, second = left(facts, event), right(facts, event)
        if type(first) in NUMBERS and type(second) in NUMBERS:
            return holds(first, second)
        sign = order(first, second, facts)
        return sign is not None and holds(sign, 0)

    return run


def _arithmetic(node: Arithmetic) -> Run:
    left, right = compile_node(node.left), compile_node(node.right)
    match node.sign:
        case "+":
            return lambda facts, event: add(left(facts, event), right(facts, event), facts)
        case "-":
            return lambda facts, event: subtract(left(facts, event), right(facts, event), facts)
        case "*":
            return lambda facts, event: multiply(left(facts, event), right(facts, event))
        case "/":
            return lambda facts, event: divide(left(facts, event), right(facts, event))
        case _:
            assert_never(node.sign)


# ── the profile's past ───────────────────────────────────────────────────────────────────────────────────────────────
def _aggregate(node: Aggregate) -> Run:
    since = None if node.since is None else compile_node(node.since)
    selected = compile_selection(node)
    name, function, property_, window = node.event, node.function, node.property, node.within

    def run(facts: Facts, event: Mapping[str, Value] | None) -> Value:
        start = None
        if since is not None:
            start = as_instant(since(facts, event), facts)
            if start is None:  # a comparison with a missing value is false: nothing is at or after it
                return summarise(function, (), property_)
        since_then = _later(None if window is None else facts.now - window, start)
        if selected is None and function in ("did", "last"):
            # One event says it all, however many there were.
            newest = facts.newest(name)
            known = () if newest is None else (newest,)
            return summarise(function, in_window(known, facts.now, window, start), property_)
        events = in_window(facts.events(name, since=since_then), facts.now, window, start)
        if selected is not None:
            is_selected = selected(facts, event)
            events = [counted for counted in events if is_selected(counted)]
        return summarise(function, events, property_)

    return run


def _later(one: datetime | None, other: datetime | None) -> datetime | None:
    return max(one, other) if one is not None and other is not None else one or other


#: Given facts and the outer event, what tells whether an event passes the property equalities and `where`.
Selection = Callable[[Facts, Mapping[str, Value] | None], Callable[[Event], bool]]


def compile_selection(node: Aggregate) -> Selection | None:
    """What an aggregate asks of each event besides its time; None where it asks nothing."""
    if not node.equals and node.where is None:
        return None
    equals = [(name, None if is_none(wanted) else compile_node(wanted)) for name, wanted in node.equals]
    where = None if node.where is None else compile_node(node.where)

    def select(facts: Facts, event: Mapping[str, Value] | None) -> Callable[[Event], bool]:
        # Values to be equal to belong to the outer event: computed once, not for each counted one.
        wanted = [(name, run is None, run(facts, event) if run else None) for name, run in equals]

        def is_selected(counted: Event) -> bool:
            properties = counted.properties
            for name, must_be_missing, value in wanted:
                found = properties.get(name)
                if not (found is None if must_be_missing else same(found, value, facts)):
                    return False
            return where is None or truth(where(facts, properties))

        return is_selected

    return select


def _received(node: HasReceived) -> Run:
    journey, window = node.journey, node.within
    if window is None:
        return lambda facts, _event: bool(facts.received(journey))
    return lambda facts, _event: any(sent_at > facts.now - window for sent_at in facts.received(journey))
