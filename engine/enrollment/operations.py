"""What ops do to journeys: deploy, pause, resume, stop. Nobody is stranded by any of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from engine.enrollment.ending import end_enrollment
from engine.enrollment.model import Stimulus
from engine.enrollment.planbook import Planbook
from engine.errors import Conflict, NotFound
from engine.events.dues import DueIndex
from engine.plan.digest import plan_to_json
from engine.plan.effects import Resumed
from engine.store import JourneyRecord, Store, Unit


@dataclass(frozen=True, kw_only=True, slots=True)
class Deployed:
    """What a deploy did to one journey."""

    journey: str
    digest: str
    change: Literal["new", "changed", "unchanged"]


class Operations:
    """Deploys the project's plans and steers its journeys."""

    def __init__(self, store: Store, planbook: Planbook, dues: DueIndex) -> None:
        self._store = store
        self._planbook = planbook
        self._dues = dues

    def deploy(self, now: datetime) -> Sequence[Deployed]:
        """Makes the project's plans the versions on which people enter; those inside stay on theirs. Idempotent."""
        deployed = []
        with self._store.transaction() as unit:
            for plan in self._planbook.everything:
                unit.journeys.save_plan(self._planbook.digest(plan.journey), plan.journey, plan_to_json(plan))
            for plan in self._planbook.current.values():
                digest = self._planbook.digest(plan.journey)
                known = unit.journeys.find(plan.journey)
                if known is None:
                    unit.journeys.save(
                        JourneyRecord(
                            journey=plan.journey, digest=digest, state="active", deployed_at=now, changed_at=now
                        )
                    )
                elif known.digest != digest:
                    unit.journeys.save(replace(known, digest=digest, deployed_at=now))
                change: Literal["new", "changed", "unchanged"] = (
                    "new" if known is None else "unchanged" if known.digest == digest else "changed"
                )
                deployed.append(Deployed(journey=plan.journey, digest=digest, change=change))
            profile_ids = unit.profiles.all_ids() if any(one.change != "unchanged" for one in deployed) else []
            self._dues.put_project_schedules(unit, now)
        for profile_id in profile_ids:
            # People who were here before a journey was: what holds of them is its baseline, and fires nothing.
            with self._store.transaction(profile_id) as unit:
                profile = unit.profiles.find(profile_id)
                if profile:
                    self._dues.baseline(unit, profile, now)
        return deployed

    def pause(self, journey: str, now: datetime) -> JourneyRecord:
        """No one enters and no step is taken; exits still end, clocks run on."""
        with self._store.transaction() as unit:
            record = self._record(unit, journey)
            if record.state == "stopped":
                raise Conflict(f"journey {journey!r} is stopped; deploy it again to use it")
            return self._save(unit, record, "paused", now)

    def resume(self, journey: str, now: datetime) -> int:
        """Lets people on, at the journey's pace; how many were held. `if_late: exit` ends them instead."""
        plan = self._planbook.current.get(journey)
        with self._store.transaction() as unit:
            record = self._record(unit, journey)
            if record.state != "paused":
                raise Conflict(f"journey {journey!r} is not paused (it is {record.state})")
            self._save(unit, record, "active", now)
            held = [
                enrollment
                for enrollment in reversed(unit.enrollments.of(journey=journey))
                if enrollment.state == "active" and enrollment.waiting == "held"
            ]
            for place, enrollment in enumerate(held):
                if plan and plan.if_late == "exit":
                    end_enrollment(unit, enrollment, "past", now, tell=True)
                    continue
                delay = (
                    timedelta(seconds=place / plan.pace_per_second) if plan and plan.pace_per_second else timedelta()
                )
                unit.queue.add_stimulus(
                    Stimulus(
                        enrollment_id=enrollment.enrollment_id,
                        input=Resumed(),
                        created_at=now + delay,
                        not_before=now + delay,
                    )
                )
            return len(held)

    def stop(self, journey: str, now: datetime) -> int:
        """Ends everybody (`stopped`) and lets no one in; how many were inside."""
        with self._store.transaction() as unit:
            self._save(unit, self._record(unit, journey), "stopped", now)
            inside = [e for e in unit.enrollments.of(journey=journey) if e.state == "active"]
        for enrollment in inside:
            with self._store.transaction(enrollment.profile_id) as unit:
                again = unit.enrollments.find(enrollment.enrollment_id)
                if again and again.state == "active":
                    end_enrollment(unit, again, "stopped", now, tell=True)
        return len(inside)

    @staticmethod
    def _record(unit: Unit, journey: str) -> JourneyRecord:
        record = unit.journeys.find(journey)
        if record is None:
            raise NotFound(f"no journey {journey!r} is deployed here; `sojourn journeys` lists those that are")
        return record

    @staticmethod
    def _save(
        unit: Unit, record: JourneyRecord, state: Literal["active", "paused", "stopped"], now: datetime
    ) -> JourneyRecord:
        changed = replace(record, state=state, changed_at=now)
        unit.journeys.save(changed)
        return changed
