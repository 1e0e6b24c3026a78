"""Loops work at once when woken, rest when there is nothing, and never die."""

from __future__ import annotations

import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from queue import Queue

import pytest

from engine.errors import StoreUnavailable
from engine.storage.database import Database
from tests.waiting import PATIENCE
from workers import loops
from workers.loops import Loop

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


def make_loop(work: loops.Callable[[datetime], int], **changes: object) -> Loop:
    options = {"clock": lambda: NOON, "every": timedelta(hours=1), **changes}
    return Loop("router", work, **options)  # type: ignore[arg-type]


def test_a_loop_works_until_there_is_nothing_and_then_waits_to_be_woken() -> None:
    left = [1, 1, 0]
    rested, woken = threading.Event(), threading.Event()

    def work(now: datetime) -> int:
        assert now == NOON
        if not left:
            woken.set()
            return 0
        done = left.pop(0)
        if not done:
            rested.set()
        return done

    loop = make_loop(work)
    loop.start()
    assert rested.wait(PATIENCE)
    assert not woken.wait(0.05)
    loop.wake()
    assert woken.wait(PATIENCE)
    loop.stop()


def test_work_done_wakes_the_loops_that_follow() -> None:
    delivered = threading.Event()
    began = threading.Event()

    def deliver(_now: datetime) -> int:
        if began.is_set():
            delivered.set()
        began.set()
        return 0

    courier = make_loop(deliver)
    courier.start()
    assert began.wait(PATIENCE)
    routed = [1, 0]
    router = make_loop(lambda _: routed.pop(0) if routed else 0, then=[courier])
    router.start()
    assert delivered.wait(PATIENCE)
    router.stop()
    courier.stop()


def test_a_loop_survives_an_outage_and_says_so_once_it_is_over(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(loops, "POLL_EVERY", timedelta(milliseconds=5))
    answers: list[Exception | int] = [StoreUnavailable("the database is locked"), ValueError("row of ana@example.com")]
    well = threading.Event()

    def work(_now: datetime) -> int:
        if answers:
            answer = answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
        well.set()
        return 0

    loop = make_loop(work)
    loop.start()
    assert well.wait(PATIENCE)
    loop.stop()
    assert "router: the database is locked" in caplog.text
    assert "router failed with ValueError" in caplog.text
    assert "router works again" in caplog.text
    assert "ana@example" not in caplog.text


def test_pauses_grow_and_end_at_half_a_minute() -> None:
    pauses = [loops._pause(failures).total_seconds() for failures in (1, 2, 3, 7, 100)]
    assert pauses == [0.5, 1.0, 2.0, 30.0, 30.0]


def test_a_wake_up_never_blocks_and_is_not_lost_while_work_is_under_way() -> None:
    runs = 0
    is_working, may_end, has_ended, again = (threading.Event() for _ in range(4))

    def work(_now: datetime) -> int:
        nonlocal runs
        runs += 1
        if runs == 1:
            is_working.set()
            may_end.wait(PATIENCE)
            has_ended.set()
        else:
            again.set()
        return 0

    loop = make_loop(work)
    loop.start()
    assert is_working.wait(PATIENCE)
    loop.wake()
    assert not has_ended.is_set()
    may_end.set()
    assert again.wait(PATIENCE)
    loop.stop()


def test_another_processs_commit_wakes_a_loop_that_rests(postgres_url: str) -> None:
    database = Database(postgres_url)
    taken: Queue[str] = Queue()

    def work(_now: datetime) -> int:
        with database.transaction() as unit:
            found = unit.queue.next_occurrence()
            if found is None:
                taken.put("nothing")
                return 0
            unit.queue.remove_occurrence(found.seq)
        taken.put(found.profile_id)
        return 1

    loop = make_loop(work)
    wakeups = database.wakeups(loop.wake)
    loop.start()
    assert taken.get(timeout=PATIENCE) == "nothing"
    wakeups.start()
    assert taken.get(timeout=PATIENCE) == "nothing"  # once it is listened
    adding = (
        "import sys; from engine.storage.database import Database; from tests.storage.records import occurrence\n"
        "with Database(sys.argv[1]).transaction() as unit: unit.queue.add_occurrence(occurrence('p7'))"
    )
    subprocess.run([sys.executable, "-c", adding, postgres_url], check=True)
    assert taken.get(timeout=PATIENCE) == "p7"
    wakeups.stop()
    loop.stop()
    database.close()
