"""What only time brings comes once: lapses, dates, schedules, memberships that run out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest

from engine.events.model import Due
from engine.plan.model import DateTrigger, InactiveTrigger, Plan, ScheduleTrigger, SegmentTrigger
from engine.project import Segment
from engine.storage.memory import MemoryStore
from engine.store import Store
from tests.factories import NOW, Crashed, CrashingStore, Shop, after, plan, wait

DAY = 86_400
EVERYBODY = Segment(name="everybody", title="Everybody", condition='profile.tier != "none"')
SEGMENTS = {"everybody": EVERYBODY}


def open_shop(store: Store, *plans: Plan, people: Sequence[str] = ("ana",), **given: Any) -> Shop:
    shop = Shop(store, *plans, segments=SEGMENTS, **given).open()
    for person in people:
        shop.person(person)
    shop.settle()
    return shop


def triggered_by(trigger: Any, **given: Any) -> Plan:
    return plan(wait(minutes=1), triggers=(trigger,), **given)


def entered(shop: Shop, person: str = "ana") -> list[datetime]:
    return [enrollment.entered_at for enrollment in shop.enrollments(person)]


def sweep_at(shop: Shop, moment: datetime) -> None:
    """A sweep that comes when it comes."""
    shop.now = moment
    shop.engine.sweeper.sweep(moment)
    shop.settle()


# ── lapses ───────────────────────────────────────────────────────────────────────────────────────────────────────────
QUIET_FOR_A_MONTH = triggered_by(InactiveTrigger(event=None, for_seconds=30 * DAY))


def test_a_lapse_fires_once_and_the_next_event_arms_it_again(any_store: Store) -> None:
    shop = open_shop(any_store, QUIET_FOR_A_MONTH)
    shop.track("Page Viewed")
    shop.run_until(after(days=90))
    assert entered(shop) == [after(days=30)]
    shop.track("Page Viewed")
    shop.run_until(after(days=200))
    assert entered(shop) == [after(days=30), after(days=120)]


def test_whoever_a_visitor_turns_out_to_be_lapses_in_their_stead(any_store: Store) -> None:
    shop = open_shop(any_store, QUIET_FOR_A_MONTH)
    with shop.store.transaction() as unit:
        shop.engine.intake.track(
            unit, anonymous_id="visitor", name="Page Viewed", properties={}, timestamp=NOW, message_id="v1", now=NOW
        )
    shop.run_until(after(days=10))
    with shop.store.transaction() as unit:
        shop.engine.intake.alias(unit, previous_id="visitor", user_id="ana", now=shop.now)
    shop.run_until(after(days=60))
    assert entered(shop) == [after(days=30)]


def test_a_person_who_never_did_the_event_never_lapses(any_store: Store) -> None:
    shop = open_shop(any_store, triggered_by(InactiveTrigger(event="Order Completed", for_seconds=DAY)))
    shop.track("Page Viewed")
    shop.run_until(after(days=9))
    assert entered(shop) == []


def test_every_event_moves_the_lapse_and_a_late_report_of_an_older_one_does_not(any_store: Store) -> None:
    shop = open_shop(any_store, QUIET_FOR_A_MONTH)
    shop.track("Page Viewed")
    shop.run_until(after(days=10))
    shop.track("Page Viewed")
    shop.track("Page Viewed", at=after(days=2))
    shop.run_until(after(days=60))
    assert entered(shop) == [after(days=40)]


def test_what_we_send_and_what_a_journey_emits_is_no_sign_of_life(any_store: Store) -> None:
    shop = open_shop(any_store, QUIET_FOR_A_MONTH)
    shop.track("Page Viewed")
    shop.run_until(after(days=10))
    with shop.editing() as (unit, profile):
        shop.engine.intake.track(
            unit, profile_id=profile.profile_id, name="Scored", properties={}, timestamp=shop.now, message_id="e1",
            now=shop.now, source="emit",
        )  # fmt: skip
    shop.run_until(after(days=60))
    assert entered(shop) == [after(days=30)]


def test_an_event_that_was_acknowledged_and_not_routed_yet_holds_the_lapse_off(any_store: Store) -> None:
    shop = open_shop(any_store, QUIET_FOR_A_MONTH)
    shop.track("Page Viewed")
    shop.settle()
    shop.now = after(days=30, seconds=-1)
    shop.track("Page Viewed")
    shop.now = after(days=30)
    shop.engine.sweeper.sweep(shop.now)
    assert entered(shop) == []
    shop.run_until(after(days=61))
    assert entered(shop) == [after(days=60, seconds=-1)]


def test_history_from_before_a_journey_lapses_when_its_time_comes_and_not_before(any_store: Store) -> None:
    shop = Shop(any_store, QUIET_FOR_A_MONTH)
    shop.person("ana")
    shop.person("bob")
    shop.track("Page Viewed", "ana", at=after(days=-20))
    shop.track("Page Viewed", "bob", at=after(days=-31))
    with any_store.transaction() as unit:
        while occurrence := unit.queue.next_occurrence():
            unit.queue.remove_occurrence(occurrence.seq)
    shop.open().run_until(after(days=60))
    # Bob had lapsed before there was a journey: that is how it found him.
    assert (entered(shop, "ana"), entered(shop, "bob")) == ([after(days=10)], [])


# ── dates ────────────────────────────────────────────────────────────────────────────────────────────────────────────
RENEWAL = triggered_by(DateTrigger(date="profile.renewal_date - days(14)", at="09:00"))
BIRTHDAY = triggered_by(DateTrigger(date="profile.birthday", at="09:00", is_yearly=True))
MADRID_9 = timedelta(hours=-2)  # 09:00 in Madrid is two hours before NOW's time of day
TOKYO_9 = timedelta(hours=-10)


def test_a_date_fires_once_at_its_local_time_and_follows_the_attribute(any_store: Store) -> None:
    shop = open_shop(any_store, RENEWAL)
    shop.set(renewal_date="2026-03-20")
    shop.run_until(after(days=1))
    shop.set(renewal_date="2026-03-22")
    shop.run_until(after(days=30))
    assert entered(shop) == [NOW + timedelta(days=6) + MADRID_9]


def test_a_moment_already_gone_when_the_date_is_set_does_not_fire(any_store: Store) -> None:
    shop = open_shop(any_store, RENEWAL)
    shop.set(renewal_date="2026-03-16")
    shop.run_until(after(days=30))
    assert entered(shop) == []


def test_a_date_that_is_set_away_and_back_does_not_fire_again(any_store: Store) -> None:
    shop = open_shop(any_store, RENEWAL)
    shop.set(renewal_date="2026-03-17")
    shop.run_until(after(hours=23))
    assert len(entered(shop)) == 1
    shop.set(renewal_date="2026-05-01", timezone="America/New_York")
    shop.settle()
    shop.set(renewal_date="2026-03-17")
    shop.run_until(after(days=30))
    assert len(entered(shop)) == 1


@pytest.mark.parametrize(("journey", "value"), [(RENEWAL, "2026-03-17"), (BIRTHDAY, "1990-03-03")])
def test_a_date_that_fired_does_not_fire_again_because_its_person_flew_west(
    any_store: Store, journey: Plan, value: str
) -> None:
    shop = open_shop(any_store, journey)
    shop.set(renewal_date=value, birthday=value)
    shop.run_until(after(hours=23))
    assert entered(shop) == [after(days=1) + MADRID_9]
    shop.set(timezone="America/New_York")
    shop.run_until(after(days=3))
    assert len(entered(shop)) == 1


def test_a_birthday_comes_every_year_also_on_29_february(any_store: Store) -> None:
    shop = open_shop(any_store, BIRTHDAY)
    shop.set(birthday="1992-02-29")
    shop.run_until(after(days=3 * 365))
    assert [moment.date().isoformat() for moment in entered(shop)] == ["2027-02-28", "2028-02-29", "2029-02-28"]


def test_a_late_sweep_fires_a_date_that_an_event_in_between_would_have_moved_past(any_store: Store) -> None:
    """The moment has come, no sweep has seen it, and an arrival computes the date anew: it is late, never lost."""
    shop = open_shop(any_store, BIRTHDAY)
    shop.set(birthday="1990-03-03")
    shop.settle()
    due_at = after(days=1) + MADRID_9
    shop.now = due_at + timedelta(seconds=20)
    shop.set(birthday="1985-03-03")
    shop.settle()
    sweep_at(shop, due_at + timedelta(seconds=50))
    assert entered(shop) == [due_at]


def test_a_date_computed_from_events_follows_them(any_store: Store) -> None:
    shop = open_shop(any_store, triggered_by(DateTrigger(date='last("Order") + days(10)', at="09:00")))
    shop.track("Order")
    shop.run_until(after(days=4))
    shop.track("Order")
    shop.run_until(after(days=30))
    assert entered(shop) == [after(days=14) + MADRID_9]


def test_a_date_follows_its_person_eastwards(any_store: Store) -> None:
    shop = open_shop(any_store, RENEWAL)
    shop.set(renewal_date="2026-03-20")
    shop.run_until(after(days=1))
    shop.set(timezone="Asia/Tokyo")
    shop.run_until(after(days=30))
    assert entered(shop) == [after(days=4) + TOKYO_9]


def test_a_date_and_a_zone_that_a_visitor_brings_along_are_the_persons(any_store: Store) -> None:
    shop = open_shop(any_store, RENEWAL, triggered_by(LOCAL_DIGEST.triggers[0], journey="digest"))
    with any_store.transaction() as unit:
        visitor = shop.engine.intake.ensure(unit, "anonymous", "visitor", NOW)
        shop.engine.intake.set_attributes(unit, visitor, {"renewal_date": "2026-03-20", "timezone": "Asia/Tokyo"}, NOW)
    shop.run_until(after(minutes=5))
    with any_store.transaction() as unit:
        shop.engine.intake.alias(unit, previous_id="visitor", user_id="ana", now=shop.now)
    shop.run_until(after(days=7))
    assert [(each.journey, each.entered_at) for each in shop.enrollments()] == [
        ("digest", after(days=1) + TOKYO_9), ("cart", after(days=4) + TOKYO_9),
    ]  # fmt: skip


def join(shop: Shop, person: str = "ana") -> None:
    with shop.store.transaction() as unit:
        shop.engine.intake.alias(unit, previous_id="visitor", user_id=person, now=shop.now)


def visit(shop: Shop, **traits: Any) -> None:
    """Somebody nobody knows yet looks at a page, and says something of themselves: later than what others have said."""
    shop.now = after(seconds=1)
    with shop.store.transaction() as unit:
        shop.engine.intake.track(
            unit, anonymous_id="visitor", name="Page Viewed", properties={}, timestamp=NOW, message_id="v1", now=NOW
        )
        visitor = shop.engine.intake.ensure(unit, "anonymous", "visitor", NOW)
        shop.engine.intake.set_attributes(unit, visitor, traits, shop.now)
    shop.settle()


@pytest.mark.parametrize("person", ["ana", "bob", "zoe"])
@pytest.mark.parametrize(
    ("trigger", "moment"),
    [
        (QUIET_FOR_A_MONTH.triggers[0], after(days=30)),
        (RENEWAL.triggers[0], after(days=4) + MADRID_9),
        (BIRTHDAY.triggers[0], after(days=4) + MADRID_9),
        (ScheduleTrigger(cron="0 9 6 * *", to="everybody", zone="profile"), after(days=4) + MADRID_9),
    ],
)
def test_what_a_visitor_was_due_for_is_late_and_not_lost_where_they_are_known_before_the_sweep(
    any_store: Store, trigger: Any, moment: datetime, person: str
) -> None:
    """The workers are down for an hour, and the API is not. Bob has other dates, from before; Zoe was never here."""
    shop = open_shop(any_store, triggered_by(trigger), people=("ana", "bob"))
    shop.set("bob", renewal_date="2026-06-20", birthday="1990-06-06")
    visit(shop, renewal_date="2026-03-20", birthday="1990-03-06")
    shop.now = moment + timedelta(minutes=30)
    join(shop, person)
    shop.settle()
    sweep_at(shop, moment + timedelta(hours=1))
    sweep_at(shop, moment + timedelta(hours=1, minutes=1))
    assert (entered(shop, person), shop.refusals(person)) == ([moment], [])


def test_a_late_report_of_a_visitor_begins_no_second_lapse_of_whom_they_are(any_store: Store) -> None:
    """It is older than the event from which the person's own lapse was counted."""
    shop = open_shop(any_store, QUIET_FOR_A_MONTH)
    shop.track("Page Viewed")
    shop.run_until(after(days=31))
    shop.now = after(days=40)
    before = NOW - timedelta(days=1)
    with any_store.transaction() as unit:
        shop.engine.intake.track(
            unit, anonymous_id="visitor", name="Old", properties={}, timestamp=before, message_id="v1", now=shop.now
        )
    shop.settle()
    join(shop)
    shop.settle()
    sweep_at(shop, after(days=40, minutes=1))
    assert entered(shop) == [after(days=30)]


