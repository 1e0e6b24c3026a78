"""The due index: for every profile, the next moments at which only time changes something.

A sweep reads what is due and nothing else, so these rows are put when events and attributes come in, and again when
they fire. A row is one per `(kind, profile, subject)`; `basis` says what a lapse is counted from, and which date or
local occasion fired last, so that each fires once. What an arrival would move stays where its moment has come and no
sweep has seen it: late, never lost.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from engine import schedule
from engine.enrollment.facts import FactsSource, zone_of
from engine.enrollment.planbook import Planbook
from engine.events.model import Due
from engine.expressions.evaluate import evaluate
from engine.expressions.facts import Facts
from engine.expressions.references import references
from engine.expressions.stability import next_change
from engine.expressions.values import as_local_date
from engine.plan.model import DateTrigger, InactiveTrigger, ScheduleTrigger
from engine.profiles.model import Event, Profile
from engine.store import Unit

#: The moment of a row that only remembers what has fired.
NEVER = datetime(9999, 1, 1, tzinfo=UTC)
_TICK = timedelta(microseconds=1)


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
            # A late report of something older than what we know moves nothing.
            if self._concerns(trigger, event) and self.last_event(unit, trigger, profile) == event:
                self.arm(unit, subject, trigger, profile, event)
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

    def after_merge(self, unit: Unit, profile: Profile, now: datetime) -> None:
        """Whoever another was joined to has their past, and so their lapses, dates and local moments ahead."""
        for subject, trigger in self._inactive:
            last = self.last_event(unit, trigger, profile)
            if last is None:
                continue
            over = last.timestamp + timedelta(seconds=trigger.for_seconds)
            known = unit.dues.find("inactive", profile.profile_id, str(subject))
            if over > now:
                self.arm(unit, subject, trigger, profile, last)
            elif known and known.basis != last.timestamp.isoformat() and over <= known.due_at:
                # The other's late report of something older than what we know of the person: it moves nothing.
                unit.dues.remove("inactive", profile.profile_id, str(subject))
        for subject, dated in self._dates:
            self.put_date(unit, subject, dated, profile, now)
        self.put_local_schedules(unit, profile, now)

    def arrival_of_profile(self, unit: Unit, profile: Profile, now: datetime) -> None:
        """A profile that was not here before takes part in schedules of its own zone."""
        for subject, trigger in self._local_schedules:
            if unit.dues.find("schedule", profile.profile_id, str(subject)) is None:
                self.put_local_schedule(unit, subject, trigger, profile, now)

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

    # ── schedules of the project ─────────────────────────────────────────────────────────────────────────────────────
    @staticmethod
    def lock_project_schedules(unit: Unit) -> None:
        """Takes the lock under which the rows of schedules in the project's zone are put anew: they are nobody's, and
        several are changed at once."""
        unit.lock("schedules")

    def put_project_schedules(self, unit: Unit, now: datetime) -> None:
        """The next moment of every schedule in the project's zone, the present one included."""
        zone = schedule.find_zone(self._facts.project.timezone)
        assert zone is not None, "the language checks the project's zone"
        self.lock_project_schedules(unit)
        for plan, index, trigger in self._planbook.schedules:
            subject = Subject(plan.journey, index)
            if trigger.zone != "project":
                continue
            known = unit.dues.find("schedule", "", str(subject))
            if known is None or known.due_at > now or not fires_at(trigger, zone, known.due_at):
                due_at = schedule.next_fire(trigger.cron, zone, now - timedelta(microseconds=1))
                unit.dues.put(Due(kind="schedule", profile_id="", subject=str(subject), due_at=due_at))

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
        known = unit.dues.find("date", profile.profile_id, str(subject))
        if (
            known
            and fired is None
            and known.due_at <= now
            and self.date_moment(unit, trigger, profile, known.due_at) == known.due_at
        ):
            return  # it has come and no sweep has seen it yet
        zone = zone_of(profile, self._facts.project)
        done = known.basis if known else ""
        if fired is not None:
            done = fired.astimezone(zone).date().isoformat()
        moment = self.date_moment(unit, trigger, profile, now if fired is None else fired + _TICK)
        if moment is not None and moment.astimezone(zone).date().isoformat() == done:
            # It fired for this very date, in another zone.
            moment = self.date_moment(unit, trigger, profile, moment + _TICK)
        if moment is None and not done:
            unit.dues.remove("date", profile.profile_id, str(subject))
        else:
            unit.dues.put(
                Due(
                    kind="date",
                    profile_id=profile.profile_id,
                    subject=str(subject),
                    due_at=moment or NEVER,
                    basis=done,
                )
            )

    def date_moment(self, unit: Unit, trigger: DateTrigger, profile: Profile, after: datetime) -> datetime | None:
        """The first moment, at or after `after`, at which a date trigger fires for a profile as it is now."""
        facts = self._facts.of(unit, profile, after)
        value = as_local_date(evaluate(trigger.date, facts), facts)
        if value is None:
            return None
        return schedule.next_date_moment(value, trigger.at, facts.zone, trigger.is_yearly, after)

    def put_segment(self, unit: Unit, profile: Profile, segment: str, facts: Facts) -> None:
        """The next moment at which time alone can change a membership; `facts` are of the profile at present."""
        due = self.segment_due(profile, segment, facts)
        if due is None:
            unit.dues.remove("segment", profile.profile_id, segment)
        else:
            unit.dues.put(due)

    def segment_due(self, profile: Profile, segment: str, facts: Facts) -> Due | None:
        """What `put_segment` puts; None where time cannot change the membership."""
        condition = self._facts.project.segments[segment].condition
        moment = next_change(condition, facts, self._facts.project.segments)
        if moment is None:
            return None
        return Due(kind="segment", profile_id=profile.profile_id, subject=segment, due_at=moment)

    def put_local_schedules(self, unit: Unit, profile: Profile, now: datetime) -> None:
        for subject, trigger in self._local_schedules:
            self.put_local_schedule(unit, subject, trigger, profile, now)

    def put_local_schedule(
        self, unit: Unit, subject: Subject, trigger: ScheduleTrigger, profile: Profile, now: datetime
    ) -> None:
        zone = zone_of(profile, self._facts.project)
        known = unit.dues.find("schedule", profile.profile_id, str(subject))
        if known and known.due_at <= now and fires_at(trigger, zone, known.due_at):
            return  # it has come and no sweep has seen it yet
        due_at = schedule.next_fire(trigger.cron, zone, now - _TICK)
        if known and known.basis and known.basis >= due_at.astimezone(zone).replace(tzinfo=None).isoformat():
            # Moved west after this local moment had come: it has been, once is enough.
            due_at = schedule.next_fire(trigger.cron, zone, due_at)
        unit.dues.put(
            Due(
                kind="schedule",
                profile_id=profile.profile_id,
                subject=str(subject),
                due_at=due_at,
                basis=known.basis if known else "",
            )
        )

    def last_event(self, unit: Unit, trigger: InactiveTrigger, profile: Profile) -> Event | None:
        """The newest event whose lack would be a lapse."""
        if trigger.event is None:
            return unit.events.last(profile.profile_id, source="intake")
        return unit.events.last(profile.profile_id, trigger.event)

    def arm(self, unit: Unit, subject: Subject, trigger: InactiveTrigger, profile: Profile, event: Event) -> None:
        """A lapse begins to be counted from an event; one that was over before we heard of it comes as we hear."""
        due_at = max(event.timestamp + timedelta(seconds=trigger.for_seconds), event.received_at)
        unit.dues.put(
            Due(
                kind="inactive",
                profile_id=profile.profile_id,
                subject=str(subject),
                due_at=due_at,
                basis=event.timestamp.isoformat(),
            )
        )

    @staticmethod
    def _concerns(trigger: InactiveTrigger, event: Event) -> bool:
        return event.source == "intake" if trigger.event is None else event.name == trigger.event


def fires_at(trigger: ScheduleTrigger, zone: ZoneInfo, moment: datetime) -> bool:
    """Whether a schedule fires at that moment in that zone."""
    return schedule.next_fire(trigger.cron, zone, moment - _TICK) == moment
