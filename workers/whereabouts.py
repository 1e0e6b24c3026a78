"""Where the `sojourn up` of a folder listens: it leaves word for the folder's other commands while it runs."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TextIO

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
    """Leaves word in the project's `.sojourn`, and takes it back at the end.

    The file stays locked meanwhile, and the system frees it, whatever ends us: a process's number is soon another's.
    """
    path = folder / _FILE
    with path.open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.truncate(0)
        file.write(json.dumps(asdict(found)))
        file.flush()
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def find(root: Path) -> Whereabouts | None:
    """The `sojourn up` that runs in a project's folder; None where none does, whatever one that died has left."""
    try:
        with (root / FOLDER / _FILE).open() as file:
            return Whereabouts(**json.load(file)) if _is_locked(file) else None
    except (OSError, ValueError, TypeError):
        return None


def _is_locked(file: TextIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False
