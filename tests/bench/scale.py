"""What an arriving event costs in a store of a million events of 100,000 people, against an empty store.

Taking it in and routing it with all that follows: conditions, lapses, memberships of segments. By the processor's time
on SQLite (a commit's wait for the disk is the same in both stores, and would hide the rest), by the wall on PostgreSQL
(most of the work is another process's).
"""

from __future__ import annotations

import json
import sqlite3
import statistics
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import accumulate, islice
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import psycopg

from engine.plan.model import EventTrigger, InactiveTrigger, Plan, SegmentTrigger
from engine.project import Segment
from engine.storage.database import Database
from tests.factories import NOW, Shop, plan, wait
from tests.postgres_server import running_server

PEOPLE, EVENTS, ARRIVING = 100_000, 1_000_000, 600
SEGMENTS = {
    name: Segment(name=name, title=name.title(), condition=condition)
    for name, condition in {
        "vip": 'sum("Order Completed", "total", within="90d") >= 5000',
        "regular": 'count("Page Viewed", within="30d") >= 200',
        "at_risk": 'did("Order Completed") and days_since(last("Order Completed")) > 60 and not segment("vip")',
        "customer": 'did("Order Completed")',
    }.items()
}
DAY = 86_400
PLANS: tuple[Plan, ...] = (
    plan(wait(hours=1), journey="cart", triggers=(EventTrigger(event="Cart Updated", condition="event.total > 50"),)),
    plan(wait(days=1), journey="welcome_vip", triggers=(SegmentTrigger(segment="vip", on="enter"),)),
    plan(wait(days=1), journey="win_back", triggers=(SegmentTrigger(segment="at_risk", on="enter"),)),
    plan(wait(days=1), journey="habit", triggers=(SegmentTrigger(segment="regular", on="leave"),)),
    plan(wait(days=1), journey="thanks", triggers=(SegmentTrigger(segment="customer", on="enter"),)),
    plan(wait(days=1), journey="lapsed", triggers=(InactiveTrigger(event="Order Completed", for_seconds=120 * DAY),)),
)
_NAMES = ("Page Viewed",) * 6 + ("Cart Updated",) * 2 + ("Order Completed", "Product Viewed")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Rows = Iterator[tuple[Any, ...]]


def main(people: int = PEOPLE, events: int = EVENTS, arriving: int = ARRIVING) -> dict[str, float]:
    """Prints and returns, for both databases, the ratio of what an event costs, and of a sweep that finds nothing."""
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder, running_server() as socket_folder:
        with psycopg.connect(host=socket_folder, user="postgres", dbname="postgres", autocommit=True) as connection:
            for name in ("few", "many"):
                connection.execute(f"CREATE DATABASE {name}".encode())
        urls = {
            "sqlite": [f"sqlite:///{folder}/{name}.db" for name in ("few", "many")],
            "postgresql": [f"postgresql://postgres@/{name}?host={socket_folder}" for name in ("few", "many")],
        }
        for name, (few, many) in urls.items():
            clock = process_time if name == "sqlite" else perf_counter
            names = list(islice(_busy(people, events), arriving))
            shops = (_opened(few, names), _opened(many, names, people, events))
            for what, (before, after) in _measure(shops, names, clock).items():
                figures[f"{name}_{what}_ratio"] = after / before
                print(
                    f"{name:<11} {what:<8} {before * 1e6:7,.0f} µs in an empty store, {after * 1e6:7,.0f} µs "
                    f"among {events:,} events of {people:,} people: x{after / before:.2f}",
                    flush=True,
                )
    return figures


def _opened(url: str, names: Iterable[str], people: int = 0, events: int = 0) -> Shop:
    database = Database(url)
    database.migrate()
    shop = Shop(database, *PLANS, segments=SEGMENTS).open()
    if people:
        fill(url, people, events)
    # Whoever comes here has come before: what is measured is an event, not how a person is made.
    for person in dict.fromkeys(names):
        shop.track("Product Viewed", person)
    shop.engine.router.route_all(NOW)
    return shop


def _measure(
    shops: tuple[Shop, Shop], names: Sequence[str], clock: Callable[[], float]
) -> dict[str, tuple[float, float]]:
    """Seconds in one store and in the other: in turns, so that whoever else is at work slows both."""
    costs: dict[str, tuple[list[float], list[float]]] = {what: ([], []) for what in ("taken in", "routed", "swept")}
    for number, person in enumerate(names):
        for place, shop in enumerate(shops):
            _timed(costs["taken in"][place], clock, partial(_track, shop, person, number))
            _timed(costs["routed"][place], clock, partial(shop.engine.router.route_all, NOW))
            _timed(costs["swept"][place], clock, partial(shop.engine.sweeper.sweep, NOW))
    return {what: (statistics.median(few), statistics.median(many)) for what, (few, many) in costs.items()}


