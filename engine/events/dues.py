"""The due index: for every profile, the next moments at which only time changes something.

A sweep reads what is due and nothing else, so these rows are put when events and attributes come in, and again when
they fire. A row is one per `(kind, profile, subject)`; `basis` says what its moment was computed from, so that one
lapse, one date value, one local occasion fires once.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from engine import schedule
from engine.enrollment.facts import FactsSource, zone_of
from engine.enrollment.planbook import Planbook
from engine.events.model import Due, Membership
from engine.expressions.evaluate import evaluate
from engine.expressions.references import references
from engine.expressions.stability import next_change
from engine.expressions.values import as_local_date
from engine.plan.model import DateTrigger, InactiveTrigger
from engine.profiles.model import Event, Profile
from engine.store import Unit


@dataclass(frozen=True, slots=True)
class Subject:
    """A trigger of a journey, as due rows name it."""

    journey: str
    index: int

    def __str__(self) -> str:
        return f"{self.journey}#{self.index}"

    @classmethod
    def parse(cls, text: str) -> Subject:
        journey, _, index = text.rpartition("#")
        return cls(journey, int(index))


class DueIndex:
    """Puts due rows; `engine.events.sweeps` fires them."""

    def __init__(self, planbook: Planbook, facts: FactsSource) -> None:
        self._planbook = planbook
        self._facts = facts
        triggers = [
            (Subject(plan.journey, index), trigger)
            for plan in planbook.current.values()
            for index, trigger in enumerate(plan.triggers)
        ]
        self._inactive = [(s, t) for s, t in triggers if isinstance(t, InactiveTrigger)]
        self._dates = [(s, t) for s, t in triggers if isinstance(t, DateTrigger)]
        self._local_schedules = [
            (Subject(plan.journey, index), trigger)
            for plan, index, trigger in planbook.schedules
            if trigger.zone == "profile"
        ]

    # ── what an arrival changes ──────────────────────────────────────────────────────────────────────────────────────
    def after_event(self, unit: Unit, profile: Profile, event: Event, now: datetime) -> None:
        """An event re-arms lapses, and moves dates that are computed from events."""
        for subject, trigger in self._inactive:
            if self._concerns(trigger, event):
                self._arm(unit, subject, trigger, profile, event)
        for subject, dated in self._dates:
            if event.name in references(dated.date).events:
                self.put_date(unit, subject, dated, profile, now)

    def after_change(self, unit: Unit, profile: Profile, names: Collection[str], now: datetime) -> None:
        """An attribute moves the dates that are computed from it; a zone moves every local moment."""
        for subject, dated in self._dates:
            if "timezone" in names or references(dated.date).attributes & set(names):
                self.put_date(unit, subject, dated, profile, now)
        if "timezone" in names:
            self.put_local_schedules(unit, profile, now)

    def arrival_of_profile(self, unit: Unit, profile: Profile, now: datetime) -> None:
        """A profile that was not here before takes part in schedules of its own zone."""
        self.put_local_schedules(unit, profile, now)

    def forget(self, unit: Unit, profile_id: str) -> None:
        """An erased person has no moments."""
        for subject, _ in self._inactive:
            unit.dues.remove("inactive", profile_id, str(subject))
        for subject, _ in self._dates:
            unit.dues.remove("date", profile_id, str(subject))
        for subject, _ in self._local_schedules:
            unit.dues.remove("schedule", profile_id, str(subject))
        for segment in self._planbook.tracked_segments:
            unit.dues.remove("segment", profile_id, segment)

    # ── baselines ────────────────────────────────────────────────────────────────────────────────────────────────────
    def baseline(self, unit: Unit, profile: Profile, now: datetime) -> None:
        """What holds of a profile now, taken as given: nothing fires, and what lies ahead is put."""
        facts = self._facts.of(unit, profile, now)
        for segment in self._planbook.tracked_segments:
            unit.memberships.save(
                Membership(
                    profile_id=profile.profile_id,
                    segment=segment,
                    is_member=facts.in_segment(segment),
                    changed_at=profile.created_at or now,
                )
            )
            self.put_segment(unit, profile, segment, now)
        for subject, trigger in self._inactive:
            concerned = [e for e in unit.events.of(profile.profile_id, trigger.event) if self._concerns(trigger, e)]
            if concerned and concerned[-1].timestamp + timedelta(seconds=trigger.for_seconds) > now:
                self._arm(unit, subject, trigger, profile, concerned[-1])
        for subject, dated in self._dates:
            self.put_date(unit, subject, dated, profile, now)
        self.put_local_schedules(unit, profile, now)

    def put_project_schedules(self, unit: Unit, now: datetime) -> None:
        """The next moment of every schedule in the project's zone."""
        zone = schedule.find_zone(self._facts.project.timezone)
        assert zone is not None, "the language checks the project's zone"
        for plan, index, trigger in self._planbook.schedules:
            subject = Subject(plan.journey, index)
            if trigger.zone == "project" and unit.dues.find("schedule", "", str(subject)) is None:
                fires_at = schedule.next_fire(trigger.cron, zone, now)
                unit.dues.put(Due(kind="schedule", profile_id="", subject=str(subject), due_at=fires_at))

    # ── single rows ──────────────────────────────────────────────────────────────────────────────────────────────────
    def put_date(
        self,
        unit: Unit,
        subject: Subject,
        trigger: DateTrigger,
        profile: Profile,
        now: datetime,
        *,
        fired: datetime | None = None,
    ) -> None:
        """The next moment of a date trigger, at or after `now`; after `fired` where it has just fired."""
        facts = self._facts.of(unit, profile, now)
        value = as_local_date(evaluate(trigger.date, facts), facts)
        moment = None
        if value is not None:
            after = now if fired is None else fired + timedelta(microseconds=1)
            zone = zone_of(profile, self._facts.project)
            moment = schedule.next_date_moment(value, trigger.at, zone, trigger.is_yearly, after)
        if moment is None or value is None:
            unit.dues.remove("date", profile.profile_id, str(subject))
        else:
            unit.dues.put(
                Due(
                    kind="date",
                    profile_id=profile.profile_id,
                    subject=str(subject),
                    due_at=moment,
                    basis=value.isoformat(),
                )
            )

    def put_segment(self, unit: Unit, profile: Profile, segment: str, now: datetime) -> None:
        """The next moment at which time alone can change a membership."""
        condition = self._facts.project.segments[segment].condition
        moment = next_change(condition, self._facts.of(unit, profile, now), self._facts.project.segments)
        if moment is None:
            unit.dues.remove("segment", profile.profile_id, segment)
        else:
            unit.dues.put(Due(kind="segment", profile_id=profile.profile_id, subject=segment, due_at=moment))

    def put_local_schedules(self, unit: Unit, profile: Profile, now: datetime) -> None:
        zone = zone_of(profile, self._facts.project)
        for subject, trigger in self._local_schedules:
            known = unit.dues.find("schedule", profile.profile_id, str(subject))
            fires_at = schedule.next_fire(trigger.cron, zone, now - timedelta(microseconds=1))
            if known and known.basis and known.basis >= fires_at.astimezone(zone).replace(tzinfo=None).isoformat():
                # Moved west after this local moment had come: it has been, once is enough.
                fires_at = schedule.next_fire(trigger.cron, zone, fires_at)
            unit.dues.put(
                Due(
                    kind="schedule",
                    profile_id=profile.profile_id,
                    subject=str(subject),
                    due_at=fires_at,
                    basis=known.basis if known else "",
                )
            )

    @staticmethod
    def _concerns(trigger: InactiveTrigger, event: Event) -> bool:
        return event.source == "intake" if trigger.event is None else event.name == trigger.event

    def _arm(self, unit: Unit, subject: Subject, trigger: InactiveTrigger, profile: Profile, event: Event) -> None:
        later = unit.events.of(profile.profile_id, trigger.event, since=event.timestamp)
        if any(self._concerns(trigger, other) and other.timestamp > event.timestamp for other in later):
            return  # a late report of something older than what we know moves nothing
        unit.dues.put(
            Due(
                kind="inactive",
                profile_id=profile.profile_id,
                subject=str(subject),
                due_at=event.timestamp + timedelta(seconds=trigger.for_seconds),
                basis=event.timestamp.isoformat(),
            )
        )
