"""Scenarios as authored: a world at its beginning, what comes in, and what must have come of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from msgspec import Struct

from engine.consent.model import Actor

#: A scenario runs at most this long.
LONGEST = timedelta(days=400)


@dataclass(frozen=True, kw_only=True, slots=True)
class Consented:
    """A consent that a profile has before the start."""

    channel: str
    topic: str
    basis: Literal["consent", "soft_opt_in"] = "consent"


@dataclass(frozen=True, kw_only=True, slots=True)
class Person:
    """A profile as a scenario declares it; `id` is the shop's."""

    person: str
    email: str | None = None
    phone: str | None = None
    chat: Mapping[str, str] = field(default_factory=dict)
    timezone: str | None = None
    locale: str | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)
    consents: tuple[Consented, ...] = ()


# ── what comes in ────────────────────────────────────────────────────────────────────────────────────────────────────
class Tracked(Struct, frozen=True, kw_only=True):
    person: str
    event: str
    properties: Mapping[str, Any]
    timestamp: datetime
    message_id: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class AttributesSet:
    person: str
    values: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class ConsentGiven:
    """`grant`, `confirm`, `withdraw` or `object`; channel and topic None mean all."""

    person: str
    action: Literal["grant", "confirm", "withdraw", "object"]
    channel: str | None
    topic: str | None
    by: Actor


@dataclass(frozen=True, kw_only=True, slots=True)
class Reported:
    """What a provider reports, or a person does with the newest message of a step."""

    person: str
    kind: Literal["replied", "bounced", "complained", "opened", "clicked"]
    channel: str | None = None
    step: str | None = None
    text: str | None = None
    is_hard: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Enrolled:
    person: str
    journey: str
    values: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Aliased:
    #: The one who stays.
    person: str
    #: What is joined to them.
    other: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Erased:
    person: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Steered:
    """`pause`, `resume` or `stop` of a journey."""

    action: Literal["pause", "resume", "stop"]
    journey: str


#: Refuses every message; takes none; or takes them and never says so: nobody knows.
Failure = Literal["permanent", "outage", "no_answer"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ProviderFails:
    channel: str
    how: Failure
    lasting: timedelta


Action = Tracked | AttributesSet | ConsentGiven | Reported | Enrolled | Aliased | Erased | Steered | ProviderFails


class Row(Struct, frozen=True, kw_only=True):
    """One row under `events`: what comes in, and when."""

    at: datetime
    action: Action
    #: Where it was authored.
    line: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What `call` gets from a URL."""

    status: int = 200
    json: Any = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Expected:
    """What must have come of it. None where the scenario does not speak of it; rows as authored, instants resolved."""

    messages: tuple[Mapping[str, Any], ...] | None = None
    messages_include: tuple[Mapping[str, Any], ...] | None = None
    system_messages: tuple[Mapping[str, Any], ...] | None = None
    decisions: tuple[Mapping[str, Any], ...] | None = None
    enrollments: tuple[Mapping[str, Any], ...] | None = None
    entries_refused: tuple[Mapping[str, Any], ...] | None = None
    emitted: tuple[Mapping[str, Any], ...] | None = None
    calls: tuple[Mapping[str, Any], ...] | None = None
    profiles: tuple[Mapping[str, Any], ...] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Scenario:
    name: str
    file: str
    line: int
    start: datetime
    #: Names of the journeys that take part; None: all of the project.
    journeys: tuple[str, ...] | None
    people: tuple[Person, ...]
    #: By time; those of one instant in the file's order. Those before `start` are history.
    rows: tuple[Row, ...]
    until: datetime | None
    answers: Mapping[str, Answer]
    forced_holdout: tuple[str, ...]
    #: Step -> person -> side.
    forced_split: Mapping[str, Mapping[str, str]]
    expected: Expected