def test_a_date_that_both_had_and_one_was_told_of_is_not_told_again(any_store: Store) -> None:
    shop = open_shop(any_store, BIRTHDAY)
    shop.set(birthday="1990-03-06")
    visit(shop, birthday="1990-03-06")
    moment = after(days=4) + MADRID_9
    with any_store.transaction() as unit:
        visitor = shop.engine.intake.ensure(unit, "anonymous", "visitor", NOW).profile_id
        (theirs,) = unit.dues.of(visitor)
        unit.dues.remove("date", visitor, theirs.subject)
    sweep_at(shop, moment)
    with any_store.transaction() as unit:
        # A sweep that was killed between the two of them.
        unit.dues.put(theirs)
    shop.now = moment + timedelta(minutes=1)
    join(shop)
    shop.settle()
    sweep_at(shop, moment + timedelta(minutes=2))
    assert (entered(shop), shop.refusals()) == ([moment], [])


@pytest.mark.parametrize("known", [{}, {"birthday": "1990-03-06"}])
def test_a_birthday_wished_to_a_visitor_is_not_wished_again_to_whoever_they_are_further_west(
    any_store: Store, known: dict[str, str]
) -> None:
    shop = open_shop(any_store, BIRTHDAY)
    shop.set(timezone="America/New_York", **known)
    visit(shop, birthday="1990-03-06")
    shop.run_until(after(days=4))
    join(shop)
    shop.run_until(after(days=6))
    assert [each.entered_at for each in shop.enrollments()] == [after(days=4) + MADRID_9]


