"""Every recorded history replays: the code of today takes on people who entered under the code of then."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer, WorkflowReplayResult
from temporalio.workflow import NondeterminismError

from engine.plan import interpreter
from engine.plan.digest import digest, plan_from_json
from workers.connection import quiet_runtime
from workers.contracts.plans import PLANS
from workers.worker import WORKFLOW_RUNNER
from workers.workflows.journey import JourneyWorkflow

HISTORIES = sorted((Path(__file__).parent / "histories").glob("*.json"))
MISSION = ["abandoned_cart", "pricing_nudge", "win_back"]


def replay(path: Path) -> WorkflowReplayResult:
    document: dict[str, Any] = json.loads(path.read_text())
    plan = plan_from_json(json.dumps(document["plan"]))
    PLANS.put(digest(plan), plan)
    replayer = Replayer(workflows=[JourneyWorkflow], workflow_runner=WORKFLOW_RUNNER, runtime=quiet_runtime())
    history = WorkflowHistory.from_json(document["workflow_id"], document["history"])
    return asyncio.run(replayer.replay_workflow(history, raise_on_replay_failure=False))


def test_each_journey_of_the_mission_has_a_recorded_history() -> None:
    assert set(MISSION) <= {path.stem for path in HISTORIES}


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
def test_a_recorded_history_replays(path: Path) -> None:
    assert replay(path).replay_failure is None


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
def test_a_changed_interpreter_fails_the_replay(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Were the replay blind to a change of meaning, it would guard nothing."""
    monkeypatch.setattr(interpreter, "_leave", lambda plan, state, now: interpreter._finish(state, "completed"))
    assert isinstance(replay(path).replay_failure, NondeterminismError)


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
def test_a_recorded_history_holds_no_address(path: Path) -> None:
    """What the scenarios' people are called and where they read mail stays out of histories."""
    document = json.loads(path.read_text())
    history = WorkflowHistory.from_json(document["workflow_id"], document["history"])
    assert "enrollment_id" in str(history.events[0])
    assert "@" not in "".join(str(event) for event in history.events)
