"""Temporal workers: one for the journeys, and one for each channel's sends."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

from temporalio.client import Client
from temporalio.worker import Worker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from engine.project import Channel
from workers import calls
from workers.activities.steps import StepActivities
from workers.activities.sweeps import SweepActivity
from workers.workflows.journey import JourneyWorkflow
from workers.workflows.sweep import SweepWorkflow

#: Steps at a time in a process, and sends at a time of a channel. Each worker has threads of its own: a send that
#: waited for a thread behind another channel's slow provider would use up its time-out before it began.
STEP_THREADS = 16
SEND_THREADS = 64
#: Workflow tasks at a time (Temporal's own default).
WORKFLOW_TASKS = 100
#: What a worker that is asked to end gives the activities under way.
DRAIN_FOR = timedelta(seconds=20)

#: The sandbox loads a workflow's modules anew for each workflow, which guards against shared state and costs time.
WORKFLOW_RUNNER = SandboxedWorkflowRunner(
    restrictions=SandboxRestrictions.default.with_passthrough_modules(
        # Safe: the parts that the workflow uses (plan, state, interpreter, words) are pure. They hold no state, read
        # no clock and do no I/O; import contracts and ruff's banned names check that in CI.
        "engine",
        # Safe: frozen values and their JSON. The one thing shared, the shelf of plans, is content-addressed: a hash
        # gives the same plan in every process and on every replay.
        "workers.contracts",
    )
)


def journey_worker(
    client: Client, activities: StepActivities, executor: Executor, threads: int = STEP_THREADS
) -> Worker:
    """The worker that carries enrollments and performs all steps but sends."""
    return Worker(
        client,
        task_queue=calls.TASK_QUEUE,
        workflows=[JourneyWorkflow],
        activities=activities.local,
        activity_executor=executor,
        workflow_runner=WORKFLOW_RUNNER,
        max_concurrent_local_activities=threads,
        # A task lasts until the steps that it has begun are done.
        max_concurrent_workflow_tasks=max(threads, WORKFLOW_TASKS),
        # Local only: remote ones belong to the channels, whose rates a poller here would not keep.
        no_remote_activities=True,
        graceful_shutdown_timeout=DRAIN_FOR,
    )


def send_worker(
    client: Client, channel: Channel, activities: StepActivities, executor: Executor, threads: int = SEND_THREADS
) -> Worker:
    """The worker of one channel. Its rate is the server's: it holds across all workers of the queue."""
    return Worker(
        client,
        task_queue=calls.send_queue(channel.name),
        activities=activities.remote,
        activity_executor=executor,
        max_concurrent_activities=threads,
        max_task_queue_activities_per_second=channel.rate_per_second,
        graceful_shutdown_timeout=DRAIN_FOR,
    )


def sweep_worker(client: Client, sweeps: SweepActivity, executor: Executor) -> Worker:
    """The worker that sweeps when the schedule says so: one sweep at a time, and few pollers."""
    return Worker(
        client,
        task_queue=calls.SWEEP_QUEUE,
        workflows=[SweepWorkflow],
        activities=[sweeps.sweep],
        activity_executor=executor,
        workflow_runner=WORKFLOW_RUNNER,
        max_concurrent_activities=1,
        max_concurrent_activity_task_polls=1,
        max_concurrent_workflow_task_polls=2,
        graceful_shutdown_timeout=DRAIN_FOR,
    )


@asynccontextmanager
async def run_workers(
    client: Client,
    activities: StepActivities,
    channels: Iterable[Channel],
    *,
    with_journeys: bool = True,
    sweeps: SweepActivity | None = None,
    threads: int | None = None,
) -> AsyncIterator[None]:
    """Runs the journeys' worker, one for each of these channels, and the sweeps' while the block lasts; leaving it
    drains them. `threads`: of each worker, in place of its own number."""
    step_threads, send_threads = threads or STEP_THREADS, threads or SEND_THREADS
    async with AsyncExitStack() as stack:
        if sweeps is not None:
            sweeping = stack.enter_context(ThreadPoolExecutor(1, thread_name_prefix="sweep"))
            await stack.enter_async_context(sweep_worker(client, sweeps, sweeping))
        if with_journeys:
            steps = stack.enter_context(ThreadPoolExecutor(step_threads, thread_name_prefix="steps"))
            await stack.enter_async_context(journey_worker(client, activities, steps, step_threads))
        for channel in channels:
            sends = stack.enter_context(ThreadPoolExecutor(send_threads, thread_name_prefix=f"send-{channel.name}"))
            await stack.enter_async_context(send_worker(client, channel, activities, sends, send_threads))
        yield