def test_a_date_that_was_changed_and_not_routed_yet_does_not_fire_for_its_old_value(any_store: Store) -> None:
    shop = open_shop(any_store, RENEWAL)
    shop.set(renewal_date="2026-03-17")
    shop.settle()
    shop.now = after(hours=1)
    shop.set(renewal_date="2026-04-17")
    shop.now = after(days=1) + MADRID_9
    shop.engine.sweeper.sweep(shop.now)
    assert entered(shop) == []
    shop.run_until(after(days=60))
    assert [moment.date().isoformat() for moment in entered(shop)] == ["2026-04-03"]


def test_a_deploy_does_not_repeat_a_date(any_store: Store) -> None:
    shop = open_shop(any_store, RENEWAL)
    shop.set(renewal_date="2026-03-17")
    shop.run_until(after(hours=23))
    later = Shop(
        any_store, plan(wait(minutes=2), triggers=RENEWAL.triggers), segments=SEGMENTS, now=shop.now,
        timezone="America/New_York",
    ).open()  # fmt: skip
    later.run_until(after(days=9))
    assert len(entered(later)) == 1


# ── schedules ────────────────────────────────────────────────────────────────────────────────────────────────────────
DIGEST = triggered_by(ScheduleTrigger(cron="0 9 * * TUE", to="everybody"))
LOCAL_DIGEST = triggered_by(ScheduleTrigger(cron="0 9 * * TUE", to="everybody", zone="profile"))
TUESDAY = after(days=1) + MADRID_9
NEW_YORK = timedelta(hours=6)


