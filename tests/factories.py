"""A small shop for tests: projects, plans, steps, people and engines over any store, with defaults to override."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

from engine import ids
from engine.assembly import Engine
from engine.delivery.message import Adapter, Capabilities, Message, SendResult
from engine.delivery.model import Decision, Delivery
from engine.enrollment.caller import CallRequest
from engine.enrollment.entry import Occasion
from engine.enrollment.model import Enrollment, Refusal
from engine.enrollment.steps import Forced
from engine.plan.effects import Perform, Result
from engine.plan.model import UNSENT, Elapsed, EventTrigger, Otherwise, Plan, Send, Step, Wait
from engine.profiles.model import Event, Profile
from engine.project import Channel, ChannelKind, Project, Topic
from engine.simulator.virtual import VirtualCarrier
from engine.store import Store, Unit

KEY = b"a project's key for tests"
#: A Monday, 11:00 in Madrid.
NOW = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
ROOT = Path(__file__).parent / "shop"


def after(**span: float) -> datetime:
    """That long after `NOW`."""
    return NOW + timedelta(**span)


# ── what an author writes ────────────────────────────────────────────────────────────────────────────────────────────
def channel(name: str = "email", **given: Any) -> Channel:
    kinds: Mapping[str, ChannelKind] = {"email": "email", "sms": "sms", "chat": "chat"}
    kind = kinds[name.removesuffix("_backup")]
    defaults: dict[str, Any] = {"name": name, "use": "scripted", "kind": kind, "templates": kind}
    return Channel(**(defaults | given))


def topic(name: str = "news", **given: Any) -> Topic:
    return Topic(**({"name": name, "title": name.title()} | given))


def project(*plans: Plan, **given: Any) -> Project:
    """A shop with an email, an SMS and a chat channel; `news` needs consent, `orders` is transactional."""
    defaults: dict[str, Any] = {
        "name": "shop",
        "root": ROOT,
        "timezone": "Europe/Madrid",
        "locale": "en",
        "database": "sqlite:///:memory:",
        "channels": {name: channel(name) for name in ("email", "sms", "chat")},
        "topics": {
            "news": topic(),
            "orders": topic("orders", kind="transactional", basis="contract"),
            "desk": topic("desk", kind="internal"),
        },
        "plans": {plan.journey: plan for plan in plans},
    }
    return Project(**(defaults | given))


def plan(*steps: Step, journey: str = "cart", **given: Any) -> Plan:
    """A journey that `Cart Updated` begins, its steps one after another unless they say where to go."""
    following = [step.step_id for step in steps[1:]]
    chained = [
        replace(step, next=follower) if step.next is None else step
        for step, follower in zip(steps, [*following, None], strict=True)
    ]
    defaults: dict[str, Any] = {
        "journey": journey,
        "title": journey.title(),
        "triggers": (EventTrigger(event="Cart Updated"),),
        "first": steps[0].step_id if steps else None,
        "steps": {step.step_id: step for step in chained},
    }
    return Plan(**(defaults | given))


def send(step_id: str = "hello", *, otherwise: Mapping[str, Otherwise] | None = None, **given: Any) -> Send:
    """One message of topic `news` by email; every outcome goes on, but for `quiet`, which waits."""
    actions: dict[str, Otherwise] = {
        outcome: Otherwise(action="wait" if outcome == "quiet" else "skip") for outcome in UNSENT
    }
    defaults: dict[str, Any] = {"step_id": step_id, "channels": ("email",), "template": "hello", "topic": "news"}
    return Send(**(defaults | given), otherwise={**actions, **(otherwise or {})})


def wait(step_id: str = "wait", **span: float) -> Wait:
    return Wait(step_id=step_id, for_=Elapsed(seconds=int(timedelta(**span).total_seconds())))


# ── the world outside ────────────────────────────────────────────────────────────────────────────────────────────────
#: Raised, or called with the message, before the provider takes it; None takes it.
Answer = Exception | Callable[[Message], None] | None


class ScriptedProvider:
    """A provider that answers as told, and remembers what it was handed and what it took."""

    def __init__(self, kind: ChannelKind = "email", *answers: Answer, **capabilities: Any) -> None:
        self.capabilities = Capabilities(kind=kind, **capabilities)
        self.answers = list(answers)
        #: Everything handed over, and the messages that people got: with idempotency a repeat is not another one.
        self.handed: list[Message] = []
        self.received: list[str] = []
        self.looked_up: list[str] = []
        self._lock = threading.Lock()

    def send(self, message: Message) -> SendResult:
        with self._lock:
            answer = self.answers.pop(0) if self.answers else None
            self.handed.append(message)
        if isinstance(answer, Exception):
            raise answer
        if answer is not None:
            answer(message)
        self.take(message)
        return SendResult(provider_message_id=f"m-{message.delivery_id}")

    def take(self, message: Message) -> None:
        with self._lock:
            if not (self.capabilities.has_idempotency and message.delivery_id in self.received):
                self.received.append(message.delivery_id)

    def look_up(self, delivery_id: str) -> SendResult | None:
        self.looked_up.append(delivery_id)
        return SendResult(provider_message_id=f"m-{delivery_id}") if delivery_id in self.received else None


def taken_then(provider: ScriptedProvider, error: Exception) -> Callable[[Message], None]:
    """An answer: the provider takes the message, and then the error is all that we hear."""

    def answer(message: Message) -> None:
        provider.take(message)
        raise error

    return answer


@dataclass
class ScriptedCaller:
    """Answers every `call` alike."""

    answer: Any = None
    calls: list[CallRequest] = field(default_factory=list)

    def call(self, request: CallRequest) -> Any:
        self.calls.append(request)
        return self.answer


# ── a shop at work ───────────────────────────────────────────────────────────────────────────────────────────────────
class Shop:
    """An engine over a store, its carrier, and people who can be reached on every channel."""

    def __init__(
        self,
        store: Store,
        *plans: Plan,
        providers: Mapping[str, ScriptedProvider] | None = None,
        forced: Forced | None = None,
        now: datetime = NOW,
        **given: Any,
    ) -> None:
        self.now = now
        self.store = store
        self.project = project(*plans, **given)
        self.providers = {name: ScriptedProvider(each.kind) for name, each in self.project.channels.items()} | dict(
            providers or {}
        )
        self.caller = ScriptedCaller()
        self.engine = Engine(
            project=self.project,
            store=store,
            adapters=cast("Mapping[str, Adapter]", self.providers),
            caller=self.caller,
            project_key=KEY,
            public_url="https://shop.example",
            clock=lambda: self.now,
            forced=forced,
        )
        self.carrier = VirtualCarrier(self.engine, lambda: self.now)
        self._count = 0

    def open(self) -> Shop:
        """Deploys."""
        self.engine.operations.deploy(self.now)
        return self

    def on(self, store: Store) -> Shop:
        """The same shop in another process: another engine, with the same providers, over `store`."""
        own = self.project
        names = ("channels", "topics", "caps", "quiet_hours", "segments", "timezone")
        given = {name: getattr(own, name) for name in names}
        return Shop(store, *own.plans.values(), providers=self.providers, now=self.now, **given)

    # ── people ───────────────────────────────────────────────────────────────────────────────────────────────────────
    @staticmethod
    def id_of(person: str) -> str:
        return ids.profile_id(KEY, "external", person)

    def person(self, person: str = "ana", *, consents: Sequence[tuple[str, str]] | None = None, **given: Any) -> str:
        """A person with an address on every channel and consent to `news` on all of them; the profile's id."""
        values: dict[str, Any] = {
            "email": f"{person}@example.com",
            "phone": "+34600111222",
            "chat": {"chat": f"U-{person}"},
        }
        granted = consents if consents is not None else [(name, "news") for name in ("email", "sms", "chat")]
        with self.editing(person) as (unit, profile):
            profile = self.engine.intake.set_attributes(unit, profile, values | given, self.now)
            for name, topic_name in granted:
                self.grant(unit, profile, name, topic_name)
        return self.id_of(person)

    def grant(self, unit: Unit, profile: Profile, channel_name: str, topic_name: str, **given: Any) -> None:
        words: dict[str, Any] = {
            "occurred_at": self.now - timedelta(days=1),
            "actor": "person",
            "source": "form:test",
            "wording": "v1",
            "evidence": {"form": "test"},
        }
        self.engine.ledger.grant(
            unit, profile=profile, channel=channel_name, topic=topic_name, now=self.now, **(words | given)
        )

    @contextmanager
    def editing(self, person: str = "ana") -> Iterator[tuple[Unit, Profile]]:
        """A transaction on one person."""
        with self.store.transaction() as unit:
            yield unit, self.engine.intake.ensure(unit, "external", person, self.now)

    # ── what comes in ────────────────────────────────────────────────────────────────────────────────────────────────
    def track(self, name: str, person: str = "ana", *, at: datetime | None = None, **properties: Any) -> Event | None:
        """An event, acknowledged: committed and not routed."""
        self._count += 1
        with self.store.transaction() as unit:
            return self.engine.intake.track(
                unit,
                user_id=person,
                name=name,
                properties=properties,
                timestamp=at or self.now,
                message_id=f"m{self._count}@{self.now.isoformat()}",
                now=self.now,
            )

    def set(self, person: str = "ana", **values: Any) -> None:
        with self.editing(person) as (unit, profile):
            self.engine.intake.set_attributes(unit, profile, values, self.now)

    def withdraw(self, person: str = "ana", channel_name: str | None = None, topic_name: str | None = None) -> None:
        with self.editing(person) as (unit, profile):
            self.engine.ledger.withdraw(
                unit, profile=profile, channel=channel_name, topic=topic_name, occurred_at=self.now, now=self.now,
                actor="person", source="preferences",
            )  # fmt: skip

    def erase(self, person: str = "ana") -> None:
        with self.editing(person) as (unit, profile):
            self.engine.intake.erase(unit, profile, self.now)

    def enroll(self, journey: str = "cart", person: str = "ana", **values: Any) -> Enrollment | Refusal:
        with self.editing(person) as (unit, profile):
            return self.engine.entries.enter(
                unit, self.project.plans[journey], profile, Occasion(at=self.now, values=values), self.now
            )

    def enrolled(self, journey: str = "cart", person: str = "ana", **values: Any) -> Enrollment:
        """Somebody who was let in."""
        came = self.enroll(journey, person, **values)
        assert isinstance(came, Enrollment), came
        return came

    # ── time ─────────────────────────────────────────────────────────────────────────────────────────────────────────
    def perform(self, enrollment: Enrollment, step_id: str = "hello", **given: Any) -> Result:
        """One step, performed at the present as a worker would."""
        effect: dict[str, Any] = {"step_id": step_id, "visit": 1, "attempt": 1, "reached_at": self.now}
        return self.engine.performer.perform(enrollment.enrollment_id, Perform(**(effect | given)), self.now)

    def settle(self) -> None:
        """Routes, delivers and carries all that can be at the present instant."""
        while (
            self.engine.router.route_all(self.now)
            + self.engine.courier.deliver_due(self.carrier, self.now)
            + self.carrier.settle()
        ):
            pass

    def run_until(self, end: datetime) -> None:
        """Lets time pass to `end`, as the sweeps and timers of production would."""
        self.settle()
        while True:
            with self.store.transaction() as unit:
                stimulus_at = unit.queue.next_stimulus_at()
            moments = [self.engine.sweeper.next_at(), self.carrier.next_wake_at(), stimulus_at]
            pending = [moment for moment in moments if moment is not None and moment <= end]
            if not pending:
                break
            self.now = max(self.now, min(pending))
            self.settle()
            self.engine.sweeper.sweep(self.now)
            self.settle()
            while self.carrier.wake(self.now):
                self.settle()
        self.now = end

    # ── what came of it ──────────────────────────────────────────────────────────────────────────────────────────────
    def deliveries(self, person: str = "ana") -> list[Delivery]:
        with self.store.transaction() as unit:
            return list(unit.deliveries.of(profile_id=self.id_of(person)))

    def delivery(self, person: str = "ana") -> Delivery:
        (only,) = self.deliveries(person)
        return only

    def decisions(self, person: str = "ana") -> list[Decision]:
        with self.store.transaction() as unit:
            return list(unit.deliveries.decisions(profile_id=self.id_of(person)))

    def outcomes(self, person: str = "ana") -> list[str]:
        return [decision.outcome for decision in self.decisions(person)]

    def enrollments(self, person: str = "ana", journey: str | None = None) -> list[Enrollment]:
        """Oldest first."""
        with self.store.transaction() as unit:
            return list(reversed(unit.enrollments.of(profile_id=self.id_of(person), journey=journey)))

    def refusals(self, person: str = "ana") -> list[str]:
        with self.store.transaction() as unit:
            return [refusal.reason for refusal in unit.enrollments.refusals(profile_id=self.id_of(person))]

    @property
    def received(self) -> list[str]:
        """Delivery ids of all messages that people got."""
        return [delivery_id for provider in self.providers.values() for delivery_id in provider.received]


