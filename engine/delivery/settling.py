"""What is known at last of a message that nobody was sure of, written into the decision that let it go."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from engine import ids
from engine.delivery.model import Delivery
from engine.plan.model import Outcome
from engine.store import Unit


def going_id(delivery_id: str, channel: str) -> str:
    """The id of the decision to let a message go: one, however often it is tried."""
    return ids.derived_id("c", delivery_id, channel, "go")


def settle_decision(unit: Unit, delivery: Delivery, outcome: Outcome, **inputs: Any) -> None:
    """Gives the decision that let a message go its final outcome."""
    mine = going_id(delivery.delivery_id, delivery.channel)
    for decision in unit.deliveries.decisions(enrollment_id=delivery.enrollment_id):
        if decision.decision_id == mine:
            unit.deliveries.decide(replace(decision, outcome=outcome, until=None, inputs={**decision.inputs, **inputs}))
