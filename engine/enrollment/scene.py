"""One step being performed in one transaction: where the enrollment stands, and what the step leaves behind."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from engine.enrollment.facts import StoreFacts
from engine.enrollment.model import Enrollment
from engine.plan.effects import Perform
from engine.plan.model import Plan
from engine.profiles.model import Profile
from engine.store import Unit


class Scene(Struct, frozen=True):
    """One step being performed in one transaction."""

    unit: Unit
    plan: Plan
    enrollment: Enrollment
    profile: Profile
    effect: Perform
    facts: StoreFacts
    now: datetime
    #: This very visit was performed before, as far as it came: whoever asked may not have heard the answer.
    is_repeat: bool = False

    def leave_behind(self, **values: Any) -> None:
        """Keeps values of this step with the enrollment, beside what the step has left before."""
        step_id = self.effect.step_id
        steps = {**self.enrollment.steps, step_id: {**self.enrollment.steps.get(step_id, {}), **values}}
        self.unit.enrollments.save(replace(self.enrollment, steps=steps))


def stand(
    unit: Unit,
    enrollment: Enrollment,
    effect: Perform,
    *,
    waiting: str | None,
    wake_at: datetime | None,
    awaits_since: datetime | None = None,
) -> Enrollment:
    """Puts the enrollment at the step that the effect names; as it is then."""
    standing = replace(
        enrollment,
        step_id=effect.step_id,
        visit=effect.visit,
        reached_at=effect.reached_at,
        waiting=waiting,
        wake_at=wake_at,
        awaits_since=awaits_since,
    )
    unit.enrollments.save(standing)
    return standing