# ── crashes ──────────────────────────────────────────────────────────────────────────────────────────────────────────
class Crashed(Exception):
    """The process died here."""


class CrashingStore:
    """A store whose process dies at the n-th of its calls: of a transaction's beginning, each read and write in it, the
    moment before its commit, and the moment after."""

    def __init__(self, store: Store, crash_at: int | None = None) -> None:
        self._store = store
        self._crash_at = crash_at
        self.calls = 0

    def transaction(self, profile_id: str | None = None, *, is_shared: bool = False) -> Any:
        return self._transaction(profile_id, is_shared)

    @contextmanager
    def _transaction(self, profile_id: str | None, is_shared: bool) -> Iterator[Unit]:
        self._step()
        with self._store.transaction(profile_id, is_shared=is_shared) as unit:
            yield cast("Unit", _Watched(unit, self._step))
            self._step()
        self._step()

    def _step(self) -> None:
        self.calls += 1
        if self.calls == self._crash_at:
            raise Crashed


class _Watched:
    """A unit, or one of its groups, that tells of every call."""

    def __init__(self, watched: Any, step: Callable[[], None]) -> None:
        self._watched = watched
        self._step = step

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._watched, name)
        if not callable(found):
            return _Watched(found, self._step)

        def call(*arguments: Any, **named: Any) -> Any:
            self._step()
            return found(*arguments, **named)

        return call
