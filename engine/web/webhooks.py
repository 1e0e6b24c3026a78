"""Providers' webhooks: verified on the raw bytes, then parsed, then taken, each report once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, cast

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from engine.delivery.message import ReceivingAdapter, WebhookRequest
from engine.errors import ReceiptRefused, SojournError
from engine.web.bodies import WEBHOOK_BYTES, read_raw
from engine.web.problems import Refused, problem, refusal

if TYPE_CHECKING:
    from engine.assembly import Engine


class Webhooks:
    """`/v1/receipts/CHANNEL`."""

    def __init__(self, engine: Engine, on_intake: Callable[[], None]) -> None:
        self._engine = engine
        self._on_intake = on_intake

    def routes(self) -> list[Route]:
        # Some providers prove the address with a GET that wants a challenge back; it changes nothing.
        return [Route("/v1/receipts/{channel}", self._receive, methods=["GET", "POST"])]

    async def _receive(self, request: Request) -> Response:
        try:
            body = await read_raw(request, WEBHOOK_BYTES)
            answer = await run_in_threadpool(self._take, request, request.path_params["channel"], body)
        except ReceiptRefused:
            # The adapter's reason would tell a forger what to mend.
            return problem(Refused(403, "not_verified", "this request could not be verified as the provider's"))
        except SojournError as error:
            return problem(refusal(error))
        return PlainTextResponse(answer)

    def _take(self, request: Request, channel: str, body: bytes) -> str:
        engine = self._engine
        found = engine.adapters.get(channel)
        if found is None or not found.capabilities.has_receipts:
            raise Refused(404, "not_found", "no channel of this name takes receipts")
        adapter = cast(ReceivingAdapter, found)
        now = engine.clock()
        query = f"?{request.url.query}" if request.url.query else ""
        webhook = WebhookRequest(
            # Providers sign the URL that they were given; the Host header is anybody's.
            url=f"{engine.public_url.rstrip('/')}/v1/receipts/{channel}{query}",
            method="GET" if request.method == "HEAD" else request.method,
            headers=_joined(request.headers.raw),
            body=body,
            received_at=now,
        )
        adapter.verify(webhook)
        if request.method == "POST":
            receipts = adapter.parse(webhook)
            with engine.store.transaction() as unit:
                for receipt in receipts:
                    engine.receipts.take(unit, engine.project.channels[channel], receipt, now)
            self._on_intake()
        return adapter.answer(webhook)


def _joined(raw: Sequence[tuple[bytes, bytes]]) -> dict[str, str]:
    """Headers by lower-case name; one that came twice is joined, so that a second signature never stands in for one."""
    headers: dict[str, str] = {}
    for name, value in raw:
        known, text = name.decode("latin-1").lower(), value.decode("latin-1")
        headers[known] = f"{headers[known]}, {text}" if known in headers else text
    return headers
