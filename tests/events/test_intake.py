"""Intake: what comes in is kept once, names its person, and leaves something to route."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from engine.consent.addresses import address_hash
from engine.consent.decide import decide_consent
from engine.consent.model import Action, ConsentRecord
from engine.enrollment.model import Enrollment
from engine.errors import BadInput, Conflict
from engine.events.intake import IDENTIFIED, Intake
from engine.events.model import Membership, Occurrence
from engine.ids import profile_id
from engine.profiles.model import Event, Profile
from engine.project import Channel, Project, Topic
from engine.storage.memory import MemoryStore
from engine.store import Store

KEY = b"a project's key"
NOW = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
NEWS = Topic(name="news", title="Newsletter")
TIPS = Topic(name="tips", title="Tips", basis="legitimate_interest")
PROJECT = Project(
    name="shop",
    root=Path(),
    timezone="Europe/Madrid",
    locale="en",
    database="",
    channels={
        "email": Channel(name="email", use="inbox", kind="email"),
        "sms": Channel(name="sms", use="inbox", kind="sms"),
    },
    topics={"news": NEWS, "tips": TIPS},
)
INTAKE = Intake(PROJECT, KEY)


@pytest.fixture
def memory_store() -> Store:
    return MemoryStore()


def track(store: Store, user_id: str | None = "ana", *, message_id: str = "m1", **changes: Any) -> Event | None:
    call: dict[str, Any] = {
        "user_id": user_id, "name": "Cart Updated", "properties": {"total": 80}, "timestamp": NOW,
        "message_id": message_id, "now": NOW,
    }  # fmt: skip
    with store.transaction() as unit:
        return INTAKE.track(unit, **{**call, **changes})


def identify(store: Store, user_id: str | None = "ana", *, message_id: str = "i1", **changes: Any) -> Profile:
    call: dict[str, Any] = {
        "user_id": user_id, "traits": {"plan": "free"}, "timestamp": NOW, "message_id": message_id, "now": NOW,
    }  # fmt: skip
    with store.transaction() as unit:
        return INTAKE.identify(unit, **{**call, **changes})


def alias(store: Store, previous_id: str, user_id: str) -> Profile:
    with store.transaction() as unit:
        return INTAKE.alias(unit, previous_id=previous_id, user_id=user_id, now=NOW)


def erase(store: Store, user_id: str) -> None:
    with store.transaction() as unit:
        INTAKE.erase(unit, INTAKE.ensure(unit, "external", user_id, NOW), NOW)


def occurrences(store: Store) -> list[Occurrence]:
    found = []
    with store.transaction() as unit:
        while (occurrence := unit.queue.next_occurrence()) is not None:
            found.append(occurrence)
            unit.queue.remove_occurrence(occurrence.seq)
    return found


def find(store: Store, kind: str, value: str) -> Profile | None:
    with store.transaction() as unit:
        return unit.profiles.find_by(kind, value)


# ── events ───────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_an_event_of_an_unknown_person_is_stored_and_makes_the_profile(any_store: Store) -> None:
    event = track(any_store)
    ana = profile_id(KEY, "external", "ana")
    assert event == Event(
        event_id=event.event_id if event else "",
        profile_id=ana,
        name="Cart Updated",
        timestamp=NOW,
        received_at=NOW,
        properties={"total": 80},
    )
    assert find(any_store, "external", "ana") == Profile(profile_id=ana, external_id="ana", created_at=NOW)
    assert [(o.profile_id, o.kind, o.ref) for o in occurrences(any_store)] == [(ana, "event", event.event_id)]


def test_a_repeat_of_a_message_id_is_the_same_event_and_is_not_routed_again(any_store: Store) -> None:
    track(any_store)
    assert track(any_store, properties={"total": 99}) is None
    with any_store.transaction() as unit:
        assert [e.properties for e in unit.events.of(profile_id(KEY, "external", "ana"))] == [{"total": 80}]
    assert len(occurrences(any_store)) == 1


def test_the_same_message_id_from_a_journey_is_another_event(any_store: Store) -> None:
    track(any_store)
    assert track(any_store, source="emit") is not None


@pytest.mark.parametrize(
    ("ahead", "timestamp", "is_clamped"),
    [
        (timedelta(minutes=5), NOW + timedelta(minutes=5), False),
        (timedelta(minutes=5, microseconds=1), NOW, True),
        (timedelta(days=365), NOW, True),
        (-timedelta(days=30), NOW - timedelta(days=30), False),
    ],
)
def test_a_timestamp_more_than_five_minutes_ahead_is_clamped_and_marked(
    memory_store: Store, ahead: timedelta, timestamp: datetime, is_clamped: bool
) -> None:
    event = track(memory_store, timestamp=NOW + ahead)
    assert event is not None
    assert (event.timestamp, event.is_clamped) == (timestamp, is_clamped)


def test_an_event_without_a_timestamp_happened_now(memory_store: Store) -> None:
    event = track(memory_store, timestamp=None)
    assert event is not None
    assert event.timestamp == NOW


def test_computed_values_are_kept_as_json(memory_store: Store) -> None:
    event = track(memory_store, properties={"at": NOW, "on": NOW.date(), "for": timedelta(hours=1), "list": (1,)})
    assert event is not None
    assert event.properties == {"at": "2026-03-02T10:00:00Z", "on": "2026-03-02", "for": 3600.0, "list": [1]}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"user_id": None}, "userId or an anonymousId"),
        ({"name": ""}, "event name"),
        ({"name": "x" * 201}, "event name"),
        ({"properties": ["a"]}, "must be a mapping"),
        ({"properties": {"total": float("nan")}}, "`properties.total` is no finite number"),
        ({"properties": {"deep": [{"x": object()}]}}, "`properties.deep.0.x` is a object"),
        ({"timestamp": datetime(2026, 3, 2)}, "no offset"),  # noqa: DTZ001 (it is what is refused)
        ({"timestamp": datetime(1970, 1, 21, tzinfo=UTC)}, "before the year 1990"),
    ],
)
def test_an_unusable_event_is_refused_and_nothing_is_kept(
    any_store: Store, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(BadInput, match=words):
        track(any_store, **changes)
    assert find(any_store, "external", "ana") is None
    assert occurrences(any_store) == []


# ── attributes ───────────────────────────────────────────────────────────────────────────────────────────────────────
def test_identify_writes_attributes_and_the_profiles_own_fields(any_store: Store) -> None:
    traits = {
        "plan": "pro", "email": "Ana@Example.com", "phone": "+34 600 111 222", "timezone": "Europe/Madrid",
        "locale": "es_MX", "chat": {"chat": "U1"},
    }  # fmt: skip
    ana = identify(any_store, traits=traits)
    assert ana == Profile(
        profile_id=ana.profile_id,
        external_id="ana",
        email="Ana@Example.com",
        phone="+34600111222",
        timezone="Europe/Madrid",
        locale="es-MX",
        chat={"chat": "U1"},
        attributes={"plan": "pro"},
        created_at=NOW,
        set_at=dict.fromkeys(["attribute.plan", "email", "phone", "timezone", "locale", "chat.chat"], NOW),
    )
    assert find(any_store, "phone", "+34600111222") == ana
    assert [(o.kind, o.detail) for o in occurrences(any_store)] == [
        ("changed", {"names": ["email", "phone", "timezone", "locale", "chat", "plan"]})
    ]


def test_null_deletes_an_attribute_an_address_and_a_handle(any_store: Store) -> None:
    identify(any_store, traits={"plan": "pro", "email": "ana@example.com", "chat": {"chat": "U1", "team": "T1"}})
    ana = identify(any_store, traits={"plan": None, "email": None, "chat": {"chat": None}}, message_id="i2")
    assert (ana.attributes, ana.email, ana.chat) == ({}, None, {"team": "T1"})
    assert find(any_store, "email", "ana@example.com") is None


def test_what_changes_nothing_leaves_nothing_to_route(any_store: Store) -> None:
    identify(any_store)
    occurrences(any_store)
    identify(any_store, message_id="i2")
    assert occurrences(any_store) == []


def test_a_repeated_identify_does_not_undo_what_was_set_since(any_store: Store) -> None:
    identify(any_store, traits={"plan": "free"}, message_id="i1")
    identify(any_store, traits={"plan": "pro"}, message_id="i2")
    assert identify(any_store, traits={"plan": "free"}, message_id="i1").attributes == {"plan": "pro"}


def test_an_identify_is_recorded_by_the_names_it_set(memory_store: Store) -> None:
    ana = identify(memory_store, traits={"plan": "free", "email": "ana@example.com"})
    with memory_store.transaction() as unit:
        recorded = unit.events.of(ana.profile_id, IDENTIFIED)
    assert [(e.properties, e.source) for e in recorded] == [({"names": ["email", "plan"]}, "identify")]


@pytest.mark.parametrize(
    ("traits", "words"),
    [
        ({"email": "no address"}, "`email`"),
        ({"email": 7}, "`email` must be text"),
        ({"phone": "600111222"}, "`phone`"),
        ({"timezone": "Europe/Atlantis"}, "IANA name"),
        ({"timezone": "../../etc/passwd"}, "IANA name"),
        ({"locale": "the spanish one"}, "language tag"),
        ({"chat": "U1"}, "`chat` must be a mapping"),
        ({"chat": {"chat": 7}}, "`chat.chat` must be text"),
        ({"": 1}, "attribute name"),
        ({"score": float("inf")}, "`score` is no finite number"),
    ],
)
def test_unusable_traits_are_refused_by_name_and_nothing_is_kept(
    any_store: Store, traits: dict[str, Any], words: str
) -> None:
    with pytest.raises(BadInput, match=words) as refused:
        identify(any_store, traits={"plan": "pro", **traits})
    assert "no address" not in str(refused.value)
    assert find(any_store, "external", "ana") is None


# ── identities ───────────────────────────────────────────────────────────────────────────────────────────────────────
def test_identify_joins_the_anonymous_visitor_to_the_person(any_store: Store) -> None:
    before = track(any_store, None, anonymous_id="visitor", message_id="a1")
    identify(any_store, None, anonymous_id="visitor", traits={"plan": "free", "source": "ad"}, message_id="a2")
    identify(any_store, traits={"plan": "pro"})
    ana = identify(any_store, anonymous_id="visitor", traits={"name": "Ana"}, message_id="i2")
    assert ana.attributes == {"plan": "pro", "source": "ad", "name": "Ana"}
    with any_store.transaction() as unit:
        assert before is not None
        assert [e.event_id for e in unit.events.of(ana.profile_id, "Cart Updated")] == [before.event_id]
        assert unit.profiles.all_ids() == [ana.profile_id]
    later = track(any_store, None, anonymous_id="visitor", message_id="a3")
    assert later is not None
    assert later.profile_id == ana.profile_id


def test_what_awaits_routing_goes_over_to_the_person(any_store: Store) -> None:
    track(any_store, None, anonymous_id="visitor", message_id="a1")
    ana = alias(any_store, "visitor", "ana")
    assert {o.profile_id for o in occurrences(any_store)} == {ana.profile_id}


def test_a_repeat_of_a_message_from_before_the_merge_is_still_a_repeat(any_store: Store) -> None:
    track(any_store, None, anonymous_id="visitor", message_id="a1")
    alias(any_store, "visitor", "ana")
    assert track(any_store, None, anonymous_id="visitor", message_id="a1") is None


def test_a_device_that_somebody_else_used_passes_over_and_they_keep_their_past(any_store: Store) -> None:
    ana = identify(any_store, anonymous_id="device")
    ben = identify(any_store, "ben", anonymous_id="device", traits={"plan": "pro"}, message_id="i2")
    assert find(any_store, "external", "ana") == ana
    event = track(any_store, None, anonymous_id="device")
    assert event is not None
    assert event.profile_id == ben.profile_id


def test_an_alias_joins_two_known_people_whose_ids_both_lead_to_one(any_store: Store) -> None:
    identify(any_store, "old", traits={"plan": "free", "city": "Cádiz", "email": "old@example.com"}, message_id="i1")
    identify(any_store, "ana", traits={"plan": "pro"}, message_id="i2")
    alias(any_store, "old", "ana")
    merged = alias(any_store, "old", "ana")
    assert (merged.email, merged.attributes) == ("old@example.com", {"plan": "pro", "city": "Cádiz"})
    assert find(any_store, "external", "old") == find(any_store, "external", "ana") == merged
    assert find(any_store, "email", "old@example.com") == merged


def test_a_visitor_seen_first_after_the_alias_is_the_person_too(any_store: Store) -> None:
    ana = alias(any_store, "visitor", "ana")
    event = track(any_store, None, anonymous_id="visitor")
    assert event is not None
    assert event.profile_id == ana.profile_id


def test_of_an_attribute_the_newest_value_holds_however_late_an_older_one_arrives(any_store: Store) -> None:
    newer, older = NOW - timedelta(hours=1), NOW - timedelta(hours=2)
    identify(any_store, traits={"plan": "free", "city": None}, timestamp=newer, message_id="i1")
    ana = identify(any_store, traits={"plan": "pro", "city": "Cádiz", "age": 40}, timestamp=older, message_id="i2")
    assert ana.attributes == {"plan": "free", "age": 40}
    with any_store.transaction() as unit:
        journey_set = INTAKE.set_attributes(unit, ana, {"plan": "basic"}, NOW - timedelta(hours=3))
    assert journey_set.attributes["plan"] == "basic", "what we set ourselves comes after all that we know"


def test_a_merge_keeps_the_newest_of_each_attribute_and_both_peoples_addresses(any_store: Store) -> None:
    newer, older = NOW - timedelta(hours=1), NOW - timedelta(hours=2)
    old = {"plan": "pro", "city": "Cádiz", "email": "old@example.com"}
    identify(any_store, "old", traits=old, timestamp=newer, message_id="i1")
    new = {"plan": "free", "email": "ana@example.com", "phone": "+34600111222"}
    identify(any_store, "ana", traits=new, timestamp=older, message_id="i2")
    ana = alias(any_store, "old", "ana")
    assert (ana.email, ana.phone, ana.attributes) == (
        "old@example.com", "+34600111222", {"plan": "pro", "city": "Cádiz"},
    )  # fmt: skip
    for kind, value in (("email", "old@example.com"), ("email", "ana@example.com"), ("phone", "+34600111222")):
        assert find(any_store, kind, value) == ana


def test_a_person_is_found_by_a_former_address_until_somebody_else_has_it(any_store: Store) -> None:
    identify(any_store, traits={"email": "ana@example.com"}, message_id="i1")
    ana = identify(any_store, traits={"email": "ana@example.org"}, message_id="i2")
    assert find(any_store, "email", "ana@example.com") == ana
    ben = identify(any_store, "ben", traits={"email": "ana@example.com"}, message_id="i3")
    assert find(any_store, "email", "ana@example.com") == ben


def test_a_former_address_that_somebody_else_has_by_now_stays_theirs(any_store: Store) -> None:
    identify(any_store, traits={"email": "ana@example.com"}, message_id="i1")
    ben = identify(any_store, "ben", traits={"email": "ana@example.com"}, message_id="i2")
    identify(any_store, traits={"email": "ana@example.org"}, message_id="i3")
    assert find(any_store, "email", "ana@example.com") == ben


def test_every_address_that_a_person_ever_had_is_suppressed_when_they_are_erased(any_store: Store) -> None:
    identify(any_store, traits={"email": "ana@example.com"}, message_id="i1")
    identify(any_store, traits={"email": "ana@example.org"}, message_id="i2")
    erase(any_store, "ana")
    with any_store.transaction() as unit:
        for address in ("ana@example.com", "ana@example.org"):
            hashed = address_hash(KEY, "email", address)
            assert [s.kind for s in unit.consents.suppressions("email", hashed)] == ["erased"]


def test_an_alias_of_a_device_on_which_somebody_else_is_known_is_refused_and_changes_nothing(any_store: Store) -> None:
    ana = identify(any_store, anonymous_id="kiosk")
    ben = identify(any_store, "ben", traits={"plan": "pro"}, message_id="i2")
    with pytest.raises(Conflict, match=r"a device on which another known person was identified.*nothing was joined"):
        alias(any_store, "kiosk", "ben")
    assert (find(any_store, "external", "ana"), find(any_store, "external", "ben")) == (ana, ben)
    assert find(any_store, "anonymous", "kiosk") == ana


def test_whoever_comes_under_an_aliased_id_later_is_the_same_person(any_store: Store) -> None:
    ana = alias(any_store, "old", "ana")
    event = track(any_store, "old")
    assert event is not None
    assert event.profile_id == ana.profile_id


def test_an_erased_person_is_not_brought_back_by_an_alias(any_store: Store) -> None:
    identify(any_store, "old", traits={"plan": "pro"})
    erase(any_store, "old")
    ana = alias(any_store, "old", "ana")
    assert ana.attributes == {}
    assert track(any_store, "old") is None


def test_a_repeated_identify_does_not_take_a_device_back(any_store: Store) -> None:
    identify(any_store, anonymous_id="kiosk", message_id="i1")
    ben = identify(any_store, "ben", anonymous_id="kiosk", message_id="i2")
    identify(any_store, anonymous_id="kiosk", message_id="i1")
    assert find(any_store, "anonymous", "kiosk") == ben


def test_an_id_of_ours_of_before_a_merge_stands_for_the_person(any_store: Store) -> None:
    """Links and deliveries bear it: a click on one that the visitor was sent is the person's."""
    track(any_store, None, anonymous_id="visitor", message_id="a1")
    before = profile_id(KEY, "anonymous", "visitor")
    ana = alias(any_store, "visitor", "ana")
    clara = alias(any_store, "ana", "clara")
    for former in (before, ana.profile_id):
        clicked = track(any_store, None, profile_id=former, name="Clicked", message_id=f"c-{former}")
        assert clicked is not None
        assert clicked.profile_id == clara.profile_id


