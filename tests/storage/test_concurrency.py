"""Threads and processes that share a database neither lose nor double anything."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from msgspec.structs import replace

from engine.errors import StoreUnavailable
from engine.storage import database as database_module
from engine.storage.database import Database
from tests.storage.records import at, delivery, enrollment, event, occurrence, profile
from tests.waiting import PATIENCE


def _together(*works: Callable[[], object]) -> list[object]:
    """Runs them at the same time, each in a thread; what they returned."""
    start = threading.Barrier(len(works))

    def run(work: Callable[[], object]) -> object:
        start.wait()
        return work()

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(run, works))


def test_transactions_on_one_profile_never_overlap(database: Database) -> None:
    with database.transaction() as unit:
        unit.profiles.save(profile(attributes={"n": 0}))

    def count_up() -> None:
        for _ in range(20):
            with database.transaction("p1") as unit:
                found = unit.profiles.find("p1")
                assert found is not None
                unit.profiles.save(replace(found, attributes={"n": found.attributes["n"] + 1}))

    _together(*[count_up] * 6)
    with database.transaction() as unit:
        assert unit.profiles.find("p1") == profile(attributes={"n": 120})


def test_a_lock_taken_later_excludes_as_well(database: Database) -> None:
    with database.transaction() as unit:
        unit.profiles.save(profile(attributes={"n": 0}))

    def count_up() -> None:
        for _ in range(20):
            with database.transaction() as unit:
                unit.lock("p1")
                found = unit.profiles.find("p1")
                assert found is not None
                unit.profiles.save(replace(found, attributes={"n": found.attributes["n"] + 1}))

    _together(*[count_up] * 4)
    with database.transaction() as unit:
        assert unit.profiles.find("p1") == profile(attributes={"n": 80})


def test_what_was_committed_before_the_lock_was_taken_is_seen(database: Database) -> None:
    with database.transaction() as unit:
        unit.enrollments.save(enrollment())
    inside, waits = threading.Event(), threading.Event()

    def leave() -> None:
        with database.transaction("p1") as unit:
            inside.set()
            assert waits.wait(PATIENCE)
            unit.enrollments.save(enrollment(state="ended", reason="exit"))

    def send() -> object:
        assert inside.wait(PATIENCE)
        waits.set()
        with database.transaction("p1") as unit:
            return unit.enrollments.find("e1")

    assert _together(leave, send) == [None, enrollment(state="ended", reason="exit")]


def test_an_event_sent_twice_at_once_is_stored_once(database: Database) -> None:
    def take() -> bool:
        with database.transaction("p1") as unit:
            is_new = unit.events.add(event())
            if is_new:
                unit.queue.add_occurrence(occurrence())
            return is_new

    for _ in range(5):
        with database.transaction() as unit:
            stored = len(unit.events.of("p1"))
        answers = _together(take, take, take, take)
        assert answers.count(True) == (0 if stored else 1)
    with database.transaction() as unit:
        assert len(unit.events.of("p1")) == unit.queue.count_occurrences() == 1


def test_the_last_place_under_a_cap_is_given_once(database: Database) -> None:
    def claim(number: int) -> bool:
        with database.transaction("p1") as unit:
            if unit.deliveries.counted("p1", at(-60)):
                return False
            unit.deliveries.save(delivery(f"d{number}"))
            return True

    answers = _together(*[lambda number=number: claim(number) for number in range(6)])
    assert answers.count(True) == 1


def test_routers_take_each_occurrence_once_and_each_profiles_in_order(database: Database) -> None:
    people, each = 7, 12
    with database.transaction() as unit:
        for number in range(people * each):
            unit.queue.add_occurrence(occurrence(f"p{number % people}", ref=str(number)))
    taken: list[tuple[str, int]] = []

    def route() -> None:
        while True:
            with database.transaction() as unit:
                found = unit.queue.next_occurrence()
                if found is None:
                    if unit.queue.count_occurrences() == 0:
                        return
                    continue
                unit.lock(found.profile_id)
                found = unit.queue.confirm_occurrence(found)
                if found is not None:
                    taken.append((found.profile_id, found.seq))
                    unit.queue.remove_occurrence(found.seq)

    _together(*[route] * 4)
    assert len(taken) == len(set(taken)) == people * each
    for number in range(people):
        of_one = [seq for profile_id, seq in taken if profile_id == f"p{number}"]
        assert of_one == sorted(of_one)


def test_while_a_router_holds_a_profiles_first_occurrence_its_later_ones_wait(postgres_url: str) -> None:
    first, second = Database(postgres_url), Database(postgres_url)
    with first.transaction() as unit:
        for ref, who in (("1", "p1"), ("2", "p1"), ("3", "p2")):
            unit.queue.add_occurrence(occurrence(who, ref=ref))

    def other_takes() -> str | None:
        with second.transaction() as unit:
            found = unit.queue.next_occurrence()
            if found is None:
                return None
            unit.queue.remove_occurrence(found.seq)
            return found.ref

    with ThreadPoolExecutor(1) as other:
        with first.transaction() as unit:
            held = unit.queue.next_occurrence()
            assert held is not None
            assert held.ref == "1"
            assert other.submit(other_takes).result() == "3"
            assert other.submit(other_takes).result() is None
            unit.queue.remove_occurrence(held.seq)
            # Not yet: the removal is not committed.
            assert other.submit(other_takes).result() is None
        assert other.submit(other_takes).result() == "2"
    first.close()
    second.close()


def test_different_profiles_do_not_wait_for_each_other_on_postgresql(postgres_url: str) -> None:
    database = Database(postgres_url)
    both = threading.Barrier(2)

    def work(profile_id: str) -> None:
        with database.transaction(profile_id):
            both.wait(PATIENCE)

    _together(lambda: work("p1"), lambda: work("p2"))
    database.close()


def test_a_lock_held_too_long_is_an_unavailable_store(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_module, "PATIENCE_SECONDS", 0.2)
    holder, waiter = Database(database_url), Database(database_url)
    waiter.revision()

    def wait() -> None:
        with waiter.transaction("p1"):
            pass

    with ThreadPoolExecutor(1) as other, holder.transaction("p1"):
        error = other.submit(wait).exception(PATIENCE)
    assert isinstance(error, StoreUnavailable)
    assert "locked too long" in str(error)
    wait()
    holder.close()
    waiter.close()


def test_of_two_that_wait_for_each_other_one_gives_way_and_may_try_again(postgres_url: str) -> None:
    database = Database(postgres_url)
    both = threading.Barrier(2)

    def work(first: str, second: str) -> bool:
        try:
            with database.transaction(first) as unit:
                both.wait(PATIENCE)
                unit.lock(second)
        except StoreUnavailable:
            return False
        return True

    answers = _together(lambda: work("p1", "p2"), lambda: work("p2", "p1"))
    assert sorted(answers, key=bool) == [False, True]
    database.close()


_WRITER = """
import sys
from engine.storage.database import Database
from tests.storage.records import event, occurrence
database = Database(sys.argv[1])
for number in range(100_000):
    with database.transaction("p1") as unit:
        unit.events.add(event(f"v{number}"))
        unit.queue.add_occurrence(occurrence(ref=f"v{number}"))
    print(f"v{number}", flush=True)
