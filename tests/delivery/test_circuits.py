"""A provider in trouble is left alone: its messages go to the backup or wait, and go in their order when it is back."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import pairwise
from threading import Barrier, Thread

import pytest

from engine.delivery.circuit import OPENS_AFTER, Circuit, after_failure
from engine.delivery.message import Capabilities, Message, SendResult
from engine.enrollment.model import Enrollment
from engine.errors import (
    ChannelConfigError,
    DoubtfulChannelError,
    PermanentChannelError,
    TransientChannelError,
    UnsupportedMessage,
)
from engine.insight.words import decision_words
from engine.plan.effects import Result, Sent, WaitUntil
from engine.plan.model import Send
from engine.project import ChannelKind
from engine.storage.database import Database
from engine.storage.memory import MemoryStore
from engine.store import Store
from tests.factories import NOW, Crashed, ScriptedProvider, Shop, after, channel, plan, send

OUT = TransientChannelError("http 503")
SENT = Sent(outcome="sent")
SOON, DAY = after(seconds=30), after(hours=24)


class Provider(ScriptedProvider):
    """One that fails as long as `is_out` says so, and remembers when it was called and when it took what."""

    def __init__(self, is_out: Callable[[datetime], Exception | None], kind: ChannelKind = "email") -> None:
        super().__init__(kind, has_idempotency=True)
        self.is_out = is_out
        self.shop: Shop | None = None
        self.called: list[datetime] = []
        self.taken: list[tuple[datetime, str]] = []

    def send(self, message: Message) -> SendResult:
        assert self.shop is not None
        self.called.append(self.shop.now)
        error = self.is_out(self.shop.now)
        if error:
            raise error
        self.taken.append((self.shop.now, message.delivery_id))
        return super().send(message)


def during(error: Exception | None, end: datetime) -> Callable[[datetime], Exception | None]:
    return lambda now: error if now < end else None


def open_shop(store: Store, provider: Provider, step: Send | None = None, **given: object) -> Shop:
    channels = {"email": channel(), "sms": channel("sms"), "chat": channel("chat")}
    channels |= given.pop("channels", {})  # type: ignore[call-overload]
    providers = {"email": provider} | given.pop("providers", {})  # type: ignore[call-overload]
    shop = Shop(store, plan(step or send()), providers=providers, channels=channels, **given).open()  # type: ignore[arg-type]
    for each in providers.values():
        if isinstance(each, Provider):
            each.shop = shop
    return shop


def people(shop: Shop, number: int, name: str = "person") -> list[Enrollment]:
    found = []
    for each in range(number):
        shop.person(f"{name}{each}")
        found.append(shop.enrolled(person=f"{name}{each}"))
    return found


def circuit(shop: Shop, name: str = "email") -> Circuit | None:
    with shop.store.transaction() as unit:
        return unit.circuits.find(name)


def opened(shop: Shop) -> list[Enrollment]:
    """The circuit opens: so many messages fail in a row."""
    failed = people(shop, OPENS_AFTER, "early")
    assert [shop.perform(each) for each in failed] == [WaitUntil(until=after(seconds=30), why="retry")] * OPENS_AFTER
    now = circuit(shop)
    assert now is not None
    assert (now.state, now.probe_at) == ("open", after(seconds=30))
    return failed


# ── opening ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_while_it_is_open_nothing_is_handed_over_and_no_attempt_is_counted(any_store: Store) -> None:
    provider = Provider(during(OUT, DAY))
    shop = open_shop(any_store, provider)
    opened(shop)
    (late,) = people(shop, 1)
    assert shop.perform(late) == WaitUntil(until=DAY, why="retry"), "at the latest: it is let go before"
    assert len(provider.called) == OPENS_AFTER
    delivery = shop.delivery("person0")
    assert (delivery.status, delivery.attempts, delivery.error) == ("retrying", 0, "circuit_open")
    (decision,) = shop.decisions("person0")
    assert (decision.outcome, decision.until, decision.inputs["circuit"]) == ("failed", DAY, "open")


def test_one_message_that_fails_again_and_again_opens_nothing(any_store: Store) -> None:
    """Its retries keep their moments: 30 s, doubling."""
    provider = Provider(during(OUT, after(hours=1)))
    shop = open_shop(any_store, provider)
    people(shop, 1)
    shop.run_until(after(hours=2))
    assert [(at - NOW).total_seconds() for at in provider.called[:6]] == [0, 30, 90, 210, 450, 930]
    assert len(provider.taken) == 1


def test_a_success_between_failures_begins_the_run_anew(any_store: Store) -> None:
    failing = [True] * (OPENS_AFTER - 1) + [False] + [True] * (OPENS_AFTER - 1)
    provider = Provider(lambda _: OUT if failing.pop(0) else None)
    shop = open_shop(any_store, provider)
    for each in people(shop, 2 * OPENS_AFTER - 1):
        shop.perform(each)
    now = circuit(shop)
    assert now is not None
    assert (now.state, now.failures) == ("closed", OPENS_AFTER - 1)


@pytest.mark.parametrize("error", [PermanentChannelError("no"), UnsupportedMessage("too long")])
def test_what_speaks_against_a_message_does_not_speak_against_the_provider(any_store: Store, error: Exception) -> None:
    shop = open_shop(any_store, Provider(during(error, DAY)))
    assert [shop.perform(each) for each in people(shop, 2 * OPENS_AFTER)] == [Sent(outcome="failed")] * 2 * OPENS_AFTER
    assert circuit(shop) is None


def test_mailboxes_that_are_full_open_nothing_and_are_no_work_for_the_backup(any_store: Store) -> None:
    full = TransientChannelError("452 4.2.2", provider="works")
    backup = ScriptedProvider("email")
    channels = {"email": channel(backup="email_backup"), "email_backup": channel("email_backup")}
    provider = Provider(during(full, after(seconds=20)))
    shop = open_shop(any_store, provider, channels=channels, providers={"email_backup": backup})
    waits = [shop.perform(each) for each in people(shop, 2 * OPENS_AFTER)]
    assert waits == [WaitUntil(until=after(seconds=30), why="retry")] * 2 * OPENS_AFTER
    assert (circuit(shop), backup.handed) == (None, [])


def test_a_destination_that_our_account_may_not_send_to_is_the_backups_and_stops_nobody(any_store: Store) -> None:
    unserved = ChannelConfigError("code 21408", provider="works")
    backup = ScriptedProvider("email")
    channels = {"email": channel(backup="email_backup"), "email_backup": channel("email_backup")}
    shop = open_shop(any_store, Provider(during(unserved, DAY)), channels=channels, providers={"email_backup": backup})
    assert [shop.perform(each) for each in people(shop, 2 * OPENS_AFTER)] == [SENT] * 2 * OPENS_AFTER
    assert circuit(shop) is None


def test_an_address_that_is_none_says_nothing_of_a_provider_that_was_never_asked(any_store: Store) -> None:
    none = PermanentChannelError("no address", reason="invalid_address", provider="unknown")
    failing = [OUT, none] * OPENS_AFTER
    shop = open_shop(any_store, Provider(lambda _: failing.pop(0)))
    for each in people(shop, 2 * OPENS_AFTER):
        shop.perform(each)
    now = circuit(shop)
    assert now is not None
    assert now.state == "open"


def test_time_outs_open_it_too(any_store: Store) -> None:
    shop = open_shop(any_store, Provider(during(DoubtfulChannelError("no answer"), DAY)))
    opened(shop)


def test_a_healthy_channel_leaves_no_row(any_store: Store) -> None:
    shop = open_shop(any_store, Provider(lambda _: None))
    assert [shop.perform(each) for each in people(shop, 3)] == [SENT] * 3
    assert circuit(shop) is None


# ── the probe ────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_one_message_is_let_through_and_its_success_lets_everybody_go(any_store: Store) -> None:
    provider = Provider(during(OUT, after(seconds=10)))
    shop = open_shop(any_store, provider)
    failed = opened(shop)
    shop.now = after(seconds=30)
    results: list[Result] = []
    provider.answers.append(lambda _: results.append(shop.perform(failed[1], attempt=2)))
    assert shop.perform(failed[0], attempt=2) == SENT
    assert results == [WaitUntil(until=DAY, why="retry")], "while the probe is out, nobody else is let through"
    assert circuit(shop) is None
    assert shop.perform(failed[1], attempt=3) == SENT


def test_probes_come_ever_more_rarely(any_store: Store) -> None:
    provider = Provider(during(OUT, DAY))
    shop = open_shop(any_store, provider)
    for each in range(OPENS_AFTER + 1):
        shop.person(f"person{each}")
        shop.track("Cart Updated", f"person{each}")
    shop.run_until(after(minutes=30))
    probes = sorted(set(provider.called))
    pauses = [int((later - earlier).total_seconds()) for earlier, later in pairwise(probes)]
    assert pauses[:6] == [30, 60, 120, 240, 300, 300]
    assert len(provider.called) == OPENS_AFTER + len(probes) - 1, "one message a probe"


@pytest.mark.parametrize(("said", "pause"), [(90, 90), (1, 30), (86_400, 3600)])
def test_the_providers_own_word_lengthens_the_pause_within_reason(said: int, pause: int) -> None:
    error = TransientChannelError("busy", retry_after=timedelta(seconds=said))
    known = Circuit(channel="email", failures=OPENS_AFTER - 1)
    now = after_failure(known, "email", "d1", error, NOW, is_first=True)
    assert (now.state, now.probe_at) == ("open", after(seconds=pause))


def test_what_an_adapter_says_is_kept_short_and_printable() -> None:
    now = after_failure(
        None, "email", "d1", TransientChannelError("a\x00b\x1b[31m\ud800" + "x" * 999), NOW, is_first=True
    )
    assert now.error.startswith("ab[31mxxx")
    assert len(now.error) == 200


def test_what_was_under_way_when_it_opened_lengthens_nothing() -> None:
    known = Circuit(channel="email", state="open", probe_at=after(seconds=30), probing=None)
    assert after_failure(known, "email", "d9", OUT, NOW, is_first=True) == known


def test_a_probe_whose_worker_dies_is_followed_by_another(any_store: Store) -> None:
    provider = Provider(during(OUT, after(seconds=10)))
    shop = open_shop(any_store, provider)
    failed = opened(shop)
    shop.now = after(seconds=30)
    provider.answers.append(Crashed())
    with pytest.raises(Crashed):
        shop.perform(failed[0], attempt=2)
    assert isinstance(shop.perform(failed[1], attempt=2), WaitUntil)
    shop.now = after(seconds=90)
    assert shop.perform(failed[1], attempt=3) == SENT


def test_a_probe_that_is_performed_again_has_no_more_time_for_it(any_store: Store) -> None:
    provider = Provider(during(OUT, after(seconds=10)))
    shop = open_shop(any_store, provider)
    failed = opened(shop)
    for seconds in (30, 80):
        shop.now = after(seconds=seconds)
        provider.answers.append(Crashed())
        with pytest.raises(Crashed):
            shop.perform(failed[0], attempt=2)
    shop.now = after(seconds=90)
    assert shop.perform(failed[1], attempt=2) == SENT


def held(shop: Shop, *names: str, probe_at: datetime = SOON) -> None:
    """The circuit is open, and the messages to these people wait for it to the end of their time."""
    with shop.store.transaction() as unit:
        unit.circuits.save(Circuit(channel="email", state="open", opened_at=NOW, probe_at=probe_at))
    for name in names:
        shop.person(name)
        shop.track("Cart Updated", name)
    shop.settle()


def test_where_the_one_that_was_asked_for_may_go_no_more_another_is_asked(any_store: Store) -> None:
    provider = Provider(lambda _: None)
    shop = open_shop(any_store, provider)
    held(shop, "gone", "person")
    shop.withdraw("gone")
    shop.run_until(after(minutes=2))
    assert [at for at, _ in provider.taken] == [after(seconds=90)]
    assert shop.delivery("person").status == "sent"


def test_each_probe_is_another_message_as_the_message_may_be_what_is_wrong(any_store: Store) -> None:
    class Touchy(Provider):
        def send(self, message: Message) -> SendResult:
            self.is_out = during(OUT if message.to.startswith("odd") else None, DAY)
            return super().send(message)

    provider = Touchy(lambda _: None)
    shop = open_shop(any_store, provider)
    held(shop, "odd")
    shop.now = after(seconds=5)
    held(shop, "person0", "person1")
    shop.run_until(after(minutes=5))
    assert [shop.delivery(name).status for name in ("odd", "person0", "person1")] == ["retrying", "sent", "sent"]


def test_a_message_in_doubt_is_let_go_with_the_others(any_store: Store) -> None:
    provider = Provider(during(DoubtfulChannelError("no answer"), after(seconds=10)))
    shop = open_shop(any_store, provider)
    shop.person("person")
    shop.track("Cart Updated", "person")
    shop.settle()
    held(shop, probe_at=after(minutes=5))
    shop.run_until(after(minutes=1))
    assert (shop.delivery("person").status, len(provider.called)) == ("claimed", 1)
    shop.run_until(after(minutes=6))
    assert [at for at, _ in provider.taken] == [after(minutes=5)]


@pytest.mark.postgres
def test_of_many_workers_one_has_the_probe(postgres_url: str) -> None:
    with_database = Database(postgres_url)
    try:
        with_database.migrate()
        provider = Provider(during(OUT, after(seconds=10)))
        shop = open_shop(with_database, provider)
        opened(shop)
        waiting = people(shop, 6)
        shop.now = after(seconds=30)
        provider.is_out = during(OUT, DAY)
        before = len(provider.called)
        start = Barrier(len(waiting))

        def worker(enrollment: Enrollment) -> None:
            start.wait()
            shop.perform(enrollment)

        threads = [Thread(target=worker, args=(each,)) for each in waiting]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(provider.called) - before == 1
    finally:
        with_database.close()


@pytest.mark.postgres
def test_two_channels_that_back_each_other_do_not_lock_each_other_out(postgres_url: str) -> None:
    database = Database(postgres_url)
    try:
        database.migrate()
        channels = {
            "email": channel(backup="email_backup"), "email_backup": channel("email_backup", backup="email"),
        }  # fmt: skip
        first, second = send(topic="orders"), send("other", topic="orders", channels=("email_backup",))
        providers = {name: Provider(during(OUT, DAY)) for name in channels}
        others = {name: channel(name) for name in ("sms", "chat")}
        shop = Shop(database, plan(first, second), providers=providers, channels=channels | others).open()
        for provider in providers.values():
            provider.shop = shop
        came: list[Result] = []
        start = Barrier(12)

        def worker(enrollment: Enrollment, step_id: str) -> None:
            start.wait()
            came.append(shop.perform(enrollment, step_id))

        threads = [
            Thread(target=worker, args=(each, ("hello", "other")[number % 2]))
            for number, each in enumerate(people(shop, 12))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(came) == 12
        assert all(isinstance(result, WaitUntil) for result in came)
    finally:
        database.close()


# ── what waits ───────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("expires", [600, None])
def test_it_waits_no_longer_than_its_time_and_is_tried_once_more_then(any_store: Store, expires: int | None) -> None:
    provider = Provider(during(OUT, after(days=2)))
    shop = open_shop(any_store, provider, send(expires_seconds=expires))
    opened(shop)
    (late,) = people(shop, 1)
    end = after(seconds=expires or 86_400)
    assert shop.perform(late, reached_at=NOW) == WaitUntil(until=end, why="retry")
    with shop.store.transaction() as unit:
        unit.circuits.save(Circuit(channel="email", state="open", opened_at=NOW, probe_at=end + timedelta(seconds=1)))
    shop.now = end
    assert shop.perform(late, attempt=2, reached_at=NOW) == Sent(outcome="failed")
    assert (shop.delivery("person0").status, shop.delivery("person0").error) == ("failed", "unavailable")
    assert shop.outcomes("person0") == ["failed"]
    assert len(provider.called) == OPENS_AFTER + 1


def test_a_message_in_doubt_waits_for_its_own_provider(any_store: Store) -> None:
    provider = Provider(lambda _: None)
    backup = ScriptedProvider("email")
    channels = {"email": channel(backup="email_backup"), "email_backup": channel("email_backup")}
    shop = open_shop(any_store, provider, channels=channels, providers={"email_backup": backup})
    (only,) = people(shop, 1)
    provider.answers.append(Crashed())
    with pytest.raises(Crashed):
        shop.perform(only)
    with shop.store.transaction() as unit:
        unit.circuits.save(Circuit(channel="email", state="open", opened_at=NOW, probe_at=after(seconds=30)))
    assert shop.perform(only) == WaitUntil(until=DAY, why="retry")
    assert (shop.delivery("person0").status, shop.outcomes("person0")) == ("claimed", ["in_doubt"])
    assert backup.handed == []
    shop.now = after(seconds=30)
    assert shop.perform(only, attempt=2) == SENT


def test_a_claim_whose_key_is_forgotten_while_the_provider_is_out_is_resent_as_its_author_says(
    any_store: Store,
) -> None:
    provider = Provider(lambda _: None)
    provider.capabilities = Capabilities(kind="email", has_idempotency=True, key_lasts=timedelta(minutes=15))
    shop = open_shop(any_store, provider, send(topic="orders"))
    (only,) = people(shop, 1)
    provider.answers.append(Crashed())
    with pytest.raises(Crashed):
        shop.perform(only)
    with shop.store.transaction() as unit:
        unit.circuits.save(Circuit(channel="email", state="open", opened_at=NOW, probe_at=after(minutes=20)))
    assert shop.perform(only) == WaitUntil(until=DAY, why="retry")
    shop.now = after(minutes=20)
    assert shop.perform(only, attempt=2) == SENT


def test_what_is_resent_once_is_so_although_its_provider_was_out_in_between(any_store: Store) -> None:
    provider = Provider(during(DoubtfulChannelError("no answer"), DAY))
    provider.capabilities = Capabilities(kind="email")
    shop = open_shop(any_store, provider, send(topic="orders"))
    (only,) = people(shop, 1)
    assert shop.perform(only) == WaitUntil(until=after(seconds=30), why="retry")
    held(shop, probe_at=after(minutes=5))
    shop.now = after(seconds=30)
    assert shop.perform(only, attempt=2) == WaitUntil(until=DAY, why="retry")
    shop.now = after(minutes=5)
    assert shop.perform(only, attempt=3) == Sent(outcome="in_doubt")
    assert len(provider.called) == 2


# ── the backup ───────────────────────────────────────────────────────────────────────────────────────────────────────
def test_while_it_is_open_the_backup_is_called_at_once(any_store: Store) -> None:
    provider, backup = Provider(during(OUT, DAY)), ScriptedProvider("email")
    channels = {"email": channel(backup="email_backup"), "email_backup": channel("email_backup")}
    shop = open_shop(any_store, provider, channels=channels, providers={"email_backup": backup})
    assert [shop.perform(each) for each in people(shop, 20)] == [SENT] * 20
    assert (len(provider.called), len(backup.handed)) == (OPENS_AFTER, 20)
    assert shop.delivery("person19").via == "email_backup"
    shop.now = after(seconds=30)
    assert [shop.perform(each) for each in people(shop, 5, "later")] == [SENT] * 5
    assert len(provider.called) == OPENS_AFTER + 1, "one of them was the probe"


def test_both_out_is_waiting_and_whichever_comes_back_takes_them(any_store: Store) -> None:
    provider, backup = Provider(during(OUT, DAY)), Provider(during(OUT, after(minutes=20)))
    channels = {"email": channel(backup="email_backup"), "email_backup": channel("email_backup")}
    shop = open_shop(any_store, provider, channels=channels, providers={"email_backup": backup})
    for each in range(12):
        shop.person(f"person{each}")
        shop.track("Cart Updated", f"person{each}")
    shop.run_until(after(minutes=30))
    assert len(backup.taken) == len(set(backup.taken)) == 12
    assert provider.taken == []
    assert len(provider.called) + len(backup.called) < 50


def test_what_both_refuse_in_one_dispatch_speaks_against_both(any_store: Store) -> None:
    channels = {"email": channel(backup="email_backup"), "email_backup": channel("email_backup")}
    backup = Provider(during(OUT, DAY))
    shop = open_shop(any_store, Provider(during(OUT, DAY)), channels=channels, providers={"email_backup": backup})
    for each in people(shop, OPENS_AFTER):
        shop.perform(each)
    found = [circuit(shop, name) for name in ("email", "email_backup")]
    assert [(each.state, each.failures) for each in found if each] == [("open", OPENS_AFTER)] * 2


def test_a_message_counts_once_against_a_backup_that_it_meets_alone(any_store: Store) -> None:
    channels = {"email": channel(backup="email_backup"), "email_backup": channel("email_backup")}
    backup = Provider(during(OUT, DAY))
    shop = open_shop(any_store, Provider(during(OUT, DAY)), channels=channels, providers={"email_backup": backup})
    with shop.store.transaction() as unit:
        unit.circuits.save(Circuit(channel="email", state="open", opened_at=NOW, probe_at=DAY))
    (only,) = people(shop, 1)
    for attempt in (1, 2, 3):
        shop.perform(only, attempt=attempt, reached_at=NOW)
        shop.now += timedelta(minutes=5)
    now = circuit(shop, "email_backup")
    assert now is not None
    assert (len(backup.called), now.failures) == (3, 1)


# ── a list of channels ───────────────────────────────────────────────────────────────────────────────────────────────
def test_of_several_channels_the_first_that_can_go_now_is_taken(any_store: Store) -> None:
    provider, texts = Provider(during(OUT, DAY)), Provider(lambda _: None, "sms")
    shop = open_shop(any_store, provider, send(channels=("email", "sms")), providers={"sms": texts})
    opened(shop)
    assert texts.taken == [], "what the provider has been asked for stays with its channel"
    shop.person("late", phone="+34600111222")
    late = shop.enrolled(person="late")
    assert shop.perform(late) == SENT
    assert (shop.delivery("late").channel, len(texts.taken)) == ("sms", 1)
    passed_over, sent = sorted(shop.decisions("late"), key=lambda decision: decision.channel)
    assert (passed_over.outcome, passed_over.inputs["circuit"], passed_over.until) == ("failed", "open", None)
    assert decision_words(passed_over) == "email: the provider is out: another channel of the step takes over"
    assert sent.outcome == "sent"


def test_where_no_other_may_go_it_waits_for_the_first_that_is_out(any_store: Store) -> None:
    provider = Provider(during(OUT, after(minutes=10)))
    shop = open_shop(any_store, provider, send(channels=("chat", "email")))
    for each in range(OPENS_AFTER + 1):
        shop.person(f"person{each}", consents=[("email", "news")])
        shop.track("Cart Updated", f"person{each}")
        shop.settle()
    held = shop.delivery(f"person{OPENS_AFTER}")
    assert (held.status, held.channel, held.error) == ("retrying", "email", "circuit_open")
    shop.run_until(after(minutes=20))
    assert len(provider.taken) == OPENS_AFTER + 1


def test_where_all_of_a_list_are_out_each_is_recorded_and_the_first_is_waited_for(any_store: Store) -> None:
    shop = open_shop(any_store, Provider(lambda _: None), send(channels=("email", "sms")))
    with shop.store.transaction() as unit:
        for name in ("email", "sms"):
            unit.circuits.save(Circuit(channel=name, state="open", opened_at=NOW, probe_at=after(minutes=5)))
    (only,) = people(shop, 1)
    assert shop.perform(only) == WaitUntil(until=DAY, why="retry")
    decisions = {each.channel: (each.outcome, each.inputs["circuit"]) for each in shop.decisions("person0")}
    assert decisions == {"email": ("failed", "open"), "sms": ("failed", "open")}


# ── the account ──────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_refused_account_stops_the_channel_and_not_the_people_and_is_told_loudly(
    any_store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    refused = ChannelConfigError("http 401: bad_credentials")
    provider = Provider(during(refused, after(hours=3)))
    shop = open_shop(any_store, provider)
    with caplog.at_level(logging.WARNING, "sojourn.channels"):
        for each in range(10):
            shop.person(f"person{each}")
            shop.track("Cart Updated", f"person{each}")
        shop.settle()
        assert len(provider.called) == 1
        now = circuit(shop)
        assert now is not None
        assert (now.state, now.reason, now.error) == (
            "open", "account", "http 401: bad_credentials",
        )  # fmt: skip
        shop.run_until(after(hours=4))
    assert len(provider.taken) == 10
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(errors) == 1, "once, not for each message and each probe"
    assert "channel `email` (scripted): the provider refuses our account or settings" in errors[0].getMessage()
    assert "example.com" not in caplog.text
    assert caplog.records[-1].getMessage().startswith("channel `email` works again")


def test_one_message_that_is_refused_as_if_for_the_account_does_not_keep_the_others(any_store: Store) -> None:
    """The circuit opens for it once; the probe is another message, and its own later tries open nothing."""

    class Touchy(Provider):
        def send(self, message: Message) -> SendResult:
            self.is_out = during(ChannelConfigError("http 403") if message.to.startswith("odd") else None, DAY)
            return super().send(message)

    provider = Touchy(lambda _: None)
    shop = open_shop(any_store, provider)
    for person in ("odd", *(f"person{each}" for each in range(10))):
        shop.person(person)
        shop.track("Cart Updated", person)
    shop.run_until(after(minutes=2))
    assert len(provider.taken) == 10
    shop.run_until(after(hours=1))
    shop.person("late")
    shop.track("Cart Updated", "late")
    shop.settle()
    assert len(provider.taken) == 11
    assert shop.delivery("odd").status == "retrying"


# ── an hour ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_an_hour_down_means_late_transactional_first_and_no_burst() -> None:
    """A hundred people of two journeys during the hour, at two messages a second once it is over."""
    back = after(hours=1)
    provider = Provider(during(OUT, back))
    store = MemoryStore()
    orders = plan(send("order", topic="orders"), journey="orders")
    carts = plan(send("cart"), journey="cart")
    channels = {"email": channel(rate_per_second=2.0), "sms": channel("sms"), "chat": channel("chat")}
    shop = Shop(store, carts, orders, providers={"email": provider}, channels=channels).open()
    provider.shop = shop
    kinds = {}
    for number in range(100):
        shop.now = after(seconds=30 * number)
        person = f"person{number}"
        shop.person(person)
        kinds[shop.enrolled("orders" if number % 4 == 3 else "cart", person).enrollment_id] = number % 4 == 3
        shop.run_until(shop.now)
    shop.run_until(back - timedelta(seconds=1))
    assert provider.taken == []
    # Five to open it, the first retries of those, and a probe each five minutes.
    assert len(provider.called) < 30
    shop.run_until(after(hours=3))

    with store.transaction() as unit:
        owners = {each.delivery_id: each for each in unit.deliveries.of()}
    assert {each.status for each in owners.values()} == {"sent"}
    assert len(provider.taken) == len({delivery_id for _, delivery_id in provider.taken}) == 100
    first, *rest = provider.taken
    assert back <= first[0] <= back + timedelta(minutes=5, seconds=1)
    spans = [(later[0] - earlier[0]).total_seconds() for earlier, later in pairwise(rest)]
    assert min(spans) >= 0.5, "never faster than the channel's rate"
    assert rest[-1][0] - rest[0][0] == timedelta(seconds=0.5 * (len(rest) - 1)), "and not slower"
    order = [owners[delivery_id].is_marketing for _, delivery_id in rest]
    assert order == sorted(order), "transactional ones first"
