"""What authors are told about their files: every problem, with its place, a stable code and what to do.

Codes are grouped by hundreds and never reused: 0 the file itself, 1 names, 2 shapes, 3 expressions, 4 the course of
a journey, 5 permission, 6 templates, 7 channels and surroundings, 8 scenarios. `docs/checks/README.md` explains each.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from typing import Literal, Protocol

Severity = Literal["error", "warning"]
Format = Literal["text", "concise", "json", "github"]

#: Every code with its title. A retired code stays listed, so that it is never given a second meaning.
CODES: Mapping[str, str] = {
    "SJ001": "the file is not valid YAML",
    "SJ002": "the file is not UTF-8",
    "SJ003": "a character that YAML does not allow",
    "SJ004": "a tab where spaces belong",
    "SJ005": "a document is too large",
    "SJ006": "a document is nested too deeply",
    "SJ007": "a YAML tag",
    "SJ008": "a YAML anchor or alias",
    "SJ009": "a key is given twice",
    "SJ010": "a key is not text",
    "SJ011": "a number is out of range",
    "SJ012": "a file cannot be read",
    "SJ101": "unknown channel",
    "SJ102": "unknown topic",
    "SJ103": "the catalogue lacks this event",
    "SJ104": "an attribute looks like a misspelling",
    "SJ105": "unknown segment",
    "SJ106": "unknown journey",
    "SJ107": "unknown step",
    "SJ108": "unknown adapter",
    "SJ109": "the catalogue lacks this property",
    "SJ110": "two journeys have one name",
    "SJ111": "two steps have one id",
    "SJ112": "two segments have one name",
    "SJ201": "unknown key",
    "SJ202": "a key is missing",
    "SJ203": "the wrong kind of value",
    "SJ204": "not one of the allowed words",
    "SJ205": "a name that is not allowed",
    "SJ206": "not a duration",
    "SJ207": "not a time of day",
    "SJ208": "not a schedule",
    "SJ209": "unknown time zone",
    "SJ210": "a number, share or rate that is not allowed",
    "SJ211": "keys that do not go together",
    "SJ212": "a document of an unknown kind",
    "SJ213": "a step without a kind",
    "SJ214": "an outcome that cannot wait",
    "SJ215": "weights that do not add up",
    "SJ301": "an expression does not parse",
    "SJ302": "an expression does not make sense",
    "SJ303": "a value of the wrong type",
    "SJ401": "a step that nobody can reach",
    "SJ402": "a repeat that makes no time pass",
    "SJ403": "journeys that start each other without time passing",
    "SJ404": "segments that refer to each other in a circle",
    "SJ405": "a journey that nothing starts",
    "SJ406": "a trigger that waits for an end that never comes",
    "SJ407": "a message that can never go out",
    "SJ408": "a time that is over before it counts",
    "SJ409": "a step that cannot have run yet",
    "SJ410": "a trigger by which nobody can enter",
    "SJ501": "the topic does not allow the channel",
    "SJ502": "a send without a topic",
    "SJ503": "another address under a topic that is not internal",
    "SJ504": "a basis that does not fit the topic",
    "SJ601": "a template is missing",
    "SJ602": "a template does not parse",
    "SJ603": "a name in a template may be missing",
    "SJ604": "a marketing email without an unsubscribe link",
    "SJ605": "an email without a subject",
    "SJ606": "a marketing text message without a way to stop",
    "SJ701": "a missing environment variable",
    "SJ702": "a channel's settings are wrong",
    "SJ703": "a channel of unknown kind",
    "SJ704": "a backup that cannot take over",
    "SJ705": "a database that is not supported",
    "SJ706": "a call to a private address",
    "SJ801": "a scenario without a name or a beginning",
    "SJ802": "something in a scenario that cannot be used",
}


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
def format_diagnostics(diagnostics: Sequence[Diagnostic], form: Format, texts: Mapping[str, str]) -> str:
    """All of them in one of the formats; `texts` holds the files' contents by name, for the excerpts of `text`."""
    match form:
        case "json":
            return json.dumps({"diagnostics": [asdict(each) for each in diagnostics]}, ensure_ascii=False, indent=2)
        case "concise":
            return "\n".join(_concise(each) for each in diagnostics)
        case "github":
            return "\n".join(_github(each) for each in diagnostics)
        case "text":
            return "\n\n".join(_text(each, texts) for each in diagnostics)


def _concise(each: Diagnostic) -> str:
    hint = f" ({each.hint})" if each.hint else ""
    return f"{each.file}:{each.line}:{each.column}: {each.code} {each.message}{hint}"


def _text(each: Diagnostic, texts: Mapping[str, str]) -> str:
    lines = [f"{each.severity} {each.code}: {each.message}", f"  --> {each.file}:{each.line}:{each.column}"]
    lines += _excerpt(each.file, each.line, each.column, texts)
    for other in each.related:
        lines.append(f"  {other.message}: {other.file}:{other.line}:{other.column}")
        lines += _excerpt(other.file, other.line, other.column, texts)
    if each.hint:
        lines.append(f"  hint: {each.hint}")
    return "\n".join(lines)


def _excerpt(file: str, line: int, column: int, texts: Mapping[str, str]) -> list[str]:
    written = texts.get(file, "").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if line > len(written) or not written[line - 1].strip():
        return []
    number = str(line)
    # Long lines would wrap and carry the caret away from its place.
    start = max(0, column - 80)
    shown = written[line - 1][start : start + 110].replace("\t", " ")
    return [f"   {number} | {shown}", f"   {' ' * len(number)} | {' ' * (column - 1 - start)}^"]


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
