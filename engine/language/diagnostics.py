"""What authors are told about their files: every problem, with its place, a stable code and what to do."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from textwrap import wrap
from typing import Literal, Protocol
from unicodedata import combining, east_asian_width

from engine.language.codes import CODES

Severity = Literal["error", "warning"]
Format = Literal["text", "concise", "json", "github"]


class Place(Protocol):
    """Somewhere in a file: every node of `engine.language.source` is one."""

    @property
    def file(self) -> str: ...
    @property
    def line(self) -> int: ...
    @property
    def column(self) -> int: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """A place in a file; `line` and `column` count from 1, columns in characters."""

    file: str
    line: int
    column: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Related:
    """Another place that belongs to a problem: the first of two duplicates."""

    file: str
    line: int
    column: int
    message: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Diagnostic:
    """One problem in one place."""

    #: Relative to the project's root.
    file: str
    line: int
    column: int
    #: One of `CODES`.
    code: str
    severity: Severity
    #: One sentence that stands alone; never a secret.
    message: str
    #: What to do, or nothing.
    hint: str = ""
    related: tuple[Related, ...] = ()

    @property
    def is_error(self) -> bool:
        return self.severity == "error"


class Problems:
    """The collector that readers and checks report to; nothing stops at the first fault."""

    def __init__(self) -> None:
        self._found: dict[Diagnostic, None] = {}

    def error(self, code: str, place: Place, message: str, hint: str = "", related: Sequence[Related] = ()) -> None:
        self._add("error", code, place, message, hint, related)

    def warning(self, code: str, place: Place, message: str, hint: str = "", related: Sequence[Related] = ()) -> None:
        self._add("warning", code, place, message, hint, related)

    def _add(
        self, severity: Severity, code: str, place: Place, message: str, hint: str, related: Sequence[Related]
    ) -> None:
        assert code in CODES, f"{code} is not in the registry"
        diagnostic = Diagnostic(
            file=place.file,
            line=place.line,
            column=place.column,
            code=code,
            severity=severity,
            message=message,
            hint=hint,
            related=tuple(related),
        )
        self._found[diagnostic] = None

    def sorted(self) -> list[Diagnostic]:
        """All problems, once each, by file, line, column and code."""
        return sorted(self._found, key=lambda each: (each.file, each.line, each.column, each.code, each.message))


def related(place: Place, message: str) -> Related:
    """The other place of a problem."""
    return Related(file=place.file, line=place.line, column=place.column, message=message)


def suggest(name: str, known: Iterable[str]) -> str:
    """A hint for an unknown name: up to three near ones, else all that are known where they are at most twelve."""
    names = list(dict.fromkeys(known))
    folded = {each.casefold(): each for each in reversed(names)}
    near = [folded[each] for each in get_close_matches(name.casefold(), folded, n=3, cutoff=0.65)]
    if near:
        return f"did you mean {_listed(near, 'or')}?"
    if 0 < len(names) <= 12:
        return f"allowed: {', '.join(f'`{each}`' for each in names)}"
    return ""


def _listed(names: Sequence[str], last: str) -> str:
    quoted = [f"`{each}`" for each in names]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} {last} {quoted[-1]}"


# ── formats ──────────────────────────────────────────────────────────────────────────────────────────────────────────
#: Columns of a terminal as people leave it.
_WIDTH = 80
#: What programs read of a problem.
_FIELDS = ("file", "line", "column", "code", "severity", "message", "hint")
_COLOURS = {"error": "\x1b[1;31m", "warning": "\x1b[1;33m", "aside": "\x1b[2m", "strong": "\x1b[1m"}


def format_diagnostics(
    diagnostics: Sequence[Diagnostic], form: Format, texts: Mapping[str, str], *, is_colourful: bool = False
) -> str:
    """All of them in one of the formats; `texts` holds the files' contents by name, for the excerpts of `text`."""
    match form:
        case "json":
            found = [{name: getattr(each, name) for name in _FIELDS} for each in diagnostics]
            return json.dumps({"diagnostics": found}, ensure_ascii=False, indent=2)
        case "concise":
            return "\n".join(_concise(each) for each in diagnostics)
        case "github":
            return "\n".join(_github(each) for each in diagnostics)
        case "text":
            told = _Told(texts, is_colourful)
            return "\n\n".join([*(told.problem(each) for each in diagnostics), *told.pages(diagnostics)])


