"""What a driver made of a scenario, in rows that can be held against another driver's: to the second, in no order."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from engine.errors import SojournError
from engine.project import Project
from engine.simulator.observed import observe
from engine.simulator.scenario import Scenario
from engine.simulator.timeline import play
from engine.simulator.virtual import VirtualCarrier
from engine.simulator.world import World
from engine.storage.memory import MemoryStore

#: Plays a scenario; the world stays open, and tells the instant of its end.
Played = Callable[[Scenario], AbstractContextManager[tuple[World, datetime]]]
#: Section -> its rows, each as text.
Record = Mapping[str, tuple[str, ...]]


@contextmanager
def virtually(project: Project, scenario: Scenario) -> Iterator[tuple[World, datetime]]:
    world = World(project, scenario, MemoryStore())
    yield world, play(world, VirtualCarrier(world.engine, world.clock))


def record(world: World, ended_at: datetime) -> Record:
    """Everything that a scenario may expect, and every enrollment's trail."""
    sections = {name: rows for name, rows in asdict(observe(world, ended_at)).items() if name != "ended_at"}
    names = {world.profile_id(person.person): person.person for person in world.scenario.people}
    with world.store.transaction() as unit:
        sections["trail"] = tuple(
            {
                "profile": names.get(enrollment.profile_id, enrollment.profile_id),
                "journey": enrollment.journey,
                "enrollment": enrollment.enrollment_id,
                "at": entry.at,
                "what": entry.what,
                "step": entry.step_id,
                "visit": entry.visit,
                "detail": entry.detail,
            }
            for enrollment in unit.enrollments.of()
            for entry in unit.enrollments.trail(enrollment.enrollment_id)
        )
    return {name: tuple(sorted(_text(row) for row in rows)) for name, rows in sections.items()}


def problem_or_record(played: Callable[[], Record]) -> Record:
    """The record; or, where the scenario could not be played, why."""
    try:
        return played()
    except (SojournError, RuntimeError) as problem:
        return {"problem": (str(problem),)}


def _text(row: Mapping[str, Any]) -> str:
    return json.dumps(_plain(row), default=str, sort_keys=True)


def _plain(value: Any) -> Any:
    match value:
        case datetime():
            return (value + timedelta(milliseconds=500)).replace(microsecond=0).isoformat()
        case str() if len(value) > 18 and value[:2] == "20" and value[10] == "T":
            return _plain(datetime.fromisoformat(value))
        case dict():
            return {name: _plain(each) for name, each in value.items()}
        case list() | tuple():
            return [_plain(each) for each in value]
        case _:
            return value
