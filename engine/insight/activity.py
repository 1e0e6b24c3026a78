"""What is going on: journeys with their people, deliveries and enrollments as rows that a program or a page reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine.delivery.model import Delivery
from engine.enrollment.model import Enrollment
from engine.errors import BadInput
from engine.insight.people import iso
from engine.insight.words import STATUSES
from engine.project import Channel
from engine.store import JourneyRecord, Unit


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """A deployed journey and how many people are in it."""

    record: JourneyRecord
    active: int
    ended: int
    converted: int


def journeys(unit: Unit) -> Sequence[Standing]:
    """Deployed journeys, by name."""
    found = []
    for record in unit.journeys.all():
        counts = unit.enrollments.counts(record.journey)
        found.append(
            Standing(
                record=record,
                active=counts.get("active", 0),
                ended=counts.get("ended", 0),
                converted=counts.get("converted", 0),
            )
        )
    return found


def journey_row(standing: Standing) -> dict[str, Any]:
    """One journey as JSON."""
    record = standing.record
    return {
        "journey": record.journey,
        "version": record.digest,
        "state": record.state,
        "deployed_at": iso(record.deployed_at),
        "active": standing.active,
        "ended": standing.ended,
        "converted": standing.converted,
    }


def deliveries(
    unit: Unit,
    *,
    profile_id: str | None = None,
    journey: str | None = None,
    channel: str | None = None,
    status: str | None = None,
    limit: int,
) -> Sequence[Delivery]:
    """The newest deliveries, oldest first. Raises BadInput for a status that there is not."""
    if status is not None and status not in STATUSES:
        raise BadInput(f"no delivery is ever `{status}`: statuses are {', '.join(STATUSES)}")
    return unit.deliveries.of(profile_id=profile_id, journey=journey, channel=channel, status=status, limit=limit)


def delivery_row(delivery: Delivery) -> dict[str, Any]:
    """One delivery as JSON, without its address and body."""
    return {
        "delivery_id": delivery.delivery_id,
        "profile_id": delivery.profile_id,
        "journey": delivery.journey,
        "step": delivery.step_id,
        "visit": delivery.visit,
        "channel": delivery.channel,
        "via": delivery.via,
        "topic": delivery.topic,
        "template": delivery.template,
        "status": delivery.status,
        "claimed_at": iso(delivery.claimed_at),
        "sent_at": iso(delivery.sent_at) if delivery.sent_at else None,
        "attempts": delivery.attempts,
        "error": delivery.error,
        "is_test": delivery.is_test,
    }


def enrollment_row(enrollment: Enrollment) -> dict[str, Any]:
    """One enrollment as JSON: where the person stands, and what for."""
    return {
        "enrollment_id": enrollment.enrollment_id,
        "profile_id": enrollment.profile_id,
        "journey": enrollment.journey,
        "version": enrollment.digest,
        "key": enrollment.key,
        "number": enrollment.number,
        "state": enrollment.state,
        "reason": enrollment.reason,
        "step": enrollment.step_id,
        "waiting": enrollment.waiting,
        "wake_at": iso(enrollment.wake_at) if enrollment.wake_at else None,
        "entered_at": iso(enrollment.entered_at),
        "ended_at": iso(enrollment.ended_at) if enrollment.ended_at else None,
        "converted_at": iso(enrollment.converted_at) if enrollment.converted_at else None,
    }


def channel_row(unit: Unit, channel: Channel) -> dict[str, Any]:
    """One channel as JSON: whether its provider works, and since when it does not."""
    circuit = unit.circuits.find(channel.name)
    is_open = circuit is not None and circuit.state == "open"
    return {
        "channel": channel.name,
        "adapter": channel.use,
        "backup": channel.backup,
        #: `works`, `outage` (the provider is out), `account` (it refuses our account or settings).
        "state": circuit.reason if circuit and is_open else "works",
        "since": iso(circuit.opened_at) if circuit and circuit.opened_at else None,
        "next_try": iso(circuit.probe_at) if circuit and circuit.probe_at else None,
        "waiting": len(unit.deliveries.of(channel=channel.name, status="retrying")),
        "error": circuit.error if circuit else None,
    }
