"""Group commit: calls that arrive together share one transaction, and each is answered after its commit.

A database commits some hundreds of times a second and inserts many thousands: one thread takes what has queued up,
commits it at once, and only then lets the answers go.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime
from queue import Empty, SimpleQueue

from msgspec import Struct

from engine.errors import StoreUnavailable
from engine.events.identity import IdentifierKind
from engine.events.intake import Intake
from engine.store import Store
from engine.web.segment import Call

_LOG = logging.getLogger(__name__)
_WAITING_AT_MOST = 2000
_CALLS_AT_ONCE = 500
#: After a group of this many, more are on their way: their senders hear of the commit and send their next. The thread
#: pauses until as many are here as there were at a time lately, or no more come in: two groups of 30 cost half as much
#: again as one of 60, in the database and in threads that take the interpreter's lock from each other.
_MANY = 8
_PAUSE_SECONDS = 0.0005
_PAUSES_AT_MOST = 20
_QUIET_PAUSES = 2
_LATELY = 16


class _Request(Struct, frozen=True, kw_only=True):
    calls: Sequence[Call]
    received_at: datetime
    loop: asyncio.AbstractEventLoop
    is_committed: asyncio.Future[None]


class Commits:
    """Takes tracking calls in, many requests a transaction, each request whole or not at all."""

    def __init__(self, store: Store, intake: Intake, on_intake: Callable[[], None]) -> None:
        self._store = store
        self._intake = intake
        self._on_intake = on_intake
        #: What the thread does not know of yet.
        self._gathered: list[_Request] = []
        self._waiting: SimpleQueue[_Request | None] = SimpleQueue()
        #: How many the thread lets gather, and whether they have.
        self._awaited = 0
        self._are_here = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begins to work."""
        self._thread = threading.Thread(target=self._work, name="intake", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Commits what waits, and ends."""
        if self._thread is not None:
            self._hand_over()
            self._waiting.put(None)
            self._thread.join()
            self._thread = None

    def submit(self, calls: Sequence[Call], received_at: datetime) -> asyncio.Future[None]:
        """A future of the running loop: done once the calls are committed, failed where none of them was kept."""
        if self._waiting.qsize() + len(self._gathered) >= _WAITING_AT_MOST:
            raise StoreUnavailable("too many requests wait for the store")
        loop = asyncio.get_running_loop()
        request = _Request(calls=calls, received_at=received_at, loop=loop, is_committed=loop.create_future())
        if not self._gathered:
            # Only when all requests that are here have been read: the first would wake the thread for itself alone.
            loop.call_soon(self._hand_over)
        self._gathered.append(request)
        return request.is_committed

    def _hand_over(self) -> None:
        for request in self._gathered:
            self._waiting.put(request)
        self._gathered.clear()
        if self._waiting.qsize() >= self._awaited:
            self._are_here.set()

    def _work(self) -> None:
        together: list[_Request] = []
        calls = 0
        #: How many requests were under way, group by group: those of it, and those that came in meanwhile.
        at_a_time: deque[int] = deque([0], maxlen=_LATELY)
        while True:
            request = self._waiting.get()
            if len(together) >= _MANY and calls < _CALLS_AT_ONCE:
                self._let_gather(max(at_a_time))
            together, calls = [], 0
            while request is not None:
                # Whoever hung up meanwhile is not waiting for an answer, and sends again.
                if not request.is_committed.cancelled():
                    together.append(request)
                    calls += len(request.calls)
                if calls >= _CALLS_AT_ONCE:
                    break
                try:
                    request = self._waiting.get_nowait()
                except Empty:
                    break
            if together:
                self._commit_together(together)
                at_a_time.append(len(together) + self._waiting.qsize())
            if request is None:
                return

    def _let_gather(self, many: int) -> None:
        self._awaited = many - 1  # one is taken already
        self._are_here.clear()
        quiet = 0
        for _ in range(_PAUSES_AT_MOST):
            here = self._waiting.qsize()
            if here >= self._awaited or quiet == _QUIET_PAUSES:
                return
            self._are_here.wait(_PAUSE_SECONDS)
            if self._waiting.qsize() == here:
                quiet += 1

    def _commit_together(self, requests: Sequence[_Request]) -> None:
        errors: list[Exception | None]
        try:
            self._commit(requests)
        except StoreUnavailable as error:
            errors = [error] * len(requests)
        except Exception as error:
            # One request's fault must not refuse the others': each again by itself.
            errors = [error] if len(requests) == 1 else [self._commit_alone(request) for request in requests]
        else:
            errors = [None] * len(requests)
        # A loop is woken once for all that it waits for.
        for loop in {request.loop for request in requests}:
            answers = [
                (each.is_committed, error) for each, error in zip(requests, errors, strict=True) if each.loop is loop
            ]
            try:
                loop.call_soon_threadsafe(_answer, answers)
            except RuntimeError:
                _LOG.warning("the server ended before %d requests were answered", len(answers))
        try:
            self._on_intake()
        except Exception:
            # What listens may be broken; intake goes on, and the next sweep of the router finds what was committed.
            _LOG.exception("telling of intake failed")

    def _commit_alone(self, request: _Request) -> Exception | None:
        try:
            self._commit([request])
        except Exception as error:
            return error
        return None

    def _commit(self, requests: Sequence[_Request]) -> None:
        calls = [call for request in requests for call in request.calls]
        people: set[tuple[IdentifierKind, str]] = set()
        changing: set[tuple[IdentifierKind, str]] = set()
        for call in calls:
            (people if call.is_event else changing).update(call.identifiers())
        event_ids = {call.event_id for call in calls if call.event_id is not None}
        with self._store.transaction() as unit:
            gathering = self._intake.gather(unit, people | changing, changing=changing, event_ids=event_ids)
            for request in requests:
                for call in request.calls:
                    call.apply(self._intake, gathering.unit, request.received_at)
            gathering.write()


def _answer(answers: Sequence[tuple[asyncio.Future[None], Exception | None]]) -> None:
    for future, error in answers:
        if future.done():
            continue  # hung up
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)