def test_a_schedule_fires_for_every_member_and_nobody_else(any_store: Store) -> None:
    shop = open_shop(any_store, DIGEST, people=("ana", "bob", "eve"))
    shop.set("eve", tier="none")
    shop.set("bob", timezone="America/New_York")
    shop.run_until(after(days=9))
    weekly = [TUESDAY, TUESDAY + timedelta(days=7)]
    assert [entered(shop, person) for person in ("ana", "bob", "eve")] == [weekly, weekly, []]


def test_a_schedule_in_the_profiles_zone_fires_at_each_ones_own_time(any_store: Store) -> None:
    shop = open_shop(any_store, LOCAL_DIGEST, people=("ana", "bob"))
    shop.set("bob", timezone="America/New_York")
    shop.run_until(after(days=5))
    assert (entered(shop, "ana"), entered(shop, "bob")) == ([TUESDAY], [TUESDAY + NEW_YORK])


def test_a_broadcast_begun_again_after_a_crash_asks_nobody_twice(any_store: Store) -> None:
    people = [f"p{number}" for number in range(6)]
    shop = open_shop(any_store, DIGEST, people=people)
    sweeps, has_crashed = 0, True
    shop.now = TUESDAY
    while has_crashed:
        has_crashed = False
        try:
            # Each attempt comes a little further than the one before it.
            shop.on(CrashingStore(any_store, crash_at=20 + 9 * sweeps)).engine.sweeper.sweep(shop.now)
        except Crashed:
            has_crashed = True
        sweeps += 1
        shop.now += timedelta(seconds=10)
    assert sweeps > 3
    assert [entered(shop, person) for person in people] == [[TUESDAY]] * 6
    assert [shop.refusals(person) for person in people] == [[]] * 6
    assert shop.engine.sweeper.next_at() == TUESDAY + timedelta(days=7)


