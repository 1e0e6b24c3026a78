"""The workflow that Temporal's schedule starts: one sweep over what only time has made due."""

from __future__ import annotations

from temporalio import workflow

from workers import calls


@workflow.defn(name=calls.SWEEP_WORKFLOW)
class SweepWorkflow:
    """One sweep. The schedule starts no second one while it runs."""

    @workflow.run
    async def run(self) -> int:
        """How many due rows were fired."""
        return await calls.sweep()
