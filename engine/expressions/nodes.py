"""The expression tree: what `engine.expressions.parse` makes of an author's text, and everything else walks."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

Root = Literal["profile", "event", "trigger", "steps"]
Comparison = Literal["==", "!=", "<", "<=", ">", ">=", "in", "not in"]
ArithmeticSign = Literal["+", "-", "*", "/"]
AggregateName = Literal["count", "did", "sum", "min", "max", "avg", "distinct", "first", "last"]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Node:
    #: First character in the text, and the one after the last, from 0. Inside a `where="…"` they are those of the whole
    #: text, too (of the whole literal where it holds escapes).
    start: int = field(default=0, compare=False)
    end: int = field(default=0, compare=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Constant(_Node):
    """A literal; None is `none`."""

    value: str | int | float | bool | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Now(_Node):
    """`now`"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Read(_Node):
    """`profile.plan`, `event["from"]`, `steps.review.event.rating`, `event.items[0].sku`."""

    root: Root
    name: str
    #: Further inside; a number is a place in a list, from 0, or from the end where negative.
    path: tuple[str | int, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class ListOf(_Node):
    items: tuple[Node, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Negative(_Node):
    operand: Node


@dataclass(frozen=True, kw_only=True, slots=True)
class Not(_Node):
    operand: Node


@dataclass(frozen=True, kw_only=True, slots=True)
class And(_Node):
    """All hold; a chain `a < b < c` is one of these, too."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Or(_Node):
    parts: tuple[Node, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Compare(_Node):
    left: Node
    sign: Comparison
    right: Node


@dataclass(frozen=True, kw_only=True, slots=True)
class Arithmetic(_Node):
    left: Node
    sign: ArithmeticSign
    right: Node


@dataclass(frozen=True, kw_only=True, slots=True)
class Call(_Node):
    """A function of its arguments alone; see `engine.expressions.functions.FUNCTIONS`."""

    function: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Aggregate(_Node):
    """Something about the profile's events of a name: `count("Page Viewed", path="/pricing", within="7d")`."""

    function: AggregateName
    event: str
    #: Of `sum min max avg distinct`.
    property: str | None = None
    #: Only events with `now - within < timestamp`.
    within: timedelta | None = None
    #: Only events at or after it.
    since: Node | None = None
    #: In it, `event.` is the counted event.
    where: Node | None = None
    #: Properties that must equal a value; by order of writing.
    equals: tuple[tuple[str, Node], ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class InSegment(_Node):
    segment: str


@dataclass(frozen=True, kw_only=True, slots=True)
class HasConsent(_Node):
    channel: str
    topic: str


@dataclass(frozen=True, kw_only=True, slots=True)
class IsEnrolled(_Node):
    journey: str


@dataclass(frozen=True, kw_only=True, slots=True)
class HasReceived(_Node):
    """Whether a message of the journey was sent to the profile, `within` or ever."""

    journey: str
    within: timedelta | None = None


Node = (
    Constant
    | Now
    | Read
    | ListOf
    | Negative
    | Not
    | And
    | Or
    | Compare
    | Arithmetic
    | Call
    | Aggregate
    | InSegment
    | HasConsent
    | IsEnrolled
    | HasReceived
)


def children(node: Node) -> tuple[Node, ...]:
    """The nodes directly below, by order of writing."""
    match node:
        case ListOf():
            return node.items
        case Negative() | Not():
            return (node.operand,)
        case And() | Or():
            return node.parts
        case Compare() | Arithmetic():
            return (node.left, node.right)
        case Call():
            return node.arguments
        case Aggregate():
            below = [value for _, value in node.equals]
            below += [part for part in (node.since, node.where) if part is not None]
            return tuple(sorted(below, key=lambda part: part.start))
        case Constant() | Now() | Read() | InSegment() | HasConsent() | IsEnrolled() | HasReceived():
            return ()


def is_none(node: Node) -> bool:
    """Whether a tree is the literal `none`, the one thing that a missing value equals."""
    return isinstance(node, Constant) and node.value is None
