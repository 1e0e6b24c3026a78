"""A journey as drafted over recorded events: who would have got what, and when.

All people live in one world, as they do in production: an entry limit counts over the whole journey. No other journey
takes part but those that this one starts, so caps count its own messages alone. The clock stops with the last event:
what silence means after it nobody knows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from engine.delivery.model import TAKEN
from engine.errors import BadInput
from engine.plan.digest import digest
from engine.plan.model import Start
from engine.project import Project
from engine.rendering.renderer import Renderer
from engine.simulator.backtest_rows import RecordedEvent, Recording, read_rows
from engine.simulator.scenario import Consented, Expected, Person, Row, Scenario, Tracked
from engine.simulator.timeline import play
from engine.simulator.virtual import VirtualCarrier
from engine.simulator.world import World
from engine.storage.memory import MemoryStore
from engine.store import Unit

_OWN = ("email", "phone", "timezone", "locale")
_IDS = ("id", "user_id", "userId", "profile")


@dataclass(frozen=True, kw_only=True, slots=True)
class Survey:
    """What a recording holds."""

    events: int
    first: datetime
    last: datetime
    #: By name: how many.
    names: Mapping[str, int]
    #: Everybody, in the order in which they come.
    people: tuple[str, ...]
    is_in_order: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Planned:
    """A message that would have been sent."""

    at: datetime
    person: str
    journey: str
    step: str
    channel: str
    subject: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Backtest:
    """What a journey would have done."""

    journey: str
    version: str
    survey: Survey
    #: By time.
    messages: tuple[Planned, ...]
    #: (journey, step, channel) -> outcome -> decisions. One that waits out quiet hours has two: `quiet`, then `sent`.
    outcomes: Mapping[tuple[str, str, str], Mapping[str, int]]
    enrollments: int
    #: People who entered at least once.
    entered: int
    #: Reason of the end -> enrollments; `active`: still inside at the last event.
    endings: Mapping[str, int]
    converted: int
    refusals: Mapping[str, int]

    def busiest_hour(self) -> tuple[datetime, int] | None:
        """The clock hour with the most messages (the first such), and how many."""
        hours = Counter(message.at.replace(minute=0, second=0, microsecond=0) for message in self.messages)
        return max(hours.items(), key=lambda item: (item[1], -item[0].timestamp())) if hours else None


def survey(recording: Recording, on_row: Callable[[], None] = lambda: None) -> Survey:
    """Reads a recording once, through. Raises BadInput with the row that cannot be used, and for an empty one."""
    first = last = before = None
    names: Counter[str] = Counter()
    people: dict[str, None] = {}
    is_in_order = True
    for event in recording:
        at = event.timestamp
        first, last = min(first or at, at), max(last or at, at)
        is_in_order = is_in_order and (before is None or before <= at)
        before = at
        names[event.event] += 1
        people[event.person] = None
        on_row()
    if first is None or last is None:
        raise BadInput(f"{recording.path.name} holds no event")
    return Survey(
        events=names.total(),
        first=first,
        last=last,
        names=names,
        people=tuple(people),
        is_in_order=is_in_order,
    )


def read_people(rows: Iterator[Mapping[str, Any]]) -> dict[str, Person]:
    """Profiles of a file by their id: columns `id email phone timezone locale`, `chat`, `consents` and `attributes` as
    mappings where the format has them; every other column is an attribute."""
    people = {}
    for number, row in enumerate(rows, 1):
        named = next((name for name in _IDS if row.get(name) is not None), None)
        if named is None:
            raise BadInput(f"profiles, row {number}: no id; the column is `id` or `user_id`")
        taken = {*_IDS, *_OWN, "chat", "consents", "attributes"}
        attributes = {name: value for name, value in row.items() if name not in taken and value is not None}
        try:
            consents = tuple(Consented(**consent) for consent in row.get("consents") or ())
        except TypeError as problem:
            raise BadInput(f"profiles, row {number}: a consent is {{channel, topic, basis}}") from problem
        own = {name: str(row[name]) for name in _OWN if row.get(name) is not None}
        person = str(row[named])
        people[person] = Person(
            person=person,
            **own,
            chat=row.get("chat") or {},
            attributes={**attributes, **(row.get("attributes") or {})},
            consents=consents,
        )
    return people


@dataclass(frozen=True, kw_only=True, slots=True)
class Draft:
    """A journey to be tried, in its project."""

    project: Project
    journey: str
    #: Takes everybody to have said yes to everything, on every channel.
    consents_all: bool = False
    people: Mapping[str, Person] = field(default_factory=dict)

    def run(self, recording: Recording, seen: Survey, on_row: Callable[[], None] = lambda: None) -> Backtest:
        """Plays the recording through the journey."""
        project = _consenting(self.project) if self.consents_all else self.project
        scenario = Scenario(
            name=self.journey,
            file=recording.path.name,
            line=0,
            start=seen.first,
            journeys=taking_part(project, self.journey),
            people=tuple(self._people(project, seen)),
            rows=(),
            until=seen.last,
            answers={},
            forced_holdout=(),
            forced_split={},
            expected=Expected(),
        )
        world = World(project, scenario, MemoryStore(), renderer=Renderer(project, keeps_bodies=False))
        play(world, VirtualCarrier(world.engine, world.clock), rows=_rows(recording, seen, on_row))
        with world.store.transaction() as unit:
            return _result(unit, world, self.journey, seen)

    def _people(self, project: Project, seen: Survey) -> Iterator[Person]:
        for number, name in enumerate(dict.fromkeys([*self.people, *seen.people])):
            person = self.people.get(name) or Person(person=name)
            yield _reachable(person, project, number) if self.consents_all else person


def taking_part(project: Project, journey: str) -> tuple[str, ...]:
    """The journey and those that it starts."""
    found = {journey: None}
    waiting = [journey]
    while waiting:
        for step in project.plans[waiting.pop()].steps.values():
            if isinstance(step, Start) and step.journey not in found:
                found[step.journey] = None
                waiting.append(step.journey)
    return tuple(found)


def _consenting(project: Project) -> Project:
    """The project with topics that nobody has to say yes to; a no is a no still."""
    topics = {
        name: replace(topic, basis="legitimate_interest", double_opt_in=()) if topic.kind == "marketing" else topic
        for name, topic in project.topics.items()
    }
    return replace(project, topics=topics)


def _reachable(person: Person, project: Project, number: int) -> Person:
    """The person with an address on every channel; those that they have stay."""
    kinds = {channel.kind for channel in project.channels.values()}
    chats = {name: f"u{number}" for name, channel in project.channels.items() if channel.kind == "chat"}
    return replace(
        person,
        email=person.email or (f"person{number}@people.example" if "email" in kinds else None),
        phone=person.phone or (f"+346{number % 100_000_000:08d}" if "sms" in kinds else None),
        chat={**chats, **person.chat},
    )


def _rows(recording: Recording, seen: Survey, on_row: Callable[[], None]) -> Iterator[Row]:
    events: Iterator[RecordedEvent] = iter(recording)
    if not seen.is_in_order:
        events = iter(sorted(events, key=lambda event: event.timestamp))
    for event in events:
        on_row()
        yield Row(
            at=event.timestamp,
            line=event.number,
            action=Tracked(
                person=event.person,
                event=event.event,
                properties=event.properties,
                timestamp=event.timestamp,
                message_id=event.message_id,
            ),
        )


def _result(unit: Unit, world: World, journey: str, seen: Survey) -> Backtest:
    names = {world.profile_id(person): person for person in seen.people}
    enrollments = unit.enrollments.of()
    outcomes: dict[tuple[str, str, str], Counter[str]] = {}
    for decision in unit.deliveries.decisions():
        place = (decision.journey, decision.step_id, decision.channel)
        outcomes.setdefault(place, Counter())[decision.outcome] += 1
    messages = [
        Planned(
            at=delivery.sent_at or delivery.claimed_at,
            person=names.get(delivery.profile_id, delivery.profile_id),
            journey=delivery.journey,
            step=delivery.step_id,
            channel=delivery.channel,
            subject=delivery.subject,
        )
        for delivery in unit.deliveries.of()
        if delivery.status in TAKEN
    ]
    return Backtest(
        journey=journey,
        version=digest(world.project.plans[journey]),
        survey=seen,
        messages=tuple(sorted(messages, key=lambda message: message.at)),
        outcomes=outcomes,
        enrollments=len(enrollments),
        entered=len({enrollment.profile_id for enrollment in enrollments}),
        endings=Counter(enrollment.reason or "active" for enrollment in enrollments),
        converted=sum(enrollment.converted_at is not None for enrollment in enrollments),
        refusals=Counter(refusal.reason for refusal in unit.enrollments.refusals()),
    )


# ── two versions over the same events ────────────────────────────────────────────────────────────────────────────────
@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """What one version would send and the other would not."""

    added: tuple[Planned, ...]
    removed: tuple[Planned, ...]
    #: The same message at another moment: before, after.
    moved: tuple[tuple[Planned, Planned], ...]
    same: int


def compare(before: Backtest, after: Backtest) -> Difference:
    """The difference in messages, matched by person, step and channel: those of one moment first, the rest in order."""
    old, new = _grouped(before.messages), _grouped(after.messages)
    added: list[Planned] = []
    removed: list[Planned] = []
    moved: list[tuple[Planned, Planned]] = []
    same = 0
    for place in {**old, **new}:
        one, other = old.get(place, {}), new.get(place, {})
        kept = one.keys() & other.keys()
        same += len(kept)
        gone = [message for at, message in one.items() if at not in kept]
        come = [message for at, message in other.items() if at not in kept]
        moved += zip(gone, come, strict=False)
        removed += gone[len(come) :]
        added += come[len(gone) :]
    return Difference(
        added=_by_time(added),
        removed=_by_time(removed),
        moved=tuple(sorted(moved, key=lambda pair: pair[1].at)),
        same=same,
    )


def _grouped(messages: Sequence[Planned]) -> dict[tuple[str, str, str, str], dict[datetime, Planned]]:
    groups: dict[tuple[str, str, str, str], dict[datetime, Planned]] = {}
    for message in messages:
        place = (message.person, message.journey, message.step, message.channel)
        groups.setdefault(place, {})[message.at] = message
    return groups


def _by_time(messages: list[Planned]) -> tuple[Planned, ...]:
    return tuple(sorted(messages, key=lambda message: message.at))


def profiles_of(path: Path) -> dict[str, Person]:
    """Profiles of a .csv, .jsonl or .parquet file."""
    return read_people(read_rows(path))
