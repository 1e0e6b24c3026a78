"""What came of a scenario, read from its store: the rows that expectations are held against."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import Any

from engine.delivery.model import TAKEN
from engine.plan.notices import is_notice
from engine.rendering.links import link_url, token_hash
from engine.simulator.world import World
from engine.store import Unit

Row = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Observed:
    """Complete lists, by time."""

    ended_at: datetime
    messages: tuple[Row, ...]
    system_messages: tuple[Row, ...]
    decisions: tuple[Row, ...]
    enrollments: tuple[Row, ...]
    entries_refused: tuple[Row, ...]
    emitted: tuple[Row, ...]
    calls: tuple[Row, ...]
    profiles: tuple[Row, ...]


def observe(world: World, ended_at: datetime) -> Observed:
    """Everything that expectations can speak of."""
    with world.store.transaction() as unit:
        people = {profile_id: _name(unit, profile_id) for profile_id in _everybody(world, unit)}
        deliveries = [d for d in unit.deliveries.of() if d.status in TAKEN and not d.is_test]
        messages = [
            {
                "at": delivery.sent_at,
                "profile": people.get(delivery.profile_id),
                "channel": delivery.channel,
                "journey": delivery.journey,
                "step": delivery.step_id,
                "template": delivery.template,
                "to": delivery.to,
                "subject": delivery.subject,
                "topic": delivery.topic,
                "via": delivery.via,
                "html": _led_back(world, unit, delivery.html, escape),
                "text": _led_back(world, unit, delivery.text, str),
            }
            for delivery in sorted(deliveries, key=lambda delivery: delivery.sent_at or delivery.claimed_at)
        ]
        return Observed(
            ended_at=ended_at,
            messages=tuple(row for row in messages if not is_notice(str(row["journey"]))),
            system_messages=tuple(row for row in messages if is_notice(str(row["journey"]))),
            decisions=tuple(
                {
                    "at": decision.decided_at,
                    "profile": people.get(decision.profile_id),
                    "journey": decision.journey,
                    "step": decision.step_id,
                    "channel": decision.channel,
                    "outcome": decision.outcome,
                    "inputs": decision.inputs,
                }
                for decision in unit.deliveries.decisions()
            ),
            enrollments=tuple(
                {
                    "at": enrollment.ended_at or enrollment.entered_at,
                    "entered_at": enrollment.entered_at,
                    "profile": people.get(enrollment.profile_id),
                    "journey": enrollment.journey,
                    "key": enrollment.key,
                    "state": enrollment.state,
                    "reason": enrollment.reason,
                    "step": enrollment.step_id,
                    "converted": enrollment.converted_at is not None,
                }
                for enrollment in reversed(unit.enrollments.of())
                if not is_notice(enrollment.journey)
            ),
            entries_refused=tuple(
                {
                    "at": refusal.refused_at,
                    "profile": people.get(refusal.profile_id),
                    "journey": refusal.journey,
                    "key": refusal.key,
                    "reason": refusal.reason,
                }
                for refusal in unit.enrollments.refusals()
                if not is_notice(refusal.journey)
            ),
            emitted=tuple(
                sorted(
                    (
                        {
                            "at": event.timestamp,
                            "profile": person,
                            "event": event.name,
                            "properties": dict(event.properties),
                        }
                        for profile_id, person in people.items()
                        for event in unit.events.of(profile_id)
                        if event.source == "emit"
                    ),
                    key=lambda row: row["at"],
                )
            ),
            calls=tuple(
                {
                    "at": called.at,
                    "url": called.request.url,
                    "method": called.request.method,
                    "json": called.request.json,
                }
                for called in world.caller.calls
            ),
            profiles=tuple(_profile(world, unit, profile_id, person) for profile_id, person in people.items()),
        )


def _everybody(world: World, unit: Unit) -> list[str]:
    declared = [world.profile_id(person.person) for person in world.scenario.people]
    return list(dict.fromkeys([*declared, *unit.profiles.all_ids()]))


def _led_back(world: World, unit: Unit, text: str | None, written: Callable[[str], str]) -> str | None:
    """The text with counted links as their author wrote them: an expectation speaks of where they lead."""

    def target(found: re.Match[str]) -> str:
        link = unit.access.find_link(token_hash(found[1]))
        return written(link.url) if link and link.url else found.group()

    counted = re.escape(link_url(world.engine.public_url, "click", "")) + r"([\w-]{22})"
    return None if text is None else re.sub(counted, target, text)


def _name(unit: Unit, profile_id: str) -> str:
    profile = unit.profiles.find(profile_id)
    return (profile.external_id if profile else None) or profile_id


def _profile(world: World, unit: Unit, profile_id: str, person: str) -> Row:
    profile = unit.profiles.find(profile_id)
    if profile is None:
        return {"id": person, "attributes": {}, "segments": []}
    facts = world.engine.facts.of(unit, profile, world.clock.now)
    return {
        "id": person,
        "attributes": dict(facts.profile),
        "segments": [name for name in world.project.segments if facts.in_segment(name)],
    }
