"""Recorded events as somebody exported them: files of rows, with columns of any name.

What is wrong with a row is said with its number.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, NoReturn
from zoneinfo import ZoneInfo

from msgspec import Struct

from engine.errors import BadInput
from engine.events.importing.cells import check_encoding
from engine.events.importing.files import open_rows
from engine.events.importing.rows import RowRefused

#: What our own columns may be called without being mapped.
_NAMES: Mapping[str, tuple[str, ...]] = {
    "user_id": ("user_id", "profile", "userId", "profile_id"),
    "event": ("event",),
    "timestamp": ("timestamp", "at", "time"),
    "properties": ("properties",),
    "message_id": ("message_id", "messageId"),
}
COLUMNS = tuple(_NAMES)
_NEEDED = ("user_id", "event", "timestamp")
#: Numbers as text; one that begins with a zero is an id, and stays text.
_NUMBER = re.compile(r"-?(0|[1-9]\d{0,17})(\.\d+)?")
#: From here on a number of an epoch counts milliseconds.
_MILLISECONDS = 100_000_000_000


class RecordedEvent(Struct, frozen=True):
    person: str
    event: str
    timestamp: datetime
    properties: Mapping[str, Any]
    message_id: str | None
    #: From 1, headings not counted.
    number: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Recording:
    """A file of events, and how to read it; iterate it as often as needed."""

    path: Path
    #: Instants written without an offset, and dates, are local to it.
    zone: ZoneInfo
    #: Our column's name -> the file's.
    columns: Mapping[str, str] = field(default_factory=dict)
    #: The name of every event, where the file holds only one kind and says no name.
    event: str | None = None
    #: None: UTF-8, or what the file's first bytes say.
    encoding: str | None = None

    def __post_init__(self) -> None:
        for name in self.columns:
            if name not in COLUMNS:
                raise BadInput(f"--map {name}=…: there is no such column; map one of {', '.join(COLUMNS)}")

    def __iter__(self) -> Iterator[RecordedEvent]:
        names: Mapping[str, str | None] = {}
        headings: Set[str] = frozenset()
        for number, row in enumerate(read_rows(self.path, self.encoding), 1):
            try:
                # Rows of JSON may differ; nearly always they do not.
                if row.keys() != headings:
                    names, headings = self._named(row), row.keys()
                yield self._event(row, names, number)
            except BadInput as problem:
                raise BadInput(f"{self.path.name}, row {number}: {problem}") from problem

    def _named(self, row: Mapping[str, Any]) -> Mapping[str, str | None]:
        """The file's name of each of our columns, or None where it has none."""
        names = {ours: self._column(ours, row) for ours in _NAMES}
        for needed in _NEEDED:
            if names[needed] is None and not (needed == "event" and self.event):
                self._no_column(needed, row)
        return names

    def _event(self, row: Mapping[str, Any], names: Mapping[str, str | None], number: int) -> RecordedEvent:
        used = names.values()
        properties = {name: value for name, value in row.items() if name not in used and value is not None}
        given = _at(row, names["properties"])
        if given is not None:
            properties = {**properties, **_mapping(given)}
        person, event = _text(_at(row, names["user_id"])), self.event or _text(_at(row, names["event"]))
        if not person:
            raise BadInput(f"`{names['user_id']}` is empty: it says whom the event is about")
        if not event:
            raise BadInput(f"`{names['event']}` is empty: it is the event's name")
        return RecordedEvent(
            person=person,
            event=event,
            timestamp=instant(_at(row, names["timestamp"]), self.zone),
            properties=properties,
            message_id=_text(_at(row, names["message_id"])) or None,
            number=number,
        )

    def _column(self, ours: str, row: Mapping[str, Any]) -> str | None:
        mapped = self.columns.get(ours)
        if mapped is not None:
            if mapped not in row:
                raise BadInput(f"there is no column `{mapped}`; there are {_listed(row)}")
            return mapped
        return next((name for name in _NAMES[ours] if name in row), None)

    def _no_column(self, needed: str, row: Mapping[str, Any]) -> NoReturn:
        also = ', or say --event "Order Completed" where all are of one kind' if needed == "event" else ""
        raise BadInput(f"no column is `{needed}`; there are {_listed(row)}: say --map {needed}=COLUMN{also}")


def read_rows(path: Path, encoding: str | None = None) -> Iterator[Mapping[str, Any]]:
    """Rows of a .csv, .jsonl or .parquet file as mappings; of CSV, empty cells are None and numbers are numbers.

    Raises BadInput, with its number, for a row that cannot be taken apart: half a history is no answer.
    """
    with open_rows(path, encoding=encoding) as file:
        for row in file.rows:
            try:
                if row.problem:
                    raise row.problem
                for name, value in row.cells.items():
                    check_encoding(name, value)
            except RowRefused as refused:
                raise BadInput(f"{path.name}, row {row.number}: {refused.sentence}") from refused
            yield {name: _cell(value) for name, value in row.cells.items()} if file.is_text else row.cells


def _cell(written: str) -> Any:
    text = written.strip()
    if _NUMBER.fullmatch(text):
        return float(text) if "." in text else int(text)
    return {"": None, "true": True, "false": False}.get(text, text)


def instant(value: Any, zone: ZoneInfo) -> datetime:
    """An instant from what exports hold: ISO 8601, a date (its local midnight), seconds or milliseconds of the epoch.

    Eight digits that begin with 19 or 20 are a date. Without an offset it is local to `zone`.
    """
    match value:
        case datetime():
            return (value if value.tzinfo else value.replace(tzinfo=zone)).astimezone(UTC)
        case date():
            return datetime(value.year, value.month, value.day, tzinfo=zone).astimezone(UTC)
        case bool() | None:
            raise BadInput("the timestamp is missing")
        case int() if 19_000_000 <= value < 21_000_000:
            return instant(str(value), zone)
        case int() | float():
            return datetime.fromtimestamp(value / 1000 if abs(value) >= _MILLISECONDS else value, UTC)
        case str():
            try:
                return instant(datetime.fromisoformat(value.strip().replace(" UTC", "+00:00")), zone)
            except ValueError:
                hint = "write ISO 8601 such as 2026-03-02T10:00:00Z, or seconds of the epoch"
                raise BadInput(f"{value!r} is no timestamp; {hint}") from None
        case _:
            raise BadInput(f"a {type(value).__name__} is no timestamp")


def _at(row: Mapping[str, Any], name: str | None) -> Any:
    return None if name is None else row.get(name)


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _mapping(given: Any) -> Mapping[str, Any]:
    if isinstance(given, str):
        try:
            given = json.loads(given)
        except ValueError as problem:
            raise BadInput("`properties` is no JSON object") from problem
    if not isinstance(given, Mapping):
        raise BadInput("`properties` is no JSON object")
    return given


def _listed(row: Mapping[str, Any]) -> str:
    return ", ".join(f"`{name}`" for name in row)
