"""Steps that nobody can reach: after an `exit`, or after steps that all end."""

from __future__ import annotations

from engine.language.authored import Authored
from engine.language.diagnostics import Problems
from engine.language.graph import reachable


def check(authored: Authored, problems: Problems) -> None:
    """Reports the first step of each unreachable stretch."""
    for journey in authored.journeys.values():
        if not journey.is_whole:
            continue
        seen = set(reachable(journey.plan, journey.plan.first))
        for step_id, node in journey.places.items():
            if step_id not in seen:
                message = "nobody can reach this step: every way before it ends the journey"
                problems.error("SJ401", node, message, "delete it, or move it before the `exit`")
                seen.update(reachable(journey.plan, step_id))
