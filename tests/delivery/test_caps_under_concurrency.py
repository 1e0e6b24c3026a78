"""However many workers dispatch at once, nobody gets one message more than a cap allows."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from engine.delivery.message import Message
from engine.enrollment.model import Enrollment
from engine.errors import PermanentChannelError
from engine.plan.effects import Result, Sent
from engine.project import Cap
from engine.storage.database import Database
from tests.factories import Shop, plan, send
from tests.waiting import PATIENCE

DAY = 86_400
SENT, CAPPED, FAILED = Sent(outcome="sent"), Sent(outcome="capped"), Sent(outcome="failed")
WORKERS = 6


def open_shop(database: Database, *caps: Cap) -> Shop:
    plans = [
        plan(send(channels=(channel,)), journey=f"{channel}_{n}") for channel in ("email", "sms") for n in range(3)
    ]
    shop = Shop(database, *plans, caps=caps).open()
    shop.person()
    return shop


def dispatch_together(shop: Shop, enrollments: list[Enrollment], visit: int = 1) -> list[Result]:
    """Every journey's message to one person at one instant, each from a worker of its own."""
    start = threading.Barrier(WORKERS)

    def dispatch(place: int) -> Result:
        start.wait(PATIENCE)
        return shop.perform(enrollments[place], visit=visit)

    with ThreadPoolExecutor(WORKERS) as pool:
        return list(pool.map(dispatch, range(WORKERS)))


@pytest.mark.parametrize("at_most", [1, 2, 3])
def test_the_last_place_under_a_cap_is_given_once(database: Database, at_most: int) -> None:
    shop = open_shop(database, Cap(at_most=at_most, per_seconds=DAY))
    enrollments = [shop.enrolled(journey) for journey in shop.project.plans]
    for visit in range(1, 5):
        results = dispatch_together(shop, enrollments, visit)
        assert sorted(map(str, results)) == sorted(map(str, [SENT] * at_most + [CAPPED] * (WORKERS - at_most)))
        shop.now += timedelta(days=1)
    assert len(shop.received) == 4 * at_most


def test_caps_of_one_channel_and_of_all_hold_together(database: Database) -> None:
    shop = open_shop(database, Cap(at_most=3, per_seconds=DAY), Cap(at_most=1, per_seconds=DAY, channels=("sms",)))
    enrollments = [shop.enrolled(journey) for journey in shop.project.plans]
    for visit in range(1, 5):
        before = {name: len(provider.received) for name, provider in shop.providers.items()}
        dispatch_together(shop, enrollments, visit)
        sent = {name: len(provider.received) - before[name] for name, provider in shop.providers.items()}
        # Which of them come first is chance; an SMS may find the three places taken, and two never find one.
        assert sent["sms"] <= 1
        assert sent["email"] + sent["sms"] == 3
        shop.now += timedelta(days=1)


def test_a_claim_holds_its_place_while_the_provider_works(database: Database) -> None:
    """The second is decided while the first is at its provider: the place is reserved, not yet used."""
    shop = open_shop(database, Cap(at_most=1, per_seconds=DAY))
    first, second = shop.enrolled("email_0"), shop.enrolled("email_1")
    during: list[Result] = []

    def meanwhile(message: Message) -> None:
        during.append(shop.perform(second))

    shop.providers["email"].answers.append(meanwhile)
    assert shop.perform(first) == SENT
    assert during == [CAPPED]


def test_a_place_is_free_again_once_the_provider_has_refused(database: Database) -> None:
    shop = open_shop(database, Cap(at_most=1, per_seconds=DAY))
    shop.providers["email"].answers.append(PermanentChannelError("no"))
    assert shop.perform(shop.enrolled("email_0")) == FAILED
    assert shop.perform(shop.enrolled("email_1")) == SENT
    assert shop.perform(shop.enrolled("email_2")) == CAPPED
