"""What a message costs beside its provider, and how many a second one worker process sends.

The cost: decide, claim, render, hand over to a provider that takes no time, record; through the performer, as the
activity calls it. The floor, in the same run and on the same database: the same template rendered, one row inserted in
one transaction and updated in another, by the bare driver.

The rate: as many threads as a worker has for a channel, to an SMTP server, and to an HTTP API that takes 100 ms for
each answer. Temporal is not part of it: what its own server manages on this machine is another benchmark's.
"""

from __future__ import annotations

import cProfile
import pstats
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter, process_time
from typing import Any, cast

import psycopg

from channels.base import AdapterContext, ChannelAdapter
from channels.email.smtp import Smtp
from channels.webhook import Webhook
from engine.assembly import Engine
from engine.delivery.message import Adapter, Capabilities, Message, SendResult
from engine.enrollment.entry import Occasion
from engine.enrollment.model import Enrollment
from engine.plan.effects import Perform, Sent
from engine.rendering.renderer import Renderer
from engine.storage.database import Database
from tests.bench._provider import http_provider, smtp_provider
from tests.postgres_server import running_server
from workers.bootstrap import open_project
from workers.worker import SEND_THREADS

ROOT = Path(__file__).parents[2]
KEY = b"a project's key for benchmarks"
NOW = datetime(2026, 3, 2, 10, tzinfo=UTC)
ALONE, TOGETHER = 1_000, 3_000


class _Free:
    """A provider that takes no time."""

    capabilities = Capabilities(kind="email", has_idempotency=True)

    def send(self, message: Message) -> SendResult:
        return SendResult(provider_message_id=message.delivery_id)


class _NotingRenderer(Renderer):
    """Remembers what it was last asked, so that the floor renders the very same."""

    asked: tuple[Any, ...] = ()

    def render(self, *asked: Any) -> Any:
        self.asked = asked
        return super().render(*asked)


def _engine(url: str, adapter: Adapter) -> tuple[Engine, _NotingRenderer]:
    project = open_project(ROOT)
    renderer = _NotingRenderer(project)
    engine = Engine(
        project=project,
        store=Database(url),
        adapters=dict.fromkeys(project.channels, adapter),
        caller=cast("Any", None),
        project_key=KEY,
        public_url="https://shop.example",
        clock=lambda: NOW,
        renderer=renderer,
    )
    return engine, renderer


def _enroll(engine: Engine, kind: str, count: int) -> list[str]:
    """So many people, each with a cart; the ids of their enrollments."""
    plan = engine.project.plans["abandoned_cart"]
    found = []
    with engine.store.transaction() as unit:
        for number in range(count):
            person = f"{kind}-{number}"
            profile = engine.intake.ensure(unit, "external", person, NOW)
            profile = engine.intake.set_attributes(unit, profile, {"email": f"{person}@example.com"}, NOW)
            engine.ledger.grant(
                unit, profile=profile, channel="email", topic="cart", occurred_at=NOW - timedelta(days=1), now=NOW,
                actor="person", source="form:bench", wording="v1", evidence={"form": "bench"},
            )  # fmt: skip
            items = [{"name": "Kettle", "price": 40, "quantity": 2, "url": "https://shop.example/kettle"}]
            values = {"cart_id": person, "total": 80, "items": items}
            event = engine.intake.track(
                unit, user_id=person, name="Cart Updated", properties=values, timestamp=NOW,
                message_id=person, now=NOW,
            )  # fmt: skip
            assert event is not None
            came = engine.entries.enter(unit, plan, profile, Occasion.of_event(event), NOW)
            assert isinstance(came, Enrollment), came
            found.append(came.enrollment_id)
    return found


def _send(engine: Engine, enrollment_id: str) -> None:
    later = NOW + timedelta(hours=1)
    effect = Perform(step_id="reminder", visit=1, attempt=1, reached_at=later)
    result = engine.performer.perform(enrollment_id, effect, later)
    assert result == Sent(outcome="sent"), result


# ── the cost ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def _cost(name: str, url: str) -> dict[str, float]:
    engine, renderer = _engine(url, cast("Adapter", _Free()))
    enrollments = _enroll(engine, "alone", ALONE + 100)
    for enrollment in enrollments[:100]:
        _send(engine, enrollment)
    floor = _Floor(url)
    floor.write(renderer, 100)
    ours, bare = [], []
    # Turn and turn about: what else the machine does meets both.
    for first in range(100, len(enrollments), 100):
        ours.append(_timed(lambda: [_send(engine, each) for each in enrollments[first : first + 100]]))  # noqa: B023
        bare.append(_timed(lambda: floor.write(renderer, 100)))
    floor.close()
    engine.store.close()
    mine, least = min(ours) / 100, min(bare) / 100
    print(
        f"{name}: {mine * 1e3:.2f} ms a message, {least * 1e3:.2f} ms bare: "
        f"{least / mine:.2f} of the floor ({sum(bare) / sum(ours):.2f} over all rounds)"
    )
    return {"message_seconds": mine, "floor_seconds": least, "of_the_floor": least / mine}


