"""Facts over a transaction: what conditions of one profile may ask, read when asked and at most once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from engine.consent.addresses import address_hash
from engine.consent.decide import decide_consent
from engine.enrollment.model import Enrollment
from engine.expressions.evaluate import is_true
from engine.profiles.model import Event, Profile, Value
from engine.project import Project
from engine.schedule import find_zone
from engine.store import Unit

_NOTHING: Mapping[str, Any] = {}


@dataclass(frozen=True, kw_only=True, slots=True)
class FactsSource:
    """What facts need besides the transaction."""

    project: Project
    project_key: bytes

    def of(
        self,
        unit: Unit,
        profile: Profile,
        now: datetime,
        *,
        event: Event | None = None,
        enrollment: Enrollment | None = None,
        trigger: Mapping[str, Value] | None = None,
        event_values: Mapping[str, Value] | None = None,
    ) -> StoreFacts:
        """Facts of a profile at `now`; `event` is under test, `event_values` stand for it where there is none."""
        return StoreFacts(self, unit, profile, now, event, enrollment, trigger, event_values)


class StoreFacts:
    """`engine.expressions.facts.Facts` over one transaction."""

    def __init__(
        self,
        source: FactsSource,
        unit: Unit,
        profile: Profile,
        now: datetime,
        event: Event | None,
        enrollment: Enrollment | None,
        trigger: Mapping[str, Value] | None,
        event_values: Mapping[str, Value] | None,
    ) -> None:
        self._source = source
        self._unit = unit
        self._person = profile
        self._tested = event
        self._enrollment = enrollment
        self.now = now
        self.profile_id = profile.profile_id
        self.event: Mapping[str, Value] = event.properties if event else (event_values or _NOTHING)
        self.trigger: Mapping[str, Value] = (
            trigger if trigger is not None else (enrollment.trigger if enrollment else _NOTHING)
        )
        self._profile: Mapping[str, Value] | None = None
        self._zone: ZoneInfo | None = None
        self._steps: Mapping[str, Mapping[str, Value]] | None = None
        #: By name: since when, and what there is since then.
        self._events: dict[str, tuple[datetime | None, Sequence[Event]]] = {}
        self._newest: dict[str, Event | None] = {}
        self._segments: dict[str, bool] = {}

    @property
    def profile(self) -> Mapping[str, Value]:
        if self._profile is None:
            self._profile = self._person.readable()
        return self._profile

    @property
    def zone(self) -> ZoneInfo:
        if self._zone is None:
            self._zone = zone_of(self._person, self._source.project)
        return self._zone

    @property
    def steps(self) -> Mapping[str, Mapping[str, Value]]:
        if self._steps is None:
            left = self._enrollment.steps if self._enrollment else _NOTHING
            self._steps = {step_id: self._step(values) for step_id, values in left.items()}
        return self._steps

    def _step(self, values: Mapping[str, Value]) -> Mapping[str, Value]:
        if "event_id" not in values:
            return values
        event = self._unit.events.find(values["event_id"])
        return {**values, "event": event.properties if event else _NOTHING}

    def events(self, name: str, *, since: datetime | None = None) -> Sequence[Event]:
        known = self._events.get(name)
        if known is not None and (known[0] is None or (since is not None and known[0] <= since)):
            return known[1]
        tested = self._tested.event_id if self._tested else None
        found = [
            event
            for event in self._unit.events.of(self.profile_id, name, since=since)
            if event.timestamp <= self.now or event.event_id == tested
        ]
        self._events[name] = (since, found)
        return found

    def newest(self, name: str) -> Event | None:
        if name in self._newest:
            return self._newest[name]
        known = self._events.get(name)
        if known is not None and known[1]:
            return known[1][-1]
        found = self._unit.events.last(self.profile_id, name, until=self.now)
        tested = self._tested
        if tested is not None and tested.name == name and tested.timestamp > self.now:
            found = tested
        self._newest[name] = found
        return found

    def upcoming(self, name: str) -> Sequence[Event]:
        return [
            event for event in self._unit.events.of(self.profile_id, name, since=self.now) if event.timestamp > self.now
        ]

    def in_segment(self, name: str) -> bool:
        known = self._segments.get(name)
        if known is None:
            known = self._segments[name] = is_true(self._source.project.segments[name].condition, self)
        return known

    def has_consent(self, channel: str, topic: str) -> bool:
        project = self._source.project
        configured = project.channels.get(channel)
        asked = project.topics.get(topic)
        if configured is None or asked is None:
            return False
        address = self._person.address(channel, configured.kind)
        if address is None:
            return False
        hashed = address_hash(self._source.project_key, configured.kind, address)
        return decide_consent(asked, channel, hashed, self._unit.consents.of(self.profile_id), self.now).is_allowed

    def consent_changes_at(self, channel: str, topic: str) -> datetime | None:
        # Any expiry ahead will do: early is harmless, late is not.
        return min(
            (
                record.expires_at
                for record in self._unit.consents.of(self.profile_id)
                if record.expires_at is not None
                and record.expires_at > self.now
                and (record.channel, record.topic) == (channel, topic)
            ),
            default=None,
        )

    def is_enrolled(self, journey: str) -> bool:
        return any(enrollment.journey == journey for enrollment in self._unit.enrollments.active(self.profile_id))

    def received(self, journey: str) -> Sequence[datetime]:
        return self._unit.deliveries.received(self.profile_id, journey)


def zone_of(profile: Profile, project: Project) -> ZoneInfo:
    """The profile's zone, else the project's."""
    own = find_zone(profile.timezone) if profile.timezone else None
    return own or ZoneInfo(project.timezone)