@pytest.mark.parametrize(("visitor", "person"), [(NOW - timedelta(days=3), NOW), (NOW, NOW - timedelta(days=3))])
def test_a_merged_person_has_been_here_since_the_first_of_the_two(
    any_store: Store, visitor: datetime, person: datetime
) -> None:
    with any_store.transaction() as unit:
        INTAKE.ensure(unit, "anonymous", "visitor", visitor)
        INTAKE.ensure(unit, "external", "ana", person)
    assert alias(any_store, "visitor", "ana").created_at == NOW - timedelta(days=3)


def test_an_address_from_before_times_were_kept_is_not_lost_to_somebody_without_one(any_store: Store) -> None:
    known = {"email": "ana@example.com", "attributes": {"plan": "pro"}, "chat": {"team": "U1"}}
    for source in ("ana", "ben"):
        with any_store.transaction() as unit:
            person = INTAKE.ensure(unit, "external", source, NOW)
            unit.profiles.save(replace(person, **known if source == "ana" else {}))
    ben = alias(any_store, "ana", "ben")
    assert (ben.email, ben.attributes, ben.chat) == tuple(known.values())
    assert (alias(any_store, "ben", "cid").email, ben.set_at) == ("ana@example.com", {})


def test_a_segment_that_both_were_told_of_the_person_has_been_in_as_before(any_store: Store) -> None:
    with any_store.transaction() as unit:
        for kind, value, since in (("anonymous", "visitor", NOW), ("external", "ana", NOW - timedelta(days=9))):
            person = INTAKE.ensure(unit, kind, value, NOW)  # type: ignore[arg-type]
            unit.memberships.save(
                Membership(profile_id=person.profile_id, segment="vip", is_member=True, changed_at=since)
            )
    ana = alias(any_store, "visitor", "ana")
    with any_store.transaction() as unit:
        assert [each.changed_at for each in unit.memberships.of(ana.profile_id)] == [NOW - timedelta(days=9)]


