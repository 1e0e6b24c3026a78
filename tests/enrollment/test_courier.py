"""Stimuli reach their carrier at least once and in order; what it refuses holds up nobody else's."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import pairwise

import pytest

from engine.enrollment.courier import LEASE, Courier
from engine.enrollment.model import Enrollment, Stimulus
from engine.plan.effects import Left, Started
from engine.storage.database import Database
from engine.store import Store
from tests.factories import NOW, Crashed, CrashingStore, after
from tests.storage.records import enrollment


class Ear:
    """A carrier that remembers what it took, and refuses as told."""

    def __init__(self, refuses: Callable[[str], Exception | None] = lambda _: None) -> None:
        self.refuses = refuses
        self.heard: list[tuple[str, str]] = []
        self.batches: list[int] = []
        self._lock = threading.Lock()

    def deliver(self, batch: Sequence[tuple[Stimulus, Enrollment]]) -> Mapping[int, Exception]:
        refused: dict[int, Exception] = {}
        with self._lock:
            self.batches.append(len(batch))
            for stimulus, carried in batch:
                problem = self.refuses(carried.enrollment_id)
                if problem:
                    refused[stimulus.seq] = problem
                else:
                    self.heard.append((carried.enrollment_id, stimulus.input.kind))
        return refused


class Deaf:
    def deliver(self, batch: Sequence[tuple[Stimulus, Enrollment]]) -> Mapping[int, Exception]:
        raise ConnectionError("nothing is taken at present")


def fill(store: Store, *people: str) -> None:
    """For each a start and, after all of them, an end."""
    with store.transaction() as unit:
        for person in people:
            unit.enrollments.save(enrollment(person))
            unit.queue.add_stimulus(Stimulus(enrollment_id=person, input=Started(), created_at=NOW, not_before=NOW))
        for person in people:
            unit.queue.add_stimulus(
                Stimulus(enrollment_id=person, input=Left(reason="exit"), created_at=NOW, not_before=NOW)
            )


def left(store: Store) -> int:
    with store.transaction() as unit:
        return len(unit.queue.stimuli(after(days=9), limit=10_000))


def test_a_batch_holds_one_of_each_enrollment_and_theirs_come_in_order(any_store: Store) -> None:
    fill(any_store, "e1", "e2", "e3")
    ear = Ear()
    assert Courier(any_store).deliver_due(ear, NOW) == 6
    assert ear.batches == [3, 3]
    assert [kind for _, kind in ear.heard] == ["started"] * 3 + ["left"] * 3
    assert left(any_store) == 0
    assert Courier(any_store).deliver_due(ear, NOW) == 0


def test_however_many_are_refused_for_ever_the_others_are_delivered_at_once(any_store: Store) -> None:
    poison = [f"bad{number}" for number in range(250)]
    fill(any_store, *poison)
    fill(any_store, "e1")
    ear = Ear(lambda who: LookupError("no such plan") if who.startswith("bad") else None)
    courier = Courier(any_store)
    assert courier.deliver_due(ear, NOW) == 2
    assert ear.heard == [("e1", "started"), ("e1", "left")]
    fill(any_store, "e2")
    assert courier.deliver_due(ear, NOW) == 2
    assert left(any_store) == 500


def test_what_is_refused_comes_again_in_its_order_after_growing_pauses(any_store: Store) -> None:
    fill(any_store, "e1")
    ear = Ear(lambda _: LookupError("not yet"))
    courier, now, tries = Courier(any_store), NOW, []
    while now < after(minutes=5):
        before = len(ear.batches)
        courier.deliver_due(ear, now)
        if len(ear.batches) > before:
            tries.append((now - NOW).total_seconds())
        now += timedelta(seconds=0.5)
    pauses = [later - earlier for earlier, later in pairwise(tries)]
    assert pauses[:7] == [0.5, 1, 2, 4, 8, 16, 30]
    assert set(pauses[7:]) == {30}
    ear.refuses = lambda _: None
    assert courier.deliver_due(ear, now + timedelta(seconds=30)) == 2
    assert [kind for _, kind in ear.heard] == ["started", "left"]


def test_an_outage_is_raised_and_leaves_all_of_it_due(any_store: Store) -> None:
    fill(any_store, "e1", "e2")
    with pytest.raises(ConnectionError):
        Courier(any_store).deliver_due(Deaf(), NOW)
    assert left(any_store) == 4
    assert Courier(any_store).deliver_due(Ear(), NOW) == 4


def test_killed_anywhere_everything_comes_at_least_once_and_in_order(any_store: Store) -> None:
    place, has_crashed = 0, True
    while has_crashed:
        place, has_crashed = place + 1, False
        fill(any_store, f"a{place}", f"b{place}")
        ear = Ear()
        try:
            Courier(CrashingStore(any_store, crash_at=place)).deliver_due(ear, NOW)
        except Crashed:
            has_crashed = True
            # Whoever goes on waits for the lease of the one who died.
            Courier(any_store).deliver_due(ear, NOW + LEASE)
            Courier(any_store).deliver_due(ear, NOW + 2 * LEASE)
        for person in (f"a{place}", f"b{place}"):
            kinds = [kind for who, kind in ear.heard if who == person]
            assert list(dict.fromkeys(kinds)) == ["started", "left"], place
        assert left(any_store) == 0, place


def test_couriers_at_once_share_the_work_and_repeat_nothing(database: Database) -> None:
    people = [f"e{number}" for number in range(300)]
    fill(database, *people)
    ear = Ear()
    with ThreadPoolExecutor(4) as pool:
        couriers = [pool.submit(lambda: Courier(database).deliver_due(ear, NOW)) for _ in range(4)]
        for each in couriers:
            each.result()
    # One that found only what others had claimed has gone: the last of it is the next poll's.
    Courier(database).deliver_due(ear, NOW)
    assert len(ear.heard) == len(set(ear.heard)) == 600
    for person in people:
        assert [kind for who, kind in ear.heard if who == person] == ["started", "left"]
