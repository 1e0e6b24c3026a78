"""Importing: rows become people, history and consents once, whatever the batches; a refused row says why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.consent.addresses import address_hash
from engine.consent.decide import decide_consent
from engine.events.importing.columns import Columns
from engine.events.importing.consents import ConsentRows
from engine.events.importing.events import EventRows
from engine.events.importing.history import History
from engine.events.importing.importer import Importer, Tally
from engine.events.importing.profiles import ProfileRows
from engine.events.importing.rows import Refusal, Row
from engine.events.importing.taker import Taker
from engine.plan.model import EventTrigger, InactiveTrigger, SegmentTrigger
from engine.project import Segment
from engine.storage.memory import MemoryStore
from engine.store import Store
from tests.factories import KEY, NOW, Shop, after, plan, wait

LONG_AGO = (NOW - timedelta(days=90)).isoformat()
GRANT = {
    "id": "ana", "channel": "email", "topic": "news", "address": "ana@example.com", "source": "form:footer",
    "wording": "v3", "occurred_at": LONG_AGO,
}  # fmt: skip


#: A name for each type that the catalogue knows.
TYPES = {
    "text": "string", "visits": "number", "vip": "boolean", "born": "date", "seen": "timestamp", "tags": "list",
    "more": "object", "some": "any",
}  # fmt: skip


def profile_rows(shop: Shop, **changes: Any) -> ProfileRows:
    return ProfileRows(project=shop.project, intake=shop.engine.intake, **changes)


def event_rows(shop: Shop, **changes: Any) -> EventRows:
    engine = shop.engine
    history = History(engine.plans, engine.facts, engine.dues)
    return EventRows(project=shop.project, intake=engine.intake, history=history, **changes)


def consent_rows(shop: Shop, **changes: Any) -> ConsentRows:
    engine = shop.engine
    return ConsentRows(
        project=shop.project, project_key=KEY, intake=engine.intake, ledger=engine.ledger, label="old.csv", **changes
    )


def run(
    shop: Shop, taker: Taker[Any], rows: Sequence[Mapping[str, Any]], *, is_dry: bool = False, batch: int = 100
) -> tuple[Tally, list[Refusal]]:
    columns = Columns(aliases=taker.aliases)
    importer = Importer(shop.store, taker, columns, shop.engine.clock, is_dry=is_dry, batch=batch)
    tally = Tally()
    numbered = (Row(number=number, cells=cells) for number, cells in enumerate(rows, 1))
    refusals = [refusal for refused in importer.run(numbered, tally) for refusal in refused]
    return tally, refusals


def told(tally: Tally) -> tuple[int, int, dict[str, int]]:
    return tally.taken, tally.unchanged, dict(tally.refused)


def state(store: Store) -> Any:
    """Everything that an import may write, without the moments at which it was written."""
    with store.transaction() as unit:
        people = [unit.profiles.find(one) for one in unit.profiles.all_ids()]
        blocked = sorted(block.suppression_id for block in unit.consents.all_suppressions())
        return [
            (
                (one.external_id, one.email, one.phone, one.chat, one.locale, one.attributes),
                unit.profiles.identifiers(one.profile_id),
                sorted((e.event_id, e.name, e.timestamp, str(e.properties)) for e in unit.events.of(one.profile_id)),
                [(c.consent_id, c.action, c.topic, c.occurred_at) for c in unit.consents.of(one.profile_id)],
                [(m.segment) for m in unit.memberships.of(one.profile_id) if m.is_member],
            )
            for one in people
            if one
        ], blocked


# ── profiles ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_profile_has_its_own_fields_and_typed_attributes(any_store: Store) -> None:
    shop = Shop(any_store, attributes={"visits": "number", "vip": "boolean", "born": "date", "tags": "list"})
    tally, refusals = run(
        shop,
        profile_rows(shop),
        [
            {
                "id": " ana ", "email": "Ana@Example.com", "phone": "+34 600 111 222", "timezone": "Europe/Madrid",
                "locale": "es_MX", "chat.chat": "U1", "visits": "12", "vip": "Yes", "born": "1990-05-01",
                "tags": '["a"]', "note": "=1+1", "empty": "  ",
            }
        ],
    )  # fmt: skip
    assert (told(tally), refusals) == ((1, 0, {}), [])
    with any_store.transaction() as unit:
        ana = unit.profiles.find_by("external", "ana")
    assert ana
    assert (ana.email, ana.phone, ana.timezone, ana.locale, ana.chat) == (
        "Ana@Example.com", "+34600111222", "Europe/Madrid", "es-MX", {"chat": "U1"},
    )  # fmt: skip
    assert ana.attributes == {"visits": 12, "vip": True, "born": "1990-05-01", "tags": ["a"], "note": "=1+1"}


def test_an_empty_cell_says_nothing_unless_it_is_told_to_delete(any_store: Store) -> None:
    shop = Shop(any_store)
    run(shop, profile_rows(shop), [{"id": "ana", "email": "ana@example.com", "plan": "pro", "chat.chat": "U1"}])
    emptied = {"id": "ana", "email": "", "plan": None, "chat.chat": " "}
    tally, _ = run(shop, profile_rows(shop), [emptied])
    assert told(tally) == (0, 1, {})
    tally, _ = run(shop, profile_rows(shop, is_empty_deleting=True), [emptied])
    with any_store.transaction() as unit:
        ana = unit.profiles.find_by("external", "ana")
    assert ana
    assert (ana.email, ana.attributes, ana.chat) == (None, {}, {})


@pytest.mark.parametrize(
    ("cells", "column", "code"),
    [
        ({"email": "a@example.com"}, "id", "missing"),
        ({"id": "x" * 256}, "id", "too_long"),
        ({"id": "a\x00b"}, "id", "characters"),
        ({"id": "a\udcff"}, "id", "encoding"),
        ({"id": 1.5}, "id", "type"),
        ({"id": "a", "email": "no address"}, "email", "address"),
        ({"id": "a", "email": "a@b\r\nBcc: x@example.com"}, "email", "characters"),
        ({"id": "a", "phone": "600111222"}, "phone", "address"),
        ({"id": "a", "phone": "+1 900 555 0100"}, "phone", "address"),
        ({"id": "a", "timezone": "Mars/Olympus"}, "timezone", "timezone"),
        ({"id": "a", "locale": "{{7*7}}"}, "locale", "locale"),
        ({"id": "a", "chat.fax": "1"}, "chat.fax", "unknown_channel"),
        ({"id": "a", "visits": "=1+1"}, "visits", "type"),
        ({"id": "a", "visits": "1e999"}, "visits", "type"),
        ({"id": "a", "visits": True}, "visits", "type"),
        ({"id": "a", "visits": float("nan")}, "visits", "type"),
        ({"id": "a", "born": "01/05/1990"}, "born", "type"),
        ({"id": "a", "tags": "[" * 100_000}, "tags", "json"),
        ({"id": "a", "tags": '{"a": 1}'}, "tags", "json"),
        ({"id": "a", "tags": "[NaN]"}, "tags", "json"),
        ({"id": "a", "raw": b"bytes"}, "raw", "type"),
        ({"id": "a", "x" * 201: "1"}, "x" * 201, "attribute"),
        ({"id": "a", "seen": datetime(2026, 3, 1)}, "seen", "offset"),  # noqa: DTZ001 - without, on purpose
    ],
)
def test_a_hostile_row_is_refused_by_its_column_and_changes_nothing(
    cells: Mapping[str, Any], column: str, code: str
) -> None:
    shop = Shop(MemoryStore(), attributes={"visits": "number", "born": "date", "tags": "list"})
    tally, refusals = run(shop, profile_rows(shop), [cells, {"id": "good"}])
    assert told(tally) == (1, 0, {code: 1})
    assert [(each.row, each.column, each.code) for each in refusals] == [(1, column, code)]
    assert [person[0][0] for person in state(shop.store)[0]] == ["good"]


def test_a_refusal_never_repeats_the_cell() -> None:
    shop = Shop(MemoryStore(), attributes={"visits": "number"})
    secret = "secret-canary"
    _, refusals = run(
        shop,
        profile_rows(shop),
        [{"id": "a", name: secret} for name in ("email", "phone", "timezone", "chat.fax", "visits")],
    )
    assert len(refusals) == 5
    assert all(secret not in refusal.message for refusal in refusals)


def test_an_erased_person_is_not_brought_back(any_store: Store) -> None:
    shop = Shop(any_store)
    shop.person("ana")
    shop.erase("ana")
    tally, _ = run(shop, profile_rows(shop), [{"id": "ana", "email": "ana@example.com"}])
    assert told(tally) == (0, 0, {"erased": 1})
    tally, _ = run(shop, event_rows(shop), [{"id": "ana", "event": "X", "timestamp": LONG_AGO}])
    assert told(tally) == (0, 0, {"erased": 1})
    tally, _ = run(shop, consent_rows(shop), [GRANT])
    assert told(tally) == (0, 0, {"erased": 1})
    # Another person with the erased one's address cannot be granted over the block that stays.
    run(shop, profile_rows(shop), [{"id": "anew", "email": "ana@example.com"}])
    tally, _ = run(shop, consent_rows(shop), [{**GRANT, "id": "anew"}])
    assert told(tally) == (0, 0, {"grant_refused": 1})


def test_a_dry_run_reports_and_keeps_nothing(any_store: Store) -> None:
    shop = Shop(any_store)
    before = state(any_store)
    tally, _ = run(shop, profile_rows(shop), [{"id": "ana", "plan": "pro"}, {"id": ""}], is_dry=True)
    assert told(tally) == (1, 0, {"missing": 1})
    assert state(any_store) == before


# ── events ───────────────────────────────────────────────────────────────────────────────────────────────────────────
def buyers() -> dict[str, Any]:
    condition = 'count("Order Completed") >= 2'
    return {"segments": {"buyers": Segment(name="buyers", title="Buyers", condition=condition)}}


def order(day: float, **changes: Any) -> dict[str, Any]:
    at = (NOW - timedelta(days=day)).isoformat()
    return {"user_id": "ana", "event": "Order Completed", "timestamp": at, "properties.total": "30"} | changes


def test_history_starts_nothing_and_memberships_follow_from_it(any_store: Store) -> None:
    cart = plan(wait(days=30), journey="cart", triggers=(EventTrigger(event="Order Completed"),))
    club = plan(wait(days=30), journey="club", triggers=(SegmentTrigger(segment="buyers", on="enter"),))
    shop = Shop(any_store, cart, club, events={"Order Completed": {"total": "number"}}, **buyers()).open()
    shop.person("ana")
    shop.settle()
    tally, _ = run(shop, event_rows(shop), [order(30), order(60), order(60)])
    assert told(tally) == (2, 1, {})
    shop.settle()
    with any_store.transaction() as unit:
        assert unit.enrollments.of() == []
        assert [(m.segment, m.is_member) for m in unit.memberships.of(shop.id_of("ana"))] == [("buyers", True)]
        assert [event.properties for event in unit.events.of(shop.id_of("ana"))] == [{"total": 30}, {"total": 30}]


def test_what_happened_within_a_day_takes_its_ordinary_way(any_store: Store) -> None:
    cart = plan(wait(days=30), journey="cart", triggers=(EventTrigger(event="Order Completed"),))
    shop = Shop(any_store, cart).open()
    shop.person("ana")
    run(shop, event_rows(shop), [order(1), order(1.1)])
    shop.settle()
    with any_store.transaction() as unit:
        assert [(e.journey, e.trigger_at) for e in unit.enrollments.of()] == [("cart", after(days=-1))]


def test_a_change_that_awaits_the_router_is_not_swallowed_by_history(any_store: Store) -> None:
    club = plan(wait(days=30), journey="club", triggers=(SegmentTrigger(segment="buyers", on="enter"),))
    shop = Shop(any_store, club, **buyers()).open()
    shop.person("ana")
    shop.settle()
    shop.track("Order Completed", at=NOW - timedelta(minutes=2))
    shop.track("Order Completed", at=NOW - timedelta(minutes=1))
    run(shop, event_rows(shop), [order(30)])
    shop.settle()
    with any_store.transaction() as unit:
        assert [enrollment.journey for enrollment in unit.enrollments.of()] == ["club"]


def test_a_recent_event_after_its_history_has_its_effect(any_store: Store) -> None:
    club = plan(wait(days=30), journey="club", triggers=(SegmentTrigger(segment="buyers", on="enter"),))
    shop = Shop(any_store, club, **buyers()).open()
    run(shop, event_rows(shop), [order(30), order(0.1)])
    shop.settle()
    with any_store.transaction() as unit:
        assert [enrollment.journey for enrollment in unit.enrollments.of()] == ["club"]


def test_a_lapse_is_counted_from_history_and_one_long_over_is_history(any_store: Store) -> None:
    back = plan(
        wait(days=30), journey="back", triggers=(InactiveTrigger(event="Order Completed", for_seconds=30 * 86_400),)
    )
    shop = Shop(any_store, back).open()
    run(shop, event_rows(shop), [order(10), order(90, user_id="bo")])
    shop.settle()
    shop.run_until(after(days=25))
    with any_store.transaction() as unit:
        assert [e.profile_id for e in unit.enrollments.of(journey="back")] == [shop.id_of("ana")]


@pytest.mark.parametrize(
    ("cells", "column", "code"),
    [
        (order(9, event=""), "event", "missing"),
        (order(9, user_id=None), "user_id", "missing"),
        (order(9, timestamp="yesterday"), "timestamp", "timestamp"),
        (order(9, timestamp="2026-02-01 10:00"), "timestamp", "offset"),
        (order(9, timestamp="2026-02-01"), "timestamp", "offset"),
        (order(9, timestamp=0), "timestamp", "timestamp"),
        (order(9, timestamp="0001-01-01T00:00:00+14:00"), "timestamp", "timestamp"),
        (order(9, timestamp="1970-01-01T00:00:00Z"), "timestamp", "timestamp"),
        (order(-365), "timestamp", "future"),
        (order(9, properties="[1]"), "properties", "json"),
        (order(9, properties="{"), "properties", "json"),
        (order(9, **{"properties.total": "a lot"}), "properties.total", "type"),
        (order(9, message_id="m" * 256), "message_id", "too_long"),
    ],
)
def test_a_hostile_event_is_refused(cells: Mapping[str, Any], column: str, code: str) -> None:
    shop = Shop(MemoryStore(), events={"Order Completed": {"total": "number"}})
    tally, refusals = run(shop, event_rows(shop), [cells])
    assert told(tally) == (0, 0, {code: 1})
    assert refusals[0].column == column
    assert state(shop.store) == ([], [])


def test_seconds_and_milliseconds_of_the_epoch_and_a_named_zone_are_instants() -> None:
    from zoneinfo import ZoneInfo

    shop = Shop(MemoryStore())
    seconds = int((NOW - timedelta(days=9)).timestamp())
    rows = [order(9, timestamp=each) for each in (seconds, str(seconds), seconds * 1000, "2026-02-21 11:00")]
    tally, refusals = run(shop, event_rows(shop, zone=ZoneInfo("Europe/Madrid")), rows)
    assert (told(tally), refusals) == ((1, 3, {}), [])


def test_a_message_id_is_the_same_event_here_and_through_the_api(any_store: Store) -> None:
    shop = Shop(any_store)
    with any_store.transaction() as unit:
        shop.engine.intake.track(
            unit, user_id="ana", name="Order Completed", properties={}, timestamp=NOW, message_id="m1", now=NOW
        )
    tally, _ = run(shop, event_rows(shop), [order(9, message_id="m1"), order(0, message_id="m1")])
    assert told(tally) == (0, 2, {})


# ── consents ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def decided(shop: Shop, person: str = "ana", address: str = "ana@example.com") -> str:
    with shop.store.transaction() as unit:
        records = unit.consents.of(shop.id_of(person))
    topic = shop.project.topics["news"]
    return decide_consent(topic, "email", address_hash(KEY, "email", address), records, NOW).reason


def test_a_grant_with_its_evidence_is_a_grant_by_import(any_store: Store) -> None:
    shop = Shop(any_store)
    shop.person("ana", consents=[])
    for expected in [(1, 0, {}), (0, 1, {})]:
        tally, refusals = run(shop, consent_rows(shop), [GRANT])
        assert (told(tally), refusals) == (expected, [])
    with any_store.transaction() as unit:
        (record,) = unit.consents.of(shop.id_of("ana"))
    assert (record.actor, record.source, record.wording) == ("import", "form:footer", "v3")
    assert decided(shop) == "granted"


@pytest.mark.parametrize("field", ["channel", "topic", "address", "source", "wording", "occurred_at"])
def test_a_grant_without_a_part_of_its_evidence_is_refused(field: str) -> None:
    shop = Shop(MemoryStore())
    shop.person("ana", consents=[])
    tally, refusals = run(shop, consent_rows(shop), [{**GRANT, field: ""}])
    assert (told(tally), refusals[0].column) == ((0, 0, {"missing": 1}), field)
    assert decided(shop) == "no_grant"


@pytest.mark.parametrize("field", ["occurred_at", "confirmed_at", "expires_at"])
@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+14:00", "1970-01-21T12:20:38Z", "9999-12-31T23:59:59-14:00"])
def test_a_consent_of_a_time_that_cannot_be_is_refused_and_the_others_are_not(field: str, at: str) -> None:
    shop = Shop(MemoryStore())
    shop.person("ana", consents=[])
    tally, refusals = run(shop, consent_rows(shop), [{**GRANT, field: at}, GRANT])
    assert (told(tally), refusals[0].column) == ((1, 0, {"timestamp": 1}), field)


def test_a_grant_for_another_address_waits_for_it(any_store: Store) -> None:
    shop = Shop(any_store)
    shop.person("ana", consents=[])
    run(shop, consent_rows(shop), [{**GRANT, "address": "old@example.com"}])
    assert (decided(shop), decided(shop, address="old@example.com")) == ("no_grant", "granted")


def test_an_import_never_lifts_what_the_person_has_said(any_store: Store) -> None:
    shop = Shop(any_store)
    shop.person("ana")
    shop.withdraw("ana", "email", "news")
    shop.now = after(days=2)
    later = after(days=1).isoformat()
    tally, refusals = run(shop, consent_rows(shop), [{**GRANT, "occurred_at": later}])
    assert told(tally) == (0, 0, {"grant_refused": 1})
    assert "only the person's own grant" in refusals[0].message


def test_a_suppressed_address_stays_suppressed(any_store: Store) -> None:
    shop = Shop(any_store)
    shop.person("ana", consents=[])
    block = {"action": "suppress", "channel": "email", "address": "ANA@example.com", "kind": "complaint"}
    for expected in [(1, 0, {}), (0, 1, {})]:
        assert told(run(shop, consent_rows(shop), [block])[0]) == expected
    assert told(run(shop, consent_rows(shop), [GRANT])[0]) == (0, 0, {"grant_refused": 1})


def test_a_withdrawal_waits_for_somebody_who_is_not_here_yet_and_a_grant_does_not(any_store: Store) -> None:
    shop = Shop(any_store)
    withdrawal = {"id": "ana", "action": "withdraw", "channel": "email", "occurred_at": LONG_AGO}
    tally, _ = run(shop, consent_rows(shop), [{**GRANT, "id": "bo"}, withdrawal])
    assert told(tally) == (1, 0, {"unknown_profile": 1})
    assert decided(shop) == "withdrawn"


def test_a_person_is_found_by_the_address(any_store: Store) -> None:
    shop = Shop(any_store)
    shop.person("ana", consents=[])
    row = {"action": "withdraw", "channel": "email", "address": "ANA@example.com", "occurred_at": LONG_AGO}
    tally, refusals = run(shop, consent_rows(shop), [row, {**row, "address": "nobody@example.com"}])
    assert told(tally) == (1, 0, {"unknown_profile": 1})
    assert "nobody" not in refusals[0].message
    assert decided(shop) == "withdrawn"


def test_a_grant_that_was_confirmed_elsewhere_asks_nobody_again(any_store: Store) -> None:
    from tests.factories import topic

    shop = Shop(any_store, topics={"news": topic("news", double_opt_in=("email",))}).open()
    shop.person("ana", consents=[])
    run(shop, consent_rows(shop), [{**GRANT, "confirmed_at": LONG_AGO}])
    shop.settle()
    assert (decided(shop), shop.deliveries("ana")) == ("granted", [])


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"action": "regrant"}, "action"),
        ({"basis": "implied"}, "action"),
        ({"kind": "erased"}, "action"),
        ({"channel": "fax"}, "unknown_channel"),
        ({"topic": "spam"}, "unknown_topic"),
        ({"address": "=cmd|' /C calc'!A0"}, "address"),
        ({"occurred_at": "2030-01-01T00:00:00Z"}, "future"),
        ({"confirmed_at": "2020-01-01T00:00:00Z"}, "grant_refused"),
        ({"basis": "soft_opt_in", "evidence.sale": "true"}, "grant_refused"),
        ({"evidence": "[]"}, "json"),
    ],
)
def test_a_hostile_consent_is_refused(changes: Mapping[str, Any], code: str) -> None:
    shop = Shop(MemoryStore())
    shop.person("ana", consents=[])
    tally, _ = run(shop, consent_rows(shop), [{**GRANT, **changes}])
    assert told(tally) == (0, 0, {code: 1})
    assert state(shop.store)[0][0][3] == []


# ── columns ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_columns_are_mapped_left_out_and_told_by_their_own_name() -> None:
    columns = Columns(mapped={"E-Mail": "email", "Note": ""}, aliases={"userId": "id"})
    cells = {"userId": "a", "E-Mail": "a@example.com", "email": "old@example.com", "Note": "x", "plan": "pro"}
    assert columns.arrange(cells) == {"id": "a", "email": "a@example.com", "plan": "pro"}
    assert [columns.column_of(name, cells) for name in ("email", "id", "phone")] == ["E-Mail", "userId", "phone"]


def test_of_two_columns_for_one_field_its_very_name_counts() -> None:
    columns = Columns(fields=("id", "email"), aliases={"user_id": "id"})
    assert columns.arrange({"email": "new", "E-MAIL": "old", "Userid": "a"}) == {"email": "new", "id": "a"}
    assert columns.arrange({"E-MAIL": "old", "email": "new"}) == {"email": "new"}


@pytest.mark.parametrize(
    ("mapped", "headings", "words"),
    [
        ({}, ["email"], "no column is `id`"),
        ({"nothing": "id"}, ["id"], "there is no such column"),
        ({}, ["id", "user_id"], "both give `id`"),
        ({}, [f"c{number}" for number in range(1_001)], "1001 columns"),
    ],
)
def test_headings_that_cannot_do_are_refused_at_once(mapped: dict[str, str], headings: list[str], words: str) -> None:
    columns = Columns(mapped=mapped, aliases={"user_id": "id"})
    with pytest.raises(Exception, match=words):
        columns.check(headings, ["id"])


# ── properties ───────────────────────────────────────────────────────────────────────────────────────────────────────
people = st.sampled_from(["ana", "bo", "cy", "dee", "", "x\x00"])
days = st.sampled_from([0.0, 0.5, 2, 30, 31, 90, -9])
profile_cells = st.fixed_dictionaries(
    {"id": people},
    optional={"plan": st.sampled_from(["free", "pro", ""]), "email": st.sampled_from(["a@example.com", "b@x", ""])},
)
event_cells = st.builds(
    lambda person, day, total: order(day, user_id=person, **{"properties.total": total}),
    people,
    days,
    st.sampled_from(["30", "30.5", "much", ""]),
)
consent_cells = st.builds(
    lambda person, action, day, address: {
        **GRANT, "id": person, "action": action, "address": address, "occurred_at": order(day)["timestamp"],
    },
    people,
    st.sampled_from(["grant", "withdraw", "object", "suppress"]),
    days,
    st.sampled_from(["ana@example.com", "bo@example.com", "broken"]),
)  # fmt: skip


def a_shop() -> Shop:
    club = plan(wait(days=30), journey="club", triggers=(SegmentTrigger(segment="buyers", on="enter"),))
    shop = Shop(MemoryStore(), club, events={"Order Completed": {"total": "number"}}, **buyers()).open()
    for person in ("ana", "bo"):
        shop.person(person, consents=[])
    shop.settle()
    return shop


def taken_in(batches: Sequence[Sequence[tuple[str, Mapping[str, Any]]]], *, batch: int = 100) -> Any:
    shop = a_shop()
    makers: Mapping[str, Any] = {"profiles": profile_rows, "events": event_rows, "consents": consent_rows}
    for rows in batches:
        for kind, make in makers.items():
            run(shop, make(shop), [cells for name, cells in rows if name == kind], batch=batch)
    return state(shop.store)


@pytest.mark.parametrize(
    ("kind", "cells"), [("profiles", profile_cells), ("events", event_cells), ("consents", consent_cells)]
)
def test_twice_is_once_and_any_split_is_the_whole(kind: str, cells: st.SearchStrategy[Mapping[str, Any]]) -> None:
    @settings(deadline=None, max_examples=50)
    @given(st.lists(cells, max_size=12), st.integers(0, 12), st.integers(1, 5))
    def check(rows: list[Mapping[str, Any]], cut: int, batch: int) -> None:
        named = [(kind, row) for row in rows]
        whole = taken_in([named])
        assert taken_in([named], batch=batch) == whole
        assert taken_in([named[:cut], named[cut:]]) == whole
        if kind != "profiles":
            assert taken_in([named, named]) == whole

    check()


def test_a_row_without_an_address_takes_none_back_that_somebody_else_has_by_now() -> None:
    shared = {"email": "a@example.com"}
    rows = [
        ("profiles", row) for row in ({"id": "cy", **shared}, {"id": "dee", **shared}, {"id": "cy", "plan": "free"})
    ]
    assert taken_in([rows]) == taken_in([rows], batch=1)


@settings(deadline=None, max_examples=50)
@given(st.lists(profile_cells, max_size=12))
def test_the_same_profiles_twice_change_nothing(rows: list[Mapping[str, Any]]) -> None:
    named = [("profiles", row) for row in rows]
    assert taken_in([named, named]) == taken_in([named])


#: What cells of files, Parquet and databases may hold, and nobody wants.
ODD: tuple[Any, ...] = (
    "", " ", None, "\x00", "a\x00b", "\ud800", "x" * 300, "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00",
    "1970-01-01", 0, -1, 1e308, float("nan"), 10**400, 2**63, True, [], {}, {"a": {"b": None}}, {"": 1}, [[[]]],
    b"\xff", date(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59), NOW,  # noqa: DTZ001 - as databases give them
    Decimal("NaN"), Decimal("1e999999"), UUID(int=1),
    timedelta.max, "ana", "bo", "ana@example.com", "+34600111222", "email", "sms", "chat", "news", "grant", "withdraw",
    "suppress", "soft_opt_in", LONG_AGO, "Order Completed", '{"a": 1}', "[1]", '{"a": NaN}', r'{"a": "\ud800\u0000"}',
    "Europe/Madrid", "es", '{"x":' * 2_000,
)  # fmt: skip
CELLS: Mapping[str, tuple[Mapping[str, Any], tuple[str, ...]]] = {
    "profiles": (
        {"id": "ana"},
        ("id", "email", "phone", "timezone", "locale", "chat", "chat.chat", "attributes", *TYPES, "free", ""),
    ),
    "events": (
        {"user_id": "ana", "event": "Order Completed", "timestamp": LONG_AGO},
        ("user_id", "event", "timestamp", "message_id", "properties", *(f"properties.{name}" for name in TYPES)),
    ),
    "consents": (GRANT, (*GRANT, "action", "basis", "kind", "confirmed_at", "expires_at", "evidence", "evidence.x")),
}


@pytest.mark.parametrize("kind", CELLS)
def test_whatever_cells_hold_each_row_is_taken_or_refused(kind: str, any_store: Store) -> None:
    shop = Shop(any_store, attributes=TYPES, events={"Order Completed": TYPES})
    shop.person("ana", consents=[])
    makers: Mapping[str, Any] = {"profiles": profile_rows, "events": event_rows, "consents": consent_rows}
    usual, names = CELLS[kind]
    dice = Random(kind)
    rows = [
        {**usual, **{name: dice.choice(ODD) for name in dice.sample(names, dice.randint(0, 3))}} for _ in range(600)
    ]
    for batch in (rows[:300], rows[300:]):
        tally, refusals = run(shop, makers[kind](shop), batch, batch=7)
        assert tally.taken + tally.unchanged + len(refusals) == len(batch)
        assert len(refusals) < len(batch)
    assert len(state(any_store)[0]) > 0


def test_the_moments_are_of_the_clock_that_was_given() -> None:
    shop = Shop(MemoryStore())
    run(shop, event_rows(shop), [order(9)])
    with shop.store.transaction() as unit:
        (event,) = unit.events.of(shop.id_of("ana"))
    assert (event.received_at, event.timestamp.tzinfo) == (NOW, UTC)
