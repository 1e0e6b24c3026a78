"""Where everything stands in a picture of a journey.

A journey is authored as nested lists, so its picture is nested blocks: a list runs down, the ways out of a step stand
beside each other and meet again below, a `repeat` has a frame round what it goes through. No two blocks share ground,
so nothing overlaps and no way crosses another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.insight.graph_shapes import (
    DETAIL,
    HEADING,
    LABEL,
    LEADING,
    Block,
    Box,
    Frame,
    Label,
    Line,
    Shape,
    TextLine,
    text_width,
    wrap,
)
from engine.insight.graph_words import Way, details, heading, trigger_words, ways_out
from engine.plan.model import ExitStep, Plan, Repeat, Send, Step
from engine.plan.words import describe

#: Room for text, least width, and what surrounds the text: the icon stands to its left.
_ROOM, _LEAST, ICON, PAD = 216.0, 208.0, 30.0, 12.0
#: Between one element and the next below; from a fork to its bar and from the bar to the words on the ways.
_GAP, _BAR, _DROP = 34.0, 16.0, 12.0
_BESIDE = 34.0
_LABEL_ROOM = 188.0
_FRAME, _LOOP = 18.0, 24.0


def lay_out(plan: Plan) -> tuple[Shape, ...]:
    """Every shape of the journey's picture, the triggers at the top."""
    steps = _sequence(plan, plan.first, None)
    if steps.leaves_at is not None:
        steps = _stacked(steps, _pill("end", "completed"))
    triggers = [_box("trigger", trigger_words(trigger), (), told="trigger") for trigger in plan.triggers]
    columns = _beside([_Column.of(block) for block in triggers], main=None)
    bottom = max(block.height for block in triggers)
    shapes: list[Shape] = []
    for column, x in columns:
        shapes += column.block.shifted(x, 0)
    top = bottom + _GAP
    if len(columns) > 1:
        bar = bottom + _GAP / 2
        top += _GAP / 2
        shapes += [_line((x, column.block.height), (x, bar), (0, bar)) for column, x in columns]
        shapes.append(_line((0, bar), (0, top), has_arrow=True))
    else:
        shapes.append(_line((0, bottom), (0, top), has_arrow=True))
    return (*shapes, *steps.shifted(0, top))


# ── blocks ───────────────────────────────────────────────────────────────────────────────────────────────────────────
def _sequence(plan: Plan, first: str | None, stop: str | None) -> Block:
    """The steps from `first` to the one before `stop`."""
    block = Block(left=0, right=0, height=0)
    step_id = first
    while step_id is not None and step_id != stop and block.leaves_at is not None:
        step = plan.steps[step_id]
        following = _step(plan, step)
        block = _stacked(block, following) if block.shapes else following
        step_id = step.next
    return block


def _stacked(upper: Block, lower: Block) -> Block:
    """One below the other, with an arrow between."""
    x, y = upper.leaves_at or 0.0, upper.height + _GAP
    arrow = _line((x, upper.height), (x, y), has_arrow=True)
    return Block(
        left=max(upper.left, lower.left - x),
        right=max(upper.right, lower.right + x),
        height=y + lower.height,
        shapes=(*upper.shapes, arrow, *lower.shifted(x, y)),
        leaves_at=None if lower.leaves_at is None else x + lower.leaves_at,
    )


def _step(plan: Plan, step: Step) -> Block:
    match step:
        case ExitStep():
            return _pill("exit", heading(step), step)
        case Repeat():
            return _repeated(plan, step)
        case _:
            kind = f"send {step.channels[0]}" if isinstance(step, Send) else step.kind
            box = _box(kind, heading(step), details(step), step)
            ways = ways_out(step)
            return _forked(plan, step, box, ways) if ways else box


@dataclass(frozen=True, kw_only=True, slots=True)
class _Column:
    """One way out: the words on it, and what it leads through."""

    label: Label | None
    block: Block

    @classmethod
    def of(cls, block: Block, words: str | None = None) -> _Column:
        if words is None:
            return cls(label=None, block=block)
        lines = tuple(wrap(words, LABEL, _LABEL_ROOM))
        width = max(text_width(line, LABEL) for line in lines) + 14
        return cls(
            label=Label(x=0, y=0, width=width, height=len(lines) * LABEL * LEADING + 6, lines=lines), block=block
        )

    @property
    def left(self) -> float:
        return max(self.block.left, self.label.width / 2 if self.label else 0)

    @property
    def right(self) -> float:
        return max(self.block.right, self.label.width / 2 if self.label else 0)


