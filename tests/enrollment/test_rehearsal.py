"""Messages tried out: shown as they would be, or sent as tests that count nowhere and change nothing."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest

from engine.consent.addresses import address_hash
from engine.consent.suppression import suppression_of
from engine.delivery.message import Message, Receipt
from engine.delivery.model import Delivery
from engine.errors import BadInput, Conflict, NotFound, PermanentChannelError, RenderError, TransientChannelError
from engine.plan.model import EventTrigger
from engine.project import Cap, QuietHours, Tracking
from engine.rendering.links import token_hash
from engine.storage.memory import MemoryStore
from engine.store import Store
from tests.factories import KEY, NOW, ScriptedProvider, Shop, plan, send

COLLEAGUE = "colleague@shop.example"


def open_shop(store: Store, *steps: Any, provider: ScriptedProvider | None = None, **given: Any) -> Shop:
    provider = provider or ScriptedProvider("email")
    shop = Shop(store, plan(*(steps or (send(template="links"),))), providers={"email": provider}, **given).open()
    shop.person(consents=[])
    return shop


def try_out(shop: Shop, **given: Any) -> Delivery:
    asked: dict[str, Any] = {"profile_id": shop.id_of("ana"), "to": COLLEAGUE, "actor": "eva", "now": shop.now}
    return shop.engine.rehearsal.send_test("cart", "hello", **(asked | given))


def handed(shop: Shop) -> list[Message]:
    [provider] = [provider for provider in shop.providers.values() if provider.handed] or [None]
    return provider.handed if provider else []


# ── sending ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_test_reaches_the_address_that_was_named_and_says_what_it_is(any_store: Store) -> None:
    shop = open_shop(any_store)
    delivery = try_out(shop)
    [message] = handed(shop)
    assert (message.to, message.subject, message.is_test) == (COLLEAGUE, "[Test] Links", True)
    assert message.headers["X-Sojourn-Test"] == "yes"
    assert "List-Unsubscribe" in message.headers
    assert (delivery.status, delivery.is_test, delivery.profile_id) == ("sent", True, shop.id_of("ana"))


def test_a_text_message_says_so_in_its_text(any_store: Store) -> None:
    shop = Shop(any_store, plan(send(channels=("sms",)))).open()
    shop.person()
    try_out(shop, to="+34600999888")
    [message] = shop.providers["sms"].handed
    assert message.text.startswith("[Test] Hello")


def test_the_record_names_who_sent_it(any_store: Store) -> None:
    shop = open_shop(any_store)
    try_out(shop)
    [decision] = shop.decisions()
    assert (decision.outcome, decision.inputs["test_by"], decision.inputs["template"]) == (
        "sent", "eva", "email/links.html"
    )  # fmt: skip


def test_it_holds_no_place_under_a_cap_and_neither_consent_nor_hours_hold_it(any_store: Store) -> None:
    rules: dict[str, Any] = {
        "caps": (Cap(at_most=1, per_seconds=86400),),
        "quiet_hours": (QuietHours(from_="00:00", to="23:59"),),
    }
    shop = open_shop(any_store, **rules)
    for second in range(3):
        shop.now = NOW + timedelta(seconds=second)
        assert try_out(shop).status == "sent"
    with shop.store.transaction() as unit:
        assert unit.deliveries.counted(shop.id_of("ana"), NOW - timedelta(days=1)) == []
        assert unit.deliveries.received(shop.id_of("ana"), "cart") == []
        assert unit.enrollments.of(profile_id=shop.id_of("ana")) == []


@pytest.mark.parametrize("kind", ["hard_bounce", "complaint", "sms_stop", "manual"])
def test_a_blocked_address_gets_no_test(any_store: Store, kind: Any) -> None:
    shop = open_shop(any_store)
    with shop.store.transaction() as unit:
        hashed = address_hash(KEY, "email", COLLEAGUE)
        unit.consents.suppress(suppression_of("email", hashed, kind, source="test", now=NOW))
    with pytest.raises(Conflict, match=f"blocked .{kind}."):
        try_out(shop)
    assert handed(shop) == []
    assert shop.outcomes() == ["suppressed"]


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ({"to": "no address"}, BadInput, "no email address"),
        ({"channel": "sms"}, BadInput, "sends on email"),
        ({"profile_id": "p" + "0" * 24}, NotFound, "profile"),
    ],
)
def test_what_cannot_be_is_refused(given: dict[str, Any], error: type[Exception], said: str) -> None:
    shop = open_shop(MemoryStore())
    with pytest.raises(error, match=said):
        try_out(shop, **given)
    assert handed(shop) == []


@pytest.mark.parametrize(("journey", "step"), [("nowhere", "hello"), ("cart", "nowhere")])
def test_an_unknown_step_is_told_with_those_there_are(journey: str, step: str) -> None:
    shop = open_shop(MemoryStore())
    with pytest.raises(NotFound, match=r"cart|hello"):
        shop.engine.rehearsal.send_test(
            journey, step, profile_id=shop.id_of("ana"), to=COLLEAGUE, actor="eva", now=shop.now
        )


def test_a_template_that_does_not_render_sends_nothing_and_leaves_no_record() -> None:
    shop = open_shop(MemoryStore(), send(template="broken"))
    with pytest.raises(RenderError):
        try_out(shop)
    assert (handed(shop), shop.outcomes()) == ([], [])


@pytest.mark.parametrize("error", [TransientChannelError("out"), PermanentChannelError("no", reason="rejected")])
def test_what_the_provider_refuses_has_failed_and_is_not_tried_again(any_store: Store, error: Exception) -> None:
    shop = open_shop(any_store, provider=ScriptedProvider("email", error))
    with pytest.raises(type(error)):
        try_out(shop)
    with shop.store.transaction() as unit:
        [delivery] = unit.deliveries.of(profile_id=shop.id_of("ana"))
    assert (delivery.status, delivery.attempts) == ("failed", 1)
    assert shop.outcomes() == ["failed"]


def test_what_is_reported_of_it_is_no_event_of_the_persons(any_store: Store) -> None:
    shop = open_shop(any_store)
    delivery = try_out(shop)
    with shop.store.transaction() as unit:
        receipt = Receipt(kind="opened", receipt_id="r1", occurred_at=NOW, delivery_id=delivery.delivery_id)
        assert shop.engine.receipts.take(unit, shop.project.channels["email"], receipt, NOW) is None
        assert unit.events.of(shop.id_of("ana")) == []
        found = unit.deliveries.find(delivery.delivery_id)
    assert found is not None
    assert found.status == "opened"


def test_its_links_lead_where_they_should_and_act_for_nobody(any_store: Store) -> None:
    shop = open_shop(any_store, tracking=Tracking(clicks=True, opens=True))
    try_out(shop)
    [message] = handed(shop)
    kinds = {}
    with shop.store.transaction() as unit:
        for path, token in re.findall(r'"http[^"]+/([upro])/([\w-]{22})"', message.html or ""):
            link = unit.access.find_link(token_hash(token))
            kinds[path] = link.kind if link else None
    assert kinds == {"u": "test", "p": "test", "r": "click", "o": "open"}


def test_it_says_what_the_persons_own_message_would_say(any_store: Store) -> None:
    shop = Shop(any_store, plan(send(template="hello"))).open()
    shop.person(name="Ana")
    try_out(shop)
    assert handed(shop)[0].subject == "[Test] Hello Ana"


# ── looking ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_preview_stores_nothing(any_store: Store) -> None:
    shop = open_shop(any_store, tracking=Tracking(clicks=True))
    with shop.store.transaction() as unit:
        profile = unit.profiles.find(shop.id_of("ana"))
        assert profile is not None
        shown = shop.engine.rehearsal.preview(unit, "links", profile, now=NOW)
        assert unit.deliveries.of() == []
        token = re.findall(r"/u/([\w-]{22})", shown.message.html or "")[0]
        assert unit.access.find_link(token_hash(token)) is None
    assert (shown.journey, shown.step_id, shown.message.subject) == ("cart", "hello", "Links")
    # Links lead straight to their targets, so that they can be tried.
    assert 'href="https://x.example/cart?id=1"' in (shown.message.html or "")


def test_what_a_journey_would_bring_is_the_persons_own_or_made_up() -> None:
    given = {"triggers": (EventTrigger(event="Cart Updated"),)}
    step = send(template="hello", values={"who": "= trigger.total"})
    shop = Shop(MemoryStore(), plan(step, **given), events={"Cart Updated": {"total": "number"}}).open()
    shop.person()
    rehearsal = shop.engine.rehearsal
    with shop.store.transaction() as unit:
        profile = unit.profiles.find(shop.id_of("ana"))
        assert profile is not None
        made_up = rehearsal._stand_in(unit, shop.project.plans["cart"], profile, step, NOW)
    shop.track("Cart Updated", total=7)
    with shop.store.transaction() as unit:
        told = rehearsal._stand_in(unit, shop.project.plans["cart"], profile, step, NOW)
    shop.settle()
    shop.track("Cart Updated", total=8)
    with shop.store.transaction() as unit:
        entered = rehearsal._stand_in(unit, shop.project.plans["cart"], profile, step, NOW)
    assert [each.trigger["total"] for each in (made_up, told, entered)] == [58, 7, 7]
