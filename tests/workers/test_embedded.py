"""The embedded server heals, leaves nothing behind, and takes a free port."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
from temporalio.client import Client

from engine.errors import BadInput, Conflict
from tests.ports import free_ports
from tests.waiting import until
from workers.embedded import DevServer, choose_port, find_binary
from workers.everything import Ports
from workers.loop import LoopThread


def is_running(pid: int) -> bool:
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(state.strip()) and not state.startswith("Z")


def test_a_port_in_use_gives_way_to_the_next_free_one() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        used = other.getsockname()[1]
        assert choose_port("the API", used, None, set()) > used
        with pytest.raises(Conflict, match=f"port {used}, asked for as the port of the API, is in use"):
            choose_port("the API", 1, used, set())


def test_ports_that_moved_are_told_and_explicit_ones_are_kept() -> None:
    free = choose_port("anything", 24000, None, set())
    with socket.socket() as other:
        # Whether or not something uses the usual port already, it is in use now.
        with suppress(OSError):
            other.bind(("127.0.0.1", 8080))
            other.listen()
        ports = Ports.choose(api=None, temporal=free, temporal_ui=None, smtp=None)
    assert ports.temporal == free
    assert ports.api > 8080
    assert f"Port 8080 is in use: the API listens on {ports.api}." in ports.moved
    assert len({ports.api, ports.temporal, ports.temporal_ui, ports.smtp}) == 4


def test_two_parts_are_never_given_one_port() -> None:
    taken: set[int] = set()
    first = choose_port("the API", 23000, None, taken)
    assert choose_port("Temporal", first, None, taken) != first


def test_a_program_that_is_not_installed_is_named_with_what_to_do() -> None:
    with pytest.raises(
        BadInput, match="`temporal-nowhere` is not installed here; install sojourn with its extra `local`"
    ):
        find_binary("temporal-nowhere")


@pytest.mark.temporal
def test_a_killed_server_is_started_again_with_everybody_in_it(tmp_path: Path, loop: LoopThread) -> None:
    server = DevServer(tmp_path, port=free_ports(1)[0])
    server.start()
    try:
        client = loop.run(Client.connect(server.address))
        loop.run(client.start_workflow("nobody", id="kept", task_queue="none"))
        killed = server.pid
        os.kill(killed, signal.SIGKILL)
        until(lambda: server.pid != killed)
        server._await_answer()
        description = loop.run(client.get_workflow_handle("kept").describe())
        assert description.status is not None
        assert description.status.name == "RUNNING"
    finally:
        server.stop()
    assert not is_running(server.pid)
    assert not (tmp_path / "temporal.pid").exists()


@pytest.mark.temporal
def test_a_server_that_a_killed_process_left_behind_is_ended_first(tmp_path: Path) -> None:
    """Two servers on one database would ruin it."""
    port, another = free_ports(2)
    orphan = DevServer(tmp_path, port=port)
    # As a killed `up` leaves it: running, and watched by nobody.
    orphan._spawn()
    orphan._await_answer()
    server = DevServer(tmp_path, port=another)
    server.start()
    try:
        assert orphan._process is not None
        assert orphan._process.poll() is not None
    finally:
        server.stop()


@pytest.mark.temporal
def test_a_pid_that_is_somebody_else_s_by_now_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "temporal.pid").write_text(f"{os.getpid()}\n")
    server = DevServer(tmp_path, port=free_ports(1)[0])
    server.start()
    server.stop()
