"""Request bodies: read with a cap while they stream, unpacked with a cap, and parsed as strict JSON."""

from __future__ import annotations

import json
import zlib
from typing import Any, NoReturn

from starlette.requests import Request

from engine.errors import BadInput
from engine.web.problems import Refused

#: Segment's limits: of one call, and of a batch.
CALL_BYTES = 32 * 1024
BATCH_BYTES = 500 * 1024
#: Of a provider's webhook.
WEBHOOK_BYTES = 1024 * 1024


async def read_raw(request: Request, limit: int) -> bytes:
    """The body as it came. 413 beyond `limit` bytes."""
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        chunks.append(chunk)
    return b"".join(chunks)


async def read_body(request: Request, limit: int) -> bytes:
    """The body, unpacked where it came gzipped. 413 beyond `limit` bytes, before or after unpacking."""
    body = await read_raw(request, limit)
    match request.headers.get("content-encoding", "identity").strip().lower():
        case "identity" | "":
            return body
        case "gzip":
            return _unpack(body, limit)
        case _:
            raise Refused(415, "bad_encoding", "the content encoding is unknown: gzip or none is taken")


def parse_object(body: bytes) -> dict[str, Any]:
    """The body as a JSON object. BadInput for anything else, NaN, broken text and U+0000 included."""
    try:
        document = json.loads(body, parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        raise BadInput("the body is not UTF-8") from error
    except RecursionError as error:
        raise BadInput("the body is nested too deeply") from error
    except json.JSONDecodeError as error:
        raise BadInput(f"the body is no JSON: {error.msg}, line {error.lineno} column {error.colno}") from error
    except ValueError as error:
        raise BadInput(f"the body is no JSON: {error}") from error
    if not isinstance(document, dict):
        raise BadInput("the body must be a JSON object")
    # Only escapes can smuggle these in, and no database takes them as text.
    if b"\\u" in body and not _is_storable(document):
        raise BadInput("the body holds U+0000 or half of a surrogate pair")
    return document


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


def _refuse_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number of JSON's")


def _is_storable(document: Any) -> bool:
    text = json.dumps(document, ensure_ascii=False)
    if "\\u0000" in text and "\x00" in _texts(document):
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


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
