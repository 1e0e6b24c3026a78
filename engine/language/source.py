"""Strict YAML with positions: the only place that reads YAML, for authored files and for scenarios.

What YAML 1.1 would quietly turn into something else stays what the author wrote: `on`, `NO`, `22:30`, `012` and
dates are text. Tags, anchors, aliases, duplicate keys, keys that are not text, tabs for indentation, control
characters and what is too large or too deep are diagnostics; no input raises an exception.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from engine.language.diagnostics import Problems, Span, related

#: Limits of one document.
MAX_BYTES = 1024 * 1024
MAX_LEVELS = 32

# Both loaders give the same events and marks; the C one is ten times faster.
_LOADER = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader

#: YAML's printable characters, less those that its 1.1 took for line breaks: invisible, and counted as lines by some.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\x7e\u00a0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_WORDS: Mapping[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.)")

Scalar = str | int | float | bool | None


@dataclass(frozen=True, kw_only=True, slots=True)
class ScalarNode:
    file: str
    line: int
    column: int
    value: Scalar
    #: As written, quotes included, where that is one line; None where it runs over several.
    raw: str | None = field(default=None, repr=False, compare=False)

    def place(self, offset: int) -> Span:
        """The place of the character at `offset` of a text value; the scalar's own where that cannot be told."""
        return Span(file=self.file, line=self.line, column=self.column + self._raw_offset(offset))

    def _raw_offset(self, offset: int) -> int:
        match (self.raw or "")[:1]:
            case "":
                return 0
            case "'":
                # Inside single quotes '' stands for one quote.
                widths = (len(each.group()) for each in re.finditer("''|.", str(self.raw)[1:-1]))
            case '"':
                widths = (len(each.group()) for each in re.finditer(_ESCAPE.pattern + "|.", str(self.raw)[1:-1]))
            case _:
                return offset
        return 1 + sum(width for width, _ in zip(widths, range(offset), strict=False))


