"""JSON documents in SQL: what a database must tell of the value at a path."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol

from sqlalchemy import and_, func

from engine.storage.segments.verdicts import Sql

Path = Sequence[str | int]

#: A name that no database could read in another way: SQLite before 3.45 compares escaped names as they are written.
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_ -]*", re.ASCII)
_LAST_PLACE = 1_000_000


def can_read(path: Path) -> bool:
    """Whether both databases find the same at a path as memory does."""
    return all(
        _PLAIN_NAME.fullmatch(part) is not None if isinstance(part, str) else abs(part) <= _LAST_PLACE for part in path
    )


class Json(Protocol):
    """One database's way of reading documents. What it says of a value is right where the document is clean."""

    #: Relative distance between a fraction and what the database reads in its place.
    blur: float

    def cleanness(self, document: Sql) -> Sql | None:
        """Whether the document can be read; None: where its content is not NULL. Documents are kept escaped to ASCII:
        one that holds a NUL cannot be read on PostgreSQL, and half a surrogate pair on neither. Whole pairs (an emoji)
        are not told apart from halves: such documents are memory's."""
        ...

    def content(self, document: Sql, path: Path) -> Sql:
        """What is at a path, in a form that the others below take."""
        ...

    def json_type(self, document: Sql, path: Path) -> Sql | None:
        """The type of what is at a path, where the content does not tell it."""
        ...

    def kind(self, content: Sql, json_type: Sql | None) -> Sql:
        """`integer real text true false array object`; NULL for what is missing, or null."""
        ...

    def number(self, content: Sql, json_type: Sql | None) -> Sql:
        """As a double; NULL of what is no number, and of one that is too long to read."""
        ...

    def text(self, content: Sql, json_type: Sql | None) -> Sql:
        """The text itself; NULL of what is no text."""
        ...

    def length(self, content: Sql) -> Sql:
        """Of what is an array."""
        ...

    def holds_text(self, content: Sql, text: str) -> Sql:
        """Whether an array, or NULL in place of one, holds a text."""
        ...

    def position(self, text: Sql, part: str) -> Sql:
        """Where a part begins in a text, from 1; 0 where it does not."""
        ...

    def by_code_point(self, text: Sql) -> Sql:
        """The text, compared and lowered by its characters alone."""
        ...

    def is_ascii(self, text: Sql) -> Sql: ...
    def is_whole(self, text: Sql) -> Sql | None:
        """Whether a column of text holds no NUL, at which functions would stop; None: it cannot."""
        ...

    def is_date(self, text: Sql) -> Sql:
        """Whether it writes a date for certain: one of the first 28 days of a month."""
        ...

    def midnight(self, date: Sql) -> Sql:
        """Microseconds since 1970 of midnight in UTC, of a text that `is_date`."""
        ...

    def micros(self, instant: Sql) -> Sql:
        """Microseconds since 1970 of a column of the type `Instant`."""
        ...


def is_real_date(text: Sql, has_form: Sql) -> Sql:
    """Whether a text of the form `YYYY-MM-DD` is a date in any year and month."""
    year, month, day = func.substr(text, 1, 4), func.substr(text, 6, 2), func.substr(text, 9, 2)
    bounds = (
        year != "0000",
        *(part.between(first, last) for part, first, last in ((month, "01", "12"), (day, "01", "28"))),
    )
    return and_(has_form, *bounds)
