"""Request bodies: read with a cap while they stream, and unpacked with a cap; JSON as every database takes it."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive

from engine.errors import BadInput
from engine.web.problems import Refused

#: Segment's limits: of one call, and of a batch.
CALL_BYTES = 32 * 1024
BATCH_BYTES = 500 * 1024
#: Of a provider's webhook.
WEBHOOK_BYTES = 1024 * 1024


class StrictRoute(APIRoute):
    """A route of the JSON API. Its body is read before anybody asks for a key, so no further than a call's limit.

    And it is JSON to the letter: Python's own reader takes NaN and halves of characters, which no store holds.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_strictly(request: Request) -> Response:
            body = await read_raw(request, CALL_BYTES)
            # Some clients call every request JSON, those without a body, too.
            if body and is_json(request):
                check_json(body)
            return await handle(_Read(request, body))

        return handle_strictly


class _Read(Request):
    """A request whose body was read."""

    def __init__(self, request: Request, body: bytes) -> None:
        super().__init__(request.scope, request.receive)
        self._content = body

    async def body(self) -> bytes:
        return self._content


def is_json(request: Request) -> bool:
    """Whether it calls its body JSON, in whatever letters."""
    return "json" in request.headers.get("content-type", "").lower()


async def read_raw(request: Request, limit: int) -> bytes:
    """The body as it came. 413 beyond `limit` bytes."""
    return await read_stream(request.receive, limit)


async def read_stream(receive: Receive, limit: int) -> bytes:
    """Like `read_raw`, of a request that is no more than its messages."""
    message = await receive()
    body: bytes = message.get("body", b"")
    chunks = [body]
    size = len(body)
    while message.get("more_body") and size <= limit:
        message = await receive()
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
    if message["type"] == "http.disconnect":
        # Nobody reads it: it keeps a client's hanging up from passing for a defect of ours in the log.
        raise Refused(400, "cut_off", "the connection ended before the body did")
    if size > limit:
        raise _too_large(limit)
    return b"".join(chunks)


def unpack(body: bytes, encoding: str, limit: int) -> bytes:
    """The body, unpacked where it came gzipped. 413 beyond `limit` bytes, 415 for another encoding."""
    match encoding.strip().lower():
        case "identity" | "":
            return body
        case "gzip":
            return _unpack(body, limit)
        case _:
            raise Refused(415, "bad_encoding", "the content encoding is unknown: gzip or none is taken")


def check_json(body: bytes) -> None:
    """BadInput for a body that is no JSON, or holds what no database takes as text."""
    try:
        msgspec.json.decode(body)
    except UnicodeDecodeError as error:
        raise BadInput("the body is not UTF-8") from error
    except RecursionError as error:
        raise BadInput("the body is nested too deeply") from error
    except msgspec.DecodeError as error:
        raise BadInput(f"the body is no JSON: {str(error).removeprefix('JSON is malformed: ')}") from error
    check_text(body)


def check_text(body: bytes) -> None:
    """BadInput for a JSON body that holds U+0000: no database takes it as text. Only an escape can smuggle it in."""
    # The escape of a backslash before `u0000` is none: only where one is likely is the body parsed for it.
    if b"\\u0000" not in body:
        return
    try:
        texts = _texts(msgspec.json.decode(body))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        # In what no call reads, and so was passed over.
        raise BadInput("the body is no JSON, or not UTF-8") from error
    if "\x00" in texts:
        raise BadInput("the body holds U+0000")


def _unpack(body: bytes, limit: int) -> bytes:
    unpacker = zlib.decompressobj(wbits=31)
    try:
        content = unpacker.decompress(body, limit + 1)
    except zlib.error as error:
        raise Refused(400, "bad_input", "the body is no gzip") from error
    if len(content) > limit:
        raise _too_large(limit)
    if not unpacker.eof or unpacker.unused_data:
        raise Refused(400, "bad_input", "the body is no gzip, or is cut off")
    return content


def _too_large(limit: int) -> Refused:
    return Refused(413, "too_large", f"the body has more than the {limit} bytes allowed: send less at a time")


def _texts(document: Any) -> str:
    match document:
        case str():
            return document
        case dict():
            return "".join(_texts(part) for pair in document.items() for part in pair)
        case list():
            return "".join(_texts(item) for item in document)
        case _:
            return ""
