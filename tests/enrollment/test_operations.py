"""Pause, resume and stop: who is held, who is let on and when, and that nobody is stranded."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from msgspec import structs

from engine.enrollment.operations import Going
from engine.enrollment.scene import stand
from engine.errors import Conflict, NotFound
from engine.plan.effects import Perform, Result
from engine.plan.model import Awaited, EventExit, Plan, WaitFor
from engine.storage.database import Database
from engine.store import JourneyRecord, Store
from tests.factories import Shop, after, plan, send, wait

PACED = plan(wait(hours=1), send(), pace_per_second=0.5)
LATE = plan(wait(hours=1), send(), if_late="exit")


def shop_with(store: Store, *plans: Plan, people: int = 1) -> Shop:
    """People of the names ana0, ana1 …, all entered at the beginning."""
    shop = Shop(store, *plans).open()
    for number in range(people):
        shop.person(f"ana{number}")
        shop.enrolled(person=f"ana{number}")
    shop.settle()
    return shop


def reached(shop: Shop, person: str) -> timedelta | None:
    """How long after the beginning the message went out to somebody."""
    [*sent] = [each.sent_at for each in shop.deliveries(person)]
    return sent[0] - after() if sent and sent[0] else None


def record(shop: Shop, journey: str = "cart") -> JourneyRecord:
    with shop.store.transaction() as unit:
        found = unit.journeys.find(journey)
    assert found is not None
    return found


def test_a_pause_says_who_is_inside_and_keeps_its_reason(any_store: Store) -> None:
    shop = shop_with(any_store, PACED, people=2)
    assert shop.engine.operations.pause("cart", shop.now, "the price is wrong") == 2
    assert (record(shop).state, record(shop).note) == ("paused", "the price is wrong")
    assert shop.engine.operations.pause("cart", after(minutes=5)) == 2
    # Paused since the first time, for the first reason.
    assert (record(shop).changed_at, record(shop).note) == (after(), "the price is wrong")
    shop.person("bob")
    shop.enroll(person="bob")
    assert shop.refusals("bob") == ["held_back"]


def test_a_resume_lets_on_whoever_is_due_at_the_journey_s_pace(any_store: Store) -> None:
    shop = shop_with(any_store, PACED, people=3)
    shop.engine.operations.pause("cart", shop.now)
    shop.run_until(after(hours=2))
    assert [reached(shop, f"ana{number}") for number in range(3)] == [None] * 3
    assert shop.engine.operations.resume("cart", shop.now) == Going(let_on=3, ended=0, lasts=timedelta(seconds=4))
    shop.run_until(after(hours=3))
    began = timedelta(hours=2)
    assert [reached(shop, f"ana{number}") for number in range(3)] == [
        began, began + timedelta(seconds=2), began + timedelta(seconds=4)
    ]  # fmt: skip


def test_whoever_waits_through_the_whole_pause_never_notices(any_store: Store) -> None:
    shop = shop_with(any_store, replace(LATE, pace_per_second=0.001))
    shop.engine.operations.pause("cart", shop.now)
    shop.run_until(after(minutes=30))
    assert shop.engine.operations.resume("cart", shop.now) == Going(let_on=0, ended=0, lasts=timedelta())
    shop.run_until(after(hours=2))
    assert reached(shop, "ana0") == timedelta(hours=1)


def test_if_late_exit_ends_those_whose_moment_passed_and_no_one_else(any_store: Store) -> None:
    shop = shop_with(any_store, LATE)
    shop.engine.operations.pause("cart", after(minutes=1))
    shop.run_until(after(minutes=59))
    shop.engine.operations.resume("cart", shop.now)
    shop.person("bob")
    shop.enrolled(person="bob")
    shop.settle()
    shop.engine.operations.pause("cart", shop.now)
    # Ana's hour is over during the pause, Bob's is not.
    shop.run_until(after(minutes=90))
    assert shop.engine.operations.resume("cart", shop.now) == Going(let_on=0, ended=1, lasts=timedelta())
    shop.run_until(after(hours=3))
    assert [(each.state, each.reason) for each in shop.enrollments("ana0")] == [("ended", "past")]
    assert reached(shop, "ana0") is None
    assert reached(shop, "bob") == timedelta(minutes=119)


def test_an_expiry_counts_from_the_resume(any_store: Store) -> None:
    shop = shop_with(any_store, plan(wait(hours=1), send(expires_seconds=600)))
    shop.engine.operations.pause("cart", shop.now)
    shop.run_until(after(hours=5))
    shop.engine.operations.resume("cart", shop.now)
    shop.settle()
    assert shop.outcomes("ana0") == ["sent"]


AWAITING = plan(
    WaitFor(
        step_id="reply", alternatives=(Awaited(event="Replied", then="thanks"),), within_seconds=3600, otherwise="nudge"
    ),
    send("thanks", next="end"),
    send("nudge"),
    send("end"),
)


@pytest.mark.parametrize(("has_replied", "step"), [(True, "thanks"), (False, "nudge")])
def test_an_event_counts_and_time_runs_out_during_a_pause(any_store: Store, has_replied: bool, step: str) -> None:
    shop = shop_with(any_store, AWAITING)
    shop.engine.operations.pause("cart", shop.now)
    shop.run_until(after(minutes=30))
    if has_replied:
        shop.track("Replied", "ana0")
    shop.run_until(after(hours=2))
    [standing] = shop.enrollments("ana0")
    assert (standing.step_id, standing.waiting) == (step, "held")
    shop.engine.operations.resume("cart", shop.now)
    shop.settle()
    assert next(each.step_id for each in shop.deliveries("ana0")) == step


def test_an_exit_during_a_pause_ends_and_nothing_is_left_for_the_resume(any_store: Store) -> None:
    shop = shop_with(any_store, plan(wait(hours=1), send(), exits=(EventExit(event="Order Completed"),)))
    shop.engine.operations.pause("cart", shop.now)
    shop.run_until(after(hours=2))
    shop.track("Order Completed", "ana0")
    shop.settle()
    assert [(each.state, each.reason) for each in shop.enrollments("ana0")] == [("ended", "exit")]
    assert shop.engine.operations.resume("cart", shop.now).let_on == 0


def test_a_second_pause_holds_those_who_await_their_turn(any_store: Store) -> None:
    shop = shop_with(any_store, PACED, people=2)
    shop.engine.operations.pause("cart", shop.now)
    shop.run_until(after(hours=2))
    shop.engine.operations.resume("cart", shop.now)
    shop.settle()
    shop.engine.operations.pause("cart", shop.now)
    shop.run_until(after(hours=3))
    assert reached(shop, "ana1") is None
    assert shop.engine.operations.resume("cart", shop.now).let_on == 1
    shop.run_until(after(hours=4))
    assert reached(shop, "ana1") == timedelta(hours=3)


def test_a_stop_ends_everybody_and_a_resume_opens_the_journey_again(any_store: Store) -> None:
    shop = shop_with(any_store, PACED, people=2)
    assert shop.engine.operations.stop("cart", shop.now, "cancelled") == 2
    assert shop.engine.operations.stop("cart", shop.now) == 0
    shop.run_until(after(hours=2))
    assert [each.reason for number in range(2) for each in shop.enrollments(f"ana{number}")] == ["stopped"] * 2
    assert shop.received == []
    shop.enroll(person="ana0")
    assert shop.refusals("ana0") == ["held_back"]
    with pytest.raises(Conflict, match="is stopped"):
        shop.engine.operations.pause("cart", shop.now)
    shop.open()
    assert record(shop).state == "stopped", "a deploy undoes no stop"
    shop.engine.operations.resume("cart", shop.now)
    shop.enrolled(person="ana0")


def test_who_enters_in_the_instant_of_a_stop_is_stopped_at_the_first_step(any_store: Store) -> None:
    shop = Shop(any_store, plan(send())).open()
    shop.person()
    enrollment = shop.enrolled()
    with any_store.transaction() as unit:
        # As a stop in another process, which has looked before this entry was committed.
        unit.journeys.save(structs.replace(record_in(unit), state="stopped"))
    shop.settle()
    [ended] = shop.enrollments()
    assert (ended.enrollment_id, ended.reason) == (enrollment.enrollment_id, "stopped")
    assert shop.received == []


def record_in(unit: object) -> JourneyRecord:
    found: JourneyRecord | None = unit.journeys.find("cart")  # type: ignore[attr-defined]
    assert found is not None
    return found


def test_unknown_journeys_and_running_ones_are_refused_in_words(any_store: Store) -> None:
    shop = shop_with(any_store, PACED)
    with pytest.raises(NotFound, match="sojourn journeys"):
        shop.engine.operations.pause("chart", shop.now)
    with pytest.raises(Conflict, match="is not paused"):
        shop.engine.operations.resume("cart", shop.now)


@pytest.mark.postgres
def test_nobody_is_put_on_hold_behind_the_back_of_a_resume(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step that has read `paused` and is not committed yet, while a resume looks for those who are held."""
    import threading
    import time

    store = Database(postgres_url)
    try:
        shop = shop_with(store, plan(send("hello"), wait(hours=1), send("later")))
        shop.run_until(after(minutes=10))
        shop.engine.operations.pause("cart", shop.now)
        [standing] = shop.enrollments("ana0")
        effect = Perform(step_id="later", visit=1, attempt=1, reached_at=after(hours=1))
        is_resuming = threading.Event()

        def slowly(*given: object, **named: object) -> object:
            is_resuming.set()
            time.sleep(0.3)
            return stand(*given, **named)  # type: ignore[arg-type]

        monkeypatch.setattr("engine.enrollment.performer.stand", slowly)
        results: list[Result] = []
        step = threading.Thread(
            target=lambda: results.append(shop.engine.performer.perform(standing.enrollment_id, effect, after(hours=1)))
        )
        step.start()
        assert is_resuming.wait(60)
        going = shop.engine.operations.resume("cart", after(hours=1))
        step.join()
        assert [each.kind for each in results] == ["held"]
        assert going.let_on == 1
    finally:
        store.close()
