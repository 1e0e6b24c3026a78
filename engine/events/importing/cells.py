"""Cells as values: text from files, whatever a database or Parquet gives. Refusals name the field, not the cell."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, NoReturn
from uuid import UUID
from zoneinfo import ZoneInfo

from engine.errors import BadInput
from engine.events.importing.rows import RefusalCode, RowRefused
from engine.events.intake import AHEAD, plain
from engine.profiles.model import EARLIEST, Value

LONGEST_ID = 255
_NUMBER = re.compile(r"[+-]?\d{1,300}(\.\d{1,300})?([eE][+-]?\d{1,3})?")
_WHOLE = re.compile(r"[+-]?\d{1,300}")
_SURROGATE = re.compile("[\ud800-\udfff]")
_CONTROL = re.compile("[\x00-\x1f\x7f]")
_LARGEST = sys.float_info.max
_TRUE, _FALSE = ("true", "yes", "t", "y", "1"), ("false", "no", "f", "n", "0")
#: An epoch's seconds and milliseconds, between 1990 and 2100; no number is both.
_SECONDS = range(631_152_000, 4_102_444_800)
_MILLISECONDS = range(631_152_000_000, 4_102_444_800_000)


def is_empty(value: Any) -> bool:
    """Whether a cell says nothing."""
    return value is None or (isinstance(value, str) and not value.strip())


def text(name: str, value: Any, *, longest: int = LONGEST_ID) -> str:
    """A name or an id, without space around it; whole numbers are ids, too."""
    if isinstance(value, UUID) or (isinstance(value, int) and not isinstance(value, bool)):
        value = str(value)
    if not isinstance(value, str):
        _refuse("type", name, "must be text")
    check_encoding(name, value)
    found: str = value.strip()
    if len(found) > longest:
        _refuse("too_long", name, f"is longer than {longest} characters")
    if _CONTROL.search(found):
        _refuse("characters", name, "holds control characters")
    return found


def instant(name: str, value: Any, zone: ZoneInfo | None) -> datetime:
    """An instant: ISO 8601, or seconds or milliseconds of the epoch. One without an offset is local to `zone`."""
    moment = _moment(name, value)
    if not isinstance(moment, datetime):
        moment = datetime(moment.year, moment.month, moment.day)  # noqa: DTZ001 - its zone follows
    if moment.tzinfo is None:
        if zone is None:
            _refuse("offset", name, "has no offset: write it like 2026-03-02T10:00:00Z, or name its zone by --timezone")
        moment = moment.replace(tzinfo=zone)
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise _no_moment(name) from None


def reported(name: str, value: Any, zone: ZoneInfo | None) -> datetime:
    """An instant of which somebody told a shop: since 1990."""
    moment = instant(name, value, zone)
    if moment < EARLIEST:
        _refuse("timestamp", name, "is before the year 1990: were seconds taken for milliseconds?")
    return moment


def past(name: str, value: Any, zone: ZoneInfo | None, now: datetime) -> datetime:
    """An instant of something that has happened: since 1990, and not ahead of our clock."""
    moment = reported(name, value, zone)
    if moment > now + AHEAD:
        _refuse("future", name, "lies in the future: only what has happened can be imported")
    return moment


def typed(name: str, word: str, value: Any, zone: ZoneInfo | None) -> Value:
    """The value as JSON, of the type that the catalogue names; `any` takes text as text."""
    match word:
        case "number":
            return _number(name, value)
        case "boolean":
            return _boolean(name, value)
        case "date":
            return _date(name, value).isoformat()
        case "timestamp":
            return plain(name, instant(name, value, zone))
        case "list":
            return _json(name, value, list, "a JSON list")
        case "object":
            return mapping(name, value)
        case "string":
            if isinstance(value, int | Decimal | UUID) and not isinstance(value, bool):
                return str(value)
            if not isinstance(value, str):
                _refuse("type", name, "must be text")
    return native(name, value, zone)


def native(name: str, value: Any, zone: ZoneInfo | None) -> Value:
    """A value of whatever type it has, as JSON."""
    match value:
        case str():
            _check_text(name, value)
            return value
        case Decimal():
            return _number(name, value)
        case UUID():
            return str(value)
        case datetime() if value.tzinfo is None:
            value = instant(name, value, zone)
    try:
        found = plain(name, value)
        _check_texts(name, found)
        return found
    except BadInput as problem:
        raise RowRefused("type", str(problem), name) from problem
    except RecursionError:
        raise RowRefused("json", f"`{name}` is nested too deeply", name) from None


def mapping(name: str, value: Any) -> Mapping[str, Any]:
    """A JSON object, as such or as text."""
    found: Mapping[str, Any] = _json(name, value, Mapping, "a JSON object")
    return found


def _json(name: str, value: Any, kind: type, words: str) -> Any:
    if isinstance(value, str):
        check_encoding(name, value)
        value = parse_json(name, value)
    if not isinstance(value, kind):
        _refuse("json", name, f"must be {words}")
    return native(name, value, None)


def parse_json(name: str | None, written: str) -> Any:
    """The value that JSON text writes; RowRefused for what is none, NaN and endless nesting included."""
    try:
        return json.loads(written, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        # The parser's own words may quote the cell.
        subject = f"`{name}`" if name else "the row"
        raise RowRefused("json", f"{subject} is no JSON", name) from None


def _no_constant(word: str) -> NoReturn:
    raise ValueError(word)


def _number(name: str, value: Any) -> int | float:
    number: int | float
    match value:
        case bool():
            _refuse("type", name, "must be a number")
        case int() | float():
            number = value
        case Decimal() if value.is_finite():
            number = int(value) if value == value.to_integral_value() and abs(value) < 10**300 else float(value)
        case str() if _WHOLE.fullmatch(value.strip()):
            number = int(value)
        case str() if _NUMBER.fullmatch(value.strip()):
            number = float(value)
        case _:
            _refuse("type", name, "must be a number such as 1200 or 9.50")
    # A whole number may have more digits than any other kind has room for.
    if not -_LARGEST <= number <= _LARGEST:
        _refuse("type", name, "must be a finite number")
    return number


def _boolean(name: str, value: Any) -> bool:
    match value:
        case bool():
            return value
        case int() if value in (0, 1):
            return bool(value)
        case str() if value.strip().casefold() in _TRUE:
            return True
        case str() if value.strip().casefold() in _FALSE:
            return False
        case _:
            raise RowRefused("type", f"`{name}` must be true or false", name)


def _date(name: str, value: Any) -> date:
    if isinstance(value, str):
        try:
            value = date.fromisoformat(value.strip())
        except ValueError:
            value = None
    if isinstance(value, datetime):
        # Databases give dates as midnights.
        value = value.date() if value.time() == value.time().min else None
    if not isinstance(value, date):
        _refuse("type", name, "must be a date such as 2026-03-02")
    return value


def _moment(name: str, value: Any) -> datetime | date:
    match value:
        case datetime() | date():
            return value
        case int() if value in _SECONDS:
            return datetime.fromtimestamp(value, UTC)
        case int() if value in _MILLISECONDS:
            return datetime.fromtimestamp(value / 1000, UTC)
        case str() if _WHOLE.fullmatch(value.strip()) and len(value.strip()) > len("20260302"):
            return _moment(name, int(value))
        case str():
            try:
                return datetime.fromisoformat(value.strip().replace(" UTC", "+00:00"))
            except ValueError:
                raise _no_moment(name) from None
        case _:
            raise _no_moment(name)


def _no_moment(name: str) -> RowRefused:
    return RowRefused("timestamp", f"`{name}` is no timestamp: write ISO 8601 such as 2026-03-02T10:00:00Z", name)


def check_encoding(name: str, value: Any) -> None:
    """Refuses text that holds bytes of another encoding."""
    if isinstance(value, str) and not is_text(value):
        _refuse("encoding", name, "holds bytes that are no text in this encoding: name the right one with --encoding")


def check_column(name: str) -> None:
    """Refuses a row for the name of one of its columns, which is not repeated: nobody could print it."""
    if not is_text(name):
        raise RowRefused("encoding", "the name of a column holds what is no text in this encoding")
    if "\x00" in name:
        raise RowRefused("characters", "the name of a column holds U+0000")


def is_text(text: str) -> bool:
    """Whether it holds nothing but characters: no bytes that could not be read, no half of a surrogate pair."""
    return text.isascii() or not _SURROGATE.search(text)


def _check_text(name: str, value: str) -> None:
    check_encoding(name, value)
    # Lines and tabs are texts' own; this is what the API refuses, too.
    if "\x00" in value:
        _refuse("characters", name, "holds U+0000")


def _check_texts(name: str, value: Any) -> None:
    """Of JSON, however deep."""
    match value:
        case str():
            _check_text(name, value)
        case dict():
            for key, inner in value.items():
                _check_text(name, key)
                _check_texts(name, inner)
        case list():
            for item in value:
                _check_texts(name, item)


def _refuse(code: RefusalCode, name: str, sentence: str) -> NoReturn:
    raise RowRefused(code, f"`{name}` {sentence}", name)
