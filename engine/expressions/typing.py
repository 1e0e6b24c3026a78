"""Checks an expression against what exists where it stands: names, kinds of arguments, comparisons that cannot hold."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import assert_never

from engine.errors import ExpressionError
from engine.expressions.functions import AGGREGATES, FUNCTIONS, TypeWord
from engine.expressions.kinds import (
    IN_WORDS,
    MOMENTS,
    as_moment,
    can_equal,
    inside,
    of_arithmetic,
    of_constant,
    type_word,
)
from engine.expressions.mistakes import near
from engine.expressions.nodes import (
    Aggregate,
    And,
    Arithmetic,
    Call,
    Compare,
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
    is_none,
)
from engine.expressions.parse import parse_expression
from engine.expressions.scope import ExpressionProblem, Scope, Shape

#: The profile's own fields, which no catalogue lists.
OWN_ATTRIBUTES = {"id": "string", "email": "string", "phone": "string", "timezone": "string", "locale": "string"}
_NO_EVENT = "`event.` is for conditions about an event; what began the enrollment is `trigger.`"
_NO_TRIGGER = "`trigger.` is for steps, exits and goals; the event under test is `event.`"


def check_expression(text: str, scope: Scope) -> list[ExpressionProblem]:
    """Everything wrong with an expression at a place, by offset; empty where all is well."""
    try:
        node = parse_expression(text)
    except ExpressionError as error:
        offset = min(error.offset, max(len(text) - 1, 0))
        return [
            ExpressionProblem(
                offset=error.offset,
                length=max(1, len(text.rstrip()) - offset) if error.offset < len(text) else 1,
                code_word="syntax",
                severity="error",
                message=str(error),
                hint=error.hint,
            )
        ]
    check = _Check(scope)
    check.type_of(node)
    return sorted(check.problems, key=lambda problem: (problem.offset, problem.length))


def misfit(text: str, scope: Scope, wanted: Collection[TypeWord]) -> TypeWord | None:
    """The type of an expression's value where it is surely none of the wanted ones; None where it may fit.

    A date and a timestamp stand for each other. What does not parse fits: `check_expression` tells.
    """
    try:
        node = parse_expression(text)
    except ExpressionError:
        return None
    kind = _Check(scope).type_of(node)
    wants_moment = bool(MOMENTS & set(wanted))
    given = as_moment(node, kind) if wants_moment else kind
    fits = given in wanted or (wants_moment and given in MOMENTS)
    return None if fits or "any" in (given, *wanted) or is_none(node) else kind


class _Check:
    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self.problems: list[ExpressionProblem] = []

    def _say(self, node: Node, code_word: str, message: str, hint: str = "", *, is_warning: bool = False) -> None:
        self.problems.append(
            ExpressionProblem(
                offset=node.start,
                length=node.end - node.start,
                code_word=code_word,
                severity="warning" if is_warning else "error",
                message=message,
                hint=hint,
            )
        )

    def type_of(self, node: Node) -> TypeWord:
        """The static type of a tree; what is wrong in it is noted on the way."""
        match node:
            case Constant():
                return of_constant(node)
            case Now():
                return "timestamp"
            case Read():
                return self._read(node)
            case ListOf():
                for item in node.items:
                    self.type_of(item)
                return "list"
            case Negative():
                return self._negative(node)
            case Not():
                self.type_of(node.operand)
                return "boolean"
            case And() | Or():
                return self._junction(node)
            case Compare():
                return self._compare(node)
            case Arithmetic():
                return self._arithmetic(node)
            case Call():
                return self._call(node)
            case Aggregate():
                return self._aggregate(node)
            case InSegment():
                self._known(node, "segment", node.segment, self._scope.segments)
                return "boolean"
            case HasConsent():
                self._known(node, "channel", node.channel, self._scope.channels)
                self._known(node, "topic", node.topic, self._scope.topics)
                return "boolean"
            case IsEnrolled() | HasReceived():
                self._known(node, "journey", node.journey, self._scope.journeys)
                return "boolean"
            case _:
                assert_never(node)

    def _known(self, node: Node, kind: str, name: str, known: Iterable[str]) -> None:
        if name not in known:
            self._say(node, f"unknown_{kind}", f"there is no {kind} `{name}`", near(name, known))

    # ── names ────────────────────────────────────────────────────────────────────────────────────────────────────────
    def _read(self, node: Read) -> TypeWord:
        match node.root:
            case "profile":
                return inside(node, self._attribute(node))
            case "event":
                if self._scope.event is None:
                    self._say(node, "no_event", "there is no event under test here", _NO_EVENT)
                    return "any"
                return inside(node, self._property(node, self._scope.event))
            case "trigger":
                return self._trigger(node)
            case "steps":
                return self._step(node)
            case _:
                assert_never(node.root)

    def _attribute(self, node: Read) -> TypeWord:
        known = self._scope.attributes
        if node.name in OWN_ATTRIBUTES or known is None:
            return type_word(OWN_ATTRIBUTES.get(node.name, "any"))
        if node.name not in known:
            self._say(
                node,
                "unknown_attribute",
                f"the catalogue has no attribute `{node.name}`",
                near(node.name, [*known, *OWN_ATTRIBUTES]) or "add it under `attributes:` in sojourn.yml",
                is_warning=True,
            )
        return type_word(known.get(node.name, "any"))

    def _property(self, node: Read, shape: Shape) -> TypeWord:
        if node.name not in shape.names and not shape.is_open:
            self._say(
                node,
                "unknown_property",
                f"the catalogue has no property `{node.name}` of {shape.of or 'this event'}",
                near(node.name, shape.names) or "add it under `events:` in sojourn.yml",
                is_warning=True,
            )
        return type_word(shape.names.get(node.name, "any"))

    def _trigger(self, node: Read) -> TypeWord:
        shape = self._scope.trigger
        if shape is None:
            self._say(node, "no_trigger", "there is no enrollment here, so nothing that began it", _NO_TRIGGER)
            return "any"
        if node.name not in shape.names and not shape.is_open:
            self._say(
                node,
                "unknown_trigger_name",
                f"no trigger of the journey has a `{node.name}`",
                near(node.name, shape.names),
                is_warning=True,
            )
        return inside(node, type_word(shape.names.get(node.name, "any")))

    def _step(self, node: Read) -> TypeWord:
        steps = self._scope.steps
        if steps is None:
            self._say(node, "no_steps", "there are no steps here", "`steps.` is for what comes after a step")
            return "any"
        if node.name not in steps:
            self._say(node, "unknown_step", f"there is no step `{node.name}`", near(node.name, steps))
            return "any"
        left = steps[node.name]
        if not node.path:
            self._say(node, "unknown_step_value", f"the step `{node.name}` alone is no value", _leaves(left))
            return "any"
        what = str(node.path[0])
        if what not in left:
            self._say(node, "unknown_step_value", f"the step `{node.name}` leaves no `{what}` behind", _leaves(left))
            return "any"
        found = left[what]
        if isinstance(found, str):
            return "any" if node.path[1:] else type_word(found)
        if not node.path[1:]:
            return "object" if found.names else "any"
        inner = replace(node, root="event", name=str(node.path[1]), path=node.path[2:])
        return inside(inner, self._property(inner, found))

    # ── operators ────────────────────────────────────────────────────────────────────────────────────────────────────
    def _negative(self, node: Negative) -> TypeWord:
        kind = self.type_of(node.operand)
        if kind not in ("number", "duration", "any"):
            self._say(node, "wrong_operand", f"`-` before {IN_WORDS[kind]} is always missing")
        return kind

    def _junction(self, node: And | Or) -> TypeWord:
        for part in node.parts:
            kind = self.type_of(part)
            if isinstance(part, Constant) and kind != "boolean" and part.value is not None:
                word = "and" if isinstance(node, And) else "or"
                hint = 'compare it, as in `x == "a" or x == "b"`, or write `x in ["a", "b"]`'
                if word == "or":
                    hint += "; for a missing value there is `coalesce(a, b)`"
                self._say(part, "constant", f"beside `{word}` stands a value that never changes", hint, is_warning=True)
        return "boolean"

    def _compare(self, node: Compare) -> TypeWord:
        left = self.type_of(node.left)
        if node.sign in ("in", "not in"):
            self._in(node, left)
            return "boolean"
        right = self.type_of(node.right)
        ordered = node.sign in ("<", "<=", ">", ">=")
        for side, kind in ((node.left, left), (node.right, right)):
            if ordered and (kind in ("boolean", "list", "object") or is_none(side)):
                what = "a missing value" if is_none(side) else IN_WORDS[kind]
                self._say(
                    node,
                    "unlike_types",
                    f"{what} has no order: `{node.sign}` is always false",
                    "write `== none` or `exists(x)`" if is_none(side) else "",
                    is_warning=True,
                )
                return "boolean"
        if not is_none(node.left) and not is_none(node.right):
            self._alike(node, (node.left, left), (node.right, right))
        return "boolean"

    def _in(self, node: Compare, left: TypeWord) -> None:
        if isinstance(node.right, ListOf):
            for item in node.right.items:
                kind = self.type_of(item)
                if not is_none(item) and not can_equal((node.left, left), (item, kind)):
                    self._unlike(item, left, kind, "an item that is never found")
            return
        right = self.type_of(node.right)
        if right not in ("list", "string", "object", "any"):
            self._say(
                node.right,
                "wrong_operand",
                f"`{node.sign}` looks into a list, not into {IN_WORDS[right]}",
                "write the list: `x in [1, 2]`",
            )

    def _alike(self, node: Compare, left: tuple[Node, TypeWord], right: tuple[Node, TypeWord]) -> None:
        if not can_equal(left, right):
            always = "true" if node.sign == "!=" else "false"
            self._unlike(node, left[1], right[1], f"always {always}")

    def _unlike(self, node: Node, left: TypeWord, right: TypeWord, so: str) -> None:
        hint = ""
        if {left, right} == {"duration", "number"}:
            hint = "a number of days is a duration as `days(3)`; `days_since(x)` is a number"
        elif {left, right} == {"string", "number"}:
            hint = "a number stands without quotes"
        elif {left, right} == {"boolean", "string"}:
            hint = "true and false stand without quotes"
        self._say(
            node, "unlike_types", f"{IN_WORDS[left]} is compared with {IN_WORDS[right]}: {so}", hint, is_warning=True
        )

    def _arithmetic(self, node: Arithmetic) -> TypeWord:
        left, right = self.type_of(node.left), self.type_of(node.right)
        result = of_arithmetic(node.sign, (node.left, left), (node.right, right))
        if result is None:
            kinds = {left, right}
            hint = ""
            if node.sign in "+-" and kinds & MOMENTS and "number" in kinds:
                hint = "say of what: `+ days(14)`, `+ hours(2)`"
            elif node.sign in "*/" and "duration" in kinds:
                hint = "compute inside: `days(2 * 3)`"
            elif node.sign == "+" and "string" in kinds:
                hint = "`+` joins two texts, or adds two numbers"
            self._say(
                node,
                "wrong_operand",
                f"{IN_WORDS[left]} `{node.sign}` {IN_WORDS[right]} is always missing",
                hint,
            )
        return result or "any"

    # ── functions ────────────────────────────────────────────────────────────────────────────────────────────────────
    def _call(self, node: Call) -> TypeWord:
        function = FUNCTIONS[node.function]
        kinds = [self.type_of(argument) for argument in node.arguments]
        for index, (argument, kind) in enumerate(zip(node.arguments, kinds, strict=True)):
            wanted = function.parameters[min(index, len(function.parameters) - 1)]
            given = as_moment(argument, kind) if "timestamp" in wanted else kind
            if "any" in wanted or given == "any" or given in wanted:
                continue
            expected = " or ".join(IN_WORDS[word] for word in wanted)
            self._say(
                argument,
                "wrong_argument",
                f"`{node.function}` takes {expected}, not {IN_WORDS[kind]}",
                f"write {function.usage}",
            )
        if node.function == "coalesce":
            return kinds[0] if len(set(kinds)) == 1 else "any"
        return function.result

    def _aggregate(self, node: Aggregate) -> TypeWord:
        shape = self._counted(node)
        if node.property is not None:
            kind = self._property(_named(node.property, node), shape)
            if node.function != "distinct" and kind not in ("number", "any"):
                self._say(
                    node,
                    "wrong_argument",
                    f"`{node.function}` reckons with numbers, and `{node.property}` is {IN_WORDS[kind]}",
                    is_warning=True,
                )
        for name, value in node.equals:
            wanted = self.type_of(value)
            property_ = _named(name, value)
            kind = self._property(property_, shape)
            if not is_none(value) and not can_equal((property_, kind), (value, wanted)):
                self._unlike(value, kind, wanted, "never equal")
        if node.since is not None:
            kind = self.type_of(node.since)
            if as_moment(node.since, kind) not in (*MOMENTS, "any"):
                self._say(
                    node.since,
                    "wrong_argument",
                    f"`since=` takes a timestamp, not {IN_WORDS[kind]}",
                    "as in since=now - days(7)",
                )
        if node.where is not None:
            inner = _Check(replace(self._scope, event=shape))
            inner.type_of(node.where)
            self.problems += inner.problems
        return AGGREGATES[node.function]

    def _counted(self, node: Aggregate) -> Shape:
        catalogue = self._scope.events
        of = f"the event `{node.event}`"
        if catalogue is None:
            return Shape(is_open=True, of=of)
        if node.event not in catalogue:
            self._say(
                node,
                "unknown_event",
                f"the catalogue has no event `{node.event}`",
                near(node.event, catalogue) or "add it under `events:` in sojourn.yml",
                is_warning=True,
            )
            return Shape(is_open=True, of=of)
        return Shape(names=catalogue[node.event], of=of)


def _named(name: str, place: Node) -> Read:
    """A property that an aggregate names, as if it were read where `place` stands."""
    return Read(root="event", name=name, start=place.start, end=place.end)


def _leaves(left: Iterable[str]) -> str:
    return f"it leaves {', '.join(f'`{what}`' for what in left)}" if left else "it leaves nothing behind"
