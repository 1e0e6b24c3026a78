"""The workflow in Temporal's sandbox: what passes through, and what it costs to load."""

from __future__ import annotations

import sys

from temporalio.worker.workflow_sandbox import SandboxRestrictions
from temporalio.worker.workflow_sandbox._importer import Importer
from temporalio.worker.workflow_sandbox._restrictions import RestrictionContext

from workers.worker import WORKFLOW_RUNNER
from workers.workflows.journey import JourneyWorkflow

#: Wrapped by the sandbox itself, whatever a workflow imports.
WRAPPED = {"__main__", "asyncio", "datetime"}


def test_a_workflow_loads_two_modules_of_ours_anew_and_nobody_else_s() -> None:
    """What is loaded is paid by every workflow: one careless import would multiply it."""
    importer = Importer(WORKFLOW_RUNNER.restrictions, RestrictionContext())
    with importer.applied():
        importer.import_func(JourneyWorkflow.__module__)
    anew = {name for name, module in importer.new_modules.items() if sys.modules.get(name) is not module}
    assert anew - WRAPPED == {"workers", "workers.calls", "workers.workflows", "workers.workflows.journey"}


def test_only_the_pure_engine_and_our_contracts_pass_through_the_sandbox() -> None:
    ours = WORKFLOW_RUNNER.restrictions.passthrough_modules - SandboxRestrictions.default.passthrough_modules
    assert ours == {"engine", "workers.contracts"}
