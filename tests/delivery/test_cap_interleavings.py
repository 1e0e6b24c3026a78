"""Two workers, each with a database of its own, and one person: whichever way their transactions fall between each
other, what goes and what is held is what some order of them allows, and never one message more than the caps do.

`--cap-interleavings N` sets how many situations are tried on each database; each runs one to three rounds in which both
workers act at once: 2,000 of them take three to four minutes on each.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import ids
from engine.delivery.message import Message, SendResult
from engine.delivery.model import DOUBTED, Delivery
from engine.enrollment.model import Enrollment
from engine.errors import Conflict, DoubtfulChannelError, NotFound, PermanentChannelError, TransientChannelError
from engine.plan.effects import Result, Sent, WaitUntil
from engine.plan.model import UNSENT, Otherwise
from engine.project import Cap, ChannelKind, QuietHours
from engine.storage.database import Database
from tests.delivery.cap_model import Action, Answer, CapRule, Job, Model, QuietRule, Row, Rules, World
from tests.factories import NOW, ScriptedProvider, Shop, channel, plan, send
from tests.waiting import PATIENCE

HOUR, DAY = 60, 24 * 60
BACKUPS = {"email": "email_backup"}
ONE_CHANNEL_OR_TWO = (("email",), ("sms",), ("email", "sms"), ("sms", "email"))
JOBS = [
    Job(f"{'_'.join(channels)}_{'waits' if waits else 'skips'}_{copy}", channels, True, waits)
    for channels, waits, copy in product(ONE_CHANNEL_OR_TWO, (True, False), (1, 2))
] + [Job(f"order_{name}", (name,), False, False) for name in ("email", "sms")]
NIGHT = QuietRule()
RULES = [
    Rules(caps=(CapRule(at_most=1),)),
    Rules(caps=(CapRule(at_most=2),)),
    Rules(caps=(CapRule(at_most=2, minutes=HOUR), CapRule(at_most=3))),
    Rules(caps=(CapRule(at_most=3), CapRule(at_most=1, channels=("sms",)))),
    Rules(caps=(CapRule(at_most=1, minutes=HOUR, channels=("email",)), CapRule(at_most=2, channels=("sms",)))),
    Rules(caps=(CapRule(at_most=1),), quiet=(NIGHT,)),
    Rules(caps=(CapRule(at_most=2, minutes=HOUR),), quiet=(QuietRule(channels=("email",), begins=20 * 60),)),
    Rules(caps=(CapRule(at_most=1, channels=("sms", "email")),), quiet=(QuietRule(begins=11 * 60, ends=12 * 60),)),
]
#: So many failures in a row and a channel's circuit would open, which is another test's.
FAILURES_AT_MOST = 4


@dataclass(frozen=True)
class Round:
    #: Since the one before.
    minutes: int
    plans: tuple[tuple[Action, ...], tuple[Action, ...]]
    #: What each worker waits before it begins, and each call of a provider takes, in tenths of a millisecond.
    pauses: tuple[int, ...]


@dataclass(frozen=True)
class Situation:
    rules: int
    jobs: tuple[Job, ...]
    answers: tuple[tuple[Answer, ...], ...]
    rounds: tuple[Round, ...]


@st.composite
def situations(draw: st.DrawFn) -> Situation:
    jobs = tuple(draw(st.lists(st.sampled_from(JOBS), min_size=2, max_size=6, unique=True)))
    kinds: Sequence[Answer] = ("ok", "no", "out", "lost")
    drawn = [draw(st.lists(st.sampled_from(kinds), max_size=3)) for _ in jobs]
    left = FAILURES_AT_MOST
    answers: list[tuple[Answer, ...]] = []
    for each in drawn:
        failing = sum(answer in ("out", "lost") for answer in each)
        answers.append(tuple(each) if failing <= left else ())
        left -= failing if failing <= left else 0
    performed = st.tuples(st.just("perform"), st.integers(0, len(jobs) - 1))
    resent = st.tuples(st.just("resend"), st.integers(0, len(jobs) - 1))
    rounds = []
    for number in range(draw(st.integers(1, 3))):
        actions = st.lists(st.one_of(performed, performed, resent) if number else performed, min_size=1, max_size=3)
        one, other = draw(actions), draw(actions)
        # Transactional messages of a worker that is believed dead are sent again, whatever became of it.
        other = [action for action in other if jobs[action[1]].is_marketing or action not in one]
        minutes = draw(st.sampled_from((0, 1, HOUR + 1, 10 * HOUR + 1, DAY + 1)))
        pauses = tuple(draw(st.lists(st.integers(0, 20), min_size=2, max_size=6)))
        rounds.append(Round(minutes, (tuple(one), tuple(other)), pauses))  # type: ignore[arg-type]
    return Situation(draw(st.integers(0, len(RULES) - 1)), jobs, tuple(answers), tuple(rounds))


# ── the world outside ────────────────────────────────────────────────────────────────────────────────────────────────
@dataclass
class Providers:
    """All channels' providers: each message has its own answers, whichever provider is asked."""

    answers: Mapping[str, Sequence[Answer]] = field(default_factory=dict)
    answered: dict[str, int] = field(default_factory=dict)
    taken: list[str] = field(default_factory=list)
    pauses: Iterator[int] = field(default_factory=lambda: iter(()))
    lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, answers: Mapping[str, Sequence[Answer]]) -> None:
        self.answers, self.answered, self.taken = answers, dict.fromkeys(answers, 0), []

    def pause(self) -> None:
        with self.lock:
            tenths = next(self.pauses, 0)
        time.sleep(tenths / 10_000)

    def take(self, delivery_id: str) -> SendResult:
        self.pause()
        with self.lock:
            number = self.answered[delivery_id]
            self.answered[delivery_id] = number + 1
            given = self.answers[delivery_id]
            answer = given[number] if number < len(given) else "ok"
            if answer in ("ok", "lost"):
                self.taken.append(delivery_id)
        match answer:
            case "ok":
                return SendResult(provider_message_id=delivery_id)
            case "no":
                raise PermanentChannelError("no")
            case "out":
                raise TransientChannelError("out")
            case "lost":
                raise DoubtfulChannelError("lost")


