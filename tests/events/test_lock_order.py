"""On PostgreSQL no two stand against each other: all take locks in one order (docs/architecture.md).

PostgreSQL ends one of two transactions that wait for each other, after a second. Here it takes its time: who came to
wait for whom because of a lock out of its turn is given up long before, and the test fails.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from threading import Event as Signal
from typing import Any

import psycopg
import pytest

from engine import ids
from engine.events.gathering import Gathering
from engine.events.identity import IdentifierKind
from engine.plan.model import Entry
from engine.profiles.model import Event, Profile
from engine.storage.database import Database
from engine.store import Unit
from tests.conftest import database_name
from tests.factories import KEY, Shop, plan, wait
from tests.waiting import PATIENCE, until

CART = plan(wait(days=1), entry=Entry(key="event.cart_id"))
DEVICE: tuple[IdentifierKind, str] = ("anonymous", "phone")
ANA: tuple[IdentifierKind, str] = ("external", "ana")


class Several:
    """A shop in several processes, each with connections of its own, on one database."""

    def __init__(self, url: str) -> None:
        self._url = url
        #: Looks from outside: nobody waits for what it does.
        self._outside = psycopg.connect(url, autocommit=True)
        self._stores: list[Database] = []
        self.shop = Shop(self._store(), CART).open()

    def _store(self) -> Database:
        self._stores.append(Database(f"{self._url}&options=-cdeadlock_timeout%3D10min"))
        return self._stores[-1]

    def process(self) -> Shop:
        return self.shop.on(self._store())

    def waits(self) -> int:
        """How many wait for the lock of a name."""
        found = self._outside.execute(
            "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database"
            " WHERE locktype = 'advisory' AND NOT granted AND datname = %s",
            (database_name(self._url),),
        )
        return int(found.fetchall()[0][0])

    def close(self) -> None:
        for store in self._stores:
            store.close()
        self._outside.close()


@pytest.fixture
def several(postgres_url: str) -> Iterator[Several]:
    several = Several(postgres_url)
    yield several
    several.close()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor() as pool:
        yield pool


def stopped(several: Several, pool: ThreadPoolExecutor, work: Callable[[], object], *, waiting: int = 1) -> Future[Any]:
    """Begins it in a thread, and returns when so many wait."""
    doing = pool.submit(work)
    until(lambda: doing.done() or several.waits() == waiting)
    assert not doing.done(), f"it did not have to wait: {doing.exception() or doing.result()}"
    return doing


def gather(shop: Shop, unit: Unit, *people: tuple[IdentifierKind, str]) -> Gathering:
    """As the API takes a group of calls in."""
    return shop.engine.intake.gather(unit, people, changing=people, event_ids=())


def merge(shop: Shop, gathering: Gathering) -> None:
    """The visitor turns out to be ana."""
    shop.engine.intake.alias(gathering.unit, previous_id="phone", user_id="ana", now=shop.now)
    gathering.write()


def cart(shop: Shop, key: str, **who: str) -> Event | None:
    """An event of the visitor, or of whom else is named."""
    with shop.store.transaction() as unit:
        return shop.engine.intake.track(
            unit, **(who or {"anonymous_id": "phone"}), name="Cart Updated", properties={"cart_id": key},
            timestamp=shop.now, message_id=key, now=shop.now,
        )  # type: ignore[arg-type]  # fmt: skip


def routed(shop: Shop) -> bool:
    def fail(_occurrence: object, fault: Exception) -> None:
        raise fault

    return shop.engine.router.route_next(shop.now, fail)


def entered(shop: Shop, person: str = "ana") -> list[str | None]:
    return [each.key for each in shop.enrollments(person)]


# ── the router and a merge ───────────────────────────────────────────────────────────────────────────────────────────
def test_a_router_that_waits_for_a_visitor_leaves_a_merge_what_awaits_routing(
    several: Several, pool: ThreadPoolExecutor
) -> None:
    """The merge moves the very occurrence that the router has chosen and waits to route."""
    shop = several.shop
    shop.person("ana")
    shop.settle()
    cart(shop, "c1")
    with shop.store.transaction() as unit:
        gathering = gather(shop, unit, ANA, DEVICE)
        routing = stopped(several, pool, partial(routed, several.process()))
        merge(shop, gathering)
    assert routing.result()
    shop.settle()
    assert entered(shop) == ["c1"]


def test_what_a_merge_brings_is_routed_before_what_came_later(several: Several, pool: ThreadPoolExecutor) -> None:
    """The router has chosen what came later, as another one was at the visitor."""
    shop, other = several.shop, several.process()
    shop.person("ana")
    shop.settle()
    cart(shop, "c1")
    cart(shop, "c2", user_id="ana")
    with shop.store.transaction() as unit:
        gathering = gather(shop, unit, ANA, DEVICE)
        with other.store.transaction() as beside:
            taken = beside.queue.next_occurrence(shop.now)
            routing = stopped(several, pool, partial(routed, several.process()))
        merge(shop, gathering)
    assert routing.result()
    assert taken is not None
    assert entered(shop) == ["c1"]
    assert routed(shop)
    assert entered(shop) == ["c1", "c2"]


def test_while_a_router_waits_for_somebody_another_routes_everybody_else(
    several: Several, pool: ThreadPoolExecutor
) -> None:
    shop = several.shop
    shop.person("ana")
    shop.person("ben")
    shop.settle()
    for key, person in (("c1", "ana"), ("c2", "ana"), ("c3", "ben")):
        cart(shop, key, user_id=person)
    with shop.store.transaction(shop.id_of("ana")):
        routing = stopped(several, pool, partial(routed, several.process()))
        other = several.process()
        assert pool.submit(routed, other).result()
        assert entered(other, "ben") == ["c3"]
        assert not pool.submit(routed, other).result()
    assert routing.result()
    assert entered(shop) == ["c1"]


# ── whoever finds somebody else under the lock ───────────────────────────────────────────────────────────────────────
def hold(shop: Shop, profile_id: str, release: Signal, then: str | None = None) -> None:
    with shop.store.transaction(profile_id) as unit:
        assert release.wait(PATIENCE)
        if then is not None:
            unit.lock(then)
            unit.profiles.find(then)


def touch(shop: Shop, profile_id: str) -> None:
    with shop.store.transaction(profile_id):
        pass


def take_together(shop: Shop, _key: str) -> None:
    with shop.store.transaction() as unit:
        gather(shop, unit, DEVICE)


def test_an_event_that_waited_for_a_merge_waits_for_the_person_whom_it_made(
    several: Several, pool: ThreadPoolExecutor
) -> None:
    """Stored without that lock, it would stay behind where the person is joined to another in turn."""
    shop, release = several.shop, Signal()
    shop.person("ana")
    cart(shop, "c1")
    with shop.store.transaction() as unit:
        gathering = gather(shop, unit, ANA, DEVICE)
        holding = stopped(several, pool, partial(hold, several.process(), shop.id_of("ana"), release))
        sending = stopped(several, pool, partial(cart, several.process(), "c2"), waiting=2)
        merge(shop, gathering)
    until(lambda: sending.done() or several.waits() == 1)
    assert not sending.done()
    release.set()
    holding.result()
    event = sending.result()
    assert event is not None
    assert event.profile_id == shop.id_of("ana")


@pytest.mark.parametrize("work", [cart, take_together], ids=["one call", "a group of calls"])
def test_who_finds_somebody_else_holds_nobody_while_waiting_for_them(
    several: Several, pool: ThreadPoolExecutor, work: Callable[..., object]
) -> None:
    """With the visitor's lock in hand, it would wait for ana's, and who has ana's for the visitor's."""
    shop, release = several.shop, Signal()
    shop.person("ana")
    cart(shop, "c1")
    visitor = ids.profile_id(KEY, *DEVICE)
    with shop.store.transaction() as unit:
        gathering = gather(shop, unit, ANA, DEVICE)
        holding = stopped(several, pool, partial(hold, several.process(), shop.id_of("ana"), release, visitor))
        working = stopped(several, pool, partial(work, several.process(), "c2"), waiting=2)
        merge(shop, gathering)
    until(lambda: working.done() or several.waits() == 1)
    release.set()
    holding.result()
    working.result()


def test_what_was_written_under_a_lock_stays_under_it(several: Several, pool: ThreadPoolExecutor) -> None:
    """Only who has written nothing yet lets go of what it holds."""
    shop, other = several.shop, several.process()
    with shop.store.transaction() as unit:
        unit.lock("p1")
        unit.let_go()
        unit.profiles.find("p1")
        pool.submit(touch, other, "p1").result()
        unit.lock("p1")
        unit.profiles.save(Profile(profile_id="p1"))
        unit.let_go()
        waiting = stopped(several, pool, partial(touch, other, "p1"))
    waiting.result()
    with shop.store.transaction() as unit:
        assert unit.profiles.find("p1") == Profile(profile_id="p1")
