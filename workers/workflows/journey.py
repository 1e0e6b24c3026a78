"""The one workflow: it carries one enrollment through its plan, whatever the journey.

It is dynamic: the workflow's type is the journey's name, and what it means is in the plan that its hash names. All that
it decides is decided by `engine.plan.interpreter.advance`; here are only time, signals and the calling of activities.
A change of meaning is a new `schema_version` of the plan, never a branch in this file: recorded histories are replayed
against it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, NoReturn, assert_never

from temporalio import workflow
from temporalio.common import RawValue

from engine.plan.effects import Effect, Finish, Input, Left, Moved, Perform, Performed, Started, WaitUntil, Woke
from engine.plan.interpreter import advance, begin
from engine.plan.model import Plan, Send
from engine.plan.words import describe
from workers import calls
from workers.contracts.payloads import (
    EnrollmentStart,
    FinishRequest,
    PerformAnswer,
    PerformRequest,
    Standing,
    StimulusPayload,
)
from workers.contracts.plans import PLANS

#: How far the clock may run past the moment that caused an activation before that moment no longer counts as now.
_GRID = timedelta(seconds=1)
#: After so many inputs a run is followed by another with a history of its own: an input costs some ten events, and
#: Temporal warns at 10,240. Temporal's own word that it is time comes with a task, and an answer that a query has made
#: late is replayed in the task before: only what was counted is the same in both.
_INPUTS_A_RUN = 400


@workflow.defn(dynamic=True)
class JourneyWorkflow:
    """Carries one enrollment. Its argument is an `EnrollmentStart`."""

    def __init__(self) -> None:
        # Signals may come before `run` does (they are delivered with the first task): they only queue.
        self._queue: deque[StimulusPayload] = deque()
        self._carriage: _Carriage | None = None

    @workflow.run
    async def run(self, args: Sequence[RawValue]) -> None:
        start = EnrollmentStart.from_json(workflow.payload_converter().from_payload(args[0].payload, dict))
        self._queue.extendleft(reversed(start.queue))
        self._carriage = _Carriage(start, PLANS.plan(start.digest), self._queue)
        await self._carriage.travel()

    @workflow.signal
    def nudge(self, payload: dict[str, Any]) -> None:
        """An input from outside: a `StimulusPayload`."""
        self._queue.append(StimulusPayload.from_json(payload))

    @workflow.query
    def standing(self) -> dict[str, Any]:
        """Where the person stands: a `Standing`."""
        if self._carriage is None:
            return Standing(mode="starting", step_id=None, visit=0, wake_at=None, is_idle=False).to_json()
        return self._carriage.standing().to_json()


class _Carriage:
    """Drives the interpreter: at most one step under way, inputs in their order, `Left` before all."""

    def __init__(self, start: EnrollmentStart, plan: Plan, queue: deque[StimulusPayload]) -> None:
        self._start = start
        #: Version and its plan, until a deploy moves the person to another.
        self._digest = start.digest
        self._plan = plan
        #: By version: topics whose sends go first.
        self._urgent_topics = {start.digest: start.urgent_topics}
        self._queue = queue
        self._state = start.state or begin(enrollment_id=start.enrollment_id, entered_at=start.entered_at)
        self._under_way: workflow.ActivityHandle[Any] | None = None
        #: Engine time of the last activation.
        self._moment = start.entered_at
        #: Why the person waits, for the timer's summary.
        self._why = ""
        #: Inputs of this run.
        self._taken = 0

    async def travel(self) -> None:
        """Returns when the enrollment is over and the end is recorded."""
        try:
            if self._start.state is None:
                self._take(Started(), self._start.entered_at)
            while self._state.mode != "over":
                self._take(*await self._next_input())
            await self._settle()
        except asyncio.CancelledError:
            # Somebody cancelled it in Temporal: the person is let go as by `sojourn stop`, and our record says so.
            await self._settle()
            if self._state.mode != "over":
                self._finish("stopped", self._engine_now())
                await self._settle()
            raise

    def standing(self) -> Standing:
        return Standing(
            mode=self._state.mode,
            step_id=self._state.step_id,
            visit=self._state.visit,
            wake_at=self._state.wake_at,
            is_idle=self._under_way is None and not self._queue,
        )

    # ── inputs ───────────────────────────────────────────────────────────────────────────────────────────────────────
    async def _next_input(self) -> tuple[Input, datetime]:
        """The next input and the moment of its cause. Leaves by continue-as-new where the history has grown long."""
        if self._under_way is not None:
            under_way = self._under_way
            await workflow.wait_condition(lambda: under_way.done() or self._left() is not None)
            if self._left() is None:
                self._under_way = None
                return self._performed(PerformAnswer.from_json(under_way.result())), self._moment
        elif self._taken >= _INPUTS_A_RUN:
            self._continue_as_new()
        left = self._left()
        if left is not None:
            self._queue.remove(left)
            return left.input, left.created_at
        wake_at = self._state.wake_at
        if not self._queue and wake_at is not None and await self._is_due(wake_at):
            return Woke(), wake_at
        await workflow.wait_condition(lambda: bool(self._queue))
        stimulus = self._queue.popleft()
        if isinstance(stimulus.input, Moved):
            self._urgent_topics[stimulus.input.digest] = stimulus.urgent_topics
        return stimulus.input, stimulus.created_at

    async def _is_due(self, wake_at: datetime) -> bool:
        """Waits until then; False as soon as an input comes first."""
        timeout = self._server_span(wake_at - self._engine_now())
        if timeout <= timedelta():
            return True
        try:
            await workflow.wait_condition(
                lambda: bool(self._queue), timeout=timeout, timeout_summary=self._wait_in_words()
            )
        except TimeoutError:
            return True
        return False

    def _left(self) -> StimulusPayload | None:
        return next((each for each in self._queue if isinstance(each.input, Left)), None)

    def _performed(self, answer: PerformAnswer) -> Performed:
        if isinstance(answer.result, WaitUntil):
            self._why = answer.result.why
        return Performed(
            step_id=str(self._state.step_id),
            visit=self._state.visit,
            attempt=self._state.attempt,
            result=answer.result,
        )

    # ── effects ──────────────────────────────────────────────────────────────────────────────────────────────────────
    def _take(self, event: Input, cause: datetime) -> None:
        """Hands one input to the interpreter and starts what comes of it."""
        self._taken += 1
        now = self._moment = self._on_grid(cause)
        if isinstance(event, Moved):
            effects = self._move(event, now)
        else:
            self._state, effects = advance(self._plan, self._state, event, now)
        for effect in effects:
            match effect:
                case Perform():
                    self._perform(effect, now)
                case Finish():
                    self._finish(effect.reason, now)
                case _:
                    assert_never(effect)

    def _move(self, event: Moved, now: datetime) -> tuple[Effect, ...]:
        plan = PLANS.plan(event.digest)
        self._state, effects = advance(plan, self._state, event, now)
        if effects:
            self._plan, self._digest = plan, event.digest
        return effects

    def _perform(self, effect: Perform, now: datetime) -> None:
        step = self._plan.steps[effect.step_id]
        request = PerformRequest(enrollment_id=self._start.enrollment_id, effect=effect, now=now)
        if isinstance(step, Send):
            is_urgent = step.topic in self._urgent_topics[self._digest]
            self._under_way = calls.dispatch(
                request, step, journey=self._plan.journey, is_urgent=is_urgent, summary=describe(step)
            )
        else:
            timeout = calls.TURN_TIMEOUT if self._is_work_instant() else calls.LOCAL_TIMEOUT
            self._under_way = calls.perform(request, step, summary=describe(step), timeout=timeout)

    def _finish(self, reason: str, now: datetime) -> None:
        self._under_way = calls.finish(FinishRequest(enrollment_id=self._start.enrollment_id, reason=reason, now=now))

    async def _settle(self) -> None:
        """Lets what is under way come to its end: a message half sent is recorded, whatever ended the enrollment."""
        if self._under_way is not None:
            # Waiting for the handle itself would cancel the activity when the workflow is cancelled.
            await workflow.wait_condition(self._under_way.done)
            self._under_way = None

    def _continue_as_new(self) -> NoReturn:
        start = replace(
            self._start,
            digest=self._digest,
            urgent_topics=self._urgent_topics[self._digest],
            state=self._state,
            queue=tuple(self._queue),
        )
        workflow.continue_as_new(start.to_json())

    # ── time ─────────────────────────────────────────────────────────────────────────────────────────────────────────
    def _on_grid(self, cause: datetime) -> datetime:
        """Engine time of an activation: the moment of its cause, unless work has taken a second or more since.

        A timer fires some milliseconds late and an activity takes some more. If each wait counted from the clock, a
        journey of hourly waits would drift by them, and no two runs would agree; so what follows at once from a moment
        happens at that moment. Time never runs backwards: an input committed before the last activation comes at it.
        """
        if self._is_work_instant():
            return max(self._moment, cause)
        clock = self._engine_now()
        return max(self._moment, cause if clock - cause < _GRID else clock)

    def _is_work_instant(self) -> bool:
        return self._start.clock is not None and self._start.clock.is_work_instant

    def _engine_now(self) -> datetime:
        clock = self._start.clock
        return workflow.now() if clock is None else clock.to_engine(workflow.now())

    def _server_span(self, span: timedelta) -> timedelta:
        clock = self._start.clock
        return span if clock is None else clock.server_span(span)

    def _wait_in_words(self) -> str:
        words = describe(self._plan.steps[str(self._state.step_id)])
        return words if self._why in ("", "timer", "event") else f"{words} ({self._why})"
