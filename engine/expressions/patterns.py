"""`matches(text, "^/pricing/\\\\d+$")`: regular expressions in linear time, whatever the pattern and the text.

A pattern becomes a nondeterministic automaton (Thompson), walked with all its states at once; sets of states met once
are remembered. There is no backtracking to explode, and neither back-references nor look-around, which would need it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

MAX_PATTERN = 500
#: States of the automaton, once repetitions are written out; the cost of a character is at most proportional to it.
MAX_STATES = 1_000
#: Remembered steps from a set of states over a character; forgotten together when there are more.
_MAX_STEPS = 20_000
_MAX_DEPTH = 50

_Test = Callable[[str], bool]
_CLASSES: dict[str, _Test] = {
    "d": str.isdecimal,
    "w": lambda char: char.isalnum() or char == "_",
    "s": str.isspace,
    "D": lambda char: not char.isdecimal(),
    "W": lambda char: not (char.isalnum() or char == "_"),
    "S": lambda char: not char.isspace(),
}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v"}


class PatternError(ValueError):
    """A pattern that does not read."""

    def __init__(self, message: str, hint: str = "") -> None:
        self.hint = hint
        super().__init__(message)


# ── the pattern as a tree ────────────────────────────────────────────────────────────────────────────────────────────
@dataclass(frozen=True, slots=True)
class _Char:
    test: _Test


@dataclass(frozen=True, slots=True)
class _Anchor:
    is_start: bool


@dataclass(frozen=True, slots=True)
class _Sequence:
    parts: tuple[_Part, ...]


@dataclass(frozen=True, slots=True)
class _Either:
    options: tuple[_Part, ...]


@dataclass(frozen=True, slots=True)
class _Repeat:
    part: _Part
    least: int
    #: None is without end.
    most: int | None


_Part = _Char | _Anchor | _Sequence | _Either | _Repeat


class _Reader:
    """Recursive descent over a pattern."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def read(self) -> _Part:
        part = self._either(0)
        if self._at < len(self._text):
            raise PatternError("`)` has no partner", "write \\\\) for the character itself")
        return part

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _take(self, what: str) -> str:
        char = self._peek()
        if not char:
            raise PatternError(f"it ends inside {what}")
        self._at += 1
        return char

    def _either(self, depth: int) -> _Part:
        if depth > _MAX_DEPTH:
            raise PatternError(f"its brackets are nested deeper than {_MAX_DEPTH} levels")
        options = [self._sequence(depth)]
        while self._peek() == "|":
            self._at += 1
            options.append(self._sequence(depth))
        return options[0] if len(options) == 1 else _Either(tuple(options))

    def _sequence(self, depth: int) -> _Part:
        parts: list[_Part] = []
        while self._peek() not in ("", "|", ")"):
            parts.append(self._repeated(self._atom(depth)))
        return parts[0] if len(parts) == 1 else _Sequence(tuple(parts))

    def _atom(self, depth: int) -> _Part:
        char = self._take("it")
        match char:
            case "(":
                if self._peek() == "?":
                    if self._text[self._at : self._at + 2] != "?:":
                        raise PatternError("`(?` begins what would not be linear", "groups are written ( ) or (?: )")
                    self._at += 2
                inner = self._either(depth + 1)
                if self._take("a bracket") != ")":
                    raise PatternError("a bracket has no partner")
                return inner
            case "[":
                return self._set()
            case ".":
                return _Char(lambda other: other != "\n")
            case "^":
                return _Anchor(is_start=True)
            case "$":
                return _Anchor(is_start=False)
            case "\\":
                return _Char(self._escape())
            case "*" | "+" | "?" | "{":
                raise PatternError(f"nothing stands before `{char}`", f"write \\\\{char} for the character itself")
            case _:
                return _Char(char.__eq__)

    def _escape(self) -> _Test:
        char = self._take("an escape")
        if char in _CLASSES:
            return _CLASSES[char]
        return self._escaped(char).__eq__

    @staticmethod
    def _escaped(char: str) -> str:
        if char in _ESCAPES:
            return _ESCAPES[char]
        if char.isalnum():
            raise PatternError(f"`\\{char}` means nothing here", "there are \\d \\w \\s \\D \\W \\S \\n \\t")
        return char

    def _repeated(self, part: _Part) -> _Part:
        bounds = self._bounds()
        if bounds is None:
            return part
        if isinstance(part, _Anchor):
            raise PatternError("an anchor cannot be repeated")
        if self._peek() in ("*", "+", "?") or self._is_counted():
            raise PatternError("a repetition cannot be repeated", "put brackets around the inner one")
        return _Repeat(part, *bounds)

    def _is_counted(self) -> bool:
        return self._peek() == "{"

    def _bounds(self) -> tuple[int, int | None] | None:
        simple: dict[str, tuple[int, int | None]] = {"*": (0, None), "+": (1, None), "?": (0, 1)}
        char = self._peek()
        if char in simple:
            self._at += 1
            return simple[char]
        if not self._is_counted():
            return None
        end = self._text.find("}", self._at)
        least, comma, most = self._text[self._at + 1 : end].partition(",") if end > 0 else ("", "", "")
        if not _is_count(least) or (most and not _is_count(most)):
            raise PatternError("`{` begins a repetition such as {2}, {2,} or {2,5}", "write \\\\{ for the character")
        self._at = end + 1
        bounds = int(least), int(most) if most else (None if comma else int(least))
        if bounds[1] is not None and bounds[1] < bounds[0]:
            raise PatternError(f"{{{least},{most}}} counts backwards")
        return bounds

    def _set(self) -> _Char:
        is_negated = self._peek() == "^"
        self._at += is_negated
        tests: list[_Test] = []
        while (char := self._take("[ ]")) != "]" or not tests:
            if char == "[":
                raise PatternError("`[` inside [ ]", "write \\\\[ for the character itself")
            if char == "\\" and self._peek() in _CLASSES:
                tests.append(_CLASSES[self._take("[ ]")])
                continue
            low = self._escaped(self._take("[ ]")) if char == "\\" else char
            if self._peek() == "-" and self._text[self._at + 1 : self._at + 2] not in ("]", ""):
                self._at += 1
                char = self._take("[ ]")
                if char == "\\" and self._peek() in _CLASSES:
                    raise PatternError("a range ends in a single character")
                high = self._escaped(self._take("[ ]")) if char == "\\" else char
                if high < low:
                    raise PatternError(f"the range {low}-{high} runs backwards")
                tests.append(_between(low, high))
            else:
                tests.append(low.__eq__)
        return _Char(_none_of(tests) if is_negated else _any_of(tests))


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 4


