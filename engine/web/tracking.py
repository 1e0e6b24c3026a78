"""Segment's endpoints: plain Starlette routes, for intake is the hot path.

A request is whole or not at all: one bad message refuses its batch with the message's index and reason, and changes
nothing. A 2xx means that all of it is committed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from engine.errors import SojournError
from engine.web.access import Keys, offered_key
from engine.web.bodies import BATCH_BYTES, CALL_BYTES, parse_object, read_body
from engine.web.commits import Commits
from engine.web.problems import Refused, problem, refusal
from engine.web.segment import TYPES, Call, CallType, parse_batch, parse_call

#: A write key says where events go and may be public, so any page may post with it; no cookie is ever read here.
_CROSS_ORIGIN = {"Access-Control-Allow-Origin": "*"}
_PREFLIGHT = {
    **_CROSS_ORIGIN,
    "Access-Control-Allow-Methods": "POST",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, Content-Encoding",
    "Access-Control-Max-Age": "86400",
}


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
            endpoint = self._endpoint(self._single(kind))
            routes += [Route(f"/v1/{path}", endpoint, methods=["POST", "OPTIONS"]) for path in (kind, kind[0])]
        batch = self._endpoint(self._batch)
        routes += [Route(f"/v1/{path}", batch, methods=["POST", "OPTIONS"]) for path in ("batch", "import", "b")]
        return routes

    def _endpoint(
        self, parse: Callable[[Request, datetime], Awaitable[tuple[list[Call], str | None]]]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            if request.method == "OPTIONS":
                return Response(status_code=204, headers=_PREFLIGHT)
            now = self._clock()
            try:
                offered = offered_key(request.headers.get("authorization"))
                if offered is not None:
                    await self._authenticate(offered, now)
                calls, body_key = await parse(request, now)
                if offered is None:
                    await self._authenticate(body_key, now)
                if calls:
                    await asyncio.wrap_future(self._commits.submit(calls, now))
            except SojournError as error:
                refused = refusal(error)
                refused.headers.update(_CROSS_ORIGIN)
                return problem(refused)
            return JSONResponse({"success": True}, headers=_CROSS_ORIGIN)

        return endpoint

    def _single(self, type: CallType) -> Callable[[Request, datetime], Awaitable[tuple[list[Call], str | None]]]:
        async def parse(request: Request, now: datetime) -> tuple[list[Call], str | None]:
            body = parse_object(await read_body(request, CALL_BYTES))
            return [parse_call(body, type, now)], _body_key(body.get("writeKey"))

        return parse

    async def _batch(self, request: Request, now: datetime) -> tuple[list[Call], str | None]:
        body = parse_object(await read_body(request, BATCH_BYTES))
        return parse_batch(body, now), _body_key(body.get("writeKey"))

    async def _authenticate(self, key: str | None, now: datetime) -> None:
        record = await run_in_threadpool(self._keys.find, key, now)
        if record is None:
            raise Refused(
                401, "unauthorized", "the write key is unknown or revoked", headers={"WWW-Authenticate": "Basic"}
            )
        if "ingest" not in record.scopes:
            raise Refused(403, "forbidden", "this key does not have the scope `ingest`")


def _body_key(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
