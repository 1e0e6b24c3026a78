"""JSON documents on SQLite."""

from __future__ import annotations

from sqlalchemy import BigInteger, Double, Text, and_, case, cast, exists, func, literal, not_, or_, select, type_coerce

from engine.storage.segments.documents import Path, is_real_date
from engine.storage.segments.verdicts import Sql

_UNCLEAN = (r"*\u0000*", r"*\ud[89a-f]*")
_BEYOND_ASCII = "*[^\x01-\x7f]*"
_DATE = "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]"


class SqliteJson:
    # Decimal fractions are read by arithmetic of SQLite's own, which may miss the nearest double by one.
    blur = 2.0**-50

    def cleanness(self, document: Sql) -> Sql | None:
        written = type_coerce(document, Text)
        # Most documents hold no escape at all, which is quick to see.
        no_escape = func.instr(written, literal("\\u", Text)) == 0
        return or_(no_escape, and_(*(not_(written.bool_op("GLOB")(literal(glob, Text))) for glob in _UNCLEAN)))

    def content(self, document: Sql, path: Path) -> Sql:
        return func.json_extract(document, _path(path))

    def json_type(self, document: Sql, path: Path) -> Sql | None:
        return func.nullif(func.json_type(document, _path(path)), "null", type_=Text)

    def kind(self, content: Sql, json_type: Sql | None) -> Sql:
        return content if json_type is None else json_type

    def number(self, content: Sql, json_type: Sql | None) -> Sql:
        return case((self.kind(content, json_type).in_(("integer", "real")), cast(content, Double)))

    def text(self, content: Sql, json_type: Sql | None) -> Sql:
        return case((self.kind(content, json_type) == "text", type_coerce(content, Text)))

    def length(self, content: Sql) -> Sql:
        return func.json_array_length(content)

    def holds_text(self, content: Sql, text: str) -> Sql:
        items = func.json_each(content).table_valued("value", "type", joins_implicitly=True)
        return exists(select(1).select_from(items).where(items.c.type == "text", items.c.value == literal(text, Text)))

    def position(self, text: Sql, part: str) -> Sql:
        return func.instr(text, literal(part, Text))

    def by_code_point(self, text: Sql) -> Sql:
        return text

    def is_ascii(self, text: Sql) -> Sql:
        return not_(text.bool_op("GLOB")(literal(_BEYOND_ASCII, Text)))

    def is_whole(self, text: Sql) -> Sql | None:
        return func.instr(text, func.char(0)) == 0

    def is_date(self, text: Sql) -> Sql:
        return is_real_date(text, text.bool_op("GLOB")(literal(_DATE, Text)))

    def midnight(self, date: Sql) -> Sql:
        return cast(func.strftime("%s", date), BigInteger) * 1_000_000

    def micros(self, instant: Sql) -> Sql:
        return type_coerce(instant, BigInteger)


def _path(path: Path) -> Sql:
    steps = (f'."{part}"' if isinstance(part, str) else f"[{part}]" if part >= 0 else f"[#{part}]" for part in path)
    return literal("$" + "".join(steps), Text)
