"""SQLite's one connection, and transactions that share a commit.

A commit waits for the disk, and while it does nobody else may write. So pieces of work that are short and may wait for
each other, those of a step, are done one after another in one transaction, each behind a savepoint of its own, and
committed together: none returns before that. Who fails undoes its own work alone. Only those that stand in line
already take part, so nobody waits for company: a lone piece of work is a plain transaction.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

from sqlalchemy import Connection, Engine

from engine.errors import StoreUnavailable
from engine.storage.sql.prepared import run
from engine.storage.turns import Turns

#: Pieces of work in one transaction: the first of them waits for all, and so does any other process that writes.
_TOGETHER_AT_MOST = 8
#: What lies between two transactions of one piece each, about.
_APART_SECONDS = 0.0001


class _Shared:
    """A transaction that is under way."""

    def __init__(self, engine: Engine) -> None:
        self._under_way = ExitStack()
        self.connection = self._under_way.enter_context(engine.begin())
        #: Pieces of work that are done in it.
        self.pieces = 0
        #: Those who did them and wait for the commit; and why there was none.
        self.waiting: list[threading.Lock] = []
        self.error: BaseException | None = None

    def end(self) -> None:
        """Commits, and tells those who wait for it. Raises the error of the commit."""
        try:
            self._under_way.close()
        except BaseException as error:
            self.error = error
            raise
        finally:
            self._tell()

    def give_up(self, error: BaseException) -> None:
        """Rolls back, and tells those who wait."""
        self.error = error
        try:
            self._under_way.__exit__(type(error), error, error.__traceback__)
        finally:
            self._tell()

    def _tell(self) -> None:
        for each in self.waiting:
            each.release()


class OneConnection:
    """Turns at the one connection of an engine."""

    def __init__(self, engine: Engine, patience: float) -> None:
        self._engine = engine
        self._patience = patience
        self._turns: Turns[_Shared] = Turns()

    @contextmanager
    def begin(self, *, is_shared: bool = False) -> Iterator[Connection]:
        """A transaction, committed when the block ends. Raises TurnTimeout where no turn comes.

        `is_shared`: others' pieces of work may be part of it. The block must wait for nobody, least of all for what
        another thread does after its own block.
        """
        shared = self._turns.take(self._patience, takes_over=is_shared) or self._open()
        try:
            if shared.pieces:
                run(shared.connection, "SAVEPOINT piece", ())
            yield shared.connection
            _check(shared.connection)
            if shared.pieces:
                run(shared.connection, "RELEASE piece", ())
        except BaseException as error:
            self._undo(shared, error)
            raise
        shared.pieces += 1
        if is_shared and shared.pieces < _TOGETHER_AT_MOST:
            mine = threading.Lock()
            mine.acquire()
            shared.waiting.append(mine)
            if self._turns.leave(shared):
                mine.acquire()
                if shared.error is not None:
                    # Of their own, for each thread: nothing that they did is wrong, and a repeat helps.
                    raise StoreUnavailable(
                        "the transaction of this piece of work and others was not committed: nothing of it is stored"
                    ) from shared.error
                return
            shared.waiting.remove(mine)
        try:
            shared.end()
            if shared.pieces > 1:
                # Other processes look now and then whether the file is free: as often as between so many commits.
                time.sleep(shared.pieces * _APART_SECONDS)
        finally:
            self._turns.hand_over()

    def _open(self) -> _Shared:
        try:
            return _Shared(self._engine)
        except BaseException:
            self._turns.hand_over()
            raise

    def _undo(self, shared: _Shared, error: BaseException) -> None:
        """Undoes the caller's work and commits the others', if any; ends the caller's turn."""
        try:
            if not shared.pieces:
                shared.give_up(error)
                return
            try:
                run(shared.connection, "ROLLBACK TO piece", ())
            except Exception as lost:
                # The database has given up all of it.
                shared.give_up(lost)
                return
            # The caller has an error of their own: that of the commit is for those who wait for it.
            with suppress(Exception):
                shared.end()
        finally:
            self._turns.hand_over()


def _check(connection: Connection) -> None:
    """Raises where SQLite has given up the transaction, as it does when the disk is full, and somebody went on."""
    driver: Any = connection.connection.driver_connection
    if not driver.in_transaction:
        raise StoreUnavailable("the database has given up the transaction: nothing of it is stored")
