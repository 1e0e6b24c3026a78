"""Pieces of work that share a commit on SQLite: each whole or not at all, and none done before the commit."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from engine.errors import StoreUnavailable
from engine.storage.database import Database
from engine.store import Unit
from tests.storage.records import profile
from tests.waiting import PATIENCE, until

Work = Callable[[Unit], None]


def saves(profile_id: str) -> Work:
    return lambda unit: unit.profiles.save(profile(profile_id))


def fails(profile_id: str) -> Work:
    def work(unit: Unit) -> None:
        saves(profile_id)(unit)
        raise LookupError(profile_id)

    return work


class Line:
    """Threads that stand in line for the one connection, in the order of `add`, while a first piece is under way."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.store = Database(f"sqlite:///{path}")
        self.store.migrate()
        self.commits = 0
        self._pool = ThreadPoolExecutor(40)
        self._may_go_on = threading.Event()
        self._begun = threading.Event()

    def begin(self, *, is_shared: bool = True, then: Work | None = None) -> Future[None]:
        """A first piece, which is done when `go_on` is called."""

        def work(unit: Unit) -> None:
            saves("first")(unit)
            self._begun.set()
            assert self._may_go_on.wait(PATIENCE)
            if then:
                then(unit)

        first = self._pool.submit(self._perform, work, is_shared)
        assert self._begun.wait(PATIENCE)
        event.listen(self.store._engine, "commit", self._count)
        return first

    def add(self, work: Work, *, is_shared: bool = True) -> Future[None]:
        """One more thread at the end of the line."""
        waiting = self._waiting()
        done = self._pool.submit(self._perform, work, is_shared)
        until(lambda: self._waiting() > waiting)
        return done

    def go_on(self) -> None:
        self._may_go_on.set()
        self._pool.shutdown()

    def close(self) -> None:
        self._may_go_on.set()
        self._pool.shutdown()
        self.store.close()

    def stored(self) -> set[str]:
        """What another process sees now."""
        connection = sqlite3.connect(self.path)
        try:
            return {row[0] for row in connection.execute("SELECT profile_id FROM profiles")}
        finally:
            connection.close()

    def _perform(self, work: Work, is_shared: bool) -> None:
        with self.store.transaction(is_shared=is_shared) as unit:
            work(unit)

    def _waiting(self) -> int:
        one: Any = self.store._one
        return len(one._turns._waiting)

    def _count(self, _connection: object) -> None:
        self.commits += 1


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    line = Line(tmp_path / "store.db")
    yield line
    line.close()


def test_pieces_that_stand_in_line_are_committed_together(line: Line) -> None:
    line.begin()
    done = [line.add(saves(f"p{number}")) for number in range(7)]
    line.go_on()
    for each in done:
        each.result(PATIENCE)
    assert line.commits == 1
    assert line.stored() == {"first", *(f"p{number}" for number in range(7))}


def test_a_transaction_has_eight_pieces_at_most(line: Line) -> None:
    line.begin()
    done = [line.add(saves(f"p{number}")) for number in range(16)]
    line.go_on()
    for each in done:
        each.result(PATIENCE)
    assert line.commits == 3


def test_no_piece_is_done_before_the_commit(line: Line) -> None:
    first = line.begin()
    seen = []

    def looks(unit: Unit) -> None:
        # In the same transaction, behind the first: which is there, and not yet done.
        seen.append((unit.profiles.find("first") is not None, first.done(), line.stored()))

    line.add(looks).add_done_callback(lambda _: seen.append((True, True, line.stored())))
    line.go_on()
    assert seen == [(True, False, set()), (True, True, {"first"})]


def test_a_piece_that_fails_undoes_its_own_work_alone(line: Line) -> None:
    first = line.begin()
    before, bad, after = line.add(saves("before")), line.add(fails("bad")), line.add(saves("after"))
    line.go_on()
    with pytest.raises(LookupError, match="bad"):
        bad.result(PATIENCE)
    for each in (first, before, after):
        each.result(PATIENCE)
    assert line.stored() == {"first", "before", "after"}


