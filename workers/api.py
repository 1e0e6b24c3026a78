"""The HTTP server, in a thread."""

from __future__ import annotations

import gc
import threading
import time
from typing import TYPE_CHECKING

import uvicorn

from engine.errors import Conflict

if TYPE_CHECKING:
    from starlette.types import ASGIApp

_START_SECONDS = 20.0
#: Objects made anew before Python looks for garbage among them, while we serve: its own 700 are five requests, and the
#: looks took a fifth of intake's processor time. What requests leave behind is freed without them, but for few cycles.
_OBJECTS_BETWEEN_LOOKS = 10_000
#: What requests under way are given when the server is asked to end.
_DRAIN_SECONDS = 5


class ApiServer:
    """Serves an application until it is stopped."""

    def __init__(self, app: ASGIApp, *, host: str, port: int) -> None:
        self._address = f"{host}:{port}"
        config = uvicorn.Config(
            app,
            host=host,
            port=port,
            log_level="warning",
            # Paths hold ids and tokens.
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=_DRAIN_SECONDS,
        )
        self._server = uvicorn.Server(config)
        self._thresholds = gc.get_threshold()
        self._thread = threading.Thread(target=self._server.run, name="api", daemon=True)

    def start(self) -> None:
        """Returns when it answers. Raises Conflict where it cannot listen.

        Until it is stopped, the process passes over what it holds by now when it looks for garbage: the program itself.
        """
        self._thread.start()
        deadline = time.monotonic() + _START_SECONDS
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                raise Conflict(f"the HTTP server cannot listen on {self._address}; is the port in use?")
            time.sleep(0.01)
        gc.collect()
        gc.freeze()
        gc.set_threshold(_OBJECTS_BETWEEN_LOOKS, *self._thresholds[1:])

    def failure(self) -> BaseException | None:
        """Why it no longer serves, where it has ended by itself."""
        return None if self._thread.is_alive() else Conflict(f"the HTTP server on {self._address} has ended by itself")

    def stop(self) -> None:
        """Returns when requests under way are answered."""
        self._server.should_exit = True
        self._thread.join()
        gc.set_threshold(*self._thresholds)
        gc.unfreeze()
