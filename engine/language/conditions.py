"""Conditions as authored: text, or `all:`, `any:`, `not:` around conditions, folded into one text of the language.

Every character of the folded text that an author wrote knows its place in the file, so that what the expression
language says about an offset is said about a line and a column.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from engine.language.diagnostics import Problems, Span, suggest
from engine.language.fields import as_list, wrong_kind
from engine.language.source import ListNode, MapNode, Node, ScalarNode

_FOLDS = ("all", "any", "not")


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """One authored expression inside a folded text."""

    text: str
    #: Where it begins in the folded text.
    start: int
    node: ScalarNode
    #: Where it begins in the node's value.
    offset: int

    def place(self, offset: int) -> Span:
        """The place of a character of the piece."""
        return self.node.place(self.offset + offset)


@dataclass(frozen=True, kw_only=True, slots=True)
class Condition:
    """An expression, with where each part of it was written."""

    text: str
    pieces: tuple[Piece, ...]

    def place(self, offset: int) -> Span:
        """The place of a character of the folded text; of the nearest authored one before it where it is ours."""
        before = [piece for piece in self.pieces if piece.start <= offset] or list(self.pieces[:1])
        piece = before[-1]
        return piece.place(max(0, min(offset - piece.start, len(piece.text) - 1)))


def read_condition(node: Node, problems: Problems, what: str) -> Condition | None:
    """The condition, or None where its shape is wrong."""
    fold = _Fold(problems, what)
    return Condition(text="".join(fold.texts), pieces=tuple(fold.pieces)) if fold.add(node) else None


def computed(node: ScalarNode) -> Condition | None:
    """The expression of a value that begins with `=`; None where it is an ordinary value."""
    if not isinstance(node.value, str) or not node.value.startswith("="):
        return None
    text = node.value[1:]
    piece = _piece(text, node, start=0, base=1)
    return Condition(text=piece.text, pieces=(piece,))


def _piece(text: str, node: ScalarNode, *, start: int, base: int) -> Piece:
    lead = len(text) - len(text.lstrip())
    # Line breaks of a block scalar separate words, as spaces do.
    return Piece(text=text.strip().replace("\n", " "), start=start, node=node, offset=base + lead)


class _Fold:
    def __init__(self, problems: Problems, what: str) -> None:
        self._problems = problems
        self._what = what
        self._length = 0
        self.texts: list[str] = []
        self.pieces: list[Piece] = []

    def add(self, node: Node) -> bool:
        """Whether the node is a condition; it then stands at the end of the text."""
        match node:
            case ScalarNode(value=bool() as value):
                return self._text("true" if value else "false", node)
            case ScalarNode(value=str() as text) if text.strip():
                return self._text(text, node)
            case MapNode(pairs=pairs):
                return self._mapping(node, pairs)
            case ListNode():
                wrong_kind(node, self._problems, f"{self._what} is an expression", "write `all: […]` or `any: […]`")
            case ScalarNode():
                wrong_kind(node, self._problems, f"{self._what} is an expression", 'such as `profile.plan == "free"`')
        return False

    def _mapping(self, node: MapNode, pairs: Mapping[str, object]) -> bool:
        unknown = [key for key in pairs if key not in _FOLDS]
        if unknown or len(pairs) != 1:
            place = node.pairs[unknown[0]].key if unknown else node
            hint = suggest(unknown[0] if unknown else "", _FOLDS)
            self._problems.error("SJ201", place, f"{self._what} takes one of `all`, `any` and `not`", hint)
            return False
        key, inner = next((key, pair.value) for key, pair in node.pairs.items())
        if key == "not":
            return self._joined("not (", [inner], "")
        items = as_list(inner, self._problems, f"`{key}`")
        if items is None:
            return False
        if not items.items:
            self._problems.error("SJ203", items, f"`{key}` is empty", "name at least one expression")
            return False
        return self._joined("(", list(items.items), f") {'and' if key == 'all' else 'or'} (")

    def _joined(self, opening: str, nodes: list[Node], between: str) -> bool:
        good = True
        for index, node in enumerate(nodes):
            self._ours(between if index else opening)
            good = self.add(node) and good
        self._ours(")")
        return good

    def _ours(self, text: str) -> None:
        self.texts.append(text)
        self._length += len(text)

    def _text(self, text: str, node: ScalarNode) -> bool:
        piece = _piece(text, node, start=self._length, base=0)
        self.pieces.append(piece)
        self._ours(piece.text)
        return True
