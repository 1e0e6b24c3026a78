"""Whoever is joined, in whatever order and however often the calls come in: the same person comes of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.consent.addresses import address_hash
from engine.consent.decide import decide_consent
from engine.consent.model import Action, ConsentRecord
from engine.consent.suppression import suppression_of
from engine.enrollment.model import Enrollment
from engine.events.intake import Intake
from engine.profiles.model import Profile
from engine.project import Channel, Project, Topic
from engine.storage.memory import MemoryStore
from engine.store import Store, Unit

KEY = b"a project's key"
NOW = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
CHANNELS = {
    "email": Channel(name="email", use="inbox", kind="email"),
    "sms": Channel(name="sms", use="inbox", kind="sms"),
}
TOPICS = {
    "news": Topic(name="news", title="Newsletter"),
    "tips": Topic(name="tips", title="Tips", basis="legitimate_interest"),
}
PROJECT = Project(
    name="shop", root=Path(), timezone="Europe/Madrid", locale="en", database="", channels=CHANNELS, topics=TOPICS
)
INTAKE = Intake(PROJECT, KEY)


def hours_ago(hours: int) -> datetime:
    return NOW - timedelta(hours=hours)


# ── people, what is known of them at first, and what is said of them then ───────────────────────────────────────────
@dataclass(frozen=True)
class Known:
    """A consent, a suppression or an enrollment that one id had before anything was joined."""

    who: str
    kind: str
    what: tuple[Any, ...]


@dataclass(frozen=True)
class Call:
    """One call, as a sender may repeat it."""

    kind: str
    number: int
    user: str | None
    device: str | None
    at: datetime
    values: tuple[tuple[str, Any], ...] = ()
    previous: str = ""


@dataclass(frozen=True)
class World:
    known: tuple[Known, ...]
    calls: tuple[Call, ...]
    otherwise: tuple[Call, ...]
    users: tuple[str, ...]
    devices: tuple[str, ...]


USERS = ("ana", "ben", "cid", "dee")
DEVICES = ("phone", "tablet", "kiosk")
HOURS = st.integers(1, 6)


def traits_of(user: str) -> st.SearchStrategy[dict[str, Any]]:
    """Addresses are a person's own; all else is shared."""
    number = USERS.index(user)
    return st.fixed_dictionaries(
        {},
        optional={
            "email": st.sampled_from([f"{user}@example.com", f"{user}@example.org"]),
            "phone": st.sampled_from([f"+3460011122{number}", f"+3460011133{number}"]),
            "timezone": st.sampled_from(["Europe/Madrid", "America/Lima", None]),
            "plan": st.sampled_from(["free", "pro", None]),
            "visits": st.integers(0, 3),
            "chat": st.fixed_dictionaries({"team": st.sampled_from(["U1", "U2", None])}),
        },
    )


@st.composite
def worlds(draw: st.DrawFn) -> World:
    users = USERS[: draw(st.integers(2, 4))]
    owners = {device: draw(st.sampled_from(users)) for device in DEVICES}
    # Everybody is found to be at most one other, so that it is clear whose id all of them bear in the end.
    parents = {user: draw(st.sampled_from([None, *users[:place]])) for place, user in enumerate(users) if place}
    calls: list[Call] = []

    def add(kind: str, user: str | None, device: str | None, **given: Any) -> None:
        calls.append(Call(kind, len(calls), user, device, hours_ago(draw(HOURS)), **given))

    for user, parent in parents.items():
        if parent:
            add("alias", parent, None, previous=user)
    strangers = set()
    for device, owner in owners.items():
        joining = draw(st.sampled_from(["identify", "alias", "never"]))
        if joining == "identify":
            add("identify", owner, device, values=tuple(draw(traits_of(owner)).items()))
        elif joining == "alias":
            add("alias", owner, None, previous=device)
        else:
            strangers.add(device)
    for _ in range(draw(st.integers(0, 6))):
        device = draw(st.sampled_from([None, *DEVICES]))
        person = owners[device] if device else draw(st.sampled_from(users))
        kind = draw(st.sampled_from(["track", "identify"]))
        values = tuple(draw(traits_of(person)).items()) if kind == "identify" else ()
        if device in strangers:
            # An address that two people claim is with whoever claimed it last: that is not about joining.
            values = tuple(each for each in values if each[0] != "email")
        add(kind, None if device else person, device, values=values)
    known = draw(st.lists(knowns(users), max_size=6))
    repeated = draw(st.lists(st.sampled_from(calls), max_size=3)) if calls else []
    return World(tuple(known), tuple(calls), tuple(draw(st.permutations([*calls, *repeated]))), users, DEVICES)


@st.composite
def knowns(draw: st.DrawFn, users: tuple[str, ...]) -> Known:
    who = draw(st.sampled_from([*users, *DEVICES]))
    user = who if who in USERS else users[0]
    address = draw(st.sampled_from([f"{user}@example.com", f"{user}@example.org"]))
    match draw(st.sampled_from(["consent", "suppression", "enrollment"])):
        case "consent":
            action = draw(st.sampled_from(["grant", "withdraw", "stop"]))
            return Known(who, "consent", (action, draw(st.sampled_from([*TOPICS])), address, draw(HOURS)))
        case "suppression":
            return Known(who, "suppression", (address,))
        case _:
            state = draw(st.sampled_from(["active", "active", "ended"]))
            return Known(who, "enrollment", (draw(st.sampled_from(["c1", None])), state, draw(HOURS)))


