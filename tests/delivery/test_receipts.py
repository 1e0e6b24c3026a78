"""A receipt is taken once: it moves the delivery, becomes an event, and changes what may be sent."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import permutations
from pathlib import Path
from random import Random
from threading import Event as Signal
from threading import Thread
from typing import Any, get_args

import pytest
from msgspec.structs import replace

from engine.consent.addresses import address_hash
from engine.consent.ledger import Ledger
from engine.delivery.message import Receipt, ReceiptKind
from engine.delivery.model import Decision, Delivery, Status
from engine.delivery.receipts import Receipts
from engine.delivery.settling import going_id
from engine.delivery.states import reported
from engine.plan.model import Outcome
from engine.profiles.model import Event, Profile
from engine.project import Channel, ChannelKind, Project, Topic
from engine.storage.database import Database
from engine.storage.memory import MemoryStore
from engine.store import Unit
from tests.waiting import PATIENCE

KEY = b"a key for tests"
SENT_AT = datetime(2026, 3, 2, 12, 0, 0, 400_000, tzinfo=UTC)
NOW = SENT_AT + timedelta(minutes=10)
EMAIL = Channel(name="email", use="inbox", kind="email")
SMS = Channel(name="sms", use="inbox", kind="sms", backup="sms_backup")
BACKUP = Channel(name="sms_backup", use="inbox", kind="sms")
CHAT = Channel(name="chat", use="inbox", kind="chat")
PROJECT = Project(
    name="shop",
    root=Path(),
    timezone="Europe/Madrid",
    locale="en",
    database="",
    channels={channel.name: channel for channel in (EMAIL, SMS, BACKUP, CHAT)},
    topics={"cart": Topic(name="cart", title="Cart")},
)
ANA = Profile(profile_id="pana", email="ana@example.com", phone="+447700900222", chat={"chat": "U1"})
MAIL = Delivery(
    delivery_id="d1", enrollment_id="e1", journey="abandoned_cart", profile_id="pana", step_id="reminder", visit=1,
    channel="email", via="email", topic="cart", template="cart/reminder", status="sent", to="ana@example.com",
    is_marketing=True, claimed_at=SENT_AT - timedelta(seconds=1), sent_at=SENT_AT, provider_message_id="m1",
)  # fmt: skip
TEXT = replace(MAIL, delivery_id="d2", channel="sms", via="sms_backup", to="+447700900222", provider_message_id="m2")
ABOUT = {"channel": "email", "journey": "abandoned_cart", "step": "reminder", "delivery": "d1"}
ABOUT |= {"template": "cart/reminder", "topic": "cart"}


class Desk:
    """Receipts over one transaction that knows Ana and two messages to her."""

    def __init__(self, unit: Unit) -> None:
        self.unit = unit
        self.receipts = Receipts(PROJECT, Ledger(PROJECT, KEY))
        unit.profiles.save(ANA)
        unit.deliveries.save(MAIL)
        unit.deliveries.save(TEXT)

    def take(self, kind: ReceiptKind, channel: Channel = EMAIL, now: datetime = NOW, **fields: Any) -> Event | None:
        known = {"receipt_id": f"r-{kind}", "occurred_at": now}
        return self.receipts.take(self.unit, channel, Receipt(kind=kind, **{**known, **fields}), now)

    def status(self, delivery_id: str = "d1") -> Status:
        delivery = self.unit.deliveries.find(delivery_id)
        assert delivery is not None
        return delivery.status

    def blocks(self, kind: ChannelKind, address: str) -> list[str]:
        return [block.kind for block in self.unit.consents.suppressions(kind, address_hash(KEY, kind, address))]

    def queued(self) -> list[tuple[str, str]]:
        found = []
        while occurrence := self.unit.queue.next_occurrence():
            self.unit.queue.remove_occurrence(occurrence.seq)
            found.append((occurrence.kind, occurrence.ref))
        return found


@pytest.fixture
def desk() -> Iterator[Desk]:
    with MemoryStore().transaction() as unit:
        yield Desk(unit)


# ── events ───────────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("kind", "fields", "name", "properties"),
    [
        ("delivered", {}, "Email Delivered", {}),
        ("deferred", {}, "Email Deferred", {}),
        ("opened", {}, "Email Opened", {}),
        ("clicked", {"url": "https://shop.example/cart"}, "Email Link Clicked", {"url": "https://shop.example/cart"}),
        ("bounced", {"is_hard": True}, "Email Bounced", {"is_hard": True}),
        ("complained", {}, "Email Marked as Spam", {}),
        ("unsubscribed", {}, "Unsubscribed", {}),
        ("unknown", {"vendor_kind": "pondered"}, "Email Reported", {"vendor_kind": "pondered"}),
    ],
)
def test_a_receipt_becomes_an_event_under_segments_name(
    desk: Desk, kind: ReceiptKind, fields: dict[str, Any], name: str, properties: dict[str, Any]
) -> None:
    event = desk.take(kind, delivery_id="d1", **fields)
    assert event is not None
    assert event == Event(
        event_id=event.event_id,
        profile_id="pana",
        name=name,
        timestamp=NOW,
        received_at=NOW,
        properties={**ABOUT, **properties},
        source="receipt",
    )
    assert list(desk.unit.events.of("pana")) == [event]
    assert ("event", event.event_id) in desk.queued()


def test_a_message_is_found_by_the_providers_id_on_the_channel_that_took_it(desk: Desk) -> None:
    event = desk.take("delivered", BACKUP, provider_message_id="m2")
    assert event is not None
    assert (event.name, event.properties["channel"], event.properties["delivery"]) == ("SMS Delivered", "sms", "d2")
    assert desk.status("d2") == "delivered"


def test_a_repeat_changes_nothing(desk: Desk) -> None:
    assert desk.take("clicked", delivery_id="d1", url="https://shop.example") is not None
    desk.queued()
    assert desk.take("clicked", delivery_id="d1", url="https://shop.example", now=NOW + timedelta(days=1)) is None
    assert len(desk.unit.events.of("pana")) == 1
    assert desk.queued() == []


def test_the_same_id_on_another_channel_is_another_receipt(desk: Desk) -> None:
    assert desk.take("delivered", EMAIL, delivery_id="d1") is not None
    assert desk.take("delivered", SMS, delivery_id="d2") is not None


@pytest.mark.parametrize(
    ("occurred_at", "timestamp"),
    [
        (SENT_AT.replace(microsecond=0), SENT_AT),
        (SENT_AT + timedelta(minutes=3), SENT_AT + timedelta(minutes=3)),
        (NOW + timedelta(hours=1), NOW),
    ],
)
def test_nothing_happens_to_a_message_before_it_was_sent_or_after_now(
    desk: Desk, occurred_at: datetime, timestamp: datetime
) -> None:
    event = desk.take("delivered", delivery_id="d1", occurred_at=occurred_at)
    assert event is not None
    assert event.timestamp == timestamp


# ── strangers ────────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("named", [{"delivery_id": "d9"}, {"provider_message_id": "m9"}])
@pytest.mark.parametrize("kind", ["bounced", "complained", "delivered", "clicked"])
def test_a_message_that_is_not_ours_silences_nobody(desk: Desk, kind: ReceiptKind, named: dict[str, str]) -> None:
    assert desk.take(kind, is_hard=True, address="ana@example.com", **named) is None
    assert desk.blocks("email", "ana@example.com") == []
    assert desk.queued() == []


def test_a_provider_says_nothing_about_another_channels_message(desk: Desk) -> None:
    assert desk.take("bounced", CHAT, delivery_id="d1", is_hard=True) is None
    assert desk.status() == "sent"


def test_a_bounce_that_names_only_the_address_is_about_whoever_has_it(desk: Desk) -> None:
    event = desk.take("bounced", is_hard=True, address="ana@example.com")
    assert event is not None
    assert event.properties == {"channel": "email", "is_hard": True}
    assert desk.blocks("email", "ana@example.com") == ["hard_bounce"]
    assert desk.take("bounced", is_hard=True, address="who@example.com", receipt_id="r2") is None


def test_an_erased_person_has_no_receipts(desk: Desk) -> None:
    desk.unit.profiles.erase("pana", NOW)
    assert desk.take("clicked", delivery_id="d1") is None
    assert desk.unit.events.of("pana") == []


# ── statuses ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_the_order_of_receipts_does_not_matter_to_the_status() -> None:
    kinds: tuple[ReceiptKind, ...] = ("delivered", "opened", "clicked", "complained")
    for count in range(1, len(kinds) + 1):
        for order in permutations(kinds[:count]):
            with MemoryStore().transaction() as unit:
                desk = Desk(unit)
                for kind in order:
                    desk.take(kind, delivery_id="d1")
                assert desk.status() == kinds[count - 1]


def test_a_soft_bounce_moves_nothing_and_a_hard_one_stays(desk: Desk) -> None:
    desk.take("bounced", delivery_id="d1", receipt_id="soft")
    assert desk.status() == "sent"
    desk.take("bounced", delivery_id="d1", receipt_id="hard", is_hard=True)
    desk.take("delivered", delivery_id="d1")
    assert desk.status() == "bounced"


def test_a_receipt_ends_a_doubt(desk: Desk) -> None:
    desk.unit.deliveries.save(replace(MAIL, status="in_doubt", sent_at=None, provider_message_id=None))
    desk.take("delivered", delivery_id="d1")
    assert desk.unit.deliveries.find("d1") == replace(MAIL, status="delivered", sent_at=NOW, provider_message_id=None)


def test_nobody_can_have_opened_what_was_held_out(desk: Desk) -> None:
    desk.unit.deliveries.save(replace(MAIL, status="held_out"))
    desk.take("opened", delivery_id="d1")
    assert desk.status() == "held_out"


@pytest.mark.parametrize("status", ["claimed", "retrying", "in_doubt", "failed"])
def test_a_receipt_proves_that_the_provider_has_it_whatever_we_believed(desk: Desk, status: Status) -> None:
    """Else a message that the provider took, and answered badly for, would be sent a second time."""
    desk.unit.deliveries.save(replace(MAIL, status=status, sent_at=None, error="unavailable"))
    desk.take("opened", delivery_id="d1")
    desk.take("delivered", delivery_id="d1")
    assert desk.unit.deliveries.find("d1") == replace(MAIL, status="opened", sent_at=NOW)


@pytest.mark.parametrize(
    ("status", "outcome"), [("claimed", "in_doubt"), ("retrying", "failed"), ("in_doubt", "in_doubt")]
)
def test_a_receipt_settles_the_decision_too_and_no_other(desk: Desk, status: Status, outcome: Outcome) -> None:
    """`why` says that it went, and who said so; what held it back before stays as it was."""
    desk.unit.deliveries.save(replace(MAIL, status=status, sent_at=None))
    going = Decision(
        decision_id=going_id("d1", "email"), delivery_id="d1", enrollment_id="e1", journey="cart", digest="v1",
        profile_id="pana", step_id="reminder", visit=1, channel="email", outcome=outcome, decided_at=SENT_AT,
        until=NOW, inputs={"template": "t"},
    )  # fmt: skip
    held = replace(going, decision_id="c-held", outcome="quiet")
    for decision in (held, going):
        desk.unit.deliveries.decide(decision)
    desk.take("delivered", delivery_id="d1")
    known = {each.decision_id: each for each in desk.unit.deliveries.decisions(enrollment_id="e1")}
    settled = {"template": "t", "settled_by": "receipt:delivered"}
    assert known == {
        held.decision_id: held,
        going.decision_id: replace(going, outcome="sent", until=None, inputs=settled),
    }
    desk.take("opened", delivery_id="d1")
    assert {each.decision_id: each for each in desk.unit.deliveries.decisions(enrollment_id="e1")} == known


@pytest.mark.parametrize("status", get_args(Status))
def test_whatever_comes_in_whatever_order_a_status_never_goes_back_and_ends_the_same(status: Status) -> None:
    reports = [(kind, is_hard) for kind in get_args(ReceiptKind) for is_hard in (False, True)]
    ends = set()
    for seed in range(200):
        order = reports * 2
        Random(seed).shuffle(order)
        now, seen = status, [status]
        for kind, is_hard in order:
            now = reported(now, kind, is_hard=is_hard) or now
            assert now == seen[-1] or now not in seen, "a status that was left is never come back to"
            seen.append(now)
        ends.add(now)
    assert ends == ({"held_out"} if status == "held_out" else {"complained"})


@pytest.mark.postgres
def test_of_two_receipts_at_once_neither_takes_the_status_back(postgres_url: str) -> None:
    database = Database(postgres_url)
    with database.transaction() as unit:
        Desk(unit)
    began = Signal()

    def deliver() -> None:
        with database.transaction() as unit:
            began.set()
            receipt = Receipt(kind="delivered", receipt_id="r1", occurred_at=NOW, delivery_id="d1")
            Receipts(PROJECT, Ledger(PROJECT, KEY)).take(unit, EMAIL, receipt, NOW)

    late = Thread(target=deliver)
    with database.transaction("pana") as unit:
        late.start()
        assert began.wait(PATIENCE)
        # It has read `sent` by now, and waits for the profile's lock.
        late.join(0.3)
        assert late.is_alive()
        receipt = Receipt(kind="opened", receipt_id="r2", occurred_at=NOW, delivery_id="d1")
        Receipts(PROJECT, Ledger(PROJECT, KEY)).take(unit, EMAIL, receipt, NOW)
    late.join(PATIENCE)
    with database.transaction() as unit:
        delivery = unit.deliveries.find("d1")
    database.close()
    assert delivery is not None
    assert delivery.status == "opened"


# ── permission ───────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_hard_bounce_blocks_the_address_that_the_message_went_to(desk: Desk) -> None:
    desk.unit.profiles.save(replace(ANA, email="ana.new@example.com"))
    desk.take("bounced", delivery_id="d1", is_hard=True)
    assert desk.blocks("email", "ana@example.com") == ["hard_bounce"]
    assert desk.blocks("email", "ana.new@example.com") == []


def test_a_soft_bounce_and_a_deferral_block_nothing(desk: Desk) -> None:
    desk.take("bounced", delivery_id="d1")
    desk.take("deferred", delivery_id="d1")
    assert desk.blocks("email", "ana@example.com") == []


def test_a_number_that_fails_for_good_is_blocked(desk: Desk) -> None:
    desk.take("failed", BACKUP, delivery_id="d2", is_hard=True)
    assert desk.status("d2") == "bounced"
    assert desk.blocks("sms", "+447700900222") == ["hard_bounce"]


def test_a_complaint_blocks_the_address(desk: Desk) -> None:
    desk.take("complained", delivery_id="d1")
    assert desk.blocks("email", "ana@example.com") == ["complaint"]


@pytest.mark.parametrize(
    "about",
    [
        {"delivery_id": "d1"},
        {"address": "Ana@Example.com"},
        # What a person asks for is heard whichever message it names.
        {"address": "ana@example.com", "delivery_id": "another", "provider_message_id": "another"},
    ],
)
def test_an_unsubscription_at_the_providers_withdraws_from_the_channel(desk: Desk, about: dict[str, str]) -> None:
    desk.take("unsubscribed", **about)
    (record,) = desk.unit.consents.of("pana")
    assert (record.action, record.channel, record.topic, record.actor) == ("withdraw", "email", None, "person")
    assert record.source == "receipt:r-unsubscribed"


# ── replies ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_reply_is_an_event_with_its_text_and_meaning_and_takes_effect(desk: Desk) -> None:
    event = desk.take("replied", SMS, address="+44 7700 900222", text="STOP", provider_message_id="inbound-1")
    assert event is not None
    assert event.name == "SMS Replied"
    assert {name: event.properties[name] for name in ("text", "meaning", "step", "delivery")} == {
        "text": "STOP", "meaning": "stop", "step": "reminder", "delivery": "d2",
    }  # fmt: skip
    assert [record.source for record in desk.unit.consents.of("pana")] == ["sms_keyword"]
    assert desk.blocks("sms", "+447700900222") == ["sms_stop"]
    assert desk.unit.deliveries.find("d2") == replace(TEXT, status="delivered"), "the reply's id is only its own"


def test_a_replayed_stop_does_not_undo_a_later_start(desk: Desk) -> None:
    stop = {"address": ANA.phone, "text": "STOP", "receipt_id": "r1"}
    desk.take("replied", SMS, **stop)
    desk.take("replied", SMS, address=ANA.phone, text="START", receipt_id="r2", now=NOW + timedelta(minutes=1))
    assert desk.take("replied", SMS, now=NOW + timedelta(minutes=2), **stop) is None
    (block,) = desk.unit.consents.all_suppressions()
    assert block.lifted_at == NOW + timedelta(minutes=1)


def test_a_reply_on_chat_comes_from_the_handle_of_that_channel(desk: Desk) -> None:
    event = desk.take("replied", CHAT, address="U1", text="hello")
    assert event is not None
    assert (event.name, event.properties) == ("Chat Replied", {"channel": "chat", "text": "hello", "meaning": "other"})


def test_stop_from_an_unknown_number_blocks_it_and_is_nobodys_event(desk: Desk) -> None:
    assert desk.take("replied", SMS, address="+447700900999", text="stop") is None
    assert desk.blocks("sms", "+447700900999") == ["sms_stop"]
    assert desk.queued() == []


# ── soft bounces ─────────────────────────────────────────────────────────────────────────────────────────────────────
def soft(desk: Desk, number: int, at: datetime, to: str = "ana@example.com") -> None:
    """One message bounces softly: the mailbox is full."""
    mail = replace(MAIL, delivery_id=f"s{number}", provider_message_id=f"s{number}", to=to, claimed_at=at, sent_at=at)
    desk.unit.deliveries.save(mail)
    desk.take("bounced", now=at, delivery_id=f"s{number}", receipt_id=f"soft{number}")


def test_five_soft_bounces_in_a_row_suppress_the_address(desk: Desk) -> None:
    for number in range(5):
        assert desk.blocks("email", "ana@example.com") == []
        soft(desk, number, NOW + timedelta(days=number))
    assert desk.blocks("email", "ana@example.com") == ["hard_bounce"]


def test_one_message_that_bounces_five_times_is_one(desk: Desk) -> None:
    for number in range(9):
        desk.take("bounced", delivery_id="d1", receipt_id=f"again{number}")
    assert desk.blocks("email", "ana@example.com") == []


@pytest.mark.parametrize("kind", ["delivered", "opened", "clicked", "replied"])
def test_what_arrives_begins_the_run_anew(desk: Desk, kind: ReceiptKind) -> None:
    for number in range(4):
        soft(desk, number, NOW + timedelta(days=number))
    desk.take(kind, now=NOW + timedelta(days=4), delivery_id="d1")
    for number in range(5, 9):
        soft(desk, number, NOW + timedelta(days=number))
    assert desk.blocks("email", "ana@example.com") == []
    soft(desk, 9, NOW + timedelta(days=9))
    assert desk.blocks("email", "ana@example.com") == ["hard_bounce"]


def test_soft_bounces_of_months_are_no_run(desk: Desk) -> None:
    for number in range(9):
        soft(desk, number, NOW + timedelta(days=8 * number))
    assert desk.blocks("email", "ana@example.com") == []


def test_soft_bounces_of_two_addresses_are_two_runs(desk: Desk) -> None:
    for number in range(8):
        soft(desk, number, NOW + timedelta(days=number), to="ana@example.com" if number % 2 else "old@example.com")
    assert desk.blocks("email", "ana@example.com") + desk.blocks("email", "old@example.com") == []
    soft(desk, 9, NOW + timedelta(days=9))
    assert desk.blocks("email", "ana@example.com") == ["hard_bounce"]
    assert desk.blocks("email", "old@example.com") == []
