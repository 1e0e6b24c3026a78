"""The Temporal servers that come with the package: one that persists to the project's folder, one that skips time."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path

from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment

from engine.errors import BadInput, Conflict
from workers.connection import SEARCH_ATTRIBUTES, quiet_runtime, register_search_attributes

logger = logging.getLogger("sojourn.temporal")

LOOPBACK = "127.0.0.1"
_START_SECONDS = 60.0
_STOP_SECONDS = 10.0


def find_binary(name: str) -> Path:
    """Path of `temporal` or `temporal-test-server`. Raises BadInput where the `local` extra is not installed."""
    # The environment's own first: the command may run without the environment being activated.
    folders = (sysconfig.get_path("scripts"), str(Path(sys.executable).parent))
    found = shutil.which(name, path=os.pathsep.join(folders)) or shutil.which(name)
    if found is None:
        raise BadInput(f"the program `{name}` is not installed here; install sojourn with its extra `local`")
    return Path(found)


def is_free(port: int) -> bool:
    """Whether nothing listens on this port of the loopback."""
    with closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as probe:
        # As servers do: a port whose last connections linger is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def choose_port(what: str, preferred: int, explicit: int | None, taken: set[int]) -> int:
    """The port to use, added to `taken`: the explicit one, else the preferred one or the next that is free.

    Raises Conflict where the explicit port is in use.
    """
    if explicit is not None:
        if explicit in taken or not is_free(explicit):
            raise Conflict(
                f"port {explicit}, asked for as the port of {what}, is in use; stop what uses it or name another"
            )
        taken.add(explicit)
        return explicit
    for port in range(preferred, preferred + 200):
        if port not in taken and is_free(port):
            taken.add(port)
            return port
    raise Conflict(f"no free port for {what} from {preferred} to {preferred + 199}")


class DevServer:
    """Temporal on this machine: a child process that is started again whenever it dies.

    It persists to `temporal.db` in its folder and logs to `temporal.log` there.
    """

    def __init__(self, folder: Path, *, port: int, ui_port: int | None = None) -> None:
        self.address = f"{LOOPBACK}:{port}"
        self._folder = folder
        self._log = folder / "temporal.log"
        self._pid_file = folder / "temporal.pid"
        self._database = folder.resolve() / "temporal.db"
        self._process: subprocess.Popen[bytes] | None = None
        self._is_stopping = threading.Event()
        self._watch = threading.Thread(target=self._heal, name="temporal-watch", daemon=True)
        self._command = [
            *(str(find_binary("temporal")), "server", "start-dev", "--ip", LOOPBACK, "--port", str(port)),
            *(("--headless",) if ui_port is None else ("--ui-port", str(ui_port))),
            *("--log-level", "warn", "--db-filename", str(self._database)),
            # A write-ahead log that is not synced at each commit gives three to five times the throughput. A killed
            # server loses nothing by it; a power cut may cost the last moments.
            *("--sqlite-pragma", "journal_mode=wal", "--sqlite-pragma", "synchronous=normal"),
            # Off by default in this server: without it a journey of fifty stands in line behind one of five thousand.
            *("--dynamic-config-value", "matching.enableFairness=true"),
            *(part for name in SEARCH_ATTRIBUTES for part in ("--search-attribute", f"{name}=Keyword")),
        ]

    @property
    def pid(self) -> int:
        """Of the child process as it is now."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Returns when it answers. Raises Conflict where it does not within a minute."""
        end_orphan(self._folder)
        self._spawn()
        self._await_answer()
        self._watch.start()

    def stop(self) -> None:
        """Ends the child process; returns when it is gone."""
        self._is_stopping.set()
        self._end_process()
        if self._watch.is_alive():
            self._watch.join()
        # Healed in the very moment between?
        self._end_process()
        self._pid_file.unlink(missing_ok=True)

    def _end_process(self) -> None:
        if self._process is not None:
            _end(self._process.pid, self._process.poll)

    def _spawn(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # A session of its own: Ctrl-C is for us, and the server goes last, after the workers have drained.
                start_new_session=True,
            )
        self._pid_file.write_text(f"{self._process.pid}\n")

    def _await_answer(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + _START_SECONDS
        while not asyncio.run(_answers(self.address)):
            if self._process.poll() is not None:
                raise Conflict(f"the embedded Temporal server ended at once; {self._log} says why")
            if time.monotonic() > deadline:
                self._end_process()
                raise Conflict(f"the embedded Temporal server does not answer; {self._log} may say why")
            time.sleep(0.05)

    def _heal(self) -> None:
        """Starts the server again when it dies: people wait in its database and not in its memory."""
        pause = 0.1
        while not self._is_stopping.is_set():
            assert self._process is not None
            began = time.monotonic()
            code = self._process.wait()
            if self._is_stopping.is_set():
                return
            logger.warning("the embedded Temporal server died (exit code %s) and is started again", code)
            # One that dies at once, again and again, is not helped by haste.
            pause = 0.1 if time.monotonic() - began > _START_SECONDS else min(pause * 2, 10.0)
            if self._is_stopping.wait(pause):
                return
            self._spawn()


def end_orphan(folder: Path) -> None:
    """Ends the server that a killed `sojourn up` left behind: it holds the ports, and two on one database ruin it."""
    try:
        pid = int((folder / "temporal.pid").read_text())
    except (FileNotFoundError, ValueError):
        return
    # The number may be another program's by now: only one that serves this very database is ours.
    database = str(folder.resolve() / "temporal.db")
    if database in _command_of(pid):
        logger.warning("ending the Temporal server (process %d) that an earlier run left behind", pid)
        _end(pid, lambda: None if database in _command_of(pid) else 0)


def _end(pid: int, poll: Callable[[], int | None]) -> None:
    """Asks a process to end, and ends it where it has not within ten seconds."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        if poll() is not None:
            return
        with suppress(ProcessLookupError):
            os.kill(pid, sign)
        deadline = time.monotonic() + _STOP_SECONDS
        while poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)


def _command_of(pid: int) -> str:
    """The command line of a process, or nothing where there is none."""
    if Path("/proc/self/cmdline").exists():
        with suppress(OSError):
            return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        return ""
    listing = subprocess.run(
        ["ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return listing.stdout


async def _answers(address: str) -> bool:
    try:
        client = await Client.connect(address, runtime=quiet_runtime())
        await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace="default"))
    except (RPCError, RuntimeError):
        return False
    return True


@asynccontextmanager
async def time_skipping_server() -> AsyncIterator[WorkflowEnvironment]:
    """Temporal's test server, whose time jumps ahead while `environment.sleep` waits and nothing else is to be done."""
    environment = await WorkflowEnvironment.start_time_skipping(
        test_server_existing_path=str(find_binary("temporal-test-server")), runtime=quiet_runtime()
    )
    async with environment:
        await register_search_attributes(environment.client)
        yield environment
