"""What was acknowledged before a dispatch begins stops that dispatch; what comes after its claim does not.

The line is the commit of the claim. Order is made with hooks on the store and in the provider, never with sleeps.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest
from msgspec import structs

from engine.delivery.message import Message
from engine.enrollment.ending import end_enrollment
from engine.errors import TransientChannelError
from engine.plan.effects import Held, Over, Result, Sent
from engine.plan.model import EventExit, Goal
from engine.profiles.model import Profile
from engine.storage.database import Database
from engine.store import Store, Unit
from tests.factories import NOW, ScriptedProvider, Shop, channel, plan, send
from tests.waiting import PATIENCE


@dataclass(frozen=True)
class Act:
    """Something that is acknowledged: committed in a transaction on its person."""

    name: str
    commit: Callable[[Shop, Unit, Profile], object]
    result: Result
    #: What the trail says of the message that did not go.
    outcomes: tuple[str, ...]

    def __str__(self) -> str:
        return self.name


def purchase(shop: Shop, unit: Unit, profile: Profile) -> object:
    return shop.engine.intake.track(
        unit, profile_id=profile.profile_id, name="Order Completed", properties={}, timestamp=NOW, message_id="o1",
        now=NOW,
    )  # fmt: skip


def reaching_the_goal(shop: Shop, unit: Unit, profile: Profile) -> object:
    return shop.engine.intake.track(
        unit, profile_id=profile.profile_id, name="Plan Renewed", properties={}, timestamp=NOW, message_id="g1",
        now=NOW,
    )  # fmt: skip


def withdrawal(shop: Shop, unit: Unit, profile: Profile) -> object:
    return shop.engine.ledger.withdraw(
        unit, profile=profile, channel="email", topic="news", occurred_at=NOW, now=NOW, actor="person", source="test"
    )


def erasure(shop: Shop, unit: Unit, profile: Profile) -> object:
    return shop.engine.intake.erase(unit, profile, NOW)


def new_address(shop: Shop, unit: Unit, profile: Profile) -> object:
    return shop.engine.intake.set_attributes(unit, profile, {"email": "new@example.com"}, NOW)


def pause(shop: Shop, unit: Unit, profile: Profile) -> object:
    record = unit.journeys.find("cart")
    assert record is not None
    return unit.journeys.save(structs.replace(record, state="paused"))


def routed_end(shop: Shop, unit: Unit, profile: Profile) -> object:
    """What the router does of a purchase, or an operator by a stop: no event tells of it, only the enrollment."""
    return [
        end_enrollment(unit, each, "stopped", NOW, tell=True) for each in unit.enrollments.active(profile.profile_id)
    ]


ACTS = (
    Act("routed end", routed_end, Over(reason="stopped"), ("ended",)),
    Act("purchase", purchase, Over(reason="exit"), ("ended",)),
    Act("goal", reaching_the_goal, Over(reason="goal"), ("ended",)),
    Act("withdrawal", withdrawal, Sent(outcome="no_consent"), ("no_consent",)),
    Act("erasure", erasure, Over(reason="erased"), ("ended",)),
    Act("new address", new_address, Sent(outcome="no_consent"), ("no_consent",)),
    Act("pause", pause, Held(), ()),
)

JOURNEY = plan(send(), exits=(EventExit(event="Order Completed"),), goal=Goal(event="Plan Renewed"))


def open_shop(store: Store) -> Shop:
    shop = Shop(store, JOURNEY).open()
    shop.person()
    return shop


@pytest.mark.parametrize("act", ACTS, ids=str)
def test_what_was_committed_before_the_dispatch_stops_it_although_nothing_was_routed(
    any_store: Store, act: Act
) -> None:
    shop = open_shop(any_store)
    enrollment = shop.enrolled()
    with shop.editing() as (unit, profile):
        act.commit(shop, unit, profile)

    assert shop.perform(enrollment) == act.result
    assert shop.received == []
    assert tuple(shop.outcomes()) == act.outcomes


class _Announcing:
    """A store that tells when a transaction is about to ask for the lock of a person, and then asks for it."""

    def __init__(self, store: Store, asks: threading.Event) -> None:
        self._store = store
        self._asks = asks

    def transaction(self, profile_id: str | None = None, *, is_shared: bool = False) -> Any:
        return self._transaction(profile_id, is_shared)

    @contextmanager
    def _transaction(self, profile_id: str | None, is_shared: bool) -> Iterator[Unit]:
        if isinstance(self._store, Database) and "sqlite" in self._store.name:
            # Here the transaction itself is the lock.
            self._asks.set()
        with self._store.transaction(profile_id, is_shared=is_shared) as unit:
            original = unit.lock

            def lock(wanted: str) -> None:
                self._asks.set()
                original(wanted)

            unit.lock = lock  # type: ignore[method-assign]
            yield unit


@pytest.mark.parametrize("act", ACTS, ids=str)
def test_what_is_committed_while_the_dispatch_waits_for_the_lock_stops_it(database: Database, act: Act) -> None:
    shop = open_shop(database)
    enrollment = shop.enrolled()
    asks = threading.Event()
    worker = shop.on(_Announcing(database, asks))
    results: list[object] = []
    dispatch = threading.Thread(target=lambda: results.append(worker.perform(enrollment)))

    with shop.editing() as (unit, profile):
        act.commit(shop, unit, profile)
        dispatch.start()
        assert asks.wait(PATIENCE), "the dispatch never asked for the lock"
        # It stands at the lock, which this transaction holds: it cannot have decided anything yet.
        assert results == []
    dispatch.join(PATIENCE)

    assert results == [act.result]
    assert shop.received == []
    assert tuple(shop.outcomes()) == act.outcomes


@pytest.mark.parametrize("act", ACTS, ids=str)
def test_what_is_committed_after_the_claim_comes_too_late_for_this_message(any_store: Store, act: Act) -> None:
    """The claim is committed when the provider is called, and no transaction is open: the act itself commits there."""
    shop = open_shop(any_store)
    enrollment = shop.enrolled()
    seen: list[str] = []

    def while_the_provider_works(message: Message) -> None:
        seen.append(shop.delivery().status)
        with shop.editing() as (unit, profile):
            act.commit(shop, unit, profile)

    shop.providers["email"].answers.append(while_the_provider_works)
    shop.perform(enrollment)

    assert seen == ["claimed"]
    assert shop.received == [shop.delivery().delivery_id]
    assert shop.delivery().status == "sent"
    assert shop.outcomes() == ["sent"]


@pytest.mark.parametrize("act", ACTS, ids=str)
def test_what_is_committed_after_a_claim_stops_the_next_message(any_store: Store, act: Act) -> None:
    shop = Shop(any_store, replace(JOURNEY, steps={"hello": send(next="again"), "again": send("again")})).open()
    shop.person()
    enrollment = shop.enrolled()

    def while_the_provider_works(message: Message) -> None:
        with shop.editing() as (unit, profile):
            act.commit(shop, unit, profile)

    shop.providers["email"].answers.append(while_the_provider_works)
    shop.perform(enrollment)
    assert shop.perform(enrollment, "again") == act.result
    assert len(shop.received) == 1


@pytest.mark.parametrize("act", [act for act in ACTS if act.name != "pause"], ids=str)
def test_what_is_committed_during_an_outage_stops_the_backup(any_store: Store, act: Act) -> None:
    """The backup's claim is decided anew, against the store as it is then."""
    out = ScriptedProvider("email")
    shop = Shop(
        any_store,
        JOURNEY,
        channels={"email": channel(backup="email_backup"), "email_backup": channel("email_backup")},
        providers={"email": out},
    ).open()
    shop.person(consents=[("email", "news")])
    enrollment = shop.enrolled()

    def goes_out(message: Message) -> None:
        with shop.editing() as (unit, profile):
            act.commit(shop, unit, profile)
        raise TransientChannelError("out")

    out.answers.append(goes_out)
    assert shop.perform(enrollment) == act.result
    assert shop.received == []
    assert shop.delivery().status == "failed"
