"""Ports for servers of the tests."""

from __future__ import annotations

import os
from itertools import count

from workers.embedded import is_free

#: Below those that the system gives to outgoing connections (from 32768): nobody takes one between choice and use.
_FIRST, _SPAN = 20_000, 12_000
#: Each process of the tests begins elsewhere, so that two at once choose different ones.
_numbers = count(os.getpid() * 50)


def free_ports(wanted: int) -> list[int]:
    """So many ports of the loopback that nothing listens on, and that this process was never given before."""
    found: list[int] = []
    while len(found) < wanted:
        port = _FIRST + next(_numbers) % _SPAN
        if is_free(port):
            found.append(port)
    return found