def _track(shop: Shop, person: str, number: int) -> None:
    shop.track(_NAMES[number % len(_NAMES)], person, total=number % 90)


def _timed(costs: list[float], clock: Callable[[], float], run: Callable[[], object]) -> None:
    began = clock()
    run()
    costs.append(clock() - began)


def _busy(people: int, events: int) -> Iterator[str]:
    """Whose event comes next: the more somebody has done, the more often it is theirs."""
    ends = list(accumulate(shares(people, events)))
    number = 0
    while True:
        number += 1
        place = number * 7_919_999 % ends[-1]
        low, high = 0, people - 1
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if ends[middle] <= place else (low, middle)
        yield f"u{low}"


def shares(people: int, events: int) -> list[int]:
    """How many events each has: a few have very many, most have a few."""
    weights = [(place + 10) ** -0.7 for place in range(people)]
    each = events / sum(weights)
    return [max(1, round(weight * each)) for weight in weights]


# ── filling ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def fill(url: str, people: int, events: int) -> None:
    """People with their events, memberships and moments, past every index of the tables, in a few seconds."""
    tables: dict[str, tuple[tuple[str, ...], Rows]] = {
        "profiles": (
            ("profile_id", "external_id", "chat", "attributes", "created_at"),
            ((Shop.id_of(f"u{n}"), f"u{n}", {}, {"plan": "pro", "city": "Madrid"}, NOW) for n in range(people)),
        ),
        "identifiers": (
            ("kind", "value", "profile_id"),
            (("external", f"u{n}", Shop.id_of(f"u{n}")) for n in range(people)),
        ),
        "memberships": (
            ("profile_id", "segment", "is_member", "changed_at"),
            ((Shop.id_of(f"u{n}"), segment, False, NOW) for n in range(people) for segment in SEGMENTS),
        ),
        "dues": (
            ("kind", "profile_id", "subject", "due_at", "basis"),
            (
                (kind, Shop.id_of(f"u{n}"), subject, NOW + timedelta(days=1 + n % 90), "")
                for n in range(people)
                for kind, subject in (("segment", "vip"), ("segment", "regular"), ("inactive", "lapsed#0"))
            ),
        ),
        "events": (
            (
                "event_id", "profile_id", "name", "timestamp", "received_at", "properties", "source", "is_clamped",
            ),
            _events(people, events),
        ),
    }  # fmt: skip
    if url.startswith("sqlite"):
        _fill_sqlite(url.removeprefix("sqlite:///"), tables)
    else:
        _fill_postgresql(url, tables)


def _events(people: int, events: int) -> Rows:
    for person, share in enumerate(shares(people, events)):
        profile_id = Shop.id_of(f"u{person}")
        for number in range(share):
            # Spread over two years, without chance: every run fills alike.
            spread = (person * 7919 + number * 104_729) % 100_003
            at = NOW - timedelta(seconds=spread * 630 + number)
            properties = {"order_id": f"o{spread}", "cart_id": f"c{person}", "total": spread % 90, "currency": "EUR"}
            name = _NAMES[spread % len(_NAMES)]
            yield (f"v{person}-{number}", profile_id, name, at, at, properties, "intake", False)


def _fill_sqlite(path: str, tables: dict[str, tuple[tuple[str, ...], Rows]]) -> None:
    def plain(value: Any) -> Any:
        if isinstance(value, datetime):
            return (value - _EPOCH) // timedelta(microseconds=1)
        return json.dumps(value) if isinstance(value, dict) else value

    assert Path(path).exists()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA cache_size = -200000")
        for table, (columns, rows) in tables.items():
            marks = ", ".join("?" * len(columns))
            connection.executemany(
                f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})",
                (tuple(map(plain, row)) for row in rows),
            )
        connection.execute("ANALYZE")


def _fill_postgresql(url: str, tables: dict[str, tuple[tuple[str, ...], Rows]]) -> None:
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        for table, (columns, rows) in tables.items():
            with cursor.copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN".encode()) as copy:
                for row in rows:
                    copy.write_row([json.dumps(value) if isinstance(value, dict) else value for value in row])
        cursor.execute("ANALYZE")
