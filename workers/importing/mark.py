"""Which import is the same one, so that a killed one goes on where it was; and what is kept of it."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from pathlib import Path
from typing import Any

from engine.events.importing.importer import Tally
from engine.store import ImportMark


def import_id(file: Path, options: Any) -> str:
    """Of this very file, as it is now, taken in with these options."""
    state = file.stat()
    said = json.dumps([str(file.resolve()), state.st_size, state.st_mtime_ns, options], sort_keys=True, default=str)
    return f"i{hashlib.sha256(said.encode()).hexdigest()[:24]}"


def marked(import_id: str, tally: Tally, report_bytes: int, now: datetime) -> ImportMark:
    return ImportMark(import_id=import_id, progress={**tally.as_json(), "report_bytes": report_bytes}, committed_at=now)


def resumed(mark: ImportMark | None, report: Path | None) -> tuple[Tally, int]:
    """How far it came, and the size of its report; from the start where it never began, or the report is gone."""
    if mark is None:
        return Tally(), 0
    size: int = mark.progress["report_bytes"]
    if report is not None and (not report.is_file() or report.stat().st_size < size):
        return Tally(), 0
    return Tally.from_json(mark.progress), size
