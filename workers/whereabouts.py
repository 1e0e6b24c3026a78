"""Where the `sojourn up` of a folder listens: it leaves word for the folder's other commands while it runs."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from workers.settings import FOLDER

_FILE = "up.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Whereabouts:
    """A `sojourn up` that runs."""

    process: int
    public_url: str
    smtp_port: int

    def environ(self) -> Mapping[str, str]:
        """What it adds to the environment in which it reads the project."""
        return {"SOJOURN_SMTP_PORT": str(self.smtp_port)}


@contextmanager
def left(folder: Path, found: Whereabouts) -> Iterator[None]:
    """Leaves word in the project's `.sojourn`, and takes it back at the end."""
    file = folder / _FILE
    file.write_text(json.dumps(asdict(found)))
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


def find(root: Path) -> Whereabouts | None:
    """The `sojourn up` that runs in a project's folder; None where none does, whatever one that died has left."""
    try:
        found = Whereabouts(**json.loads((root / FOLDER / _FILE).read_text()))
        os.kill(found.process, 0)
    except (OSError, ValueError, TypeError):
        return None
    return found
