"""What journeys change about memberships: a segment may ask `enrolled(…)` and `received(…)`."""

from __future__ import annotations

from datetime import datetime

from engine.enrollment.planbook import Planbook
from engine.events.model import Occurrence
from engine.store import Unit


def tell_segments(unit: Unit, planbook: Planbook, journey: str, profile_id: str, at: datetime) -> None:
    """Has memberships worked out anew, where a segment asks about the journey that somebody entered or heard from."""
    if journey in planbook.journeys_in_segments:
        unit.queue.add_occurrence(Occurrence(profile_id=profile_id, kind="changed", at=at))
