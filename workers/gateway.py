"""Hands stimuli to the workflows that carry enrollments: the engine's `Carrier`, over Temporal."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import re
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any

from temporalio.client import Client
from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from engine.enrollment.model import Enrollment, Stimulus
from engine.plan.effects import Moved, Started
from engine.plan.model import Plan, Send
from engine.project import Topic
from workers import calls
from workers.connection import SEARCH_ATTRIBUTES
from workers.contracts.clock import Clock
from workers.contracts.payloads import EnrollmentStart, StimulusPayload
from workers.contracts.plans import PLANS, PlanShelf

logger = logging.getLogger("sojourn.gateway")

_JOURNEY, _VERSION, _PROFILE = (SearchAttributeKey.for_keyword(name) for name in SEARCH_ATTRIBUTES)

_ID_LIKE = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
#: A server that does not answer must not hold up the courier for long (all of a batch together, for less than its
#: lease); it comes back to the stimulus.
_ANSWER_SECONDS = 10.0
#: Starts and signals under way at a time.
_IN_FLIGHT = 32
#: What a Temporal that serves nobody at present answers.
_OUTAGE = (
    RPCStatusCode.UNAVAILABLE,
    RPCStatusCode.DEADLINE_EXCEEDED,
    RPCStatusCode.RESOURCE_EXHAUSTED,
    RPCStatusCode.UNAUTHENTICATED,
    RPCStatusCode.PERMISSION_DENIED,
    RPCStatusCode.CANCELLED,
)


def workflow_id(enrollment: Enrollment, project_key: bytes) -> str:
    """`JOURNEY/PROFILE[/KEY]/N`, as entered: a merge renames nobody's workflow.

    A key that may be more than an id is replaced by a short keyed hash (`~` leads it).
    """
    entered_as = enrollment.entered_as or f"{enrollment.profile_id}/{enrollment.number}"
    profile_id, _, number = entered_as.rpartition("/")
    parts = [enrollment.journey, profile_id]
    if enrollment.key is not None:
        if _ID_LIKE.fullmatch(enrollment.key):
            parts.append(enrollment.key)
        else:
            mac = hmac.new(project_key, f"workflow-key\x00{enrollment.key}".encode(), hashlib.sha256)
            parts.append(f"~{mac.hexdigest()[:16]}")
    return "/".join((*parts, number))


async def _in_time(work: Coroutine[Any, Any, None]) -> None:
    try:
        await asyncio.wait_for(work, _ANSWER_SECONDS)
    except TimeoutError:
        raise RPCError("no answer in time", RPCStatusCode.DEADLINE_EXCEEDED, b"") from None


def _is_outage(problem: Exception) -> bool:
    # A client that has never connected says so with a RuntimeError.
    return problem.status in _OUTAGE if isinstance(problem, RPCError) else isinstance(problem, RuntimeError)


class Gateway:
    """A `Carrier`. Synchronous, for threads; its client lives on an asyncio loop that runs in another one."""

    def __init__(
        self,
        client: Client,
        loop: asyncio.AbstractEventLoop,
        *,
        project_key: bytes,
        topics: Mapping[str, Topic],
        clock: Clock | None = None,
        plans: PlanShelf = PLANS,
        # One enrollment, one workflow, also when the stimulus comes again after the end. Simulations share a server
        # among worlds whose enrollments have the same ids, one world after another.
        id_reuse_policy: WorkflowIDReusePolicy = WorkflowIDReusePolicy.REJECT_DUPLICATE,
    ) -> None:
        self._client = client
        self._loop = loop
        self._project_key = project_key
        self._topics = topics
        self._clock = clock
        self._plans = plans
        self._id_reuse_policy = id_reuse_policy

    def deliver(self, batch: Sequence[tuple[Stimulus, Enrollment]]) -> Mapping[int, Exception]:
        """Starts the workflows of enrollments, or signals them, some at a time; those refused, by `seq`.

        Raises RPCError, or RuntimeError before the first connection, where Temporal takes nothing at present.
        """
        problems = asyncio.run_coroutine_threadsafe(self._deliver(batch), self._loop).result()
        refused = {
            stimulus.seq: problem for (stimulus, _), problem in zip(batch, problems, strict=True) if problem is not None
        }
        outage = next((each for each in problems if each is not None and _is_outage(each)), None)
        if outage is not None and len(refused) == len(batch):
            raise outage
        for stimulus, _ in batch:
            if stimulus.seq in refused:
                # Without its text, which may quote anything.
                kind = type(refused[stimulus.seq]).__name__
                logger.warning(
                    "enrollment %s: its stimulus `%s` was refused with %s and comes again",
                    stimulus.enrollment_id,
                    stimulus.input.kind,
                    kind,
                )
        return refused

    async def _deliver(self, batch: Sequence[tuple[Stimulus, Enrollment]]) -> list[Exception | None]:
        places = asyncio.Semaphore(_IN_FLIGHT)

        async def hand_over(stimulus: Stimulus, enrollment: Enrollment) -> None:
            async with places:
                if isinstance(stimulus.input, Started):
                    await self._start(enrollment)
                else:
                    await self._signal(stimulus, enrollment)

        async def one(stimulus: Stimulus, enrollment: Enrollment) -> Exception | None:
            try:
                await _in_time(hand_over(stimulus, enrollment))
            except Exception as problem:  # whatever it is, it is this one's alone
                return problem
            return None

        return list(await asyncio.gather(*(one(stimulus, enrollment) for stimulus, enrollment in batch)))

    async def _start(self, enrollment: Enrollment) -> None:
        plan = self._plans.plan(enrollment.digest)
        start = EnrollmentStart(
            enrollment_id=enrollment.enrollment_id,
            digest=enrollment.digest,
            entered_at=enrollment.entered_at,
            urgent_topics=self._urgent_topics(plan),
            clock=self._clock,
        )
        try:
            await self._client.start_workflow(
                enrollment.journey,
                start.to_json(),
                id=workflow_id(enrollment, self._project_key),
                task_queue=calls.TASK_QUEUE,
                id_reuse_policy=self._id_reuse_policy,
                # With the worker in this process the first step needs no second round through the server.
                request_eager_start=True,
                # Set once: an upsert at each step costs a fifth of the throughput.
                search_attributes=TypedSearchAttributes(
                    [
                        SearchAttributePair(_JOURNEY, enrollment.journey),
                        SearchAttributePair(_VERSION, enrollment.digest),
                        SearchAttributePair(_PROFILE, enrollment.profile_id),
                    ]
                ),
                static_summary=plan.title,
            )
        except WorkflowAlreadyStartedError:
            logger.debug("enrollment %s is carried already", enrollment.enrollment_id)

    async def _signal(self, stimulus: Stimulus, enrollment: Enrollment) -> None:
        event = stimulus.input
        urgent = self._urgent_topics(self._plans.plan(event.digest)) if isinstance(event, Moved) else ()
        payload = StimulusPayload(input=event, created_at=stimulus.created_at, urgent_topics=urgent)
        handle = self._client.get_workflow_handle(workflow_id(enrollment, self._project_key))
        try:
            await handle.signal("nudge", payload.to_json())
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            if enrollment.state == "active":
                # Ended between the reading of the enrollment and now; or terminated in Temporal by somebody's hand,
                # which no repetition mends and which must not hold up everybody else's stimuli.
                logger.warning(
                    "no workflow carries enrollment %s; its stimulus `%s` was dropped",
                    enrollment.enrollment_id,
                    stimulus.input.kind,
                )

    def _urgent_topics(self, plan: Plan) -> tuple[str, ...]:
        named = {step.topic for step in plan.steps.values() if isinstance(step, Send)}
        return tuple(sorted(name for name in named if name in self._topics and self._topics[name].kind != "marketing"))
