"""The HTTP server in a thread."""

from __future__ import annotations

import gc

from starlette.applications import Starlette

from workers.api import ApiServer


def test_while_it_serves_garbage_is_looked_for_rarely_and_not_in_the_program_and_afterwards_as_before() -> None:
    before = gc.get_threshold()
    server = ApiServer(Starlette(), host="127.0.0.1", port=0)
    server.start()
    try:
        assert gc.get_freeze_count() > 0
        assert gc.get_threshold()[0] > before[0]
    finally:
        server.stop()
    assert (gc.get_freeze_count(), gc.get_threshold()) == (0, before)
