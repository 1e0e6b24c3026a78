"""A message in doubt waits for ops, who say that it went, that it did not, or that it is to go once more."""

from __future__ import annotations

from datetime import timedelta

import pytest

from engine.delivery.circuit import Circuit
from engine.delivery.message import Receipt
from engine.enrollment.model import Enrollment
from engine.errors import (
    BadInput,
    Conflict,
    DoubtfulChannelError,
    NotFound,
    PermanentChannelError,
    TransientChannelError,
)
from engine.insight.words import trail_words
from engine.plan.effects import Sent
from engine.plan.model import EventExit
from engine.project import Cap, QuietHours
from engine.store import Store
from tests.factories import Crashed, ScriptedProvider, Shop, after, plan, send, taken_then

NO_ANSWER = DoubtfulChannelError("no answer")


def in_doubt(store: Store, *, taken: bool = False, **given: object) -> tuple[Shop, Enrollment, str]:
    """A shop in which nobody knows whether Ana has her message; two minutes later."""
    provider = given.pop("provider", None) or ScriptedProvider()
    assert isinstance(provider, ScriptedProvider)
    step = given.pop("step", send(in_doubt="hold"))
    exits = (EventExit(event="Order Completed"),)
    shop = Shop(store, plan(step, exits=exits), providers={"email": provider}, **given).open()  # type: ignore[arg-type]
    shop.person()
    enrollment = shop.enrolled()
    provider.answers.append(taken_then(provider, NO_ANSWER) if taken else NO_ANSWER)
    result = shop.perform(enrollment)
    if result != Sent(outcome="in_doubt"):  # a provider that may be asked is asked first, until the time is over
        shop.engine.performer.finish(enrollment.enrollment_id, "completed", shop.now)
    delivery = shop.delivery()
    assert delivery.status == "in_doubt"
    shop.now = after(minutes=2)
    return shop, enrollment, delivery.delivery_id


def resolve(shop: Shop, delivery_id: str, resolution: str, note: str | None = None) -> bool:
    resolved = shop.engine.resolver.resolve(delivery_id, resolution, shop.now, actor="maria", note=note)  # type: ignore[arg-type]
    assert resolved.delivery == shop.delivery()
    return resolved.is_changed


def trail(shop: Shop, enrollment: Enrollment) -> list[dict[str, object]]:
    with shop.store.transaction() as unit:
        entries = unit.enrollments.trail(enrollment.enrollment_id)
    return [dict(entry.detail) for entry in entries if entry.what == "resolved"]


# ── sent, failed ─────────────────────────────────────────────────────────────────────────────────────────────────────
def test_ops_may_say_that_it_went_and_the_record_says_who_said_so(any_store: Store) -> None:
    shop, enrollment, delivery_id = in_doubt(any_store)
    assert resolve(shop, delivery_id, "sent", "asked their support")
    assert (shop.delivery().status, shop.delivery().sent_at) == ("sent", after())
    assert shop.outcomes() == ["sent"]
    assert trail(shop, enrollment) == [
        {"delivery": delivery_id, "as": "sent", "actor": "maria", "note": "asked their support"}
    ]
    with shop.store.transaction() as unit:
        (line,) = [each for each in unit.enrollments.trail(enrollment.enrollment_id) if each.what == "resolved"]
    assert trail_words(line) == "maria resolved the message in doubt as `sent`: asked their support"


def test_a_message_that_did_not_go_gives_its_place_under_the_cap_back(any_store: Store) -> None:
    shop, enrollment, delivery_id = in_doubt(any_store, caps=(Cap(at_most=1, per_seconds=86_400),))
    assert shop.perform(enrollment, visit=2) == Sent(outcome="capped")
    assert resolve(shop, delivery_id, "failed")
    assert (shop.delivery().status, shop.outcomes()) == ("failed", ["failed", "capped"])
    assert shop.perform(enrollment, visit=3) == Sent(outcome="sent")


@pytest.mark.parametrize("resolution", ["sent", "resend", "failed"])
def test_resolving_twice_is_resolving_once(any_store: Store, resolution: str) -> None:
    shop, enrollment, delivery_id = in_doubt(any_store)
    assert [resolve(shop, delivery_id, resolution) for _ in range(3)] == [True, False, False]
    assert len(trail(shop, enrollment)) == 1
    assert len(shop.received) == (1 if resolution == "resend" else 0)


@pytest.mark.parametrize(("first", "second"), [("sent", "failed"), ("failed", "sent"), ("failed", "resend")])
def test_what_is_resolved_is_not_resolved_otherwise(any_store: Store, first: str, second: str) -> None:
    shop, _, delivery_id = in_doubt(any_store)
    resolve(shop, delivery_id, first)
    with pytest.raises(Conflict, match=rf"delivery {delivery_id} is not in doubt: it is `{first}`"):
        resolve(shop, delivery_id, second)