def test_a_segment_that_either_was_told_to_have_entered_the_person_is_in(any_store: Store) -> None:
    with any_store.transaction() as unit:
        visitor = INTAKE.ensure(unit, "anonymous", "visitor", NOW)
        person = INTAKE.ensure(unit, "external", "ana", NOW)
        for segment, profile, is_member in (("vip", visitor, True), ("vip", person, False), ("new", visitor, False)):
            unit.memberships.save(
                Membership(profile_id=profile.profile_id, segment=segment, is_member=is_member, changed_at=NOW)
            )
    ana = alias(any_store, "visitor", "ana")
    with any_store.transaction() as unit:
        assert {each.segment: each.is_member for each in unit.memberships.of(ana.profile_id)} == {"vip": True}


def consent(profile: Profile, action: Action, at: datetime) -> ConsentRecord:
    return ConsentRecord(
        consent_id=f"c-{profile.profile_id}-{action}",
        profile_id=profile.profile_id,
        action=action,
        channel="email",
        topic="news",
        address_hash=address_hash(KEY, "email", "ana@example.com") if action == "grant" else None,
        occurred_at=at,
        received_at=at,
        source="form:signup",
        wording="v1",
    )


@pytest.mark.parametrize(
    ("visitor_did", "person_did", "is_allowed"),
    [
        (None, "grant", True),
        ("grant", None, True),
        ("withdraw", "grant", False),
        ("grant", "withdraw", False),
        ("withdraw", None, False),
    ],
)
@pytest.mark.parametrize("visitor_came_first", [True, False])
def test_joining_keeps_the_stricter_consent_whoever_spoke_last(
    any_store: Store, visitor_did: Action | None, person_did: Action | None, is_allowed: bool, visitor_came_first: bool
) -> None:
    with any_store.transaction() as unit:
        visitor = INTAKE.ensure(unit, "anonymous", "visitor", NOW)
        visitor = INTAKE.set_attributes(unit, visitor, {"email": "ana@example.com"}, NOW)
        person = INTAKE.ensure(unit, "external", "ana", NOW)
        early, late = NOW - timedelta(days=2), NOW - timedelta(days=1)
        if visitor_did:
            unit.consents.add(consent(visitor, visitor_did, early if visitor_came_first else late))
        if person_did:
            unit.consents.add(consent(person, person_did, late if visitor_came_first else early))
    ana = alias(any_store, "visitor", "ana")
    with any_store.transaction() as unit:
        hashed = address_hash(KEY, "email", "ana@example.com")
        decided = decide_consent(NEWS, "email", hashed, unit.consents.of(ana.profile_id), NOW)
    assert decided.is_allowed == is_allowed