def _beside(columns: Sequence[_Column], *, main: int | None) -> list[tuple[_Column, float]]:
    """Each column with its x: `main` straight below, else the middle one, else all of them about the middle."""
    if main is None and len(columns) % 2:
        main = len(columns) // 2
    places: list[float] = []
    x = 0.0
    for number, column in enumerate(columns):
        x += column.left if number else 0.0
        places.append(x)
        x += column.right + _BESIDE
    middle = (places[0] + places[-1]) / 2 if main is None else places[main]
    return [(column, place - middle) for column, place in zip(columns, places, strict=True)]


def _forked(plan: Plan, step: Step, box: Block, ways: Sequence[Way]) -> Block:
    columns = []
    for way in ways:
        block = _pill("exit", f"exit {way.ends}") if way.ends is not None else _sequence(plan, way.goto, step.next)
        columns.append(_Column.of(block, way.label))
    main = next((number for number, way in enumerate(ways) if way.is_main), None)
    placed = _beside(columns, main=main)
    bar = box.height + _BAR
    words = bar + _DROP
    top = words + max(column.label.height for column, _ in placed if column.label) + _DROP + 6
    bottom = top + max(column.block.height for column, _ in placed)
    shapes: list[Shape] = list(box.shapes)
    for column, x in placed:
        shapes.append(_line((0, box.height), (0, bar), (x, bar), (x, top), has_arrow=bool(column.block.shapes)))
        if column.label:
            shapes.append(column.label.moved(x, words))
        shapes += column.block.shifted(x, top)
    open_ends = [
        (x + column.block.leaves_at, top + column.block.height)
        for column, x in placed
        if column.block.leaves_at is not None
    ]
    leaves_at, height = None, bottom
    if len(open_ends) == 1:
        leaves_at = open_ends[0][0]
        shapes.append(_line(open_ends[0], (leaves_at, bottom)))
    elif open_ends:
        leaves_at, height = 0.0, bottom + _BAR
        shapes += [_line((x, y), (x, height), (0, height)) for x, y in open_ends]
    return Block(
        left=max(box.left, *(column.left - x for column, x in placed)),
        right=max(box.right, *(column.right + x for column, x in placed)),
        height=height,
        shapes=tuple(shapes),
        leaves_at=leaves_at,
    )


def _repeated(plan: Plan, step: Repeat) -> Block:
    box = _box("repeat", heading(step), details(step), step)
    if step.body is None:
        return box
    inner = _stacked(box, _sequence(plan, step.body, step.step_id))
    left, right, bottom = inner.left, inner.right, inner.height
    shapes: list[Shape] = []
    if inner.leaves_at is not None:
        side, bottom, middle = -left - _LOOP, bottom + _LOOP / 2, box.height / 2
        left += _LOOP
        end = inner.leaves_at
        shapes.append(
            _line(
                (end, inner.height), (end, bottom), (side, bottom), (side, middle), (-box.left, middle), has_arrow=True
            )
        )
    frame = Frame(x=-left - _FRAME, y=0, width=left + right + 2 * _FRAME, height=bottom + 2 * _FRAME)
    return Block(
        left=left + _FRAME,
        right=right + _FRAME,
        height=frame.height,
        shapes=(frame, *(shape.moved(0, _FRAME) for shape in (*inner.shapes, *shapes))),
    )


# ── single boxes ─────────────────────────────────────────────────────────────────────────────────────────────────────
def _box(kind: str, title: str, under: Sequence[str], step: Step | None = None, told: str = "") -> Block:
    lines = [TextLine(text=line, is_heading=True) for line in wrap(title, HEADING, _ROOM, is_bold=True)]
    lines += [TextLine(text=line) for text in under for line in wrap(text, DETAIL, _ROOM)]
    return _placed(kind, lines, ICON + 2 * PAD, _LEAST, step, told)


def _pill(kind: str, words: str, step: Step | None = None) -> Block:
    lines = [TextLine(text=line, is_heading=True) for line in wrap(words, HEADING, _ROOM, is_bold=True)]
    block = _placed(kind, lines, ICON + 2 * PAD, 0, step, words)
    return Block(left=block.left, right=block.right, height=block.height, shapes=block.shapes, leaves_at=None)


def _placed(kind: str, lines: Sequence[TextLine], around: float, least: float, step: Step | None, told: str) -> Block:
    wide = max(text_width(line.text, line.size, is_bold=line.is_heading) for line in lines)
    width = max(wide + around, least)
    height = sum(line.size * LEADING for line in lines) + 2 * PAD - 3
    box = Box(
        x=-width / 2,
        y=0,
        width=width,
        height=height,
        kind=kind,
        lines=tuple(lines),
        step_id=step.step_id if step else None,
        told=describe(step) if step else told,
    )
    return Block(left=width / 2, right=width / 2, height=height, shapes=(box,))


def _line(*points: tuple[float, float], has_arrow: bool = False) -> Line:
    return Line(points=points, has_arrow=has_arrow)
