"""Reading one mapping of an authored file: typed values out, everything wrong said, unknown keys with near misses.

A method gives None both where the key is missing and where its value is unusable: the reader goes on either way,
and the second has been reported. Values are quoted as they were written, never as the environment filled them in.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, TypeVar
from zoneinfo import available_timezones

from engine.errors import BadInput
from engine.language.diagnostics import Place, Problems, suggest
from engine.language.source import ListNode, MapNode, Node, ScalarNode, plain
from engine.schedule import find_zone, parse_clock, parse_duration

T = TypeVar("T")

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_SHARE = re.compile(r"(100|[0-9]{1,2}(\.[0-9]{1,2})?)%")
_RATE = re.compile(r"([0-9]+(?:\.[0-9]+)?)/(s|min|h|d)")
_SECONDS = {"s": 1, "min": 60, "h": 3600, "d": 86_400}
_DURATION_HINT = "whole numbers with the units w d h m s, largest first, such as `90m`, `3d` or `1d12h`"
_TIME_HINT = 'hours and minutes of a day of 24 hours, such as "09:00"'


def written(node: Node) -> str:
    """How a message names a value: as the author wrote it, or by what it is."""
    match node:
        case ScalarNode(raw=str(raw)) if raw and len(raw) <= 60:
            return f"`{raw.strip(chr(34) + chr(39))}`"
        case ScalarNode(value=None):
            return "nothing"
        case ScalarNode():
            return "this text"
        case ListNode():
            return "a list"
        case MapNode():
            return "a mapping"


def as_mapping(node: Node, problems: Problems, what: str, hint: str = "") -> MapNode | None:
    """The node where it is a mapping."""
    if isinstance(node, MapNode):
        return node
    wrong_kind(node, problems, f"{what} is a mapping", hint)
    return None


def as_list(node: Node, problems: Problems, what: str, hint: str = "") -> ListNode | None:
    """The node where it is a list."""
    if isinstance(node, ListNode):
        return node
    wrong_kind(node, problems, f"{what} is a list", hint)
    return None


def as_text(node: Node, problems: Problems, what: str) -> str | None:
    """The text of a scalar; a number or a boolean is none."""
    if isinstance(node, ScalarNode) and isinstance(node.value, str):
        return node.value
    is_other_scalar = isinstance(node, ScalarNode) and node.value is not None
    wrong_kind(node, problems, f"{what} is text", "put it in quotes" if is_other_scalar else "")
    return None


def as_name(node: Node, problems: Problems, what: str) -> str | None:
    """A `snake_case` name."""
    name = as_text(node, problems, what)
    if name is None or _NAME.fullmatch(name):
        return name
    hint = "lower-case letters, digits and underscores, beginning with a letter"
    problems.error("SJ205", node, f"{what} cannot be {written(node)}", hint)
    return None


def as_duration(node: Node, problems: Problems, what: str) -> int | None:
    """Whole seconds."""
    if isinstance(node, ScalarNode) and isinstance(node.value, str):
        with suppress(BadInput):
            return int(parse_duration(node.value).total_seconds())
    problems.error("SJ206", node, f"{what} is a duration, and {written(node)} is none", _DURATION_HINT)
    return None


def as_time(node: Node, problems: Problems, what: str) -> str | None:
    """`HH:MM`."""
    if isinstance(node, ScalarNode) and isinstance(node.value, str):
        with suppress(BadInput):
            parse_clock(node.value)
            return node.value
    problems.error("SJ207", node, f"{what} is a time of day, and {written(node)} is none", _TIME_HINT)
    return None


def as_zone(node: Node, problems: Problems, what: str) -> str | None:
    """An IANA time zone."""
    name = as_text(node, problems, what)
    if name is None or find_zone(name):
        return name
    hint = suggest(name, sorted(available_timezones())) or "a name of the IANA database, such as `Europe/Madrid`"
    problems.error("SJ209", node, f"there is no time zone {written(node)}", hint)
    return None


def wrong_kind(node: Node, problems: Problems, expected: str, hint: str = "") -> None:
    """Reports a value of the wrong kind."""
    problems.error("SJ203", node, f"{expected}, and {written(node)} is none", hint)


class Fields:
    """The keys of one mapping."""

    def __init__(self, node: MapNode, problems: Problems, what: str, allowed: Sequence[str]) -> None:
        self.node = node
        self.problems = problems
        self._what = what
        for key, pair in node.pairs.items():
            if key not in allowed:
                # Inside `{ }` a comma ends a value: what follows it in an expression looks like a key.
                is_empty = isinstance(pair.value, ScalarNode) and pair.value.value is None
                is_expression = is_empty and any(sign in key for sign in "()\"'<>")
                hint = "an expression that holds a comma must be in quotes" if is_expression else suggest(key, allowed)
                problems.error("SJ201", pair.key, f"{what} has no key `{key}`", hint)

    def __contains__(self, key: str) -> bool:
        return key in self.node.pairs

    def get(self, key: str) -> Node | None:
        """The value, whatever it is."""
        return self.node.get(key)

    def need(self, *keys: str) -> bool:
        """Whether all these keys are there; reports those that are not."""
        missing = [key for key in keys if key not in self.node.pairs]
        for key in missing:
            self.problems.error("SJ202", self.node, f"{self._what} needs `{key}`")
        return not missing

    def place(self, key: str) -> Place:
        """The place of the key, else of the whole mapping."""
        pair = self.node.pairs.get(key)
        return pair.key if pair else self.node

    def text(self, key: str) -> str | None:
        return self._read(key, as_text)

    def name(self, key: str) -> str | None:
        return self._read(key, as_name)

    def mapping(self, key: str) -> MapNode | None:
        return self._read(key, as_mapping)

    def list(self, key: str) -> ListNode | None:
        return self._read(key, as_list)

    def duration(self, key: str, *, is_positive: bool = False) -> int | None:
        """Whole seconds; more than none of them where `is_positive`."""
        seconds = self._read(key, as_duration)
        if is_positive and seconds == 0:
            self.problems.error("SJ206", self.place(key), f"`{key}` is a duration above 0")
            return None
        return seconds

    def time(self, key: str) -> str | None:
        return self._read(key, as_time)

    def zone(self, key: str) -> str | None:
        return self._read(key, as_zone)

    def word(self, key: str, allowed: Sequence[str], *, hint: str = "") -> str | None:
        """One of the allowed words; without a hint of its own a mistake lists them."""
        node = self.get(key)
        if node is None or (isinstance(node, ScalarNode) and node.value in allowed):
            return None if node is None else str(node.value)
        hint = hint or suggest(str(node.value) if isinstance(node, ScalarNode) else "", allowed)
        self.problems.error("SJ204", node, f"`{key}` cannot be {written(node)}", hint)
        return None

    def boolean(self, key: str) -> bool | None:
        node = self.get(key)
        if node is None or (isinstance(node, ScalarNode) and isinstance(node.value, bool)):
            return None if node is None else bool(node.value)
        wrong_kind(node, self.problems, f"`{key}` is true or false")
        return None

    def number(self, key: str, *, least: float, is_whole: bool = True, hint: str = "") -> float | None:
        """A number of at least `least`; whole unless said otherwise."""
        node = self.get(key)
        if node is None:
            return None
        kinds = (int,) if is_whole else (int, float)
        value = node.value if isinstance(node, ScalarNode) else None
        if isinstance(value, kinds) and not isinstance(value, bool) and value >= least:
            return value
        what = "a whole number" if is_whole else "a number"
        self.problems.error(
            "SJ210", node, f"`{key}` is {what} of at least {least:g}, and {written(node)} is none", hint
        )
        return None

    def share(self, key: str) -> int | None:
        """Hundredths of a percent: `10%` is 1000."""
        node = self.get(key)
        if node is None:
            return None
        if isinstance(node, ScalarNode) and isinstance(node.value, str) and _SHARE.fullmatch(node.value):
            return round(float(node.value[:-1]) * 100)
        hint = "a percentage from 0% to 100%, such as `10%`"
        self.problems.error("SJ210", node, f"`{key}` is a share, and {written(node)} is none", hint)
        return None

    def rate(self, key: str) -> float | None:
        """A number a second: `50/s`, `500/min`."""
        node = self.get(key)
        if node is None:
            return None
        found = _RATE.fullmatch(str(node.value)) if isinstance(node, ScalarNode) else None
        if found and float(found[1]) > 0:
            return float(found[1]) / _SECONDS[found[2]]
        hint = "a number above 0 and a unit, such as `50/s` or `500/min`; units: s min h d"
        self.problems.error("SJ210", node, f"`{key}` is a rate, and {written(node)} is none", hint)
        return None

    def texts(self, key: str) -> tuple[ScalarNode, ...]:
        """The texts of a list, or a lone one, each with its place."""
        node = self.get(key)
        if node is None:
            return ()
        items: Iterable[Node] = node.items if isinstance(node, ListNode) else (node,)
        return tuple(
            item
            for item in items
            if as_text(item, self.problems, f"each of `{key}`") is not None and isinstance(item, ScalarNode)
        )

    def plain(self, key: str) -> Any:
        """The value as plain data."""
        node = self.get(key)
        return None if node is None else plain(node)

    def _read(self, key: str, read: Callable[[Node, Problems, str], T | None]) -> T | None:
        node = self.get(key)
        return None if node is None else read(node, self.problems, f"`{key}`")