class Provider(ScriptedProvider):
    def __init__(self, kind: ChannelKind, providers: Providers) -> None:
        super().__init__(kind)
        self._providers = providers

    def send(self, message: Message) -> SendResult:
        return self._providers.take(message.delivery_id)


class Workers:
    """Two workers over one database, for each of the rules."""

    def __init__(self, one: Database, other: Database) -> None:
        self._databases = (one, other)
        self._shops: dict[int, tuple[Shop, Shop]] = {}
        self.providers = Providers()
        self._numbers = count()
        self.pool = ThreadPoolExecutor(2)

    def shops(self, number: int) -> tuple[Shop, Shop]:
        if number not in self._shops:
            one = open_shop(self._databases[0], RULES[number], self.providers)
            self._shops[number] = (one, one.on(self._databases[1]))
        return self._shops[number]

    def next_person(self) -> tuple[str, str]:
        """A name, and a phone number."""
        number = next(self._numbers)
        return f"p{number}", f"+346{number:08d}"


def open_shop(database: Database, rules: Rules, providers: Providers) -> Shop:
    plans = []
    for job in JOBS:
        otherwise = {"capped": Otherwise(action="wait" if job.waits_when_capped else "skip")}
        step = send(channels=job.channels, topic="news" if job.is_marketing else "orders", otherwise=otherwise)
        plans.append(plan(step, journey=job.journey))
    channels = {
        "email": channel(backup="email_backup"), "email_backup": channel("email_backup"), "sms": channel("sms"),
    }  # fmt: skip
    caps = [Cap(at_most=cap.at_most, per_seconds=cap.minutes * 60, channels=cap.channels) for cap in rules.caps]
    quiet = [QuietHours(from_=clock(rule.begins), to=clock(rule.ends), channels=rule.channels) for rule in rules.quiet]
    return Shop(
        database,
        *plans,
        channels=channels,
        caps=tuple(caps),
        quiet_hours=tuple(quiet),
        providers={name: Provider(each.kind, providers) for name, each in channels.items()},
    ).open()


def clock(minutes: int) -> str:
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


