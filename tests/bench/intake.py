"""Events a second through the HTTP API, against the same rows through a bare `executemany`, in the same run.

The server is a process of its own (the whole application on uvicorn, without a router at work beside it), and so is the
load. The floor is the driver alone: one connection, equally indexed tables, the same durability, as many events a
transaction as the server commits together.

Single calls are held against an empty endpoint of the same server, behind the same middleware; it reads no body and
asks for no key.
"""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from sqlalchemy import create_engine, text

from engine.storage.database import Database
from tests.postgres_server import running_server

BATCHES, CALLS, CONNECTIONS = 400, 100, 16
SINGLES, SINGLE_CONNECTIONS = 10_000, 64
#: Events that the floor commits together.
TOGETHER = 500
_TABLES = {
    "events": ("event_id", "profile_id", "name", "timestamp", "received_at", "properties", "source", "is_clamped"),
    "occurrences": ("profile_id", "kind", "ref", "detail", "at"),
}


def main() -> dict[str, float]:
    """Loads each database; prints and returns the figures."""
    figures: dict[str, float] = {}
    with (
        tempfile.TemporaryDirectory() as folder,
        running_server(fsync="on", synchronous_commit="on", full_page_writes="on") as socket_folder,
    ):
        for name, url, bare in (
            ("sqlite", f"sqlite:///{folder}/bench.db", f"sqlite:///{folder}/floor.db"),
            (
                "postgresql",
                f"postgresql://postgres@/postgres?host={socket_folder}",
                f"postgresql://postgres@/template1?host={socket_folder}",
            ),
        ):
            figures |= {f"{name}_{figure}": value for figure, value in _measure(name, url, bare).items()}
    return figures


def _measure(name: str, url: str, bare: str) -> dict[str, float]:
    with _serving(url) as port:
        # Everybody is known, and every statement compiled, before anything is measured.
        _load(port, "/v1/batch", 20, CALLS, CONNECTIONS, 0)
        batches = _load(port, "/v1/batch", BATCHES, CALLS, CONNECTIONS, 1_000_000)
        singles = _load(port, "/v1/track", SINGLES, 1, SINGLE_CONNECTIONS, 2_000_000)
        empty = _load(port, "/empty", SINGLES, 1, SINGLE_CONNECTIONS, 3_000_000)
    floor = _floor(bare, _rows(url, BATCHES * CALLS))
    figures = {
        "batched_events_per_second": batches["rate"] * CALLS,
        "batched_events_per_cpu_second": batches["cpu_rate"] * CALLS,
        "floor_events_per_second": floor["rate"],
        "floor_events_per_cpu_second": floor["cpu_rate"],
        "of_the_floor": batches["rate"] * CALLS / floor["rate"],
        "tracks_per_second": singles["rate"],
        "empty_per_second": empty["rate"],
        "of_the_empty_endpoint": singles["rate"] / empty["rate"],
        "of_its_processor_time": singles["cpu_rate"] / empty["cpu_rate"],
    }
    print(
        f"{name}: batches of {CALLS}: {figures['batched_events_per_second']:,.0f} events/s "
        f"({figures['batched_events_per_cpu_second']:,.0f} a second of the server's processor time, longest answer "
        f"{batches['longest'] * 1000:,.0f} ms); bare inserts {floor['rate']:,.0f}/s "
        f"({floor['cpu_rate']:,.0f} a second of processor time): {figures['of_the_floor']:.2f} of them\n"
        f"{name}: single calls: {singles['rate']:,.0f}/s ({singles['cpu_rate']:,.0f} a second of processor time, "
        f"longest answer {singles['longest'] * 1000:,.0f} ms); empty endpoint {empty['rate']:,.0f}/s "
        f"({empty['cpu_rate']:,.0f}): {figures['of_the_empty_endpoint']:.2f} of it "
        f"({figures['of_its_processor_time']:.2f} a second of processor time)"
    )
    return figures


@contextmanager
def _serving(url: str) -> Iterator[int]:
    command = [sys.executable, "-m", "tests.bench._intake_server", url]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        yield json.loads(server.stdout.readline())
        server.stdin.close()


def _load(port: int, path: str, requests: int, calls: int, connections: int, first: int) -> dict[str, float]:
    spent = _spent(port)
    arguments = [str(each) for each in (port, path, requests, calls, connections, first)]
    answer = subprocess.run(
        [sys.executable, "-m", "tests.bench._intake_load", *arguments], stdout=subprocess.PIPE, check=True
    )
    measured: dict[str, float] = json.loads(answer.stdout)
    assert measured["accepted"] == requests, f"{path}: {measured['accepted']} of {requests} were accepted"
    measured["rate"] = requests / measured["seconds"]
    measured["cpu_rate"] = requests / (_spent(port) - spent)
    return measured


def _spent(port: int) -> float:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/spent") as answer:
        return float(answer.read())


def _rows(url: str, count: int) -> dict[str, list[tuple[Any, ...]]]:
    """What the server wrote of the last `count` events, as the driver takes it."""
    rows: dict[str, list[tuple[Any, ...]]] = {}
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.connect() as connection:
        for table, columns in _TABLES.items():
            # PostgreSQL's driver would hand out JSON parsed.
            names = ", ".join(f"CAST({name} AS TEXT)" if name in ("properties", "detail") else name for name in columns)
            found = connection.execute(text(f"SELECT {names} FROM {table} ORDER BY seq DESC LIMIT {count}"))
            rows[table] = [tuple(row) for row in found]
    engine.dispose()
    return rows


def _floor(url: str, rows: dict[str, list[tuple[Any, ...]]]) -> dict[str, float]:
    database = Database(url)
    database.migrate()
    database.close()
    count = len(rows["events"])
    with _bare(url) as connection:
        cursor = connection.cursor()
        mark = "?" if url.startswith("sqlite") else "%s"
        statements = {
            table: f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join([mark] * len(columns))})"
            for table, columns in _TABLES.items()
        }
        began, began_spent = time.perf_counter(), time.process_time()
        for start in range(0, count, TOGETHER):
            cursor.execute("BEGIN")
            for table, statement in statements.items():
                cursor.executemany(statement, rows[table][start : start + TOGETHER])
            cursor.execute("COMMIT")
        seconds, spent = time.perf_counter() - began, time.process_time() - began_spent
    return {"rate": count / seconds, "cpu_rate": count / spent}


@contextmanager
def _bare(url: str) -> Iterator[Any]:
    if url.startswith("sqlite"):
        connection: Any = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
    else:
        connection = psycopg.connect(url, autocommit=True)
    try:
        yield connection
    finally:
        connection.close()


if __name__ == "__main__":
    main()