def test_a_first_piece_that_fails_leaves_the_others_alone(line: Line) -> None:
    line.begin(is_shared=False)
    bad, after = line.add(fails("bad")), line.add(saves("after"))
    line.go_on()
    with pytest.raises(LookupError, match="bad"):
        bad.result(PATIENCE)
    after.result(PATIENCE)
    assert line.stored() == {"first", "after"}


def test_where_the_commit_fails_each_piece_has_failed(line: Line) -> None:
    first = line.begin()
    done = [first, line.add(saves("second")), line.add(saves("third"))]

    def refuse(_connection: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    event.listen(line.store._engine, "commit", refuse)
    line.go_on()
    for each in done:
        with pytest.raises((StoreUnavailable, sqlite3.OperationalError)):
            each.result(PATIENCE)
    assert line.stored() == set()
    event.remove(line.store._engine, "commit", refuse)
    with line.store.transaction(is_shared=True) as unit:
        saves("later")(unit)
    assert line.stored() == {"later"}


def test_where_the_database_gives_up_the_transaction_each_piece_has_failed(line: Line) -> None:
    first = line.begin()

    def rolled_back(unit: Unit) -> None:
        # As SQLite does itself where the disk is full.
        unit.connection.exec_driver_sql("ROLLBACK")  # type: ignore[attr-defined]
        raise sqlite3.OperationalError("database or disk is full")

    second, third = line.add(rolled_back), line.add(saves("third"))
    line.go_on()
    for each in (first, second):
        assert each.exception(PATIENCE) is not None
    third.result(PATIENCE)
    assert line.stored() == {"third"}


@pytest.mark.parametrize("is_first_shared", [True, False])
def test_a_transaction_that_is_not_shared_stands_alone(line: Line, is_first_shared: bool) -> None:
    line.begin(is_shared=is_first_shared)
    seen = []
    alone = line.add(lambda _unit: seen.append(line.stored()), is_shared=not is_first_shared)
    line.go_on()
    alone.result(PATIENCE)
    assert seen == [{"first"}], "what was before it is committed when it begins"
    assert line.commits == 2


def test_where_the_database_gives_up_a_first_piece_nobody_is_told_that_it_is_done(line: Line) -> None:
    def swallows(unit: Unit) -> None:
        saves("swallowed")(unit)
        unit.connection.exec_driver_sql("ROLLBACK")  # type: ignore[attr-defined]

    first = line.begin(then=swallows)
    second = line.add(saves("second"))
    line.go_on()
    assert first.exception(PATIENCE) is not None
    second.result(PATIENCE)
    assert line.stored() == {"second"}


def test_whoever_fails_with_others_is_told_that_a_repeat_helps(line: Line) -> None:
    """It is nothing that they did, and what failed in the end may not be what is wrong with the database."""
    first = line.begin()

    def gives_up(unit: Unit) -> None:
        unit.connection.exec_driver_sql("ROLLBACK")  # type: ignore[attr-defined]
        raise LookupError("mine")

    second = line.add(gives_up)
    line.go_on()
    with pytest.raises(LookupError, match="mine"):
        second.result(PATIENCE)
    with pytest.raises(StoreUnavailable):
        first.result(PATIENCE)
    assert line.stored() == set()


def test_where_the_commit_fails_each_piece_has_an_error_of_its_own(line: Line) -> None:
    done = [line.begin(), line.add(saves("second")), line.add(saves("third"))]

    def refuse(_connection: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    event.listen(line.store._engine, "commit", refuse)
    line.go_on()
    errors = [each.exception(PATIENCE) for each in done]
    event.remove(line.store._engine, "commit", refuse)
    assert None not in errors
    assert len({id(each) for each in errors}) == 3
    # Who commits has the database's own.
    assert [isinstance(each, StoreUnavailable) for each in errors[:2]] == [True, True]
