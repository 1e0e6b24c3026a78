"""A turn at something that one thread at a time may have, given in the order of asking."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager


class TurnTimeout(Exception):
    """The turn did not come."""


class Turns:
    """Whoever is done hands over to whoever has waited longest.

    A lock, or a pool of one, would be taken again by the thread that has just let go of it, long before one that waits
    has woken: among many busy threads some would wait until they are given up.
    """

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._is_taken = False
        self._waiting: deque[threading.Lock] = deque()

    @contextmanager
    def one(self, patience: float) -> Iterator[None]:
        """A turn for as long as the block lasts. Raises TurnTimeout when it does not come in `patience` seconds."""
        self._take(patience)
        try:
            yield
        finally:
            self._hand_over()

    def _take(self, patience: float) -> None:
        with self._mutex:
            if not self._is_taken:
                self._is_taken = True
                return
            mine = threading.Lock()
            mine.acquire()
            self._waiting.append(mine)
        if mine.acquire(timeout=patience):
            return
        with self._mutex:
            if mine in self._waiting:
                self._waiting.remove(mine)
                raise TurnTimeout
        # Handed over in the very moment between: it is ours.

    def _hand_over(self) -> None:
        with self._mutex:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._is_taken = False
