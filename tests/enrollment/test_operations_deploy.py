"""A deploy while people are inside: whom it concerns, who stays, who moves, and that nothing fires because of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, cast

import pytest

from engine.enrollment.operations import Deployed, InFlight
from engine.errors import Conflict
from engine.plan.digest import digest
from engine.plan.model import (
    Awaited,
    DateTrigger,
    EventExit,
    EventTrigger,
    InactiveTrigger,
    Plan,
    Repeat,
    SegmentTrigger,
    Start,
    Trigger,
    WaitFor,
)
from engine.project import Segment
from engine.storage.memory import MemoryStore
from engine.store import Store
from tests.factories import NOW, Crashed, CrashingStore, Shop, after, plan, send, wait

FIRST = plan(wait(hours=10), send("hello"))


class Relay:
    """A shop at work, whose files change."""

    def __init__(self, store: Store, *plans: Plan, **given: Any) -> None:
        self.store = store
        self.given = given
        self.shop = Shop(store, *plans, **given).open()

    def change(self, *plans: Plan, in_flight: InFlight = "keep") -> Sequence[Deployed]:
        """Deploys from another process, as `sojourn deploy` does: the one at work goes on with its own files."""
        other = Shop(self.store, *plans, now=self.shop.now, **self.given)
        return other.engine.operations.deploy(other.now, in_flight)

    def restart(self, *plans: Plan) -> None:
        """Deploys and goes on in a process with the new files."""
        self.change(*plans)
        self.shop = Shop(self.store, *plans, now=self.shop.now, **self.given)


def inside(store: Store, *plans: Plan, at: datetime = NOW, **given: Any) -> Relay:
    """Ana has entered and waits, and it is `at`."""
    relay = Relay(store, *plans, **given)
    relay.shop.person()
    relay.shop.enrolled()
    relay.shop.run_until(at)
    return relay


# ── what would change ────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_plan_says_what_is_new_changed_unchanged_and_gone(any_store: Store) -> None:
    Shop(any_store, FIRST, plan(send(), journey="same"), plan(send(), journey="old")).open()
    shop = Shop(any_store, replace(FIRST, title="Baskets"), plan(send(), journey="same"), plan(send(), journey="young"))
    assert {each.journey: each.change for each in shop.engine.operations.plan()} == {
        "cart": "changed", "old": "gone", "same": "unchanged", "young": "new"
    }  # fmt: skip


def test_a_plan_tells_step_by_step_what_changed_and_who_stands_there(any_store: Store) -> None:
    relay = inside(any_store, plan(wait("w", hours=10), send("hello"), send("bye"), send("last")))
    onto = plan(
        replace(wait("w", hours=3), condition="profile.plan == 'free'"),
        send("hello", template="again", expires_seconds=3600),
        send("extra"),
        send("finally"),
        moved={"last": "finally"},
    )
    shop = Shop(any_store, onto)
    [change] = shop.engine.operations.plan()
    version = digest(relay.shop.project.plans["cart"])
    assert [(each.step_id, each.change, each.to, each.details, each.people) for each in change.steps] == [
        ("w", "changed", None, ("wait 10h · w → wait 3h · w", "if: none → profile.plan == 'free'"), {version: 1}),
        ("hello", "changed", None, (
            "then goes on to: bye → extra", "template: hello → again", "expires: none → 1h"
        ), {}),
        ("extra", "added", None, (), {}),
        ("finally", "added", None, (), {}),
        ("bye", "removed", None, (), {}),
        ("last", "moved", "finally", (), {}),
    ]  # fmt: skip
    assert (change.deployed, change.version, change.inside) == (version, digest(onto), {version: 1})


def test_a_step_that_only_an_older_version_has_is_told_where_somebody_stands_at_it(any_store: Store) -> None:
    relay = inside(any_store, plan(wait("first", hours=10), send("hello")))
    first = digest(relay.shop.project.plans["cart"])
    relay.change(plan(send("hello")))
    relay.change(plan(send("hello", template="other")))
    [change] = Shop(any_store, plan(send("hello"))).engine.operations.plan()
    assert [(each.step_id, each.change, each.people) for each in change.steps] == [
        ("hello", "changed", {}),
        ("first", "removed", {first: 1}),
    ]


def test_a_plan_changes_nothing(any_store: Store) -> None:
    Shop(any_store, FIRST).open()
    shop = Shop(any_store, plan(send()))
    before = shop.engine.operations.plan()
    assert shop.engine.operations.plan() == before
    assert [each.change for each in before] == ["changed"]


# ── keep ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_people_stay_on_their_version_and_others_enter_on_the_new_one(any_store: Store) -> None:
    relay = inside(any_store, FIRST)
    onto = plan(send("other"))
    [done] = relay.change(onto)
    assert (done.change, done.kept, done.moved) == ("changed", 1, 0)
    relay.shop.person("bob")
    relay.shop.enrolled(person="bob")
    relay.shop.run_until(after(hours=10))
    assert [each.step_id for each in relay.shop.deliveries("ana")] == ["hello"]
    assert [each.step_id for each in relay.shop.deliveries("bob")] == ["other"]


def test_a_process_that_still_has_the_old_files_lets_people_in_on_the_deployed_version(any_store: Store) -> None:
    old = Shop(any_store, FIRST).open()
    onto = plan(send("other"))
    Shop(any_store, onto).open()
    old.person()
    assert old.enrolled().digest == digest(onto)
    old.settle()
    assert [each.step_id for each in old.deliveries()] == ["other"]


def test_files_that_were_not_deployed_let_nobody_in_on_them(any_store: Store) -> None:
    Shop(any_store, FIRST).open()
    undeployed = Shop(any_store, plan(send("other")))
    undeployed.person()
    assert undeployed.enrolled().digest == digest(FIRST)


def test_a_journey_that_is_gone_runs_to_its_end_and_lets_no_one_in(any_store: Store) -> None:
    relay = inside(any_store, FIRST)
    done = relay.change(plan(send(), journey="other"))
    assert [(each.journey, each.change, each.kept) for each in done] == [("other", "new", 0), ("cart", "gone", 1)]
    relay.shop.track("Cart Updated", "bob")
    relay.shop.run_until(after(hours=10))
    assert [each.step_id for each in relay.shop.deliveries("ana")] == ["hello"]
    assert relay.shop.enrollments("bob", "cart") == []
    assert relay.change(plan(send(), journey="other"))[0].change == "unchanged"
    assert relay.change(FIRST)[0].change == "new"
    assert relay.shop.enrolled(person="bob").digest == digest(FIRST)


def test_whoever_comes_to_start_a_journey_that_is_gone_goes_on(any_store: Store) -> None:
    starting = plan(wait(hours=1), Start(step_id="start", journey="vip"), send("hello"))
    relay = inside(any_store, starting, plan(send(), journey="vip", triggers=()))
    relay.change(starting)
    relay.shop.run_until(after(hours=2))
    assert [each.step_id for each in relay.shop.deliveries()] == ["hello"]


# ── move ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_who_waits_is_moved_and_the_time_already_waited_counts(any_store: Store) -> None:
    relay = inside(any_store, FIRST, at=after(hours=1))
    onto = plan(wait(hours=3), send("other"))
    [done] = relay.change(onto, in_flight="move")
    assert (done.moved, done.kept) == (1, 0)
    relay.shop.settle()
    [moved] = relay.shop.enrollments()
    assert (moved.digest, moved.step_id, moved.wake_at) == (digest(onto), "wait", after(hours=3))
    relay.shop.run_until(after(hours=20))
    assert [(each.step_id, each.sent_at) for each in relay.shop.deliveries()] == [("other", after(hours=3))]


def test_whoever_has_waited_long_enough_goes_on_at_once(any_store: Store) -> None:
    relay = inside(any_store, FIRST, at=after(hours=5))
    relay.change(plan(wait(hours=3), send("hello")), in_flight="move")
    relay.shop.settle()
    assert [each.sent_at for each in relay.shop.deliveries()] == [after(hours=5)]


def test_a_second_move_finds_nobody(any_store: Store) -> None:
    relay = inside(any_store, FIRST)
    onto = plan(wait(hours=3), send("other"))
    relay.change(onto, in_flight="move")
    relay.shop.settle()
    assert [(each.change, each.moved) for each in relay.change(onto, in_flight="move")] == [("unchanged", 0)]


def test_people_whom_an_earlier_deploy_kept_can_still_be_moved(any_store: Store) -> None:
    relay = inside(any_store, FIRST)
    onto = plan(wait(hours=3), send("other"))
    relay.change(onto)
    assert [(each.change, each.moved) for each in relay.change(onto, in_flight="move")] == [("unchanged", 1)]
    relay.shop.run_until(after(hours=4))
    assert [each.step_id for each in relay.shop.deliveries()] == ["other"]


def test_a_deploy_that_would_strand_somebody_is_refused_whole(any_store: Store) -> None:
    relay = inside(any_store, FIRST)
    with pytest.raises(Conflict, match=r"cart: wait \(1 person\).*moved:"):
        relay.change(plan(send("hello")), plan(send(), journey="other"), in_flight="move")
    with any_store.transaction() as unit:
        assert [(each.journey, each.digest) for each in unit.journeys.all()] == [("cart", digest(FIRST))]


def test_a_step_that_was_renamed_is_mapped_with_what_it_left_behind(any_store: Store) -> None:
    def asking(name: str, **given: Any) -> Plan:
        asks = WaitFor(step_id=name, alternatives=(Awaited(event="Replied"),))
        return plan(asks, wait("rest", hours=5), send(condition=f"steps.{name}.event.word == 'yes'"), **given)

    relay = inside(any_store, asking("reply"))
    relay.shop.track("Replied", word="yes")
    relay.shop.settle()
    relay.change(asking("answer", moved={"reply": "answer"}), in_flight="move")
    relay.shop.run_until(after(hours=6))
    assert len(relay.shop.deliveries()) == 1


def test_whoever_stands_at_a_renamed_step_goes_on_there(any_store: Store) -> None:
    relay = inside(any_store, FIRST, at=after(hours=1))
    relay.change(plan(wait("pause", hours=10), send("hello"), moved={"wait": "pause"}), in_flight="move")
    relay.shop.settle()
    [moved] = relay.shop.enrollments()
    assert (moved.step_id, moved.reached_at, moved.wake_at) == ("pause", after(), after(hours=10))
    with any_store.transaction() as unit:
        trail = [(each.what, each.step_id) for each in unit.enrollments.trail(moved.enrollment_id)]
    assert trail[-3:] == [("moved", "wait"), ("reached", "pause"), ("waits", "pause")]


def test_an_event_awaited_by_the_new_version_counts_from_when_the_step_began(any_store: Store) -> None:
    def awaiting(event: str) -> Plan:
        return plan(WaitFor(step_id="reply", alternatives=(Awaited(event=event),)), send())

    relay = inside(any_store, awaiting("Replied"), at=after(hours=1))
    relay.shop.track("Called")
    relay.shop.run_until(after(hours=2))
    relay.change(awaiting("Called"), in_flight="move")
    relay.shop.settle()
    assert len(relay.shop.deliveries()) == 1


def test_passes_go_on_counting(any_store: Store) -> None:
    def plan_of(times: int) -> Plan:
        loop = Repeat(step_id="loop", times=times, every_seconds=3600, body="hello")
        hello = replace(send("hello"), next="loop")
        return Plan(
            journey="cart", title="Cart", triggers=(EventTrigger(event="Cart Updated"),), first="loop",
            steps={"loop": loop, "hello": hello},
        )  # fmt: skip

    relay = inside(any_store, plan_of(5), at=after(minutes=90))
    relay.change(plan_of(3), in_flight="move")
    relay.shop.run_until(after(hours=10))
    assert [each.sent_at for each in relay.shop.deliveries()] == [after(hours=hour) for hour in range(3)]


def test_a_move_during_a_pause_moves_and_lets_nobody_on(any_store: Store) -> None:
    relay = inside(any_store, FIRST)
    relay.shop.engine.operations.pause("cart", relay.shop.now)
    relay.shop.run_until(after(hours=11))
    onto = plan(wait(hours=10), send("hello", channels=("sms",)))
    relay.change(onto, in_flight="move")
    relay.shop.settle()
    [held] = relay.shop.enrollments()
    assert (held.digest, held.waiting, held.step_id) == (digest(onto), "held", "hello")
    relay.shop.engine.operations.resume("cart", relay.shop.now)
    relay.shop.settle()
    assert [each.channel for each in relay.shop.deliveries()] == ["sms"]


def test_a_move_does_not_jump_the_queue_of_a_paced_resume(any_store: Store) -> None:
    paced = plan(wait(hours=1), send(), pace_per_second=0.01)
    relay = inside(any_store, paced)
    relay.shop.person("bob")
    relay.shop.enrolled(person="bob")
    relay.shop.settle()
    relay.shop.engine.operations.pause("cart", relay.shop.now)
    relay.shop.run_until(after(hours=2))
    relay.shop.engine.operations.resume("cart", relay.shop.now)
    relay.change(replace(paced, title="Baskets"), in_flight="move")
    relay.shop.run_until(after(hours=3))
    sent = [each.sent_at for person in ("ana", "bob") for each in relay.shop.deliveries(person)]
    assert sent == [after(hours=2), after(hours=2, seconds=100)]


def test_an_exit_that_the_new_version_brings_ends_who_has_met_it(any_store: Store) -> None:
    relay = inside(any_store, FIRST, at=after(hours=1))
    relay.shop.track("Order Completed")
    relay.shop.run_until(after(hours=2))
    relay.change(replace(FIRST, exits=(EventExit(event="Order Completed"),)), in_flight="move")
    relay.shop.settle()
    assert [(each.state, each.reason) for each in relay.shop.enrollments()] == [("ended", "exit")]


# ── what was true before is no news ──────────────────────────────────────────────────────────────────────────────────
DAY = 86_400


def away(days: int, **given: Any) -> InactiveTrigger:
    return InactiveTrigger(event="Visited", for_seconds=days * DAY, **given)


def back(*triggers: Trigger, **given: Any) -> Plan:
    return plan(send(), journey="back", triggers=triggers, **given)


def visited(store: Store, *plans: Plan, **given: Any) -> Relay:
    relay = Relay(store, *plans, **given)
    relay.shop.person()
    relay.shop.track("Visited")
    relay.shop.settle()
    return relay


@pytest.mark.parametrize(
    "onto",
    [
        back(away(30), title="Other words"),
        back(away(30, condition="true")),
        back(away(60)),
        back(away(45), EventTrigger(event="Called")),
        back(EventTrigger(event="Called"), away(60)),
        back(away(50), away(30)),
    ],
    ids=["title", "condition", "longer", "one more", "another place", "two of a kind"],
)
def test_a_lapse_that_has_fired_does_not_fire_again_under_another_version(any_store: Store, onto: Plan) -> None:
    relay = visited(any_store, back(away(30)))
    relay.shop.run_until(after(days=40))
    assert len(relay.shop.enrollments()) == 1
    relay.restart(onto)
    relay.shop.run_until(after(days=100))
    assert len(relay.shop.enrollments()) == 1
    relay.shop.track("Visited")
    relay.shop.run_until(after(days=200))
    assert len(relay.shop.enrollments()) > 1


def test_a_lapse_under_way_is_counted_by_the_new_version(any_store: Store) -> None:
    relay = visited(any_store, back(away(30)))
    relay.shop.run_until(after(days=10))
    relay.restart(back(EventTrigger(event="Called"), away(20)))
    relay.shop.run_until(after(days=100))
    assert [each.entered_at for each in relay.shop.enrollments()] == [after(days=20)]


def test_a_lapse_that_the_new_version_would_have_fired_long_ago_is_no_news(any_store: Store) -> None:
    relay = visited(any_store, back(away(60)))
    relay.shop.run_until(after(days=40))
    relay.restart(back(away(30)))
    relay.shop.run_until(after(days=100))
    assert relay.shop.enrollments() == []


def test_a_new_journey_takes_people_as_it_finds_them(any_store: Store) -> None:
    vip = Segment(name="vip", title="VIP", condition='did("Visited")')
    relay = visited(any_store, FIRST, segments={"vip": vip})
    relay.shop.run_until(after(days=40))
    relay.restart(
        FIRST,
        back(away(30), SegmentTrigger(segment="vip", on="enter"), DateTrigger(date='date("2026-03-10")', at="09:00")),
    )
    relay.shop.track("Called")
    relay.shop.run_until(after(days=60))
    assert relay.shop.enrollments() == []


def test_a_membership_that_nobody_has_told_of_yet_is_told_after_a_deploy_of_something_else(any_store: Store) -> None:
    vip = Segment(name="vip", title="VIP", condition='did("Visited")')
    following = back(SegmentTrigger(segment="vip", on="enter"))
    relay = Relay(any_store, following, segments={"vip": vip})
    relay.shop.person()
    relay.shop.settle()
    relay.shop.track("Visited")
    # Taken in, not routed; and a journey comes that follows time.
    relay.restart(following, replace(back(away(30)), journey="away"))
    relay.shop.settle()
    assert [each.journey for each in relay.shop.enrollments()] == ["back"]


@pytest.mark.parametrize("at", ["09:00", "18:00"])
@pytest.mark.parametrize("place", [0, 1])
def test_a_date_that_has_fired_does_not_fire_again_at_another_hour(any_store: Store, at: str, place: int) -> None:
    date = "profile.renewal"
    relay = visited(any_store, back(DateTrigger(date=date, at="09:00")))
    relay.shop.set(renewal="2026-03-03")
    relay.shop.run_until(after(days=1, hours=1))
    assert len(relay.shop.enrollments()) == 1
    triggers: list[Trigger] = [DateTrigger(date=date, at=at, condition="true")]
    triggers.insert(1 - place, EventTrigger(event="Called"))
    relay.restart(back(*triggers))
    relay.shop.run_until(after(days=30))
    assert len(relay.shop.enrollments()) == 1


def test_what_was_due_and_not_swept_before_a_deploy_is_late_and_not_lost(any_store: Store) -> None:
    triggers = (away(30), DateTrigger(date="profile.renewal", at="09:00"))
    relay = visited(any_store, back(*triggers))
    relay.shop.set(renewal="2026-04-01")
    relay.shop.settle()
    relay.shop.now = after(days=30, minutes=5)
    relay.restart(back(*triggers, title="Other words"))
    relay.shop.run_until(after(days=31))
    # Both came up in one sweep: the second finds the first under way.
    assert (len(relay.shop.enrollments()), relay.shop.refusals()) == (1, ["active"])


def test_a_process_with_older_files_fires_what_the_deployed_version_says_and_nothing_else(any_store: Store) -> None:
    relay = visited(any_store, back(DateTrigger(date="profile.renewal", at="09:00"), away(30)))
    relay.shop.set(renewal="2026-03-20")
    relay.shop.settle()
    relay.change(back(away(20)))
    relay.shop.run_until(after(days=100))
    assert [each.entered_at for each in relay.shop.enrollments()] == [after(days=20)]


# ── killed in between ────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_deploy_killed_anywhere_is_done_by_the_next_one() -> None:
    """Nothing fires because of it, and nothing that lies ahead is lost."""
    vip = {"vip": Segment(name="vip", title="VIP", condition='did("Visited")')}
    onto = back(away(20), SegmentTrigger(segment="vip", on="enter"))
    crash_at = 0
    is_done = False
    while not is_done:
        crash_at += 1
        store = MemoryStore()
        relay = visited(store, back(away(30)), segments=vip)
        relay.shop.run_until(after(days=10))
        crashing = Shop(cast("Store", CrashingStore(store, crash_at)), onto, now=relay.shop.now, segments=vip)
        try:
            crashing.engine.operations.deploy(crashing.now)
            is_done = True
        except Crashed:
            pass
        relay.restart(onto)
        relay.shop.run_until(after(days=100))
        assert [each.entered_at for each in relay.shop.enrollments()] == [after(days=20)], crash_at
    assert crash_at > 20
