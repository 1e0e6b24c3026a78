"""One large journey does not starve the others: the sends of a small one do not stand behind its thousands."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest
from temporalio import workflow
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from engine.plan.effects import Perform, Result, Sent
from engine.plan.model import Send
from engine.project import Channel
from tests.workers.road import NOON, in_queue
from workers import calls
from workers.activities.steps import StepActivities
from workers.contracts.payloads import PerformRequest
from workers.loop import LoopThread
from workers.worker import SEND_THREADS, send_worker

pytestmark = pytest.mark.temporal

CHANNEL = Channel(name="fair", use="inbox", kind="email")
STEP = Send(step_id="s", channels=(CHANNEL.name,), template="t", topic="news")
LARGE, SMALL = 5_000, 50
#: Few enough for a task of a workflow to end in its time on a busy machine.
SHEAF = 100


@workflow.defn(sandboxed=False)
class Sheaf:
    """Many people's sends of one journey, put into the channel's queue as each one's workflow puts its own."""

    @workflow.run
    async def run(self, journey: str, first: int, count: int) -> None:
        handles = []
        for number in range(first, first + count):
            effect = Perform(step_id=STEP.step_id, visit=1, attempt=1, reached_at=NOON)
            request = PerformRequest(enrollment_id=f"{journey}/{number}", effect=effect, now=NOON)
            handles.append(calls.dispatch(request, STEP, journey=journey, is_urgent=False, summary="send"))
        await workflow.wait_condition(lambda: all(handle.done() for handle in handles))


class Sends:
    """A performer that notes whose message went, in order."""

    def __init__(self) -> None:
        self.order: list[str] = []

    def perform(self, enrollment_id: str, effect: Perform, now: datetime) -> Result:
        self.order.append(enrollment_id.split("/")[0])
        return Sent(outcome="sent")

    def finish(self, enrollment_id: str, reason: str, now: datetime) -> None: ...


def test_a_journey_of_fifty_does_not_wait_behind_one_of_five_thousand(dev_client: Client, loop: LoopThread) -> None:
    sends, queue = Sends(), calls.send_queue(CHANNEL.name)

    async def play() -> None:
        journeys = Worker(
            dev_client,
            task_queue="sheaves",
            workflows=[Sheaf],
            workflow_runner=UnsandboxedWorkflowRunner(),
            max_concurrent_workflow_tasks=4,
            # Temporal takes two seconds without a breath for a deadlock, and a busy machine is none.
            debug_mode=True,
        )
        with ThreadPoolExecutor(SEND_THREADS) as threads:
            channel = send_worker(dev_client, CHANNEL, StepActivities(sends, lambda: NOON), threads)
            async with journeys:
                large = [
                    await dev_client.start_workflow(
                        Sheaf.run, args=["large", first, SHEAF], id=f"large-{first}", task_queue="sheaves"
                    )
                    for first in range(0, LARGE, SHEAF)
                ]
                await in_queue(dev_client, queue, LARGE)
                small = await dev_client.start_workflow(
                    Sheaf.run, args=["small", 0, SMALL], id="small", task_queue="sheaves"
                )
                await in_queue(dev_client, queue, LARGE + SMALL)
                async with channel:
                    await small.result()
                    for sheaf in large:
                        await sheaf.terminate()

    loop.run(play())
    assert sends.order.count("small") == SMALL
    # In turn: the large one goes on meanwhile, and the small one's last is among the first few hundred.
    last = max(place for place, journey in enumerate(sends.order) if journey == "small")
    assert sends.order[:last].count("large") < LARGE / 10
    assert sends.order.count("large") > SMALL / 2
