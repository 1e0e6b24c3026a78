"""A message's way through claim, provider and record: once, whatever dies, and never lost without a word."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import pytest

from engine.delivery.message import Message, Receipt
from engine.enrollment.model import Enrollment
from engine.errors import (
    ChannelConfigError,
    DoubtfulChannelError,
    PermanentChannelError,
    TransientChannelError,
    UnsupportedMessage,
)
from engine.plan.effects import Result, Sent, WaitUntil
from engine.plan.model import Otherwise, Outcome
from engine.project import Cap, ChannelKind, QuietHours
from engine.rendering.sms_parts import sms_size
from engine.storage.memory import MemoryStore
from engine.store import Store
from tests.factories import (
    NOW,
    Crashed,
    CrashingStore,
    ScriptedProvider,
    Shop,
    after,
    channel,
    plan,
    send,
    taken_then,
)

SENT = Sent(outcome="sent")
OUT = TransientChannelError("out")
MISCONFIGURED = ChannelConfigError("the account is closed")
NO_ANSWER = DoubtfulChannelError("no answer")

#: Ways in which a message can be handed over twice without being two: the provider's key, or asking it.
KEYED = {"has_idempotency": True}
FORGETFUL = {"has_idempotency": True, "key_lasts": timedelta(minutes=3)}
ASKED = {"has_look_up": True}


def open_shop(
    store: Store, provider: ScriptedProvider, step: object = None, **given: object
) -> tuple[Shop, Enrollment]:
    shop = Shop(store, plan(step or send()), providers={"email": provider}, **given).open()  # type: ignore[arg-type]
    shop.person()
    return shop, shop.enrolled()


def backed(*answers: object, backup: ScriptedProvider | None = None, **capabilities: bool) -> dict[str, object]:
    """A shop whose email has a backup."""
    return {
        "channels": {"email": channel(backup="email_backup"), "email_backup": channel("email_backup")},
        "providers": {
            "email": ScriptedProvider("email", *answers, **capabilities),  # type: ignore[arg-type]
            "email_backup": backup or ScriptedProvider("email"),
        },
    }


def open_backed(store: Store, step: object = None, **given: object) -> tuple[Shop, Enrollment]:
    shop = Shop(store, plan(step or send()), **given).open()  # type: ignore[arg-type]
    shop.person(consents=[("email", "news")])
    return shop, shop.enrolled()


def perform_until_settled(shop: Shop, enrollment: Enrollment) -> list[Result]:
    """Performs the send again at each moment that it names, as its timer would; all results."""
    results: list[Result] = []
    began = shop.now
    while True:
        result = shop.perform(enrollment, attempt=len(results) + 1, reached_at=began, is_due=bool(results))
        results.append(result)
        if not isinstance(result, WaitUntil) or result.until is None:
            return results
        shop.now = result.until


def waits(results: list[Result]) -> list[timedelta]:
    """How long after each other the tries of one message were made."""
    moments = [NOW] + [result.until for result in results if isinstance(result, WaitUntil) and result.until]
    return [later - earlier for earlier, later in pairwise(moments)]


# ── once ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_message_is_handed_over_once_however_often_its_step_is_performed(any_store: Store) -> None:
    provider = ScriptedProvider()
    shop, enrollment = open_shop(any_store, provider)
    assert [shop.perform(enrollment) for _ in range(3)] == [SENT] * 3
    assert len(provider.handed) == 1
    assert shop.outcomes() == ["sent"]


def test_the_claim_is_committed_before_the_provider_is_called(any_store: Store) -> None:
    provider = ScriptedProvider()
    shop, enrollment = open_shop(any_store, provider)
    seen: list[tuple[str, list[str]]] = []
    provider.answers.append(lambda message: seen.append((shop.delivery().status, shop.outcomes())))
    shop.perform(enrollment)
    # Until the provider has answered, the record says what is known: nothing.
    assert seen == [("claimed", ["in_doubt"])]
    delivery = shop.delivery()
    assert (delivery.status, delivery.sent_at, delivery.attempts) == ("sent", NOW, 1)
    assert delivery.provider_message_id == f"m-{delivery.delivery_id}"


def test_the_key_towards_the_provider_is_the_delivery_and_each_visit_has_its_own(any_store: Store) -> None:
    provider = ScriptedProvider()
    shop, enrollment = open_shop(any_store, provider)
    shop.perform(enrollment)
    shop.perform(enrollment, visit=2)
    keys = [message.delivery_id for message in provider.handed]
    assert keys == [delivery.delivery_id for delivery in shop.deliveries()]
    assert len(set(keys)) == 2


# ── a claim found again ──────────────────────────────────────────────────────────────────────────────────────────────
def crash_after_claim(shop: Shop, enrollment: Enrollment, *, taken: bool) -> None:
    """The worker dies while the provider is called."""
    provider = shop.providers["email"]
    provider.answers.append(taken_then(provider, Crashed()) if taken else Crashed())
    with pytest.raises(Crashed):
        shop.perform(enrollment)


def test_marketing_whose_fate_nobody_can_find_out_is_held_in_doubt(any_store: Store) -> None:
    shop, enrollment = open_shop(any_store, ScriptedProvider())
    crash_after_claim(shop, enrollment, taken=False)
    assert [shop.perform(enrollment) for _ in range(2)] == [Sent(outcome="in_doubt")] * 2
    assert shop.received == []
    assert (shop.delivery().status, shop.outcomes()) == ("in_doubt", ["in_doubt"])


def test_a_transactional_message_whose_fate_nobody_can_find_out_is_sent_again(any_store: Store) -> None:
    shop, enrollment = open_shop(any_store, ScriptedProvider(), send(topic="orders"))
    crash_after_claim(shop, enrollment, taken=False)
    assert shop.perform(enrollment) == SENT
    assert len(shop.received) == 1


@pytest.mark.parametrize(
    ("topic", "on_channel", "on_step", "is_resent"),
    [
        ("news", None, None, False),
        ("news", "resend", None, True),
        ("news", None, "resend", True),
        ("news", "resend", "hold", False),
        ("orders", None, None, True),
        ("orders", "hold", None, False),
        ("orders", None, "hold", False),
        ("orders", "hold", "resend", True),
        ("desk", None, None, True),
    ],
)
@pytest.mark.parametrize("way", ["crash", "lost answer"])
def test_in_doubt_is_held_or_resent_as_the_step_says_then_the_channel_then_its_topics_kind(
    any_store: Store, topic: str, on_channel: str | None, on_step: str | None, is_resent: bool, way: str
) -> None:
    channels = {"email": channel(in_doubt=on_channel), "sms": channel("sms"), "chat": channel("chat")}
    shop, enrollment = open_shop(any_store, ScriptedProvider(), send(topic=topic, in_doubt=on_step), channels=channels)
    if way == "crash":
        crash_after_claim(shop, enrollment, taken=True)
    else:
        shop.providers["email"].answers.append(taken_then(shop.providers["email"], NO_ANSWER))
    results = perform_until_settled(shop, enrollment)
    assert results[-1] == (SENT if is_resent else Sent(outcome="in_doubt"))
    assert len(shop.received) == (2 if is_resent else 1), "resending risks a second one: its author says so"
    assert shop.delivery().status == ("sent" if is_resent else "in_doubt")


def test_what_is_resent_is_resent_once_and_held_then(any_store: Store) -> None:
    """A provider that takes messages and never answers does not make ten of one."""
    provider = ScriptedProvider()
    shop, enrollment = open_shop(any_store, provider, send(topic="orders"))
    provider.answers += [taken_then(provider, NO_ANSWER), OUT, OUT, taken_then(provider, NO_ANSWER)]
    results = perform_until_settled(shop, enrollment)
    assert results[-1] == Sent(outcome="in_doubt")
    assert len(shop.received) == 2
    assert (shop.delivery().status, shop.delivery().attempts, shop.outcomes()) == ("in_doubt", 4, ["in_doubt"])


def test_a_worker_that_dies_with_each_attempt_resends_once(any_store: Store) -> None:
    shop, enrollment = open_shop(any_store, ScriptedProvider(), send(topic="orders"))
    crash_after_claim(shop, enrollment, taken=True)
    crash_after_claim(shop, enrollment, taken=True)
    assert shop.perform(enrollment) == Sent(outcome="in_doubt")
    assert len(shop.received) == 2


@pytest.mark.parametrize("error", [PermanentChannelError("no"), UnsupportedMessage("too long")])
@pytest.mark.parametrize("by", ["the same provider", "the backup"])
def test_what_may_have_gone_is_in_doubt_although_its_resending_is_refused(
    any_store: Store, error: Exception, by: str
) -> None:
    """The first attempt is as doubtful as it was: `failed` would be a guess."""
    step = send(in_doubt="resend")
    if by == "the backup":
        shop, enrollment = open_backed(any_store, step, **backed(NO_ANSWER, backup=ScriptedProvider("email", error)))
    else:
        shop, enrollment = open_shop(any_store, ScriptedProvider("email", NO_ANSWER, error), step)
    assert perform_until_settled(shop, enrollment)[-1] == Sent(outcome="in_doubt")
    assert (shop.delivery().status, shop.outcomes()) == ("in_doubt", ["in_doubt"])


@pytest.mark.parametrize(
    ("error", "outcome"), [(PermanentChannelError("no"), "failed"), (UnsupportedMessage("too long"), "in_doubt")]
)
def test_a_provider_that_knows_our_key_ends_the_doubt_where_it_was_asked(
    any_store: Store, error: Exception, outcome: Outcome
) -> None:
    shop, enrollment = open_shop(any_store, ScriptedProvider(**KEYED))
    crash_after_claim(shop, enrollment, taken=False)
    shop.providers["email"].answers.append(error)
    assert shop.perform(enrollment) == Sent(outcome=outcome)
    assert shop.delivery().status == outcome


@pytest.mark.parametrize("end", ["expiry", "exit", "withdrawal"])
def test_what_may_have_gone_is_in_doubt_and_not_failed_when_it_is_tried_no_more(any_store: Store, end: str) -> None:
    provider = ScriptedProvider()
    step = send(in_doubt="resend", expires_seconds=60 if end == "expiry" else None)
    shop, enrollment = open_shop(any_store, provider, step)
    provider.answers += [taken_then(provider, NO_ANSWER), *[OUT] * 10]
    assert shop.perform(enrollment) == WaitUntil(until=after(seconds=30), why="retry")
    match end:
        case "exit":
            shop.engine.performer.finish(enrollment.enrollment_id, "exit", shop.now)
        case "withdrawal":
            shop.withdraw()
    perform_until_settled(shop, enrollment)
    assert shop.delivery().status == "in_doubt"


@pytest.mark.parametrize(("topic", "outcome"), [("news", "in_doubt"), ("orders", "sent")])
def test_a_worker_that_was_given_up_and_answers_late_begins_nothing(
    any_store: Store, topic: str, outcome: Outcome
) -> None:
    """Its step was performed again meanwhile, and the journey has gone on: nobody would come back for a retry."""
    provider = ScriptedProvider()
    shop, enrollment = open_shop(any_store, provider, send(topic=topic))
    heard: list[Result] = []

    def slowly(_: Message) -> None:
        shop.now = after(seconds=31)
        heard.append(shop.perform(enrollment, reached_at=NOW))
        raise OUT

    provider.answers.append(slowly)
    shop.perform(enrollment)
    assert heard == [SENT if topic == "orders" else Sent(outcome="in_doubt")]
    assert (shop.delivery().status, shop.outcomes()) == (outcome, [outcome])
    assert shop.enrollments()[0].waiting is None


def test_a_worker_that_was_given_up_leaves_the_message_to_whoever_has_it_now(any_store: Store) -> None:
    """It is resent once: the backup, too, would be one too many."""
    provider = ScriptedProvider()
    shop, enrollment = open_backed(any_store, send(topic="orders"), **(backed() | {"providers": {"email": provider}}))

    def slowly(_: Message) -> None:
        shop.now = after(seconds=31)
        with pytest.raises(Crashed):
            shop.perform(enrollment, reached_at=NOW)
        raise OUT

    provider.answers += [slowly, Crashed()]
    shop.perform(enrollment)
    assert shop.providers["email_backup"].handed == []
    assert (shop.delivery().status, shop.delivery().claimed_at) == ("claimed", after(seconds=31))


@pytest.mark.parametrize("topic", ["news", "orders"])
@pytest.mark.parametrize("taken", [True, False])
def test_with_the_providers_own_key_it_is_handed_over_again(any_store: Store, topic: str, taken: bool) -> None:
    provider = ScriptedProvider(**KEYED)
    shop, enrollment = open_shop(any_store, provider, send(topic=topic))
    crash_after_claim(shop, enrollment, taken=taken)
    assert shop.perform(enrollment) == SENT
    assert len(provider.handed) == 2
    assert len(shop.received) == 1


@pytest.mark.parametrize("topic", ["news", "orders"])
@pytest.mark.parametrize("taken", [True, False])
def test_a_provider_that_can_be_asked_is_asked_first(any_store: Store, topic: str, taken: bool) -> None:
    provider = ScriptedProvider(**ASKED)
    shop, enrollment = open_shop(any_store, provider, send(topic=topic))
    crash_after_claim(shop, enrollment, taken=taken)
    assert shop.perform(enrollment) == SENT
    assert provider.looked_up == [shop.delivery().delivery_id]
    assert len(shop.received) == 1
    assert shop.delivery().provider_message_id == f"m-{shop.delivery().delivery_id}"


def test_its_own_claim_does_not_cap_a_message_that_is_handed_over_again(any_store: Store) -> None:
    caps = (Cap(at_most=1, per_seconds=86_400),)
    shop, enrollment = open_shop(any_store, ScriptedProvider(**KEYED), caps=caps)
    crash_after_claim(shop, enrollment, taken=False)
    assert shop.perform(enrollment) == SENT


def test_a_claim_is_decided_again_and_in_doubt_where_it_may_no_longer_go(any_store: Store) -> None:
    shop, enrollment = open_shop(any_store, ScriptedProvider(**KEYED))
    crash_after_claim(shop, enrollment, taken=True)
    shop.withdraw()
    assert shop.perform(enrollment) == Sent(outcome="in_doubt")
    assert shop.delivery().status == "in_doubt"
    assert sorted(shop.outcomes()) == ["in_doubt", "no_consent"]


def test_a_claim_found_again_in_quiet_hours_waits_for_their_end(any_store: Store) -> None:
    quiet = (QuietHours(from_="11:30", to="12:00"),)
    shop, enrollment = open_shop(any_store, ScriptedProvider(**KEYED), quiet_hours=quiet)
    crash_after_claim(shop, enrollment, taken=True)
    shop.now = after(minutes=40)
    assert shop.perform(enrollment) == WaitUntil(until=after(hours=1), why="quiet")
    assert shop.delivery().status == "claimed"
    shop.now = after(hours=1)
    assert shop.perform(enrollment, attempt=2) == SENT
    assert len(shop.received) == 1


def test_a_claim_that_its_author_has_resent_is_resent_after_quiet_hours_too(any_store: Store) -> None:
    quiet = (QuietHours(from_="11:30", to="12:00"),)
    shop, enrollment = open_shop(any_store, ScriptedProvider(), send(in_doubt="resend"), quiet_hours=quiet)
    crash_after_claim(shop, enrollment, taken=False)
    shop.now = after(minutes=40)
    assert shop.perform(enrollment) == WaitUntil(until=after(hours=1), why="quiet")
    shop.now = after(hours=1)
    assert shop.perform(enrollment, attempt=2) == SENT


def test_a_claim_whose_enrollment_has_ended_is_in_doubt_and_not_forgotten(any_store: Store) -> None:
    shop, enrollment = open_shop(any_store, ScriptedProvider(**KEYED))
    crash_after_claim(shop, enrollment, taken=True)
    shop.engine.performer.finish(enrollment.enrollment_id, "exit", shop.now)
    shop.perform(enrollment)
    assert shop.delivery().status == "in_doubt"


def test_a_message_that_has_gone_has_gone_although_its_enrollment_ends_before_anybody_heard(any_store: Store) -> None:
    """The worker died after `sent` was recorded, and before it could say so."""
    shop, enrollment = open_shop(any_store, ScriptedProvider())
    assert shop.perform(enrollment) == SENT
    shop.engine.performer.finish(enrollment.enrollment_id, "exit", shop.now)
    shop.perform(enrollment, attempt=2)
    assert (shop.delivery().status, shop.outcomes(), len(shop.received)) == ("sent", ["sent"], 1)


def test_a_doubt_stays_with_its_provider_and_never_goes_to_the_backup(any_store: Store) -> None:
    """The provider took it, the worker died, and now the provider is out: a backup would send a second one."""
    shop, enrollment = open_backed(any_store, **backed(**KEYED))
    crash_after_claim(shop, enrollment, taken=True)
    shop.providers["email"].answers += [OUT, OUT]
    assert perform_until_settled(shop, enrollment)[-1] == SENT
    assert shop.providers["email_backup"].handed == []
    assert len(shop.received) == 1


def test_a_doubt_about_the_backup_is_settled_with_the_backup(any_store: Store) -> None:
    backup = ScriptedProvider("email", **KEYED)
    shop, enrollment = open_backed(any_store, **backed(OUT, backup=backup))
    backup.answers.append(taken_then(backup, Crashed()))
    with pytest.raises(Crashed):
        shop.perform(enrollment)
    assert shop.perform(enrollment) == SENT
    assert len(shop.received) == 1
    assert shop.delivery().via == "email_backup"


# ── an answer that is lost ───────────────────────────────────────────────────────────────────────────────────────────
def test_without_key_or_asking_a_lost_answer_leaves_marketing_in_doubt(any_store: Store) -> None:
    provider = ScriptedProvider("email", NO_ANSWER)
    shop, enrollment = open_shop(any_store, provider)
    assert shop.perform(enrollment) == Sent(outcome="in_doubt")
    assert len(provider.handed) == 1
    assert shop.delivery().status == "in_doubt"


@pytest.mark.parametrize("capability", [KEYED, ASKED], ids=["key", "asking"])
@pytest.mark.parametrize("topic", ["news", "orders"])
def test_a_lost_answer_is_sought_again_where_that_is_safe(
    any_store: Store, capability: dict[str, bool], topic: str
) -> None:
    shop, enrollment = open_backed(any_store, send(topic=topic), **backed(**capability))
    provider = shop.providers["email"]
    provider.answers.append(taken_then(provider, NO_ANSWER))
    results = perform_until_settled(shop, enrollment)
    assert results == [WaitUntil(until=after(seconds=30), why="retry"), SENT]
    assert len(shop.received) == 1
    assert shop.outcomes() == ["sent"]


@pytest.mark.parametrize("topic", ["news", "orders"])
def test_a_provider_that_forgets_its_keys_is_asked_again_only_while_it_remembers(any_store: Store, topic: str) -> None:
    """Tries at 0 s, 30 s and 90 s; the next one, at 210 s, would be a new message to it."""
    shop, enrollment = open_shop(any_store, ScriptedProvider(**FORGETFUL), send(topic=topic))
    shop.providers["email"].answers += [NO_ANSWER] * 10
    assert perform_until_settled(shop, enrollment)[-1] == Sent(outcome="in_doubt")
    assert len(shop.providers["email"].handed) == 3


def test_a_claim_found_after_the_provider_has_forgotten_its_key_is_in_doubt(any_store: Store) -> None:
    shop, enrollment = open_shop(any_store, ScriptedProvider(**FORGETFUL))
    crash_after_claim(shop, enrollment, taken=True)
    shop.now = after(minutes=3)
    assert shop.perform(enrollment) == Sent(outcome="in_doubt")
    assert len(shop.received) == 1


def test_a_doubt_that_outlasts_its_time_is_held_for_ops(any_store: Store) -> None:
    shop, enrollment = open_shop(any_store, ScriptedProvider(**KEYED), send(expires_seconds=60))
    shop.providers["email"].answers += [NO_ANSWER] * 10
    assert perform_until_settled(shop, enrollment)[-1] == Sent(outcome="in_doubt")
    assert shop.delivery().status == "in_doubt"


# ── crashes ──────────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("capability", [KEYED, ASKED], ids=["key", "asking"])
def test_killed_at_any_call_of_the_store_the_message_goes_exactly_once(
    any_store: Store, capability: dict[str, bool]
) -> None:
    provider = ScriptedProvider(**capability)
    shop = Shop(any_store, plan(send()), providers={"email": provider}).open()
    shop.person()
    place, has_crashed = 0, True
    while has_crashed:
        place += 1
        enrollment = shop.enrolled()
        before = len(shop.received)
        worker = shop.on(CrashingStore(any_store, crash_at=place))
        try:
            worker.perform(enrollment)
            has_crashed = False
        except Crashed:
            assert shop.perform(enrollment) == SENT, place
        assert len(shop.received) == before + 1, place
        shop.engine.performer.finish(enrollment.enrollment_id, "completed", shop.now)
        shop.now += timedelta(seconds=1)
    assert place > 10, "the loop has met the calls before the claim, of it, and of the record"
    assert {delivery.status for delivery in shop.deliveries()} == {"sent"}


@pytest.mark.parametrize("topic", ["news", "orders"])
def test_killed_anywhere_without_a_key_it_is_sent_or_in_doubt_and_never_merely_missing(topic: str) -> None:
    place, has_crashed, in_doubt = 0, True, 0
    while has_crashed:
        place += 1
        store = MemoryStore()
        shop, enrollment = open_shop(store, ScriptedProvider(), send(topic=topic))
        try:
            shop.on(CrashingStore(store, crash_at=place)).perform(enrollment)
            has_crashed = False
        except Crashed:
            result = shop.perform(enrollment)
            in_doubt += result == Sent(outcome="in_doubt")
            assert result in (SENT, Sent(outcome="in_doubt"))
        assert len(shop.received) <= (1 if topic == "news" else 2)
        assert shop.received or shop.delivery().status == "in_doubt"
    assert bool(in_doubt) == (topic == "news")


# ── retries ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_an_outage_is_retried_after_30_seconds_doubling_to_10_minutes_for_a_day(any_store: Store) -> None:
    provider = ScriptedProvider("email", *[OUT] * 500)
    shop, enrollment = open_shop(any_store, provider)
    results = perform_until_settled(shop, enrollment)
    seconds = [int(span.total_seconds()) for span in waits(results)]
    assert seconds[:7] == [30, 60, 120, 240, 480, 600, 600]
    assert set(seconds[7:-1]) == {600}
    assert shop.now == after(hours=24), "the last try is made when the time is over, not before"
    assert results[-1] == Sent(outcome="failed")
    assert (shop.delivery().status, shop.delivery().error) == ("failed", "unavailable")
    assert shop.outcomes() == ["failed"]


def test_a_retry_ends_where_the_message_expires(any_store: Store) -> None:
    provider = ScriptedProvider("email", *[OUT] * 9)
    shop, enrollment = open_shop(any_store, provider, send(expires_seconds=100))
    results = perform_until_settled(shop, enrollment)
    assert waits(results) == [timedelta(seconds=30), timedelta(seconds=60), timedelta(seconds=10)]
    assert results[-1] == Sent(outcome="failed")


@pytest.mark.parametrize(
    ("said", "heeded"),
    [
        (timedelta(minutes=25), timedelta(minutes=25)),
        (timedelta(days=3), timedelta(hours=24)),
        (timedelta(0), timedelta(seconds=1)),
    ],
)
def test_the_providers_own_word_on_when_to_try_again_is_heeded_within_reason(
    any_store: Store, said: timedelta, heeded: timedelta
) -> None:
    shop, enrollment = open_shop(any_store, ScriptedProvider("email", TransientChannelError("busy", retry_after=said)))
    assert shop.perform(enrollment) == WaitUntil(until=NOW + heeded, why="retry")


def test_a_provider_that_says_soon_for_ever_is_not_asked_for_ever(any_store: Store) -> None:
    """Ten times it is taken at its word; without that it would be asked 12,000 times in the 24 hours."""
    provider = ScriptedProvider("email", *[TransientChannelError("busy", retry_after=timedelta(seconds=7))] * 1000)
    shop, enrollment = open_shop(any_store, provider)
    results = perform_until_settled(shop, enrollment)
    assert results[-1] == Sent(outcome="failed")
    assert waits(results)[:12] == [*[timedelta(seconds=7)] * 10, *[timedelta(minutes=10)] * 2]
    assert len(provider.handed) < 160


def test_a_message_that_was_tried_until_it_expired_has_failed_and_did_not_merely_come_too_late(
    any_store: Store,
) -> None:
    """Nobody was there at its last moment: a pause, or workers that were down."""
    shop, enrollment = open_shop(any_store, ScriptedProvider("email", OUT), send(expires_seconds=3600))
    assert isinstance(shop.perform(enrollment), WaitUntil)
    shop.now = after(hours=2)
    assert shop.perform(enrollment, attempt=2, reached_at=NOW, is_due=True) == Sent(outcome="failed")
    assert (shop.delivery().status, shop.delivery().error, shop.received) == ("failed", "unavailable", [])
    assert shop.outcomes() == ["failed"]


def test_every_retry_is_decided_anew(any_store: Store) -> None:
    shop, enrollment = open_shop(any_store, ScriptedProvider("email", OUT))
    shop.perform(enrollment)
    shop.withdraw()
    shop.now = after(seconds=30)
    assert shop.perform(enrollment, attempt=2) == Sent(outcome="no_consent")
    assert shop.received == []
    # It waits for nothing any more, and a repeat of the same call says the same.
    assert (shop.delivery().status, shop.delivery().error) == ("failed", "no_consent")
    assert shop.perform(enrollment, attempt=2) == Sent(outcome="no_consent")


def test_a_message_waiting_for_its_retry_fails_when_its_enrollment_ends(any_store: Store) -> None:
    shop, enrollment = open_shop(any_store, ScriptedProvider("email", OUT))
    shop.perform(enrollment)
    shop.engine.performer.finish(enrollment.enrollment_id, "exit", shop.now)
    assert shop.delivery().status == "failed"


@pytest.mark.parametrize("error", [PermanentChannelError("no"), UnsupportedMessage("too long")])
def test_what_no_retry_helps_fails_at_once(any_store: Store, error: Exception) -> None:
    shop, enrollment = open_shop(any_store, ScriptedProvider("email", error))
    assert shop.perform(enrollment) == Sent(outcome="failed")
    assert shop.delivery().status == "failed"
    (decision,) = shop.decisions()
    assert decision.outcome == "failed"
    assert decision.inputs["error"] == shop.delivery().error


def test_an_address_that_the_provider_calls_dead_is_suppressed(any_store: Store) -> None:
    shop, enrollment = open_shop(
        any_store, ScriptedProvider("email", PermanentChannelError("gone", reason="invalid_address"))
    )
    shop.perform(enrollment)
    assert shop.perform(enrollment, visit=2) == Sent(outcome="suppressed")


@pytest.mark.parametrize(
    ("name", "marketing", "transactional"), [("sms", "no_consent", "suppressed"), ("chat", "suppressed", "sent")]
)
def test_a_person_who_said_stop_at_the_provider_has_said_it_to_us(
    any_store: Store, name: ChannelKind, marketing: Outcome, transactional: Outcome
) -> None:
    """Carriers block a number for everything; elsewhere it is marketing that the person will have no more of."""
    answers = [PermanentChannelError("no", reason="opted_out")]
    steps = (send("hello", channels=(name,)), send("order", channels=(name,), topic="orders"))
    shop = Shop(any_store, plan(*steps), providers={name: ScriptedProvider(name, *answers)}).open()
    shop.person()
    enrollment = shop.enrolled()
    assert shop.perform(enrollment) == Sent(outcome="failed")
    with shop.store.transaction() as unit:
        withdrawn = [each for each in unit.consents.of(shop.id_of("ana")) if each.action == "withdraw"]
    assert [(each.channel, each.topic, each.actor) for each in withdrawn] == [(name, None, "provider")]
    assert withdrawn[0].source == f"delivery:{shop.delivery().delivery_id}"
    assert shop.perform(enrollment, visit=2) == Sent(outcome=marketing)
    assert shop.perform(enrollment, "order") == Sent(outcome=transactional)


# ── the backup ───────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("error", [OUT, MISCONFIGURED], ids=["outage", "account"])
def test_the_backup_takes_over_within_the_same_dispatch(any_store: Store, error: Exception) -> None:
    shop, enrollment = open_backed(any_store, **backed(error))
    assert shop.perform(enrollment) == SENT
    delivery = shop.delivery()
    assert (delivery.channel, delivery.via, delivery.status, delivery.error) == ("email", "email_backup", "sent", None)
    (message,) = shop.providers["email_backup"].handed
    assert message.channel == "email_backup"
    assert shop.decisions()[0].inputs["via"] == "email_backup"


def test_a_permanent_refusal_does_not_go_to_the_backup(any_store: Store) -> None:
    shop, enrollment = open_backed(any_store, **backed(PermanentChannelError("no")))
    assert shop.perform(enrollment) == Sent(outcome="failed")
    assert shop.providers["email_backup"].handed == []


def test_channel_and_backup_out_is_one_try_of_the_message(any_store: Store) -> None:
    backup = ScriptedProvider("email", OUT, OUT)
    shop, enrollment = open_backed(any_store, **backed(OUT, OUT, backup=backup))
    results = perform_until_settled(shop, enrollment)
    assert waits(results) == [timedelta(seconds=30), timedelta(seconds=60)]
    assert results[-1] == SENT
    assert shop.delivery().via == "email"


@pytest.mark.parametrize(("first", "second"), [(OUT, MISCONFIGURED), (MISCONFIGURED, OUT), (MISCONFIGURED,) * 2])
def test_whatever_is_wrong_with_both_the_message_is_tried_again(
    any_store: Store, first: Exception, second: Exception
) -> None:
    shop, enrollment = open_backed(any_store, **backed(first, backup=ScriptedProvider("email", second)))
    assert shop.perform(enrollment) == WaitUntil(until=after(seconds=30), why="retry")


# ── the record ───────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_decision_to_send_names_everything_that_was_looked_at(any_store: Store) -> None:
    caps = (Cap(at_most=3, per_seconds=86_400),)
    shop, enrollment = open_shop(any_store, ScriptedProvider(), send(expires_seconds=3600), caps=caps)
    shop.perform(enrollment)
    (decision,) = shop.decisions()
    assert set(decision.inputs) == {
        "topic", "zone", "reached_at", "expires_at", "consent", "consent_reason", "caps", "template",
        "template_digest", "via",
    }  # fmt: skip
    assert decision.inputs["zone"] == "Europe/Madrid"
    assert decision.digest == enrollment.digest
    with shop.store.transaction() as unit:
        known = [record.consent_id for record in unit.consents.of(shop.id_of("ana"))]
    assert decision.inputs["consent"] in known


def test_the_record_of_a_text_message_says_how_many_parts_it_takes(any_store: Store) -> None:
    shop = Shop(any_store, plan(send(channels=("sms",)))).open()
    shop.person(consents=[("sms", "news")])
    assert shop.perform(shop.enrolled()) == SENT
    assert shop.decisions()[-1].inputs["parts"] == sms_size(shop.delivery().text or "").parts == 1


def test_a_template_that_cannot_render_is_recorded_and_nothing_is_claimed(any_store: Store) -> None:
    shop, enrollment = open_shop(any_store, ScriptedProvider(), send(template="broken"))
    assert shop.perform(enrollment) == Sent(outcome="render_error")
    assert (shop.received, shop.deliveries(), shop.outcomes()) == ([], [], ["render_error"])


def test_a_receipt_that_overtakes_the_providers_answer_is_kept(any_store: Store) -> None:
    provider = ScriptedProvider()
    shop, enrollment = open_shop(any_store, provider)

    def delivered_already(message: Message) -> None:
        with shop.store.transaction() as unit:
            receipt = Receipt(kind="delivered", receipt_id="r1", occurred_at=shop.now, delivery_id=message.delivery_id)
            shop.engine.receipts.take(unit, shop.project.channels["email"], receipt, shop.now)
        raise NO_ANSWER

    provider.answers.append(delivered_already)
    assert shop.perform(enrollment) == SENT
    assert shop.delivery().status == "delivered"


def test_somebody_held_out_passes_the_gates_and_gets_nothing(any_store: Store) -> None:
    shop = Shop(any_store, plan(send(), holdout=10_000), caps=(Cap(at_most=1, per_seconds=86_400),)).open()
    shop.person()
    enrollment = shop.enrolled()
    assert [shop.perform(enrollment), shop.perform(enrollment)] == [Sent(outcome="held_out")] * 2
    assert (shop.received, shop.outcomes()) == ([], ["held_out"])
    # Both sides of a holdout are treated alike by the caps.
    assert shop.perform(enrollment, visit=2) == Sent(outcome="capped")


def test_nobody_is_held_out_of_a_transactional_message(any_store: Store) -> None:
    shop = Shop(any_store, plan(send(topic="orders"), holdout=10_000)).open()
    shop.person()
    assert shop.perform(shop.enrolled()) == SENT


# ── several channels ─────────────────────────────────────────────────────────────────────────────────────────────────
EVENING = (QuietHours(channels=("sms",), from_="10:00", to="14:00"),)


def test_of_a_list_the_first_channel_that_may_go_is_taken_and_each_is_recorded(any_store: Store) -> None:
    step = send(channels=("sms", "chat", "email"))
    shop = Shop(any_store, plan(step), quiet_hours=EVENING).open()
    shop.person(consents=[("sms", "news"), ("email", "news")])
    assert shop.perform(shop.enrolled()) == SENT
    assert shop.delivery().channel == "email"
    assert [(each.channel, each.outcome) for each in shop.decisions()] == [
        ("sms", "quiet"), ("chat", "no_consent"), ("email", "sent"),
    ]  # fmt: skip


def test_of_a_list_the_first_that_is_merely_quiet_is_waited_for(any_store: Store) -> None:
    shop = Shop(any_store, plan(send(channels=("chat", "sms"))), quiet_hours=EVENING).open()
    shop.person(consents=[("sms", "news")])
    assert shop.perform(shop.enrolled()) == WaitUntil(until=after(hours=3), why="quiet")


def test_of_a_list_of_which_none_may_go_the_first_gives_the_outcome(any_store: Store) -> None:
    shop = Shop(any_store, plan(send(channels=("chat", "email")))).open()
    shop.person(consents=[], chat={"chat": None})
    assert shop.perform(shop.enrolled()) == Sent(outcome="unreachable")
    assert shop.outcomes() == ["unreachable", "no_consent"]


def test_a_message_once_tried_stays_with_its_channel(any_store: Store) -> None:
    """Else one message might become two, one on each channel."""
    shop = Shop(any_store, plan(send(channels=("email", "sms"))), providers={"email": ScriptedProvider("email", OUT)})
    shop.open().person()
    enrollment = shop.enrolled()
    shop.perform(enrollment)
    shop.withdraw(channel_name="email")
    shop.now = after(seconds=30)
    assert shop.perform(enrollment, attempt=2) == Sent(outcome="no_consent")
    assert shop.received == []


# ── quiet hours, caps and expiry together ────────────────────────────────────────────────────────────────────────────
WAITING = {"capped": Otherwise(action="wait")}


def test_a_message_may_still_go_at_the_very_moment_of_its_expiry(any_store: Store) -> None:
    shop, enrollment = open_shop(any_store, ScriptedProvider(), send(expires_seconds=3600))
    shop.now = after(hours=1)
    assert shop.perform(enrollment, reached_at=NOW) == SENT
    shop.now = after(hours=1, microseconds=1)
    assert shop.perform(enrollment, visit=2, reached_at=NOW) == Sent(outcome="expired")


@pytest.mark.parametrize(("expires", "expected"), [(7200, "waits"), (7199, "expired")])
def test_what_quiet_hours_would_hold_past_its_expiry_is_expired_at_once(
    any_store: Store, expires: int, expected: str
) -> None:
    quiet = (QuietHours(from_="11:00", to="13:00"),)
    shop, enrollment = open_shop(any_store, ScriptedProvider(), send(expires_seconds=expires), quiet_hours=quiet)
    result = shop.perform(enrollment)
    if expected == "waits":
        assert result == WaitUntil(until=after(hours=2), why="quiet")
    else:
        assert result == Sent(outcome="expired")
        assert shop.decisions()[0].inputs["held_by"] == "quiet"


def test_what_a_cap_would_hold_into_quiet_hours_past_its_expiry_is_expired_at_once(any_store: Store) -> None:
    """The cap allows it at 12:00, which is quiet until 14:00, and at 13:00 it expires."""
    quiet = (QuietHours(from_="11:30", to="14:00"),)
    caps = (Cap(at_most=1, per_seconds=3600),)
    step = send(expires_seconds=7200, otherwise=WAITING)
    shop, enrollment = open_shop(any_store, ScriptedProvider(), step, quiet_hours=quiet, caps=caps)
    assert shop.perform(enrollment) == SENT
    assert shop.perform(enrollment, visit=2) == Sent(outcome="expired")


def test_a_capped_message_that_waits_goes_at_the_first_moment_that_every_cap_allows(any_store: Store) -> None:
    caps = (Cap(at_most=1, per_seconds=3600), Cap(at_most=2, per_seconds=86_400))
    shop, enrollment = open_shop(any_store, ScriptedProvider(), send(otherwise=WAITING), caps=caps)
    assert shop.perform(enrollment) == SENT
    assert shop.perform(enrollment, visit=2) == WaitUntil(until=after(hours=1), why="capped")
    shop.now = after(hours=1)
    assert shop.perform(enrollment, visit=2, attempt=2, reached_at=NOW) == SENT
    assert shop.perform(enrollment, visit=3) == WaitUntil(until=after(hours=24), why="capped")


def test_a_failed_message_gives_its_place_under_the_cap_back(any_store: Store) -> None:
    caps = (Cap(at_most=1, per_seconds=86_400),)
    shop, enrollment = open_shop(any_store, ScriptedProvider("email", PermanentChannelError("no")), caps=caps)
    assert shop.perform(enrollment) == Sent(outcome="failed")
    assert shop.perform(enrollment, visit=2) == SENT
    assert shop.perform(enrollment, visit=3) == Sent(outcome="capped")


@pytest.mark.parametrize("trouble", [OUT, MISCONFIGURED])
def test_a_message_that_may_have_gone_keeps_its_place_while_it_waits_for_its_next_try(
    any_store: Store, trouble: Exception
) -> None:
    caps = (Cap(at_most=1, per_seconds=86_400),)
    provider = ScriptedProvider()
    provider.answers += [taken_then(provider, NO_ANSWER), trouble]
    shop, enrollment = open_shop(any_store, provider, send(in_doubt="resend"), caps=caps)
    for attempt in (1, 2):
        waiting = shop.perform(enrollment, attempt=attempt, is_due=attempt > 1)
        assert isinstance(waiting, WaitUntil)
        assert shop.perform(enrollment, visit=2 + attempt) == Sent(outcome="capped")
        assert waiting.until is not None
        shop.now = waiting.until
    # Its own place is its own, also when it is tried at last.
    assert shop.perform(enrollment, attempt=3, is_due=True) == SENT
    assert len(shop.received) == 2


def test_a_message_that_has_not_gone_holds_no_place_while_it_waits_for_its_next_try(any_store: Store) -> None:
    caps = (Cap(at_most=1, per_seconds=86_400),)
    shop, enrollment = open_shop(any_store, ScriptedProvider("email", OUT), caps=caps)
    assert isinstance(shop.perform(enrollment), WaitUntil)
    assert shop.perform(enrollment, visit=2) == SENT


def test_transactional_messages_know_neither_caps_nor_quiet_hours(any_store: Store) -> None:
    shop, enrollment = open_shop(
        any_store,
        ScriptedProvider(),
        send(topic="orders"),
        caps=(Cap(at_most=1, per_seconds=86_400),),
        quiet_hours=(QuietHours(from_="00:00", to="23:59"),),
    )
    assert [shop.perform(enrollment, visit=visit) for visit in (1, 2, 3)] == [SENT] * 3
