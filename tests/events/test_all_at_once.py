"""Everything that a shop does, at once, about the same few people: nobody comes to stand against anybody.

PostgreSQL counts the transactions that it had to end because they waited for each other. What any of these did to a
person is told by other tests; here each only has to come through.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from random import Random
from threading import Event as Signal

import psycopg
import pytest

from engine.delivery.message import Receipt
from engine.errors import Conflict
from engine.events.intake import tracked_id
from engine.plan.model import Entry, EventExit, EventTrigger, InactiveTrigger, SegmentTrigger
from engine.project import Segment
from engine.storage import database as database_module
from engine.storage.database import Database
from engine.web.commits import Commits
from engine.web.segment import parse_batch
from tests.conftest import database_name
from tests.events.test_importing import event_rows, profile_rows, run
from tests.factories import NOW, Shop, after, plan, send, wait
from tests.waiting import PATIENCE

PLANS = (
    plan(send(), wait(days=1), entry=Entry(key="event.cart_id"), exits=(EventExit(event="Order Completed"),)),
    plan(wait(days=1), journey="regulars", triggers=(SegmentTrigger(segment="regulars", on="enter"),)),
    plan(wait(days=1), journey="away", triggers=(InactiveTrigger(event="Order Completed", for_seconds=60),)),
    plan(wait(days=1), journey="hello", triggers=(EventTrigger(event="Seen"),)),
)
SEGMENTS = {"regulars": Segment(name="regulars", title="Regulars", condition='count("Seen") >= 2')}
PEOPLE = [f"p{number}" for number in range(12)]
DEVICES = [f"d{number}" for number in range(24)]
#: Of whom some are erased while the others are at them.
FORGOTTEN = PEOPLE[:3]
GROUPS, CALLS, ROUNDS = 12, 15, 12
Work = Callable[[Shop, Random], object]


# ── what comes in ────────────────────────────────────────────────────────────────────────────────────────────────────
def calls(number: str, chance: Random) -> Iterator[dict[str, object]]:
    """A request's, of people who are known, of visitors, and of visitors who turn out to be people."""
    for place in range(CALLS):
        common = {"messageId": f"{number}-{place}"}
        person, device = chance.choice(PEOPLE), chance.choice(DEVICES)
        who = chance.choice([{"userId": person}, {"anonymousId": device}])
        cart = {"cart_id": f"c{chance.randrange(4)}"}
        yield chance.choice(
            [
                {"type": "track", "event": "Cart Updated", "properties": cart, **who, **common},
                {"type": "track", "event": chance.choice(["Seen", "Order Completed"]), **who, **common},
                {"type": "identify", "userId": person, "anonymousId": device, "traits": {"n": place}, **common},
                {"type": "identify", "userId": person, "traits": {"email": f"{person}@example.com"}, **common},
                {"type": "alias", "previousId": device, "userId": person, **common},
                {"type": "alias", "previousId": chance.choice(PEOPLE), "userId": person, **common},
            ]
        )


def send_groups(shop: Shop, chance: Random) -> list[str]:
    """The ids of events that were acknowledged."""
    commits = Commits(shop.store, shop.engine.intake, lambda: None)
    commits.start()
    taken: list[str] = []

    async def all_of() -> None:
        for group in range(GROUPS):
            sent = list(calls(f"{chance.random()}/{group}", chance))
            parsed = parse_batch(json.dumps({"batch": sent}).encode(), NOW).calls
            futures = [commits.submit([call], NOW) for call in parsed]
            answers = await asyncio.gather(*futures, return_exceptions=True)
            # A device on which somebody else is known makes no two people one.
            refusals = [answer for answer in answers if answer is not None]
            assert all(isinstance(answer, Conflict) for answer in refusals), refusals
            taken.extend(tracked_id(call.message_id) for call in parsed if call.is_event)

    asyncio.run(all_of())
    commits.stop()
    return taken


def import_people(shop: Shop, chance: Random) -> None:
    for _ in range(ROUNDS):
        rows = [{"id": person, "plan": chance.choice("ab")} for person in chance.sample(PEOPLE, len(PEOPLE))]
        tally, _ = run(shop, profile_rows(shop), rows)
        assert tally.rows == len(rows)


