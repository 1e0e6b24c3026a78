"""Every store keeps alike what failed in routing, and what couriers have claimed."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from engine.events.model import Occurrence
from engine.plan.effects import Left, Started
from engine.storage.database import Database
from engine.store import Store, Unit
from tests.storage.records import NOON, at, occurrence, stimulus


def fill(store: Store, *people: str) -> None:
    with store.transaction() as unit:
        for number, person in enumerate(people):
            unit.queue.add_occurrence(occurrence(person, ref=str(number)))


def drain(unit: Unit, now: datetime) -> list[str]:
    taken = []
    while (found := unit.queue.next_occurrence(now)) is not None:
        taken.append(found.ref)
        unit.queue.remove_occurrence(found.seq)
    return taken


def failed(found: Occurrence | None, **given: object) -> Occurrence:
    assert found is not None
    changes = {"attempts": found.attempts + 1, "fault": "KeyError", **given}
    return replace(found, **changes)


def test_one_that_failed_waits_and_holds_up_only_its_own_profile(any_store: Store) -> None:
    fill(any_store, "p1", "p2", "p1", "p3")
    with any_store.transaction() as unit:
        unit.queue.set_back(failed(unit.queue.next_occurrence(NOON), retry_at=at(micros=5)))
    with any_store.transaction() as unit:
        assert drain(unit, NOON) == ["1", "3"]
        assert unit.queue.count_occurrences() == 2
        assert unit.queue.count_set_aside() == 0
        assert drain(unit, at(micros=5)) == ["0", "2"]


def test_one_that_is_set_aside_holds_up_nobody_until_it_is_put_back(any_store: Store) -> None:
    fill(any_store, "p1", "p1", "p2")
    with any_store.transaction() as unit:
        first = unit.queue.next_occurrence(NOON)
        assert first is not None
        unit.queue.set_back(failed(first, set_aside_at=NOON))
    with any_store.transaction() as unit:
        assert unit.queue.count_occurrences() == 2
        assert (unit.queue.count_set_aside(), unit.queue.setbacks()) == (1, [failed(first, set_aside_at=NOON)])
        found = unit.queue.next_occurrence(NOON)
        assert found is not None
        assert found.ref == "1"
        assert unit.queue.retry_set_aside([found.seq]) == 0
        assert unit.queue.retry_set_aside([first.seq, found.seq]) == 1
        assert unit.queue.retry_set_aside() == 0
        # In its old place, before what came after it.
        assert unit.queue.next_occurrence(NOON) == replace(first, fault="KeyError")
        assert (unit.queue.count_occurrences(), unit.queue.count_set_aside()) == (3, 0)
        assert unit.queue.setbacks() == []


def test_a_failure_that_somebody_else_has_counted_is_not_counted_again(any_store: Store) -> None:
    fill(any_store, "p1")
    with any_store.transaction() as unit:
        taken = unit.queue.next_occurrence(NOON)
        once = failed(taken, retry_at=at(micros=5))
        unit.queue.set_back(once)
        unit.queue.set_back(replace(once, fault="ValueError", retry_at=at(micros=9)))
        assert unit.queue.setbacks() == [once]
        unit.queue.set_back(failed(once, retry_at=at(micros=7)))
        assert [(each.attempts, each.retry_at) for each in unit.queue.setbacks()] == [(2, at(micros=7))]
        unit.queue.remove_occurrence(once.seq)
        unit.queue.set_back(failed(once))
        assert unit.queue.setbacks() == []


def test_merging_takes_along_what_is_set_aside(any_store: Store) -> None:
    fill(any_store, "p1", "p1")
    with any_store.transaction() as unit:
        unit.queue.set_back(failed(unit.queue.next_occurrence(NOON), set_aside_at=NOON))
        unit.profiles.hand_over("p1", "p9")
    with any_store.transaction() as unit:
        unit.queue.retry_set_aside()
        found = unit.queue.next_occurrence(NOON)
        assert found is not None
        assert (found.profile_id, found.ref) == ("p9", "0")


# ── claims ───────────────────────────────────────────────────────────────────────────────────────────────────────────
LATER = NOON + timedelta(seconds=20)


def test_what_is_claimed_is_nobody_elses_until_the_lease_is_out(any_store: Store) -> None:
    with any_store.transaction() as unit:
        for name in ("e1", "e2", "e3"):
            unit.queue.add_stimulus(stimulus(name))
    with any_store.transaction() as unit:
        mine = unit.queue.claim_stimuli(NOON, LATER, limit=2)
        assert [(each.enrollment_id, each.attempts, each.not_before) for each in mine] == [
            ("e1", 1, LATER), ("e2", 1, LATER),
        ]  # fmt: skip
    with any_store.transaction() as unit:
        assert [each.enrollment_id for each in unit.queue.claim_stimuli(NOON, LATER)] == ["e3"]
        assert unit.queue.claim_stimuli(LATER - timedelta(microseconds=1), LATER) == []
        unit.queue.remove_stimuli([mine[0].seq])
    with any_store.transaction() as unit:
        again = unit.queue.claim_stimuli(LATER, LATER + timedelta(seconds=20))
        assert [(each.enrollment_id, each.attempts) for each in again] == [("e2", 2), ("e3", 2)]


def test_those_of_one_enrollment_are_claimed_one_by_one_in_their_order(any_store: Store) -> None:
    with any_store.transaction() as unit:
        unit.queue.add_stimulus(stimulus("e1", input=Started(), not_before=at(micros=3)))
        unit.queue.add_stimulus(stimulus("e2"))
        # Due for longer, and yet the second: it came after.
        unit.queue.add_stimulus(stimulus("e1", input=Left(reason="exit"), not_before=at(micros=1)))
    with any_store.transaction() as unit:
        first = unit.queue.claim_stimuli(at(micros=3), LATER)
        assert [(each.enrollment_id, each.input.kind) for each in first] == [("e1", "started"), ("e2", "started")]
    with any_store.transaction() as unit:
        assert unit.queue.claim_stimuli(at(micros=3), LATER) == []
        unit.queue.put_back_stimuli([first[0].seq], at(micros=9))
        assert unit.queue.claim_stimuli(at(micros=8), LATER) == []
        (again,) = unit.queue.claim_stimuli(at(micros=9), LATER)
        assert (again.input.kind, again.attempts) == ("started", 2)
        unit.queue.remove_stimuli([again.seq])
        (last,) = unit.queue.claim_stimuli(at(micros=9), LATER)
        assert last.input == Left(reason="exit")


def test_one_that_is_paced_holds_up_nothing_that_came_after_it(any_store: Store) -> None:
    with any_store.transaction() as unit:
        unit.queue.add_stimulus(stimulus("e1", not_before=LATER))
        unit.queue.add_stimulus(stimulus("e1", input=Left(reason="exit")))
    with any_store.transaction() as unit:
        (found,) = unit.queue.claim_stimuli(NOON, LATER)
        assert found.input == Left(reason="exit")


@pytest.mark.parametrize("table", ["occurrences", "stimuli"])
def test_a_poll_reads_the_queue_in_its_order(sqlite_url: str, table: str) -> None:
    """However much is paced or backlogged: what is next is found without a sort."""
    from sqlalchemy.dialects import sqlite

    from engine.storage.sql import queue

    statement: Any = {"occurrences": queue._NEXT["sqlite"]._statement, "stimuli": queue._CLAIMED}[table]
    database = Database(sqlite_url)
    with database.transaction() as unit:
        asked = str(statement.compile(dialect=sqlite.dialect(), compile_kwargs={"render_postcompile": True}))
        connection = unit.queue._connection  # type: ignore[attr-defined]
        plan = [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {asked}", (1,) * asked.count("?"))]
    database.close()
    assert not any("TEMP B-TREE" in line for line in plan), plan
    assert any("earlier USING INDEX" in line or "ix_stimuli_not_before_seq" in line for line in plan), plan


@pytest.mark.parametrize("is_analyzed", [False, True])
def test_a_backlog_in_postgresql_is_not_read_for_each_one(postgres_url: str, is_analyzed: bool) -> None:
    """With statistics, and on the first day without any."""
    from sqlalchemy import text

    from engine.storage.sql import prepared, queue

    database = Database(postgres_url)
    with database.transaction() as unit:
        for number in range(3_000):
            unit.queue.add_occurrence(occurrence(f"p{number}"))
    with database.transaction() as unit:
        connection = unit.queue._connection  # type: ignore[attr-defined]
        if is_analyzed:
            connection.execute(text("ANALYZE occurrences"))
        asked = queue._NEXT["postgresql"]._of(connection.dialect)
        rows = prepared.read(connection, f"EXPLAIN {asked.sql}", prepared._values(asked, {"now": NOON}))
        plan = [line for (line,) in rows]
    database.close()
    assert any("Index Scan using occurrences_pkey" in line for line in plan), plan
    assert not any("Sort" in line or "Bitmap" in line or "Seq Scan" in line for line in plan), plan