def _timed(work: Callable[[], object]) -> float:
    began = perf_counter()
    work()
    return perf_counter() - began


class _Floor:
    """The bare driver: one row in, one row changed, each committed, and the template rendered between."""

    def __init__(self, url: str) -> None:
        self._is_sqlite = url.startswith("sqlite")
        if self._is_sqlite:
            connection: Any = sqlite3.connect(f"{url.removeprefix('sqlite:///')}.floor", isolation_level=None)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
        else:
            connection = psycopg.connect(url, autocommit=True)
        self._connection = connection
        self._number = 0
        connection.execute("CREATE TABLE floor (id text PRIMARY KEY, status text, html text, text text)")

    def write(self, renderer: _NotingRenderer, count: int) -> None:
        mark = "?" if self._is_sqlite else "%s"
        insert = f"INSERT INTO floor VALUES ({mark}, {mark}, {mark}, {mark})"
        update = f"UPDATE floor SET status = {mark} WHERE id = {mark}"
        for _ in range(count):
            self._number += 1
            key = str(self._number)
            rendered = renderer.render(*renderer.asked)
            self._connection.execute(insert, (key, "claimed", rendered.html, rendered.text))
            self._connection.execute(update, ("sent", key))

    def close(self) -> None:
        self._connection.close()


# ── the rate ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def _rate(name: str, url: str, provider: str, adapter: ChannelAdapter[Any]) -> dict[str, float]:
    engine, _ = _engine(url, cast("Adapter", adapter))
    enrollments = _enroll(engine, provider, TOGETHER)
    began, began_working = perf_counter(), process_time()
    with ThreadPoolExecutor(SEND_THREADS) as pool:
        for _ in pool.map(lambda each: _send(engine, each), enrollments):
            pass
    seconds, worked = perf_counter() - began, process_time() - began_working
    engine.store.close()
    adapter.close()
    print(
        f"{name}, {provider}: {TOGETHER / seconds:,.0f} messages a second by {SEND_THREADS} threads of one process "
        f"({worked / TOGETHER * 1e3:.2f} ms of the processor a message, {worked / seconds:.0%} of one core)"
    )
    return {f"{provider}_per_second": TOGETHER / seconds, f"{provider}_cpu_seconds": worked / TOGETHER}


def _adapters() -> Sequence[tuple[str, Any]]:
    return ("smtp", smtp_provider), ("http", http_provider)


def _open(provider: str, port: int) -> ChannelAdapter[Any]:
    context = AdapterContext(channel="email", kind="email")
    if provider == "smtp":
        return Smtp(Smtp.Settings.model_validate({"host": "127.0.0.1", "port": port}), context)
    settings = {"url": f"http://127.0.0.1:{port}/", "deduplicates": True}
    return Webhook(Webhook.Settings.model_validate(settings), context)


def main() -> dict[str, float]:
    """Prints and returns the figures for each database."""
    figures: dict[str, float] = {}
    with (
        tempfile.TemporaryDirectory() as folder,
        running_server(fsync="on", synchronous_commit="on", full_page_writes="on") as socket_folder,
    ):
        urls = {
            "sqlite": f"sqlite:///{folder}/bench.db",
            "postgresql": f"postgresql://postgres@/postgres?host={socket_folder}",
        }
        for name, url in urls.items():
            with closing(Database(url)) as database:
                database.migrate()
            found = _cost(name, url)
            for provider, running in _adapters():
                with running() as port:
                    found |= _rate(name, url, provider, _open(provider, port))
            figures |= {f"{name}_{figure}": value for figure, value in found.items()}
    return figures


def profile() -> None:
    """Where the time of a message goes: `python -m tests.bench.dispatch profile`."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/bench.db"
        with closing(Database(url)) as database:
            database.migrate()
        engine, _ = _engine(url, cast("Adapter", _Free()))
        enrollments = _enroll(engine, "profile", ALONE)
        profiler = cProfile.Profile()
        profiler.enable()
        for enrollment in enrollments:
            _send(engine, enrollment)
        profiler.disable()
        pstats.Stats(profiler, stream=sys.stdout).sort_stats("tottime").print_stats(45)


if __name__ == "__main__":
    profile() if sys.argv[1:] == ["profile"] else main()
