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
#: Numbers, and no other values, begin with characters from the one up to before the other.
_FIRST_OF_NUMBERS, _BEHIND_NUMBERS = "-", ":"
#: What stands at a path where nothing is: both are missing.
_NOTHING = "null"
#: The path to the value itself, by which a lone text is read.
_ITSELF = cast(literal("{}", Text), ARRAY(Text))


class PostgresJson:
    blur = 0.0

    def cleanness(self, document: Sql) -> Sql | None:  # noqa: ARG002
        return None

    def content(self, document: Sql, path: Path) -> Sql:
        written, found = cast(document, Text), document
        for part in path:
            found = found.op("->")(literal(part, Text) if isinstance(part, str) else literal(part, Integer))
        # Most documents hold no escape at all, which is quick to see.
        is_clean = or_(func.strpos(written, literal("\\u", Text)) == 0, written.bool_op("!~")(literal(_UNCLEAN, Text)))
        # An unclean document would end the whole query with an error. A CASE is never evaluated ahead. What comes of it
        # is NULL, and of it alone: a second look for escapes would cost nearly what reading the value does.
        return case((is_clean, func.coalesce(cast(found, Text), literal(_NOTHING, Text))))

    def json_type(self, document: Sql, path: Path) -> Sql | None:  # noqa: ARG002
        return None

    def kind(self, content: Sql, json_type: Sql | None) -> Sql:  # noqa: ARG002
        is_real = or_(func.strpos(content, ".") > 0, func.strpos(content, "e") > 0)
        return case(
            (_is_number(content), case((is_real, literal("real", Text)), else_=literal("integer", Text))),
            else_=case({sign: literal(word, Text) for sign, word in _KINDS.items()}, value=func.left(content, 1)),
        )

    def number(self, content: Sql, json_type: Sql | None) -> Sql:  # noqa: ARG002
        return case((and_(_is_number(content), func.length(content) <= _LONGEST_NUMBER), cast(content, Double)))

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


def _is_number(content: Sql) -> Sql:
    by_byte = content.collate("C")
    return and_(by_byte >= literal(_FIRST_OF_NUMBERS, Text), by_byte < literal(_BEHIND_NUMBERS, Text))


def _own_text(value: Sql) -> Sql:
    return value.op("#>>", return_type=Text())(_ITSELF)
