"""An occurrence that cannot be routed holds up nobody but its own profile, and that not for long."""

from __future__ import annotations

from datetime import timedelta

import pytest

from engine.enrollment.model import Enrollment
from engine.errors import StoreUnavailable
from engine.events.model import Occurrence
from engine.events.router import PAUSES
from engine.plan.digest import plan_to_json
from engine.plan.model import EventTrigger
from engine.storage.memory import MemoryStore
from engine.store import Store
from tests.factories import NOW, CrashingStore, Shop, after, plan, wait

CART = plan(wait(days=1))
WELCOME = plan(wait(days=1), journey="welcome", triggers=(EventTrigger(event="Signed Up"),))


class Faults:
    """What the router tells of."""

    def __init__(self) -> None:
        self.told: list[Occurrence] = []

    def __call__(self, occurrence: Occurrence, fault: Exception) -> None:
        assert isinstance(fault, LookupError)
        assert occurrence.fault == "LookupError"
        self.told.append(occurrence)


def open_shop(store: Store) -> Shop:
    shop = Shop(store, CART, WELCOME).open()
    for person in ("ana", "bob"):
        shop.person(person)
    shop.settle()
    return shop


def break_for(shop: Shop, person: str) -> Enrollment:
    """Gives somebody an enrollment on a version that nobody knows: whatever comes of them raises."""
    lost = Enrollment(
        enrollment_id="lost",
        journey="cart",
        digest="feedfeedfeedfeed",
        profile_id=shop.id_of(person),
        key="lost",
        number=1,
        entered_at=NOW,
        trigger_at=NOW,
    )
    with shop.store.transaction() as unit:
        unit.enrollments.save(lost)
    return lost


def mend(shop: Shop, lost: Enrollment) -> None:
    with shop.store.transaction() as unit:
        unit.journeys.save_plan(lost.digest, "cart", plan_to_json(CART))


def route(shop: Shop, faults: Faults) -> int:
    """All that can be routed now; how many attempts that took."""
    attempts = 0
    while shop.engine.router.route_next(shop.now, faults):
        attempts += 1
    return attempts


def aside(shop: Shop) -> list[Occurrence]:
    with shop.store.transaction() as unit:
        return [each for each in unit.queue.setbacks() if each.set_aside_at is not None]


def test_the_next_profiles_events_pass_by_one_that_fails(any_store: Store) -> None:
    shop, faults = open_shop(any_store), Faults()
    break_for(shop, "ana")
    shop.track("Cart Updated", "ana")
    shop.track("Signed Up", "ana")
    shop.track("Cart Updated", "bob")
    assert route(shop, faults) == 2
    assert [each.journey for each in shop.enrollments("bob")] == ["cart"]
    # Her own later event waits: what came first has its effect first.
    assert [each.journey for each in shop.enrollments("ana")] == ["cart"]
    assert [(each.attempts, each.retry_at) for each in faults.told] == [(1, NOW + PAUSES[0])]


def test_attempts_are_bounded_their_pauses_grow_and_then_it_is_set_aside(any_store: Store) -> None:
    shop, faults = open_shop(any_store), Faults()
    lost = break_for(shop, "ana")
    shop.track("Cart Updated", "ana", cart_id="c1")
    for number, pause in enumerate(PAUSES, start=1):
        assert route(shop, faults) == 1
        assert faults.told[-1].attempts == number
        shop.now += pause - timedelta(microseconds=1)
        assert route(shop, faults) == 0
        shop.now += timedelta(microseconds=1)
    assert list(PAUSES) == sorted(PAUSES)
    assert route(shop, faults) == 1
    (set_aside,) = aside(shop)
    assert (set_aside.attempts, set_aside.fault, set_aside.retry_at) == (len(PAUSES) + 1, "LookupError", None)
    assert set_aside.set_aside_at == shop.now
    shop.now = after(days=30)
    assert route(shop, faults) == 0

    # The defect mended, ops let it try again; twice is once.
    mend(shop, lost)
    shop.now = after(days=31)
    for expected in (1, 0):
        with any_store.transaction() as unit:
            assert unit.queue.retry_set_aside() == expected
    assert route(shop, faults) == 1
    assert aside(shop) == []
    assert len([each for each in shop.enrollments("ana") if each.journey == "cart" and each.key is None]) == 1


def test_what_came_later_goes_on_once_the_first_is_set_aside(any_store: Store) -> None:
    shop, faults = open_shop(any_store), Faults()
    lost = break_for(shop, "ana")
    shop.track("Signed Up", "ana")
    for pause in (*PAUSES, timedelta()):
        route(shop, faults)
        shop.now += pause
    assert len(aside(shop)) == 1
    mend(shop, lost)
    shop.track("Cart Updated", "ana")
    assert route(shop, faults) == 1
    assert [each.journey for each in shop.enrollments("ana") if each.key is None] == ["cart"]
    with any_store.transaction() as unit:
        unit.queue.retry_set_aside()
    route(shop, faults)
    # Late, and what it would have begun begins.
    assert [each.journey for each in shop.enrollments("ana") if each.key is None] == ["welcome", "cart"]


def test_a_failure_that_passes_leaves_no_trace(any_store: Store) -> None:
    shop, faults = open_shop(any_store), Faults()
    lost = break_for(shop, "ana")
    shop.track("Cart Updated", "ana")
    route(shop, faults)
    mend(shop, lost)
    shop.now += PAUSES[0]
    assert route(shop, faults) == 1
    with any_store.transaction() as unit:
        assert (unit.queue.count_occurrences(), unit.queue.setbacks()) == (0, [])


def test_an_outage_of_the_store_is_no_fault_of_the_occurrence() -> None:
    shop, faults = open_shop(MemoryStore()), Faults()
    shop.track("Cart Updated", "ana")

    class Failing(CrashingStore):
        def _step(self) -> None:
            self.calls += 1
            if self.calls == 5:
                raise StoreUnavailable("locked too long")

    with pytest.raises(StoreUnavailable):
        shop.on(Failing(shop.store)).engine.router.route_next(shop.now, faults)
    with shop.store.transaction() as unit:
        assert (unit.queue.count_occurrences(), unit.queue.setbacks(), faults.told) == (1, [], [])


def test_an_erasure_does_not_wait_behind_what_fails_for_ever(any_store: Store) -> None:
    shop, faults = open_shop(any_store), Faults()
    break_for(shop, "ana")
    shop.track("Cart Updated", "ana")
    route(shop, faults)
    shop.erase("ana")
    shop.now += PAUSES[0]
    route(shop, faults)
    # The first finds nobody any more, and so does what came after it.
    with any_store.transaction() as unit:
        assert unit.queue.count_occurrences() == 0
        assert unit.enrollments.active(shop.id_of("ana")) == []
