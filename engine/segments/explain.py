"""Why a condition holds, or not: the evaluated tree, part by part, in the author's own words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import assert_never

from engine.expressions.evaluate import compile_node
from engine.expressions.facts import Facts
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
    children,
)
from engine.expressions.parse import parse_expression
from engine.expressions.values import as_json, truth
from engine.profiles.model import Value
from engine.project import Segment
from engine.schedule import format_duration

_NO_SEGMENTS: Mapping[str, Segment] = {}


@dataclass(frozen=True, kw_only=True, slots=True)
class Explanation:
    """One part of a condition and what it came to."""

    #: As authored.
    text: str
    #: None where it is missing.
    value: Value
    #: The parts that it was made of, but for literals; of a segment, the parts of its condition.
    children: tuple[Explanation, ...] = ()

    @property
    def is_true(self) -> bool:
        return truth(self.value)


def explain(text: str, facts: Facts, segments: Mapping[str, Segment] = _NO_SEGMENTS) -> Explanation:
    """The evaluated tree of a condition. Segments among `segments` are opened up where the condition names them."""
    return _Explainer(facts, segments).of(parse_expression(text), text, ())


def lines(explanation: Explanation, depth: int = 0) -> list[str]:
    """The tree as lines of plain text, each part with its value, what it was made of indented below it."""
    line = f"{'  ' * depth}{explanation.text}  →  {describe(explanation.value)}"
    return [line, *(below for child in explanation.children for below in lines(child, depth + 1))]


def describe(value: Value) -> str:
    """A value in an author's words: `missing`, `true`, `42`, `"pro"`, `2026-03-02T10:00:00Z`, `3d`, `[1, 2]`."""
    match value:
        case None:
            return "missing"
        case bool():
            return "true" if value else "false"
        case str():
            return f'"{value}"'
        case timedelta():
            return format_duration(value)
        case list() | tuple():
            return f"[{', '.join(map(describe, value))}]"
        case _:
            return str(as_json(value))


class _Explainer:
    def __init__(self, facts: Facts, segments: Mapping[str, Segment]) -> None:
        self._facts = facts
        self._segments = segments

    def of(self, node: Node, text: str, opened: tuple[str, ...]) -> Explanation:
        """`opened` are the segments inside which this part stands: a cycle is not followed."""
        return Explanation(
            text=" ".join(text[node.start : node.end].split()),
            value=compile_node(node)(self._facts, None),
            children=self._below(node, text, opened),
        )

    def _below(self, node: Node, text: str, opened: tuple[str, ...]) -> tuple[Explanation, ...]:
        match node:
            case InSegment(segment=name):
                segment = self._segments.get(name)
                if segment is None or name in opened:
                    return ()
                inner = parse_expression(segment.condition)
                return (self.of(inner, segment.condition, (*opened, name)),)
            case Aggregate():
                # Inside `where`, `event.` is each counted event in turn: it has no one value.
                parts = [part for part in children(node) if part is not node.where]
            case And() | Or() | Not() | Negative() | Compare() | Arithmetic() | Call() | ListOf():
                parts = list(children(node))
            case Constant() | Now() | Read() | HasConsent() | IsEnrolled() | HasReceived():
                parts = []
            case _:
                assert_never(node)
        return tuple(self.of(part, text, opened) for part in parts if not _is_literal(part))


def _is_literal(node: Node) -> bool:
    match node:
        case Constant():
            return True
        case Negative():
            return _is_literal(node.operand)
        case ListOf():
            return all(map(_is_literal, node.items))
        case _:
            return False
