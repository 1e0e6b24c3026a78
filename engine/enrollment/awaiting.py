"""What an enrollment waits for: the end of a `wait`, or the event that a `wait_for` awaits, and whether it has come."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import assert_never

from engine import schedule
from engine.enrollment.facts import FactsSource, zone_of
from engine.enrollment.model import Enrollment
from engine.expressions.evaluate import evaluate, is_true
from engine.expressions.values import as_instant
from engine.plan.model import CalendarDays, Elapsed, Moment, NextLocal, Wait, WaitFor
from engine.profiles.model import Event, Profile
from engine.store import Unit


def end_of_wait(
    facts_source: FactsSource, unit: Unit, step: Wait, enrollment: Enrollment, profile: Profile, reached_at: datetime
) -> datetime | None:
    """The moment at which a wait that was reached then is over, in the past or not; None where its value is missing."""
    zone = zone_of(profile, facts_source.project)
    match step.for_:
        case Elapsed():
            return reached_at + timedelta(seconds=step.for_.seconds)
        case CalendarDays():
            return schedule.calendar_days(reached_at, step.for_.days, step.for_.at, zone)
        case NextLocal():
            return schedule.next_local(reached_at, step.for_.at, zone, step.for_.weekday)
        case Moment():
            # By what was known when the step was reached: `now + hours(2)` is one moment, whenever it is asked for.
            then = facts_source.of(unit, profile, reached_at, enrollment=enrollment)
            return as_instant(evaluate(step.for_.expression, then), then)
        case _:
            assert_never(step.for_)


def find_awaited(
    facts_source: FactsSource,
    unit: Unit,
    step: WaitFor,
    enrollment: Enrollment,
    profile: Profile,
    since: datetime,
    deadline: datetime | None,
    now: datetime,
) -> tuple[Event, str | None] | None:
    """The first stored event, by timestamp, that one of the alternatives awaits, and where it leads."""
    candidates = sorted(
        (
            event
            for name in {a.event: None for a in step.alternatives}
            for event in unit.events.of(profile.profile_id, name, since=since)
        ),
        key=lambda event: (event.timestamp, event.received_at),
    )
    for event in candidates:
        goto = awaited(facts_source, unit, step, enrollment, profile, event, since, deadline, now)
        if goto is not None:
            return event, goto[0]
    return None


def awaited(
    facts_source: FactsSource,
    unit: Unit,
    step: WaitFor,
    enrollment: Enrollment,
    profile: Profile,
    event: Event,
    since: datetime,
    deadline: datetime | None,
    now: datetime,
) -> tuple[str | None] | None:
    """Where an event leads, in a tuple of one, if an alternative awaits it; else None."""
    if event.event_id == enrollment.trigger_event_id or event.timestamp < since:
        return None
    if deadline is not None and event.timestamp > deadline:
        return None
    if step.since is None and _is_spent(enrollment, step, event):
        return None
    facts = facts_source.of(unit, profile, now, event=event, enrollment=enrollment)
    for alternative in step.alternatives:
        if alternative.event == event.name and is_true(alternative.condition, facts):
            return (alternative.then,)
    return None


def _is_spent(enrollment: Enrollment, step: WaitFor, event: Event) -> bool:
    """Whether an earlier wait of the enrollment has ended by this event: what let on to a step came before it."""
    mine = (step.step_id, enrollment.visit)
    return any(
        left.get("event_id") == event.event_id and (step_id, left.get("visit")) != mine
        for step_id, left in enrollment.steps.items()
    )
