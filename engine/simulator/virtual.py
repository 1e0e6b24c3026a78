"""The virtual clock: interpreters in memory, timers on a heap. The same interpreter as Temporal's workflow drives."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from itertools import count

from engine.assembly import Engine
from engine.enrollment.model import Enrollment, Stimulus
from engine.plan.effects import Finish, Input, Moved, Perform, Performed, Started, Woke
from engine.plan.interpreter import advance, begin
from engine.plan.model import Plan
from engine.plan.state import State


class VirtualCarrier:
    """Carries every enrollment of one simulated world."""

    def __init__(self, engine: Engine, clock: Callable[[], datetime]) -> None:
        self._engine = engine
        self._clock = clock
        self._carried: dict[str, tuple[Plan, State]] = {}
        self._inputs: deque[tuple[str, Input]] = deque()
        self._timers: list[tuple[datetime, int, str]] = []
        self._order = count()

    def deliver(self, batch: Sequence[tuple[Stimulus, Enrollment]]) -> Mapping[int, Exception]:
        for stimulus, enrollment in batch:
            if isinstance(stimulus.input, Started) and enrollment.enrollment_id not in self._carried:
                state = begin(enrollment_id=enrollment.enrollment_id, entered_at=enrollment.entered_at)
                self._carried[enrollment.enrollment_id] = (self._plan(enrollment.digest), state)
            self._inputs.append((enrollment.enrollment_id, stimulus.input))
        return {}

    def approach(self, moment: datetime) -> None:
        """Virtual time needs no moving: the timeline's clock is the only one."""

    def next_wake_at(self) -> datetime | None:
        while self._timers and not self._is_armed(self._timers[0]):
            heapq.heappop(self._timers)
        return self._timers[0][0] if self._timers else None

    def wake(self, moment: datetime) -> bool:
        upcoming = self.next_wake_at()
        if upcoming is None or upcoming > moment:
            return False
        _, _, enrollment_id = heapq.heappop(self._timers)
        self._inputs.append((enrollment_id, Woke()))
        return True

    def settle(self) -> bool:
        is_busy = bool(self._inputs)
        while self._inputs:
            enrollment_id, event = self._inputs.popleft()
            if enrollment_id in self._carried:
                self._drive(enrollment_id, event)
        return is_busy

    def _drive(self, enrollment_id: str, event: Input) -> None:
        plan, state = self._carried[enrollment_id]
        now = self._clock()
        pending: deque[Input] = deque([event])
        while pending:
            each = pending.popleft()
            onto = self._plan(each.digest) if isinstance(each, Moved) else plan
            state, effects = advance(onto, state, each, now)
            if effects:
                plan = onto
            for effect in effects:
                match effect:
                    case Perform():
                        result = self._engine.performer.perform(enrollment_id, effect, now)
                        pending.append(
                            Performed(step_id=effect.step_id, visit=effect.visit, attempt=effect.attempt, result=result)
                        )
                    case Finish():
                        self._engine.performer.finish(enrollment_id, effect.reason, now)
        if state.mode == "over":
            del self._carried[enrollment_id]
            return
        self._carried[enrollment_id] = (plan, state)
        if state.mode == "waiting" and state.wake_at is not None:
            heapq.heappush(self._timers, (state.wake_at, next(self._order), enrollment_id))

    def _plan(self, digest: str) -> Plan:
        with self._engine.store.transaction() as unit:
            return self._engine.plans.plan(unit, digest)

    def _is_armed(self, timer: tuple[datetime, int, str]) -> bool:
        """A timer set for a wait that is over no longer counts."""
        carried = self._carried.get(timer[2])
        return carried is not None and carried[1].mode == "waiting" and carried[1].wake_at == timer[0]
