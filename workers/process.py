"""What long-running processes share: signals, logs, the lock of a folder, and the side that faces Temporal."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path

from temporalio.client import Client
from temporalio.service import RPCError

from engine.errors import Conflict, NotFound
from engine.project import Channel
from workers.activities.steps import StepActivities
from workers.activities.sweeps import SweepActivity
from workers.connection import SEARCH_ATTRIBUTES, connect, register_search_attributes, target
from workers.loop import LoopThread
from workers.settings import FOLDER, Settings
from workers.sweeping import schedule_sweeps
from workers.worker import run_workers

logger = logging.getLogger("sojourn.process")


def configure_logging() -> None:
    """Warnings and worse to standard error, one line each, with their time and place."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    # Every failed try of an activity, with its trace: our own line says the same in one.
    logging.getLogger("temporalio").setLevel(logging.ERROR)


@contextmanager
def folder_lock(root: Path) -> Iterator[Path]:
    """Holds the project's folder for one `sojourn up`; yields its `.sojourn`. The system frees it, whatever ends us.

    Raises NotFound where there is no project, Conflict where another process holds it.
    """
    if not (root / "sojourn.yml").is_file():
        raise NotFound(f"there is no sojourn.yml in {root.resolve()}; name the project's folder with --project")
    folder = root / FOLDER
    folder.mkdir(exist_ok=True)
    # Databases, keys and caught mail: people's data, and nobody else's on this machine.
    folder.chmod(0o700)
    with (folder / "up.lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            pid = file.read().strip() or "unknown"
            raise Conflict(
                f"`sojourn up` runs in {root.resolve()} already (process {pid}); "
                "stop it first, or use another copy of the folder"
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield folder


class StopSignal:
    """Set by Ctrl-C or SIGTERM. A second one ends the process where it stands: the engine is made for that."""

    def __init__(self) -> None:
        self._event = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)

    def wait(self, *, unless: Callable[[], BaseException | None] = lambda: None) -> None:
        """Returns when it is set. Raises what `unless` returns as soon as it returns something."""
        while not self._event.wait(0.25):
            if (failure := unless()) is not None:
                raise failure

    def _on_signal(self, number: int, _frame: object) -> None:
        if self._event.is_set():
            os._exit(128 + number)
        self._event.set()


class TemporalSide:
    """The client and the workers of this process, on a loop of their own."""

    def __init__(self, settings: Settings, address: str | None = None) -> None:
        """Connects. Raises Conflict where no Temporal answers; `address` None is where `TEMPORAL_*` says."""
        self._thread = LoopThread()
        self._workers: Future[None] | None = None
        self._is_stopping: asyncio.Event | None = None
        try:
            self.client: Client = self._thread.run(connect(address, payload_key=settings.payload_key))
        except RuntimeError as error:
            self._thread.close()
            raise Conflict(
                f"no Temporal server answers at {target(address)}: start it, or say where it is with TEMPORAL_ADDRESS"
            ) from error

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        return self._thread.loop

    def register(self) -> None:
        """Makes our search attributes known to the namespace, where it lets us."""
        try:
            self._thread.run(register_search_attributes(self.client))
        except RPCError as error:
            logger.warning(
                "Temporal does not let us add search attributes (%s): see that the namespace has %s, as keywords",
                error.status.name,
                ", ".join(SEARCH_ATTRIBUTES),
            )

    def start(
        self,
        activities: StepActivities,
        channels: Iterable[Channel],
        *,
        with_journeys: bool = True,
        sweeps: SweepActivity | None = None,
    ) -> None:
        """Starts the workers; returns when they poll. With `sweeps`, Temporal is told to have them done.

        Raises Conflict where Temporal does not let us make a schedule.
        """
        are_running = threading.Event()

        async def work() -> None:
            self._is_stopping = asyncio.Event()
            async with run_workers(self.client, activities, channels, with_journeys=with_journeys, sweeps=sweeps):
                are_running.set()
                await self._is_stopping.wait()

        self._workers = asyncio.run_coroutine_threadsafe(work(), self.loop)
        while not are_running.wait(0.05):
            if (failure := self.failure()) is not None:
                raise failure
        if sweeps is not None:
            try:
                self._thread.run(schedule_sweeps(self.client))
            except RPCError as error:
                raise Conflict(
                    f"Temporal does not let us make a schedule ({error.status.name}): without it nothing happens that "
                    "only time brings; give this client the right to write schedules in its namespace"
                ) from None

    def failure(self) -> BaseException | None:
        """Why the workers have ended, where they have ended by themselves."""
        if self._workers is None or not self._workers.done():
            return None
        return self._workers.exception() or Conflict("the workers have ended by themselves")

    def stop(self) -> None:
        """Lets the workers finish what is under way, and ends the loop."""
        if self._workers is not None and self._is_stopping is not None:
            self.loop.call_soon_threadsafe(self._is_stopping.set)
            self._workers.result()
        self._thread.close()
