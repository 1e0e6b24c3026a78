"""What only time brings: lapses, dates, schedules, memberships that run out. Reads what is due, fires it once."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timedelta
from itertools import islice

from msgspec.structs import replace

from engine import schedule
from engine.delivery.circuits import Circuits
from engine.enrollment.entry import Entries, Occasion
from engine.enrollment.facts import FactsSource, zone_of
from engine.enrollment.planbook import Planbook
from engine.errors import StoreUnavailable
from engine.events.dues import DueIndex, Subject, fires_at
from engine.events.model import Due
from engine.events.router import Router
from engine.expressions.evaluate import is_true
from engine.plan.model import DateTrigger, InactiveTrigger, Plan, ScheduleTrigger, Trigger
from engine.profiles.model import Profile
from engine.store import Store, Unit

#: Members between two notes of how far a schedule has come.
_ASKED_AT_ONCE = 100
#: Members found by one query: between two of them the sweep gives a sign of life.
_FOUND_AT_ONCE = 10_000


class Sweeper:
    """Fires due rows, each in a transaction of its own under its profile's lock."""

    def __init__(
        self,
        *,
        store: Store,
        planbook: Planbook,
        facts: FactsSource,
        entries: Entries,
        router: Router,
        dues: DueIndex,
        circuits: Circuits,
    ) -> None:
        self._store = store
        self._planbook = planbook
        self._facts = facts
        self._entries = entries
        self._router = router
        self._dues = dues
        self._circuits = circuits

    def sweep(
        self,
        now: datetime,
        *,
        on_fault: Callable[[Due, Exception], None] | None = None,
        on_piece: Callable[[], None] = lambda: None,
    ) -> int:
        """Fires everything due by `now`; how many rows that were. `on_piece` is called after each transaction or so.

        `on_fault` hears of a row that raises, which stays due for the next sweep and holds up no other; without it the
        exception is raised, as StoreUnavailable always is.
        """
        fired = 0
        last: Due | None = None
        while True:
            with self._store.transaction() as unit:
                due = unit.dues.until(now, after=last)
            if not due:
                return fired
            for row in due:
                try:
                    if row.kind == "schedule" and not row.profile_id:
                        self._broadcast(row, now, on_piece)
                    elif row.kind == "circuit":
                        with self._store.transaction() as unit:
                            self._circuits.tend(unit, row, now)
                    else:
                        self._fire(row, now)
                except StoreUnavailable:
                    raise
                except Exception as fault:
                    if on_fault is None:
                        raise
                    on_fault(row, fault)
                else:
                    fired += 1
                on_piece()
            last = due[-1]

    def _fire(self, row: Due, now: datetime) -> None:
        with self._store.transaction(row.profile_id) as unit:
            if unit.dues.find(row.kind, row.profile_id, row.subject) != row:
                return  # moved or fired since it was read
            profile = unit.profiles.find(row.profile_id)
            if profile is None or profile.erased_at is not None:
                unit.dues.remove(row.kind, row.profile_id, row.subject)
                return
            if row.kind == "segment":
                unit.dues.remove(row.kind, row.profile_id, row.subject)
                self._router.refresh_memberships(unit, profile, row.due_at, now)
                return
            found = self._trigger(unit, row)
            if found is None:
                unit.dues.remove(row.kind, row.profile_id, row.subject)
                return
            plan, trigger = found
            if not self._is_still_due(unit, row, trigger, profile, now):
                return
            self._put_next(unit, row, trigger, profile, now)
            facts = self._facts.of(unit, profile, now)
            is_meant = is_true(trigger.condition, facts)
            if isinstance(trigger, ScheduleTrigger):
                is_meant = is_meant and facts.in_segment(trigger.to)
            if is_meant:
                self._entries.enter(unit, plan, profile, Occasion(at=row.due_at), now)

    def _is_still_due(
        self,
        unit: Unit,
        row: Due,
        trigger: InactiveTrigger | DateTrigger | ScheduleTrigger,
        profile: Profile,
        now: datetime,
    ) -> bool:
        """The store has the last word: what was taken in and not routed yet may have moved the moment. Then it is put
        where it belongs now."""
        subject = Subject.parse(row.subject)
        match trigger:
            case InactiveTrigger():
                last = self._dues.last_event(unit, trigger, profile)
                if last and last.timestamp + timedelta(seconds=trigger.for_seconds) <= row.due_at:
                    return True
                unit.dues.remove(row.kind, row.profile_id, row.subject)
                if last:
                    self._dues.arm(unit, subject, trigger, profile, last)
                return False
            case DateTrigger():
                if self._dues.date_moment(unit, trigger, profile, row.due_at) == row.due_at:
                    return True
                self._dues.put_date(unit, subject, trigger, profile, now)
                return False
            case ScheduleTrigger():
                if fires_at(trigger, zone_of(profile, self._facts.project), row.due_at):
                    return True
                self._dues.put_local_schedule(unit, subject, trigger, profile, now)
                return False

    def _put_next(self, unit: Unit, row: Due, trigger: Trigger, profile: Profile, now: datetime) -> None:
        match trigger:
            case InactiveTrigger():
                unit.dues.remove(row.kind, row.profile_id, row.subject)  # re-armed by the next event
            case DateTrigger():
                self._dues.put_date(unit, Subject.parse(row.subject), trigger, profile, now, fired=row.due_at)
            case ScheduleTrigger():
                zone = zone_of(profile, self._facts.project)
                local = row.due_at.astimezone(zone).replace(tzinfo=None).isoformat()
                unit.dues.put(
                    Due(
                        kind="schedule",
                        profile_id=row.profile_id,
                        subject=row.subject,
                        due_at=schedule.next_fire(trigger.cron, zone, max(row.due_at, now)),
                        basis=local,
                    )
                )
            case _:
                raise AssertionError(f"a {trigger.kind} trigger is never due")

    def _broadcast(self, row: Due, now: datetime, on_piece: Callable[[], None]) -> None:
        """A schedule in the project's zone: every member, one by one; the row moves on once all have been asked.

        Queries find who is a member, some thousands at a time; under the lock of each it is asked again. The row says
        how far it has come, so a sweep killed half-way goes on there.
        """
        zone = schedule.find_zone(self._facts.project.timezone)
        with self._store.transaction() as unit:
            plan, trigger = self._trigger(unit, row) or (None, None)
            if not (plan and zone and isinstance(trigger, ScheduleTrigger) and fires_at(trigger, zone, row.due_at)):
                # No trigger of today's says so: it was deployed with another schedule, or without.
                self._dues.lock_project_schedules(unit)
                unit.dues.remove(row.kind, row.profile_id, row.subject)
                self._dues.put_project_schedules(unit, now)
                return
        at = row.due_at
        while found := self._members(trigger.to, row.basis, now):
            on_piece()
            for start in range(0, len(found), _ASKED_AT_ONCE):
                asked = found[start : start + _ASKED_AT_ONCE]
                for profile_id in asked:
                    with self._store.transaction(profile_id) as unit:
                        self._invite(unit, plan, trigger, profile_id, at, now)
                on_piece()
                reached = replace(row, basis=asked[-1])
                if not self._move_on(row, reached):
                    return
                row = reached
        self._move_on(row, replace(row, due_at=schedule.next_fire(trigger.cron, zone, max(at, now)), basis=""))

    def _members(self, segment: str, after: str, now: datetime) -> list[str]:
        # Here, so that who plays in memory, on as many processes as there are, loads no SQLAlchemy.
        from engine.storage.segments.members import members

        with self._store.transaction() as unit:
            found = members(unit, self._facts.project, segment, now, facts_source=self._facts, after=after)
            with closing(found):
                return list(islice(found, _FOUND_AT_ONCE))

    def _move_on(self, row: Due, to: Due) -> bool:
        """False where another sweep has moved the row meanwhile: it has come further, and goes on."""
        with self._store.transaction() as unit:
            if unit.dues.find(row.kind, row.profile_id, row.subject) != row:
                return False
            unit.dues.put(to)
            return True

    def _invite(
        self, unit: Unit, plan: Plan, trigger: ScheduleTrigger, profile_id: str, at: datetime, now: datetime
    ) -> None:
        profile = unit.profiles.find(profile_id)
        if profile is None or profile.erased_at is not None:
            return
        # A sweep killed half-way goes on some people before, and two at once meet: nobody is asked twice.
        asked_at = [each.entered_at for each in unit.enrollments.of(profile_id=profile_id, journey=plan.journey)]
        asked_at += [each.refused_at for each in unit.enrollments.refusals(profile_id=profile_id, journey=plan.journey)]
        if at in asked_at:
            return
        facts = self._facts.of(unit, profile, now)
        if facts.in_segment(trigger.to) and is_true(trigger.condition, facts):
            self._entries.enter(unit, plan, profile, Occasion(at=at), now)

    def _trigger(self, unit: Unit, row: Due) -> tuple[Plan, InactiveTrigger | DateTrigger | ScheduleTrigger] | None:
        """The trigger that a row is of, in the deployed version: this process may have older files, or newer ones."""
        subject = Subject.parse(row.subject)
        record = unit.journeys.find(subject.journey)
        if record is None or record.state == "retired":
            return None
        plan = self._planbook.plan(unit, record.digest)
        if subject.index >= len(plan.triggers):
            return None
        trigger = plan.triggers[subject.index]
        if not isinstance(trigger, InactiveTrigger | DateTrigger | ScheduleTrigger) or trigger.kind != row.kind:
            return None
        return plan, trigger

    def next_at(self) -> datetime | None:
        """When the next row is due, or None."""
        with self._store.transaction() as unit:
            return unit.dues.next_at()
