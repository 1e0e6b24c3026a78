"""Segment's endpoints: plain Starlette routes, for intake is the hot path.

A request is whole or not at all: one bad message refuses its batch with the message's index and reason, and changes
nothing. A 2xx means that all of it is committed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache, partial
from typing import Any

from starlette.datastructures import URLPath
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, NoMatchFound
from starlette.types import Receive, Scope, Send

from engine.errors import SojournError
from engine.web.access import Keys, LookUps, key_hash, offered_key
from engine.web.bodies import BATCH_BYTES, CALL_BYTES, check_text, read_stream, unpack
from engine.web.commits import Commits
from engine.web.problems import Refused, problem, refusal
from engine.web.segment import TYPES, CallType, Parsed, parse_batch, parse_call

#: A write key says where events go and may be public, so any page may post with it; no cookie is ever read here.
_CROSS_ORIGIN = {"Access-Control-Allow-Origin": "*"}
_PREFLIGHT = {
    **_CROSS_ORIGIN,
    "Access-Control-Allow-Methods": "POST",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, Content-Encoding",
    "Access-Control-Max-Age": "86400",
}
#: Bytes of a header of which the key's hash is remembered: a stranger's may have a million.
_LONGEST_REMEMBERED = 500
_ACCEPTED = b'{"success":true}'
_ACCEPTED_HEADERS = [
    (b"content-type", b"application/json"),
    (b"content-length", str(len(_ACCEPTED)).encode()),
    *((name.lower().encode(), value.encode()) for name, value in _CROSS_ORIGIN.items()),
]


class Tracking:
    """The tracking API over a group commit."""

    def __init__(self, commits: Commits, keys: Keys, clock: Callable[[], datetime]) -> None:
        self._commits = commits
        self._look_ups = LookUps(keys)
        self._clock = clock

    def route(self) -> BaseRoute:
        """`/v1/track` and its sisters; the one-letter paths are those of the browser library."""
        endpoints: dict[str, _Endpoint] = {}
        for kind in TYPES:
            endpoint = self._endpoint(CALL_BYTES, partial(_parse_call, kind))
            endpoints |= {f"/v1/{path}": endpoint for path in (kind, kind[0])}
        batch = self._endpoint(BATCH_BYTES, parse_batch)
        return _Paths(endpoints | {f"/v1/{path}": batch for path in ("batch", "import", "b")})

    def _endpoint(self, limit: int, parse: Callable[[bytes, datetime], Parsed]) -> _Endpoint:
        return _Endpoint(self._commits, self._look_ups, self._clock, limit, parse)


class _Paths(BaseRoute):
    """Endpoints found by their path at once: Starlette goes through routes one by one, and would spend on the last of
    these as much as on the whole call."""

    def __init__(self, endpoints: Mapping[str, _Endpoint]) -> None:
        self._endpoints = endpoints

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        is_ours = scope["type"] == "http" and scope["path"] in self._endpoints
        return (Match.FULL if is_ours else Match.NONE), {}

    def url_path_for(self, name: str, /, **path_params: Any) -> URLPath:
        raise NoMatchFound(name, path_params)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._endpoints[scope["path"]](scope, receive, send)


class _Endpoint:
    """One call's endpoint, as an ASGI application: a request and a response as objects cost as much as all the rest."""

    def __init__(
        self,
        commits: Commits,
        look_ups: LookUps,
        clock: Callable[[], datetime],
        limit: int,
        parse: Callable[[bytes, datetime], Parsed],
    ) -> None:
        self._commits = commits
        self._look_ups = look_ups
        self._clock = clock
        self._limit = limit
        self._parse = parse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        match scope["method"]:
            case "POST":
                await self._answer(scope, receive, send)
            case "OPTIONS":
                await Response(status_code=204, headers=_PREFLIGHT)(scope, receive, send)
            case _:
                raise HTTPException(405, headers={"Allow": "OPTIONS, POST"})

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._take(scope, receive)
        except SojournError as error:
            refused = refusal(error)
            refused.headers.update(_CROSS_ORIGIN)
            await problem(refused)(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": _ACCEPTED_HEADERS})
        await send({"type": "http.response.body", "body": _ACCEPTED})

    async def _take(self, scope: Scope, receive: Receive) -> None:
        now = self._clock()
        headers: dict[bytes, bytes] = dict(scope["headers"])
        offered = headers.get(b"authorization", b"")
        hashed = (_remembered_hash if len(offered) <= _LONGEST_REMEMBERED else _offered_hash)(offered)
        if hashed is not None:
            await self._authenticate(hashed, now)
        body = await read_stream(receive, self._limit)
        encoding = headers.get(b"content-encoding")
        if encoding is not None:
            body = unpack(body, encoding.decode("latin-1"), self._limit)
        parsed = self._parse(body, now)
        check_text(body)
        if hashed is None:
            await self._authenticate(None if parsed.key is None else key_hash(parsed.key), now)
        if parsed.calls:
            await self._commits.submit(parsed.calls, now)

    async def _authenticate(self, hashed: str | None, now: datetime) -> None:
        record = None if hashed is None else await self._look_ups.find(hashed, now)
        if record is None:
            challenge = {"WWW-Authenticate": 'Basic realm="Sojourn"'}
            raise Refused(401, "unauthorized", "the write key is unknown or revoked", headers=challenge)
        if "ingest" not in record.scopes:
            raise Refused(403, "forbidden", "this key does not have the scope `ingest`")


def _offered_hash(authorization: bytes) -> str | None:
    offered = offered_key(authorization.decode("latin-1"))
    return None if offered is None else key_hash(offered)


_remembered_hash = lru_cache(maxsize=1000)(_offered_hash)  # a sender's is the same each time


def _parse_call(type: CallType, body: bytes, received_at: datetime) -> Parsed:
    return parse_call(body, type, received_at)
