"""A person's way through a plan over a real Temporal server, its steps answered by a script."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from temporalio.api.enums.v1 import EventType, TaskQueueType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client, WorkflowHandle
from temporalio.testing import WorkflowEnvironment

from engine.enrollment.model import Enrollment, Nudge, Stimulus
from engine.ids import enrollment_id
from engine.plan.digest import digest
from engine.plan.effects import Perform, Result, Started
from engine.plan.model import Plan, Step
from engine.plan.state import State
from engine.project import Channel, Topic
from tests.waiting import PATIENCE
from workers import calls
from workers.activities.steps import StepActivities
from workers.contracts.clock import Clock
from workers.contracts.payloads import EnrollmentStart, Standing, StimulusPayload
from workers.contracts.plans import PLANS
from workers.gateway import Gateway, workflow_id
from workers.loop import LoopThread
from workers.worker import run_workers

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
KEY = bytes(32)
CHANNELS = (
    Channel(name="email", use="inbox", kind="email"),
    Channel(name="sms", use="inbox", kind="sms", rate_per_second=50.0),
)
TOPICS = {
    "news": Topic(name="news", title="News"),
    "orders": Topic(name="orders", title="Orders", kind="transactional"),
}

#: A result, or what to do to come to one.
Scripted = Result | Callable[[Perform, datetime], Result]


@dataclass
class Script:
    """A performer: answers each step from a list, the last answer again and again, and notes every call."""

    answers: Mapping[str, Scripted | list[Scripted]]
    calls: list[tuple[str, datetime]] = field(default_factory=list)
    performed: list[Perform] = field(default_factory=list)
    finished: list[tuple[str, datetime]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def perform(self, enrollment_id: str, effect: Perform, now: datetime) -> Result:
        with self.lock:
            self.calls.append((effect.step_id, now))
            self.performed.append(effect)
            answer = self.answers[effect.step_id]
            if isinstance(answer, list):
                answer = answer.pop(0) if len(answer) > 1 else answer[0]
        return answer(effect, now) if callable(answer) else answer

    def finish(self, enrollment_id: str, reason: str, now: datetime) -> None:
        self.finished.append((reason, now))


def make_plan(*steps: Step, journey: str = "cart", title: str = "Abandoned cart") -> Plan:
    first = steps[0].step_id if steps else None
    return Plan(journey=journey, title=title, triggers=(), first=first, steps={step.step_id: step for step in steps})


def make_enrollment(plan: Plan, *, profile: str = "p1", key: str | None = None, number: int = 1) -> Enrollment:
    return Enrollment(
        enrollment_id=enrollment_id(plan.journey, profile, key, number),
        journey=plan.journey,
        digest=digest(plan),
        profile_id=profile,
        key=key,
        number=number,
        entered_at=NOON,
        trigger_at=NOON,
    )


class Road:
    """A person's way over a real server: time is moved by hand, everything else is as in production."""

    def __init__(
        self, client: Client, loop: LoopThread, plan: Plan, script: Script, clock: Clock | None, profile: str
    ) -> None:
        self.client = client
        self.script = script
        self.enrollment = make_enrollment(plan, profile=profile)
        self.clock = clock
        self._loop = loop
        PLANS.put(self.enrollment.digest, plan)
        self.gateway = Gateway(client, loop.loop, project_key=KEY, topics=TOPICS, clock=clock)

    @property
    def handle(self) -> WorkflowHandle[object, object]:
        return self.client.get_workflow_handle(workflow_id(self.enrollment, KEY))

    def enter(self) -> None:
        self.nudge(Started(), at=NOON)

    def enter_as(
        self,
        *,
        state: State | None = None,
        queue: tuple[StimulusPayload, ...] = (),
        signals: Sequence[StimulusPayload] = (),
    ) -> None:
        """Enters past the gateway: as after a continue-as-new, or with a signal that comes with the start."""
        start = EnrollmentStart(
            enrollment_id=self.enrollment.enrollment_id,
            digest=self.enrollment.digest,
            entered_at=NOON,
            clock=self.clock,
            state=state,
            queue=queue,
        )
        begin = self.client.start_workflow(
            self.enrollment.journey,
            start.to_json(),
            id=self.handle.id,
            task_queue=calls.TASK_QUEUE,
            start_signal="nudge" if signals else None,
            start_signal_args=[each.to_json() for each in signals],
        )
        self._loop.run(begin)

    def nudge(self, event: Nudge, *, at: datetime) -> None:
        self.nudge_each([event], at=at)

    def nudge_each(self, events: Sequence[Nudge], *, at: datetime) -> None:
        """All at once, in no order."""
        stimuli = [
            Stimulus(enrollment_id=self.enrollment.enrollment_id, seq=seq, input=event, created_at=at, not_before=at)
            for seq, event in enumerate(events, start=1)
        ]
        assert self.gateway.deliver([(stimulus, self.enrollment) for stimulus in stimuli]) == {}

    def standing(self) -> Standing:
        return Standing.from_json(self._loop.run(self.handle.query("standing")))  # type: ignore[arg-type]

    def settle(self) -> Standing:
        """Where the person stands once nothing but time or a signal will change it."""
        deadline = time.monotonic() + PATIENCE
        while not (standing := self.standing()).is_idle:
            assert time.monotonic() < deadline, standing
            time.sleep(0.01)
        return standing

    def go_to(self, environment: WorkflowEnvironment, at: datetime) -> Standing:
        """Lets engine time run to `at`."""
        assert self.clock is not None
        self.settle()

        async def sleep() -> None:
            assert self.clock is not None
            span = self.clock.to_server(at) - await environment.get_current_time()
            await environment.sleep(max(span, timedelta()))

        self._loop.run(sleep())
        return self.settle()

    def let_pass(self, environment: WorkflowEnvironment, span: timedelta) -> None:
        """Lets server time pass, whatever the person does meanwhile."""
        self._loop.run(environment.sleep(span))

    def history(self) -> list[HistoryEvent]:
        async def fetch() -> list[HistoryEvent]:
            return list((await self.handle.fetch_history()).events)

        return self._loop.run(fetch())

    def end(self) -> None:
        """Returns when the workflow has ended well."""

        async def watch() -> None:
            while True:
                description = await self.handle.describe()
                if description.close_time is not None:
                    assert description.status is not None
                    assert description.status.name == "COMPLETED", description.status
                    return
                await asyncio.sleep(0.01)

        self._loop.run(watch(), timeout=PATIENCE)

    def summaries(self, kind: str) -> list[str]:
        """Summaries of the events of a kind (`TIMER_STARTED` …), as Temporal's UI shows them."""
        wanted = EventType.Value(f"EVENT_TYPE_{kind}")
        return [json.loads(each.user_metadata.summary.data) for each in self.history() if each.event_type == wanted]


