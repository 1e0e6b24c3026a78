"""A journey as an SVG picture: no scripts, no links, no fonts from elsewhere; every text escaped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from xml.sax.saxutils import escape, quoteattr

from engine.insight.graph_layout import ICON, PAD, lay_out
from engine.insight.graph_shapes import DETAIL, LABEL, LEADING, Box, Frame, Label, Line, extent, wrap
from engine.insight.graph_words import Note, notes
from engine.plan.model import Plan

_MARGIN, _HEAD, _CORNER = 36.0, 74.0, 9.0
_NOTE_ROOM, _NOTE_BESIDE = 216.0, 56.0
_INK, _MUTED, _LINES, _PAPER = "#22303c", "#5f6c78", "#a3aeb8", "#fcfbf8"
_FONT = "Inter,'Segoe UI','Helvetica Neue',Helvetica,Arial,'Liberation Sans',sans-serif"

#: Fill, border and icon colour of a family of boxes.
_COLOURS: Mapping[str, tuple[str, str, str]] = {
    "trigger": ("#22303c", "#22303c", "#f4c95d"),
    "send": ("#eef4ff", "#a9c3f2", "#2f62c2"),
    "wait": ("#fff8e6", "#ecd394", "#a8740a"),
    "choice": ("#f5f0fd", "#cdb9ef", "#6b41b8"),
    "act": ("#eaf7f1", "#a3d8be", "#1b7f56"),
    "exit": ("#fdf0ef", "#ecb9b3", "#b5443a"),
    "end": ("#eef0f2", "#c5ccd3", "#5f6c78"),
}
_FAMILIES: Mapping[str, str] = {
    "trigger": "trigger",
    "end": "end",
    "exit": "exit",
    "wait": "wait",
    "wait_for": "wait",
    "branch": "choice",
    "split": "choice",
    "repeat": "choice",
    "set": "act",
    "emit": "act",
    "call": "act",
    "start": "act",
}
_ENVELOPE = "M1.5 3.5h13v9h-13z M1.5 4l6.5 5l6.5-5"
_BUBBLE = "M2 2.5h12v8.5h-6.5l-3.5 3v-3h-2z"
#: Icons, drawn with strokes on 16 by 16.
_ICONS: Mapping[str, str] = {
    "trigger": "M9 1.5L3 9h4.5l-.8 5.5L13 7H8.3z",
    "wait": "M8 1.8a6.2 6.2 0 1 0 .01 0z M8 4.6V8l2.4 1.7",
    "wait_for": "M4 1.8h8 M4 14.2h8 M5 1.8c0 4 6 4.4 6 6.2s-6 2.2-6 6.2 M11 1.8c0 4-6 4.4-6 6.2s6 2.2 6 6.2",
    "branch": "M8 14.5V9L3 3.5 M8 9l5-5.5 M3 7V3.5h3.5 M13 7V3.5H9.5",
    "split": "M8 14.5V8 M8 8C8 5 3.5 6 3.5 2 M8 8c0-3 4.5-2 4.5-6",
    "repeat": "M3 8a5 5 0 0 1 8.7-3.3L13 6 M13 2.5V6H9.5 M13 8a5 5 0 0 1-8.7 3.3L3 10 M3 13.5V10h3.5",
    "set": "M2 2.5h6l6 6-5.5 5.5-6.5-6.5z M5 5.5h.01",
    "emit": "M8 6.8a1.3 1.3 0 1 0 .01 0z M4.8 11.2a4.4 4.4 0 0 1 0-6.3 M11.2 4.9a4.4 4.4 0 0 1 0 6.3 "
    "M2.6 13.4a7.5 7.5 0 0 1 0-10.7 M13.4 2.7a7.5 7.5 0 0 1 0 10.7",
    "call": "M8 1.8a6.2 6.2 0 1 0 .01 0z M1.8 8h12.4 M8 1.8c-4 4-4 8.4 0 12.4 M8 1.8c4 4 4 8.4 0 12.4",
    "start": "M4 2.5l9 5.5-9 5.5z",
    "exit": "M9 2H3v12h6 M6.5 8H14 M11 5l3 3-3 3",
    "end": "M2.5 8.5l3.8 4L13.5 4",
}


def svg(plan: Plan) -> str:
    """The picture as one self-contained SVG document."""
    shapes = lay_out(plan)
    left, top, right, bottom = extent(shapes)
    beside = tuple(notes(plan))
    card = _Card(beside)
    width = right - left + _NOTE_BESIDE + card.width + 2 * _MARGIN
    height = max(bottom - top, card.height) + _HEAD + 2 * _MARGIN - 12
    dx, dy = _MARGIN - left, _HEAD + _MARGIN - 12 - top
    moved = [shape.moved(dx, dy) for shape in shapes]
    size = f'width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" font-family="{_FONT}">',
        f"<title>{escape(plan.title)}</title>",
        f'<rect width="100%" height="100%" fill="{_PAPER}"/>',
        _text(_MARGIN, _MARGIN + 20, plan.title, 22, _INK, "bold"),
        _text(_MARGIN, _MARGIN + 41, plan.journey, 12.5, _MUTED),
        *(_frame(shape) for shape in moved if isinstance(shape, Frame)),
        *(_line(shape) for shape in moved if isinstance(shape, Line)),
        *(_label(shape) for shape in moved if isinstance(shape, Label)),
    ]
    for shape in moved:
        if isinstance(shape, Box):
            parts += _box(shape)
    parts += card.drawn(width - _MARGIN - card.width, dy + top)
    return "\n".join([*parts, "</svg>"]) + "\n"


# ── shapes ───────────────────────────────────────────────────────────────────────────────────────────────────────────
def _box(box: Box) -> Iterator[str]:
    family = "send" if box.kind.startswith("send") else _FAMILIES[box.kind]
    fill, border, icon = _COLOURS[family]
    is_dark = family == "trigger"
    radius = box.height / 2 if family in ("exit", "end") and len(box.lines) == 1 else _CORNER
    step = f" data-step={quoteattr(box.step_id)}" if box.step_id else ""
    yield f"<g{step}><title>{escape(box.told)}</title>"
    yield (
        f'<rect class="box" x="{box.x:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" height="{box.height:.1f}" '
        f'rx="{radius:.1f}" fill="{fill}" stroke="{border}"/>'
    )
    yield (
        f'<path transform="translate({box.x + PAD:.1f} {box.y + PAD:.1f})" d="{_icon(box.kind)}" fill="none" '
        f'stroke="{icon}" stroke-width="1.5" stroke-linecap="round" stroke-linejoin="round"/>'
    )
    y = box.y + PAD - 3
    for line in box.lines:
        y += line.size * LEADING
        colour = ("#ffffff" if is_dark else _INK) if line.is_heading else _MUTED
        yield _text(box.x + PAD + ICON - 3, y - 3, line.text, line.size, colour, "600" if line.is_heading else "")
    yield "</g>"


def _icon(kind: str) -> str:
    if not kind.startswith("send"):
        return _ICONS[kind]
    return _ENVELOPE if "mail" in kind else _BUBBLE


def _label(label: Label) -> str:
    lines = "".join(
        f'<tspan x="{label.x:.1f}" y="{label.y + (number + 1) * LABEL * LEADING - 1:.1f}">{escape(line)}</tspan>'
        for number, line in enumerate(label.lines)
    )
    return (
        f'<rect class="label" x="{label.x - label.width / 2:.1f}" y="{label.y:.1f}" width="{label.width:.1f}" '
        f'height="{label.height:.1f}" rx="6" fill="{_PAPER}"/>'
        f'<text font-size="{LABEL}" fill="{_MUTED}" text-anchor="middle">{lines}</text>'
    )


def _frame(frame: Frame) -> str:
    return (
        f'<rect class="frame" x="{frame.x:.1f}" y="{frame.y:.1f}" width="{frame.width:.1f}" '
        f'height="{frame.height:.1f}" rx="14" fill="#f7f4fb" stroke="#cdb9ef" stroke-dasharray="5 4"/>'
    )


def _line(line: Line) -> str:
    points = [point for point, before in zip(line.points, (None, *line.points), strict=False) if point != before]
    if len(points) < 2:
        return ""
    drawn = [f"M{points[0][0]:.1f} {points[0][1]:.1f}"]
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        into, out = _towards(corner, before), _towards(corner, after)
        drawn.append(f"L{into[0]:.1f} {into[1]:.1f}Q{corner[0]:.1f} {corner[1]:.1f} {out[0]:.1f} {out[1]:.1f}")
    drawn.append(f"L{points[-1][0]:.1f} {points[-1][1]:.1f}")
    path = f'<path d="{"".join(drawn)}" fill="none" stroke="{_LINES}" stroke-width="1.5"/>'
    return path + (_arrow(points) if line.has_arrow else "")


def _towards(corner: tuple[float, float], other: tuple[float, float]) -> tuple[float, float]:
    """A little way from the corner: where its rounding begins."""
    dx, dy = other[0] - corner[0], other[1] - corner[1]
    length = max(abs(dx), abs(dy))
    share = min(_CORNER, length / 2) / length
    return corner[0] + dx * share, corner[1] + dy * share


def _arrow(points: Sequence[tuple[float, float]]) -> str:
    (x0, y0), (x, y) = points[-2:]
    is_down = abs(y - y0) >= abs(x - x0)
    sides = "l-4.5 -7.5h9z" if is_down else "l-7.5 -4.5v9z"
    return f'<path d="M{x:.1f} {y:.1f}{sides}" fill="{_LINES}"/>'


def _text(x: float, y: float, text: str, size: float, colour: str, weight: str = "") -> str:
    bold = f' font-weight="{weight}"' if weight else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:g}" fill="{colour}"{bold}>{escape(text)}</text>'


# ── the note beside ──────────────────────────────────────────────────────────────────────────────────────────────────
class _Card:
    """Entry, exits and goal, on a card at the right."""

    def __init__(self, told: Sequence[Note]) -> None:
        self._rows: list[tuple[float, str, bool]] = []
        y = PAD - 1
        for note in told:
            y += DETAIL * LEADING
            self._rows.append((y, note.heading, True))
            for text in note.lines:
                for number, line in enumerate(wrap(text, DETAIL, _NOTE_ROOM - 10)):
                    y += DETAIL * LEADING + (4 if number == 0 else 0)
                    self._rows.append((y, line if number else f"·  {line}", False))
            y += 12
        self.width = _NOTE_ROOM + 2 * PAD + 8
        self.height = y + PAD - 9

    def drawn(self, x: float, y: float) -> Iterator[str]:
        yield (
            f'<rect class="note" x="{x:.1f}" y="{y:.1f}" width="{self.width:.1f}" height="{self.height:.1f}" '
            f'rx="{_CORNER}" fill="#fffdf5" stroke="#e8dcb8"/>'
        )
        for row, text, is_heading in self._rows:
            indent = 0 if is_heading or text.startswith("·") else 9
            colour = _INK if is_heading else _MUTED
            yield _text(x + PAD + 4 + indent, y + row, text, DETAIL, colour, "600" if is_heading else "")
