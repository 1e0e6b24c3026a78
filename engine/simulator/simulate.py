"""One person's whole path in time: what came in, what was decided and why, what was sent, in the person's own time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from engine.enrollment.facts import zone_of
from engine.insight.people import iso
from engine.insight.why import Line, story
from engine.language.diagnostics import Problems
from engine.language.source import ListNode, MapNode, Node, Pair, ScalarNode, read_source
from engine.profiles.model import Event
from engine.project import Project
from engine.simulator.backtest import taking_part
from engine.simulator.backtest_rows import Recording
from engine.simulator.observed import Observed, Row, observe
from engine.simulator.reading import read_document
from engine.simulator.scenario import Row as Incoming
from engine.simulator.scenario import Scenario, Tracked
from engine.simulator.timeline import play
from engine.simulator.virtual import VirtualCarrier
from engine.simulator.world import World
from engine.storage.memory import MemoryStore


@dataclass(frozen=True, kw_only=True, slots=True)
class Path:
    """What became of one person, by time."""

    person: str
    journey: str
    zone: ZoneInfo
    start: datetime
    ended_at: datetime
    events: tuple[Event, ...]
    lines: tuple[Line, ...]
    messages: tuple[Row, ...]
    entered: int


# ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def read_simulation(
    project: Project,
    journey: str,
    profile: tuple[str, bytes],
    events: tuple[str, bytes],
    *,
    start: datetime | None,
    until: str | None,
    now: datetime,
    problems: Problems,
) -> Scenario | None:
    """The scenario of one profile (a mapping, as under `profiles`) and its rows (a list, as under `events`).

    It starts at `start`, else with the first timestamp among the rows, else `now`. None, and the problems, where the
    files cannot be used.
    """
    person = _only(*profile, problems)
    rows = _only(*events, problems)
    if isinstance(rows, MapNode) and "events" in rows.pairs:
        rows = rows.pairs["events"].value
    if not isinstance(person, MapNode) or not isinstance(rows, ListNode):
        for found, kind, what, code in (
            (person, MapNode, "a profile is a mapping: `id`, `email`, `timezone`, `consents` …", "SJ801"),
            (rows, ListNode, "events are a list of rows, as under `events` of a scenario", "SJ801"),
        ):
            if found is not None and not isinstance(found, kind):
                problems.error(code, found, what)
        return None
    begins = start or _first_instant(rows) or now
    document = _mapping(
        person,
        {
            "scenario": _scalar(person, f"simulation of {journey}"),
            "start": _scalar(person, iso(begins)),
            "journeys": ListNode(
                **_place(person), items=tuple(_scalar(person, n) for n in taking_part(project, journey))
            ),
            "profiles": ListNode(**_place(person), items=(person,)),
            "events": ListNode(**_place(rows), items=tuple(_about(row, person) for row in rows.items)),
            **({"until": _scalar(person, until)} if until else {}),
            "expect": _mapping(person, {}),
        },
    )
    return read_document(document, project, problems)


def with_recorded(scenario: Scenario, recording: Recording, start: datetime | None) -> Scenario:
    """The scenario with one person's events of a recording in place of its rows; it starts with the first of them."""
    person = scenario.people[0].person
    rows = sorted(
        (
            Incoming(
                at=event.timestamp,
                line=event.number,
                action=Tracked(
                    person=person,
                    event=event.event,
                    properties=event.properties,
                    timestamp=event.timestamp,
                    message_id=event.message_id,
                ),
            )
            for event in recording
            if event.person == person
        ),
        key=lambda row: row.at,
    )
    begins = start or (rows[0].at if rows else scenario.start)
    lasting = scenario.until - scenario.start if scenario.until else None
    return replace(scenario, start=begins, rows=tuple(rows), until=begins + lasting if lasting is not None else None)


def _only(file: str, content: bytes, problems: Problems) -> Node | None:
    documents = read_source(file, content, problems).documents
    return documents[0] if documents else None


def _about(row: Node, person: MapNode) -> Node:
    """The row, about the person where it does not say about whom."""
    named = person.get("id")
    steering = ("profile", "pause", "resume", "stop", "provider")
    if not isinstance(row, MapNode) or named is None or any(key in row.pairs for key in steering):
        return row
    key = _scalar(row, "profile")
    return MapNode(**_place(row), pairs={**row.pairs, "profile": Pair(key=key, value=named)})


def _first_instant(rows: ListNode) -> datetime | None:
    found = []
    for row in rows.items:
        at = row.get("at") if isinstance(row, MapNode) else None
        if isinstance(at, ScalarNode) and isinstance(at.value, str):
            try:
                moment = datetime.fromisoformat(at.value)
            except ValueError:
                continue
            if moment.tzinfo:
                found.append(moment.astimezone(UTC))
    return min(found, default=None)


def _mapping(place: Node, values: dict[str, Node]) -> MapNode:
    pairs = {name: Pair(key=_scalar(place, name), value=value) for name, value in values.items()}
    return MapNode(**_place(place), pairs=pairs)


def _scalar(place: Node, value: str) -> ScalarNode:
    return ScalarNode(**_place(place), value=value, raw=None)


def _place(node: Node) -> dict[str, Any]:
    return {"file": node.file, "line": node.line, "column": node.column}


# ── playing ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def simulate(project: Project, journey: str, scenario: Scenario) -> Path:
    """Plays the scenario in virtual time, and follows its one person."""
    world = World(project, scenario, MemoryStore())
    ended_at = play(world, VirtualCarrier(world.engine, world.clock))
    person = scenario.people[0].person
    observed: Observed = observe(world, ended_at)
    with world.store.transaction() as unit:
        profile = world.engine.intake.current(unit, world.profile_id(person))
        told = story(unit, profile)
        return Path(
            person=person,
            journey=journey,
            zone=zone_of(profile, project),
            start=scenario.start,
            ended_at=ended_at,
            events=tuple(event for event in unit.events.of(profile.profile_id) if event.source != "identify"),
            lines=tuple(line for line in told.lines if line.kind != "delivery"),
            messages=tuple(m for m in (*observed.messages, *observed.system_messages) if m["profile"] == person),
            entered=len(told.enrollments),
        )
