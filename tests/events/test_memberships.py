"""Whoever comes into a segment, or leaves it, is told of once: as an oracle says that looks at all of it every time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.expressions.evaluate import is_true
from engine.plan.model import Plan, SegmentTrigger
from engine.profiles.model import Event
from engine.project import Segment
from engine.storage.memory import MemoryStore
from engine.store import Store
from tests.expressions.facts_of import FakeFacts
from tests.factories import NOW, Shop, plan, wait

SEGMENTS = {
    name: Segment(name=name, title=name.title(), condition=condition)
    for name, condition in {
        "vip": 'sum("Order", "total", within="2d") >= 50',
        "fresh": 'did("Visit", within="6h")',
        "at_risk": 'did("Order") and days_since(last("Order")) > 1 and not segment("vip")',
        "pro": 'profile.plan == "pro"',
        "keen": 'segment("vip") or count("Visit", within="1d") >= 3 and not segment("pro")',
        "renewing": "days_until(profile.renewal) <= 2",
        "spread": 'count("Order", where="event.total > 20", within="36h") == 1',
        "browsing": 'not did("Order")',
    }.items()
}
#: Those that an event of a name may change.
ASKING = {"Order": ("vip", "at_risk", "keen", "spread", "browsing"), "Visit": ("fresh", "keen")}
#: Nobody stays inside, so that every change is an entry of its own.
PLANS: tuple[Plan, ...] = tuple(
    plan(wait(seconds=1), journey=f"{segment}_{on}", triggers=(SegmentTrigger(segment=segment, on=on),))
    for segment in SEGMENTS
    for on in ("enter", "leave")
)

HOURS = st.integers(0, 40).map(lambda halves: timedelta(hours=halves / 2))
THINGS = st.one_of(
    st.tuples(st.just("order"), st.sampled_from([10, 30, 60]), HOURS),
    st.tuples(st.just("visit"), st.just(0), HOURS),
    st.tuples(st.just("plan"), st.sampled_from(["pro", "free"]), HOURS),
    st.tuples(st.just("renewal"), st.sampled_from(["2026-03-04", "2026-03-05T10:30:00Z", "2026-03-09"]), HOURS),
    st.tuples(st.just("sweep"), st.integers(1, 3), HOURS),
    st.tuples(st.just("late order"), st.sampled_from([30, 60]), HOURS),
)


@dataclass
class Oracle:
    """Evaluates every segment at every instant at which anybody looks, from all that is known."""

    events: list[Event] = field(default_factory=list)
    attributes: dict[str, Any] = field(default_factory=dict)
    inside: set[str] = field(default_factory=set)
    told: Counter[str] = field(default_factory=Counter)

    def look(self, now: datetime, asking: Collection[str] = tuple(SEGMENTS)) -> None:
        """At these segments; the others stay as they were."""
        facts = FakeFacts(now=now, profile=self.attributes, stored=tuple(self.events), segments=SEGMENTS)
        members = {name for name in asking if is_true(SEGMENTS[name].condition, facts)} | self.inside.difference(asking)
        self.told.update(f"{name}_enter" for name in members - self.inside)
        self.told.update(f"{name}_leave" for name in self.inside - members)
        self.inside = members


@pytest.mark.parametrize("any_store", ["memory", "sqlite", "postgres"], indirect=True)
def test_every_change_is_told_once_whatever_brings_it_and_whenever_sweeps_come(any_store: Store) -> None:
    people = iter(range(1_000_000))
    shop = Shop(any_store, *PLANS, segments=SEGMENTS).open()

    @settings(
        max_examples=60 if isinstance(any_store, MemoryStore) else 4,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(things=st.lists(THINGS, min_size=3, max_size=14))
    def holds(things: list[tuple[str, Any, timedelta]]) -> None:
        person, oracle = f"u{next(people)}", Oracle()
        now = NOW
        for what, value, ahead in things:
            now += ahead
            _happen(shop, oracle, person, what, value, now)
            assert _told(shop, person) == oracle.told, (what, value, now)
        # Whoever was here before is swept with the next one: they must not be told of twice.
        with any_store.transaction() as unit:
            for segment in SEGMENTS:
                unit.dues.remove("segment", shop.id_of(person), segment)

    holds()


def _happen(shop: Shop, oracle: Oracle, person: str, what: str, value: Any, now: datetime) -> None:
    """Lets it happen, and lets the oracle look whenever the shop does."""
    shop.now = now
    match what:
        case "order" | "visit" | "late order":
            # A late one is dated before the last look, and comes in now.
            at = now - timedelta(hours=7) if what == "late order" else now
            event = shop.track("Visit" if what == "visit" else "Order", person, at=at, total=value)
            assert event is not None
            is_first = not (oracle.events or oracle.attributes)
            oracle.events.append(event)
            # What an event cannot change, time may have: that is a sweep's to see.
            oracle.look(now, tuple(SEGMENTS) if is_first else ASKING[event.name])
        case "plan" | "renewal":
            if oracle.attributes.get(what) != value:
                oracle.attributes[what] = value
                shop.set(person, **{what: value})
                oracle.look(now)
        case _:
            for _ in range(value):
                shop.engine.sweeper.sweep(now)
            # Of whom nothing was ever heard, there is nobody to look at.
            oracle.look(now, tuple(SEGMENTS) if oracle.events or oracle.attributes else ())
    shop.engine.router.route_all(now)


def _told(shop: Shop, person: str) -> Counter[str]:
    """How often each journey was told: it let the person in, or said why not."""
    with shop.store.transaction() as unit:
        let_in = unit.enrollments.of(profile_id=shop.id_of(person))
        refused = unit.enrollments.refusals(profile_id=shop.id_of(person))
    return Counter(each.journey for each in (*let_in, *refused))
