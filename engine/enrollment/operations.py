"""What ops do to journeys: deploy, pause, resume, stop. Nobody is stranded by any of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from msgspec.structs import replace

from engine.enrollment.changes import JourneyChange, compare, vanished
from engine.enrollment.ending import end_enrollment
from engine.enrollment.model import Enrollment, Stimulus
from engine.enrollment.planbook import Planbook, segments_named
from engine.enrollment.steering import lock_journey
from engine.errors import Conflict, NotFound
from engine.events.backfill import Backfill
from engine.events.baselines import Baselines
from engine.events.dues import DueIndex
from engine.locking import under_lock
from engine.plan.digest import plan_to_json
from engine.plan.effects import Moved, Resumed
from engine.plan.model import Plan
from engine.store import JourneyRecord, JourneyState, Store, Unit

#: What becomes of the people inside: they stay on the version on which they entered, or go on with the new one.
InFlight = Literal["keep", "move"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Deployed:
    """What a deploy did to one journey."""

    journey: str
    #: The version on which people enter; of one that is gone, entered.
    digest: str
    change: Literal["new", "changed", "unchanged", "gone"]
    #: People told to go on with this version.
    moved: int = 0
    #: People who go on with an older one.
    kept: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Going:
    """What a resume did."""

    #: People who were held and are let on, one after another.
    let_on: int
    #: People who were held and whose journey says that it is too late for them.
    ended: int
    #: How long it takes, at the journey's pace, until the last one is let on.
    lasts: timedelta


#: Given a label and a total, what is called after each piece.
Progress = Callable[[str, int], AbstractContextManager[Callable[[], None]]]


def _unseen(_label: str, _total: int) -> AbstractContextManager[Callable[[], None]]:
    return nullcontext(lambda: None)


class Operations:
    """Deploys the project's plans and steers its journeys."""

    def __init__(
        self, store: Store, planbook: Planbook, dues: DueIndex, baselines: Baselines, backfill: Backfill
    ) -> None:
        self._store = store
        self._planbook = planbook
        self._dues = dues
        self._baselines = baselines
        self._backfill = backfill

    # ── versions ─────────────────────────────────────────────────────────────────────────────────────────────────────
    def plan(self) -> Sequence[JourneyChange]:
        """What a deploy would change, and whom it concerns, by name. Changes nothing."""
        with self._store.transaction() as unit:
            deployed = {record.journey: record for record in unit.journeys.all()}
            return [
                self._compare(unit, name, deployed.get(name)) for name in sorted({*self._planbook.current, *deployed})
            ]

    def _compare(self, unit: Unit, journey: str, record: JourneyRecord | None) -> JourneyChange:
        places = unit.enrollments.places(journey)
        new = self._planbook.current.get(journey)
        is_known = record is not None and (record.state != "retired" or new is None)
        return compare(
            journey,
            self._planbook.plan(unit, record.digest) if record is not None and is_known else None,
            new,
            deployed=record.digest if record else None,
            version=self._planbook.digest(journey) if new else None,
            places=places,
            known={place.digest: self._planbook.plan(unit, place.digest) for place in places},
        )

    def deploy(self, now: datetime, in_flight: InFlight = "keep", progress: Progress = _unseen) -> Sequence[Deployed]:
        """Makes the project's plans the versions on which people enter. Killed anywhere, it can be repeated.

        Memberships of segments that are new or were edited are filled in, and told to nobody. `progress` is given what
        is being done and to how many people, and yields what is called after each.

        People inside stay on theirs, or are moved by step id. Raises Conflict, and changes nothing, where somebody who
        is to be moved stands at a step that is gone and not mapped.
        """
        with self._store.transaction() as unit:
            self._refuse_to_strand(unit, in_flight)
            before = self._planbook.deployed(unit)
            profile_ids = unit.profiles.all_ids() if self._baselines.is_needed(before) else []
        # First, so that the versions change only when it is done: the other way round, a deploy killed in between
        # would count as done when it is repeated.
        self._fill_in(before, now, progress)
        with progress("Moments", len(profile_ids)) as step:
            for profile_id in profile_ids:
                with self._store.transaction(profile_id) as unit:
                    profile = unit.profiles.find(profile_id)
                    if profile:
                        self._baselines.take(unit, profile, before, now)
                step()
        with self._store.transaction() as unit:
            known = {record.journey: record for record in unit.journeys.all()}
            for journey in sorted({*known, *self._planbook.current}):
                lock_journey(unit, journey)
            self._refuse_to_strand(unit, in_flight)
            for plan in self._planbook.everything:
                unit.journeys.save_plan(self._planbook.digest(plan.journey), plan.journey, plan_to_json(plan))
            deployed = [self._deploy(unit, plan, now, in_flight) for plan in self._planbook.current.values()]
            gone = [record for name, record in known.items() if name not in self._planbook.current]
            deployed += [self._retire(unit, record, now) for record in gone if record.state != "retired"]
            self._dues.put_project_schedules(unit, now)
        return deployed

    def _fill_in(self, before: Mapping[str, Plan], now: datetime, progress: Progress) -> None:
        """What was tracked before is left where its definition is the same; what was not may be out of date."""
        known = segments_named(before.values())
        for segment in self._planbook.tracked_segments:
            if segment in known:
                people = self._backfill.left(segment)
            else:
                with self._store.transaction() as unit:
                    people = unit.profiles.all_ids()
            if people:
                with progress(f"Segment {segment}", len(people)) as step:
                    self._backfill.fill(segment, people, now, is_afresh=segment not in known, on_person=step)

    def _deploy(self, unit: Unit, plan: Plan, now: datetime, in_flight: InFlight) -> Deployed:
        digest = self._planbook.digest(plan.journey)
        known = unit.journeys.find(plan.journey)
        change: Literal["new", "changed", "unchanged"] = "new"
        if known is None or known.state == "retired":
            record = JourneyRecord(journey=plan.journey, digest=digest, state="active", deployed_at=now, changed_at=now)
            unit.journeys.save(record)
        elif known.digest != digest:
            change = "changed"
            unit.journeys.save(replace(known, digest=digest, deployed_at=now))
        else:
            change = "unchanged"
        older = sum(place.people for place in unit.enrollments.places(plan.journey) if place.digest != digest)
        if older and in_flight == "move":
            for enrollment in unit.enrollments.inside(plan.journey):
                if enrollment.digest != digest:
                    _nudge(unit, enrollment, Moved(digest=digest), now)
        moved = older if in_flight == "move" else 0
        return Deployed(journey=plan.journey, digest=digest, change=change, moved=moved, kept=older - moved)

    @staticmethod
    def _retire(unit: Unit, record: JourneyRecord, now: datetime) -> Deployed:
        """People inside go on to their end; no one enters."""
        unit.journeys.save(replace(record, state="retired", changed_at=now, note=None))
        inside = unit.enrollments.counts(record.journey)["active"]
        return Deployed(journey=record.journey, digest=record.digest, change="gone", kept=inside)

    def _refuse_to_strand(self, unit: Unit, in_flight: InFlight) -> None:
        if in_flight == "keep":
            return
        lost: Mapping[str, Mapping[str, int]] = {
            name: vanished(plan, unit.enrollments.places(name), self._planbook.digest(name))
            for name, plan in self._planbook.current.items()
        }
        places = [
            f"{journey}: {step_id} ({people} {'person' if people == 1 else 'people'})"
            for journey, steps in lost.items()
            for step_id, people in steps.items()
        ]
        if places:
            raise Conflict(
                f"people stand at steps that are gone: {', '.join(places)}; say where they go on, with "
                "`moved: {OLD_STEP: NEW_STEP}` in the journey, or deploy with `--in-flight keep`. Nothing was changed"
            )

    # ── pause, resume, stop ──────────────────────────────────────────────────────────────────────────────────────────
    def pause(self, journey: str, now: datetime, note: str | None = None) -> int:
        """No one enters and no step is taken; exits still end, clocks run on. How many people are inside."""
        with self._store.transaction() as unit:
            record = self._record(unit, journey)
            if record.state in ("stopped", "retired"):
                raise Conflict(f"journey {journey!r} is {record.state}: no one enters, and there is nothing to pause")
            self._save(unit, record, "paused", now, note)
            return unit.enrollments.counts(journey)["active"]

    def resume(self, journey: str, now: datetime, note: str | None = None) -> Going:
        """Lets people on, at the journey's pace, and others in again; ends those whose version says `if_late: exit`.

        Whoever is held is late: their next step came up during the pause, and was not taken. Those still waiting never
        noticed. Also opens a stopped journey. Killed anywhere, it can be repeated.
        """
        ended = 0
        while True:
            with self._store.transaction() as unit:
                record = self._record(unit, journey)
                if record.state not in ("paused", "stopped"):
                    raise Conflict(f"journey {journey!r} is not paused (it is {record.state})")
                held = [each for each in unit.enrollments.inside(journey) if each.waiting == "held"]
                late = [each for each in held if self._planbook.plan(unit, each.digest).if_late == "exit"]
                if not late:
                    pace = self._planbook.plan(unit, record.digest).pace_per_second
                    each_takes = timedelta(seconds=1 / pace) if pace else timedelta()
                    self._save(unit, record, "active", now, note)
                    for place, enrollment in enumerate(held):
                        _nudge(unit, enrollment, Resumed(), now + place * each_takes)
                    return Going(let_on=len(held), ended=ended, lasts=max(len(held) - 1, 0) * each_takes)
            # Each under the profile's lock, which may not be taken after the journey's; so they end before it goes on.
            ended += sum(self._end(each, "past", now, only_held=True) for each in late)

    def stop(self, journey: str, now: datetime, note: str | None = None) -> int:
        """Ends everybody (`stopped`) and lets no one in until a resume; how many were inside. May be repeated."""
        with self._store.transaction() as unit:
            record = self._record(unit, journey)
            self._save(unit, record, "retired" if record.state == "retired" else "stopped", now, note)
            inside = unit.enrollments.inside(journey)
        return sum(self._end(each, "stopped", now) for each in inside)

    def _end(self, enrollment: Enrollment, reason: str, now: datetime, *, only_held: bool = False) -> bool:
        with self._store.transaction() as unit:

            def look() -> tuple[str, Enrollment | None]:
                found = unit.enrollments.find(enrollment.enrollment_id)
                return found.profile_id if found else enrollment.profile_id, found

            again = under_lock(unit, enrollment.profile_id, look)
            if again is None or again.state != "active" or (only_held and again.waiting != "held"):
                return False
            end_enrollment(unit, again, reason, now, tell=True)
            return True

    @staticmethod
    def _record(unit: Unit, journey: str) -> JourneyRecord:
        lock_journey(unit, journey)
        record = unit.journeys.find(journey)
        if record is None:
            raise NotFound(f"no journey {journey!r} is deployed here; `sojourn journeys` lists those that are")
        return record

    @staticmethod
    def _save(unit: Unit, record: JourneyRecord, state: JourneyState, now: datetime, note: str | None) -> None:
        if record.state != state or note is not None:
            unit.journeys.save(replace(record, state=state, changed_at=now, note=note))


def _nudge(unit: Unit, enrollment: Enrollment, nudge: Moved | Resumed, at: datetime) -> None:
    unit.queue.add_stimulus(Stimulus(enrollment_id=enrollment.enrollment_id, input=nudge, created_at=at, not_before=at))
