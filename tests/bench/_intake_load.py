"""Load, from a process of its own: `python -m tests.bench._intake_load PORT PATH REQUESTS CALLS CONNECTIONS ROUND`.

REQUESTS are made before the clock starts, each with CALLS tracking calls; every connection sends its next when the last
is answered. Prints the seconds that it took, the requests answered with 200, and the longest wait for an answer.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
import time
from collections.abc import Iterator

from tests.bench._intake_server import WRITE_KEY

PEOPLE = 1000


class _Connection(asyncio.Protocol):
    """Sends what is left to send, one request after another."""

    def __init__(self, requests: Iterator[bytes]) -> None:
        self._requests = requests
        self.is_done = asyncio.get_running_loop().create_future()
        self.accepted = 0
        self.longest = 0.0
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._next()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, _, body = self._received.partition(b"\r\n\r\n")
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        if not length or len(body) < int(length):
            return
        self.longest = max(self.longest, time.perf_counter() - self._asked_at)
        self.accepted += self._received.startswith(b"HTTP/1.1 200")
        self._received = b""
        self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.is_done.done():
            self.is_done.set_result(None)

    def _next(self) -> None:
        request = next(self._requests, None)
        if request is None:
            self._transport.close()
        else:
            self._asked_at = time.perf_counter()
            self._transport.write(request)


def call(number: int) -> dict[str, object]:
    """A tracking call as `@segment/analytics-node` writes it."""
    return {
        "type": "track",
        "event": "Product Viewed",
        "userId": f"u{number * 7919 % PEOPLE}",
        "properties": {
            "product_id": f"p{number % 500}", "sku": f"SKU-{number % 500:05}", "category": "Shoes", "price": 79.9,
            "quantity": 1, "url": f"https://shop.example/products/{number % 500}",
        },
        "context": {"library": {"name": "@segment/analytics-node", "version": "2.3.0"}},
        "timestamp": "2026-03-02T10:00:00.000Z",
        "messageId": f"node-next-1764000000000-{number:032x}",
        "integrations": {},
        "_metadata": {"nodeVersion": "20.20.2", "jsRuntime": "node"},
    }  # fmt: skip


def requests(path: str, count: int, calls: int, first: int) -> Iterator[bytes]:
    """The requests: none of their message ids twice, where `first` is past what was sent before."""
    authorization = base64.b64encode(f"{WRITE_KEY}:".encode()).decode()
    for number in range(count):
        start = first + number * calls
        many = [call(each) for each in range(start, start + calls)]
        body = json.dumps({"batch": many} if path.endswith("/batch") else many[0], separators=(",", ":")).encode()
        yield (
            f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic {authorization}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        ).encode() + body


async def load(port: int, ready: list[bytes], connections: int) -> dict[str, float]:
    loop = asyncio.get_running_loop()
    left = iter(ready)
    began = time.perf_counter()
    opened = [
        (await loop.create_connection(lambda: _Connection(left), "127.0.0.1", port))[1] for _ in range(connections)
    ]
    await asyncio.gather(*(each.is_done for each in opened))
    return {
        "seconds": time.perf_counter() - began,
        "accepted": sum(each.accepted for each in opened),
        "longest": max(each.longest for each in opened),
    }


if __name__ == "__main__":
    port, path, count, calls, connections, first = (int(each) if each.isdigit() else each for each in sys.argv[1:])
    ready = list(requests(str(path), int(count), int(calls), int(first)))
    print(json.dumps(asyncio.run(load(int(port), ready, int(connections)))))
