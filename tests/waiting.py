"""Waiting for what happens elsewhere: long, as patience costs nothing where it comes soon."""

from __future__ import annotations

import time
from collections.abc import Callable

#: Seconds, for machines that are busy with other things. No test may depend on being quicker than this.
PATIENCE = 240.0


def until(condition: Callable[[], bool], told: Callable[[], object] | None = None) -> None:
    """Returns once the condition holds. Where it does not in time, the failure tells how things stand instead."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {PATIENCE:.0f} s in vain; {told() if told else 'see the condition above'}")
        time.sleep(0.05)