def test_a_sweep_killed_at_any_call_fires_each_row_once() -> None:
    place, has_crashed = 0, True
    while has_crashed:
        place, has_crashed = place + 1, False
        store = MemoryStore()
        shop = open_shop(store, plan(
            wait(hours=1),
            triggers=(LOCAL_DIGEST.triggers[0], RENEWAL.triggers[0], QUIET_FOR_A_MONTH.triggers[0]),
        ))  # fmt: skip
        shop.set(renewal_date="2026-04-15")
        shop.track("Page Viewed")
        shop.settle()
        shop.now = after(days=30)
        try:
            shop.on(CrashingStore(store, crash_at=place)).engine.sweeper.sweep(shop.now)
        except Crashed:
            has_crashed = True
            shop.engine.sweeper.sweep(shop.now)
        # The schedule of the first Tuesday holds the enrollment until the lapse at the end finds it still alive.
        assert entered(shop) == [TUESDAY], place
        assert shop.refusals() == ["active", "active"], place
    assert place > 20


@pytest.mark.parametrize("trigger", [LOCAL_DIGEST.triggers[0], RENEWAL.triggers[0], QUIET_FOR_A_MONTH.triggers[0]])
def test_what_another_sweep_fired_meanwhile_is_passed_over(any_store: Store, trigger: Any) -> None:
    people = ("ana", "bob", "eve")
    shop = open_shop(any_store, triggered_by(trigger), people=people)
    for person in people:
        shop.set(person, renewal_date="2026-04-15")
        shop.track("Page Viewed", person)
    shop.settle()
    shop.now = after(days=30)
    others = iter([shop.on(any_store)])

    def meanwhile() -> None:
        for other in others:
            other.engine.sweeper.sweep(shop.now)

    shop.engine.sweeper.sweep(shop.now, on_piece=meanwhile)
    assert [(len(entered(shop, person)), shop.refusals(person)) for person in people] == [(1, [])] * 3


