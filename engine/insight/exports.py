"""Rows for other programs: JSON lines, and CSV whose cells no spreadsheet takes for formulas."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

#: A spreadsheet runs a cell that begins so.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def json_lines(rows: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """One JSON object a line."""
    for row in rows:
        yield json.dumps(row, ensure_ascii=False) + "\n"


def csv_lines(headings: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """A heading line and a line a row; nested values are JSON; text that a spreadsheet would run begins with `'`."""
    yield _line(headings)
    for row in rows:
        yield _line([_cell(row.get(heading)) for heading in headings])


def _cell(value: Any) -> Any:
    match value:
        case dict() | list():
            return _neutral(json.dumps(value, ensure_ascii=False))
        case str():
            return _neutral(value)
        case _:
            return value


def _neutral(text: str) -> str:
    # Also behind the spaces that a spreadsheet strips before it looks.
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) else text


def _line(cells: Sequence[Any]) -> str:
    written = io.StringIO()
    csv.writer(written).writerow(cells)
    return written.getvalue()
