"""The activity of a sweep: fires what is due, and tells Temporal that it is alive."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import datetime

from temporalio import activity
from temporalio.exceptions import ApplicationError

from engine.errors import StoreUnavailable
from engine.events.model import Due
from engine.events.sweeps import Sweeper
from workers import calls
from workers.faults import places

logger = logging.getLogger("sojourn.sweeps")

_BEAT_SECONDS = 1.0


class SweepActivity:
    """May run twice at once (a worker that was thought dead goes on): each due row fires once all the same."""

    def __init__(self, sweeper: Sweeper, clock: Callable[[], datetime], wake: Callable[[], None]) -> None:
        """`wake` is called as long as anything fires: what came of it is routed and delivered at once."""
        self._sweeper = sweeper
        self._clock = clock
        self._wake = wake

    @activity.defn(name=calls.SWEEP, no_thread_cancel_exception=True)
    def sweep(self) -> int:
        """Fires what is due now; how many rows that were."""
        try:
            fired = self._sweeper.sweep(self._clock(), on_fault=_tell, on_piece=_Pulse(self._wake))
        except ApplicationError:
            raise
        except Exception as error:
            # As its type's name: a text may quote a row or an address, and a history is forever.
            kind = type(error).__name__
            if not isinstance(error, StoreUnavailable):
                logger.error("the sweep failed with %s%s", kind, places(error))
            raise ApplicationError(f"{kind} in a sweep", type=kind) from None
        self._wake()
        return fired


class _Pulse:
    """Beats once a second, and leaves with the worker, or when it is given up: the rest stays due for whoever sweeps
    next. (It asks: see `StepActivities` on what Temporal would do.)"""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._last = time.monotonic()

    def __call__(self) -> None:
        if time.monotonic() - self._last < _BEAT_SECONDS:
            return
        self._last = time.monotonic()
        activity.heartbeat()
        self._wake()
        if activity.is_worker_shutdown() or activity.is_cancelled():
            raise ApplicationError("the worker leaves, or another sweeps", type="WorkerLeaves")


def _tell(row: Due, fault: Exception) -> None:
    logger.error("due row %s %s failed with %s%s", row.kind, row.subject, type(fault).__name__, places(fault))
