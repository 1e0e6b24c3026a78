"""Providers' webhooks: verified on the raw bytes, then parsed, then taken, each report once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
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


logger = logging.getLogger("sojourn.channels")

#: The log tells of refused requests so often, for each channel: anybody can send them.
_TOLD_EVERY = timedelta(minutes=1)


class Webhooks:
    """`/v1/receipts/CHANNEL`."""

    def __init__(self, engine: Engine, on_intake: Callable[[], None]) -> None:
        self._engine = engine
        self._on_intake = on_intake
        #: When the log last told of a refused request, by channel.
        self._told: dict[str, datetime] = {}

    def routes(self) -> list[Route]:
        # Some providers prove the address with a GET that wants a challenge back; it changes nothing.
        return [Route("/v1/receipts/{channel}", self._receive, methods=["GET", "POST"])]

    async def _receive(self, request: Request) -> Response:
        try:
            body = await read_raw(request, WEBHOOK_BYTES)
            answer = await run_in_threadpool(self._take, request, request.path_params["channel"], body)
        except ReceiptRefused as error:
            self._tell(request.path_params["channel"], error)
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
            for receipt in adapter.parse(webhook):
                # Each by itself: a batch is about many people, whose sends would wait for all of it, and two batches
                # about the same people for each other. One that is taken again changes nothing.
                with engine.store.transaction() as unit:
                    engine.receipts.take(unit, engine.project.channels[channel], receipt, now)
            self._on_intake()
        return adapter.answer(webhook)

    def _tell(self, channel: str, error: ReceiptRefused) -> None:
        """Whoever set the channel up wrongly would wait for receipts in vain, and find no reason anywhere."""
        now, told = self._engine.clock(), self._told.get(channel)
        if told is None or now - told >= _TOLD_EVERY:
            self._told[channel] = now
            logger.warning(
                "channel `%s`: a request to /v1/receipts/%s was refused: %s; it may be a forger's, or the channel's "
                "settings and the provider's webhook do not agree",
                channel, channel, error,
            )  # fmt: skip


def _joined(raw: Sequence[tuple[bytes, bytes]]) -> dict[str, str]:
    """Headers by lower-case name; one that came twice is joined, so that a second signature never stands in for one."""
    headers: dict[str, str] = {}
    for name, value in raw:
        known, text = name.decode("latin-1").lower(), value.decode("latin-1")
        headers[known] = f"{headers[known]}, {text}" if known in headers else text
    return headers
