"""Which types of values go together: what can be equal, what arithmetic gives, what a text may stand for."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import get_args

from engine.expressions.functions import TypeWord
from engine.expressions.nodes import ArithmeticSign, Constant, Node, Read
from engine.expressions.values import as_time

_TYPE_WORDS: Mapping[str, TypeWord] = {word: word for word in get_args(TypeWord)}
MOMENTS: frozenset[TypeWord] = frozenset({"date", "timestamp"})
#: For messages.
IN_WORDS: Mapping[TypeWord, str] = {
    "string": "a text",
    "number": "a number",
    "boolean": "true or false",
    "date": "a date",
    "timestamp": "a timestamp",
    "list": "a list",
    "object": "an object",
    "duration": "a duration",
    "any": "anything",
}


def type_word(text: str) -> TypeWord:
    """A word of the catalogue as a type; what is none is `any`."""
    return _TYPE_WORDS.get(text, "any")


def of_constant(node: Constant) -> TypeWord:
    match node.value:
        case bool():
            return "boolean"
        case str():
            return "string"
        case int() | float():
            return "number"
        case None:
            return "any"


def inside(node: Read, kind: TypeWord) -> TypeWord:
    """The type of what is read: the name's own, or anything where the path goes on inside it."""
    return "any" if node.path else kind


def as_moment(node: Node, kind: TypeWord) -> TypeWord:
    """The type of a side that may be a moment: a text that writes one is one, and a text that is computed may be."""
    if kind != "string":
        return kind
    if not isinstance(node, Constant):
        return "any"
    moment = as_time(str(node.value))
    if moment is None:
        return "string"
    return "timestamp" if isinstance(moment, datetime) else "date"


def can_equal(left: tuple[Node, TypeWord], right: tuple[Node, TypeWord]) -> bool:
    """Whether values of two types can be equal, or one before the other."""
    kinds = {left[1], right[1]}
    if "any" in kinds or len(kinds) == 1:
        return True
    if not kinds & MOMENTS:
        return False
    return {as_moment(*left), as_moment(*right)} <= {*MOMENTS, "any"}


def of_arithmetic(sign: ArithmeticSign, left: tuple[Node, TypeWord], right: tuple[Node, TypeWord]) -> TypeWord | None:
    """The type of a sum, difference, product or quotient; None where it is always missing."""
    first, second = left[1], right[1]
    kinds = {first, second}
    if kinds & {"boolean", "list", "object"}:
        return None
    if sign in ("*", "/"):
        return "number" if kinds <= {"number", "any"} else None
    if kinds == {"number"}:
        return "number"
    if kinds == {"string"}:
        return "string" if sign == "+" else "any"
    first, second = as_moment(*left), as_moment(*right)
    kinds = {first, second}
    if "any" in kinds:
        return "any"
    if second == "duration" and first in (*MOMENTS, "duration"):
        return first
    if sign == "+" and first == "duration" and second in MOMENTS:
        return second
    return "duration" if sign == "-" and kinds <= MOMENTS else None
