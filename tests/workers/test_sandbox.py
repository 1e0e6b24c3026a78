"""The workflow in Temporal's sandbox: what passes through, and what it costs to load."""

from __future__ import annotations

import asyncio
import time

from temporalio import workflow
from temporalio.worker.workflow_sandbox import SandboxRestrictions

from workers.worker import WORKFLOW_RUNNER
from workers.workflows.journey import JourneyWorkflow


def test_the_workflow_s_modules_load_in_the_sandbox_within_50_milliseconds() -> None:
    """What a module of ours imports is paid by every workflow: one careless import would multiply it."""
    definition = workflow._Definition.must_from_class(JourneyWorkflow)

    async def prepare() -> float:
        began = time.perf_counter()
        WORKFLOW_RUNNER.prepare_workflow(definition)
        return time.perf_counter() - began

    assert min(asyncio.run(prepare()) for _ in range(5)) < 0.05


def test_only_the_pure_engine_and_our_contracts_pass_through_the_sandbox() -> None:
    ours = WORKFLOW_RUNNER.restrictions.passthrough_modules - SandboxRestrictions.default.passthrough_modules
    assert ours == {"engine", "workers.contracts"}
