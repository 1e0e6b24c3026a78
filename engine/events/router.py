"""From what was committed to its effect: goals, exits, awaited events, memberships, entries.

Each occurrence is routed in one transaction under its profile's lock, together with its removal from the queue; the
stimuli that come of it are committed with it and delivered afterwards. Killed anywhere, the router begins again with
the same occurrence, and whatever was done is done once.

The order within one event: it converts, it ends, it is awaited, it changes memberships, it begins.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from msgspec.structs import replace

from engine.enrollment.awaiting import awaited
from engine.enrollment.ending import Exits, end_enrollment
from engine.enrollment.entry import Entries, Occasion
from engine.enrollment.facts import FactsSource
from engine.enrollment.model import Enrollment, Nudge, Stimulus
from engine.enrollment.planbook import Planbook
from engine.errors import StoreUnavailable
from engine.events.baselines import taken_as_given
from engine.events.dues import DueIndex
from engine.events.model import Membership, Occurrence
from engine.expressions.evaluate import is_true
from engine.plan.effects import Arrived, Reconsider
from engine.plan.model import EventTrigger, JourneyTrigger, Plan, SegmentExit, SegmentTrigger, WaitFor
from engine.plan.notices import Notice
from engine.profiles.model import Event, Profile
from engine.store import Store, Unit

#: After each failure of an occurrence, how long until it is tried again; after one more it is set aside.
PAUSES = tuple(timedelta(seconds=seconds) for seconds in (1, 4, 15, 60, 240, 600))

#: Meanings of a reply that get an answer.
_ANSWERED: Mapping[object, Notice] = {"help": "help", "stop": "stopped"}


class Router:
    """Gives occurrences their effect."""

    def __init__(
        self,
        *,
        store: Store,
        planbook: Planbook,
        facts: FactsSource,
        exits: Exits,
        entries: Entries,
        dues: DueIndex,
    ) -> None:
        self._store = store
        self._planbook = planbook
        self._facts = facts
        self._exits = exits
        self._entries = entries
        self._dues = dues

    def route_all(self, now: datetime) -> int:
        """Routes until nothing waits; how many occurrences that were. Raises what an occurrence raises: in virtual time
        a defect must not pass for an outcome."""
        routed = 0
        while True:
            with self._store.transaction() as unit:
                found = unit.queue.next_occurrence(now)
                if found is None:
                    return routed
                occurrence = self._taken(unit, found, now)
                if occurrence is not None:
                    self._settle(unit, occurrence, now)
                    routed += 1

    def route_next(self, now: datetime, on_fault: Callable[[Occurrence, Exception], None]) -> bool:
        """Routes the oldest occurrence that nobody else is routing; False where none waits.

        One that raises holds up only what came later of the same profile, and that for a quarter of an hour: it is
        tried again after growing pauses, and then set aside for ops to look at. `on_fault` hears of it, as it is then.
        Raises StoreUnavailable, which no occurrence is to blame for.
        """
        taken: Occurrence | None = None
        try:
            while taken is None:
                with self._store.transaction() as unit:
                    found = unit.queue.next_occurrence(now)
                    if found is None:
                        return False
                    taken = self._taken(unit, found, now)
                    if taken is not None:
                        self._settle(unit, taken, now)
        except StoreUnavailable:
            raise
        except Exception as fault:
            if taken is None:
                raise
            on_fault(self._set_back(taken, fault, now), fault)
        return True

    def _set_back(self, occurrence: Occurrence, fault: Exception, now: datetime) -> Occurrence:
        tried = occurrence.attempts + 1
        is_last = tried > len(PAUSES)
        failed = replace(
            occurrence,
            attempts=tried,
            # Its class alone: a text may quote a row or an address.
            fault=type(fault).__name__,
            retry_at=None if is_last else now + PAUSES[tried - 1],
            set_aside_at=now if is_last else None,
        )
        with self._store.transaction() as unit:
            unit.queue.set_back(failed)
        return failed

    @staticmethod
    def _taken(unit: Unit, found: Occurrence, now: datetime) -> Occurrence | None:
        """What is to be routed of the profile, under its lock; None where that has changed while we waited for it."""
        unit.lock(found.profile_id)
        unit.expect(lambda soon: soon.profiles.find(found.profile_id))
        return unit.queue.confirm_occurrence(found, now)

    def _settle(self, unit: Unit, occurrence: Occurrence, now: datetime) -> None:
        self._route(unit, occurrence, now)
        unit.queue.remove_occurrence(occurrence.seq)

    def _route(self, unit: Unit, occurrence: Occurrence, now: datetime) -> None:
        profile = unit.profiles.find(occurrence.profile_id)
        if profile is None or profile.erased_at is not None:
            self._erased(unit, occurrence)
            return
        self._dues.arrival_of_profile(unit, profile, now)
        match occurrence.kind:
            case "event":
                event = unit.events.find(occurrence.ref)
                if event:
                    self._event(unit, profile, event, now)
            case "changed":
                self._changed(unit, profile, occurrence, now)
            case "consented":
                if occurrence.detail.get("is_pending"):
                    self._ask_to_confirm(unit, profile, occurrence, now)
                self.refresh_memberships(unit, profile, occurrence.at, now)
            case "ended":
                self._ended(unit, profile, occurrence, now)
            case "erased":
                self._erased(unit, occurrence)

    # ── events ───────────────────────────────────────────────────────────────────────────────────────────────────────
    def _event(self, unit: Unit, profile: Profile, event: Event, now: datetime) -> None:
        self._convert(unit, profile, event, now)
        self._answer(unit, profile, event, now)
        for enrollment in unit.enrollments.active(profile.profile_id):
            plan = self._planbook.plan(unit, enrollment.digest)
            reason = self._exits.by_event(unit, plan, enrollment, profile, event, now)
            if reason:
                end_enrollment(unit, enrollment, reason, event.received_at, tell=True)
            elif enrollment.waiting == "event":
                self._arrive(unit, plan, enrollment, profile, event, now)
        self._dues.after_event(unit, profile, event, now)
        self.refresh_memberships(unit, profile, event.received_at, now, event=event.name)
        for plan in self._planbook.by_trigger_event.get(event.name, ()):
            facts = self._facts.of(unit, profile, now, event=event)
            if any(
                isinstance(trigger, EventTrigger) and trigger.event == event.name and is_true(trigger.condition, facts)
                for trigger in plan.triggers
            ):
                self._entries.enter(unit, plan, profile, Occasion.of_event(event), now)

    def _answer(self, unit: Unit, profile: Profile, event: Event, now: datetime) -> None:
        """HELP and STOP are answered once, on the number to which they came."""
        channel = self._facts.project.channels.get(str(event.properties.get("channel")))
        meaning = event.properties.get("meaning")
        if event.source != "receipt" or channel is None or channel.kind != "sms" or meaning not in _ANSWERED:
            return
        plan = self._planbook.notice(_ANSWERED[meaning], channel.name)
        self._entries.enter(unit, plan, profile, Occasion.of_event(event), now)

    def _ask_to_confirm(self, unit: Unit, profile: Profile, occurrence: Occurrence, now: datetime) -> None:
        """A grant under double opt-in is pending: exactly one message asks for the confirmation."""
        channel, topic = str(occurrence.detail["channel"]), str(occurrence.detail["topic"])
        values = {"channel": channel, "topic": topic, "topic_title": self._facts.project.topics[topic].title}
        plan = self._planbook.notice("confirm", channel)
        self._entries.enter(unit, plan, profile, Occasion(at=occurrence.at, values=values), now)

    def _convert(self, unit: Unit, profile: Profile, event: Event, now: datetime) -> None:
        """Each journey with this goal, in its present version or in that of somebody inside."""
        journeys = {plan.journey: None for plan in self._planbook.by_goal_event.get(event.name, ())}
        for enrollment in unit.enrollments.active(profile.profile_id):
            goal = self._planbook.plan(unit, enrollment.digest).goal
            if goal and goal.event == event.name:
                journeys[enrollment.journey] = None
        for journey in journeys:
            self._exits.convert(unit, self._planbook, journey, event, now)

    def _arrive(
        self, unit: Unit, plan: Plan, enrollment: Enrollment, profile: Profile, event: Event, now: datetime
    ) -> None:
        step = plan.steps.get(enrollment.step_id or "")
        if not isinstance(step, WaitFor) or enrollment.reached_at is None:
            return
        since = enrollment.awaits_since or enrollment.reached_at
        goto = awaited(self._facts, unit, step, enrollment, profile, event, since, enrollment.wake_at, now)
        if goto is None:
            return
        left = {**enrollment.steps, step.step_id: {"event_id": event.event_id, "visit": enrollment.visit}}
        unit.enrollments.save(replace(enrollment, steps=left, waiting=None, wake_at=None))
        self._nudge(
            unit, enrollment, Arrived(step_id=step.step_id, visit=enrollment.visit, goto=goto[0]), event.received_at
        )

    # ── other occurrences ────────────────────────────────────────────────────────────────────────────────────────────
    def _changed(self, unit: Unit, profile: Profile, occurrence: Occurrence, now: datetime) -> None:
        names = occurrence.detail.get("names", ())
        if "merged" in occurrence.detail:
            self._dues.after_merge(unit, profile, now)
        else:
            self._dues.after_change(unit, profile, names, now)
        self.refresh_memberships(unit, profile, occurrence.at, now)
        if "timezone" in names:
            for enrollment in unit.enrollments.active(profile.profile_id):
                if enrollment.waiting in ("timer", "quiet"):
                    self._nudge(unit, enrollment, Reconsider(), occurrence.at)

    def _ended(self, unit: Unit, profile: Profile, occurrence: Occurrence, now: datetime) -> None:
        ended = unit.enrollments.find(occurrence.ref)
        if ended is None:
            return
        self.refresh_memberships(unit, profile, occurrence.at, now)
        values = {"journey": ended.journey, "reason": ended.reason, "key": ended.key}
        for plan in self._planbook.by_ended_journey.get(ended.journey, ()):
            facts = self._facts.of(unit, profile, now, trigger=values, event_values=values)
            if any(
                isinstance(trigger, JourneyTrigger)
                and trigger.journey == ended.journey
                and trigger.reason in (None, ended.reason)
                and is_true(trigger.condition, facts)
                for trigger in plan.triggers
            ):
                occasion = Occasion(at=occurrence.at, values=values, origin=ended.enrollment_id)
                self._entries.enter(unit, plan, profile, occasion, now)

    def _erased(self, unit: Unit, occurrence: Occurrence) -> None:
        for enrollment in unit.enrollments.active(occurrence.profile_id):
            end_enrollment(unit, enrollment, "erased", occurrence.at, tell=True)
        self._dues.forget(unit, occurrence.profile_id)

    # ── memberships ──────────────────────────────────────────────────────────────────────────────────────────────────
    def refresh_memberships(
        self, unit: Unit, profile: Profile, at: datetime, now: datetime, *, event: str | None = None
    ) -> None:
        """Evaluates what is tracked, and gives every change its effect: exits first, then entries.

        `event`: only an event of that name came, so only segments that ask for such can have changed (what time
        changes, a sweep sees). What an edited definition has changed is no change of the person's, and is taken as
        given.
        """
        tracked = self._planbook.tracked_segments
        if not tracked:
            return
        known = {membership.segment: membership for membership in unit.memberships.of(profile.profile_id)}
        if event is not None:
            asking = self._planbook.segments_asking(event)
            tracked = tuple(segment for segment in tracked if segment in asking or segment not in known)
        facts = self._facts.of(unit, profile, now)
        changed: list[tuple[str, bool]] = []
        for segment in tracked:
            is_member = facts.in_segment(segment)
            before = known.get(segment)
            definition = self._planbook.definitions[segment]
            if before is not None and before.definition not in (None, definition):
                unit.memberships.save(taken_as_given(profile, segment, is_member, definition, before, now))
            elif before is None or before.is_member != is_member:
                unit.memberships.save(
                    Membership(
                        profile_id=profile.profile_id,
                        segment=segment,
                        is_member=is_member,
                        changed_at=at,
                        definition=definition,
                    )
                )
                if (before.is_member if before else False) != is_member:
                    changed.append((segment, is_member))
            self._dues.put_segment(unit, profile, segment, facts)
        for segment, is_member in changed:
            self._membership_changed(unit, profile, segment, is_member, at, now)

    def tell_membership(self, unit: Unit, profile: Profile, segment: str, now: datetime) -> bool:
        """Gives a membership that was filled in silently the effect of a change now; False where there is nothing to
        tell."""
        known = next((each for each in unit.memberships.of(profile.profile_id) if each.segment == segment), None)
        if known is None or not known.is_silent:
            return False
        unit.memberships.save(replace(known, changed_at=now, told=None))
        self._membership_changed(unit, profile, segment, known.is_member, now, now)
        return True

    def _membership_changed(
        self, unit: Unit, profile: Profile, segment: str, is_member: bool, at: datetime, now: datetime
    ) -> None:
        on = "enter" if is_member else "leave"
        for enrollment in unit.enrollments.active(profile.profile_id):
            plan = self._planbook.plan(unit, enrollment.digest)
            facts = self._facts.of(unit, profile, now, enrollment=enrollment)
            for exit_ in plan.exits:
                if (
                    isinstance(exit_, SegmentExit)
                    and (exit_.segment, exit_.on) == (segment, on)
                    and enrollment.entered_at <= at
                    and is_true(exit_.condition, facts)
                ):
                    end_enrollment(unit, enrollment, exit_.reason, at, tell=True)
                    break
        for plan in self._planbook.current.values():
            facts = self._facts.of(unit, profile, now)
            if any(
                isinstance(trigger, SegmentTrigger)
                and (trigger.segment, trigger.on) == (segment, on)
                and is_true(trigger.condition, facts)
                for trigger in plan.triggers
            ):
                self._entries.enter(unit, plan, profile, Occasion(at=at), now)

    @staticmethod
    def _nudge(unit: Unit, enrollment: Enrollment, nudge: Nudge, at: datetime, delay: timedelta = timedelta()) -> None:
        unit.queue.add_stimulus(
            Stimulus(enrollment_id=enrollment.enrollment_id, input=nudge, created_at=at, not_before=at + delay)
        )