async def in_queue(client: Client, queue: str, count: int) -> None:
    """Returns when so many activities stand in a queue without workers."""
    request = DescribeTaskQueueRequest(
        namespace=client.namespace,
        task_queue=TaskQueue(name=queue),
        task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,
        report_stats=True,
    )
    deadline = time.monotonic() + PATIENCE
    while True:
        # Again, where the server is asked by too many at a time.
        answer = await client.workflow_service.describe_task_queue(request, retry=True)
        if answer.stats.approximate_backlog_count >= count:
            return
        assert time.monotonic() < deadline, f"{answer.stats.approximate_backlog_count} of {count} in the queue"
        await asyncio.sleep(0.2)


class Workers:
    """Starts workers around a script and ends them with the test."""

    def __init__(self, loop: LoopThread) -> None:
        self._loop = loop
        self._stack = AsyncExitStack()

    def road(
        self, client: Client, plan: Plan, script: Script, *, clock: Clock | None = None, profile: str | None = None
    ) -> Road:
        # A clock that stands at noon: a send happens at the moment of its request.
        activities = StepActivities(script, lambda: NOON)

        self._loop.run(self._stack.enter_async_context(run_workers(client, activities, CHANNELS)))
        return Road(client, self._loop, plan, script, clock, profile or f"p{time.monotonic_ns()}")

    def close(self) -> None:
        self._loop.run(self._stack.aclose())
