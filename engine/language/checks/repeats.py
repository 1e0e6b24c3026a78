"""A `repeat` whose passes all fall into one moment: the person would get everything at once."""

from __future__ import annotations

from engine.language.authored import Authored
from engine.language.diagnostics import Problems
from engine.language.graph import passes_time, reachable
from engine.plan.model import Plan, Repeat


def check(authored: Authored, problems: Problems) -> None:
    """Reports every repeat that cannot make time pass."""
    for journey in authored.journeys.values():
        for step_id, step in journey.plan.steps.items():
            if isinstance(step, Repeat) and step.body and not _can_pass_time(journey.plan, step):
                message = "no time can pass in this `repeat`: all its passes would come at once"
                place = journey.places[step_id].pairs["repeat"].key
                problems.error("SJ402", place, message, "add `every: 7d`, or a `wait` among its steps")


def _can_pass_time(plan: Plan, repeat: Repeat) -> bool:
    body = {step_id: step for step_id, step in plan.steps.items() if step_id != repeat.step_id}
    inside = reachable(plan, repeat.body, within=body).values()
    return bool(repeat.every_seconds) or any(
        passes_time(step) or (isinstance(step, Repeat) and bool(step.every_seconds)) for step in inside
    )
