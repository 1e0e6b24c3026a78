"""Records golden histories: `python -m tests.replay.record`, from the folder of the demo shop.

Plays the shop's scenarios on Temporal's time-skipping server and keeps, for each journey, the history that saw most of
its plan, with that plan. To be run when a journey of the shop has changed, and never because a replay
fails: a failing replay means that people inside would be stranded by the new code.
"""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

from temporalio.client import WorkflowHistory

from engine.plan.digest import plan_to_json
from engine.plan.model import Plan
from engine.simulator.runner import collect_scenarios
from engine.simulator.world import SIMULATION_KEY, World
from workers.bootstrap import open_project
from workers.gateway import workflow_id
from workers.simulation import TemporalDriver

HISTORIES = Path(__file__).parent / "histories"


def record(root: Path) -> list[Path]:
    """Writes a file for each journey of the project that a scenario passes through; their paths."""
    project = open_project(root)
    scenarios, problems = collect_scenarios(project, [])
    assert not problems
    richest: dict[str, tuple[Plan, WorkflowHistory]] = {}
    with TemporalDriver(project) as driver:
        for scenario in scenarios:
            with driver.played(scenario) as (world, _):
                for plan, history in _histories(driver, world):
                    known = richest.get(plan.journey)
                    if known is None or _richness(history) > _richness(known[1]):
                        richest[plan.journey] = (plan, history)
    HISTORIES.mkdir(exist_ok=True)
    return [_write(plan, history) for _, (plan, history) in sorted(richest.items())]


def _histories(driver: TemporalDriver, world: World) -> list[tuple[Plan, WorkflowHistory]]:
    with world.store.transaction() as unit:
        enrollments = unit.enrollments.of()
        plans = [world.engine.plans.plan(unit, each.digest) for each in enrollments]
    return [
        (plan, driver.history(workflow_id(each, SIMULATION_KEY))) for plan, each in zip(plans, enrollments, strict=True)
    ]


def _richness(history: WorkflowHistory) -> tuple[int, int]:
    """More kinds of events and more steps first; of two alike the shorter, since repetition shows nothing new."""
    kinds = {(event.event_type, event.user_metadata.summary.data) for event in history.events}
    return len(kinds), -len(history.events)


def _write(plan: Plan, history: WorkflowHistory) -> Path:
    path = HISTORIES / f"{plan.journey}.json"
    document = {
        "workflow_id": history.workflow_id,
        "plan": json.loads(plan_to_json(plan)),
        "history": without_machine(json.loads(history.to_json())),
    }
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False, sort_keys=True) + "\n")
    return path


def without_machine(value: Any) -> Any:
    """The same without the name and processes of the machine that recorded it."""
    if isinstance(value, dict):
        return {key: "recorder" if key == "identity" else without_machine(each) for key, each in value.items()}
    if isinstance(value, list):
        return [without_machine(each) for each in value]
    # A sticky queue bears the name of its process.
    return "recorder" if isinstance(value, str) and re.match(r"\d+@", value) else value


if __name__ == "__main__":
    for written in record(Path()):
        print(written)
    sys.stdout.flush()
    # Temporal's client may crash the interpreter's own way out.
    os._exit(0)
