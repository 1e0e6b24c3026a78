"""Lines of an enrollment's trail: what happened to it, where it stood, in the transaction in which it happened."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from engine.enrollment.model import Enrollment, TrailEntry
from engine.store import Unit


def note(unit: Unit, enrollment: Enrollment, at: datetime, what: str, **detail: Any) -> None:
    """Writes a line at the step where the enrollment stands."""
    unit.enrollments.add_trail(
        TrailEntry(
            enrollment_id=enrollment.enrollment_id,
            seq=0,
            at=at,
            what=what,
            step_id=enrollment.step_id,
            visit=enrollment.visit,
            detail=detail,
        )
    )
