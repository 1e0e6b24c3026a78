"""A sweep under way at a deploy goes on: stuck, it would keep the schedule from ever starting another."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from temporalio import workflow
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer
from temporalio.workflow import NondeterminismError

from tests.replay.record_sweep import SWEEP
from workers import calls
from workers.connection import quiet_runtime
from workers.worker import WORKFLOW_RUNNER
from workers.workflows.sweep import SweepWorkflow


@workflow.defn(name=calls.SWEEP_WORKFLOW, sandboxed=False)
class _Another:
    @workflow.run
    async def run(self) -> int:
        await workflow.sleep(1)
        return await calls.sweep()


@pytest.mark.parametrize(("code", "replays"), [(SweepWorkflow, True), (_Another, False)])
def test_the_recorded_sweep_replays_with_the_code_of_today_and_with_no_other(code: type[Any], replays: bool) -> None:
    document = json.loads(SWEEP.read_text())
    history = WorkflowHistory.from_json(document["workflow_id"], document["history"])
    replayer = Replayer(workflows=[code], workflow_runner=WORKFLOW_RUNNER, runtime=quiet_runtime())
    failure = asyncio.run(replayer.replay_workflow(history, raise_on_replay_failure=False)).replay_failure
    assert failure is None if replays else isinstance(failure, NondeterminismError)
