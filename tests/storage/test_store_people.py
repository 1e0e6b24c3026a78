"""Every store keeps profiles, events, memberships and consents alike."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from msgspec.structs import replace

from engine.profiles.model import Profile
from engine.storage.database import Database
from engine.store import Store
from tests.storage.records import (
    AWKWARD,
    NOON,
    at,
    consent,
    decision,
    delivery,
    due,
    enrollment,
    event,
    link,
    membership,
    occurrence,
    profile,
    refusal,
    suppression,
)


# ── profiles ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_profile_comes_back_as_it_went_in(any_store: Store) -> None:
    saved = profile(
        external_id="customer-1",
        email="zoë@shop.example",
        phone="+4915112345678",
        chat={"chat": "U123", "slack": "U9"},
        timezone="Europe/Berlin",
        locale="de-CH",
        attributes=AWKWARD,
        created_at=at(micros=1),
    )
    with any_store.transaction("p1") as unit:
        unit.profiles.save(saved)
    with any_store.transaction() as unit:
        found = unit.profiles.find("p1")
        assert unit.profiles.find("p2") is None
    assert found == saved
    assert list(found.attributes) == list(AWKWARD)
    assert type(found.attributes["whole"]) is float


def test_what_is_expected_is_read_as_if_nobody_had_said_so(any_store: Store) -> None:
    with any_store.transaction() as unit:
        unit.profiles.save(profile())
        unit.expect(lambda soon: (soon.profiles.find("p1"), soon.profiles.find("p2"), soon.events.of("p1")))
        assert unit.profiles.find("p2") is None
        assert unit.profiles.find("p1") == profile()
        assert unit.events.of("p1") == []


def test_when_an_attribute_was_set_comes_back_to_the_microsecond(any_store: Store) -> None:
    saved = profile(set_at={"email": at(micros=1), "attribute.a\x00b": at(5), "chat.team": at(-60)})
    with any_store.transaction() as unit:
        unit.profiles.save(saved)
    with any_store.transaction() as unit:
        assert unit.profiles.find("p1") == saved


def test_the_identifiers_of_a_profile_are_listed_in_order(any_store: Store) -> None:
    with any_store.transaction() as unit:
        unit.profiles.save(profile(external_id="c1", email="a@shop.example"))
        unit.profiles.identify("anonymous", "cookie-2", "p1")
        unit.profiles.identify("anonymous", "cookie-1", "p1")
        assert unit.profiles.identifiers("p1") == [
            ("anonymous", "cookie-1"), ("anonymous", "cookie-2"), ("email", "a@shop.example"), ("external", "c1"),
        ]  # fmt: skip
        assert unit.profiles.identifiers("p2") == []


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({}, "v5"),
        ({"name": "bought"}, "v3"),
        ({"name": "bought", "until": at(1)}, "v2"),
        ({"until": at(0)}, "v1"),
        ({"until": at(-1)}, None),
        ({"source": "intake"}, "v4"),
        ({"name": "seen", "source": "receipt", "until": at(9)}, "v5"),
        ({"name": "left"}, None),
    ],
)
def test_the_last_event_is_the_newest_and_of_two_at_once_the_one_that_came_later(
    any_store: Store, asked: dict[str, Any], found: str | None
) -> None:
    with any_store.transaction() as unit:
        for event_id, name, minute, source in (
            ("v3", "bought", 2, "intake"), ("v1", "bought", 0, "intake"), ("v0", "bought", 1, "intake"),
            ("v2", "bought", 1, "intake"), ("v4", "seen", 3, "intake"), ("v5", "seen", 4, "receipt"),
        ):  # fmt: skip
            unit.events.add(event(event_id, name=name, timestamp=at(minute), source=source))
        unit.events.add(event("other", profile_id="p2", timestamp=at(8)))
        last = unit.events.last("p1", **asked)
    assert (last.event_id if last else None) == found


def test_memberships_are_settled_by_definition_and_by_what_was_told(any_store: Store) -> None:
    with any_store.transaction() as unit:
        for person, segment, definition, is_member, told in (
            ("p1", "vip", "d1", True, None), ("p2", "vip", "d1", True, False), ("p3", "vip", "d0", True, None),
            ("p4", "vip", None, False, None), ("p5", "other", "d1", True, None), ("p6", "vip", "d1", False, False),
        ):  # fmt: skip
            unit.memberships.save(
                membership(profile_id=person, segment=segment, definition=definition, is_member=is_member, told=told)
            )
        assert sorted(unit.memberships.settled("vip", "d1", is_told=False)) == ["p1", "p2", "p6"]
        assert sorted(unit.memberships.settled("vip", "d1", is_told=True)) == ["p1", "p6"]


def test_saving_again_replaces_the_profile(any_store: Store) -> None:
    with any_store.transaction() as unit:
        unit.profiles.save(profile(attributes={"plan": "free"}, locale="en"))
        unit.profiles.save(profile(attributes={"tier": 2}))
        assert unit.profiles.find("p1") == profile(attributes={"tier": 2})


def test_a_profile_is_found_by_each_of_its_identifiers(any_store: Store) -> None:
    saved = profile(external_id="c1", email="a@shop.example", phone="+49151", chat={"chat": "U1"})
    with any_store.transaction() as unit:
        unit.profiles.save(saved)
        unit.profiles.identify("anonymous", "cookie-1", "p1")
        unit.profiles.identify("anonymous", "cookie-1", "p1")
        for kind, value in (
            ("external", "c1"), ("email", "a@shop.example"), ("phone", "+49151"), ("chat", "U1"),
            ("anonymous", "cookie-1"),
        ):  # fmt: skip
            assert unit.profiles.find_by(kind, value) == saved
        assert unit.profiles.find_by("email", "c1") is None


def test_a_changed_address_no_longer_resolves_and_other_identifiers_stay(any_store: Store) -> None:
    with any_store.transaction() as unit:
        unit.profiles.save(profile(email="old@shop.example", chat={"chat": "U1"}))
        unit.profiles.identify("anonymous", "cookie-1", "p1")
        unit.profiles.identify("external", "merged-id", "p1")
        changed = profile(email="new@shop.example")
        unit.profiles.save(changed)
        assert unit.profiles.find_by("email", "old@shop.example") is None
        assert unit.profiles.find_by("chat", "U1") is None
        for kind, value in (("email", "new@shop.example"), ("anonymous", "cookie-1"), ("external", "merged-id")):
            assert unit.profiles.find_by(kind, value) == changed


def test_an_identifier_is_taken_over_and_not_taken_back_by_an_unrelated_change(any_store: Store) -> None:
    with any_store.transaction() as unit:
        unit.profiles.save(profile("p1", email="shared@shop.example"))
        unit.profiles.save(profile("p2", email="shared@shop.example"))
        unit.profiles.save(profile("p1", email="shared@shop.example", locale="de"))
        found = unit.profiles.find_by("email", "shared@shop.example")
        assert found is not None
        assert found.profile_id == "p2"
        unit.profiles.save(profile("p1", email="own@shop.example"))
        assert unit.profiles.find_by("email", "shared@shop.example") == found


def test_all_ids_ascend_by_code_point_without_the_erased(any_store: Store) -> None:
    with any_store.transaction() as unit:
        for profile_id in ("pb", "pa", "pB", "p_", "pz"):
            unit.profiles.save(profile(profile_id))
        unit.profiles.erase("pz", NOON)
        assert unit.profiles.all_ids() == ["pB", "p_", "pa", "pb"]


def test_erasure_empties_what_is_personal_and_leaves_ids_and_outcomes(any_store: Store) -> None:
    with any_store.transaction() as unit:
        for who in ("p1", "p2"):
            unit.profiles.save(
                profile(
                    who, external_id=f"x-{who}", email=f"{who}@shop.example", chat={"chat": who}, attributes={"a": 1}
                )
            )
            unit.profiles.identify("anonymous", f"cookie-{who}", who)
            unit.events.add(event(f"v-{who}", profile_id=who, properties={"city": "Bern"}))
            unit.enrollments.save(
                enrollment(f"e-{who}", profile_id=who, trigger={"city": "Bern"}, steps={"ask": {"response": "me"}})
            )
            unit.deliveries.save(
                delivery(f"d-{who}", profile_id=who, status="sent", subject="S", html="H", text="T", sent_at=NOON)
            )
            unit.consents.add(consent(f"k-{who}", profile_id=who, evidence={"ip": "203.0.113.9"}, address_hash="h"))
            unit.access.add_links([link(f"t-{who}", profile_id=who)])
            unit.dues.put(due(who, kind="date", basis="1990-04-01"))
            unit.memberships.save(membership(who))
    with any_store.transaction("p1") as unit:
        unit.profiles.erase("p1", at(5))
        unit.profiles.erase("p3", at(5))
    with any_store.transaction() as unit:
        assert unit.profiles.find("p1") == Profile(profile_id="p1", created_at=NOON, erased_at=at(5))
        assert unit.profiles.find("p3") is None
        for kind, value in (
            ("external", "x-p1"), ("email", "p1@shop.example"), ("chat", "p1"), ("anonymous", "cookie-p1"),
        ):  # fmt: skip
            assert unit.profiles.find_by(kind, value) is None
        assert unit.events.of("p1") == [event("v-p1", profile_id="p1")]
        assert unit.enrollments.find("e-p1") == enrollment("e-p1", profile_id="p1")
        assert unit.deliveries.find("d-p1") == delivery("d-p1", profile_id="p1", status="sent", to="", sent_at=NOON)
        assert unit.consents.of("p1") == [consent("k-p1", profile_id="p1", address_hash="h")]
        assert unit.access.find_link("t-p1") == link("t-p1", profile_id="p1", url=None)
        assert unit.dues.until(at(1)) == [due("p2", kind="date", basis="1990-04-01")]
        assert unit.memberships.members("regulars") == ["p2"]
        # Nobody else is touched.
        assert unit.profiles.find_by("anonymous", "cookie-p2") == unit.profiles.find("p2")
        other = unit.events.find("v-p2")
        assert other is not None
        assert other.properties == {"city": "Bern"}
        assert unit.consents.of("p2")[0].evidence == {"ip": "203.0.113.9"}


def test_what_is_one_profiles_can_be_handed_over_to_another(any_store: Store) -> None:
    with any_store.transaction() as unit:
        unit.profiles.save(profile("p1", email="a@shop.example"))
        unit.profiles.save(profile("p2"))
        unit.profiles.identify("anonymous", "cookie", "p1")
        unit.events.add(event("v1", profile_id="p1", timestamp=at(1)))
        unit.events.add(event("v2", profile_id="p2", timestamp=at(0)))
        unit.queue.add_occurrence(occurrence("p1", ref="v1"))
        unit.deliveries.save(delivery(profile_id="p1"))
        unit.deliveries.decide(about_p1 := decision(profile_id="p1"))
        unit.enrollments.refuse(refusal(profile_id="p1"))
        unit.enrollments.save(enrollment(profile_id="p1"))
        unit.access.add_links([link(profile_id="p1")])
        unit.consents.add(consent(profile_id="p1"))
        unit.dues.put(due("p1"))
        unit.memberships.save(membership("p1"))
    with any_store.transaction("p2") as unit:
        unit.profiles.hand_over("p1", "p2")
        unit.enrollments.save(enrollment(profile_id="p2"))
    with any_store.transaction() as unit:
        assert unit.profiles.find_by("email", "a@shop.example") == profile("p2")
        assert unit.profiles.find_by("anonymous", "cookie") == profile("p2")
        assert [e.event_id for e in unit.events.of("p2")] == ["v2", "v1"]
        assert unit.events.of("p1") == []
        waiting = unit.queue.next_occurrence()
        assert waiting is not None
        assert (waiting.profile_id, waiting.ref) == ("p2", "v1")
        assert unit.deliveries.of(profile_id="p2") == [delivery(profile_id="p2")]
        assert unit.deliveries.of(profile_id="p1") == []
        assert unit.enrollments.refusals(profile_id="p2") == [refusal(profile_id="p2")]
        assert unit.enrollments.active("p1") == []
        assert unit.enrollments.active("p2") == [enrollment(profile_id="p2")]
        assert unit.access.find_link("t1") == link(profile_id="p2")
        assert unit.dues.next_at() is None
        assert unit.memberships.of("p1") == unit.memberships.of("p2") == []
        # What was decided and consented stays with whom it was about.
        assert unit.deliveries.decisions(profile_id="p1") == [about_p1]
        assert unit.consents.of("p1") == [consent(profile_id="p1")]


# ── events ───────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_an_event_is_stored_once_and_comes_back_as_it_went_in(any_store: Store) -> None:
    stored = event(
        name="Заказ", timestamp=at(micros=999_999), received_at=at(micros=1), properties=AWKWARD, source="emit",
        is_clamped=True,
    )  # fmt: skip
    with any_store.transaction("p1") as unit:
        assert unit.events.add(stored) is True
    with any_store.transaction("p1") as unit:
        assert unit.events.add(replace(stored, name="other", properties={})) is False
        assert unit.events.find("v1") == stored
        assert unit.events.find("v2") is None


def test_events_are_in_order_of_timestamp_then_of_arrival(any_store: Store) -> None:
    with any_store.transaction() as unit:
        for event_id, minutes in (("v9", 2), ("v3", 1), ("v8", 1), ("v1", 1), ("v5", 0)):
            unit.events.add(event(event_id, timestamp=at(minutes)))
        unit.events.add(event("x", profile_id="p2"))
        assert [e.event_id for e in unit.events.of("p1")] == ["v5", "v3", "v8", "v1", "v9"]


def test_events_are_chosen_by_name_and_from_an_instant_on(any_store: Store) -> None:
    with any_store.transaction() as unit:
        for event_id, name, micros in (("v1", "a", 0), ("v2", "b", 1), ("v3", "a", 1), ("v4", "a", 2)):
            unit.events.add(event(event_id, name=name, timestamp=at(micros=micros)))
        assert [e.event_id for e in unit.events.of("p1", "a")] == ["v1", "v3", "v4"]
        assert [e.event_id for e in unit.events.of("p1", since=at(micros=1))] == ["v2", "v3", "v4"]
        assert [e.event_id for e in unit.events.of("p1", "a", since=at(micros=1))] == ["v3", "v4"]
        assert unit.events.of("p1", "c") == []
        assert [e.event_id for e in unit.events.of_each("p1", ["a", "c", "b"], since=at(micros=1))] == [
            "v3",
            "v4",
            "v2",
        ]
        assert [e.event_id for e in unit.events.of_each("p1", ["b", "a"], since=at(micros=1))] == ["v2", "v3", "v4"]
        assert unit.events.of_each("p1", [], since=at()) == []


def test_an_instant_of_another_zone_or_century_is_the_same_instant_in_utc(any_store: Store) -> None:
    tokyo = timezone(timedelta(hours=9))
    early = datetime(1905, 1, 1, 9, 0, 0, 7, tzinfo=tokyo)
    with any_store.transaction() as unit:
        unit.events.add(event("v1", timestamp=NOON.astimezone(tokyo)))
        unit.events.add(event("v2", timestamp=early))
    with any_store.transaction() as unit:
        first, second = unit.events.of("p1")
    assert (first.timestamp, second.timestamp) == (early, NOON)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object()])
def test_what_is_not_json_is_refused_by_databases(database: Database, value: object) -> None:
    with pytest.raises(Exception, match="JSON"), database.transaction() as unit:
        unit.events.add(event(properties={"value": value}))
    with database.transaction() as unit:
        assert unit.events.of("p1") == []


# ── memberships and consents ─────────────────────────────────────────────────────────────────────────────────────────
def test_memberships_are_replaced_and_listed_by_segment_and_by_profile(any_store: Store) -> None:
    with any_store.transaction() as unit:
        for segment in ("b", "a", "C"):
            unit.memberships.save(membership("p1", segment, is_member=False))
        for who in ("p3", "p2", "p1"):
            unit.memberships.save(membership(who, "a", changed_at=at(micros=3)))
        unit.memberships.save(membership("p3", "a", is_member=False))
    with any_store.transaction() as unit:
        assert unit.memberships.of("p1") == [
            membership("p1", "C", is_member=False),
            membership("p1", "a", changed_at=at(micros=3)),
            membership("p1", "b", is_member=False),
        ]
        assert unit.memberships.of("p9") == []
        assert unit.memberships.members("a") == ["p1", "p2"]


def test_the_ledger_takes_each_record_once_and_keeps_the_order_of_arrival(any_store: Store) -> None:
    full = consent(
        "k9", action="withdraw", channel=None, topic=None, address_hash="h", basis="soft_opt_in", occurred_at=at(-9),
        received_at=at(micros=5), actor="agent", wording="v3", expires_at=at(60), evidence=AWKWARD,
    )  # fmt: skip
    with any_store.transaction("p1") as unit:
        assert unit.consents.add(consent("k5")) is True
        assert unit.consents.add(full) is True
        assert unit.consents.add(consent("k1", profile_id="p2")) is True
        assert unit.consents.add(consent("k7")) is True
        assert unit.consents.add(replace(full, action="grant")) is False
    with any_store.transaction() as unit:
        assert unit.consents.of("p1") == [consent("k5"), full, consent("k7")]
        assert [record.consent_id for record in unit.consents.log()] == ["k5", "k9", "k1", "k7"]
        assert [record.consent_id for record in unit.consents.log(limit=2)] == ["k1", "k7"]
        assert unit.consents.log(limit=0) == []


def test_a_suppression_is_lifted_by_replacing_it_and_keeps_its_place(any_store: Store) -> None:
    lifted = suppression("s9", lifted_at=at(3))
    with any_store.transaction() as unit:
        for each in (suppression("s9"), suppression("s1", kind="complaint"), suppression("s5", address_hash="h2")):
            unit.consents.suppress(each)
        unit.consents.suppress(suppression("s7", channel_kind="sms"))
        unit.consents.suppress(lifted)
        assert unit.consents.suppressions("email", "h1") == [lifted, suppression("s1", kind="complaint")]
        assert [each.suppression_id for each in unit.consents.all_suppressions()] == ["s9", "s1", "s5", "s7"]
