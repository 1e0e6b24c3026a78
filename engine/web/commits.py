"""Group commit: calls that arrive together share one transaction, and each is answered after its commit.

A database commits some hundreds of times a second and inserts many thousands: one thread takes what has queued up,
commits it at once, and only then lets the answers go.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime
from queue import Empty, Full, Queue

from engine.errors import StoreUnavailable
from engine.events.identity import IdentifierKind
from engine.events.intake import Intake
from engine.store import Store
from engine.web.segment import Call

_LOG = logging.getLogger(__name__)
_WAITING_AT_MOST = 2000
_CALLS_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class _Request:
    calls: Sequence[Call]
    received_at: datetime
    is_committed: Future[None] = field(default_factory=Future)


class Commits:
    """Takes tracking calls in, many requests a transaction, each request whole or not at all."""

    def __init__(self, store: Store, intake: Intake, on_intake: Callable[[], None]) -> None:
        self._store = store
        self._intake = intake
        self._on_intake = on_intake
        self._waiting: Queue[_Request | None] = Queue(_WAITING_AT_MOST)
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begins to work."""
        self._thread = threading.Thread(target=self._work, name="intake", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Commits what waits, and ends."""
        if self._thread is not None:
            self._waiting.put(None)
            self._thread.join()
            self._thread = None

    def submit(self, calls: Sequence[Call], received_at: datetime) -> Future[None]:
        """A future that is done once the calls are committed, and fails where none of them was kept."""
        request = _Request(calls, received_at)
        try:
            self._waiting.put_nowait(request)
        except Full:
            raise StoreUnavailable("too many requests wait for the store") from None
        return request.is_committed

    def _work(self) -> None:
        while True:
            request = self._waiting.get()
            together: list[_Request] = []
            while request is not None:
                # Whoever hung up meanwhile is not waiting for an answer, and sends again.
                if request.is_committed.set_running_or_notify_cancel():
                    together.append(request)
                if sum(len(r.calls) for r in together) >= _CALLS_AT_ONCE:
                    break
                try:
                    request = self._waiting.get_nowait()
                except Empty:
                    break
            self._commit_together(together)
            if request is None:
                return

    def _commit_together(self, requests: Sequence[_Request]) -> None:
        if not requests:
            return
        try:
            self._commit(requests)
        except StoreUnavailable as error:
            for request in requests:
                request.is_committed.set_exception(error)
        except Exception:
            # One request's fault must not refuse the others': each again by itself.
            for request in requests:
                try:
                    self._commit([request])
                except Exception as error:
                    request.is_committed.set_exception(error)
                else:
                    request.is_committed.set_result(None)
        else:
            for request in requests:
                request.is_committed.set_result(None)
        try:
            self._on_intake()
        except Exception:
            # What listens may be broken; intake goes on, and the next sweep of the router finds what was committed.
            _LOG.exception("telling of intake failed")

    def _commit(self, requests: Sequence[_Request]) -> None:
        people: set[tuple[IdentifierKind, str]] = set()
        for request in requests:
            for call in request.calls:
                people.update(call.identifiers())
        with self._store.transaction() as unit:
            self._intake.people(unit, people)
            for request in requests:
                for call in request.calls:
                    call.apply(self._intake, unit, request.received_at)
