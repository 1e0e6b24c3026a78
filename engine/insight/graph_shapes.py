"""The shapes of a picture and the room that words take in it. Lengths are pixels at the picture's own scale."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Self

#: Size of a heading, of what stands under it, of what stands on the ways; and the distance between their lines.
HEADING, DETAIL, LABEL = 13.5, 11.5, 11.5
LEADING = 1.38

#: Widths in ems of what is clearly narrower or wider than the rest, in the common sans-serif fonts.
_NARROW, _WIDE, _DIGIT, _CAPITAL, _OTHER, _FULL = 0.3, 0.88, 0.57, 0.7, 0.56, 1.05


def text_width(text: str, size: float, *, is_bold: bool = False) -> float:
    """About how wide the text comes out, rather more than less."""
    return sum(map(_em, text)) * size * (1.06 if is_bold else 1.0)


def _em(character: str) -> float:
    if character in "iljtfrI.,:;'|!()[]{}/\\ ·":
        return _NARROW if character not in "tfr" else 0.38
    if character in "mwMW@%—→":
        return _WIDE
    if ord(character) > 0x2E7F:
        return _FULL
    if character.isdigit():
        return _DIGIT
    return _CAPITAL if character.isupper() else _OTHER


def wrap(text: str, size: float, room: float, *, is_bold: bool = False) -> list[str]:
    """The text in lines of at most `room` pixels, broken at spaces, and inside a word where one alone is too wide."""
    lines: list[str] = []
    line = ""
    for word in text.split():
        joined = f"{line} {word}" if line else word
        if text_width(joined, size, is_bold=is_bold) <= room:
            line = joined
            continue
        if line:
            lines.append(line)
        line = word
        while text_width(line, size, is_bold=is_bold) > room:
            fitting = next(
                n for n in range(len(line) - 1, 0, -1) if n == 1 or text_width(line[:n], size) <= room * 0.94
            )
            lines.append(line[:fitting])
            line = line[fitting:]
    return [*lines, line] if line else lines


@dataclass(frozen=True, kw_only=True, slots=True)
class TextLine:
    text: str
    is_heading: bool = False

    @property
    def size(self) -> float:
        return HEADING if self.is_heading else DETAIL


@dataclass(frozen=True, kw_only=True, slots=True)
class Box:
    """A trigger, a step or an end."""

    x: float
    y: float
    width: float
    height: float
    #: A step's kind (a send's with its channel), `trigger`, `end`.
    kind: str
    lines: tuple[TextLine, ...]
    step_id: str | None = None
    #: What a pointer held over it shows.
    told: str = ""

    def moved(self, dx: float, dy: float) -> Self:
        return replace(self, x=self.x + dx, y=self.y + dy)


@dataclass(frozen=True, kw_only=True, slots=True)
class Label:
    """Words on a way; `x` is their middle."""

    x: float
    y: float
    width: float
    height: float
    lines: tuple[str, ...]

    def moved(self, dx: float, dy: float) -> Self:
        return replace(self, x=self.x + dx, y=self.y + dy)


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """A way, as the corners that it passes."""

    points: tuple[tuple[float, float], ...]
    has_arrow: bool = False

    def moved(self, dx: float, dy: float) -> Self:
        return replace(self, points=tuple((x + dx, y + dy) for x, y in self.points))


@dataclass(frozen=True, kw_only=True, slots=True)
class Frame:
    """What a `repeat` goes through."""

    x: float
    y: float
    width: float
    height: float

    def moved(self, dx: float, dy: float) -> Self:
        return replace(self, x=self.x + dx, y=self.y + dy)


Shape = Box | Label | Line | Frame


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """A part of the picture, entered from above at x = 0, y = 0."""

    #: How far it reaches to either side of 0, and down.
    left: float
    right: float
    height: float
    shapes: tuple[Shape, ...] = ()
    #: Where it is left at its bottom; None where nobody comes out.
    leaves_at: float | None = 0.0

    def shifted(self, dx: float, dy: float) -> Iterator[Shape]:
        return (shape.moved(dx, dy) for shape in self.shapes)


def extent(shapes: Sequence[Shape]) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of what is drawn."""
    corners: list[tuple[float, float]] = []
    for shape in shapes:
        match shape:
            case Line():
                corners += shape.points
            case Label():
                half = shape.width / 2
                corners += [(shape.x - half, shape.y), (shape.x + half, shape.y + shape.height)]
            case Box() | Frame():
                corners += [(shape.x, shape.y), (shape.x + shape.width, shape.y + shape.height)]
    across, down = [x for x, _ in corners], [y for _, y in corners]
    return min(across), min(down), max(across), max(down)
