"""Providers for the benchmark of dispatching, each in a process of its own: a patient HTTP API, and an SMTP server."""

from __future__ import annotations

import asyncio
import multiprocessing
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from aiosmtpd.smtp import SMTP, Envelope, Session

#: What the HTTP provider takes for each answer.
LATENCY_SECONDS = 0.1
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


async def _http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            await reader.readexactly(int(length.split(b":")[1]))
            await asyncio.sleep(LATENCY_SECONDS)
            writer.write(_ANSWER)
            await writer.drain()
    except (ConnectionError, asyncio.IncompleteReadError):
        writer.close()


class _Takes:
    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 (aiosmtpd's)
        return "250 OK"


def _serve_http(listening: socket.socket) -> None:
    async def run() -> None:
        server = await asyncio.start_server(_http, sock=listening)
        await server.serve_forever()

    asyncio.run(run())


def _serve_smtp(listening: socket.socket) -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: SMTP(_Takes(), loop=loop), sock=listening)
        await server.serve_forever()

    asyncio.run(run())


@contextmanager
def _running(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    listening = socket.create_server(("127.0.0.1", 0), backlog=256)
    process = multiprocessing.get_context("fork").Process(target=serve, args=(listening,), daemon=True)
    process.start()
    try:
        yield listening.getsockname()[1]
    finally:
        process.kill()
        process.join()
        listening.close()


def http_provider() -> AbstractContextManager[int]:
    """The port of an API that takes `LATENCY_SECONDS` for each answer."""
    return _running(_serve_http)


def smtp_provider() -> AbstractContextManager[int]:
    """The port of an SMTP server that takes everything."""
    return _running(_serve_smtp)
