"""Several routers in processes of their own share the queue; one event reads only the people whom it concerns."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from typing import Any

import pytest

from engine.enrollment.model import Enrollment
from engine.plan.model import Awaited, Entry, WaitFor
from engine.storage.database import Database
from engine.storage.sql.records import Records
from tests.factories import Shop, after, plan, wait
from tests.waiting import PATIENCE

CART = plan(wait(days=1), entry=Entry(key="event.cart_id"))
REPLY = plan(WaitFor(step_id="reply", alternatives=(Awaited(event="Replied", then="wait"),)), wait(days=1))
PEOPLE, CARTS = 12, 5

_ROUTER = """
import sys
from engine.storage.database import Database
from tests.events.test_routers_at_once import CART
from tests.factories import Shop, after
shop = Shop(Database(sys.argv[1]), CART, now=after(hours=1))
def fault(occurrence, error):
    raise error
routed = 0
while True:
    if shop.engine.router.route_next(shop.now, fault):
        routed += 1
        continue
    with shop.store.transaction() as unit:
        if unit.queue.count_occurrences() == 0:
            break
print(routed)
"""


def test_three_routers_route_everything_once_and_each_persons_in_order(postgres_url: str) -> None:
    shop = Shop(Database(postgres_url), CART).open()
    people = [f"p{number}" for number in range(PEOPLE)]
    for person in people:
        shop.person(person)
    shop.settle()
    for number in range(CARTS):
        shop.now = after(minutes=number)
        for person in people:
            shop.track("Cart Updated", person, cart_id=f"c{number}")
    routers = [
        subprocess.Popen([sys.executable, "-c", _ROUTER, postgres_url], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    routed = [int(each.communicate(timeout=PATIENCE)[0]) for each in routers]
    assert [each.returncode for each in routers] == [0, 0, 0]
    assert sum(routed) == PEOPLE * CARTS
    for person in people:
        # Enrollments are listed by their entry; the queue of stimuli, by the order in which they were routed.
        assert [each.key for each in shop.enrollments(person)] == [f"c{number}" for number in range(CARTS)]
    with shop.store.transaction() as unit:
        began = Counter(each.enrollment_id for each in unit.queue.stimuli(after(hours=1), limit=1000))
        order = [unit.enrollments.find(enrollment_id) for enrollment_id in began]
    assert set(began.values()) == {1}
    for person in people:
        mine = [each.key for each in order if each and each.profile_id == shop.id_of(person)]
        assert mine == [f"c{number}" for number in range(CARTS)]
    shop.store.close()  # type: ignore[attr-defined]


def test_an_event_reads_only_the_enrollments_of_its_person(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits for what is found by the person, and then by the step: two or fifty other waiters cost nothing."""
    shop = Shop(database, REPLY).open()
    read: list[Enrollment] = []
    all_of = Records.all

    def watched(self: Any, *arguments: Any) -> list[Any]:
        found = all_of(self, *arguments)
        read.extend(each for each in found if isinstance(each, Enrollment))
        return found

    monkeypatch.setattr(Records, "all", watched)

    def read_by_one_event(person: str) -> set[str]:
        shop.track("Replied", person)
        read.clear()
        shop.engine.router.route_all(shop.now)
        concerned = {each.profile_id for each in read}
        assert [each.waiting for each in shop.enrollments(person)] == [None]
        return concerned

    def wait_for_a_reply(*people: str) -> None:
        for person in people:
            shop.person(person)
            shop.track("Cart Updated", person)
        shop.settle()
        assert all(each.waiting == "event" for person in people for each in shop.enrollments(person))

    wait_for_a_reply("ana", "bob")
    assert read_by_one_event("ana") == {shop.id_of("ana")}
    alone = len(read)
    wait_for_a_reply(*(f"p{number}" for number in range(50)))
    assert read_by_one_event("bob") == {shop.id_of("bob")}
    assert len(read) == alone
