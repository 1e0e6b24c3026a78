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
from workers import whereabouts
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


def sojourn(root: Path, *arguments: str) -> str:
    """What another terminal in the folder says."""
    done = subprocess.run(
        [SOJOURN, *arguments], cwd=root, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_other_commands_of_the_folder_know_where_it_listens(up: Up) -> None:
    """On whatever ports it is: a test's links lead to it, its mail goes to its inbox."""
    project = up.root / "sojourn.yml"
    settings = '{host: 127.0.0.1, port: "${SOJOURN_SMTP_PORT:-1}", tls: none}'
    by_smtp = f'post: {{use: smtp, kind: email, templates: email, from: "a@b.example", settings: {settings}}}'
    project.write_text(project.read_text().replace("topics:", f"  {by_smtp}\ntopics:"))
    page = up.root / "templates" / "email" / "order.html"
    page.write_text(page.read_text() + '<a href="{{ links.preferences }}">Preferences</a>\n')
    journey = up.root / "journeys" / "order_updates.yml"
    (up.root / "journeys" / "more.yml").write_text(
        journey.read_text().replace("order_updates", "more").replace("send: email", "send: post")
    )
    up.order("o1")
    until(lambda: up.subjects()["Your order o1"] >= 1, up.subjects)
    said = sojourn(up.root, "deploy")
    assert "more: new" in said
    assert f"`sojourn up` (process {up.process.pid}) read triggers" in said
    assert "restart it" in said
    assert "restart it" not in sojourn(up.root, "deploy")
    sojourn(up.root, "send-test", "more", "thanks", "--profile", "ana", "--to", "me@shop.example")
    tests = [mail for mail in Inbox(up.root / ".sojourn" / "inbox").messages() if mail.subject.startswith("[Test]")]
    assert [f"http://127.0.0.1:{up.ports[0]}/p/" in str(mail.text) for mail in tests] == [True]
    up.stop()
    assert whereabouts.find(up.root) is None


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
