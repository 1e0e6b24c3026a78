"""An expression's text as Python's parser reads it, with places in characters and errors in our words."""

from __future__ import annotations

import ast
import re
import threading
import warnings

from engine.errors import ExpressionError
from engine.expressions.mistakes import habit

MAX_LENGTH = 10_000
MAX_DEPTH = 64

TOO_DEEP = f"the expression is nested deeper than {MAX_DEPTH} levels"
SPLIT_IT = "split it with `all:` and `any:`"

#: One text in plain quotes: not two side by side (a forgotten comma), not three quotes.
_ONE_TEXT = re.compile(r"[rR]?(?:\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*')")

# `warnings.catch_warnings` swaps a global: two threads inside it at once could leave the filters changed for good.
_QUIETLY = threading.Lock()


class Source:
    """One text: the whole expression, or the `where="…"` inside one.

    `base` is its first character's place in the whole text. `fixed` is the literal's span in the whole text where
    characters do not correspond one to one (a literal with escapes): then everything inside stands there.
    """

    def __init__(self, text: str, base: int = 0, fixed: tuple[int, int] | None = None) -> None:
        self._fixed = fixed
        self._base = base
        if len(text) > MAX_LENGTH:
            raise self.error(0, f"the expression is longer than {MAX_LENGTH:,} characters")
        body = text.lstrip()
        if not body:
            raise self.error(0, "the expression is empty")
        self._base += len(text) - len(body)
        # One line for Python's parser: an author's line breaks mean nothing, and places stay what they are.
        self._text = re.sub(r"[\r\n\t\f\v]", " ", body).rstrip()
        self._bytes = None if self._text.isascii() else self._text.encode("utf-8", "replace")

    def read(self) -> ast.expr:
        """Python's tree of the text."""
        try:
            with _QUIETLY, warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of "\d" in a text, which is how authors write patterns
                tree = ast.parse(self._text, mode="eval").body
        except SyntaxError as error:
            raise self._unreadable(error) from None
        except (RecursionError, MemoryError):
            raise self.error(0, TOO_DEEP, SPLIT_IT) from None
        except ValueError:
            raise self.error(0, "the expression holds characters that are no text (NUL, or half of a pair)") from None
        end = self.end(tree)
        if "#" in self._text[end:]:
            raise self.error(
                self._text.index("#", end), "an expression has no comments", "write it as a comment of the file"
            )
        return tree

    # ── places ───────────────────────────────────────────────────────────────────────────────────────────────────────
    def column(self, column: int) -> int:
        """Characters before a column that Python counts in bytes of UTF-8."""
        return column if self._bytes is None else len(self._bytes[:column].decode("utf-8", "ignore"))

    def start(self, tree: ast.expr) -> int:
        return self.column(tree.col_offset)

    def end(self, tree: ast.expr) -> int:
        return self.column(tree.end_col_offset or 0)

    def span(self, tree: ast.expr) -> tuple[int, int]:
        """First character, and the one after the last, in the whole text."""
        return self._fixed or (self._base + self.start(tree), self._base + self.end(tree))

    def is_one_text(self, tree: ast.expr) -> bool:
        return _ONE_TEXT.fullmatch(self._text, self.start(tree), self.end(tree)) is not None

    def inner(self, tree: ast.expr, value: str) -> Source:
        """The text inside a literal, as a source of its own."""
        start, end = self.span(tree)
        is_plain = self._fixed is None and self._text[self.start(tree) + 1 : self.end(tree) - 1] == value
        return Source(value, start + 1) if is_plain else Source(value, start, (start, end))

    # ── errors ───────────────────────────────────────────────────────────────────────────────────────────────────────
    def error(self, at: int | ast.expr, message: str, hint: str = "") -> ExpressionError:
        """What to raise about a place: a tree's start, or so many characters from this text's."""
        place = at if isinstance(at, int) else self.start(at)
        return ExpressionError(message, offset=self._fixed[0] if self._fixed else self._base + place, hint=hint)

    def _unreadable(self, error: SyntaxError) -> ExpressionError:
        said = error.msg or ""
        if "null bytes" in said:
            return self.error(0, "the expression holds characters that are no text (NUL, or half of a pair)")
        known = habit(self._text)
        if known:
            return self.error(known[0], "this does not read as an expression", known[1])
        place = min(max((error.offset or 1) - 1, 0), len(self._text))
        if "nested parentheses" in said:
            return self.error(0, TOO_DEEP, SPLIT_IT)
        if "never closed" in said or "unmatched" in said or "does not match" in said:
            return self.error(place, "a bracket has no partner")
        if "unterminated" in said:
            return self.error(place, "a text has no closing quote")
        if not (error.offset or 0) or place >= len(self._text):
            return self.error(len(self._text), "the expression ends too early")
        return self.error(place, "this does not read as an expression", "the grammar is that of Python's expressions")