def test_a_late_receipt_corrects_what_ops_believed(any_store: Store) -> None:
    shop, _, delivery_id = in_doubt(any_store)
    resolve(shop, delivery_id, "failed")
    with shop.store.transaction() as unit:
        receipt = Receipt(kind="delivered", receipt_id="r1", occurred_at=shop.now, delivery_id=delivery_id)
        shop.engine.receipts.take(unit, shop.project.channels["email"], receipt, shop.now)
    assert (shop.delivery().status, shop.outcomes()) == ("delivered", ["sent"])


# ── resend ───────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_ops_may_have_it_sent_once_more(any_store: Store) -> None:
    shop, enrollment, delivery_id = in_doubt(any_store)
    shop.engine.performer.finish(enrollment.enrollment_id, "completed", shop.now)
    assert resolve(shop, delivery_id, "resend")
    delivery = shop.delivery()
    assert (delivery.status, delivery.attempts, delivery.sent_at) == ("sent", 2, shop.now)
    assert shop.received == [delivery_id]
    assert shop.outcomes() == ["sent"]


def test_a_provider_that_can_be_asked_is_asked_before_it_is_sent_again(any_store: Store) -> None:
    provider = ScriptedProvider(has_look_up=True)
    shop, _, delivery_id = in_doubt(any_store, taken=True, provider=provider, step=send(topic="news"))
    assert resolve(shop, delivery_id, "resend")
    assert (len(provider.handed), provider.looked_up, shop.delivery().status) == (1, [delivery_id], "sent")


@pytest.mark.parametrize(
    "answer",
    [NO_ANSWER, TransientChannelError("out"), PermanentChannelError("no", reason="invalid_address"), Crashed()],
)
def test_what_the_provider_does_not_take_stays_in_doubt_for_another_time(any_store: Store, answer: Exception) -> None:
    shop, _, delivery_id = in_doubt(any_store)
    shop.providers["email"].answers.append(answer)
    if isinstance(answer, Crashed):
        with pytest.raises(Crashed):
            resolve(shop, delivery_id, "resend")
    else:
        assert resolve(shop, delivery_id, "resend")
    assert (shop.delivery().status, shop.outcomes()) == ("in_doubt", ["in_doubt"])
    if isinstance(answer, PermanentChannelError):
        shop.now += timedelta(minutes=2)
        with pytest.raises(Conflict, match="`suppressed` by now"):
            resolve(shop, delivery_id, "resend")


def test_two_who_resend_at_once_send_one(any_store: Store) -> None:
    shop, _, delivery_id = in_doubt(any_store)

    def another(_: object) -> None:
        with pytest.raises(Conflict, match="less than a minute ago"):
            resolve(shop, delivery_id, "resend")

    shop.providers["email"].answers.append(another)
    assert resolve(shop, delivery_id, "resend")
    assert shop.received == [delivery_id]


@pytest.mark.parametrize("why", ["withdrawn", "quiet", "ordered", "left", "expired", "erased", "out"])
def test_it_is_decided_anew_whether_it_may_go(any_store: Store, why: str) -> None:
    quiet = (QuietHours(from_="11:01", to="12:00"),) if why == "quiet" else ()
    step = send(in_doubt="hold", expires_seconds=100 if why == "expired" else None)
    shop, enrollment, delivery_id = in_doubt(any_store, quiet_hours=quiet, step=step)
    match why:
        case "withdrawn":
            shop.withdraw()
            said = "`no_consent` by now"
        case "ordered":
            shop.track("Order Completed")
            said = r"has left the journey since \(`exit`\)"
        case "left":
            shop.engine.performer.finish(enrollment.enrollment_id, "exit", shop.now)
            said = r"the enrollment has ended \(`exit`\)"
        case "out":
            with shop.store.transaction() as unit:
                unit.circuits.save(Circuit(channel="email", state="open", opened_at=shop.now, probe_at=after(hours=1)))
            said = "`circuit_open` by now"
        case "erased":
            shop.erase()
            said = "erased"
        case _:
            said = f"`{why}` by now"
    before = shop.deliveries()
    with pytest.raises(Conflict, match=said):
        resolve(shop, delivery_id, "resend")
    assert (shop.received, shop.deliveries(), trail(shop, enrollment)) == ([], before, [])


# ── unusable ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_an_unknown_delivery_and_an_unusable_note_are_refused(any_store: Store) -> None:
    shop, enrollment, delivery_id = in_doubt(any_store)
    with pytest.raises(NotFound, match="no delivery 'dnone'"):
        shop.engine.resolver.resolve("dnone", "sent", shop.now, actor="maria")
    for note in ("x" * 501, "two\nlines"):
        with pytest.raises(BadInput, match="a note"):
            resolve(shop, delivery_id, "sent", note)
    assert trail(shop, enrollment) == []
