"""Files that go with a mail: those under `templates/attachments/`, in the reader's language where there is one.

As with templates, a name can only stand for a file that was found in the folder, so none leads out of it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath

from engine.delivery.message import Attachment
from engine.errors import RenderError
from engine.rendering.library import widened

#: Under the project's root.
FOLDER = "templates/attachments"
#: Files of one message.
MOST_FILES = 10
#: Bytes of all of them: in a mail they take a third more, and many servers refuse what is larger than 10 MB.
MOST_BYTES = 7 * 1024 * 1024
#: By suffix. What can run on a reader's machine is not among them, and mailbox providers would not take it.
MEDIA_TYPES = {
    ".pdf": "application/pdf",
    ".txt": "text/plain",
    ".csv": "text/csv",
    ".ics": "text/calendar",
    ".vcf": "text/vcard",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ".pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    ".odt": "application/vnd.oasis.opendocument.text",
    ".ods": "application/vnd.oasis.opendocument.spreadsheet",
    ".zip": "application/zip",
}


class Attachments:
    """The attachments of a project; one instance serves all threads. A file is read once, when it is first sent."""

    def __init__(self, root: Path) -> None:
        self._folder = root / FOLDER
        self._read: dict[str, bytes] = {}

    @cached_property
    def names(self) -> frozenset[str]:
        """Every file's path in the folder: `guides/brewing.pdf`, `guides/brewing.es.pdf`."""
        inside = self._folder.resolve()
        found = (Path(parent, name) for parent, _, names in os.walk(self._folder) for name in names)
        return frozenset(
            file.relative_to(self._folder).as_posix()
            for file in found
            if file.is_file() and file.resolve().is_relative_to(inside)
        )

    def problem(self, names: Sequence[str]) -> tuple[str, str] | None:
        """The first name that cannot be sent, and why, as the end of a sentence; None where all can, together, too."""
        if len(names) > MOST_FILES:
            return names[MOST_FILES], f"is one too many: a message carries at most {MOST_FILES}"
        total = 0
        for name in names:
            suffix = PurePosixPath(name).suffix.lower()
            if suffix not in MEDIA_TYPES:
                return name, f"is of no kind that is sent; those are {' '.join(MEDIA_TYPES)}"
            files = [name for name in (name, *self._translations(name)) if name in self.names]
            if name not in self.names:
                return name, f"is no file in {FOLDER}/"
            total += max((self._folder / file).stat().st_size for file in files)
            if total > MOST_BYTES:
                return name, f"is too much: all files of a message together have at most {MOST_BYTES // 1024**2} MB"
        return None

    def load(self, names: Sequence[str], locales: Sequence[str]) -> tuple[Attachment, ...]:
        """The files by these names, each in the first of the locales that it has, which widen: `es-MX`, `es`.

        Raises `RenderError`."""
        problem = self.problem(names)
        if problem:
            raise RenderError(f"the attachment `{problem[0]}` {problem[1]}")
        return tuple(self._load(name, locales) for name in names)

    def _load(self, name: str, locales: Sequence[str]) -> Attachment:
        path = PurePosixPath(name)
        translations = {each.lower(): each for each in self._translations(name)}
        wished = (step for locale in locales for step in widened(locale))
        found = (translations.get(str(path.with_suffix(f".{step}{path.suffix}")).lower()) for step in wished if step)
        file = next((each for each in found if each), name)
        if file not in self._read:
            self._read[file] = (self._folder / file).read_bytes()
        return Attachment(name=path.name, media_type=MEDIA_TYPES[path.suffix.lower()], content=self._read[file])

    def _translations(self, name: str) -> list[str]:
        path = PurePosixPath(name)
        stem = f"{path.with_suffix('')}."
        return [each for each in self.names if each.startswith(stem) and each.endswith(path.suffix)]
