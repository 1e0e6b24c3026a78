"""Provider rates hold across workers, and what somebody waits for goes before what we would like to say."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from datetime import datetime

import pytest
from temporalio.client import Client

from engine.enrollment.model import Stimulus
from engine.plan.digest import digest
from engine.plan.effects import Perform, Result, Sent, Started
from engine.plan.model import Plan, Send
from engine.project import Channel
from tests.waiting import until
from tests.workers.road import KEY, NOON, TOPICS, in_queue, make_enrollment, make_plan
from workers import calls
from workers.activities.steps import StepActivities
from workers.contracts.plans import PLANS
from workers.embedded import DevServer
from workers.gateway import Gateway
from workers.loop import LoopThread
from workers.worker import SEND_THREADS, journey_worker, run_workers, send_worker

pytestmark = pytest.mark.temporal


class Sends:
    """A performer that notes who was written to, and when."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.sent: list[tuple[str, float]] = []
        self._seconds = seconds

    def perform(self, enrollment_id: str, effect: Perform, now: datetime) -> Result:
        self.sent.append((enrollment_id, time.monotonic()))
        time.sleep(self._seconds)
        return Sent(outcome="sent")

    def finish(self, enrollment_id: str, reason: str, now: datetime) -> None: ...

    def wait_for(self, count: int) -> None:
        until(lambda: len(self.sent) >= count, lambda: f"{len(self.sent)} of {count} were sent")


def one_send(journey: str, channel: str, topic: str) -> Plan:
    plan = make_plan(Send(step_id="s", channels=(channel,), template="t", topic=topic), journey=journey)
    PLANS.put(digest(plan), plan)
    return plan


def enter(gateway: Gateway, plan: Plan, profile: str) -> str:
    enrollment = make_enrollment(plan, profile=profile)
    started = Stimulus(enrollment_id=enrollment.enrollment_id, input=Started(), created_at=NOON, not_before=NOON)
    assert gateway.deliver([(started, enrollment)]) == {}
    return enrollment.enrollment_id


def test_the_rate_of_a_channel_holds_across_workers(
    dev_client: Client, dev_server: DevServer, loop: LoopThread
) -> None:
    channel = Channel(name="slow", use="inbox", kind="sms", rate_per_second=5.0)
    plan = one_send("rated", "slow", "news")
    sends = Sends()
    gateway = Gateway(dev_client, loop.loop, project_key=KEY, topics=TOPICS)
    activities = StepActivities(sends, lambda: NOON)
    stack = AsyncExitStack()
    # A second worker of the channel, as in a second process: with a connection of its own.
    other_client = loop.run(Client.connect(dev_server.address))
    loop.run(stack.enter_async_context(run_workers(dev_client, activities, [channel])))
    loop.run(stack.enter_async_context(run_workers(other_client, activities, [channel], with_journeys=False)))
    try:
        began = time.monotonic()
        for number in range(25):
            enter(gateway, plan, f"rated{number}")
        sends.wait_for(25)
    finally:
        loop.run(stack.aclose())
    # A burst of one second's worth may go at once.
    assert max(at for _, at in sends.sent) - began >= (25 - 5 - 1) / 5.0 * 0.9


def test_transactional_sends_overtake_a_backlog_of_marketing(dev_client: Client, loop: LoopThread) -> None:
    channel = Channel(name="busy", use="inbox", kind="email")
    marketing, orders = one_send("promo", "busy", "news"), one_send("order", "busy", "orders")
    sends = Sends(seconds=0.02)
    gateway = Gateway(dev_client, loop.loop, project_key=KEY, topics=TOPICS)
    activities = StepActivities(sends, lambda: NOON)

    async def run() -> AsyncExitStack:
        stack = AsyncExitStack()
        threads = stack.enter_context(ThreadPoolExecutor(4))
        await stack.enter_async_context(journey_worker(dev_client, activities, threads))
        return stack

    journeys = loop.run(run())
    try:
        for number in range(60):
            enter(gateway, marketing, f"promo{number}")
        urgent = {enter(gateway, orders, f"order{number}") for number in range(5)}
        # Their workflows have put all of them into the channel's queue before its first worker comes.
        loop.run(in_queue(dev_client, calls.send_queue(channel.name), 65))

        async def work() -> AsyncExitStack:
            stack = AsyncExitStack()
            threads = stack.enter_context(ThreadPoolExecutor(SEND_THREADS))
            await stack.enter_async_context(send_worker(dev_client, channel, activities, threads))
            return stack

        worker = loop.run(work())
        try:
            sends.wait_for(65)
        finally:
            loop.run(worker.aclose())
    finally:
        loop.run(journeys.aclose())
    places = [place for place, (enrollment, _) in enumerate(sends.sent) if enrollment in urgent]
    assert max(places) < 30, places