@dataclass(frozen=True, kw_only=True, slots=True)
class ListNode:
    file: str
    line: int
    column: int
    items: tuple[Node, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    key: ScalarNode
    value: Node


@dataclass(frozen=True, kw_only=True, slots=True)
class MapNode:
    file: str
    line: int
    column: int
    #: In the order written.
    pairs: Mapping[str, Pair]

    def get(self, key: str) -> Node | None:
        pair = self.pairs.get(key)
        return pair.value if pair else None


Node = ScalarNode | ListNode | MapNode


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """A file, read."""

    file: str
    #: As decoded; empty where it is not UTF-8.
    text: str = field(repr=False)
    #: The documents that could be read; empty ones are left out.
    documents: tuple[Node, ...]


def read_source(file: str, content: bytes, problems: Problems) -> Source:
    """The file's documents; what is wrong with it goes to `problems`, and what can still be read is kept."""
    try:
        text = content.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        place = _at(file, content[: error.start].decode("utf-8", "replace"), error.start)
        problems.error("SJ002", place, "the file is not UTF-8 text", "save it with the encoding UTF-8")
        return Source(file=file, text="", documents=())
    forbidden = _FORBIDDEN.search(text)
    if forbidden:
        code_point = f"U+{ord(forbidden.group()):04X}"
        place = _at(file, text, forbidden.start())
        problems.error("SJ003", place, f"the character {code_point} is not allowed in YAML", "delete it")
        return Source(file=file, text=text, documents=())
    return Source(file=file, text=text, documents=tuple(_Composer(file, text, problems).documents()))


def plain(node: Node) -> Any:
    """The node as plain Python data: dict, list, text, number, boolean or None."""
    match node:
        case ScalarNode():
            return node.value
        case ListNode():
            return [plain(item) for item in node.items]
        case MapNode():
            return {key: plain(pair.value) for key, pair in node.pairs.items()}


def find_node(node: Node, path: Sequence[str | int]) -> Node | None:
    """The node under a path of keys and indexes (`["steps", 1, "send"]`), or None."""
    found: Node | None = node
    for part in path:
        match found:
            case MapNode():
                found = found.get(str(part))
            case ListNode():
                index = int(part) if str(part).isdigit() else len(found.items)
                found = found.items[index] if index < len(found.items) else None
            case _:
                return None
    return found


def _at(file: str, text: str, offset: int) -> Span:
    before = text[:offset].replace("\r\n", "\n").replace("\r", "\n")
    line_start = before.rfind("\n") + 1
    return Span(file=file, line=before.count("\n") + 1, column=len(before) - line_start + 1)


class _Stop(Exception):
    """A document is not read further."""


class _Composer:
    """Builds the nodes from the parser's events; no recursion, so depth is ours to limit."""

    def __init__(self, file: str, text: str, problems: Problems) -> None:
        self._file = file
        self._text = text
        self._problems = problems

    def documents(self) -> Iterator[Node]:
        try:
            yield from self._compose(yaml.parse(self._text, Loader=_LOADER))
        except _Stop:
            return
        except yaml.MarkedYAMLError as error:
            self._report(error)
        except yaml.YAMLError:
            place = Span(file=self._file, line=1, column=1)
            self._problems.error("SJ001", place, "the file is not valid YAML")

    def _report(self, error: yaml.MarkedYAMLError) -> None:
        mark = error.problem_mark or error.context_mark
        place = self._place(mark) if mark else Span(file=self._file, line=1, column=1)
        if mark and self._text[mark.index : mark.index + 1] == "\t":
            self._problems.error("SJ004", place, "a tab stands where spaces belong", "indent with spaces")
            return
        said = " ".join(part for part in (error.problem, error.context) if part)
        self._problems.error("SJ001", place, f"the YAML cannot be read: {said}", _syntax_hint(said))

    def _compose(self, events: Iterator[yaml.Event]) -> Iterator[Node]:
        #: Open collections: the event that began each, and its children so far (keys and values in turn in a mapping).
        open_: list[tuple[yaml.CollectionStartEvent, list[Node]]] = []
        began = 0
        root: list[Node] = []
        for event in events:
            start_mark: Any = event.start_mark
            end_mark: Any = event.end_mark
            if start_mark.index - began > MAX_BYTES:
                self._too_large(began)
            match event:
                # First, since most events are these.
                case yaml.ScalarEvent():
                    self._no_decoration(event)
                    (open_[-1][1] if open_ else root).append(self._scalar(event))
                case yaml.DocumentStartEvent():
                    began, root = start_mark.index, []
                case yaml.DocumentEndEvent():
                    if len(self._text[began : end_mark.index].encode()) > MAX_BYTES:
                        self._too_large(began)
                    if root and not (isinstance(root[0], ScalarNode) and root[0].value is None):
                        yield root[0]
                case yaml.AliasEvent():
                    self._no_reference(event)
                    node = ScalarNode(**self._where(event.start_mark), value=None)
                    (open_[-1][1] if open_ else root).append(node)
                case yaml.SequenceStartEvent() | yaml.MappingStartEvent():
                    self._no_decoration(event)
                    open_.append((event, []))
                    if len(open_) > MAX_LEVELS:
                        place = self._place(event.start_mark)
                        self._problems.error("SJ006", place, f"nested deeper than {MAX_LEVELS} levels")
                        raise _Stop
                case yaml.SequenceEndEvent():
                    start, items = open_.pop()
                    node_ = ListNode(**self._where(start.start_mark), items=tuple(items))
                    (open_[-1][1] if open_ else root).append(node_)
                case yaml.MappingEndEvent():
                    start, children = open_.pop()
                    (open_[-1][1] if open_ else root).append(self._mapping(start, children))

    def _mapping(self, start: yaml.CollectionStartEvent, children: list[Node]) -> MapNode:
        pairs: dict[str, Pair] = {}
        for key, value in zip(children[::2], children[1::2], strict=True):
            if not isinstance(key, ScalarNode) or not isinstance(key.value, str):
                written = f"`{key.raw}` is" if isinstance(key, ScalarNode) and key.raw else "this is"
                hint = "put it in quotes"
                if start.flow_style and isinstance(value, ScalarNode) and value.raw == "":
                    # Nobody means a key without a value: it is the rest of one that held a comma, or too much.
                    hint = "inside `{ }` a comma ends a value: put text that holds one in quotes, or delete the rest"
                self._problems.error("SJ010", key, f"a key must be text, and {written} not", hint)
            elif key.value in pairs:
                first = pairs[key.value].key
                self._problems.error(
                    "SJ009",
                    key,
                    f"the key `{key.value}` is given twice",
                    "keep one of the two",
                    [related(first, "first given here")],
                )
            else:
                pairs[key.value] = Pair(key=key, value=value)
        return MapNode(**self._where(start.start_mark), pairs=pairs)

    def _scalar(self, event: yaml.ScalarEvent) -> ScalarNode:
        start_mark: Any = event.start_mark
        end_mark: Any = event.end_mark
        raw = self._text[start_mark.index : end_mark.index] if start_mark.line == end_mark.line else None
        value: Scalar = event.value
        if event.implicit[0]:
            value = self._plain_value(event)
        # Written out: there are more of these than of everything else together.
        return ScalarNode(file=self._file, line=start_mark.line + 1, column=start_mark.column + 1, value=value, raw=raw)

    def _plain_value(self, event: yaml.ScalarEvent) -> Scalar:
        written: str = event.value
        if written in _WORDS:
            return _WORDS[written]
        if _INTEGER.fullmatch(written):
            # 64 bits: what every store and every JSON reader keeps; an id of more digits belongs in quotes.
            number = int(written, 0) if len(written) <= 24 else 1 << 64
            if -(1 << 63) <= number < 1 << 63:
                return number
        elif _FLOAT.fullmatch(written):
            if math.isfinite(float(written)):
                return float(written)
        elif not _NOT_FINITE.fullmatch(written):
            return written
        place = self._place(event.start_mark)
        self._problems.error("SJ011", place, "the number is out of range", "put it in quotes if it is an identifier")
        return written

    def _no_decoration(self, event: yaml.NodeEvent) -> None:
        if event.anchor is not None:
            self._no_reference(event)
        if getattr(event, "tag", None) is not None:
            self._problems.error("SJ007", self._place(event.start_mark), "tags are not allowed", "delete it")

    # Neither tag nor anchor is quoted: a secret written without quotes may begin with `!`, `&` or `*`.
    def _no_reference(self, event: yaml.NodeEvent) -> None:
        place = self._place(event.start_mark)
        hint = "write the value out; text that begins with `&` or `*` must be in quotes"
        self._problems.error("SJ008", place, "anchors and aliases are not allowed", hint)

    def _too_large(self, began: int) -> None:
        place = _at(self._file, self._text, began)
        self._problems.error("SJ005", place, "the document is larger than 1 MiB", "split it into several documents")
        raise _Stop

    def _place(self, mark: Any) -> Span:
        return Span(**self._where(mark))

    def _where(self, mark: Any) -> dict[str, Any]:
        return {"file": self._file, "line": mark.line + 1, "column": mark.column + 1}


def _syntax_hint(said: str) -> str:
    if "mapping values are not allowed" in said:
        return "text that holds `: ` must be in quotes; else check the indentation"
    if "cannot start any token" in said:
        return "text that begins with `@`, `` ` `` or `%` must be in quotes"
    return ""
