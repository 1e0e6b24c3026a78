"""Every store keeps journeys, enrollments, deliveries and access alike."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from engine.delivery.circuit import Circuit
from engine.delivery.model import COUNTED, DOUBTED, TAKEN
from engine.store import ImportMark, Place, Store
from tests.storage.records import (
    AWKWARD,
    NOON,
    at,
    decision,
    delivery,
    enrollment,
    journey,
    key,
    link,
    refusal,
    trail_entry,
)


# ── journeys ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_plans_are_kept_under_their_hash_and_a_repeat_changes_nothing(any_store: Store) -> None:
    with any_store.transaction() as unit:
        unit.journeys.save_plan("1" * 64, "welcome", '{"ü":1}')
        unit.journeys.save_plan("1" * 64, "welcome", "other")
        assert unit.journeys.find_plan("1" * 64) == '{"ü":1}'
        assert unit.journeys.find_plan("2" * 64) is None


def test_journeys_are_replaced_and_listed_by_name(any_store: Store) -> None:
    with any_store.transaction() as unit:
        for name in ("welcome", "Back", "again"):
            unit.journeys.save(journey(name))
        paused = journey("welcome", state="paused", digest="2" * 64, changed_at=at(1, micros=1))
        unit.journeys.save(paused)
        assert unit.journeys.find("welcome") == paused
        assert unit.journeys.find("none") is None
        assert unit.journeys.all() == [journey("Back"), journey("again"), paused]


# ── enrollments ──────────────────────────────────────────────────────────────────────────────────────────────────────
FULL = enrollment(
    "e7",
    key="cart-ü",
    number=3,
    trigger_event_id="v1",
    trigger_at=at(-1, micros=1),
    trigger=AWKWARD,
    state="ended",
    reason="goal",
    ended_at=at(9),
    converted_at=at(8, micros=8),
    step_id="hello",
    visit=2,
    reached_at=at(1),
    wake_at=at(2),
    waiting="timer",
    awaits_since=at(3),
    steps={"hello": {"event_id": "v9", "outcome": "sent", "response": AWKWARD}},
)


def test_an_enrollment_comes_back_as_it_went_in_and_is_replaced(any_store: Store) -> None:
    with any_store.transaction("p1") as unit:
        unit.enrollments.save(enrollment("e7"))
        unit.enrollments.save(FULL)
    with any_store.transaction() as unit:
        assert unit.enrollments.find("e7") == FULL
        assert unit.enrollments.owner("e7") == FULL.profile_id
        assert unit.enrollments.find("e8") is None
        assert unit.enrollments.owner("e8") is None


def test_active_enrollments_are_in_order_of_entry_then_of_id(any_store: Store) -> None:
    with any_store.transaction() as unit:
        for enrollment_id, minutes in (("e9", 0), ("e2", 1), ("e1", 1), ("e4", 0)):
            unit.enrollments.save(enrollment(enrollment_id, entered_at=at(minutes)))
        unit.enrollments.save(enrollment("e4", entered_at=at(0), state="ended"))
        unit.enrollments.save(enrollment("e5", profile_id="p2"))
        assert [e.enrollment_id for e in unit.enrollments.active("p1")] == ["e9", "e1", "e2"]


def test_enrollments_are_listed_newest_first(any_store: Store) -> None:
    with any_store.transaction() as unit:
        for enrollment_id, minutes, who, name in (
            ("e3", 0, "p1", "welcome"), ("e9", 2, "p1", "back"), ("e1", 1, "p2", "welcome"), ("e5", 1, "p1", "welcome"),
        ):  # fmt: skip
            unit.enrollments.save(enrollment(enrollment_id, entered_at=at(minutes), profile_id=who, journey=name))
        # Replacing does not make it newer.
        unit.enrollments.save(enrollment("e1", entered_at=at(1), profile_id="p2", state="ended"))

        def ids(**chosen: object) -> list[str]:
            return [e.enrollment_id for e in unit.enrollments.of(**chosen)]  # type: ignore[arg-type]

        assert ids() == ["e9", "e5", "e1", "e3"]
        assert ids(limit=2) == ["e9", "e5"]
        assert ids(profile_id="p1") == ["e9", "e5", "e3"]
        assert ids(journey="welcome") == ["e5", "e1", "e3"]
        assert ids(journey="welcome", limit=1) == ["e5"]
        assert ids(profile_id="p1", journey="welcome") == ["e5", "e3"]
        assert ids(profile_id="p9") == []


def test_the_last_enrollment_is_that_of_the_highest_number_under_the_same_key(any_store: Store) -> None:
    with any_store.transaction() as unit:
        for enrollment_id, key_, number in (
            ("e1", None, 2), ("e2", None, 10), ("e3", None, 9), ("e4", "cart", 1), ("e5", "", 5),
        ):  # fmt: skip
            unit.enrollments.save(enrollment(enrollment_id, key=key_, number=number))
        for key_, expected in ((None, "e2"), ("cart", "e4"), ("", "e5")):
            found = unit.enrollments.last("welcome", "p1", key_)
            assert found is not None
            assert found.enrollment_id == expected
        assert unit.enrollments.last("welcome", "p1", "other") is None
        assert unit.enrollments.last("welcome", "p2", None) is None
        assert unit.enrollments.last("back", "p1", None) is None


def test_entries_are_counted_strictly_after_an_instant(any_store: Store) -> None:
    with any_store.transaction() as unit:
        for number, micros in enumerate((0, 1, 2)):
            unit.enrollments.save(enrollment(f"e{number}", entered_at=at(micros=micros)))
        unit.enrollments.save(enrollment("e9", journey="back", entered_at=at(5)))
        assert unit.enrollments.count_entered("welcome", at(micros=-1)) == 3
        assert unit.enrollments.count_entered("welcome", at(micros=1)) == 1
        assert unit.enrollments.count_entered("welcome", at(micros=2)) == 0
        assert unit.enrollments.count_entered("none", at()) == 0


def test_the_next_wake_is_the_earliest_of_the_active(any_store: Store) -> None:
    with any_store.transaction() as unit:
        assert unit.enrollments.next_wake_at() is None
        unit.enrollments.save(enrollment("e1"))
        assert unit.enrollments.next_wake_at() is None
        unit.enrollments.save(enrollment("e2", wake_at=at(5)))
        unit.enrollments.save(enrollment("e3", wake_at=at(3, micros=1)))
        unit.enrollments.save(enrollment("e4", wake_at=at(1), state="ended"))
        assert unit.enrollments.next_wake_at() == at(3, micros=1)
        unit.enrollments.save(enrollment("e3", wake_at=None))
        assert unit.enrollments.next_wake_at() == at(5)


def test_enrollments_are_counted_by_state(any_store: Store) -> None:
    with any_store.transaction() as unit:
        assert unit.enrollments.counts("welcome") == {"active": 0, "ended": 0, "converted": 0}
        unit.enrollments.save(enrollment("e1"))
        unit.enrollments.save(enrollment("e2", converted_at=NOON))
        unit.enrollments.save(enrollment("e3", state="ended", converted_at=NOON))
        unit.enrollments.save(enrollment("e4", state="ended"))
        unit.enrollments.save(enrollment("e1", state="ended"))
        unit.enrollments.save(enrollment("e5", journey="back"))
        assert unit.enrollments.counts("welcome") == {"active": 1, "ended": 3, "converted": 2}


def test_refusals_are_stored_once_and_listed_by_time_then_arrival(any_store: Store) -> None:
    full = refusal("r5", key="cart", reason="limit", refused_at=at(1, micros=1), event_id="v1")
    with any_store.transaction() as unit:
        for each in (full, refusal("r9"), refusal("r1"), refusal("r3", journey="back"), refusal("r4", profile_id="p2")):
            unit.enrollments.refuse(each)
        unit.enrollments.refuse(replace(full, reason="again"))
        assert unit.enrollments.refusals() == [
            refusal("r9"), refusal("r1"), refusal("r3", journey="back"), refusal("r4", profile_id="p2"), full,
        ]  # fmt: skip
        assert [r.refusal_id for r in unit.enrollments.refusals(profile_id="p1")] == ["r9", "r1", "r3", "r5"]
        assert [r.refusal_id for r in unit.enrollments.refusals(journey="welcome")] == ["r9", "r1", "r4", "r5"]
        assert [r.refusal_id for r in unit.enrollments.refusals(profile_id="p1", journey="back")] == ["r3"]


def test_the_store_numbers_each_trail_from_one(any_store: Store) -> None:
    with any_store.transaction("p1") as unit:
        unit.enrollments.add_trail(trail_entry(seq=77, what="entered", detail=AWKWARD))
        unit.enrollments.add_trail(trail_entry(enrollment_id="e2"))
        unit.enrollments.add_trail(trail_entry(step_id="hello", visit=2, at=at(-5)))
    with any_store.transaction("p1") as unit:
        unit.enrollments.add_trail(trail_entry(what="ended", at=at(1)))
        assert unit.enrollments.trail("e1") == [
            trail_entry(seq=1, what="entered", detail=AWKWARD),
            trail_entry(seq=2, step_id="hello", visit=2, at=at(-5)),
            trail_entry(seq=3, what="ended", at=at(1)),
        ]
        assert unit.enrollments.trail("e2") == [trail_entry(enrollment_id="e2", seq=1)]
        assert unit.enrollments.trail("e3") == []


# ── deliveries ───────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_delivery_comes_back_as_it_went_in_and_is_replaced(any_store: Store) -> None:
    full = delivery(
        status="sent", sent_at=at(1, micros=1), first_attempt_at=at(micros=3), attempts=2, provider_message_id="m-1",
        subject="Grüße \U0001f600", html="<p>é</p>", text="é", error="timeout", is_test=True, is_marketing=False,
        via="backup", claimed_at=at(micros=2),
    )  # fmt: skip
    with any_store.transaction("p1") as unit:
        unit.deliveries.save(delivery())
        unit.deliveries.save(full)
    with any_store.transaction() as unit:
        assert unit.deliveries.find("d1") == full
        assert unit.deliveries.find("d2") is None
        assert unit.deliveries.of() == [full]


def test_a_delivery_is_found_by_the_providers_id(any_store: Store) -> None:
    with any_store.transaction() as unit:
        unit.deliveries.save(delivery("d1", provider_message_id="m"))
        unit.deliveries.save(delivery("d2", provider_message_id="m", via="sms"))
        unit.deliveries.save(delivery("d3"))
        assert unit.deliveries.find_by_provider_id("email", "m") == delivery("d1", provider_message_id="m")
        assert unit.deliveries.find_by_provider_id("chat", "m") is None
        unit.deliveries.save(delivery("d1", provider_message_id="n"))
        assert unit.deliveries.find_by_provider_id("email", "m") is None
        assert unit.deliveries.find_by_provider_id("email", "n") == delivery("d1", provider_message_id="n")


def test_deliveries_are_in_order_of_claim_then_of_insertion(any_store: Store) -> None:
    with any_store.transaction() as unit:
        for delivery_id, minutes, who, name, status in (
            ("d9", 1, "p1", "welcome", "sent"), ("d1", 2, "p2", "welcome", "in_doubt"),
            ("d5", 1, "p1", "back", "in_doubt"), ("d3", 0, "p1", "welcome", "in_doubt"),
        ):  # fmt: skip
            unit.deliveries.save(
                delivery(delivery_id, claimed_at=at(minutes), profile_id=who, journey=name, status=status)
            )
        unit.deliveries.save(delivery("d9", claimed_at=at(1), status="delivered"))

        def ids(**chosen: object) -> list[str]:
            return [d.delivery_id for d in unit.deliveries.of(**chosen)]  # type: ignore[arg-type]

        assert ids() == ["d3", "d9", "d5", "d1"]
        assert ids(limit=2) == ["d5", "d1"]
        assert ids(limit=0) == []
        assert ids(profile_id="p1") == ["d3", "d9", "d5"]
        assert ids(journey="welcome") == ["d3", "d9", "d1"]
        assert ids(status="in_doubt") == ["d3", "d5", "d1"]
        assert ids(profile_id="p1", journey="welcome", status="in_doubt", limit=5) == ["d3"]


@pytest.mark.parametrize("status", ["claimed", "retrying", "sent", "held_out", "failed", "in_doubt", "delivered"])
def test_what_holds_a_place_under_caps_is_counted(any_store: Store, status: str) -> None:
    with any_store.transaction() as unit:
        unit.deliveries.save(delivery(status=status))
        assert len(unit.deliveries.counted("p1", at(-1))) == (1 if status in COUNTED else 0)
        assert len(unit.deliveries.received("p1", "welcome")) == (1 if status in TAKEN else 0)


@pytest.mark.parametrize(("error", "is_counted"), [(DOUBTED, True), ("unavailable", False), (None, False)])
def test_what_waits_for_its_next_try_holds_a_place_where_it_may_have_gone(
    any_store: Store, error: str | None, is_counted: bool
) -> None:
    with any_store.transaction() as unit:
        unit.deliveries.save(delivery(status="retrying", error=error))
        assert len(unit.deliveries.counted("p1", at(-1))) == is_counted


def test_counted_instants_ascend_and_leave_out_tests_and_transactional(any_store: Store) -> None:
    with any_store.transaction() as unit:
        unit.deliveries.save(delivery("d1", claimed_at=at(0), sent_at=at(9), status="sent"))
        unit.deliveries.save(delivery("d2", claimed_at=at(3), channel="sms", via="backup"))
        unit.deliveries.save(delivery("d3", claimed_at=at(2, micros=1)))
        unit.deliveries.save(delivery("d4", claimed_at=at(2)))
        unit.deliveries.save(delivery("d5", claimed_at=at(5), is_test=True))
        unit.deliveries.save(delivery("d6", claimed_at=at(5), is_marketing=False))
        unit.deliveries.save(delivery("d7", claimed_at=at(5), profile_id="p2"))
        assert unit.deliveries.counted("p1", at(2)) == [
            (at(2, micros=1), "email"), (at(3), "sms"), (at(9), "email"),
        ]  # fmt: skip


def test_received_instants_are_of_one_journey_and_leave_out_tests(any_store: Store) -> None:
    with any_store.transaction() as unit:
        unit.deliveries.save(delivery("d1", sent_at=at(9), status="sent"))
        unit.deliveries.save(delivery("d2", sent_at=at(3, micros=1), status="clicked", is_marketing=False))
        unit.deliveries.save(delivery("d3", sent_at=at(4), status="sent", is_test=True))
        unit.deliveries.save(delivery("d4", sent_at=at(4), status="sent", journey="back"))
        assert unit.deliveries.received("p1", "welcome") == [at(3, micros=1), at(9)]


def test_decisions_are_replaced_by_id_and_listed_by_time_then_arrival(any_store: Store) -> None:
    full = decision("c5", outcome="quiet", decided_at=at(1, micros=1), until=at(30), inputs=AWKWARD)
    with any_store.transaction() as unit:
        unit.deliveries.decide(decision("c5"))
        unit.deliveries.decide(decision("c9"))
        unit.deliveries.decide(decision("c1", enrollment_id="e2", journey="back"))
        unit.deliveries.decide(decision("c2", profile_id="p2", decided_at=at(2)))
        unit.deliveries.decide(full)

        def ids(**chosen: object) -> list[str]:
            return [d.decision_id for d in unit.deliveries.decisions(**chosen)]  # type: ignore[arg-type]

        assert ids() == ["c9", "c1", "c5", "c2"]
        assert ids(limit=2) == ["c5", "c2"]
        assert ids(profile_id="p1") == ["c9", "c1", "c5"]
        assert ids(journey="welcome") == ["c9", "c5", "c2"]
        assert ids(enrollment_id="e1") == ["c9", "c5", "c2"]
        assert ids(enrollment_id="e1", profile_id="p1", journey="welcome", limit=1) == ["c5"]
        assert unit.deliveries.decisions(profile_id="p1")[-1] == full


# ── access ───────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_link_is_kept_once(any_store: Store) -> None:
    bare = link(
        "t2", kind="open", delivery_id=None, channel=None, topic=None, address_hash=None, url=None, expires_at=at(1)
    )
    with any_store.transaction() as unit:
        unit.access.add_links([link()])
        unit.access.add_links([link(url="https://elsewhere.example")])
        unit.access.add_links([bare])
        assert unit.access.find_link("t1") == link()
        assert unit.access.find_link("t2") == bare
        assert unit.access.find_link("t3") is None


def test_keys_are_replaced_and_listed_by_age_then_name(any_store: Store) -> None:
    with any_store.transaction() as unit:
        unit.access.save_key(key("a1", name="b", scopes=("ops", "ingest")))
        unit.access.save_key(key("a2", name="a", scopes=()))
        unit.access.save_key(key("a3", name="c", created_at=at(-1)))
        revoked = key("a1", name="b", revoked_at=at(1))
        unit.access.save_key(revoked)
        assert unit.access.find_key("a1") == revoked
        assert unit.access.find_key("a9") is None
        oldest_first = unit.access.keys()
        assert [each.key_hash for each in oldest_first] == ["a3", "a2", "a1"]
        assert unit.access.find_key("a2") == key("a2", name="a", scopes=())


def test_the_people_inside_a_journey_are_listed_and_counted_by_where_they_stand(any_store: Store) -> None:
    with any_store.transaction() as unit:
        for number, (step, waiting) in enumerate([("b", "timer"), ("a", "event"), (None, None), ("b", "timer")]):
            unit.enrollments.save(
                enrollment(f"e{number}", profile_id=f"p{number}", entered_at=at(-number), step_id=step, waiting=waiting)
            )
        unit.enrollments.save(enrollment("other", journey="other"))
        unit.enrollments.save(enrollment("gone", profile_id="p9", state="ended", reason="exit", step_id="b"))
        inside = unit.enrollments.inside("welcome")
        assert [each.enrollment_id for each in inside] == ["e3", "e2", "e1", "e0"]
        assert unit.enrollments.places("welcome") == [
            Place(digest=inside[0].digest, step_id=step, waiting=waiting, people=people)
            for step, waiting, people in [(None, None, 1), ("a", "event", 1), ("b", "timer", 2)]
        ]


# ── imports ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_how_far_an_import_came_is_kept_until_it_is_removed(any_store: Store) -> None:
    mark = ImportMark(import_id="i1", progress={"rows": 250, "refused_by_code": {}}, committed_at=at(1))
    with any_store.transaction() as unit:
        assert unit.imports.find("i1") is None
        unit.imports.save(mark)
        unit.imports.save(replace(mark, progress={"rows": 500}))
    with any_store.transaction() as unit:
        assert unit.imports.find("i1") == replace(mark, progress={"rows": 500})
        unit.imports.remove("i1")
        unit.imports.remove("i1")
        assert unit.imports.find("i1") is None


# ── circuits ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_channels_in_trouble_are_kept_replaced_listed_by_name_and_removed(any_store: Store) -> None:
    out = Circuit(
        channel="sms", state="open", reason="account", failures=5, probes=2, error="Zoë: http 401", opened_at=at(1),
        probe_at=at(2, micros=1), probing="d1",
    )  # fmt: skip
    with any_store.transaction() as unit:
        unit.circuits.save(Circuit(channel="sms", failures=4))
        unit.circuits.save(Circuit(channel="email", failures=1))
        unit.circuits.save(out)
    with any_store.transaction() as unit:
        assert list(unit.circuits.all()) == [Circuit(channel="email", failures=1), out]
        assert unit.circuits.find("sms") == out
        assert unit.circuits.find("chat") is None
        unit.circuits.remove("sms")
        unit.circuits.remove("sms")
        assert list(unit.circuits.all()) == [Circuit(channel="email", failures=1)]


def test_deliveries_are_found_by_channel_and_counted_by_status(any_store: Store) -> None:
    with any_store.transaction() as unit:
        for number, (channel, status) in enumerate((("email", "sent"), ("sms", "in_doubt"), ("sms", "sent"))):
            unit.deliveries.save(delivery(f"d{number}", channel=channel, status=status))
        assert [each.delivery_id for each in unit.deliveries.of(channel="sms")] == ["d1", "d2"]
        assert [each.delivery_id for each in unit.deliveries.of(channel="sms", status="sent", limit=1)] == ["d2"]
        assert [unit.deliveries.count(status) for status in ("sent", "in_doubt", "failed")] == [2, 1, 0]
