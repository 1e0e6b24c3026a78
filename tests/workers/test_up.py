"""`sojourn up` as a person meets it: events in, messages in the inbox, and nothing lost whatever is killed."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from channels.inbox import Inbox
from tests.ports import free_ports
from tests.waiting import PATIENCE, until
from tests.workers.test_cli import make_shop
from workers.embedded import end_orphan

pytestmark = pytest.mark.temporal
SOJOURN = Path(sys.executable).with_name("sojourn")


class Up:
    """One `sojourn up` in a folder, on ports that the test found free."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.ports = free_ports(4)
        self.process = self._spawn()

    def _spawn(self) -> subprocess.Popen[str]:
        names = ("--port", "--temporal-port", "--temporal-ui-port", "--smtp-port")
        options = [part for name, port in zip(names, self.ports, strict=True) for part in (name, str(port))]
        process = subprocess.Popen(
            [SOJOURN, "up", *options],
            cwd=self.root,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if line.startswith("Ctrl-C"):
                return process
        raise AssertionError("".join(lines))

    def again(self) -> None:
        self.process = self._spawn()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self._close_output()

    def stop(self) -> str:
        """Ctrl-C; what it said on its way out."""
        self.process.send_signal(signal.SIGINT)
        output, _ = self.process.communicate(timeout=PATIENCE)
        assert self.process.returncode == 0, output
        return output

    def _close_output(self) -> None:
        if self.process.stdout is not None:
            self.process.stdout.close()

    def post(self, path: str, body: dict[str, object]) -> int:
        key = (self.root / ".sojourn" / "write.key").read_text().strip()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.ports[0]}{path}",
            data=json.dumps(body).encode(),
            headers={
                "Content-Type": "application/json",
                "Authorization": "Basic " + base64.b64encode(f"{key}:".encode()).decode(),
            },
        )
        with urllib.request.urlopen(request, timeout=PATIENCE) as response:
            return int(response.status)

    def order(self, number: str) -> None:
        person = {"userId": "ana", "traits": {"email": "ana@example.com"}, "messageId": "identified"}
        assert self.post("/v1/identify", person) == 200
        event = {"userId": "ana", "event": "Order Completed", "properties": {"order_id": number}, "messageId": number}
        assert self.post("/v1/track", event) == 200

    def subjects(self) -> Counter[str]:
        return Counter(message.subject for message in Inbox(self.root / ".sojourn" / "inbox").messages())

    def temporal_pid(self) -> int:
        return int((self.root / ".sojourn" / "temporal.pid").read_text())


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    make_shop(tmp_path)
    running = Up(tmp_path)
    yield running
    if running.process.poll() is None:
        running.stop()
    end_orphan(tmp_path / ".sojourn")


def test_an_event_becomes_messages_at_their_time_and_ctrl_c_drains(up: Up) -> None:
    began = time.monotonic()
    up.order("o1")
    until(lambda: up.subjects()["Your order o1"] >= 1, up.subjects)
    until(lambda: up.subjects()["Your order o1"] >= 2, up.subjects)
    assert time.monotonic() - began >= 4
    output = up.stop()
    assert "Draining" in output
    assert "Traceback" not in output
    assert "ana@example.com" not in output


def test_killed_servers_and_processes_lose_nobody_and_send_nothing_twice(up: Up) -> None:
    up.order("o1")
    until(lambda: up.subjects()["Your order o1"] >= 1, up.subjects)
    os.kill(up.temporal_pid(), signal.SIGKILL)
    up.order("o2")
    until(lambda: up.subjects()["Your order o2"] >= 1, up.subjects)
    # Acknowledged, and killed before anything can have come of the second message.
    up.order("o3")
    up.kill()
    orphan = up.temporal_pid()
    up.again()
    assert up.temporal_pid() != orphan
    until(lambda: min(up.subjects()[f"Your order o{number}"] for number in (1, 2, 3)) >= 2, up.subjects)
    time.sleep(1)
    assert up.subjects() == {"Your order o1": 2, "Your order o2": 2, "Your order o3": 2}
    assert not re.search("Traceback", up.stop())
