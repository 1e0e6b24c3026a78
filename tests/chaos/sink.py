"""A moody provider that counts: it refuses, delays, hangs up, and takes messages without saying so.

What it does with a request is decided by a hash of the request's number, so a run can be told from its seed only as far
as processes are punctual; what it counts is exact.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import multiprocessing
import socket
import struct
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import httpx

from tests.waiting import PATIENCE

Mood = Literal["take", "slow", "silent", "hang up", "refuse", "busy", "drop"]

#: Of a hundred requests.
MOODS: dict[Mood, int] = {
    "take": 55,
    # Takes it, and answers late: the window between claim and record is wide open.
    "slow": 12,
    # Takes it and never answers.
    "silent": 2,
    # Takes it and resets the connection.
    "hang up": 8,
    # 503, nothing taken.
    "refuse": 9,
    # 429 with Retry-After, nothing taken.
    "busy": 8,
    # Resets the connection, nothing taken.
    "drop": 6,
}
_TAKING = ("take", "slow", "silent", "hang up")
_SLOW_SECONDS, _SILENT_SECONDS = 0.04, 5.0


class Sink:
    """Counts what it takes by `webhook-id`, and what it did in all."""

    def __init__(self, seed: int) -> None:
        self._line = [mood for mood, share in MOODS.items() for _ in range(share)]
        self._seed = seed
        self._number = 0
        self.taken: Counter[str] = Counter()
        self.moods: Counter[str] = Counter()

    def _mood(self) -> Mood:
        self._number += 1
        digest = hashlib.sha256(f"{self._seed}/{self._number}".encode()).digest()
        return self._line[int.from_bytes(digest[:4], "big") % len(self._line)]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._exchange(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            # A worker was killed in the middle of its request.
            pass
        finally:
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request; whether the connection goes on."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        lines = head.split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        await reader.readexactly(int(headers.get("content-length", "0")))
        if lines[0].startswith("GET"):
            return await _answer(writer, 200, {"taken": self.taken, "moods": self.moods})
        mood = self._mood()
        self.moods[mood] += 1
        if mood in _TAKING:
            self.taken[headers["webhook-id"]] += 1
        match mood:
            case "take":
                return await _answer(writer, 200, {})
            case "slow":
                await asyncio.sleep(_SLOW_SECONDS)
                return await _answer(writer, 200, {})
            case "silent":
                await asyncio.sleep(_SILENT_SECONDS)
                return False
            case "refuse":
                return await _answer(writer, 503, {})
            case "busy":
                return await _answer(writer, 429, {}, "Retry-After: 2\r\n")
            case "hang up" | "drop":
                connection = writer.get_extra_info("socket")
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return False


async def _answer(writer: asyncio.StreamWriter, status: int, body: object, headers: str = "") -> bool:
    content = json.dumps(body).encode()
    writer.write(f"HTTP/1.1 {status} .\r\n{headers}Content-Length: {len(content)}\r\n\r\n".encode() + content)
    await writer.drain()
    return True


def _run(listening: socket.socket, seed: int) -> None:
    async def run() -> None:
        server = await asyncio.start_server(Sink(seed).serve, sock=listening)
        await server.serve_forever()

    asyncio.run(run())


@contextmanager
def running_sink(seed: int) -> Iterator[str]:
    """The address of a sink in a process of its own, which no kill of a worker touches."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=256)
    process = multiprocessing.get_context("fork").Process(target=_run, args=(listening, seed), daemon=True)
    process.start()
    port = listening.getsockname()[1]
    listening.close()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.join()


def counts(address: str) -> tuple[Counter[str], Counter[str]]:
    """How often each message was taken, and how often the sink was in each mood."""
    answer = httpx.get(address, timeout=PATIENCE).json()
    return Counter(answer["taken"]), Counter(answer["moods"])
