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

from engine.delivery.model import TAKEN
from engine.ids import bucket
from engine.plan.digest import digest
from engine.plan.model import Start
from engine.project import Project
from engine.rendering.renderer import Renderer
from engine.simulator.backtest_rows import RecordedEvent, Recording
from engine.simulator.backtest_survey import Survey
from engine.simulator.scenario import Expected, Person, Row, Scenario, Tracked
from engine.simulator.timeline import play
from engine.simulator.virtual import VirtualCarrier
from engine.simulator.world import World
from engine.storage.memory import MemoryStore
from engine.store import Unit


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


@dataclass(frozen=True, slots=True)
class Share:
    """The `number`-th of so many equal shares of the people; the same person is always in the same."""

    number: int
    of: int

    def holds(self, person: str) -> bool:
        return self.of == 1 or bucket("backtest", person) % self.of == self.number


WHOLE = Share(0, 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Draft:
    """A journey to be tried, in its project."""

    project: Project
    journey: str
    #: Takes everybody to have said yes to everything, on every channel.
    consents_all: bool = False
    people: Mapping[str, Person] = field(default_factory=dict)

    @property
    def is_divisible(self) -> bool:
        """Whether people are independent of each other: an entry limit counts over all of them."""
        return not any(self.project.plans[name].entry.limit for name in taking_part(self.project, self.journey))

    def run(
        self, recording: Recording, seen: Survey, on_row: Callable[[], None] = lambda: None, share: Share = WHOLE
    ) -> Backtest:
        """Plays the recording through the journey; with a share, for those people alone."""
        project = _consenting(self.project) if self.consents_all else self.project
        scenario = Scenario(
            name=self.journey,
            file=recording.path.name,
            line=0,
            start=seen.first,
            journeys=taking_part(project, self.journey),
            people=tuple(self._people(project, seen, share)),
            rows=(),
            until=seen.last,
            answers={},
            forced_holdout=(),
            forced_split={},
            expected=Expected(),
        )
        world = World(project, scenario, MemoryStore(), renderer=Renderer(project, keeps_bodies=False))
        play(world, VirtualCarrier(world.engine, world.clock), rows=_rows(recording, seen, share, on_row))
        with world.store.transaction() as unit:
            return _result(unit, world, self.journey, seen)

    def _people(self, project: Project, seen: Survey, share: Share) -> Iterator[Person]:
        for number, name in enumerate(dict.fromkeys([*self.people, *seen.people])):
            if not share.holds(name):
                continue
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


def _rows(recording: Recording, seen: Survey, share: Share, on_row: Callable[[], None]) -> Iterator[Row]:
    mine = {person for person in seen.people if share.holds(person)}
    events: Iterator[RecordedEvent] = (event for event in recording if event.person in mine)
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
    names = {world.profile_id(each.person): each.person for each in world.scenario.people}
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
        messages=by_time(messages),
        outcomes=outcomes,
        enrollments=len(enrollments),
        entered=len({enrollment.profile_id for enrollment in enrollments}),
        endings=Counter(enrollment.reason or "active" for enrollment in enrollments),
        converted=sum(enrollment.converted_at is not None for enrollment in enrollments),
        refusals=Counter(refusal.reason for refusal in unit.enrollments.refusals()),
    )


def united(parts: Sequence[Backtest]) -> Backtest:
    """What the shares of one recording came to, together."""
    outcomes: dict[tuple[str, str, str], Counter[str]] = {}
    endings: Counter[str] = Counter()
    refusals: Counter[str] = Counter()
    for part in parts:
        endings.update(part.endings)
        refusals.update(part.refusals)
        for place, counts in part.outcomes.items():
            outcomes.setdefault(place, Counter()).update(counts)
    return replace(
        parts[0],
        messages=by_time([message for part in parts for message in part.messages]),
        outcomes=outcomes,
        enrollments=sum(part.enrollments for part in parts),
        entered=sum(part.entered for part in parts),
        endings=endings,
        converted=sum(part.converted for part in parts),
        refusals=refusals,
    )


def by_time(messages: Sequence[Planned]) -> tuple[Planned, ...]:
    """The messages by moment, those of one moment always in the same order."""
    return tuple(sorted(messages, key=lambda message: (message.at, message.person, message.journey, message.step)))
