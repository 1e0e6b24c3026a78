"""Occurrences become effects once, in their order, whatever dies in between."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace as authored
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from engine.enrollment.model import Stimulus
from engine.plan.effects import Arrived, Left, Reconsider, Started
from engine.plan.model import (
    Awaited,
    Entry,
    EventExit,
    EventTrigger,
    Goal,
    InactiveTrigger,
    JourneyTrigger,
    Limit,
    SegmentExit,
    SegmentTrigger,
    WaitFor,
)
from engine.project import Segment
from engine.storage.memory import MemoryStore
from engine.store import JourneyRecord, Store
from tests.factories import NOW, Crashed, CrashingStore, Shop, after, plan, wait

SAME_CART = "event.cart_id == trigger.cart_id"
VIP = Segment(name="vip", title="VIP", condition='sum("Order Completed", "total") >= 100')

CART = plan(
    wait(hours=1),
    entry=Entry(key="event.cart_id", when_active="restart"),
    exits=(EventExit(event="Order Completed", condition=SAME_CART),),
    goal=Goal(event="Order Completed", condition=SAME_CART, within_seconds=7 * 86_400, is_exit=False),
)
THANKS = plan(wait(days=1), journey="thanks", triggers=(JourneyTrigger(journey="cart", reason="exit"),))
WELCOME = plan(
    wait(days=30),
    journey="vip_welcome",
    triggers=(SegmentTrigger(segment="vip", on="enter"),),
    exits=(SegmentExit(segment="vip", on="leave", reason="left"),),
)
COME_BACK = plan(wait(days=1), journey="come_back", triggers=(InactiveTrigger(event=None, for_seconds=30 * 86_400),))


def open_shop(store: Store, *plans: Any) -> Shop:
    shop = Shop(store, *(plans or (CART, THANKS, WELCOME, COME_BACK)), segments={"vip": VIP}).open()
    shop.person()
    shop.engine.router.route_all(shop.now)
    return shop


def stimuli(shop: Shop, person: str = "ana") -> list[Stimulus]:
    mine = {enrollment.enrollment_id for enrollment in shop.enrollments(person)}
    with shop.store.transaction() as unit:
        waiting = unit.queue.stimuli(after(days=999), limit=100_000)
    return [stimulus for stimulus in waiting if stimulus.enrollment_id in mine]


def effects(shop: Shop, person: str) -> dict[str, Any]:
    """Everything that routing brought about for one person, without ids."""
    profile_id = shop.id_of(person)
    enrollments = shop.enrollments(person)
    places = {enrollment.enrollment_id: place for place, enrollment in enumerate(enrollments)}
    with shop.store.transaction() as unit:
        return {
            "enrollments": [
                (
                    each.journey, each.key, each.number, each.state, each.reason, each.converted_at is not None,
                    [entry.what for entry in unit.enrollments.trail(each.enrollment_id)],
                )
                for each in enrollments
            ],
            "refusals": [(each.journey, each.reason) for each in unit.enrollments.refusals(profile_id=profile_id)],
            "memberships": [(each.segment, each.is_member) for each in unit.memberships.of(profile_id)],
            "dues": [
                (due.kind, due.subject) for due in unit.dues.until(after(days=999)) if due.profile_id == profile_id
            ],
            "stimuli": [
                (places[each.enrollment_id], each.input)
                for each in unit.queue.stimuli(after(days=999), limit=100_000)
                if each.enrollment_id in places
            ],
            "waiting": unit.queue.count_occurrences(),
        }  # fmt: skip


def shopping(shop: Shop, person: str) -> Iterator[None]:
    """What one person does, in pieces that are routed one after another."""
    shop.track("Cart Updated", person, cart_id="c1")
    yield
    shop.now += timedelta(seconds=1)
    shop.track("Cart Updated", person, cart_id="c1")
    shop.track("Cart Updated", person, cart_id="c2")
    yield
    shop.now += timedelta(seconds=1)
    shop.track("Order Completed", person, cart_id="c1", total=150)
    yield


def test_killed_at_any_call_of_the_store_the_router_has_its_effect_once(any_store: Store) -> None:
    shop = open_shop(any_store)
    shop.person("undisturbed")
    for _ in shopping(shop, "undisturbed"):
        shop.engine.router.route_all(shop.now)
    expected = effects(shop, "undisturbed")
    assert [row[0] for row in expected["enrollments"]] == ["cart", "cart", "cart", "vip_welcome", "thanks"]

    # Every call on the fast store; on the databases, where a rollback is theirs to prove, every seventh.
    stride = 1 if isinstance(any_store, MemoryStore) else 7
    place, has_crashed = 0, True
    while has_crashed:
        place += stride
        person, has_crashed = f"person{place}", False
        shop.person(person)
        store = CrashingStore(any_store, crash_at=place)
        for _ in shopping(shop, person):
            try:
                shop.on(store).engine.router.route_all(shop.now)
            except Crashed:
                has_crashed = True
                shop.engine.router.route_all(shop.now)
        assert effects(shop, person) == expected, place
    assert place > 50


# ── order ────────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_an_exit_of_the_same_instant_ends_what_was_there_before_the_event_begins_something() -> None:
    """One event exits the old enrollment of a journey and starts the next one: it has to be in this order."""
    again = plan(wait(days=9), triggers=(EventTrigger(event="Next"),), exits=(EventExit(event="Next"),))
    shop = memory_shop(again)
    shop.track("Next")
    shop.settle()
    shop.now = after(hours=1)
    shop.track("Next")
    shop.settle()
    assert [(each.state, each.reason) for each in shop.enrollments()] == [("ended", "exit"), ("active", None)]
    assert shop.refusals() == []


def memory_shop(*plans: Any) -> Shop:
    return open_shop(MemoryStore(), *plans)


def test_occurrences_of_one_person_are_routed_in_the_order_of_their_arrival(any_store: Store) -> None:
    shop = open_shop(any_store, CART)
    for minute, total in enumerate((10, 20, 30)):
        shop.now = after(minutes=minute)
        shop.track("Cart Updated", cart_id="c1", total=total)
    shop.engine.router.route_all(shop.now)
    assert [(each.number, each.state, each.trigger["total"]) for each in shop.enrollments()] == [
        (1, "ended", 10), (2, "ended", 20), (3, "active", 30),
    ]  # fmt: skip


def test_a_purchase_that_is_stored_already_keeps_its_cart_from_entering(any_store: Store) -> None:
    shop = open_shop(any_store, CART)
    shop.track("Cart Updated", cart_id="c1")
    shop.track("Order Completed", cart_id="c1", total=1)
    shop.engine.router.route_all(shop.now)
    assert (shop.enrollments(), shop.refusals()) == ([], ["already_met"])


# ── goals ────────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_goal_converts_the_newest_enrollment_that_it_fits_and_no_other(any_store: Store) -> None:
    bought = plan(wait(days=9), entry=Entry(key="event.cart_id"), goal=Goal(event="Order Completed", is_exit=False))
    shop = open_shop(any_store, bought)
    for minute, cart in enumerate(("c1", "c2", "c3")):
        shop.now = after(minutes=minute)
        shop.track("Cart Updated", cart_id=cart)
        shop.settle()
    shop.track("Order Completed")
    shop.settle()
    assert [each.converted_at is not None for each in shop.enrollments()] == [False, False, True]
    assert {each.state for each in shop.enrollments()} == {"active"}


@pytest.mark.parametrize(("later", "is_converted"), [({"days": 7}, True), ({"days": 7, "microseconds": 1}, False)])
def test_a_goal_counts_up_to_and_including_its_time_also_after_the_end(
    any_store: Store, later: dict[str, float], is_converted: bool
) -> None:
    shop = open_shop(any_store, plan(wait(hours=1), goal=Goal(event="Order Completed", within_seconds=7 * 86_400)))
    shop.track("Cart Updated")
    shop.run_until(after(hours=2))
    shop.now = after(**later)
    shop.track("Order Completed")
    shop.settle()
    (enrollment,) = shop.enrollments()
    assert (enrollment.reason, enrollment.converted_at is not None) == ("completed", is_converted)


def test_a_goal_of_the_version_on_which_somebody_entered_counts_although_todays_has_another(any_store: Store) -> None:
    before = open_shop(any_store, plan(wait(days=9), goal=Goal(event="Order Completed")))
    before.track("Cart Updated")
    before.settle()
    now = Shop(any_store, plan(wait(days=9), goal=Goal(event="Plan Renewed")), now=after(minutes=1)).open()
    now.track("Order Completed")
    now.settle()
    (enrollment,) = now.enrollments()
    assert (enrollment.reason, enrollment.converted_at) == ("goal", after(minutes=1))


# ── restarts ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_restart_ends_the_old_and_begins_the_timer_anew(any_store: Store) -> None:
    shop = open_shop(any_store, CART)
    shop.track("Cart Updated", cart_id="c1")
    shop.run_until(after(minutes=50))
    shop.track("Cart Updated", cart_id="c1")
    shop.run_until(after(minutes=109))
    assert [(each.state, each.reason) for each in shop.enrollments()] == [("ended", "restarted"), ("active", None)]
    shop.run_until(after(minutes=110))
    assert shop.enrollments()[1].reason == "completed"


def test_two_triggers_of_one_instant_enroll_once_under_one_key_and_both_under_two(any_store: Store) -> None:
    shop = open_shop(any_store, CART)
    for cart in ("c1", "c1", "c2"):
        shop.track("Cart Updated", cart_id=cart)
    shop.settle()
    assert [each.key for each in shop.enrollments()] == ["c1", "c2"]
    assert shop.refusals() == ["active"]


# ── ends that begin something ────────────────────────────────────────────────────────────────────────────────────────
def test_the_end_of_a_journey_begins_another_with_its_reason_and_key(any_store: Store) -> None:
    shop = open_shop(any_store, CART, THANKS)
    shop.track("Cart Updated", cart_id="c1")
    shop.track("Cart Updated", cart_id="c2")
    shop.settle()
    shop.now = after(minutes=5)
    shop.track("Order Completed", cart_id="c2", total=1)
    shop.settle()
    (thanks,) = shop.enrollments(journey="thanks")
    assert thanks.trigger == {"journey": "cart", "reason": "exit", "key": "c2"}
    assert thanks.entered_at == after(minutes=5)
    # c1 runs to its end: that is another reason, and begins nothing.
    shop.run_until(after(hours=2))
    assert len(shop.enrollments(journey="thanks")) == 1


# ── awaited events ───────────────────────────────────────────────────────────────────────────────────────────────────
REPLY = WaitFor(step_id="reply", alternatives=(Awaited(event="Replied", then="wait"),), within_seconds=3600)


def test_an_awaited_event_is_told_once_and_is_the_steps_event_from_then_on(any_store: Store) -> None:
    shop = open_shop(any_store, plan(REPLY, wait(days=1)))
    shop.track("Cart Updated")
    shop.settle()
    shop.now = after(minutes=5)
    first = shop.track("Replied", text="yes")
    shop.track("Replied", text="no")
    shop.engine.router.route_all(shop.now)
    assert [each.input for each in stimuli(shop)] == [Arrived(step_id="reply", visit=1, goto="wait")]
    (enrollment,) = shop.enrollments()
    assert first is not None
    assert enrollment.steps["reply"]["event_id"] == first.event_id


@pytest.mark.parametrize(("later", "goes"), [({"hours": 1}, "then"), ({"hours": 1, "microseconds": 1}, "else")])
def test_an_awaited_event_exactly_at_the_limit_still_counts(
    any_store: Store, later: dict[str, float], goes: str
) -> None:
    shop = open_shop(any_store, plan(REPLY, wait(days=1)))
    shop.track("Cart Updated")
    shop.settle()
    shop.now = after(**later)
    shop.track("Replied")
    shop.engine.router.route_all(shop.now)
    assert bool(stimuli(shop)) == (goes == "then")


@pytest.mark.parametrize(("since", "is_told"), [("start", True), (None, False)])
def test_a_late_report_from_before_the_step_counts_where_the_step_looks_back(
    any_store: Store, since: str | None, is_told: bool
) -> None:
    looking = authored(REPLY, since=since)
    shop = open_shop(any_store, plan(wait("first", minutes=30), looking, wait(days=1)))
    shop.track("Cart Updated")
    shop.run_until(after(minutes=40))
    shop.track("Replied", at=after(minutes=10))
    shop.engine.router.route_all(shop.now)
    assert [type(each.input) for each in stimuli(shop)] == [Arrived] * is_told


def test_a_timer_that_falls_due_before_the_awaited_event_is_delivered_finds_it_in_the_store(any_store: Store) -> None:
    shop = open_shop(any_store, plan(REPLY, wait(days=1)))
    shop.track("Cart Updated")
    shop.settle()
    shop.now = after(minutes=59)
    shop.track("Replied")
    # Nothing is routed, and the timer comes.
    shop.now = after(hours=1)
    assert shop.carrier.wake(shop.now)
    shop.carrier.settle()
    (enrollment,) = shop.enrollments()
    assert enrollment.step_id == "wait"
    shop.settle()
    assert shop.enrollments()[0].step_id == "wait"


# ── other occurrences ────────────────────────────────────────────────────────────────────────────────────────────────
def test_an_erased_persons_enrollments_end_and_nothing_of_theirs_falls_due_any_more(any_store: Store) -> None:
    shop = open_shop(any_store)
    shop.track("Cart Updated", cart_id="c1")
    shop.settle()
    shop.erase()
    shop.track("Cart Updated", cart_id="c2")
    shop.settle()
    assert [(each.state, each.reason) for each in shop.enrollments()] == [("ended", "erased")]
    with shop.store.transaction() as unit:
        assert unit.dues.until(after(days=999)) == []


def test_what_was_taken_in_before_an_erasure_begins_nothing_after_it(any_store: Store) -> None:
    shop = open_shop(any_store, CART)
    shop.track("Cart Updated", cart_id="c1")
    shop.erase()
    shop.engine.router.route_all(shop.now)
    assert shop.enrollments() == []


def test_a_change_of_zone_reconsiders_the_waits_for_a_time_and_no_other(any_store: Store) -> None:
    shop = open_shop(any_store, plan(REPLY, wait(days=1)), plan(wait(days=2), journey="other"))
    shop.track("Cart Updated")
    shop.settle()
    shop.set(timezone="America/New_York")
    shop.engine.router.route_all(shop.now)
    assert [type(each.input) for each in stimuli(shop)] == [Reconsider]


@pytest.mark.parametrize(("waiting", "is_told"), [("timer", True), ("quiet", True), ("event", False), ("retry", False)])
def test_a_change_of_zone_is_told_to_whoever_waits_for_a_local_time(
    any_store: Store, waiting: Any, is_told: bool
) -> None:
    shop = open_shop(any_store, plan(wait(days=1)))
    shop.track("Cart Updated")
    shop.settle()
    (enrollment,) = shop.enrollments()
    with shop.store.transaction() as unit:
        unit.enrollments.save(replace(enrollment, waiting=waiting))
    shop.set(timezone="America/New_York")
    shop.engine.router.route_all(shop.now)
    assert [type(each.input) for each in stimuli(shop)] == [Reconsider] * is_told


def test_whoever_comes_into_a_segment_enters_at_the_event_however_late_its_routing(any_store: Store) -> None:
    shop = open_shop(any_store, WELCOME)
    shop.track("Order Completed", total=150)
    shop.engine.router.route_all(after(minutes=10))
    assert [each.entered_at for each in shop.enrollments()] == [NOW]


def test_an_exit_by_segment_ends_nobody_who_entered_after_the_change(any_store: Store) -> None:
    """They left in the morning, entered at noon, and the sweep that sees the leaving comes in the evening."""
    fresh = Segment(name="vip", title="Fresh", condition='did("Visit", within="6h")')
    lasting = plan(wait(days=9), exits=(SegmentExit(segment="vip", on="leave"),))
    shop = Shop(any_store, lasting, segments={"vip": fresh}).open()
    shop.person()
    shop.track("Visit")
    shop.settle()
    shop.now = after(hours=7)
    shop.track("Cart Updated")
    shop.settle()
    shop.now = after(hours=8)
    shop.engine.sweeper.sweep(shop.now)
    assert [(each.entered_at, each.state) for each in shop.enrollments()] == [(after(hours=7), "active")]


def test_a_new_member_enters_and_a_former_one_leaves(any_store: Store) -> None:
    gold = Segment(name="vip", title="VIP", condition='profile.tier == "gold"')
    shop = Shop(any_store, WELCOME, segments={"vip": gold}).open()
    shop.person(tier="gold")
    shop.engine.router.route_all(shop.now)
    assert [type(each.input) for each in stimuli(shop)] == [Started]
    shop.settle()
    shop.now = after(days=1)
    shop.set(tier="silver")
    shop.engine.router.route_all(shop.now)
    assert [each.input for each in stimuli(shop)] == [Left(reason="left")]
    assert [(each.reason, each.ended_at) for each in shop.enrollments()] == [("left", after(days=1))]


# ── entries ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def refused_by(entry: Entry, **given: Any) -> Any:
    return plan(wait(hours=1), entry=entry, **given)


def test_the_first_rule_that_refuses_gives_the_reason(any_store: Store) -> None:
    """Everything is wrong with this entry; mended one after another, each rule speaks in its turn."""
    rules = {
        "key": "event.cart_id", "condition": "event.total > 10", "again": "never",
        "limit": Limit(at_most=1, per_seconds=3600), "ignore_older_than_seconds": 3600,
    }  # fmt: skip
    shop = open_shop(any_store, refused_by(Entry(**rules), exits=(EventExit(event="Order Completed"),)))
    shop.person("bob")
    reasons: list[str] = []

    def attempt(person: str = "ana", **given: Any) -> None:
        before = len(shop.refusals(person))
        shop.track("Cart Updated", person, **given)
        shop.settle()
        reasons.extend(shop.refusals(person)[before:] or ["entered"])
        shop.now += timedelta(minutes=1)

    set_state(shop, "paused")
    attempt(at=after(hours=-2))
    set_state(shop, "active")
    attempt(at=after(hours=-2))
    shop.track("Order Completed", "ana")
    attempt(at=after(minutes=-2))
    attempt(at=after(minutes=-2), cart_id="c1")
    attempt(cart_id="c1", total=1)
    attempt(cart_id="c1", total=11)
    attempt(cart_id="c1", total=11)
    shop.run_until(after(minutes=90))
    attempt(cart_id="c1", total=11)
    shop.run_until(after(minutes=110))
    attempt("bob", cart_id="c1", total=11)
    attempt("bob", cart_id="c2", total=11)
    assert reasons == [
        "held_back", "too_late", "no_key", "already_met", "not_matched", "entered", "active", "again", "entered",
        "limit",
    ]  # fmt: skip


def set_state(shop: Shop, state: Any) -> None:
    with shop.store.transaction() as unit:
        record = unit.journeys.find("cart")
        assert record is not None
        unit.journeys.save(
            JourneyRecord(journey="cart", digest=record.digest, state=state, deployed_at=NOW, changed_at=NOW)
        )


def test_an_event_exactly_as_old_as_allowed_still_enters(any_store: Store) -> None:
    shop = open_shop(any_store, refused_by(Entry(ignore_older_than_seconds=3600)))
    shop.track("Cart Updated", at=after(hours=-1))
    shop.settle()
    assert (len(shop.enrollments()), shop.refusals()) == (1, [])


def test_somebody_who_enters_while_the_journey_is_being_stopped_is_ended_at_the_first_step(any_store: Store) -> None:
    shop = open_shop(any_store, CART)
    shop.track("Cart Updated", cart_id="c1")
    shop.engine.router.route_all(shop.now)
    set_state(shop, "stopped")
    shop.settle()
    assert [(each.state, each.reason) for each in shop.enrollments()] == [("ended", "stopped")]
