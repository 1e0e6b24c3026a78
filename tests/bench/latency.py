"""From an event's acknowledgement over HTTP to its message at an SMTP server: `sojourn up`, idle, one after another.

The stack is the real one: `sojourn up` as a process with its Temporal server, persisted, and SQLite; the SMTP server is
another process's, and notes when a message has come in whole. The histogram is printed and kept in
`.sojourn/latency.txt`.
"""

from __future__ import annotations

import base64
import json
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.ports import free_ports
from tests.workers.test_up import Up
from workers.embedded import end_orphan

SAMPLES = 1000
#: Not counted: connections are opened, statements compiled, plans loaded.
_WARM_UP = 20
#: The budget, in milliseconds.
P50, P99 = 100, 400
_LONGEST_SECONDS = 20.0
_BARS = (5, 10, 15, 20, 25, 30, 40, 50, 60, 80, 100, 150, 200, 300, 400, 800)
_KEPT = Path(__file__).parents[2] / ".sojourn" / "latency.txt"


def main(samples: int = SAMPLES) -> dict[str, float]:
    """Prints and returns the percentiles in milliseconds, from the acknowledgement and from the request."""
    with tempfile.TemporaryDirectory() as folder, _sink() as sink:
        root = Path(folder)
        _make_shop(root, sink.port)
        up = Up(root)
        try:
            shop = _Shop(up)
            shop.identify(samples + _WARM_UP)
            pairs = [shop.order(number, sink) for number in range(samples + _WARM_UP)][_WARM_UP:]
        finally:
            up.stop()
            end_orphan(root / ".sojourn")
    acknowledged = sorted(pair[0] for pair in pairs)
    requested = sorted(pair[1] for pair in pairs)
    figures = {
        f"{name}_{label}_ms": _percentile(values, share)
        for name, values in (("acknowledged", acknowledged), ("requested", requested))
        for label, share in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("max", 1.0))
    }
    lines = [
        f"{samples:,} events, one after another: from the acknowledgement to the message in whole at the SMTP server",
        "  ".join(f"{label} {figures[f'acknowledged_{label}_ms']:.0f} ms" for label in ("p50", "p90", "p99", "max"))
        + f"   (budget: p50 < {P50} ms, p99 < {P99} ms)",
        *_histogram(acknowledged),
    ]
    text = "\n".join(lines)
    print(text)
    _KEPT.parent.mkdir(exist_ok=True)
    _KEPT.write_text(f"{text}\n")
    return figures


class _Sink:
    """An SMTP server that takes everything and knows when each subject came."""

    def __init__(self) -> None:
        [self.port] = free_ports(1)
        self._arrived: dict[str, float] = {}
        self._news = threading.Condition()

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        at = time.perf_counter()
        assert isinstance(envelope.content, bytes)
        subject = next(line for line in envelope.content.splitlines() if line.startswith(b"Subject: "))
        with self._news:
            self._arrived[subject.decode().rpartition(" ")[2]] = at
            self._news.notify_all()
        return "250 taken"

    def arrival(self, order: str) -> float:
        with self._news:
            assert self._news.wait_for(lambda: order in self._arrived, _LONGEST_SECONDS), f"{order} never came"
            return self._arrived.pop(order)


@contextmanager
def _sink() -> Iterator[_Sink]:
    sink = _Sink()
    controller = Controller(sink, hostname="127.0.0.1", port=sink.port)
    controller.start()
    yield sink
    controller.stop()


class _Shop:
    def __init__(self, up: Up) -> None:
        key = (up.root / ".sojourn" / "write.key").read_text().strip()
        self._headers = {
            "Content-Type": "application/json",
            "Authorization": "Basic " + base64.b64encode(f"{key}:".encode()).decode(),
        }
        self._connection = HTTPConnection("127.0.0.1", up.ports[0], timeout=_LONGEST_SECONDS)

    def identify(self, people: int) -> None:
        for first in range(0, people, 100):
            batch = [
                {
                    "type": "identify",
                    "userId": f"p{number}",
                    "traits": {"email": f"p{number}@example.com"},
                    "messageId": f"i{number}",
                }
                for number in range(first, min(first + 100, people))
            ]
            self._post("/v1/batch", {"batch": batch})
        # They are routed, too: the system is to be idle.
        deadline = time.monotonic() + 120
        while b"sojourn_occurrences_waiting 0.0" not in self._get("/metrics"):
            assert time.monotonic() < deadline
            time.sleep(0.2)

    def order(self, number: int, sink: _Sink) -> tuple[float, float]:
        """Milliseconds from the acknowledgement, and from the request, to the message."""
        event = {
            "userId": f"p{number}",
            "event": "Order Completed",
            "properties": {"order_id": f"o{number}"},
            "messageId": f"m{number}",
        }
        began = time.perf_counter()
        self._post("/v1/track", event)
        acknowledged = time.perf_counter()
        arrived = sink.arrival(f"o{number}")
        # Idle again: what follows the message is recorded.
        time.sleep(0.03)
        return max(arrived - acknowledged, 0.0) * 1000, (arrived - began) * 1000

    def _post(self, path: str, body: dict[str, Any]) -> None:
        self._connection.request("POST", path, json.dumps(body), self._headers)
        response = self._connection.getresponse()
        response.read()
        assert response.status == 200, response.status

    def _get(self, path: str) -> bytes:
        self._connection.request("GET", path)
        return self._connection.getresponse().read()


def _percentile(values: Sequence[float], share: float) -> float:
    return values[min(int(len(values) * share), len(values) - 1)]


def _histogram(values: Sequence[float]) -> Iterator[str]:
    for low, high in zip((0, *_BARS), (*_BARS, sys.maxsize), strict=True):
        number = sum(low <= value < high for value in values)
        if number:
            until = f"< {high} ms" if high != sys.maxsize else "more"
            yield f"{until:>9}  {number:5d}  {'█' * max(round(60 * number / len(values)), 1)}"


def _make_shop(root: Path, smtp_port: int) -> None:
    (root / "sojourn.yml").write_text(
        f"""
project: shop
timezone: Europe/Madrid
locale: en
channels:
  email:
    use: smtp
    from: "Shop <hello@shop.example>"
    settings: {{host: 127.0.0.1, port: {smtp_port}, tls: none}}
topics:
  orders: {{title: Order updates, kind: transactional, basis: contract}}
events:
  Order Completed: {{order_id: string}}
"""
    )
    journeys, templates = root / "journeys", root / "templates" / "email"
    journeys.mkdir()
    templates.mkdir(parents=True)
    (journeys / "order_updates.yml").write_text(
        """
journey: order_updates
title: Order updates
topic: orders
trigger: {event: Order Completed}
entry: {key: event.order_id}
steps:
  - {send: email, id: thanks, template: order}
"""
    )
    (templates / "order.html").write_text("---\nsubject: Your order {{ trigger.order_id }}\n---\n<p>Thank you.</p>\n")


if __name__ == "__main__":
    main()
