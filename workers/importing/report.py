"""The report: a line for every refused row, as JSON lines or CSV."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from types import TracebackType
from typing import Self

from engine.errors import BadInput
from engine.events.importing.rows import Refusal
from engine.insight.exports import csv_lines, json_lines

_HEADINGS = tuple(field.name for field in fields(Refusal))


class Report:
    """A file that grows with the import; what is written after a batch is on the disk before the batch counts."""

    def __init__(self, path: Path, *, size: int = 0) -> None:
        """Goes on behind `size` bytes, where the file has so many; what follows them came of a batch that was lost."""
        match path.suffix.lower():
            case ".csv":
                self._is_csv = True
            case ".jsonl" | ".ndjson":
                self._is_csv = False
            case _:
                raise BadInput("--report must be a .jsonl or a .csv file")
        try:
            self._file = path.open("r+b" if size else "wb")
        except OSError as problem:
            raise BadInput(f"--report {path} cannot be written: {problem.strerror}") from problem
        self._file.truncate(size)
        self._file.seek(size)

    def add(self, refusals: Sequence[Refusal]) -> int:
        """Writes them; the size of the file, in bytes."""
        rows = [asdict(refusal) for refusal in refusals]
        if self._is_csv:
            lines = list(csv_lines(_HEADINGS, rows))[1 if self._file.tell() else 0 :]
        else:
            lines = list(json_lines(rows))
        if lines:
            self._file.write("".join(lines).encode())
            self._file.flush()
            os.fsync(self._file.fileno())
        return self._file.tell()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
