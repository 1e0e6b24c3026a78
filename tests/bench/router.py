"""Events routed a second, alone and while ten thousand other people wait for the same event, beside a bare queue.

The store is SQLite in a file. The floor takes rows from the same queue, one transaction each, and does nothing else.
By the processor's time: it says the same whoever else is at work on the machine.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from time import process_time

from msgspec.structs import replace

from engine.events.model import Occurrence
from engine.plan.model import Awaited, EventExit, Goal, WaitFor
from engine.storage.database import Database
from tests.factories import NOW, Shop, after, plan, wait

EVENTS = 500
WAITERS = 10_000

JOURNEY = plan(
    WaitFor(step_id="reply", alternatives=(Awaited(event="Replied", then="wait"),)),
    wait(days=1),
    exits=(EventExit(event="Order Completed"),),
    goal=Goal(event="Order Completed", within_seconds=7 * 86_400),
)


def main(events: int = EVENTS, waiters: int = WAITERS) -> dict[str, float]:
    """Prints and returns events a second of the processor: bare, alone, among waiters."""
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        store = Database(f"sqlite:///{Path(folder) / 'bench.db'}")
        store.migrate()
        shop = Shop(store, JOURNEY).open()
        people = [f"p{number}" for number in range(events)]
        _wait_for_a_reply(shop, people)
        figures["bare_a_second"] = _rate(events, lambda: _bare(shop, events))
        figures["alone_a_second"] = _routed(shop, people[: events // 2])
        _copy_waiter(shop, people[-1], waiters)
        figures["among_waiters_a_second"] = _routed(shop, people[events // 2 : -1])
        store.close()
    bare, alone, among = figures.values()
    print(f"a bare queue: {bare:,.0f} rows a second of the processor")
    print(f"routed, nobody else waits: {alone:,.0f} events a second, {bare / alone:.1f} times the bare queue's cost")
    print(
        f"routed, {waiters:,} others wait for the same event: {among:,.0f} a second, {alone / among:.2f} times the cost"
    )
    return figures


def _rate(number: int, work: Callable[[], None]) -> float:
    began = process_time()
    work()
    return number / (process_time() - began)


def _wait_for_a_reply(shop: Shop, people: list[str]) -> None:
    for person in people:
        shop.person(person)
        shop.track("Cart Updated", person)
    shop.settle()


def _copy_waiter(shop: Shop, person: str, number: int) -> None:
    """As many more people who stand where this one does."""
    (enrollment,) = shop.enrollments(person)
    assert enrollment.waiting == "event"
    with shop.store.transaction() as unit:
        for each in range(number):
            unit.enrollments.save(replace(enrollment, enrollment_id=f"w{each}", profile_id=f"other{each}"))


def _bare(shop: Shop, number: int) -> None:
    with shop.store.transaction() as unit:
        for each in range(number):
            unit.queue.add_occurrence(Occurrence(profile_id=f"nobody{each}", kind="event", at=NOW))
    for _ in range(number):
        with shop.store.transaction() as unit:
            found = unit.queue.next_occurrence(NOW)
            assert found is not None
            unit.queue.remove_occurrence(found.seq)


def _routed(shop: Shop, people: list[str]) -> float:
    shop.now = after(minutes=1) + timedelta(seconds=shop._count)
    for person in people:
        shop.track("Replied", person)
    rate = _rate(len(people), lambda: _route(shop))
    assert all(each.waiting is None for person in people for each in shop.enrollments(person))
    return rate


def _route(shop: Shop) -> None:
    assert shop.engine.router.route_all(shop.now)


if __name__ == "__main__":
    main()
