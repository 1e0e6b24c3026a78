"""Why did they, why didn't they: one person's entries, refusals, steps, decisions and deliveries in time order.

Read from our own records alone: the trail, the decisions, the deliveries. Nothing is recomputed, so the answer is what
was decided then, not what would be decided now.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import Any, Literal

from msgspec import Struct

from engine.delivery.model import Decision, Delivery
from engine.enrollment.model import Enrollment
from engine.insight.people import as_json, iso
from engine.insight.words import REFUSALS, STATUSES, decision_words, trail_words
from engine.profiles.model import Profile
from engine.store import Unit

Kind = Literal["refused", "trail", "decision", "delivery"]
#: What follows from a message is recorded at the moment from which the journey counts: by so much, at most, before the
#: message itself.
_GRID = timedelta(seconds=1)
_DIGEST_SHOWN = 12


class Line(Struct, frozen=True, kw_only=True):
    """One thing that happened."""

    at: datetime
    kind: Kind
    #: The stable code: a refusal's reason, a trail's word, an outcome, a status.
    code: str
    #: The same in words.
    words: str
    journey: str
    enrollment_id: str | None = None
    key: str | None = None
    step_id: str | None = None
    visit: int = 0
    #: Inputs of the decision, detail of the trail: ids and codes.
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Story:
    """Everything about one person, optionally in one journey."""

    profile: Profile
    journey: str | None
    enrollments: Sequence[Enrollment]
    lines: Sequence[Line]


def story(unit: Unit, profile: Profile, journey: str | None = None) -> Story:
    """The story of a profile; with a journey, of that one alone."""
    enrollments = sorted(
        unit.enrollments.of(profile_id=profile.profile_id, journey=journey), key=lambda one: one.entered_at
    )
    keys = {enrollment.enrollment_id: enrollment.key for enrollment in enrollments}
    delivered = [
        _delivered(delivery, keys.get(delivery.enrollment_id))
        for delivery in unit.deliveries.of(profile_id=profile.profile_id, journey=journey)
    ]
    placed = [(line.at, line) for line in _refused(unit, profile, journey)]
    for enrollment in enrollments:
        decisions = unit.deliveries.decisions(enrollment_id=enrollment.enrollment_id)
        sends = [_decided(decision, enrollment.key) for decision in decisions]
        sends += [line for line in delivered if line.enrollment_id == enrollment.enrollment_id]
        placed += _in_order(_trail(unit, enrollment), sends)
    # A test has no enrollment: its decision is the person's all the same.
    tests = unit.deliveries.decisions(profile_id=profile.profile_id, journey=journey)
    apart = [_decided(decision, None) for decision in tests if "test_by" in decision.inputs]
    apart += [line for line in delivered if line.enrollment_id not in keys]
    placed += [(line.at, line) for line in apart]
    placed.sort(key=lambda one: one[0])
    lines = [line for _, line in placed]
    return Story(profile=profile, journey=journey, enrollments=enrollments, lines=lines)


def as_json_document(told: Story) -> dict[str, Any]:
    """The story for a program."""
    return {
        "profile": {
            "profile_id": told.profile.profile_id,
            "external_id": told.profile.external_id,
            "erased_at": iso(told.profile.erased_at) if told.profile.erased_at else None,
        },
        "journey": told.journey,
        "lines": [as_json(line) for line in told.lines],
    }


def as_text(told: Story) -> str:
    """The story for a person: a line a happening, and under a decision what it was based on."""
    who = told.profile.external_id or told.profile.profile_id
    title = f"{who} in {told.journey}" if told.journey else who
    if told.profile.erased_at:
        title += f" (erased {iso(told.profile.erased_at)})"
    if not told.lines:
        return f"{title}\nNothing: no entry, no refusal, no message."
    rows = [title]
    for line in told.lines:
        where = line.journey + (f" ({line.key})" if line.key else "")
        step = f" · {line.step_id}" if line.step_id else ""
        rows.append(f"{_to_the_second(line.at)}  {where}{step}: {line.words}")
        if line.kind == "decision":
            rows.append(f"    {inputs_text(line.detail)}")
    return "\n".join(rows)


def inputs_text(detail: Mapping[str, Any]) -> str:
    """What a decision was based on, in one line."""
    return ", ".join(
        f"{name} {_word(name, value)}" for name, value in detail.items() if value not in (None, "", [], ())
    )


def _in_order(trail: Sequence[Line], sends: Sequence[Line]) -> list[tuple[datetime, Line]]:
    """One enrollment's lines as they came about, each with its place in time, which never goes back.

    The trail's own order is true. What was decided on a step, and sent, comes before whatever followed from it.
    """
    waiting = sorted(sends, key=lambda line: (line.at, line.kind == "delivery"))
    reached: set[tuple[str | None, int]] = set()
    ordered: list[Line] = []
    for line in trail:
        before = [one for one in waiting if (one.step_id, one.visit) in reached and _precedes(one, line)]
        waiting = [one for one in waiting if one not in before]
        ordered += [*before, line]
        reached.add((line.step_id, line.visit))
    ordered += waiting
    places = accumulate((line.at for line in ordered), max)
    return list(zip(places, ordered, strict=True))


def _precedes(send: Line, line: Line) -> bool:
    # That the enrollment is over is found out after it was.
    return send.at < line.at + (timedelta() if send.code == "ended" else _GRID)


def _refused(unit: Unit, profile: Profile, journey: str | None) -> list[Line]:
    return [
        Line(
            at=refusal.refused_at,
            kind="refused",
            code=refusal.reason,
            words=f"not enrolled: {REFUSALS.get(refusal.reason, refusal.reason)}",
            journey=refusal.journey,
            key=refusal.key,
            detail=_known(event_id=refusal.event_id),
        )
        for refusal in unit.enrollments.refusals(profile_id=profile.profile_id, journey=journey)
    ]


def _trail(unit: Unit, enrollment: Enrollment) -> list[Line]:
    return [
        Line(
            at=entry.at,
            kind="trail",
            code=entry.what,
            words=trail_words(entry),
            journey=enrollment.journey,
            enrollment_id=enrollment.enrollment_id,
            key=enrollment.key,
            step_id=entry.step_id,
            visit=entry.visit,
            detail=dict(entry.detail),
        )
        for entry in unit.enrollments.trail(enrollment.enrollment_id)
    ]


def _decided(decision: Decision, key: str | None) -> Line:
    return Line(
        at=decision.decided_at,
        kind="decision",
        code=decision.outcome,
        words=decision_words(decision),
        journey=decision.journey,
        enrollment_id=decision.enrollment_id,
        key=key,
        step_id=decision.step_id,
        visit=decision.visit,
        detail=dict(decision.inputs),
    )


def _delivered(delivery: Delivery, key: str | None) -> Line:
    return Line(
        at=delivery.sent_at or delivery.claimed_at,
        kind="delivery",
        code=delivery.status,
        words=f"{delivery.via}: {'a test, ' if delivery.is_test else ''}{STATUSES[delivery.status]}",
        journey=delivery.journey,
        enrollment_id=delivery.enrollment_id,
        key=key,
        step_id=delivery.step_id,
        visit=delivery.visit,
        detail=_known(
            delivery_id=delivery.delivery_id,
            template=delivery.template,
            topic=delivery.topic,
            attempts=delivery.attempts,
            provider_message_id=delivery.provider_message_id,
            error=delivery.error,
            is_test=delivery.is_test or None,
        ),
    )


def _known(**detail: Any) -> dict[str, Any]:
    return {name: value for name, value in detail.items() if value is not None}


def _word(name: str, value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(_word(name, item) for item in value)
    if name == "template_digest":
        return str(value)[:_DIGEST_SHOWN]
    return _to_the_second(datetime.fromisoformat(value)) if name.endswith("_at") else str(value)


def _to_the_second(instant: datetime) -> str:
    return iso(instant.astimezone(UTC).replace(microsecond=0))
