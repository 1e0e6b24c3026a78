"""What every installation does all the time: route what was committed, and deliver what came of it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from temporalio.service import RPCError

from engine.assembly import Engine
from engine.enrollment.carrier import Carrier
from engine.errors import StoreUnavailable
from engine.events.model import Occurrence
from engine.plan.effects import Perform, Result
from engine.schedule import doubled
from workers.activities.steps import Performer
from workers.faults import places

logger = logging.getLogger("sojourn.loops")

#: How long a loop that nobody wakes rests: another process may have committed something.
POLL_EVERY = timedelta(seconds=0.5)
_LONGEST_PAUSE = timedelta(seconds=30)


class Loop:
    """A piece of work, done again and again in a thread until there is none; then whenever it is woken or in time."""

    def __init__(
        self,
        name: str,
        work: Callable[[datetime], int],
        *,
        clock: Callable[[], datetime],
        every: timedelta,
        then: Sequence[Loop] = (),
    ) -> None:
        """`work` returns how much it did; where that is anything, the loops in `then` are woken."""
        self.name = name
        self._work = work
        self._clock = clock
        self._every = every
        self._then = then
        self._bell = threading.Event()
        self._is_stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """There may be something to do. Never blocks."""
        self._bell.set()

    def stop(self) -> None:
        """Returns when the piece of work under way is done."""
        self._is_stopping.set()
        self._bell.set()
        self._thread.join()

    def _run(self) -> None:
        failures = 0
        while not self._is_stopping.is_set():
            # Cleared before the work: whatever is committed during it rings again.
            self._bell.clear()
            try:
                done = self._work(self._clock())
            except Exception as error:
                failures += 1
                self._report(error, failures)
                self._is_stopping.wait(_pause(failures).total_seconds())
                continue
            if failures:
                logger.warning("%s works again", self.name)
                failures = 0
            if done:
                for loop in self._then:
                    loop.wake()
            else:
                self._bell.wait(self._every.total_seconds())

    def _report(self, error: Exception, failures: int) -> None:
        pause = _pause(failures).total_seconds()
        if isinstance(error, StoreUnavailable):
            logger.warning("%s: %s; next attempt in %.1f s", self.name, error, pause)
        elif isinstance(error, RPCError):
            # Its words may be shown: all that Temporal ever gets from us are ids.
            said = f"{error.status.name}: {error.message}"
            logger.warning("%s: Temporal does not take it (%s); next attempt in %.1f s", self.name, said, pause)
        else:
            # Without its text: that may quote a row or an address.
            kind = type(error).__name__
            logger.error("%s failed with %s; next attempt in %.1f s%s", self.name, kind, pause, places(error))


def _pause(failures: int) -> timedelta:
    return doubled(POLL_EVERY, failures - 1, _LONGEST_PAUSE)


class Loops:
    """The router and the courier of one process. Any number of processes may run them at once."""

    def __init__(self, engine: Engine, carrier: Carrier, clock: Callable[[], datetime]) -> None:
        self._courier = Loop(
            "courier", lambda now: engine.courier.deliver_due(carrier, now), clock=clock, every=POLL_EVERY
        )
        self._router = Loop(
            # One at a time: under a backlog each is routed at its own moment, and the courier follows at once.
            "router",
            lambda now: int(engine.router.route_next(now, _tell_setback)),
            clock=clock,
            every=POLL_EVERY,
            then=[self._courier],
        )

    def start(self) -> None:
        for loop in (self._courier, self._router):
            loop.start()

    def stop(self) -> None:
        """Returns when nothing is under way any more."""
        for loop in (self._router, self._courier):
            loop.stop()

    def wake(self) -> None:
        """Something was committed in this process: it is routed and delivered at once."""
        self._router.wake()
        self._courier.wake()


def _tell_setback(occurrence: Occurrence, fault: Exception) -> None:
    """Without the fault's text: that may quote a row or an address."""
    what = f"occurrence {occurrence.seq} ({occurrence.kind})"
    if occurrence.retry_at is not None:
        logger.warning(
            "%s failed with %s, attempt %d; it is tried again at %s",
            what,
            occurrence.fault,
            occurrence.attempts,
            occurrence.retry_at.isoformat(timespec="seconds"),
        )
    else:
        logger.error(
            "%s failed with %s, attempt %d, and is set aside: see `sojourn routing list`%s",
            what,
            occurrence.fault,
            occurrence.attempts,
            places(fault),
        )


class WakingPerformer:
    """A performer whose steps wake the loops: what a step emits, starts or ends is routed at once."""

    def __init__(self, performer: Performer, wake: Callable[[], None]) -> None:
        self._performer = performer
        self._wake = wake

    def perform(self, enrollment_id: str, effect: Perform, now: datetime) -> Result:
        result = self._performer.perform(enrollment_id, effect, now)
        self._wake()
        return result

    def finish(self, enrollment_id: str, reason: str, now: datetime) -> None:
        self._performer.finish(enrollment_id, reason, now)
        self._wake()