def _between(low: str, high: str) -> _Test:
    return lambda char: low <= char <= high


def _any_of(tests: list[_Test]) -> _Test:
    return lambda char: any(test(char) for test in tests)


def _none_of(tests: list[_Test]) -> _Test:
    return lambda char: not any(test(char) for test in tests)


# ── the automaton ────────────────────────────────────────────────────────────────────────────────────────────────────
@dataclass(slots=True)
class _State:
    """Either a test that leads to `next[0]`, or (no test) free ways to all of `next`, an anchor permitting."""

    test: _Test | None = None
    #: None, or whether the free way needs the text's start (True) or its end (False).
    anchor: bool | None = None
    next: tuple[int, ...] = ()


class Pattern:
    """A pattern, ready to search texts."""

    def __init__(self, part: _Part) -> None:
        self._states: list[_State] = [_State()]
        #: State 0 is the match.
        self._first = self._add(part, 0)
        self._start = self._closure({self._first}, at_start=True, at_end=False)
        #: Everywhere but at the start of the text, a match may begin as well.
        self._begun = self._closure({self._first}, at_start=False, at_end=False)
        self._steps: dict[tuple[frozenset[int], str], frozenset[int]] = {}

    def search(self, text: str) -> bool:
        """Whether the pattern fits anywhere in the text; `^` and `$` tie it to the text's start and end."""
        states = self._start
        for char in text:
            if 0 in states:
                return True
            known = self._steps.get((states, char))
            states = self._step(states, char) if known is None else known
        return 0 in states or 0 in self._closure(states, at_start=not text, at_end=True)

    def _step(self, states: frozenset[int], char: str) -> frozenset[int]:
        reached: set[int] = set()
        for index in states:
            state = self._states[index]
            if state.test is not None and state.test(char):
                reached.add(state.next[0])
        following = self._closure(reached, at_start=False, at_end=False) | self._begun
        if len(self._steps) >= _MAX_STEPS:
            self._steps.clear()
        self._steps[states, char] = following
        return following

    def _closure(self, states: set[int] | frozenset[int], *, at_start: bool, at_end: bool) -> frozenset[int]:
        """All states that can be reached without a character."""
        reached = set(states)
        waiting = list(states)
        while waiting:
            state = self._states[waiting.pop()]
            is_free = state.test is None and state.anchor in (None, *([True] * at_start), *([False] * at_end))
            for following in state.next if is_free else ():
                if following not in reached:
                    reached.add(following)
                    waiting.append(following)
        return frozenset(reached)

    def _new(self, state: _State) -> int:
        if len(self._states) >= MAX_STATES:
            raise PatternError(f"it is too large: its repetitions make more than {MAX_STATES} states")
        self._states.append(state)
        return len(self._states) - 1

    def _add(self, part: _Part, then: int) -> int:
        """The first state of a part that goes on to `then`."""
        match part:
            case _Char():
                return self._new(_State(test=part.test, next=(then,)))
            case _Anchor():
                return self._new(_State(anchor=part.is_start, next=(then,)))
            case _Sequence():
                for piece in reversed(part.parts):
                    then = self._add(piece, then)
                return then
            case _Either():
                return self._new(_State(next=tuple(self._add(option, then) for option in part.options)))
            case _Repeat():
                return self._add_repeat(part, then)

    def _add_repeat(self, part: _Repeat, then: int) -> int:
        if part.most is None:
            loop = self._new(_State())
            self._states[loop].next = (self._add(part.part, loop), then)
            then = loop
        else:
            end = then
            for _ in range(part.most - part.least):
                then = self._new(_State(next=(self._add(part.part, then), end)))
        for _ in range(part.least):
            then = self._add(part.part, then)
        return then


@lru_cache(maxsize=512)
def compile_pattern(text: str) -> Pattern:
    """The pattern that a text writes; raises `PatternError`, which says what does not read."""
    if len(text) > MAX_PATTERN:
        raise PatternError(f"it is longer than {MAX_PATTERN} characters")
    return Pattern(_Reader(text).read())