# ── one situation ────────────────────────────────────────────────────────────────────────────────────────────────────
def play(workers: Workers, situation: Situation) -> None:
    shops = workers.shops(situation.rules)
    with shops[0].store.transaction() as unit:
        for name in BACKUPS.keys() | BACKUPS.values() | {"sms"}:
            unit.circuits.remove(name)
    now = 0
    at_minute(shops, now)
    person, phone = workers.next_person()
    shops[0].person(person, phone=phone, consents=[("email", "news"), ("sms", "news")])
    enrollments = [shops[0].enrolled(job.journey, person) for job in situation.jobs]
    messages = [ids.delivery_id(each.enrollment_id, "hello", 1) for each in enrollments]
    workers.providers.begin(dict(zip(messages, situation.answers, strict=True)))
    model = Model(RULES[situation.rules], situation.jobs, situation.answers, BACKUPS)
    world = model.new_world()
    for each in situation.rounds:
        now += each.minutes
        at_minute(shops, now)
        workers.providers.pauses = iter(each.pauses)
        results = act_together(workers, shops, enrollments, messages, each)
        seen = World(
            rows=tuple(row_of(shops[0], message) for message in messages),
            answered=tuple(workers.providers.answered[message] for message in messages),
        )
        allowed = model.outcomes(world, now, each.plans)
        assert (seen, results) in allowed, f"at minute {now}, none of the {len(allowed)} that are allowed"
        assert model.overfull(seen) == []
        world = seen
    for job, message, row in zip(situation.jobs, messages, world.rows, strict=True):
        if job.is_marketing and message in workers.providers.taken:
            assert row is not None
            assert row.status in ("sent", "in_doubt"), "what somebody may have got holds its place"


def at_minute(shops: tuple[Shop, Shop], minute: int) -> None:
    for shop in shops:
        shop.now = NOW + timedelta(minutes=minute)


def act_together(
    workers: Workers, shops: tuple[Shop, Shop], enrollments: list[Enrollment], messages: list[str], each: Round
) -> tuple[tuple[str, ...], ...]:
    start = threading.Barrier(2)

    def act(number: int) -> tuple[str, ...]:
        shop = shops[number]
        start.wait(PATIENCE)
        workers.providers.pause()
        return tuple(
            word(shop.perform(enrollments[job])) if kind == "perform" else resend(shop, messages[job])
            for kind, job in each.plans[number]
        )

    return tuple(workers.pool.map(act, range(2)))


def word(result: Result) -> str:
    match result:
        case Sent():
            return result.outcome
        case WaitUntil():
            return f"wait:{result.why}"
        case _:
            raise AssertionError(result)


def resend(shop: Shop, message: str) -> str:
    try:
        shop.engine.resolver.resolve(message, "resend", shop.now, actor="ops")
    except NotFound:
        return "unknown"
    except Conflict:
        return "conflict"
    return "resolved"


def row_of(shop: Shop, message: str) -> Row | None:
    with shop.store.transaction() as unit:
        found = unit.deliveries.find(message)
    if found is None:
        return None
    at, first_at = found.sent_at or found.claimed_at, found.first_attempt_at or found.claimed_at
    return Row(status_of(found), found.channel, found.via, minute_of(at), minute_of(first_at))


def status_of(delivery: Delivery) -> str:
    """A message that was held for good has failed by what held it."""
    is_held = delivery.status == "failed" and delivery.error in UNSENT
    if delivery.status == "retrying" and delivery.error == DOUBTED:
        return "doubted"
    return str(delivery.error) if is_held else delivery.status


def minute_of(instant: datetime) -> int:
    return (instant - NOW) // timedelta(minutes=1)


# ── the property ─────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.timeout(3_600)
def test_no_interleaving_of_two_workers_sends_one_message_too_many(
    database: Database, database_url: str, pytestconfig: pytest.Config
) -> None:
    other = Database(database_url)
    workers = Workers(database, other)

    @settings(max_examples=int(pytestconfig.getoption("cap_interleavings")), database=None)
    @given(situations())
    def holds(situation: Situation) -> None:
        play(workers, situation)

    try:
        holds()
    finally:
        workers.pool.shutdown()
        other.close()


def test_the_model_itself_knows_one_too_many() -> None:
    """What the property rests on: a world with two places under a cap of one is overfull, and no order leads there."""
    model = Model(RULES[0], JOBS[:2], ((), ()), BACKUPS)
    taken = Row("sent", "email", "email", 0, 0)
    assert model.overfull(World((taken, taken), (1, 1))) != []
    ends = model.outcomes(model.new_world(), 0, [[("perform", 0)], [("perform", 1)]])
    assert {results for _, results in ends} == {(("sent",), ("wait:capped",)), (("wait:capped",), ("sent",))}
    assert all(model.overfull(world) == [] for world, _ in ends)
