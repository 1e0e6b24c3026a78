"""How an enrollment ends, and whether something stored has already ended it.

An exit pre-empts everything. The router ends enrollments as events come; the same test runs once more before each step
and inside every dispatch, against the store, so an exit that was acknowledged is obeyed even before it is routed.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from msgspec.structs import replace

from engine import ids
from engine.delivery.closing import give_up
from engine.enrollment.facts import FactsSource
from engine.enrollment.model import Enrollment, Stimulus, TrailEntry
from engine.enrollment.planbook import Planbook
from engine.enrollment.trail import note
from engine.events.model import Membership, Occurrence
from engine.expressions.evaluate import is_true
from engine.plan.effects import Left
from engine.plan.model import ConditionExit, EventExit, Goal, Plan, SegmentExit
from engine.profiles.model import Event, Profile
from engine.store import Unit

#: Waits of a message that may have been tried already.
_HOLDING = ("quiet", "capped", "retry")


def end_enrollment(unit: Unit, enrollment: Enrollment, reason: str, now: datetime, *, tell: bool) -> Enrollment:
    """Ends an active enrollment in this transaction; nothing of it stays pending.

    `tell`: its carrier must hear of it (it was ended from outside, not by its own step).
    """
    if enrollment.waiting in _HOLDING:
        give_up(unit, ids.delivery_id(enrollment.enrollment_id, str(enrollment.step_id), enrollment.visit))
    ended = replace(enrollment, state="ended", reason=reason, ended_at=now, wake_at=None, waiting=None)
    unit.enrollments.save(ended)
    note(unit, ended, now, "ended", reason=reason)
    unit.queue.add_occurrence(Occurrence(profile_id=ended.profile_id, kind="ended", ref=ended.enrollment_id, at=now))
    if tell:
        unit.queue.add_stimulus(
            Stimulus(enrollment_id=ended.enrollment_id, input=Left(reason=reason), created_at=now, not_before=now)
        )
    return ended


def mark_converted(unit: Unit, enrollment: Enrollment, event: Event, now: datetime) -> Enrollment:
    """Records the goal on an enrollment, ended or not."""
    converted = replace(enrollment, converted_at=event.timestamp)
    unit.enrollments.save(converted)
    unit.enrollments.add_trail(
        TrailEntry(
            enrollment_id=enrollment.enrollment_id,
            seq=0,
            at=now,
            what="converted",
            detail={"event_id": event.event_id},
        )
    )
    return converted


class Exits:
    """Whether an enrollment is to end, by events, by segments, by bare conditions, and by its goal."""

    def __init__(self, facts: FactsSource) -> None:
        self._facts = facts

    def by_event(
        self, unit: Unit, plan: Plan, enrollment: Enrollment, profile: Profile, event: Event, now: datetime
    ) -> str | None:
        """The reason for which this event ends the enrollment, or None."""
        for exit_ in plan.exits:
            if (
                isinstance(exit_, EventExit)
                and exit_.event == event.name
                and self._counts(unit, enrollment, profile, event, exit_.condition, now)
            ):
                return exit_.reason
        goal = plan.goal
        if goal and goal.is_exit and self.meets_goal(unit, goal, enrollment, profile, event, now):
            return "goal"
        return None

    def meets_goal(
        self, unit: Unit, goal: Goal, enrollment: Enrollment, profile: Profile, event: Event, now: datetime
    ) -> bool:
        """Whether the event is the enrollment's goal, in time."""
        if goal.event != event.name:
            return False
        if goal.within_seconds is None:
            if enrollment.ended_at is not None and event.timestamp > enrollment.ended_at:
                return False
        elif event.timestamp > enrollment.entered_at + timedelta(seconds=goal.within_seconds):
            return False
        return self._counts(unit, enrollment, profile, event, goal.condition, now)

    def convert(self, unit: Unit, planbook: Planbook, journey: str, event: Event, now: datetime) -> None:
        """Marks the newest enrollment of the event's person in a journey whose goal it meets, unless it is marked."""
        profile = unit.profiles.find(event.profile_id)
        if profile is None:
            return
        for enrollment in unit.enrollments.of(profile_id=profile.profile_id, journey=journey):
            goal = planbook.plan(unit, enrollment.digest).goal
            if goal and self.meets_goal(unit, goal, enrollment, profile, event, now):
                if enrollment.converted_at is None:
                    mark_converted(unit, enrollment, event, now)
                return

    def stored(
        self,
        unit: Unit,
        plan: Plan,
        enrollment: Enrollment,
        profile: Profile,
        now: datetime,
        *,
        with_conditions: bool,
    ) -> tuple[str, Event | None] | None:
        """The reason for which something already stored ends the enrollment, and the event that does; or None.

        `with_conditions`: bare conditions too, which are looked at only before a step.
        """
        for event in self._events_since(unit, plan, enrollment):
            reason = self.by_event(unit, plan, enrollment, profile, event, now)
            if reason:
                return reason, event
        for exit_ in plan.exits:
            match exit_:
                case SegmentExit():
                    if self.by_segment(unit, exit_, enrollment, profile, now):
                        return exit_.reason, None
                case ConditionExit():
                    if with_conditions and is_true(
                        exit_.condition, self._facts.of(unit, profile, now, enrollment=enrollment)
                    ):
                        return exit_.reason, None
                case EventExit():
                    pass
        return None

    def by_segment(
        self, unit: Unit, exit_: SegmentExit, enrollment: Enrollment, profile: Profile, now: datetime
    ) -> bool:
        """Whether membership has changed, as the exit says, since entry: by now, or as the last sweep recorded."""
        facts = self._facts.of(unit, profile, now, enrollment=enrollment)
        is_member = facts.in_segment(exit_.segment)
        if is_member != (exit_.on == "enter"):
            return False
        last = self._membership(unit, profile.profile_id, exit_.segment)
        was_member = last.is_member if last else False
        if was_member != is_member:
            has_changed = not self._was_so_at_entry(unit, exit_.segment, enrollment, profile, is_member)
        else:
            has_changed = last is not None and last.changed_at > enrollment.entered_at
        return has_changed and is_true(exit_.condition, facts)

    def _was_so_at_entry(
        self, unit: Unit, segment: str, enrollment: Enrollment, profile: Profile, is_member: bool
    ) -> bool:
        """Whether it was time that changed the membership, before the enrollment began, and no sweep has seen it."""
        due = unit.dues.find("segment", profile.profile_id, segment)
        if due is None or due.due_at > enrollment.entered_at:
            return False
        return self._facts.of(unit, profile, enrollment.entered_at).in_segment(segment) == is_member

    def already_met(self, unit: Unit, plan: Plan, candidate: Enrollment, profile: Profile, now: datetime) -> bool:
        """Whether an event already stored, from the trigger's timestamp on, would end it at its beginning."""
        return any(
            self.by_event(unit, plan, candidate, profile, event, now)
            for event in self._events_since(unit, plan, candidate)
        )

    @staticmethod
    def _membership(unit: Unit, profile_id: str, segment: str) -> Membership | None:
        return next((known for known in unit.memberships.of(profile_id) if known.segment == segment), None)

    @staticmethod
    def _events_since(unit: Unit, plan: Plan, enrollment: Enrollment) -> Sequence[Event]:
        names = dict.fromkeys([exit_.event for exit_ in plan.exits if isinstance(exit_, EventExit)])
        if plan.goal and plan.goal.is_exit:
            names[plan.goal.event] = None
        return unit.events.of_each(enrollment.profile_id, list(names), since=enrollment.trigger_at)

    def _counts(
        self, unit: Unit, enrollment: Enrollment, profile: Profile, event: Event, condition: str | None, now: datetime
    ) -> bool:
        """An event counts from the trigger's timestamp on; the trigger itself never does."""
        if event.timestamp < enrollment.trigger_at or event.event_id == enrollment.trigger_event_id:
            return False
        if condition is None:
            return True
        return is_true(condition, self._facts.of(unit, profile, now, event=event, enrollment=enrollment))
