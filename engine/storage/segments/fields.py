"""Rows with a JSON document each, and the fields that a condition reads from them.

What is read is computed once a row, in inner queries one around the other, and named by a label: first what stands at
a path, then its type and text, then what follows from these. Conditions name the labels as often as they like.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Double,
    FromClause,
    Subquery,
    and_,
    case,
    false,
    func,
    literal,
    literal_column,
    null,
    or_,
    select,
    true,
)
from sqlalchemy import Text as TextType

from engine.storage.segments.documents import Json, Path
from engine.storage.segments.terms import LARGEST, REACH, SMALLEST, ZONES, Amount, Words
from engine.storage.segments.verdicts import AtLeast, Sql, Verdict, where_sure

_DATE_LENGTH, _SHORTEST_TIMESTAMP = 10, 17
_NUMBERS = ("integer", "real")
#: An offset of 0. PostgreSQL reads the rows by several processes only where it sees before planning that the offset
#: leaves out none: a bare 0 and a parameter are still to be cast then, a quoted one is not.
_NONE_LEFT_OUT: Sql = literal_column("'0'")


class Rows:
    """The rows of a table, read through labels. Ask for what is needed; then take the `table`."""

    def __init__(self, alias: str, source: FromClause, document: ColumnElement[Any], json: Json) -> None:
        self.alias = alias
        self.json = json
        self._source = source
        self._document = document
        #: What each of the three queries computes, from the inside out.
        self._levels: tuple[dict[str, Sql], ...] = ({}, {}, {})
        self._aliases = (f"{alias}_raw", f"{alias}_typed", alias)
        self._fields: dict[tuple[str | int, ...], Field] = {}

    def column(self, label: str, computed: Sql, level: int = 0) -> Sql:
        """What is computed of a row, by its label; at a higher level from the labels of the one below (`at`)."""
        self._levels[level].setdefault(label, computed)
        return self.at(2, label, computed)

    def at(self, level: int, label: str, like: Sql) -> Sql:
        """A label as the query around a level sees it."""
        return literal_column(f"{self._aliases[level]}.{label}", like.type)

    def field(self, path: Path, own: Sql | None = None) -> Field:
        """What is at a path of the document, which `can_read`; a column of text that is there stands before it."""
        key = tuple(path)
        if key not in self._fields:
            self._fields[key] = self._field(f"v{len(self._fields)}", path, own)
        return self._fields[key]

    def _field(self, label: str, path: Path, own: Sql | None) -> Field:
        json, document = self.json, self._document
        raw = self._read(label, json.content(document, path))
        clean, json_type = json.cleanness(document), json.json_type(document, path)
        is_clean = raw.is_not(None) if clean is None else self._read("clean", clean)
        if json_type is not None:
            json_type = self._read(f"{label}_type", json_type)
        kind, text, number = json.kind(raw, json_type), json.text(raw, json_type), json.number(raw, json_type)
        if own is not None:
            given = self._read(f"{label}_own", own)
            is_own = given.is_not(None)
            is_whole = json.is_whole(given)
            kind = case((is_own, literal("text", TextType)), else_=kind)
            text = case((is_own, given), else_=text)
            number = case((is_own, null()), else_=number)
            is_clean = case((is_own, true() if is_whole is None else is_whole), else_=is_clean)
        return Field(
            rows=self,
            label=label,
            content=self.at(2, label, raw),
            kind=self.column(f"{label}_kind", kind, 1),
            sure=self.column(f"{label}_sure", is_clean, 1),
            read_text=text,
            read_number=number,
        )

    def _read(self, label: str, computed: Sql) -> Sql:
        """What the innermost query computes, by its label as the query around it sees it."""
        self.column(label, computed)
        return self.at(0, label, computed)

    def table(self, *conditions: ColumnElement[bool]) -> Subquery:
        """The rows that meet conditions on their own table, with everything asked for."""
        # Queries that would compute nothing are left out: each one costs a copy of every row.
        named = [(level, alias) for level, alias in zip(self._levels, self._aliases, strict=True) if level]
        named[-1] = (named[-1][0], self.alias)
        shown: dict[str, Sql] = {}
        source: FromClause = self._source
        for level, alias in named:
            shown = shown | level
            query = select(*(computed.label(label) for label, computed in shown.items())).select_from(source)
            if source is self._source:
                query = query.where(*conditions)
            if not all(isinstance(computed, Column) for computed in shown.values()):
                # The offset keeps planners from computing a label anew wherever it is named. Where there are columns
                # alone they are free to read them by an index, in its order.
                query = query.offset(_NONE_LEFT_OUT)
            source = query.subquery(alias)
            shown = {label: literal_column(f"{alias}.{label}", computed.type) for label, computed in shown.items()}
        assert isinstance(source, Subquery)
        return source


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Field:
    """A value that may be of any type."""

    rows: Rows
    label: str
    content: Sql
    #: `integer real text true false array object`; NULL where it is missing.
    kind: Sql
    #: Whether the database reads it as memory does.
    sure: Sql
    #: How its text and its number are computed, for who asks for them.
    read_text: Sql
    read_number: Sql

    @property
    def missing(self) -> Verdict:
        return where_sure(self.sure, self.kind.is_(None))

    @property
    def text(self) -> Sql:
        """NULL of what is no text."""
        return self._at_level(1, "text", self.read_text)

    @property
    def number(self) -> Sql:
        """As a double; NULL of what is no number, and of one that is too long to read."""
        return self._at_level(1, "number", self.read_number)

    @property
    def is_safe(self) -> Sql:
        """Whether it is no number, or one that a double stands for and may be reckoned with."""
        number, kind = self._below("number", self.number), self._below("kind", self.kind)
        is_other = or_(kind.is_(None), kind.not_in(_NUMBERS))
        return self._at_level(2, "safe", case((number.is_not(None), _is_exact(number)), else_=is_other))

    @property
    def summand(self) -> Sql:
        """The number that may be reckoned with; NULL of what is none, or is read otherwise than by memory."""
        number, sure = self._below("number", self.number), self._below("sure", self.sure)
        return self._at_level(2, "summand", case((and_(sure, _is_exact(number)), number)))

    @property
    def is_no_number(self) -> Sql:
        """Whether it is none for certain: missing, or of another kind."""
        return and_(self.sure, or_(self.kind.is_(None), self.kind.not_in(_NUMBERS)))

    def as_number(self) -> Amount:
        """The number; missing where it is none."""
        number, blur = self.number, self.rows.json.blur
        sure = and_(self.sure, self.is_safe)
        if not blur:
            return Amount(dimension="number", low=number, high=number, sure=sure)
        width = case((self.kind == "real", func.abs(number) * blur), else_=0.0)
        return Amount(dimension="number", low=number - width, high=number + width, sure=sure)

    def as_moment(self) -> Amount:
        """The local midnight of a date; missing where it is no moment. Timestamps are memory's to read."""
        json, text = self.rows.json, self._below("text", self.text)
        is_date, length = json.is_date(text), func.length(text)
        midnight = self._at_level(2, "midnight", case((is_date, json.midnight(text))))
        is_settled = or_(text.is_(None), is_date, and_(length != _DATE_LENGTH, length < _SHORTEST_TIMESTAMP))
        return Amount(
            dimension="moment",
            low=midnight - ZONES,
            high=midnight + ZONES,
            sure=and_(self.sure, self._at_level(2, "settled", is_settled)),
            reach=REACH,
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
                (self.kind.in_(_NUMBERS), self.number != 0),
                else_=false(),
            )
        )

    def is_equal(self, value: bool) -> Verdict:
        """Whether it is the boolean."""
        return self.is_of("true" if value else "false")

    def is_of(self, *kinds: str) -> Verdict:
        return where_sure(self.sure, func.coalesce(self.kind.in_(kinds), false()))

    def _below(self, name: str, like: Sql) -> Sql:
        return self.rows.at(1, f"{self.label}_{name}", like)

    def _at_level(self, level: int, name: str, computed: Sql) -> Sql:
        return self.rows.column(f"{self.label}_{name}", computed, level)


def _is_exact(number: Sql) -> Sql:
    return or_(func.abs(number, type_=Double()).between(SMALLEST, LARGEST), number == 0)
