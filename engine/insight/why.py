"""Why did they, why didn't they: one person's entries, refusals, steps, decisions and deliveries in time order.

Read from our own records alone: the trail, the decisions, the deliveries. Nothing is recomputed, so the answer is what
was decided then, not what would be decided now.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from msgspec import Struct

from engine.delivery.model import Decision
from engine.enrollment.model import Enrollment
from engine.insight.people import as_json, iso
from engine.insight.words import REFUSALS, STATUSES, decision_words, trail_words
from engine.profiles.model import Profile
from engine.store import Unit

Kind = Literal["refused", "trail", "decision", "delivery"]
#: At one instant a step is reached, then decided, then delivered.
_ORDER: Mapping[Kind, int] = {"refused": 0, "trail": 1, "decision": 2, "delivery": 3}


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
    lines = _refused(unit, profile, journey)
    for enrollment in enrollments:
        lines += _told(unit, enrollment)
    # A test has no enrollment: its decision is the person's all the same.
    tests = unit.deliveries.decisions(profile_id=profile.profile_id, journey=journey)
    lines += [_decided(decision, None) for decision in tests if "test_by" in decision.inputs]
    deliveries = unit.deliveries.of(profile_id=profile.profile_id, journey=journey)
    keys = {enrollment.enrollment_id: enrollment.key for enrollment in enrollments}
    for delivery in deliveries:
        lines.append(
            Line(
                at=delivery.sent_at or delivery.claimed_at,
                kind="delivery",
                code=delivery.status,
                words=f"{delivery.via}: {'a test, ' if delivery.is_test else ''}{STATUSES[delivery.status]}",
                journey=delivery.journey,
                enrollment_id=delivery.enrollment_id,
                key=keys.get(delivery.enrollment_id),
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
        )
    # Sorting keeps the order of lines of one kind in one instant: the trail's own.
    lines.sort(key=lambda line: (line.at, _ORDER[line.kind]))
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
        rows.append(f"{iso(line.at)}  {where}{step}: {line.words}")
        if line.kind == "decision":
            rows.append(f"    {inputs_text(line.detail)}")
    return "\n".join(rows)


def inputs_text(detail: Mapping[str, Any]) -> str:
    """What a decision was based on, in one line."""
    return ", ".join(f"{name} {_word(value)}" for name, value in detail.items() if value not in (None, "", [], ()))


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


def _told(unit: Unit, enrollment: Enrollment) -> list[Line]:
    trail = [
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
    decisions = unit.deliveries.decisions(enrollment_id=enrollment.enrollment_id)
    return trail + [_decided(decision, enrollment.key) for decision in decisions]


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


def _known(**detail: Any) -> dict[str, Any]:
    return {name: value for name, value in detail.items() if value is not None}


def _word(value: Any) -> str:
    return ", ".join(_word(item) for item in value) if isinstance(value, list | tuple) else str(value)
