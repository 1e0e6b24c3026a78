"""What is done for every event, and every few seconds, reads indexes and no whole table, however much is stored."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Connection, event, text

from engine.storage.database import Database
from engine.storage.sql import prepared
from tests.bench.scale import PLANS, SEGMENTS, fill
from tests.factories import NOW, Shop

EVENTS, PEOPLE = 20_000, 2_000
#: Whose statements the planner is asked about: whoever has the most events, and somebody new.
ARRIVING = ("u0", "u1999", "new")
#: The queues hold what is under way, not what was: they are read from their beginning.
QUEUES = frozenset({"occurrences", "earlier", "stimuli", "before"})


@pytest.fixture
def shop(database: Database, database_url: str) -> Shop:
    """A shop whose store holds 20,000 events of 2,000 people."""
    opened = Shop(database, *PLANS, segments=SEGMENTS).open()
    fill(database_url, PEOPLE, EVENTS)
    for person in ARRIVING:
        opened.track("Product Viewed", person)
    opened.settle()
    return opened


@contextmanager
def statements(database: Database) -> Iterator[list[tuple[str, Any]]]:
    """The statements that reach the database meanwhile, with their parameters."""
    seen: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool) -> None:
        if statement.lstrip().startswith(("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")):
            seen.append((statement, parameters))

    def noting(way: Callable[..., Any]) -> Callable[..., Any]:
        def noted(connection: Connection, sql: str, values: Any) -> Any:
            note(connection, None, sql, tuple(values), None, False)
            return way(connection, sql, values)

        return noted

    engine = database._engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(prepared, "run", noting(prepared.run))
            patch.setattr(prepared, "read", noting(prepared.read))
            patch.setattr(prepared, "hold", noting(prepared.hold))
            yield seen
    finally:
        event.remove(engine, "before_cursor_execute", note)


def scans(connection: Connection, statement: str, parameters: Any) -> list[str]:
    """Tables that a statement reads from end to end."""
    if connection.dialect.name == "sqlite":
        rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        words = [row[3].split() for row in rows]
        # `SCAN t USING INDEX` is in the order of the index, for the first row or the lowest value.
        return [word[1] for word in words if word[0] == "SCAN" and "INDEX" not in word and word[1] != "CONSTANT"]
    document = connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", parameters).scalar_one()
    found: list[str] = []

    def walk(node: Any) -> None:
        if node["Node Type"] == "Seq Scan":
            found.append(node["Alias"])
        for child in node.get("Plans", ()):
            walk(child)

    walk(document[0]["Plan"])
    return found


def scanned(database: Database, work: Callable[[], object]) -> dict[str, list[str]]:
    """By statement, the tables that it would read from end to end."""
    with statements(database) as seen:
        work()
    assert seen
    with database._engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            # A table of a page is cheaper read as a whole: asked for is whether there is another way.
            connection.execute(text("SET LOCAL enable_seqscan = off"))
        found = {statement: scans(connection, statement, parameters) for statement, parameters in seen}
    return {statement: left for statement, tables in found.items() if (left := [t for t in tables if t not in QUEUES])}


@pytest.mark.parametrize("name", ["Order Completed", "Page Viewed", "Cart Updated"])
def test_taking_an_event_in_and_routing_it_reads_by_indexes_alone(shop: Shop, database: Database, name: str) -> None:
    def arrive() -> None:
        for person in ARRIVING:
            shop.track(name, person, total=60)
        shop.engine.router.route_all(NOW)

    assert scanned(database, arrive) == {}


def test_a_window_of_somebodys_events_is_read_and_nothing_before_it(database: Database) -> None:
    """Somebody may have a hundred thousand: the index is by time, with the name behind it."""
    with statements(database) as seen, database.transaction() as unit:
        unit.events.of("p1", "Page Viewed", since=NOW)
        unit.events.of("p1", since=NOW)
        unit.events.of_each("p1", ["Page Viewed", "Seen"], since=NOW)
        unit.events.last("p1", "Page Viewed", until=NOW)
    with database._engine.begin() as connection:
        is_postgres = connection.dialect.name == "postgresql"
        if is_postgres:
            connection.execute(text("SET LOCAL enable_seqscan = off"))
        asked = [(statement, parameters) for statement, parameters in seen if "FROM events" in statement]
        assert len(asked) == 4
        explain, cut = (
            ("EXPLAIN", r'Index Cond: .*"timestamp" [<>]=')
            if is_postgres
            else ("EXPLAIN QUERY PLAN", r"\(profile_id=\? AND timestamp[<>]")
        )
        for statement, parameters in asked:
            plan = connection.exec_driver_sql(f"{explain} {statement}", parameters)
            told = " ".join(str(value) for row in plan for value in row)
            assert "ix_events_profile_id_timestamp_seq_name" in told, told
            assert re.search(cut, told), told


def test_a_sweep_that_finds_nothing_due_reads_the_index_of_moments_and_nothing_else(
    shop: Shop, database: Database
) -> None:
    with statements(database) as seen:
        assert shop.engine.sweeper.sweep(NOW) == 0
    assert seen
    assert all("FROM dues" in statement for statement, _ in seen), seen
    with database._engine.begin() as connection:
        explain = "EXPLAIN QUERY PLAN" if connection.dialect.name == "sqlite" else "EXPLAIN"
        for statement, parameters in seen:
            told = " ".join(str(row) for row in connection.exec_driver_sql(f"{explain} {statement}", parameters))
            assert "ix_dues_due_at_kind_profile_id_subject" in told, told
            assert "Seq Scan" not in told, told
            assert " SORT" not in told.upper().replace("B-TREE FOR ORDER BY", " SORT"), told
