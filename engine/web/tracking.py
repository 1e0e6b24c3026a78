"""Segment's endpoints: plain Starlette routes, for intake is the hot path.

A request is whole or not at all: one bad message refuses its batch with the message's index and reason, and changes
nothing. A 2xx means that all of it is committed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from engine.errors import SojournError
from engine.web.access import Keys, key_hash, offered_key
from engine.web.bodies import BATCH_BYTES, CALL_BYTES, check_text, read_body
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


class Tracking:
    """The tracking API over a group commit."""

    def __init__(self, commits: Commits, keys: Keys, clock: Callable[[], datetime]) -> None:
        self._commits = commits
        self._keys = keys
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

    def _endpoint(
        self, limit: int, parse: Callable[[bytes, datetime], Parsed]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            if request.method == "OPTIONS":
                return Response(status_code=204, headers=_PREFLIGHT)
            now = self._clock()
            try:
                offered = offered_key(request.headers.get("authorization"))
                if offered is not None:
                    await self._authenticate(offered, now)
                body = await read_body(request, limit)
                parsed = parse(body, now)
                check_text(body)
                if offered is None:
                    await self._authenticate(parsed.key, now)
                if parsed.calls:
                    await self._commits.submit(parsed.calls, now)
            except SojournError as error:
                refused = refusal(error)
                refused.headers.update(_CROSS_ORIGIN)
                return problem(refused)
            return Response(_ACCEPTED, media_type="application/json", headers=_CROSS_ORIGIN)

        return endpoint

    async def _authenticate(self, key: str | None, now: datetime) -> None:
        record = None
        if key is not None:
            hashed = key_hash(key)
            record = self._keys.remembered(hashed, now) or await run_in_threadpool(self._keys.find_by_hash, hashed, now)
        if record is None:
            raise Refused(
                401, "unauthorized", "the write key is unknown or revoked", headers={"WWW-Authenticate": "Basic"}
            )
        if "ingest" not in record.scopes:
            raise Refused(403, "forbidden", "this key does not have the scope `ingest`")


def _parse_call(type: CallType, body: bytes, received_at: datetime) -> Parsed:
    return parse_call(body, type, received_at)
