"""A segment that is new or was edited is filled in for everybody, goes on where it was killed, and fires when asked."""

from __future__ import annotations

from datetime import timedelta

import pytest

from engine.errors import BadInput, NotFound
from engine.events.backfill import BATCH
from engine.plan.model import EventTrigger, SegmentExit, SegmentTrigger
from engine.project import Segment
from engine.storage.memory import MemoryStore
from engine.store import Store
from tests.factories import NOW, Crashed, CrashingStore, Shop, after, plan, wait

GREET = plan(wait(days=90), journey="greet", triggers=(SegmentTrigger(segment="vip", on="enter"),))
MOURN = plan(wait(days=90), journey="mourn", triggers=(SegmentTrigger(segment="vip", on="leave"),))
PEOPLE = ("ana", "ben", "cid")


def shop_with(store: Store, least: int, **given: object) -> Shop:
    """Vips have spent that much, and are followed."""
    vip = Segment(name="vip", title="Vips", condition=f'sum("Order Completed", "total") >= {least}')
    return Shop(store, GREET, MOURN, segments={"vip": vip}, **given)  # type: ignore[arg-type]


def shop_of_spenders(store: Store) -> Shop:
    """Ana has spent 100, Ben 200 and Cid 300, and vips have spent 150: Ben and Cid have entered."""
    shop = shop_with(store, 150).open()
    for number, person in enumerate(PEOPLE, start=1):
        shop.person(person)
        shop.track("Order Completed", person, total=100 * number)
    shop.settle()
    assert told(shop) == {"ben": ["greet"], "cid": ["greet"]}
    return shop


def told(shop: Shop) -> dict[str, list[str]]:
    """Whom a journey was told of, once for each time."""
    found = {person: sorted(each.journey for each in shop.enrollments(person)) for person in PEOPLE}
    return {person: journeys for person, journeys in found.items() if journeys}


def vips(shop: Shop) -> set[str]:
    with shop.store.transaction() as unit:
        members = unit.memberships.members("vip")
    return {person for person in PEOPLE if shop.id_of(person) in members}


def test_a_deploy_of_an_edited_segment_fills_it_in_and_tells_nobody(any_store: Store) -> None:
    before = shop_of_spenders(any_store)
    edited = shop_with(any_store, 250, now=after(days=1)).open()
    edited.settle()
    assert vips(edited) == {"cid"}
    edited.track("Order Completed", "ben", total=0)
    edited.settle()
    assert told(edited) == told(before)


def test_after_a_deploy_a_change_of_the_persons_own_is_told(any_store: Store) -> None:
    shop_of_spenders(any_store)
    edited = shop_with(any_store, 250, now=after(days=1)).open()
    edited.track("Order Completed", "ana", total=500)
    edited.settle()
    assert told(edited) == {"ana": ["greet"], "ben": ["greet"], "cid": ["greet"]}


def test_an_edit_that_was_not_deployed_yet_is_nobodys_change(any_store: Store) -> None:
    shop_of_spenders(any_store)
    edited = shop_with(any_store, 50, now=after(days=1))
    edited.track("Order Completed", "ana", total=0)
    edited.settle()
    assert (vips(edited), told(edited)) == ({"ana", "ben", "cid"}, {"ben": ["greet"], "cid": ["greet"]})


def test_an_exit_does_not_take_an_edit_for_a_change(any_store: Store) -> None:
    leaving = plan(
        wait(days=90), journey="inside", exits=(SegmentExit(segment="vip", on="leave", condition=None, reason="poor"),)
    )
    vip = Segment(name="vip", title="Vips", condition='sum("Order Completed", "total") >= 50')
    shop = Shop(any_store, leaving, segments={"vip": vip}).open()
    shop.person()
    shop.track("Order Completed", total=100)
    shop.track("Cart Updated")
    shop.settle()
    edited = Shop(
        any_store, leaving, segments={"vip": Segment(name="vip", title="Vips", condition="false")}, now=after(days=1)
    ).open()
    edited.track("Order Completed", total=0)
    edited.settle()
    assert [each.state for each in edited.enrollments()] == ["active"]


def test_whoever_is_in_or_out_silently_is_told_once_when_asked(any_store: Store) -> None:
    shop_of_spenders(any_store)
    edited = shop_with(any_store, 250, now=after(days=1)).open()
    fill = edited.engine.backfill
    assert fill.left("vip") == []
    assert fill.left("vip", is_telling=True) == [edited.id_of("ben")]
    assert fill.fill("vip", fill.left("vip", is_telling=True), edited.now, is_telling=True) == 1
    assert fill.left("vip", is_telling=True) == []
    # Somebody else had asked for it at the same time.
    assert fill.fill("vip", [edited.id_of(person) for person in PEOPLE], edited.now, is_telling=True) == 0
    edited.settle()
    assert told(edited) == {"ben": ["greet", "mourn"], "cid": ["greet"]}