def _concise(each: Diagnostic) -> str:
    hint = f" ({each.hint})" if each.hint else ""
    return f"{each.file}:{each.line}:{each.column}: {each.code} {each.message}{hint}"


class _Told:
    """Problems as people read them on a terminal."""

    def __init__(self, texts: Mapping[str, str], is_colourful: bool) -> None:
        self._lines = {file: re.split("\r\n|\r|\n", text) for file, text in texts.items()}
        self._is_colourful = is_colourful

    def problem(self, each: Diagnostic) -> str:
        """One of them: what, where, the line with a mark, and what to do."""
        first, *rest = _wrapped(f"{each.severity} {each.code}: {each.message}", "  ")
        head, said = first[: len(each.severity) + 1 + len(each.code)], first[len(each.severity) + 1 + len(each.code) :]
        lines = [self._in(each.severity, head) + self._in("strong", said), *(self._in("strong", more) for more in rest)]
        lines.append(f"  {self._in('aside', '-->')} {each.file}:{each.line}:{each.column}")
        lines += self._excerpt(each, each.severity)
        for other in each.related:
            lines.append(f"  {self._in('aside', '-->')} {other.file}:{other.line}:{other.column}, {other.message}")
            lines += self._excerpt(other, "aside")
        lines += _wrapped(f"  hint: {each.hint}", " " * 8) if each.hint else []
        return "\n".join(lines)

    def pages(self, diagnostics: Sequence[Diagnostic]) -> list[str]:
        """Where to read more, each page once."""
        files = ", ".join(f"{code}.md" for code in sorted({each.code for each in diagnostics}))
        return ["\n".join(_wrapped(f"Explained in docs/checks: {files}", "  "))] if files else []

    def _excerpt(self, place: Place, colour: str) -> list[str]:
        lines = self._lines.get(place.file, [])
        if place.line > len(lines) or not lines[place.line - 1].strip():
            return []
        number = str(place.line)
        shown, offset = _cut(lines[place.line - 1].replace("\t", " "), place.column - 1, _WIDTH - len(number) - 6)
        bar, blank = self._in("aside", f"   {number} |"), self._in("aside", f"   {' ' * len(number)} |")
        return [f"{bar} {shown}", f"{blank} {' ' * offset}{self._in(colour, '^')}"]

    def _in(self, colour: str, text: str) -> str:
        return f"{_COLOURS[colour]}{text}\x1b[0m" if self._is_colourful and text else text


def _wrapped(text: str, indent: str) -> list[str]:
    return wrap(text, _WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def _cut(line: str, column: int, width: int) -> tuple[str, int]:
    """As much of a line around a column (from 0) as fits, and how far right of its beginning the column then stands."""
    if len(line) <= width:
        return line, _width(line[:column])
    # What comes before says more than what comes after.
    start = min(max(0, column - width * 2 // 3), len(line) - width)
    shown = line[start : start + width]
    if start:
        shown = f"…{shown[1:]}"
    if start + width < len(line):
        shown = f"{shown[:-1]}…"
    return shown, _width(shown[: column - start])


def _width(text: str) -> int:
    """Columns on a terminal: some letters take two, and accents of their own take none."""
    return sum(0 if combining(each) else 2 if east_asian_width(each) in "WF" else 1 for each in text)


def _github(each: Diagnostic) -> str:
    message = each.message + (f" ({each.hint})" if each.hint else "")
    return (
        f"::{each.severity} file={_escaped(each.file, is_property=True)},line={each.line},col={each.column},"
        f"title={each.code}::{_escaped(message)}"
    )


def _escaped(text: str, *, is_property: bool = False) -> str:
    """GitHub's own escapes for workflow commands."""
    text = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return text.replace(":", "%3A").replace(",", "%2C") if is_property else text
