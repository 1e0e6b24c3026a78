"""One person's path in words and as JSON, in the person's own time."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from engine.insight.people import as_json, iso
from engine.insight.why import Line, inputs_text
from engine.profiles.model import Event
from engine.simulator.observed import Row
from engine.simulator.simulate import Path

#: Instants inside a sentence, as our records write them.
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|\+00:00)")


def path_text(path: Path) -> str:
    """The path for a person to read: a heading a day, a line a happening, and under a decision what it was based on."""
    counts = f"{_counted(path.entered, 'enrollment')}, {_counted(len(path.messages), 'message')}"
    lines = [f"{path.person} in {path.journey}, times of {path.zone.key}: {counts}"]
    day = None
    for at, told in _happenings(path):
        local = at.astimezone(path.zone)
        if local.date() != day:
            day = local.date()
            lines += ["", f"{local:%A, %-d %B %Y}"]
        lines.append(f"  {local:%H:%M:%S}  {told[0]}")
        lines += [f"            {line}" for line in told[1:]]
    if len(lines) == 1:
        lines += ["", "Nothing came in, and nothing happened."]
    return "\n".join(lines)


def path_json(path: Path) -> str:
    """The path for a program; `local` beside every instant."""

    def row(at: datetime, **values: Any) -> dict[str, Any]:
        return {"at": iso(at), "local": at.astimezone(path.zone).isoformat(), **values}

    return json.dumps(
        {
            "profile": path.person,
            "journey": path.journey,
            "zone": path.zone.key,
            "start": iso(path.start),
            "ended_at": iso(path.ended_at),
            "events": [
                row(event.received_at, event=event.name, timestamp=iso(event.timestamp), source=event.source,
                    properties=dict(event.properties))
                for event in path.events
            ],
            "lines": [{**as_json(line), "local": line.at.astimezone(path.zone).isoformat()} for line in path.lines],
            "messages": [
                row(m["at"], **{k: m[k] for k in ("channel", "journey", "step", "template", "to", "subject", "text")})
                for m in path.messages
            ],
        },
        indent=2,
        ensure_ascii=False,
    )  # fmt: skip


def _happenings(path: Path) -> Iterator[tuple[datetime, Sequence[str]]]:
    """By time; at one instant what came in, then step by step what was made of it and what went out."""
    trail = [line for line in path.lines if line.kind != "decision"]
    reached = {_place(line): number for number, line in enumerate(trail) if line.code == "reached"}
    sent: dict[tuple[Any, ...], int] = {}
    found = [(event.received_at, -2, 0, _event(event, path.zone)) for event in path.events]
    found += [(line.at, number, 0, [_sentence(line, path.zone)]) for number, line in enumerate(trail)]
    for line in path.lines:
        if line.kind == "decision":
            # A step that had waited decides at once when it wakes: before whatever else the instant brings.
            number = reached.get(_place(line), -1)
            sent[line.at, line.journey, line.step_id] = number
            told = [_sentence(line, path.zone), _local(inputs_text(line.detail), path.zone)]
            found.append((line.at, number, 1, told))
    for message in path.messages:
        number = sent.get((message["at"], message["journey"], message["step"]), len(trail))
        found.append((message["at"], number, 2, [_message(message)]))
    found.sort(key=lambda happening: happening[:3])
    return ((at, told) for at, _, _, told in found)


def _place(line: Line) -> tuple[datetime, str | None, str | None, int]:
    return line.at, line.enrollment_id, line.step_id, line.visit


def _event(event: Event, zone: ZoneInfo) -> list[str]:
    late = "" if event.timestamp == event.received_at else f" (happened {iso(event.timestamp)})"
    properties = ", ".join(f"{name} {value}" for name, value in event.properties.items())
    told = [_local(f"» {event.name}{late}", zone)]
    return [*told, properties] if properties else told


def _sentence(line: Line, zone: ZoneInfo) -> str:
    where = line.journey + (f" ({line.key})" if line.key else "")
    step = f" · {line.step_id}" if line.step_id else ""
    return _local(f"{where}{step}: {line.words}", zone)


def _message(message: Row) -> str:
    body = str(message["text"] or "").strip().splitlines()
    return f"✉ {message['channel']} to {message['to']}: {message['subject'] or (body[0] if body else '')}"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _local(text: str, zone: ZoneInfo) -> str:
    """The text with its instants in the person's own time."""
    return _INSTANT.sub(lambda found: f"{datetime.fromisoformat(found[0]).astimezone(zone):%Y-%m-%d %H:%M:%S}", text)