def stop(profile: Profile, number: str) -> ConsentRecord:
    return replace(
        consent(profile, "withdraw", NOW - timedelta(days=1)),
        channel="sms", topic=None, address_hash=address_hash(KEY, "sms", number), source="sms_keyword",
    )  # fmt: skip


def is_allowed(store: Store, topic: Topic, profile: Profile, number: str) -> bool:
    with store.transaction() as unit:
        records = unit.consents.of(profile.profile_id)
    return decide_consent(topic, "sms", address_hash(KEY, "sms", number), records, NOW).is_allowed


def test_a_stop_of_either_goes_with_the_person_to_any_other_number(any_store: Store) -> None:
    with any_store.transaction() as unit:
        visitor = INTAKE.ensure(unit, "anonymous", "visitor", NOW)
        unit.consents.add(stop(visitor, "+34600111222"))
    ana = alias(any_store, "visitor", "ana")
    assert not is_allowed(any_store, TIPS, ana, "+34600111333")


def test_who_stopped_one_number_and_said_yes_on_another_has_not_said_no(any_store: Store) -> None:
    with any_store.transaction() as unit:
        visitor = INTAKE.ensure(unit, "anonymous", "visitor", NOW)
        unit.consents.add(stop(visitor, "+34600111222"))
        yes = consent(visitor, "grant", NOW - timedelta(days=2))
        unit.consents.add(replace(yes, channel="sms", address_hash=address_hash(KEY, "sms", "+34600111333")))
    ana = alias(any_store, "visitor", "ana")
    assert is_allowed(any_store, NEWS, ana, "+34600111333")
    assert not is_allowed(any_store, NEWS, ana, "+34600111222")