# ── one order of the calls, and what comes of it ────────────────────────────────────────────────────────────────────
class Play:
    """A world in one order, among others in one store: every id and address bears the play's own prefix."""

    def __init__(self, store: Store, world: World, prefix: str) -> None:
        self.store = store
        self.world = world
        self.prefix = prefix

    def run(self, calls: tuple[Call, ...]) -> Any:
        with self.store.transaction() as unit:
            for number, known in enumerate(self.world.known):
                self._know(unit, known, number)
        for call in calls:
            with self.store.transaction() as unit:
                self._call(unit, call)
        with self.store.transaction() as unit:
            return {
                (kind, each): self._state(unit, unit.profiles.find_by(kind, self._own(each)))
                for kind, names in (("external", self.world.users), ("anonymous", self.world.devices))
                for each in names
            } | {("addresses",): self._addresses(unit)}

    def _own(self, name: str) -> str:
        return f"{self.prefix}{name}"

    def _know(self, unit: Unit, known: Known, number: int) -> None:
        kind = "external" if known.who in USERS else "anonymous"
        profile = INTAKE.ensure(unit, kind, self._own(known.who), NOW)  # type: ignore[arg-type]
        match known.kind:
            case "consent":
                action, topic, address, hours = known.what
                self._consent(unit, profile, number, action, topic, self._own(address), hours_ago(hours))
            case "suppression":
                hashed = address_hash(KEY, "email", self._own(known.what[0]))
                unit.consents.suppress(suppression_of("email", hashed, "bounced", source="test", now=NOW))
            case _:
                key, state, hours = known.what
                last = unit.enrollments.last("cart", profile.profile_id, key)
                if last and last.state == "active":
                    return
                unit.enrollments.save(
                    Enrollment(
                        enrollment_id=f"{self.prefix}e{number}",
                        journey="cart",
                        digest="v1",
                        profile_id=profile.profile_id,
                        key=key,
                        number=last.number + 1 if last else 1,
                        entered_at=hours_ago(hours),
                        trigger_at=hours_ago(hours),
                        state=state,
                    )
                )

    def _consent(
        self, unit: Unit, profile: Profile, number: int, action: str, topic: str, address: str, at: datetime
    ) -> None:
        actions: dict[str, Action] = {"grant": "grant", "withdraw": "withdraw", "stop": "withdraw"}
        unit.consents.add(
            ConsentRecord(
                consent_id=f"{self.prefix}c{number}",
                profile_id=profile.profile_id,
                action=actions[action],
                channel="sms" if action == "stop" else "email",
                topic=None if action == "stop" else topic,
                address_hash=address_hash(KEY, "email", address) if action != "withdraw" else None,
                occurred_at=at,
                received_at=at,
                actor="person",
                source="sms_keyword" if action == "stop" else "form:test",
                wording="v1",
            )
        )

    def _call(self, unit: Unit, call: Call) -> None:
        user = self._own(call.user) if call.user else None
        device = self._own(call.device) if call.device else None
        words: dict[str, Any] = {"timestamp": call.at, "message_id": f"{self.prefix}{call.number}", "now": NOW}
        match call.kind:
            case "alias":
                INTAKE.alias(unit, previous_id=self._own(call.previous), user_id=user or "", now=NOW)
            case "identify":
                traits = dict(call.values)
                if "email" in traits:
                    traits["email"] = self._own(traits["email"])
                INTAKE.identify(unit, user_id=user, anonymous_id=device, traits=traits, **words)
            case _:
                INTAKE.track(unit, user_id=user, anonymous_id=device, name="Seen", properties={}, **words)

    def _state(self, unit: Unit, profile: Profile | None) -> Any:
        if profile is None:
            return None
        person = profile.profile_id
        email = address_hash(KEY, "email", profile.email or "nobody@example.com")
        records = unit.consents.of(person)
        return {
            "external_id": self._without(profile.external_id),
            "email": self._without(profile.email),
            "phone": profile.phone,
            "timezone": profile.timezone,
            "chat": profile.chat,
            "attributes": profile.attributes,
            "set_at": profile.set_at,
            "events": sorted((event.name, event.timestamp) for event in unit.events.of(person)),
            "may": [
                decide_consent(topic, channel, hashed, records, NOW).is_allowed
                for topic in TOPICS.values()
                for channel, hashed in (("email", email), ("sms", address_hash(KEY, "sms", "+34600111222")))
            ],
            "suppressed": [each.kind for each in unit.consents.suppressions("email", email)],
            "enrollments": sorted(
                (self._without(each.enrollment_id), each.key or "", each.number, each.state, each.reason)
                for each in unit.enrollments.of(profile_id=person)
            ),
        }

    def _addresses(self, unit: Unit) -> dict[str, str | None]:
        """Whom each email resolves to."""
        found = {}
        for user in self.world.users:
            for address in (f"{user}@example.com", f"{user}@example.org"):
                owner = unit.profiles.find_by("email", self._own(address))
                found[address] = self._without(owner.external_id) if owner else None
        return found

    def _without(self, text: str | None) -> str | None:
        return text.removeprefix(self.prefix) if text else text


_PLAYS = count()


@pytest.mark.parametrize("any_store", ["memory", "sqlite", "postgres"], indirect=True)
def test_the_order_of_calls_and_merges_and_their_repeats_leave_no_trace(any_store: Store) -> None:
    @settings(
        max_examples=200 if isinstance(any_store, MemoryStore) else 12,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(world=worlds())
    def holds(world: World) -> None:
        first, second = (f"w{next(_PLAYS):05}-" for _ in range(2))
        assert Play(any_store, world, first).run(world.calls) == Play(any_store, world, second).run(world.otherwise)

    holds()
