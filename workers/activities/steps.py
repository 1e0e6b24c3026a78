"""The activities: each opens the engine's door for one step of one enrollment and hands back what came of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from temporalio import activity
from temporalio.exceptions import ApplicationError

from engine.errors import StoreUnavailable
from engine.plan.effects import Perform, Result
from workers import calls
from workers.contracts.payloads import FinishRequest, PerformAnswer, PerformRequest
from workers.faults import places

if TYPE_CHECKING:
    from collections.abc import Iterator

logger = logging.getLogger("sojourn.steps")


class Performer(Protocol):
    """Who performs steps against the store: the engine's performer, or a script in a test of the workflow."""

    def perform(self, enrollment_id: str, effect: Perform, now: datetime) -> Result: ...
    def finish(self, enrollment_id: str, reason: str, now: datetime) -> None: ...


class StepActivities:
    """Run in a pool of threads; may be called twice for the same request, which the performer makes harmless.

    What Temporal gives up, at its time-out or where the worker leaves, comes to its end all the same. Otherwise an
    exception would be thrown into the thread, wherever that is: where it was just given the store's one connection,
    for instance, or where a provider has answered and nothing of it is recorded.
    """

    def __init__(self, performer: Performer, clock: Callable[[], datetime]) -> None:
        self._performer = performer
        self._clock = clock

    @property
    def local(self) -> Sequence[Callable[..., Any]]:
        """For the worker of the workflows."""
        return (self.perform, self.finish)

    @property
    def remote(self) -> Sequence[Callable[..., Any]]:
        """For the workers of the channels."""
        return (self.dispatch,)

    @activity.defn(name=calls.PERFORM, no_thread_cancel_exception=True)
    def perform(self, payload: dict[str, Any]) -> dict[str, Any]:
        """Performs a step at the engine time of its decision: a wait counts from its cause, not from this call."""
        request = PerformRequest.from_json(payload)
        with _faults_without_data(request.enrollment_id, request.effect.step_id):
            result = self._performer.perform(request.enrollment_id, request.effect, request.now)
        return PerformAnswer(result=result).to_json()

    @activity.defn(name=calls.DISPATCH, no_thread_cancel_exception=True)
    def dispatch(self, payload: dict[str, Any]) -> dict[str, Any]:
        """Performs a send now: it may have stood in its channel's queue, and is decided when it goes."""
        request = PerformRequest.from_json(payload)
        with _faults_without_data(request.enrollment_id, request.effect.step_id):
            now = max(self._clock(), request.now)
            result = self._performer.perform(request.enrollment_id, request.effect, now)
        return PerformAnswer(result=result).to_json()

    @activity.defn(name=calls.FINISH, no_thread_cancel_exception=True)
    def finish(self, payload: dict[str, Any]) -> None:
        """Records the end of an enrollment."""
        request = FinishRequest.from_json(payload)
        with _faults_without_data(request.enrollment_id, None):
            self._performer.finish(request.enrollment_id, request.reason, request.now)


@contextmanager
def _faults_without_data(enrollment_id: str, step_id: str | None) -> Iterator[None]:
    """Lets an exception leave as its type's name: texts may quote a row or an address, and a history is forever."""
    try:
        yield
    except Exception as error:
        kind = type(error).__name__
        if not isinstance(error, StoreUnavailable):
            logger.error("enrollment %s, step %s: %s%s", enrollment_id, step_id, kind, places(error))
        # `from None`: the cause's text and trace would travel along.
        raise ApplicationError(f"{kind} in step {step_id} of enrollment {enrollment_id}", type=kind) from None
