"""Rows of CSV, JSONL and Parquet files, one after another and never all at once.

A row that cannot be taken apart is a row with a problem; a file that cannot be read at all is BadInput.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import importlib
import io
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO, cast

from engine.errors import BadInput, NotFound
from engine.events.importing.cells import is_text, parse_json
from engine.events.importing.rows import Row, RowRefused

#: A line beyond this is none: a file without line ends would be read into memory as a whole.
LONGEST_LINE = 1 << 20
_DELIMITERS = ",;\t|"
#: Characters that no heading has, and the beginning of a spreadsheet or a picture by another name has.
_BINARY = re.compile("[\x00-\x08\x0e-\x1f\x7f]")
_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_PARQUET_BATCH = 1_000

Rows = Iterator[dict[str, Any] | RowRefused]


@dataclass(frozen=True, kw_only=True, slots=True)
class RowsFile:
    """An open file of rows."""

    #: None where every row names its own.
    headings: Sequence[str] | None
    #: Cells are text, as in CSV: what they mean is the reader's to say.
    is_text: bool
    rows: Iterator[Row]
    #: Bytes of the file read so far.
    position: Callable[[], int]


@contextmanager
def open_rows(path: Path, *, encoding: str | None = None) -> Iterator[RowsFile]:
    """The rows of a file, its kind told by its name: .csv .tsv .jsonl .ndjson (also .gz), .parquet.

    `encoding`: default UTF-8, or what a byte order mark says. Raises NotFound or BadInput.
    """
    if not path.is_file():
        raise NotFound(f"there is no file {path}")
    suffixes = [suffix.lower() for suffix in path.suffixes]
    kind = suffixes[-2] if suffixes[-1:] == [".gz"] and len(suffixes) > 1 else "".join(suffixes[-1:])
    headings: Sequence[str] | None = None
    is_text = False
    with ExitStack() as open_:
        with _reading(path):
            raw = open_.enter_context(path.open("rb"))
            match kind:
                case ".csv" | ".tsv" | ".txt":
                    is_text = True
                    headings, rows = _csv(open_.enter_context(_text(raw, path, encoding)))
                case ".jsonl" | ".ndjson":
                    rows = _json_rows(open_.enter_context(_text(raw, path, encoding)))
                case ".parquet":
                    headings, rows = _parquet(raw)
                case _:
                    raise BadInput(f"{path.name}: only .csv, .tsv, .jsonl and .parquet can be read (text also as .gz)")
        yield RowsFile(headings=headings, is_text=is_text, rows=_numbered(rows, path), position=raw.tell)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """What is wrong with the file itself, in our words."""
    try:
        yield
    except UnicodeError as problem:
        raise BadInput(f"{path.name} is not text in its encoding: name the right one with --encoding") from problem
    except (EOFError, OSError, zlib.error) as problem:
        raise BadInput(f"{path.name} cannot be read to its end: {problem}") from problem


def _text(raw: io.BufferedReader, path: Path, encoding: str | None) -> TextIO:
    binary = gzip.GzipFile(fileobj=raw) if path.suffix.lower() == ".gz" else raw
    if encoding is None:
        beginning = binary.peek(4)
        encoding = next((name for mark, name in _BOMS if beginning.startswith(mark)), "utf-8")
    try:
        codecs.lookup(encoding)
    except LookupError:
        raise BadInput(f"there is no encoding {encoding!r}: write utf-8, utf-16, cp1252 or the like") from None
    # Bytes that are no text are kept as such, so that their row is refused and the others are not.
    return io.TextIOWrapper(cast("io.BufferedReader", binary), encoding=encoding, errors="surrogateescape", newline="")


# ── CSV ──────────────────────────────────────────────────────────────────────────────────────────────────────────────
def _csv(file: TextIO) -> tuple[Sequence[str], Rows]:
    lines = _lines(file)
    first = next(lines, "")
    if "\x00" in first:
        raise BadInput("the file holds NUL characters: it may be UTF-16 without its mark; say --encoding utf-16-le")
    delimiter = max(_DELIMITERS, key=first.count)
    try:
        headings = [name.strip() for name in next(csv.reader([first], delimiter=delimiter, strict=True), [])]
    except csv.Error as problem:
        raise BadInput(f"the headings cannot be read: {problem}") from problem
    named = [name for name in headings if name]
    if not named:
        raise BadInput("the file has no headings: its first line names the columns")
    if not all(map(is_text, named)):
        raise BadInput("the headings hold bytes that are no text in this encoding: name the right one with --encoding")
    if any(map(_BINARY.search, named)):
        raise BadInput("the headings hold control characters: this is no table; save a spreadsheet as CSV first")
    if len(set(named)) < len(named):
        twice = next(name for name, count in Counter(named).items() if count > 1)
        raise BadInput(f"two columns are called `{twice}`")
    return named, _csv_rows(csv.reader(lines, delimiter=delimiter, strict=True), headings)


def _csv_rows(reader: Iterator[list[str]], headings: Sequence[str]) -> Rows:
    while True:
        try:
            row = next(reader, None)
        except csv.Error as problem:
            yield RowRefused("cells", f"the row cannot be taken apart ({problem}): look at its quotes")
            continue
        if row is None:
            return
        if not row:
            continue
        if len(row) < len(headings) or any(row[len(headings) :]):
            yield RowRefused("cells", f"the row has {len(row)} cells, and there are {len(headings)} headings")
            continue
        yield {name: cell for name, cell in zip(headings, row, strict=False) if name}


# ── JSONL ────────────────────────────────────────────────────────────────────────────────────────────────────────────
def _json_rows(file: TextIO) -> Rows:
    for line in _lines(file):
        if not line.strip():
            continue
        try:
            row = parse_json(None, line)
        except RowRefused as refused:
            yield refused
            continue
        yield row if isinstance(row, dict) else RowRefused("json", "the row is no JSON object")


# ── Parquet ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def _parquet(raw: io.BufferedReader) -> tuple[Sequence[str], Rows]:
    try:
        parquet = importlib.import_module("pyarrow.parquet")
    except ImportError:
        raise BadInput("reading Parquet takes the extra `parquet`: pip install 'sojourn[parquet]'") from None
    try:
        file = parquet.ParquetFile(raw)
    except (ValueError, OSError) as problem:
        raise BadInput("the file is no Parquet") from problem
    return list(file.schema_arrow.names), _parquet_rows(file)


def _parquet_rows(file: Any) -> Rows:
    arrow = importlib.import_module("pyarrow")
    # Nanoseconds, as pandas writes them, are more than an instant holds: they are cut off.
    micro = arrow.schema(
        arrow.field(each.name, arrow.timestamp("us", each.type.tz))
        if arrow.types.is_timestamp(each.type) and each.type.unit == "ns"
        else each
        for each in file.schema_arrow
    )
    batches = file.iter_batches(batch_size=_PARQUET_BATCH)
    while True:
        try:
            batch = next(batches, None)
            if batch is None:
                return
            table = arrow.Table.from_batches([batch]).cast(micro, safe=False)
        except ValueError as problem:
            raise BadInput("the file is damaged, and cannot be read to its end") from problem
        yield from _parquet_batch(table)


def _parquet_batch(table: Any) -> Rows:
    try:
        yield from table.to_pylist()
    except (ValueError, OverflowError):
        # A time of the year 10000, say: its row is refused, and the others are not.
        if table.num_rows == 1:
            yield RowRefused("cells", "the row holds a date or time that is out of range")
            return
        for place in range(table.num_rows):
            yield from _parquet_batch(table.slice(place, 1))


# ── underneath ───────────────────────────────────────────────────────────────────────────────────────────────────────
def _lines(file: TextIO) -> Iterator[str]:
    while line := file.readline(LONGEST_LINE):
        if len(line) == LONGEST_LINE and not line.endswith("\n"):
            raise BadInput(f"a line has more than {LONGEST_LINE} characters: this is no file of rows")
        yield line


def _numbered(rows: Rows, path: Path) -> Iterator[Row]:
    number = 0
    while True:
        with _reading(path):
            row = next(rows, None)
        if row is None:
            return
        number += 1
        if isinstance(row, RowRefused):
            yield Row(number=number, cells={}, problem=row)
        else:
            yield Row(number=number, cells=row)