def import_events(shop: Shop, chance: Random) -> None:
    for _ in range(ROUNDS):
        moments = [after(hours=-chance.randrange(72)).isoformat() for _ in range(20)]
        rows = [{"user_id": chance.choice(PEOPLE), "event": "Seen", "timestamp": moment} for moment in moments]
        tally, _ = run(shop, event_rows(shop), rows)
        assert tally.rows == len(rows)


def erase(shop: Shop, _chance: Random) -> None:
    for person in FORGOTTEN:
        shop.erase(person)


def report(shop: Shop, chance: Random) -> None:
    """Receipts of whatever was sent by then."""
    for each in range(ROUNDS):
        with shop.store.transaction() as unit:
            sent = unit.deliveries.of(status="sent")
        for delivery in sent:
            receipt = Receipt(
                kind=chance.choice(["delivered", "opened", "bounced"]), receipt_id=f"{each}/{delivery.delivery_id}",
                occurred_at=NOW, delivery_id=delivery.delivery_id, is_hard=True,
            )  # fmt: skip
            with shop.store.transaction() as unit:
                shop.engine.receipts.take(unit, shop.project.channels["email"], receipt, NOW)


# ── what is done about it ────────────────────────────────────────────────────────────────────────────────────────────
def raise_it(_what: object, fault: Exception) -> None:
    raise fault


def route(shop: Shop, _chance: Random) -> None:
    while shop.engine.router.route_next(NOW, raise_it):
        pass


def carry(shop: Shop, _chance: Random) -> None:
    """Brings the stimuli to a carrier that performs their steps: sends, with their gate, claim and record."""
    shop.engine.courier.deliver_due(shop.carrier, NOW)
    shop.carrier.settle()


def sweep(shop: Shop, _chance: Random) -> None:
    shop.engine.sweeper.sweep(after(minutes=5))


def fill_in(shop: Shop, _chance: Random) -> None:
    with shop.store.transaction() as unit:
        everybody = unit.profiles.all_ids()
    shop.engine.backfill.fill("regulars", everybody, NOW, is_afresh=True, is_telling=True)


def steer(shop: Shop, _chance: Random) -> None:
    shop.engine.operations.pause("cart", NOW)
    shop.engine.operations.resume("cart", NOW)
    with shop.store.transaction() as unit:
        unit.queue.retry_set_aside()


def again(work: Work, is_over: Signal) -> Work:
    def repeated(shop: Shop, chance: Random) -> None:
        while not is_over.is_set():
            work(shop, chance)
            is_over.wait(0.01)
        work(shop, chance)

    return repeated


def deadlocks(url: str) -> int:
    with psycopg.connect(url) as connection:
        found = connection.execute(
            "SELECT deadlocks FROM pg_stat_database WHERE datname = %s", (database_name(url),)
        ).fetchall()
    return int(found[0][0])


def test_whatever_is_done_at_once_nobody_waits_for_whom_they_keep_waiting(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nobody is given up because the machine is busy; a deadlock is found, ended and counted at once.
    monkeypatch.setattr(database_module, "PATIENCE_SECONDS", PATIENCE)
    store = Database(f"{postgres_url}&options=-cdeadlock_timeout%3D20ms")
    shop = Shop(store, *PLANS, segments=SEGMENTS).open()
    for person in PEOPLE:
        shop.person(person)
    shop.settle()
    incoming: Sequence[Work] = (send_groups, send_groups, send_groups, import_people, import_events, erase, report)
    following: Sequence[Work] = (route, route, route, carry, carry, sweep, fill_in, steer)
    is_over = Signal()
    with ThreadPoolExecutor(len(incoming) + len(following)) as pool:
        started = [partial(work, shop.on(store), Random(place)) for place, work in enumerate(incoming)]
        behind = [pool.submit(again(work, is_over), shop.on(store), Random()) for work in following]
        ahead = [pool.submit(work) for work in started]
        try:
            acknowledged = [event_id for doing in ahead[:3] for event_id in doing.result()]
            for doing in ahead:
                doing.result()
        finally:
            is_over.set()
        for doing in behind:
            doing.result()
    route(shop, Random())
    with store.transaction() as unit:
        assert unit.queue.count_occurrences() == 0
        assert unit.queue.count_set_aside() == 0
        # Nothing stayed behind with somebody who was joined to another.
        stored = [event for event_id in acknowledged if (event := unit.events.find(event_id))]
        assert stored
        assert [each for each in stored if unit.profiles.owner("merged", each.profile_id)] == []
    store.close()
    assert deadlocks(postgres_url) == 0
