"""Who has no such events: whether that alone keeps a person out, so that only those who have some need be looked at."""

from __future__ import annotations

from dataclasses import replace

from engine.expressions.nodes import (
    Aggregate,
    And,
    Arithmetic,
    Call,
    Compare,
    Constant,
    InSegment,
    ListOf,
    Negative,
    Node,
    Not,
    Or,
    Read,
)
from engine.expressions.parse import parse_expression
from engine.expressions.values import truth
from engine.project import Project
from engine.storage.segments.everyone import Everyone

#: What reads as missing for everyone: in a segment there is no event. The literal `none` would compare otherwise.
_MISSING = Read(root="event", name="nothing")


def history_of(node: Aggregate) -> Aggregate:
    """What the aggregates over the same events have in common: they differ in what is made of the events."""
    return replace(node, function="count", property=None)


def is_nobody_without(project: Project, everyone: Everyone, segment: str, history: Aggregate) -> bool:
    """Whether a person who has none of the events of a `history_of` an aggregate is out of a segment for certain, by
    memory's rules."""
    return _Absence(project, everyone, history).segment(segment) is False


class _Absence:
    def __init__(self, project: Project, everyone: Everyone, history: Aggregate) -> None:
        self._project = project
        self._everyone = everyone
        self._history = history
        #: None while a segment is looked at, too: one that goes round in a circle settles nothing.
        self._segments: dict[str, bool | None] = {}

    def segment(self, name: str) -> bool | None:
        """Whether the person is in; None where that depends on more."""
        if name not in self._segments:
            self._segments[name] = None
            segment = self._project.segments.get(name)
            if segment is not None:
                self._segments[name] = self._holds(parse_expression(segment.condition))
        return self._segments[name]

    def _holds(self, node: Node) -> bool | None:
        match node:
            case And():
                return _settled([self._holds(part) for part in node.parts], by=False)
            case Or():
                return _settled([self._holds(part) for part in node.parts], by=True)
            case Not():
                held = self._holds(node.operand)
                return None if held is None else not held
            case InSegment():
                return self.segment(node.segment)
            case _:
                known = self._everyone.value(self._without(node), in_event=False)
                return None if known is None else truth(known.value)

    def _without(self, node: Node) -> Node:
        """The tree with what aggregates make of no events in their place."""
        match node:
            case Aggregate() if history_of(node) == self._history:
                return of_nothing(node)
            case Compare() | Arithmetic():
                return replace(node, left=self._without(node.left), right=self._without(node.right))
            case Negative() | Not():
                return replace(node, operand=self._without(node.operand))
            case And() | Or():
                return replace(node, parts=tuple(map(self._without, node.parts)))
            case Call():
                return replace(node, arguments=tuple(map(self._without, node.arguments)))
            case ListOf():
                return replace(node, items=tuple(map(self._without, node.items)))
            case _:
                return node


def of_nothing(node: Aggregate) -> Constant | Read:
    """What an aggregate is where there is no event."""
    match node.function:
        case "did":
            return Constant(value=False)
        case "count" | "sum" | "distinct":
            return Constant(value=0)
        case _:
            return _MISSING


def _settled(parts: list[bool | None], *, by: bool) -> bool | None:
    """`or` and `and`: one part settles them, or all together."""
    if by in parts:
        return by
    return None if None in parts else not by
