"""One time-skipping server and one dev server for the session."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from engine.plan.model import Plan
from tests.ports import free_ports
from tests.workers.road import NOON, Road, Script, Workers
from workers.contracts.clock import SKIPPING_RATE, Clock
from workers.embedded import DevServer, time_skipping_server
from workers.loop import LoopThread


@pytest.fixture(scope="session")
def loop() -> Iterator[LoopThread]:
    thread = LoopThread()
    yield thread
    thread.close()


@pytest.fixture(scope="session")
def skipping(loop: LoopThread) -> Iterator[WorkflowEnvironment]:
    """The time-skipping server."""
    stack = AsyncExitStack()
    yield loop.run(stack.enter_async_context(time_skipping_server()))
    loop.run(stack.aclose())


@pytest.fixture(scope="session")
def dev_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevServer]:
    """The dev server."""
    folder: Path = tmp_path_factory.mktemp("temporal")
    server = DevServer(folder, port=free_ports(1)[0])
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def dev_client(dev_server: DevServer, loop: LoopThread) -> Client:
    return loop.run(Client.connect(dev_server.address))


@pytest.fixture
def workers(loop: LoopThread) -> Iterator[Workers]:
    started = Workers(loop)
    yield started
    started.close()


@pytest.fixture
def road(workers: Workers, skipping: WorkflowEnvironment, loop: LoopThread) -> Callable[[Plan, Script], Road]:
    """Builds a road over the time-skipping server, beginning at NOON of engine time."""

    def build(plan: Plan, script: Script) -> Road:
        clock = Clock(origin_server=loop.run(skipping.get_current_time()), origin_engine=NOON, rate=SKIPPING_RATE)
        return workers.road(skipping.client, plan, script, clock=clock)

    return build
