"""Segment's endpoints: plain Starlette routes, for intake is the hot path.

A request is whole or not at all: one bad message refuses its batch with the message's index and reason, and changes
nothing. A 2xx means that all of it is committed.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial

from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from engine.errors import SojournError
from engine.web.access import Keys, LookUps, offered_key
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

    def routes(self) -> list[Route]:
        """`/v1/track` and its sisters; the one-letter paths are those of the browser library."""
        routes = []
        for kind in TYPES:
            endpoint = self._endpoint(CALL_BYTES, partial(_parse_call, kind))
            routes += [Route(f"/v1/{path}", endpoint, methods=["POST", "OPTIONS"]) for path in (kind, kind[0])]
        batch = self._endpoint(BATCH_BYTES, parse_batch)
        routes += [Route(f"/v1/{path}", batch, methods=["POST", "OPTIONS"]) for path in ("batch", "import", "b")]
        return routes

    def _endpoint(self, limit: int, parse: Callable[[bytes, datetime], Parsed]) -> _Endpoint:
        return _Endpoint(self._commits, self._look_ups, self._clock, limit, parse)


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
        if scope["method"] == "OPTIONS":
            await Response(status_code=204, headers=_PREFLIGHT)(scope, receive, send)
            return
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
        offered = offered_key(headers.get(b"authorization", b"").decode("latin-1"))
        if offered is not None:
            await self._authenticate(offered, now)
        body = await read_stream(receive, self._limit)
        encoding = headers.get(b"content-encoding")
        if encoding is not None:
            body = unpack(body, encoding.decode("latin-1"), self._limit)
        parsed = self._parse(body, now)
        check_text(body)
        if offered is None:
            await self._authenticate(parsed.key, now)
        if parsed.calls:
            await self._commits.submit(parsed.calls, now)

    async def _authenticate(self, key: str | None, now: datetime) -> None:
        record = None if key is None else await self._look_ups.find(key, now)
        if record is None:
            raise Refused(
                401, "unauthorized", "the write key is unknown or revoked", headers={"WWW-Authenticate": "Basic"}
            )
        if "ingest" not in record.scopes:
            raise Refused(403, "forbidden", "this key does not have the scope `ingest`")


def _parse_call(type: CallType, body: bytes, received_at: datetime) -> Parsed:
    return parse_call(body, type, received_at)