def test_a_person_who_comes_in_by_a_word_on_consent_alone_takes_part_in_local_schedules(any_store: Store) -> None:
    welcome = triggered_by(SegmentTrigger(segment="everybody", on="enter"), journey="welcome")
    shop = open_shop(any_store, LOCAL_DIGEST, welcome)
    shop.withdraw("zoe", "sms")
    shop.run_until(after(days=2))
    assert [each.journey for each in shop.enrollments("zoe")] == ["welcome", "cart"]


def test_a_late_sweep_fires_a_local_schedule_that_an_event_in_between_would_have_moved_past(any_store: Store) -> None:
    shop = open_shop(any_store, LOCAL_DIGEST)
    shop.now = TUESDAY + timedelta(seconds=20)
    shop.track("Page Viewed")
    shop.set(timezone="Europe/Paris")
    shop.settle()
    sweep_at(shop, TUESDAY + timedelta(seconds=50))
    assert entered(shop) == [TUESDAY]


def test_who_flies_west_after_a_local_schedule_is_not_asked_again(any_store: Store) -> None:
    shop = open_shop(any_store, LOCAL_DIGEST)
    shop.run_until(TUESDAY + timedelta(hours=1))
    shop.set(timezone="America/New_York")
    shop.run_until(after(days=5))
    assert entered(shop) == [TUESDAY]


@pytest.mark.parametrize("zone", ["project", "profile"])
def test_a_deploy_with_another_schedule_fires_at_the_new_time_only(any_store: Store, zone: Any) -> None:
    open_shop(any_store, triggered_by(ScheduleTrigger(cron="0 9 * * TUE", to="everybody", zone=zone)))
    shop = Shop(
        any_store, triggered_by(ScheduleTrigger(cron="0 8 * * WED", to="everybody", zone=zone)), segments=SEGMENTS,
        now=after(minutes=1),
    ).open()  # fmt: skip
    shop.run_until(after(days=6))
    assert entered(shop) == [TUESDAY + timedelta(hours=23)]


def test_a_local_schedule_is_for_members_alone(any_store: Store) -> None:
    shop = open_shop(any_store, LOCAL_DIGEST, people=("ana", "eve"))
    shop.set("eve", tier="none")
    shop.run_until(after(days=5))
    assert (entered(shop, "ana"), entered(shop, "eve")) == ([TUESDAY], [])


def test_a_zone_that_was_told_and_not_routed_yet_holds_off_a_local_schedule(any_store: Store) -> None:
    shop = open_shop(any_store, LOCAL_DIGEST)
    shop.now = TUESDAY - timedelta(minutes=1)
    shop.set(timezone="America/New_York")
    shop.now = TUESDAY
    shop.engine.sweeper.sweep(shop.now)
    assert entered(shop) == []
    shop.run_until(after(days=5))
    assert entered(shop) == [TUESDAY + NEW_YORK]


def test_who_leaves_while_a_schedule_goes_through_the_members_is_not_asked(any_store: Store) -> None:
    shop = open_shop(any_store, DIGEST, people=("ana", "bob"))
    shop.now = TUESDAY
    # Found already, and not asked yet.
    shop.engine.sweeper.sweep(shop.now, on_piece=lambda: shop.set("bob", tier="none"))
    assert (entered(shop, "ana"), entered(shop, "bob")) == ([TUESDAY], [])


def test_whom_a_schedule_was_refused_is_not_asked_again_by_a_sweep_that_begins_anew(any_store: Store) -> None:
    shop = open_shop(any_store, DIGEST)
    shop.now = TUESDAY - timedelta(seconds=30)
    shop.enrolled()
    sweep_at(shop, TUESDAY)
    assert shop.refusals() == ["active"]
    shop.run_until(TUESDAY + timedelta(minutes=5))
    with any_store.transaction() as unit:
        unit.dues.put(Due(kind="schedule", profile_id="", subject="cart#0", due_at=TUESDAY))
    sweep_at(shop, shop.now)
    assert (len(entered(shop)), shop.refusals()) == (1, ["active"])


