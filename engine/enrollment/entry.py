"""Who enters a journey: the entry rules in their order, restarts, and the record of every refusal."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from msgspec import Struct

from engine import ids
from engine.enrollment.ending import Exits, end_enrollment
from engine.enrollment.facts import FactsSource
from engine.enrollment.memberships import tell_segments
from engine.enrollment.model import Enrollment, Refusal, Stimulus
from engine.enrollment.planbook import Planbook
from engine.enrollment.trail import note
from engine.expressions.evaluate import evaluate, is_true
from engine.plan.effects import Started
from engine.plan.model import ApiTrigger, Plan
from engine.profiles.model import Event, Profile, Value
from engine.store import Unit


class Occasion(Struct, frozen=True, kw_only=True):
    """What would begin an enrollment."""

    #: The moment of entry: when the event was taken in, or when the sweep, the call or the end happened.
    at: datetime
    #: The triggering event, where there is one.
    event: Event | None = None
    #: What `trigger.PROP` will read: the event's properties, the `with` values, the ended journey.
    values: Mapping[str, Value] = {}
    #: Where there is no event, what tells it from others of the same instant: the step that starts it, say.
    origin: str = ""

    @classmethod
    def of_event(cls, event: Event) -> Occasion:
        return cls(at=event.received_at, event=event, values=event.properties)

    @property
    def counts_from(self) -> datetime:
        """The timestamp from which exits, goals and awaited events count."""
        return self.event.timestamp if self.event else self.at


class Entries:
    """Decides entries and begins enrollments."""

    def __init__(self, planbook: Planbook, facts: FactsSource, exits: Exits) -> None:
        self._planbook = planbook
        self._facts = facts
        self._exits = exits

    def call_in(
        self, unit: Unit, plan: Plan, profile: Profile, values: Mapping[str, Value], now: datetime
    ) -> Enrollment | Refusal | None:
        """Enters who is called by name, with values; None where every `api` trigger's own condition is false.

        The caller holds the profile's lock.
        """
        facts = self._facts.of(unit, profile, now, trigger=values, event_values=values)
        triggers = [trigger for trigger in plan.triggers if isinstance(trigger, ApiTrigger)]
        if triggers and not any(is_true(trigger.condition, facts) for trigger in triggers):
            return None
        return self.enter(unit, plan, profile, Occasion(at=now, values=values), now)

    def enter(
        self, unit: Unit, plan: Plan, profile: Profile, occasion: Occasion, now: datetime
    ) -> Enrollment | Refusal:
        """Begins an enrollment, or records why not. The caller holds the profile's lock.

        People enter on the version that is deployed, whatever this process has read from its files.
        """
        record = unit.journeys.find(plan.journey)
        digest = record.digest if record else self._planbook.digest(plan.journey)
        if digest != self._planbook.digest(plan.journey):
            plan = self._planbook.plan(unit, digest)
        facts = self._facts.of(
            unit, profile, now, event=occasion.event, trigger=occasion.values, event_values=occasion.values
        )
        key = None
        if plan.entry.key is not None:
            key = key_text(evaluate(plan.entry.key, facts))
        number = 1
        last = unit.enrollments.last(plan.journey, profile.profile_id, key)
        if last:
            number = last.number + 1
        candidate = Enrollment(
            enrollment_id=ids.enrollment_id(plan.journey, profile.profile_id, key, number),
            journey=plan.journey,
            digest=digest,
            profile_id=profile.profile_id,
            key=key,
            number=number,
            entered_at=occasion.at,
            trigger_event_id=occasion.event.event_id if occasion.event else None,
            trigger_at=occasion.counts_from,
            trigger=dict(occasion.values),
        )
        live = last if last and last.state == "active" else None
        is_open = record is None or record.state == "active"
        reason = self._refusal(unit, plan, profile, occasion, candidate, now) if is_open else "held_back"
        if reason is None and plan.entry.condition is not None and not is_true(plan.entry.condition, facts):
            reason = "not_matched"
        reason = reason or self._occupied(unit, plan, candidate, last, live)
        if reason:
            return self._refuse(unit, candidate, reason, occasion)
        if live:
            end_enrollment(unit, live, "restarted", occasion.at, tell=True)
        unit.enrollments.save(candidate)
        tell_segments(unit, self._planbook, plan.journey, profile.profile_id, occasion.at)
        note(unit, candidate, occasion.at, "entered", version=candidate.digest, number=number)
        unit.queue.add_stimulus(
            Stimulus(
                enrollment_id=candidate.enrollment_id, input=Started(), created_at=occasion.at, not_before=occasion.at
            )
        )
        return candidate

    def _refusal(
        self,
        unit: Unit,
        plan: Plan,
        profile: Profile,
        occasion: Occasion,
        candidate: Enrollment,
        now: datetime,
    ) -> str | None:
        event = occasion.event
        if event and event.received_at - event.timestamp > timedelta(seconds=plan.entry.ignore_older_than_seconds):
            return "too_late"
        if plan.entry.key is not None and candidate.key is None:
            return "no_key"
        if self._exits.already_met(unit, plan, candidate, profile, now):
            return "already_met"
        return None

    @staticmethod
    def _occupied(
        unit: Unit, plan: Plan, candidate: Enrollment, last: Enrollment | None, live: Enrollment | None
    ) -> str | None:
        entry = plan.entry
        at = candidate.entered_at
        if (live and entry.when_active == "ignore") or (last and last.entered_at == at):
            # Also under `restart`, and also where the first has already run to its end: one instant, one enrollment.
            return "active"
        if last and not live:
            match entry.again:
                case "never":
                    return "again"
                case "after":
                    if at - last.entered_at < timedelta(seconds=entry.again_after_seconds or 0):
                        return "again"
                case "always":
                    pass
        if entry.limit:
            since = at - timedelta(seconds=entry.limit.per_seconds)
            if unit.enrollments.count_entered(plan.journey, since) >= entry.limit.at_most:
                return "limit"
        return None

    @staticmethod
    def _refuse(unit: Unit, candidate: Enrollment, reason: str, occasion: Occasion) -> Refusal:
        event_id = occasion.event.event_id if occasion.event else None
        refusal = Refusal(
            refusal_id=ids.derived_id(
                "r",
                candidate.journey,
                candidate.profile_id,
                candidate.key or "",
                reason,
                event_id or f"{occasion.at.isoformat()}{occasion.origin}",
            ),
            journey=candidate.journey,
            profile_id=candidate.profile_id,
            key=candidate.key,
            reason=reason,
            refused_at=occasion.at,
            event_id=event_id,
        )
        unit.enrollments.refuse(refusal)
        return refusal


def key_text(value: Value) -> str | None:
    """An entry key as text: one spelling for a value, None where there is none."""
    match value:
        case None:
            return None
        case bool():
            return "true" if value else "false"
        case float() if value.is_integer():
            return str(int(value))
        case _:
            return str(value)
