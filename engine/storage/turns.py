"""A turn at something that one thread at a time may have, given in the order of asking."""

from __future__ import annotations

import threading
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class TurnTimeout(Exception):
    """The turn did not come."""


class _Waiting(Generic[T]):
    """A thread in the queue."""

    __slots__ = ("comes", "gets", "takes_over")

    def __init__(self, *, takes_over: bool) -> None:
        self.takes_over = takes_over
        #: Held until the turn comes.
        self.comes = threading.Lock()
        self.comes.acquire()
        #: What the one before it has left to it.
        self.gets: T | None = None


class Turns(Generic[T]):
    """Whoever is done hands over to whoever has waited longest.

    A lock, or a pool of one, would be taken again by the thread that has just let go of it, long before one that waits
    has woken: among many busy threads some would wait until they are given up.
    """

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._is_taken = False
        self._waiting: deque[_Waiting[T]] = deque()

    def take(self, patience: float, *, takes_over: bool = False) -> T | None:
        """Returns when it is the caller's turn: what the one before has left to it, who says that it `takes_over`.

        Raises TurnTimeout when the turn does not come in `patience` seconds.
        """
        with self._mutex:
            if not self._is_taken:
                self._is_taken = True
                return None
            mine = _Waiting[T](takes_over=takes_over)
            self._waiting.append(mine)
        if not mine.comes.acquire(timeout=patience):
            with self._mutex:
                if mine in self._waiting:
                    self._waiting.remove(mine)
                    raise TurnTimeout
            # Handed over in the very moment between: it is ours.
        return mine.gets

    def hand_over(self) -> None:
        """Ends the caller's turn."""
        with self._mutex:
            if self._waiting:
                self._waiting.popleft().comes.release()
            else:
                self._is_taken = False

    def leave(self, what: T) -> bool:
        """Ends the caller's turn and leaves something to whoever is next; False where nobody is who would take over."""
        with self._mutex:
            if not self._waiting or not self._waiting[0].takes_over:
                return False
            following = self._waiting.popleft()
            # Before anybody can see that it is out of the queue: its patience may be at an end in this very moment.
            following.gets = what
        following.comes.release()
        return True
