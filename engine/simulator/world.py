"""A scenario's world: a store, an engine over it, counterparts, and how each row that comes in is applied."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal, assert_never

from engine import ids
from engine.assembly import Engine
from engine.consent.model import Action as ConsentAction
from engine.consent.model import Actor
from engine.delivery.message import Adapter, Receipt
from engine.delivery.model import TAKEN
from engine.enrollment.steps import Forced
from engine.errors import BadInput, Conflict, GrantRefused
from engine.profiles.model import Profile
from engine.project import Project
from engine.rendering.renderer import Renderer
from engine.simulator.counterparts import SimulatedCaller, SimulatedProvider
from engine.simulator.scenario import (
    Action,
    Aliased,
    AttributesSet,
    ConsentGiven,
    Enrolled,
    Erased,
    Person,
    ProviderFails,
    Reported,
    Row,
    Scenario,
    Steered,
    Tracked,
)
from engine.store import Store, Unit

#: Keys opaque ids in simulations; no secret, so that both drivers give one answer on every machine.
SIMULATION_KEY = b"sojourn simulation"
_WORDING = "scenario"


@dataclass(slots=True)
class Clock:
    """The world's present, set by the timeline."""

    now: datetime

    def __call__(self) -> datetime:
        return self.now


class World:
    """One scenario's world. `store` is empty; `adapters` replace the simulated providers of the channels they name."""

    def __init__(
        self,
        project: Project,
        scenario: Scenario,
        store: Store,
        *,
        adapters: Mapping[str, Adapter] | None = None,
        public_url: str = "https://shop.example",
        renderer: Renderer | None = None,
    ) -> None:
        taking_part = scenario.journeys
        plans = {n: p for n, p in project.plans.items() if taking_part is None or n in taking_part}
        self.scenario = scenario
        self.project = replace(project, plans=plans)
        self.store = store
        self.clock = Clock(scenario.start)
        self.providers = {
            name: SimulatedProvider(name, channel.kind, self.clock) for name, channel in project.channels.items()
        }
        self.caller = SimulatedCaller(scenario.answers, self.clock)
        self.engine = Engine(
            project=self.project,
            store=store,
            adapters={**self.providers, **(adapters or {})},
            caller=self.caller,
            project_key=SIMULATION_KEY,
            public_url=public_url,
            clock=self.clock,
            forced=Forced(
                holdout=frozenset(self.profile_id(person) for person in scenario.forced_holdout),
                split={
                    step: {self.profile_id(person): side for person, side in sides.items()}
                    for step, sides in scenario.forced_split.items()
                },
            ),
            renderer=renderer,
        )
        self._count = 0

    @staticmethod
    def profile_id(person: str) -> str:
        """The opaque id of a scenario's person."""
        return ids.profile_id(SIMULATION_KEY, "external", person)

    # ── before the start ─────────────────────────────────────────────────────────────────────────────────────────────
    def begin(self) -> None:
        """Deploys, declares the people, stores the history silently, and takes the outcome as the baseline."""
        start = self.scenario.start
        history = [row for row in self.scenario.rows if row.at < start]
        earliest = min([start, *(row.at for row in history)]) - timedelta(seconds=1)
        for person in self.scenario.people:
            self._declare(person, earliest)
        for row in history:
            self.clock.now = row.at
            self.apply(row)
        self.clock.now = start
        with self.store.transaction() as unit:
            while occurrence := unit.queue.next_occurrence():
                unit.queue.remove_occurrence(occurrence.seq)
            for stimulus in unit.queue.stimuli(start, limit=100_000):
                unit.queue.remove_stimuli([stimulus.seq])
        self.engine.operations.deploy(start)

    def _declare(self, person: Person, at: datetime) -> None:
        own = {"email": person.email, "phone": person.phone, "timezone": person.timezone, "locale": person.locale}
        values = {**person.attributes, **{name: value for name, value in own.items() if value is not None}}
        if person.chat:
            values["chat"] = dict(person.chat)
        with self.store.transaction() as unit:
            profile = self.engine.intake.ensure(unit, "external", person.person, at)
            profile = self.engine.intake.set_attributes(unit, profile, values, at)
            actions: tuple[ConsentAction, ...] = ("grant", "confirm")
            for consent in person.consents:
                # As with rows: who has no address there has nothing to grant for, and is `unreachable`.
                with suppress(GrantRefused):
                    for action in actions:
                        self._consent(
                            unit, profile, action, consent.channel, consent.topic, "person", at, basis=consent.basis
                        )

    # ── what comes in ────────────────────────────────────────────────────────────────────────────────────────────────
    def apply(self, row: Row) -> None:
        """Takes in one row at the clock's present. Raises BadInput where the scenario asks the impossible."""
        now = self.clock.now
        try:
            self._apply(row.action, now)
        except GrantRefused:
            # As in production: the ledger refuses (an import over the person's no, say), and the world goes on.
            return
        except (BadInput, Conflict) as problem:
            raise BadInput(f"line {row.line}: {problem}") from problem

    def _apply(self, action: Action, now: datetime) -> None:
        engine = self.engine
        match action:
            case Tracked():
                self._count += 1
                with self.store.transaction() as unit:
                    engine.intake.track(
                        unit,
                        user_id=action.person,
                        name=action.event,
                        properties=action.properties,
                        timestamp=action.timestamp,
                        message_id=action.message_id or f"{action.person}-{self._count}",
                        now=now,
                    )
            case AttributesSet():
                with self._person(action.person, now) as (unit, profile):
                    engine.intake.set_attributes(unit, profile, action.values, now)
            case ConsentGiven():
                with self._person(action.person, now) as (unit, profile):
                    self._consent(unit, profile, action.action, action.channel, action.topic, action.by, now)
            case Reported():
                with self._person(action.person, now) as (unit, profile):
                    self._report(unit, profile, action, now)
            case Enrolled():
                plan = self.project.plans.get(action.journey)
                if plan is None:
                    raise BadInput(f"journey {action.journey!r} takes no part in this scenario (`journeys:`)")
                with self._person(action.person, now) as (unit, profile):
                    engine.entries.call_in(unit, plan, profile, action.values, now)
            case Aliased():
                with self.store.transaction() as unit:
                    engine.intake.alias(unit, previous_id=action.other, user_id=action.person, now=now)
            case Erased():
                with self._person(action.person, now) as (unit, profile):
                    engine.intake.erase(unit, profile, now)
            case Steered():
                match action.action:
                    case "pause":
                        engine.operations.pause(action.journey, now)
                    case "resume":
                        engine.operations.resume(action.journey, now)
                    case "stop":
                        engine.operations.stop(action.journey, now)
            case ProviderFails():
                self.providers[action.channel].fail(action.how, now + action.lasting)
            case _:
                assert_never(action)

    @contextmanager
    def _person(self, person: str, now: datetime) -> Iterator[tuple[Unit, Profile]]:
        """A transaction on one person, who is created where unknown."""
        with self.store.transaction() as unit:
            profile = self.engine.intake.ensure(unit, "external", person, now)
            unit.lock(profile.profile_id)
            yield unit, profile

    def _consent(
        self,
        unit: Unit,
        profile: Profile,
        action: ConsentAction,
        channel: str | None,
        topic: str | None,
        by: Actor,
        now: datetime,
        basis: Literal["consent", "soft_opt_in"] = "consent",
    ) -> None:
        ledger = self.engine.ledger
        facts = ("sale", "own_similar_products", "opt_out_offered_at_collection", "opt_out_in_every_message")
        evidence = dict.fromkeys(facts, True) if basis == "soft_opt_in" else {"form": "scenario"}
        match action:
            case "grant":
                ledger.grant(
                    unit,
                    profile=profile,
                    channel=str(channel),
                    topic=str(topic),
                    occurred_at=now,
                    now=now,
                    actor=by,
                    source="scenario",
                    wording=_WORDING,
                    basis=basis,
                    evidence=evidence,
                )
            case "confirm":
                ledger.confirm(
                    unit,
                    profile=profile,
                    channel=str(channel),
                    topic=str(topic),
                    occurred_at=now,
                    now=now,
                    source="scenario",
                )
            case "withdraw":
                ledger.withdraw(
                    unit,
                    profile=profile,
                    channel=channel,
                    topic=topic,
                    occurred_at=now,
                    now=now,
                    actor=by,
                    source="scenario",
                )
            case _:
                ledger.object(
                    unit,
                    profile=profile,
                    channel=channel,
                    topic=topic,
                    occurred_at=now,
                    now=now,
                    actor=by,
                    source="scenario",
                )

    def _report(self, unit: Unit, profile: Profile, action: Reported, now: datetime) -> None:
        self._count += 1
        deliveries = [
            delivery
            for delivery in unit.deliveries.of(profile_id=profile.profile_id)
            if delivery.status in TAKEN
            and action.step in (None, delivery.step_id)
            and action.channel in (None, delivery.channel)
        ]
        newest = deliveries[-1] if deliveries else None
        if action.step is not None and newest is None:
            raise BadInput(f"nobody has had a message of step {action.step!r} by then")
        name = action.channel or (newest.channel if newest else "")
        channel = self.project.channels[name]
        address = profile.address(channel.name, channel.kind)
        receipt = Receipt(
            kind=action.kind,
            receipt_id=f"{profile.profile_id}-{self._count}",
            occurred_at=now,
            # A reply and a bounce are about the address, not about one message.
            delivery_id=newest.delivery_id if newest and action.step is not None else None,
            address=address,
            is_hard=action.is_hard,
            text=action.text,
        )
        self.engine.receipts.take(unit, channel, receipt, now)