"""


def test_what_was_acknowledged_survives_kill_9(database_url: str, database: Database) -> None:
    writer = subprocess.Popen([sys.executable, "-c", _WRITER, database_url], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    acknowledged = [writer.stdout.readline().strip() for _ in range(40)]
    writer.send_signal(signal.SIGKILL)
    acknowledged += writer.stdout.read().split()
    writer.stdout.close()
    assert writer.wait() == -signal.SIGKILL
    with database.transaction() as unit:
        stored = [each.event_id for each in unit.events.of("p1")]
        # The one under way may have been committed without having been acknowledged; an event never without its fact.
        assert stored[: len(acknowledged)] == acknowledged
        assert len(stored) <= len(acknowledged) + 1
        assert unit.queue.count_occurrences() == len(stored)


def test_a_busy_thread_leaves_the_others_their_turns(sqlite_url: str) -> None:
    """A pool of one connection would be taken again and again by whoever has just given it back."""
    database = Database(sqlite_url)
    taken: list[int] = []
    start = threading.Barrier(8)

    def take_turns(place: int) -> None:
        start.wait()
        for _ in range(50):
            with database.transaction() as unit:
                unit.profiles.find("p1")
                taken.append(place)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(take_turns, range(8)))
    database.close()
    # While all are at it, nobody has had many turns more than anybody else.
    while_all = taken[: min(len(taken) - 1 - taken[::-1].index(place) for place in range(8))]
    counts = [while_all.count(place) for place in range(8)]
    assert max(counts) - min(counts) <= 10, counts
