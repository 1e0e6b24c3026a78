"""A schedule for a segment asks its members alone, goes on where it was stopped, and meets other sweeps harmlessly."""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import datetime
from itertools import count

import pytest

from engine.events.model import Due
from engine.events.sweeps import _ASKED_AT_ONCE
from engine.plan.model import ScheduleTrigger
from engine.project import Segment
from engine.store import Store, Unit
from tests.factories import Crashed, Shop, after, plan, wait

GOLD = Segment(name="gold", title="Gold", condition='profile.tier == "gold"')
DAILY = plan(wait(days=9), triggers=(ScheduleTrigger(cron="0 9 * * *", to="gold", zone="project"),))
#: 09:00 in Madrid, a day later.
FIRES_AT = after(hours=22)


class Watched:
    """A store that knows whom it was asked to lock, and dies at the n-th of them."""

    def __init__(self, store: Store, dies_at: int | None = None) -> None:
        self._store = store
        self._dies_at = dies_at
        self.locked: list[str] = []

    def transaction(self, profile_id: str | None = None, *, is_shared: bool = False) -> AbstractContextManager[Unit]:
        if profile_id is not None:
            self.locked.append(profile_id)
            if len(self.locked) == self._dies_at:
                raise Crashed
        return self._store.transaction(profile_id, is_shared=is_shared)


def open_shop(store: Store, gold: int, others: int) -> Shop:
    shop = Shop(store, DAILY, segments={"gold": GOLD}).open()
    for number in range(gold + others):
        shop.person(f"p{number}", tier="gold" if number < gold else "iron")
    shop.settle()
    shop.now = FIRES_AT
    return shop


def entered(shop: Shop, people: int) -> list[list[datetime]]:
    return [[each.entered_at for each in shop.enrollments(f"p{number}")] for number in range(people)]


def row(store: Store) -> Due:
    with store.transaction() as unit:
        found = unit.dues.find("schedule", "", "cart#0")
    assert found is not None
    return found


def test_only_members_are_asked(any_store: Store) -> None:
    shop = open_shop(any_store, gold=3, others=40)
    watched = Watched(any_store)
    shop.on(watched).engine.sweeper.sweep(shop.now)
    assert sorted(watched.locked) == sorted(shop.id_of(f"p{number}") for number in range(3))
    assert entered(shop, 4) == [[FIRES_AT]] * 3 + [[]]


def test_killed_half_way_it_goes_on_from_its_last_note(any_store: Store) -> None:
    people = 2 * _ASKED_AT_ONCE + 10
    shop = open_shop(any_store, gold=people, others=0)
    dying = Watched(any_store, dies_at=_ASKED_AT_ONCE + 20)
    with pytest.raises(Crashed):
        shop.on(dying).engine.sweeper.sweep(shop.now)
    assert (row(any_store).due_at, row(any_store).basis) == (FIRES_AT, dying.locked[_ASKED_AT_ONCE - 1])
    second = Watched(any_store)
    shop.on(second).engine.sweeper.sweep(shop.now)
    assert len(second.locked) == people - _ASKED_AT_ONCE
    assert entered(shop, people) == [[FIRES_AT]] * people
    assert (row(any_store).due_at, row(any_store).basis) == (after(hours=46), "")


def test_members_are_found_some_at_a_time(any_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.events.sweeps._FOUND_AT_ONCE", 4)
    shop = open_shop(any_store, gold=10, others=3)
    shop.engine.sweeper.sweep(shop.now)
    assert entered(shop, 13) == [[FIRES_AT]] * 10 + [[]] * 3
    assert row(any_store).due_at == after(hours=46)


def test_another_sweep_in_between_changes_nothing(any_store: Store) -> None:
    people = _ASKED_AT_ONCE + 5
    shop = open_shop(any_store, gold=people, others=0)
    other = shop.on(any_store)
    pieces = count()

    def between() -> None:
        # After the members were found, and again after the first of them were asked.
        if next(pieces) < 2:
            other.engine.sweeper.sweep(other.now)

    shop.engine.sweeper.sweep(shop.now, on_piece=between)
    assert entered(shop, people) == [[FIRES_AT]] * people
    assert row(any_store).due_at == after(hours=46)


def test_a_sweep_that_hung_for_days_does_not_fire_the_next_moment_again(any_store: Store) -> None:
    shop = open_shop(any_store, gold=2, others=0)
    late = shop.on(any_store)

    days = [FIRES_AT, after(hours=46), after(hours=70)]

    def others_sweep_on() -> None:
        while days:
            late.now = days.pop(0)
            late.engine.sweeper.sweep(late.now)

    shop.engine.sweeper.sweep(shop.now, on_piece=others_sweep_on)
    assert row(any_store).due_at == after(hours=94)
