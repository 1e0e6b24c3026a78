"""Hears of what other processes have committed to the queues, the moment it is committed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from sqlalchemy import Engine

_LOG = logging.getLogger("sojourn.wakeups")

#: What transactions that added to a queue notify on; the notification says nothing but that.
CHANNEL = "sojourn_queues"
#: How often the thread looks whether it is to end.
_LOOK_UP_SECONDS = 1.0
_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 30.0


class Wakeups:
    """A thread that listens on PostgreSQL, over a connection of its own, which it opens anew whenever it is lost.

    On SQLite it does nothing: the one process that writes hears of its own commits, and whoever else is there polls.
    """

    def __init__(self, engine: Engine, wake: Callable[[], None]) -> None:
        """`wake` is called after each notification, and after each connection: something may have been missed."""
        self._engine = engine
        self._wake = wake
        self._is_stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        if self._engine.dialect.name == "postgresql":
            self._thread = threading.Thread(target=self._run, name="wakeups", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Returns when the thread has ended: within a second or so."""
        self._is_stopping.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        from psycopg import Error

        pause = _FIRST_PAUSE_SECONDS
        while not self._is_stopping.is_set():
            try:
                with self._connect() as connection:
                    connection.execute(f"LISTEN {CHANNEL}")
                    pause = _FIRST_PAUSE_SECONDS
                    self._wake()
                    self._listen(connection)
            except Error as error:
                # Without its text, which may name hosts and accounts. Nothing is lost: the loops poll meanwhile.
                _LOG.warning(
                    "no wake-ups from the database (%s): the next look is in %.1f s", type(error).__name__, pause
                )
                self._is_stopping.wait(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    def _listen(self, connection: Any) -> None:
        while not self._is_stopping.is_set():
            for _ in connection.notifies(timeout=_LOOK_UP_SECONDS, stop_after=1):
                self._wake()

    def _connect(self) -> Any:
        """A connection outside of the pool: it is held for good."""
        from psycopg import Connection

        given, named = self._engine.dialect.create_connect_args(self._engine.url)
        return Connection.connect(*given, **named, autocommit=True)