def test_a_new_segment_tells_of_its_members_when_asked(any_store: Store) -> None:
    before = Shop(any_store, plan(wait(days=1))).open()
    before.person("ana")
    before.track("Order Completed", "ana", total=500)
    before.settle()
    shop = shop_with(any_store, 150).open()
    assert (vips(shop), told(shop)) == ({"ana"}, {})
    shop.engine.backfill.fill("vip", shop.engine.backfill.left("vip", is_telling=True), NOW, is_telling=True)
    shop.settle()
    assert told(shop) == {"ana": ["greet"]}


CONDITIONS = (
    'sum("Order Completed", "total", within="90d") >= 150 and did("Seen")',
    'count("Seen", where="event.total > 50", within="10d") >= 1 or profile.tier == "gold"',
    'days_since(first("Order Completed")) > 10 and not segment("gold")',
    'consent("email", "news") and hour(now) < 23',
    'received("greet", within="5d") or enrolled("greet")',
    "days_until(profile.renewal) <= 14",
)


@pytest.mark.parametrize("condition", CONDITIONS)
def test_read_together_people_are_members_as_each_by_themselves_and_until_the_same_moment(
    condition: str, any_store: Store
) -> None:
    given = {
        "vip": Segment(name="vip", title="Vips", condition=condition),
        "gold": Segment(name="gold", title="Gold", condition='profile.tier == "gold"'),
    }
    spent = plan(
        wait(days=90), journey="greet", triggers=(EventTrigger(event="Seen"), SegmentTrigger(segment="vip", on="enter"))
    )
    before = Shop(any_store, plan(wait(days=90), journey="greet", triggers=(EventTrigger(event="Seen"),))).open()
    for number in range(9):
        person = f"u{number}"
        tier, renewal = ("gold" if number % 3 == 0 else "tin"), after(days=4 * number).date().isoformat()
        before.person(person, tier=tier, renewal=renewal, consents=[("email", "news")] if number % 2 else [])
        for days in range(number):
            name = "Seen" if days % 2 else "Order Completed"
            before.track(name, person, total=30 * days, at=NOW - timedelta(days=7 * (days // 2), hours=number))
    before.settle()
    shop = Shop(any_store, spent, segments=given, now=after(hours=1))
    engine = shop.engine
    engine.backfill.fill("vip", engine.backfill.left("vip"), shop.now)
    with any_store.transaction() as unit:
        by_themselves, together = [], []
        for profile_id in unit.profiles.all_ids():
            profile = unit.profiles.find(profile_id)
            assert profile is not None
            facts = engine.facts.of(unit, profile, shop.now)
            by_themselves.append((facts.in_segment("vip"), engine.dues.segment_due(profile, "vip", facts)))
            (kept,) = unit.memberships.of(profile_id)
            together.append((kept.is_member, unit.dues.find("segment", profile_id, "vip")))
    assert together == by_themselves
    assert {is_member for is_member, _ in together} == {True, False}


def test_a_backfill_killed_anywhere_goes_on_with_those_who_are_left() -> None:
    store = MemoryStore()
    shop_of_spenders(store)
    with store.transaction() as unit:
        for number in range(2 * BATCH):
            shop_with(store, 50).engine.intake.ensure(unit, "external", f"u{number}", NOW)
    total = len(shop_with(store, 50).engine.backfill.left("vip"))
    assert total == 2 * BATCH + len(PEOPLE)
    lefts = [total]
    crash_at = 1
    while lefts[-1]:
        fragile = shop_with(CrashingStore(store, crash_at), 50)  # type: ignore[arg-type]
        try:
            fragile.engine.backfill.fill("vip", fragile.engine.backfill.left("vip"), NOW)
        except Crashed:
            crash_at += 97
        lefts.append(len(shop_with(store, 50).engine.backfill.left("vip")))
    assert len(set(lefts)) > 2, "it went on from where it was killed"
    assert vips(shop_with(store, 50)) == set(PEOPLE)


def test_a_backfill_says_how_far_it_is(any_store: Store) -> None:
    shop_of_spenders(any_store)
    edited = shop_with(any_store, 250)
    people = edited.engine.backfill.left("vip")
    done: list[None] = []
    edited.engine.backfill.fill("vip", people, NOW, on_person=lambda: done.append(None))
    assert len(done) == len(people) == 3


def test_a_segment_inside_that_was_edited_makes_another_definition(any_store: Store) -> None:
    def shop(least: int) -> Shop:
        rich = Segment(name="rich", title="Rich", condition=f"profile.wealth >= {least}")
        vip = Segment(name="vip", title="Vips", condition='segment("rich")')
        return Shop(any_store, GREET, segments={"rich": rich, "vip": vip})

    shop(1).open().person("ana")
    shop(1).settle()
    assert shop(1).engine.backfill.left("vip") == []
    assert shop(2).engine.backfill.left("vip") == [Shop.id_of("ana")]


def test_what_cannot_be_filled_in_is_refused() -> None:
    idle = Segment(name="idle", title="Idle", condition="true")
    shop = Shop(MemoryStore(), plan(wait(days=1)), segments={"idle": idle})
    with pytest.raises(BadInput, match="no journey's trigger or exit names it"):
        shop.engine.backfill.left("idle")
    with pytest.raises(NotFound, match="there is no segment `whales`; this project has: idle"):
        shop.engine.backfill.left("whales")