def test_a_row_that_cannot_be_fired_is_told_of_once_a_sweep_and_holds_up_no_other(any_store: Store) -> None:
    shop = open_shop(any_store, LOCAL_DIGEST, people=("ana", "bob"))
    broken = Due(kind="date", profile_id=shop.id_of("ana"), subject="cart#first", due_at=TUESDAY - timedelta(hours=1))
    with any_store.transaction() as unit:
        unit.dues.put(broken)
    faults: list[Due] = []
    for sweeps in (1, 2):
        shop.engine.sweeper.sweep(TUESDAY, on_fault=lambda row, _: faults.append(row))
        assert faults == [broken] * sweeps
    assert (entered(shop, "ana"), entered(shop, "bob")) == ([TUESDAY], [TUESDAY])


def test_who_flies_east_before_a_local_schedule_is_asked_at_their_new_time(any_store: Store) -> None:
    shop = open_shop(any_store, LOCAL_DIGEST)
    shop.set(timezone="Asia/Tokyo")
    shop.run_until(after(days=5))
    assert entered(shop) == [after(days=1) + TOKYO_9]


def test_a_deploy_after_a_broadcast_fell_due_and_before_its_sweep_loses_it_not(any_store: Store) -> None:
    open_shop(any_store, DIGEST)
    deployed_at = TUESDAY + timedelta(seconds=30)
    again = plan(wait(minutes=2), triggers=DIGEST.triggers)
    later = Shop(any_store, again, segments=SEGMENTS, now=deployed_at).open()
    sweep_at(later, TUESDAY + timedelta(minutes=1))
    assert entered(later) == [TUESDAY]


def test_a_schedule_deployed_in_its_very_moment_fires(any_store: Store) -> None:
    shop = Shop(any_store, DIGEST, segments=SEGMENTS, now=TUESDAY)
    shop.person()
    shop.open().run_until(TUESDAY + timedelta(days=1))
    assert entered(shop) == [TUESDAY]


def test_an_hour_without_sweeps_makes_a_broadcast_late_and_not_lost(any_store: Store) -> None:
    shop = open_shop(any_store, DIGEST)
    sweep_at(shop, TUESDAY + timedelta(hours=1))
    assert entered(shop) == [TUESDAY]
    assert shop.engine.sweeper.next_at() == TUESDAY + timedelta(days=7)


# ── memberships ──────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_membership_that_only_time_ends_changes_within_one_sweep(any_store: Store) -> None:
    recent = Segment(name="recent", title="Recent", condition='count("Page Viewed", within="7d") >= 2')
    left = triggered_by(SegmentTrigger(segment="recent", on="leave"))
    shop = Shop(any_store, left, segments={"recent": recent}).open()
    shop.person()
    shop.track("Page Viewed")
    shop.run_until(after(days=1))
    shop.track("Page Viewed")
    shop.run_until(after(days=30))
    assert entered(shop) == [after(days=7)]


def test_a_membership_ends_when_its_time_comes_however_late_the_sweep(any_store: Store) -> None:
    recent = Segment(name="recent", title="Recent", condition='did("Page Viewed", within="7d")')
    left = triggered_by(SegmentTrigger(segment="recent", on="leave"))
    shop = Shop(any_store, left, segments={"recent": recent}).open()
    shop.person()
    shop.track("Page Viewed")
    shop.settle()
    sweep_at(shop, after(days=7, hours=1))
    assert entered(shop) == [after(days=7)]


def test_erased_people_are_swept_past(any_store: Store) -> None:
    shop = open_shop(any_store, LOCAL_DIGEST, people=("ana", "bob"))
    shop.erase("ana")
    # Not routed: the rows are still there when the sweep comes.
    sweep_at(shop, TUESDAY)
    assert (entered(shop, "ana"), entered(shop, "bob")) == ([], [TUESDAY])
