"""What a process takes from its environment. Nothing else in the project reads it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from engine.errors import BadInput, Conflict

KEY_BYTES = 32
#: Where a project keeps what this machine made for it: keys, databases, logs, the local inbox.
FOLDER = ".sojourn"


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """Variables beginning with `SOJOURN_`; those of Temporal (`TEMPORAL_*`) are read by Temporal's own client."""

    #: `SOJOURN_PROJECT_KEY`: 64 hex digits; None: the file `.sojourn/project.key`.
    project_key: bytes | None = field(default=None, repr=False)
    #: `SOJOURN_PAYLOAD_KEY`: 64 hex digits; encrypts what Temporal stores. None: payloads are plain.
    payload_key: bytes | None = field(default=None, repr=False)
    #: `SOJOURN_PUBLIC_URL`: where people and providers reach us, for links and webhooks. None: this machine.
    public_url: str | None = None

    @classmethod
    def read(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Raises BadInput for a value that cannot be used."""
        public_url = environ.get("SOJOURN_PUBLIC_URL") or None
        if public_url is not None and not public_url.startswith(("http://", "https://")):
            raise BadInput("SOJOURN_PUBLIC_URL must begin with https:// (or http:// on a machine of your own)")
        return cls(
            project_key=_key(environ, "SOJOURN_PROJECT_KEY"),
            payload_key=_key(environ, "SOJOURN_PAYLOAD_KEY"),
            public_url=public_url and public_url.rstrip("/"),
        )


def _key(environ: Mapping[str, str], name: str) -> bytes | None:
    text = environ.get(name)
    if not text:
        return None
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise BadInput(f"{name} must be {KEY_BYTES * 2} hex digits, as `openssl rand -hex {KEY_BYTES}` gives them")
    return key


def load_project_key(root: Path, settings: Settings, *, is_new: bool) -> bytes:
    """The project's key: from the environment, else from `.sojourn/project.key`, which a new project is given.

    Every id of a person derives from it. A project that holds people already (`is_new` False) is never given another
    one: Conflict is raised instead.
    """
    if settings.project_key is not None:
        return settings.project_key
    path = root / FOLDER / "project.key"
    if not path.exists():
        if not is_new:
            raise Conflict(
                f"{path} is missing, and the ids of everybody in the store derive from it: "
                "restore the file, or set SOJOURN_PROJECT_KEY to its content"
            )
        write_secret(path, os.urandom(KEY_BYTES).hex())
    key = _key({"key": path.read_text().strip()}, "key") if path.stat().st_size else None
    if key is None:
        raise Conflict(f"{path} is empty; restore it, or set SOJOURN_PROJECT_KEY")
    return key


def write_secret(path: Path, text: str) -> None:
    """Writes a file that only its owner can read; one that is there already stays as it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Written whole under a name of its own and then linked: of two processes one wins, and nobody reads a half.
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(f"{text}\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            return
    finally:
        draft.unlink()
