"""Turns at what one thread at a time may have."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from engine.storage import turns
from engine.storage.turns import T, Turns
from tests.waiting import PATIENCE, until


def test_whose_patience_ends_while_it_is_handed_over_to_gets_what_was_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Were it missed, it would be nobody's, and whoever waits for its commit would wait for ever."""
    handing_over, is_taken = threading.Event(), threading.Event()

    class Impatient:
        """A lock that is given up when the handing over has begun."""

        def acquire(self, timeout: float = 0) -> bool:
            if timeout:
                assert handing_over.wait(PATIENCE)
            return False

        def release(self) -> None: ...

    class Watched(turns._Waiting[T]):
        def __setattr__(self, name: str, value: Any) -> None:
            if name == "comes":
                value = Impatient()
            elif value == "shared":
                handing_over.set()
                # As long as it takes whoever does not wait for it; who does has to be let.
                is_taken.wait(1)
            super().__setattr__(name, value)

    monkeypatch.setattr(turns, "_Waiting", Watched)
    line: Turns[str] = Turns()
    assert line.take(PATIENCE) is None

    def follow() -> str | None:
        got = line.take(PATIENCE, takes_over=True)
        is_taken.set()
        return got

    with ThreadPoolExecutor(1) as pool:
        following = pool.submit(follow)
        until(lambda: bool(line._waiting) or following.done())
        assert line.leave("shared")
        assert following.result(PATIENCE) == "shared"
