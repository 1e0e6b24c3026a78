"""The `templates/` folder, read once: a template can only name what was found in it then.

Names never reach the file system, so no name can leave the folder; a link that points out of it is not followed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from engine.rendering.front_matter import FrontMatter, TemplateProblem, split_front_matter

#: Bytes of one template file.
MAX_BYTES = 256 * 1024
#: Where includes are looked up, in this order; the second is `templates/` itself.
PARTIAL_FOLDERS = ("shared/", "")
#: Templates of our own notices (`system/confirm` …); a project's of the same name takes their place.
_OWN = Path(__file__).parent / "defaults"
#: The partial that the fragment of every email is set into, where the project has it.
LAYOUT = "layout.html"

_NAME = r"[A-Za-z0-9_][A-Za-z0-9_-]*"
_LOCALE = r"[a-z]{2,3}(?:-[A-Za-z0-9]{2,8})*"
_FOLDER = re.compile(_NAME)
_TEMPLATE = re.compile(rf"{_NAME}(?:/{_NAME})*")
_PLACE = re.compile(r"\{\{[-+]?\s*content\b")
_FILE = re.compile(rf"(?P<stem>{_NAME}(?:/{_NAME})*)(?:\.(?P<locale>{_LOCALE}))?\.(?P<extension>html|mjml|txt)")
#: Extensions of what becomes a mail's page, in the order in which they are looked for.
PAGES = ("html", "mjml")


@dataclass(frozen=True, kw_only=True, slots=True)
class TemplateFile:
    #: Relative to `templates/`: `email/cart/reminder.es.html`.
    path: str
    #: The path without locale and extension: `email/cart/reminder`.
    stem: str
    #: The locale in its name, or empty.
    locale: str
    #: `html`, `mjml` or `txt`.
    extension: str
    text: str = field(repr=False)
    parts: FrontMatter = field(repr=False)
    #: What is wrong with the file itself (size, encoding, front matter).
    problems: tuple[TemplateProblem, ...] = ()

    @property
    def is_page(self) -> bool:
        """Whether a mail's page comes of it, and not a text."""
        return self.extension in PAGES


class Library:
    """Every template of a project, by path."""

    def __init__(self, root: Path) -> None:
        """Reads `templates/` under the project's root; a project without the folder has no templates."""
        own = {file.path: file for file in _read(_OWN)}
        self._files = {**own, **{file.path: file for file in _read(root / "templates")}}
        #: Suffixes as files write them, by what they are in lower case.
        self._spellings: dict[str, list[str]] = {}
        for locale in sorted({file.locale for file in self._files.values() if file.locale}):
            self._spellings.setdefault(locale.lower(), []).append(locale)

    def locales(self, *wished: str) -> tuple[str, ...]:
        """Suffixes to try for these locales in order, none last: `es-MX`, `en` → `es-MX`, `es`, `en`, ``.

        Only suffixes that some file has, as it writes them: whatever a profile says, there are no more chains than the
        files allow.
        """
        tried = [step for locale in wished for step in widened(locale)]
        return tuple(dict.fromkeys([*(each for step in tried for each in self._spellings.get(step, ())), ""]))

    def all_locales(self) -> tuple[str, ...]:
        """Every suffix that a file has, none first."""
        return ("", *sorted(each for spellings in self._spellings.values() for each in spellings))

    def find(
        self, folder: str, template: str, extensions: tuple[str, ...], locales: tuple[str, ...]
    ) -> TemplateFile | None:
        """The file of a channel's template for the first of the locales that has one, or None."""
        if not _FOLDER.fullmatch(folder) or not _TEMPLATE.fullmatch(template):
            return None
        return self._first(f"{folder}/{template}", extensions, locales)

    def find_partial(self, name: str, locales: tuple[str, ...]) -> TemplateFile | None:
        """The file that an include or an extends names, in the first of the locales that has it, or None."""
        parts = _FILE.fullmatch(name)
        if not parts:
            return None
        # A name that says its locale means that very file.
        locales = (parts["locale"],) if parts["locale"] else locales
        found = (self._first(folder + parts["stem"], (parts["extension"],), locales) for folder in PARTIAL_FOLDERS)
        return next((file for file in found if file), None)

    def find_layout(self, locales: tuple[str, ...]) -> TemplateFile | None:
        """The layout into which fragments are set, in the first of the locales that has one, or None."""
        layout = self.find_partial(LAYOUT, locales)
        return layout if layout and takes_fragments(layout) else None

    def variants(self, folder: str, template: str) -> tuple[TemplateFile, ...]:
        """All files of a template, in every locale and with each extension, by path."""
        stem = f"{folder}/{template}"
        return tuple(file for path, file in sorted(self._files.items()) if file.stem == stem)

    def _first(self, stem: str, extensions: tuple[str, ...], locales: tuple[str, ...]) -> TemplateFile | None:
        stems = (f"{stem}.{locale}" if locale else stem for locale in locales)
        paths = (f"{each}.{extension}" for each in stems for extension in extensions)
        return next((self._files[path] for path in paths if path in self._files), None)


def takes_fragments(layout: TemplateFile) -> bool:
    """Whether a layout has a place for a fragment, `{{ content }}`; one of blocks is for those that extend it."""
    return _PLACE.search(layout.text) is not None


def widened(locale: str) -> Iterator[str]:
    """A language tag and the wider ones that it falls back to, in lower case: `es-MX` → `es-mx`, `es`."""
    parts = locale.replace("_", "-").lower().split("-")
    for length in range(len(parts), 0, -1):
        yield "-".join(parts[:length])


def _read(folder: Path) -> Iterator[TemplateFile]:
    inside = folder.resolve()
    for parent, _, names in os.walk(folder):
        for name in names:
            file = Path(parent, name)
            path = file.relative_to(folder).as_posix()
            parts = _FILE.fullmatch(path)
            if parts and file.resolve().is_relative_to(inside) and file.is_file():
                yield _template_file(path, parts.groupdict(), file.read_bytes())


def _template_file(path: str, parts: Mapping[str, str | None], content: bytes) -> TemplateFile:
    problems: tuple[TemplateProblem, ...] = ()
    text = ""
    if len(content) > MAX_BYTES:
        problems = (TemplateProblem(file=path, line=1, column=1, message="the template is larger than 256 KiB"),)
    else:
        try:
            text = content.decode("utf-8").removeprefix("\ufeff").replace("\r\n", "\n")
        except UnicodeDecodeError as error:
            line = content[: error.start].count(b"\n") + 1
            message, hint = "the template is not UTF-8 text", "save it with the encoding UTF-8"
            problems = (TemplateProblem(file=path, line=line, column=1, message=message, hint=hint),)
    front = split_front_matter(path, text)
    return TemplateFile(
        path=path,
        stem=str(parts["stem"]),
        locale=parts["locale"] or "",
        extension=str(parts["extension"]),
        text=text,
        parts=front,
        problems=problems + front.problems,
    )