def enrollment(profile: Profile, enrollment_id: str, **changes: Any) -> Enrollment:
    return replace(
        Enrollment(
            enrollment_id=enrollment_id,
            journey="cart",
            digest="v1",
            profile_id=profile.profile_id,
            key="c1",
            number=1,
            entered_at=NOW,
            trigger_at=NOW,
        ),
        **changes,
    )


def test_enrollments_go_on_as_the_persons_and_of_two_live_ones_the_one_entered_later_ends(any_store: Store) -> None:
    with any_store.transaction() as unit:
        visitor = INTAKE.ensure(unit, "anonymous", "visitor", NOW)
        person = INTAKE.ensure(unit, "external", "ana", NOW)
        unit.enrollments.save(enrollment(visitor, "e1", entered_at=NOW + timedelta(hours=1)))
        unit.enrollments.save(enrollment(visitor, "e2", key="c2"))
        unit.enrollments.save(enrollment(person, "e3"))
    ana = alias(any_store, "visitor", "ana")
    with any_store.transaction() as unit:
        found = {e.enrollment_id: (e.profile_id, e.state, e.reason) for e in unit.enrollments.of(journey="cart")}
        last = unit.enrollments.last("cart", ana.profile_id, "c1")
        stimuli = unit.queue.stimuli(NOW)
    assert found == {
        "e1": (ana.profile_id, "ended", "merged"),
        "e2": (ana.profile_id, "active", None),
        "e3": (ana.profile_id, "active", None),
    }
    assert last is not None
    assert (last.enrollment_id, last.number) == ("e3", 2)
    assert [stimulus.enrollment_id for stimulus in stimuli] == ["e1"]


