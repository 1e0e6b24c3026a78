"""Rows with a JSON document each, and the fields that a condition reads from them.

What is read is computed once a row, in an inner query, under a label; conditions then name the label as often as they
like.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Select,
    and_,
    case,
    false,
    func,
    literal_column,
    null,
    or_,
    select,
    true,
)

from engine.storage.segments.documents import Json, Path
from engine.storage.segments.terms import LARGEST, SMALLEST, ZONES, Amount, Words
from engine.storage.segments.verdicts import AtLeast, Sql, Verdict, both, where_sure

_SHORTEST_DATE, _SHORTEST_TIMESTAMP = 10, 17


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Field:
    """A value that may be of any type: what stands at a path of a row's document, or in a column of text."""

    json: Json
    #: `integer real text true false array object`; NULL where it is missing.
    kind: Sql
    content: Sql
    #: NULL of what is no text.
    text: Sql
    #: Whether the database reads it as memory does.
    sure: Sql
    #: By which its row calls it.
    label: str = ""

    @property
    def missing(self) -> Verdict:
        return where_sure(self.sure, self.kind.is_(None))

    @property
    def is_number(self) -> Sql:
        return self.kind.in_(("integer", "real"))

    @property
    def number(self) -> Sql:
        """As a double; NULL of what is no number."""
        return case((self.is_number, self.json.number(self.content)))

    @property
    def is_safe_number(self) -> Sql:
        """Of a number: whether a double can stand for it, and be reckoned with."""
        number = self.number
        return or_(number == 0, number.between(SMALLEST, LARGEST), number.between(-LARGEST, -SMALLEST))

    def as_number(self) -> Amount:
        """The number; missing where it is none."""
        number = self.number
        sure = both(self.sure, or_(self.kind.is_(None), ~self.is_number, self.is_safe_number))
        if not self.json.blur:
            return Amount(dimension="number", low=number, high=number, sure=sure)
        blur = case((self.kind == "real", func.abs(number) * self.json.blur), else_=0.0)
        return Amount(dimension="number", low=number - blur, high=number + blur, sure=sure)

    def as_moment(self) -> Amount:
        """The local midnight of a date; missing where it is no moment. Timestamps are memory's to read."""
        midnight = case((self.json.is_date(self.text), self.json.midnight(self.text)))
        length = func.length(self.text)
        is_settled = or_(
            self.text.is_(None),
            self.json.is_date(self.text),
            and_(length != _SHORTEST_DATE, length < _SHORTEST_TIMESTAMP),
        )
        return Amount(
            dimension="moment",
            low=midnight - ZONES,
            high=midnight + ZONES,
            sure=both(self.sure, is_settled),
            reach=3 * 10**17,
        )

    def as_words(self) -> Words:
        return Words(text=self.text, sure=self.sure)

    def truth(self) -> Verdict:
        """Missing, false, 0 and what is empty are false."""
        return AtLeast(
            case(
                (~self.sure, null()),
                (self.kind == "text", self.text != ""),
                (self.kind == "true", true()),
                (self.kind.in_(("array", "object")), self.content.not_in(("[]", "{}"))),
                (self.is_number, self.number != 0),
                else_=false(),
            )
        )

    def is_equal(self, value: bool) -> Verdict:
        """Whether it is the boolean."""
        return where_sure(self.sure, func.coalesce(self.kind == ("true" if value else "false"), false()))

    def is_of(self, *kinds: str) -> Verdict:
        return where_sure(self.sure, func.coalesce(self.kind.in_(kinds), false()))


class Rows:
    """The rows of a table, read through labels. Ask for what is needed; then take `query`."""

    def __init__(self, alias: str, table: FromClause, document: ColumnElement[Any], json: Json) -> None:
        self.alias = alias
        self.table = table
        self._json = json
        self._document = document
        self._columns: dict[str, Sql] = {}
        self._fields: dict[tuple[str | int, ...], Field] = {}

    def column(self, label: str, computed: Sql) -> Sql:
        """What is computed of a row, by its label."""
        self._columns.setdefault(label, computed)
        return literal_column(f"{self.alias}.{label}", computed.type)

    def field(self, path: Path) -> Field:
        """What is at a path of the document, which `can_read`."""
        key = tuple(path)
        if key not in self._fields:
            number = len(self._fields)
            content = self._json.content(self._document, path)
            shown = self.column(f"v{number}", content)
            kind = self.column(f"k{number}", self._json.kind(self._document, path, content))
            clean = self.column("clean", self._json.is_clean(self._document))
            text = case((kind == "text", self._json.text(shown)))
            self._fields[key] = Field(
                json=self._json, kind=kind, content=shown, text=text, sure=clean, label=f"v{number}"
            )
        return self._fields[key]

    def query(self) -> Select[Any]:
        return select(*(computed.label(label) for label, computed in self._columns.items())).select_from(self.table)
