"""JSON documents on PostgreSQL. The columns are JSON, not JSONB: every look parses the document anew."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    TIMESTAMP,
    BigInteger,
    Double,
    Integer,
    Text,
    and_,
    case,
    cast,
    exists,
    extract,
    func,
    literal,
    null,
    or_,
    select,
    type_coerce,
)
from sqlalchemy.dialects.postgresql import ARRAY

from engine.storage.segments.documents import Path, is_real_date
from engine.storage.segments.verdicts import Sql

_UNCLEAN = r"\\u(0000|d[89a-f])"
#: A double is written in 24 characters at most; what is longer is a whole number that a cast might refuse.
_LONGEST_NUMBER = 25
_KINDS = {'"': "text", "t": "true", "f": "false", "[": "array", "{": "object"}
#: The path to the value itself, by which a lone text is read.
_ITSELF = cast(literal("{}", Text), ARRAY(Text))


class PostgresJson:
    blur = 0.0

    def is_clean(self, document: Sql) -> Sql:
        written = cast(document, Text)
        # Most documents hold no escape at all, which is quick to see.
        return or_(func.strpos(written, literal("\\u", Text)) == 0, written.bool_op("!~")(literal(_UNCLEAN, Text)))

    def content(self, document: Sql, path: Path) -> Sql:
        # An unclean document would end the whole query with an error. A CASE is never evaluated ahead.
        found: Sql = case((self.is_clean(document), document))
        for part in path:
            found = found.op("->")(literal(part, Text) if isinstance(part, str) else literal(part, Integer))
        return cast(found, Text)

    def json_type(self, document: Sql, path: Path) -> Sql | None:  # noqa: ARG002
        return None

    def kind(self, content: Sql, json_type: Sql | None) -> Sql:  # noqa: ARG002
        begin = func.left(content, 1)
        return case(
            (content.is_(None), null()),
            (begin == "n", null()),
            *((begin == sign, literal(word, Text)) for sign, word in _KINDS.items()),
            (or_(func.strpos(content, ".") > 0, func.strpos(content, "e") > 0), literal("real", Text)),
            else_=literal("integer", Text),
        )

    def number(self, content: Sql) -> Sql:
        is_number = func.left(content, 1).in_(tuple("-0123456789"))
        return case((and_(is_number, func.length(content) <= _LONGEST_NUMBER), cast(content, Double)))

    def text(self, content: Sql, json_type: Sql | None) -> Sql:  # noqa: ARG002
        is_text = func.left(content, 1) == '"'
        return case((is_text, _own_text(cast(content, JSON))))

    def length(self, content: Sql) -> Sql:
        return func.json_array_length(self._array(content))

    def holds_text(self, content: Sql, text: str) -> Sql:
        items = func.json_array_elements(self._array(content)).table_valued("value")
        item = type_coerce(items.c.value, JSON)
        is_text = func.json_typeof(item) == "string"
        return exists(select(1).select_from(items).where(is_text, _own_text(item) == literal(text, Text)))

    def _array(self, content: Sql) -> Sql:
        return case((func.left(content, 1) == "[", cast(content, JSON)))

    def position(self, text: Sql, part: str) -> Sql:
        return func.strpos(text, literal(part, Text))

    def by_code_point(self, text: Sql) -> Sql:
        return text.collate("C")

    def is_ascii(self, text: Sql) -> Sql:
        return func.octet_length(text) == func.char_length(text)

    def is_whole(self, text: Sql) -> Sql | None:  # noqa: ARG002
        return None

    def is_date(self, text: Sql) -> Sql:
        return is_real_date(text, text.bool_op("~")(literal(r"^\d{4}-\d{2}-\d{2}$", Text)))

    def midnight(self, date: Sql) -> Sql:
        return self.micros(cast(func.concat(date, "T00:00Z"), TIMESTAMP(timezone=True)))

    def micros(self, instant: Sql) -> Sql:
        return cast(func.round(extract("epoch", instant) * 1_000_000), BigInteger)


def _own_text(value: Sql) -> Sql:
    return value.op("#>>", return_type=Text())(_ITSELF)