# ── erasure ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_an_erased_person_is_forgotten_and_stays_so(any_store: Store) -> None:
    identify(any_store, anonymous_id="visitor", traits={"email": "ana@example.com", "plan": "pro"})
    occurrences(any_store)
    erase(any_store, "ana")
    assert [o.kind for o in occurrences(any_store)] == ["erased"]
    assert track(any_store, message_id="later") is None
    assert track(any_store, None, anonymous_id="visitor", message_id="later") is not None
    again = identify(any_store, traits={"email": "ana@example.com"}, message_id="later")
    assert (again.erased_at, again.email, again.attributes) == (NOW, None, {})
    with any_store.transaction() as unit:
        hashed = address_hash(KEY, "email", "ana@example.com")
        assert [s.kind for s in unit.consents.suppressions("email", hashed)] == ["erased"]


def test_erasing_twice_changes_nothing(any_store: Store) -> None:
    identify(any_store, traits={"email": "ana@example.com"})
    erase(any_store, "ana")
    occurrences(any_store)
    erase(any_store, "ana")
    assert occurrences(any_store) == []


def test_a_merged_visitor_stays_forgotten_with_the_person(any_store: Store) -> None:
    track(any_store, None, anonymous_id="visitor", message_id="a1")
    alias(any_store, "visitor", "ana")
    erase(any_store, "ana")
    assert track(any_store, None, anonymous_id="visitor", message_id="a2") is None
