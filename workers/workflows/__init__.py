"""Workflow code: stdlib, temporalio.workflow, the pure plan, engine.schedule and workers.contracts; nothing else."""
