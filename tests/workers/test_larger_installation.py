"""`sojourn serve` and `sojourn worker` as processes of their own, against a Temporal of somebody else's."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from temporalio.client import Client

from channels.inbox import Inbox
from engine.store import KeyRecord
from engine.web.access import key_hash
from tests.ports import free_ports
from tests.waiting import PATIENCE, until
from tests.workers.test_cli import make_shop
from workers.bootstrap import Installation, open_project
from workers.embedded import DevServer
from workers.loop import LoopThread
from workers.settings import Settings
from workers.sweeping import SCHEDULE_ID, SWEEP_EVERY

pytestmark = pytest.mark.temporal
SOJOURN = Path(sys.executable).with_name("sojourn")
WRITE_KEY = "wk_of_the_test"


@contextmanager
def running(root: Path, *arguments: str, **environ: str) -> Iterator[subprocess.Popen[str]]:
    """The verb as a process that has said that it is ready; leaving asks it to end, and it must end well."""
    process = subprocess.Popen(
        [SOJOURN, *arguments],
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    first = process.stdout.readline()
    try:
        assert first.startswith(("Serving", "Working")), first + process.stdout.read()
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, output
    assert "Traceback" not in output


def deploy(root: Path) -> None:
    with Installation(open_project(root), Settings(), is_migrating=True) as installation:
        installation.engine.operations.deploy(installation.clock())
        with installation.store.transaction() as unit:
            unit.access.save_key(
                KeyRecord(
                    key_hash=key_hash(WRITE_KEY), name="test", scopes=("ingest",), created_at=installation.clock()
                )
            )


def post(port: int, path: str, body: dict[str, object]) -> None:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}",
        data=json.dumps(body).encode(),
        headers={
            "Content-Type": "application/json",
            "Authorization": "Basic " + base64.b64encode(f"{WRITE_KEY}:".encode()).decode(),
        },
    )
    with urllib.request.urlopen(request, timeout=PATIENCE) as response:
        assert response.status == 200


def order(port: int, number: str) -> None:
    post(port, "/v1/identify", {"userId": "ana", "traits": {"email": "ana@example.com"}, "messageId": "m"})
    event = {"userId": "ana", "event": "Order Completed", "properties": {"order_id": number}, "messageId": number}
    post(port, "/v1/track", event)


def test_api_journeys_and_sends_run_in_processes_of_their_own(tmp_path: Path, dev_server: DevServer) -> None:
    make_shop(tmp_path)
    deploy(tmp_path)
    inbox = Inbox(tmp_path / ".sojourn" / "inbox")
    [port] = free_ports(1)
    with ExitStack() as processes:
        processes.enter_context(running(tmp_path, "serve", "--port", str(port)))
        order(port, "o1")
        # Acknowledged, and nobody works yet: it waits.
        time.sleep(0.5)
        assert inbox.count() == 0
        processes.enter_context(running(tmp_path, "worker", TEMPORAL_ADDRESS=dev_server.address))
        processes.enter_context(running(tmp_path, "worker", "--channel", "email", TEMPORAL_ADDRESS=dev_server.address))
        until(lambda: inbox.count() >= 2)
    assert {message.subject for message in inbox.messages()} == {"Your order o1"}


def test_what_came_due_between_two_workers_is_swept_when_the_second_starts(
    tmp_path: Path, dev_server: DevServer, dev_client: Client, loop: LoopThread
) -> None:
    make_shop(tmp_path)
    (tmp_path / "journeys" / "missed.yml").write_text(
        """
journey: missed
title: We miss you
topic: orders
trigger: {inactive: Order Completed, for: 3s}
steps:
  - {send: email, id: missed, template: missed}
"""
    )
    (tmp_path / "templates" / "email" / "missed.html").write_text("---\nsubject: We miss you\n---\n<p>Come back.</p>\n")
    deploy(tmp_path)
    inbox = Inbox(tmp_path / ".sojourn" / "inbox")
    [port] = free_ports(1)

    def missed() -> int:
        return sum(message.subject == "We miss you" for message in inbox.messages())

    schedule = dev_client.get_schedule_handle(SCHEDULE_ID)
    with running(tmp_path, "serve", "--port", str(port)):
        with running(tmp_path, "worker", TEMPORAL_ADDRESS=dev_server.address):
            # From here on nothing sweeps but what a worker's start has swept.
            loop.run(schedule.pause())
            order(port, "o1")
            # Routed: the lapse is counted from it.
            until(lambda: inbox.count() >= 1)
        time.sleep(3)
        assert missed() == 0
        with running(tmp_path, "worker", TEMPORAL_ADDRESS=dev_server.address):
            until(lambda: missed() == 1)
            spec = loop.run(schedule.describe()).schedule.spec
    loop.run(schedule.delete())
    assert [each.every for each in spec.intervals] == [SWEEP_EVERY]
    assert missed() == 1


def test_a_worker_without_a_temporal_says_so(tmp_path: Path) -> None:
    make_shop(tmp_path)
    deploy(tmp_path)
    answer = subprocess.run(
        [SOJOURN, "worker"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        env={**os.environ, "TEMPORAL_ADDRESS": "127.0.0.1:9"},
    )
    assert answer.returncode == 1
    assert answer.stderr.startswith("sojourn: no Temporal server answers at 127.0.0.1:9: start it, or say where it is")


def test_a_worker_for_a_channel_that_is_none_names_those_that_are(tmp_path: Path) -> None:
    make_shop(tmp_path)
    deploy(tmp_path)
    answer = subprocess.run(
        [SOJOURN, "worker", "--channel", "emial"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert answer.returncode == 2
    assert "no channel `emial`" in answer.stderr
    assert "email" in answer.stderr
