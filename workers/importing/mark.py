"""How far an import of a file has come, so that a killed one goes on where it was."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from engine.events.importing.importer import Tally


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """What is committed of an unfinished import. One that was killed between its batch and its mark does that batch
    again, which changes nothing."""

    path: Path

    @classmethod
    def of(cls, folder: Path, file: Path, options: Mapping[str, Any]) -> Self:
        """The mark of one import: of this very file, as it is now, with these options."""
        state = file.stat()
        said = json.dumps([str(file.resolve()), state.st_size, state.st_mtime_ns, options], sort_keys=True, default=str)
        return cls(path=folder / "imports" / f"{hashlib.sha256(said.encode()).hexdigest()[:24]}.json")

    def read(self, report: Path | None) -> tuple[Tally, int]:
        """How far it came, and the size of its report; from the start where it never began, or the report is gone."""
        try:
            document = json.loads(self.path.read_text())
            size = document.pop("report_bytes")
            tally = Tally.from_json(document)
        except (OSError, ValueError, KeyError):
            return Tally(), 0
        if report is not None and (not report.is_file() or report.stat().st_size < size):
            return Tally(), 0
        return tally, size

    def write(self, tally: Tally, report_bytes: int) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        draft = self.path.with_suffix(".draft")
        draft.write_text(json.dumps({**tally.as_json(), "report_bytes": report_bytes}))
        os.replace(draft, self.path)

    def remove(self) -> None:
        """The import is complete: the next one of the same file begins at its first row."""
        self.path.unlink(missing_ok=True)
