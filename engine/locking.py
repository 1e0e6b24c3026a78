"""The lock of a profile that is found by something else: by the time it is taken, that may lead to another one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from engine.store import Unit

T = TypeVar("T")


def under_lock(unit: Unit, profile_id: str, look: Callable[[], tuple[str, T]]) -> T:
    """What `look` finds under the lock of the profile that it says this belongs to; `profile_id` is whose it was when
    nothing was locked. A transaction that has written nothing holds no lock meanwhile that it turns out not to need.
    """
    while True:
        unit.lock(profile_id)
        owner, found = look()
        if owner == profile_id:
            return found
        unit.let_go()
        profile_id = owner
