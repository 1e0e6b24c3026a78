"""Temporal's schedule of sweeps: made at the first start, kept as this version wants it at every other."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleUpdate,
    ScheduleUpdateInput,
)

from workers import calls

SCHEDULE_ID = "sojourn-sweep"
SWEEP_EVERY = timedelta(seconds=60)


async def schedule_sweeps(client: Client, every: timedelta = SWEEP_EVERY) -> None:
    """Sees to it that Temporal starts a sweep now, and then as often as this; any number of processes may say so.

    One that somebody has paused in Temporal stays paused. Raises RPCError where the server does not let us.
    """
    wanted = _schedule(every)
    try:
        await client.create_schedule(SCHEDULE_ID, wanted, trigger_immediately=True)
    except ScheduleAlreadyRunningError:
        handle = client.get_schedule_handle(SCHEDULE_ID)

        def changed(known: ScheduleUpdateInput) -> ScheduleUpdate:
            return ScheduleUpdate(schedule=replace(wanted, state=known.description.schedule.state))

        await handle.update(changed)
        # What became due while nobody worked does not wait for the next minute.
        await handle.trigger(overlap=ScheduleOverlapPolicy.SKIP)


def _schedule(every: timedelta) -> Schedule:
    return Schedule(
        action=ScheduleActionStartWorkflow(
            calls.SWEEP_WORKFLOW,
            id=SCHEDULE_ID,
            task_queue=calls.SWEEP_QUEUE,
            # One that hangs for whatever reason keeps others from starting no longer than this.
            execution_timeout=calls.SWEEP_TIMEOUT,
        ),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=every)]),
        policy=SchedulePolicy(
            overlap=ScheduleOverlapPolicy.SKIP,
            # A sweep finds everything that is due: of those that an outage of the server swallowed, one is enough.
            catchup_window=max(every, timedelta(seconds=10)),
        ),
    )
