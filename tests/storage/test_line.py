"""On PostgreSQL a statement that nobody waits for travels with the next one, and nothing else is different for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import exc, text

from engine.errors import StoreUnavailable
from engine.storage.database import Database
from engine.storage.sql.prepared import RUNNER, hold, run
from engine.store import Unit
from tests.storage.records import delivery, event, profile
from tests.storage.wire import round_trips
from tests.waiting import PATIENCE, until


@pytest.fixture
def shared(postgres_url: str) -> Iterator[Database]:
    database = Database(postgres_url)
    with database.transaction():
        pass  # the first one looks which tables there are
    yield database
    database.close()


def _connection(unit: Unit) -> Any:
    return unit.connection  # type: ignore[attr-defined]


def _work(database: Database, *steps: Callable[[Unit], object]) -> None:
    """One transaction."""
    with database.transaction() as unit:
        for step in steps:
            step(unit)


def _save(delivery_id: str) -> Callable[[Unit], None]:
    return lambda unit: unit.deliveries.save(delivery(delivery_id))


def _break(unit: Unit) -> None:
    hold(_connection(unit), "INSERT INTO trail (enrollment_id) VALUES (%s)", ("e1",))


def _find(unit: Unit) -> None:
    unit.deliveries.find("d1")


def _leave(_unit: Unit) -> None:
    raise LookupError


def _stored(database: Database) -> list[str]:
    with database.transaction() as unit:
        return [each.delivery_id for each in unit.deliveries.of()]


def test_writes_travel_with_the_next_read_and_with_the_commit(shared: Database, tmp_path: Path) -> None:
    with round_trips(shared, tmp_path) as trips:
        _work(shared, lambda unit: unit.lock("p1"), *[_save(f"d{number}") for number in range(5)], _find, _save("d5"))
    assert len(trips) == 2
    assert len(_stored(shared)) == 6


def test_a_transaction_in_which_nothing_happens_asks_the_server_nothing(shared: Database, tmp_path: Path) -> None:
    with round_trips(shared, tmp_path) as trips:
        _work(shared)
    assert trips == []


def _expect_both(unit: Unit) -> None:
    unit.expect(lambda soon: (soon.deliveries.find("d1"), soon.profiles.find("p1")))


def test_reads_that_were_expected_are_answered_together(shared: Database, tmp_path: Path) -> None:
    with shared.transaction() as unit:
        unit.deliveries.save(delivery("d1"))
        unit.profiles.save(profile())
    with round_trips(shared, tmp_path) as trips:
        with shared.transaction() as unit:
            _expect_both(unit)
            assert unit.enrollments.find("e1") is None
            assert unit.deliveries.find("d1") == delivery("d1")
            assert unit.profiles.find("p1") == profile()
        with shared.transaction() as unit:
            _expect_both(unit)
            # The first answer brings the other.
            assert unit.profiles.find("p1") == profile()
            assert unit.deliveries.find("d1") == delivery("d1")
            # One that nobody expected.
            assert unit.deliveries.find("d2") is None
    # Two transactions that end, and three questions.
    assert len(trips) == 5


def test_a_read_of_one_row_may_be_expected_like_any_other(shared: Database, tmp_path: Path) -> None:
    with shared.transaction() as unit:
        unit.profiles.save(profile(external_id="ana"))
    with round_trips(shared, tmp_path) as trips, shared.transaction() as unit:
        unit.expect(lambda soon: soon.profiles.owners("external", ["ana", "ben"]))
        assert unit.enrollments.find("e1") is None
        assert unit.profiles.owners("external", ["ana", "ben"]) == {"ana": "p1"}
    # A question and the end of the transaction.
    assert len(trips) == 2


def test_nobody_waits_for_what_was_expected_and_is_not_asked_for(shared: Database, tmp_path: Path) -> None:
    with round_trips(shared, tmp_path) as trips:
        _work(shared, _expect_both)
    assert trips == []


@pytest.mark.parametrize("is_answered", [True, False])
@pytest.mark.parametrize("change", [_save("d1"), lambda unit: unit.lock("p1"), lambda unit: unit.deliveries.of()])
def test_an_answer_from_before_a_write_or_a_lock_is_never_given(
    postgres_url: str, shared: Database, change: Callable[[Unit], object], is_answered: bool
) -> None:
    """Nor from before a statement that SQLAlchemy runs: it may be anything."""
    other = Database(postgres_url)
    with shared.transaction() as unit:
        _expect_both(unit)
        if is_answered:
            assert unit.enrollments.find("e1") is None
        with other.transaction() as beside:
            beside.deliveries.save(delivery("d1"))
        change(unit)
        assert unit.deliveries.find("d1") == delivery("d1")
    other.close()


def test_an_expected_value_that_the_database_cannot_take_is_refused_as_if_it_was_asked_for(shared: Database) -> None:
    with pytest.raises(exc.DataError):
        _work(shared, lambda unit: unit.expect(lambda soon: soon.deliveries.find("\0")))


def test_a_read_that_travels_with_its_lock_sees_what_the_locks_holder_has_committed(postgres_url: str) -> None:
    holder, waiter = Database(postgres_url), Database(postgres_url)

    def wait() -> Any:
        with waiter.transaction() as unit:
            # The transaction has had a view of the data before it waits.
            assert unit.profiles.find("p1") is None
            unit.lock("p1")
            return unit.profiles.find("p1")

    with ThreadPoolExecutor(1) as other:
        with holder.transaction("p1") as unit:
            found = other.submit(wait)
            _until_someone_waits(_connection(unit))
            unit.profiles.save(profile(attributes={"n": 1}))
        assert found.result(PATIENCE) == profile(attributes={"n": 1})
    holder.close()
    waiter.close()


def _until_someone_waits(connection: Any) -> None:
    waiting = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
    until(lambda: bool(connection.scalar(waiting)))


def _scan(unit: Unit) -> None:
    unit.deliveries.of()


@pytest.mark.parametrize("behind", [[_save("d2"), _find], [_save("d2")], [_scan], []], ids=len)
def test_the_error_of_a_write_comes_with_what_is_behind_it_and_undoes_the_transaction(
    shared: Database, behind: list[Callable[[Unit], None]]
) -> None:
    """Behind it a read, a commit alone, or a statement that SQLAlchemy runs."""
    with pytest.raises(exc.IntegrityError, match="null value"):
        _work(shared, _save("d1"), _break, *behind)
    assert _stored(shared) == []


def test_a_value_that_the_database_cannot_take_is_refused_where_it_is_given(shared: Database) -> None:
    with shared.transaction() as unit:
        with pytest.raises(exc.DataError):
            unit.deliveries.save(delivery("\0"))
        unit.deliveries.save(delivery("d1"))
    assert _stored(shared) == ["d1"]


def test_what_failed_is_not_called_committed_by_who_caught_its_error(shared: Database) -> None:
    def break_and_go_on(unit: Unit) -> None:
        _break(unit)
        with pytest.raises(exc.IntegrityError):
            _find(unit)

    with pytest.raises(exc.InternalError, match="nothing was committed"):
        _work(shared, _save("d1"), break_and_go_on)
    assert _stored(shared) == []


def test_statements_first_seen_beside_one_that_failed_are_known_afterwards(shared: Database) -> None:
    for _ in range(3):
        with pytest.raises(exc.IntegrityError):
            _work(shared, lambda unit: unit.profiles.find("p1"), _break, _save("d1"), _find)
        _work(shared, lambda unit: unit.profiles.find("p1"), _save("d1"), _find)
    assert _stored(shared) == ["d1"]


def test_what_is_held_when_a_transaction_is_left_by_an_error_is_never_sent(shared: Database, tmp_path: Path) -> None:
    with round_trips(shared, tmp_path) as trips, pytest.raises(LookupError):
        _work(shared, _save("d1"), _break, _leave)
    assert trips == []
    assert _stored(shared) == []


def test_a_connection_lost_before_the_commit_is_an_unavailable_store_and_is_replaced(
    postgres_url: str, shared: Database
) -> None:
    def end_connections(_unit: Unit) -> None:
        with psycopg.connect(postgres_url, autocommit=True) as other:
            other.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )

    with pytest.raises(StoreUnavailable):
        _work(shared, _save("d1"), _find, _save("d2"), end_connections)
    assert _stored(shared) == []


def test_a_connection_lost_while_it_waits_for_a_lock_is_an_unavailable_store(shared: Database) -> None:
    def wait(unit: Unit) -> None:
        unit.lock("p1")
        _find(unit)

    with ThreadPoolExecutor(1) as other, shared.transaction("p1") as unit:
        waiting = other.submit(_work, shared, _save("d1"), wait)
        _until_someone_waits(_connection(unit))
        ends = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        _connection(unit).execute(text(ends))
        assert isinstance(waiting.exception(10), StoreUnavailable)
    assert _stored(shared) == []


def test_a_savepoint_undoes_what_was_held_inside_it_and_nothing_else(shared: Database) -> None:
    def inside(unit: Unit) -> None:
        with _connection(unit).begin_nested():
            _save("d2")(unit)
            _leave(unit)

    with shared.transaction() as unit:
        _save("d1")(unit)
        with pytest.raises(LookupError):
            inside(unit)
        with _connection(unit).begin_nested():
            _save("d3")(unit)
    assert _stored(shared) == ["d1", "d3"]


def test_more_statements_than_are_held_and_known_at_once_are_run_all_the_same(shared: Database) -> None:
    digests = [str(number) for number in range(350)]
    with shared.transaction() as unit:
        for digest in digests:
            insert = f"INSERT INTO plans (digest, journey, document) VALUES (%s, 'j', '{digest}')"
            hold(_connection(unit), insert, (digest,))
    with shared.transaction() as unit:
        assert [unit.journeys.find_plan(digest) for digest in digests] == digests
        ((known,),) = run(_connection(unit), "SELECT count(*) FROM pg_prepared_statements", ()).rows
    assert known <= 100


def test_a_number_of_any_size_and_a_percent_sign_arrive_as_they_are(shared: Database) -> None:
    with shared.transaction() as unit:
        for number in (1, 70_000, 5_000_000_000):
            rows = run(_connection(unit), "SELECT %s::bigint, '100%%'", (number,)).rows
            assert list(rows) == [(number, "100%")]


def test_an_interrupted_statement_costs_its_connection(shared: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    with shared.transaction() as unit:
        line = _connection(unit).info[RUNNER]

    def interrupt(_answers: object) -> object:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(line._driver, "wait", interrupt)
        with pytest.raises(KeyboardInterrupt):
            _work(shared, _find)
    with shared.transaction() as unit:
        _find(unit)
        assert _connection(unit).info[RUNNER] is not line


def test_a_table_that_has_grown_is_not_read_from_end_to_end_because_it_was_small_once(shared: Database) -> None:
    """Nobody has analyzed it: the server knows no more of it than its size when it planned."""
    for first in range(0, 10_000, 50):
        group = [event(f"ev{number}") for number in range(first, first + 50)]
        with shared.transaction() as unit:
            assert unit.events.known([each.event_id for each in group]) == set()
            unit.events.add_each(group)
    with shared.transaction() as unit:
        connection = _connection(unit)
        ((name,),) = connection.execute(
            text("SELECT name FROM pg_prepared_statements WHERE statement LIKE 'SELECT events.event_id%unnest%'")
        )
        plan = [line for (line,) in connection.execute(text(f"EXPLAIN EXECUTE {name}('{{ev1,ev2}}')"))]
    assert not any("Seq Scan" in line for line in plan), plan
