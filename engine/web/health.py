"""Is it alive, is it ready, and what does it count."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, generate_latest
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from engine.errors import StoreUnavailable

if TYPE_CHECKING:
    from engine.assembly import Engine


class Health:
    """`/healthz`, `/readyz`, `/metrics`. Labels hold names of routes, journeys and states, never an id of a person."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "sojourn_http_requests_total", "HTTP requests by status class", ("status",), registry=self._registry
        )
        self._waiting = Gauge("sojourn_occurrences_waiting", "Occurrences that await routing", registry=self._registry)
        self._set_aside = Gauge(
            "sojourn_occurrences_set_aside", "Occurrences whose routing failed too often", registry=self._registry
        )
        self._people = Gauge(
            "sojourn_enrollments", "Enrollments by journey and state", ("journey", "state"), registry=self._registry
        )

        self._out = Gauge(
            "sojourn_channel_out",
            "1 while a channel's provider is left alone, by reason (outage, account)",
            ("channel", "reason"),
            registry=self._registry,
        )
        self._doubtful = Gauge("sojourn_deliveries_in_doubt", "Deliveries in doubt", registry=self._registry)

    def routes(self) -> list[Route]:
        return [
            Route("/healthz", self._alive, methods=["GET"]),
            Route("/readyz", self._ready, methods=["GET"]),
            Route("/metrics", self._metrics, methods=["GET"]),
        ]

    async def _alive(self, _: Request) -> Response:
        return JSONResponse({"status": "alive"})

    async def _ready(self, _: Request) -> Response:
        try:
            await run_in_threadpool(self._look)
        except StoreUnavailable:
            return JSONResponse({"status": "the store is not available"}, status_code=503)
        return JSONResponse({"status": "ready"})

    async def _metrics(self, _: Request) -> Response:
        try:
            text = await run_in_threadpool(self._measure)
        except StoreUnavailable:
            return PlainTextResponse("the store is not available\n", status_code=503)
        return Response(text, headers={"Content-Type": CONTENT_TYPE_LATEST})

    def _look(self) -> None:
        with self._engine.store.transaction() as unit:
            unit.journeys.all()

    def _measure(self) -> bytes:
        with self._engine.store.transaction() as unit:
            self._waiting.set(unit.queue.count_occurrences())
            self._set_aside.set(unit.queue.count_set_aside())
            for record in unit.journeys.all():
                for state, number in unit.enrollments.counts(record.journey).items():
                    self._people.labels(record.journey, state).set(number)
            out = {each.channel: each.reason for each in unit.circuits.all() if each.state == "open"}
            for channel in self._engine.project.channels:
                for reason in ("outage", "account"):
                    self._out.labels(channel, reason).set(out.get(channel) == reason)
            self._doubtful.set(unit.deliveries.count("in_doubt"))
        return generate_latest(self._registry)


class Counted:
    """Counts responses by their status class, around the whole application."""

    def __init__(self, app: ASGIApp, requests: Counter) -> None:
        self._app = app
        self._requests = requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def count(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._requests.labels(f"{message['status'] // 100}xx").inc()
                names = {name.lower() for name, _ in message["headers"]}
                if b"x-content-type-options" not in names:
                    message["headers"] = [*message["headers"], (b"x-content-type-options", b"nosniff")]
            await send(message)

        await self._app(scope, receive, count)
