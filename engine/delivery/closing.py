"""How a delivery ends without a provider's yes: it has failed, or nobody knows."""

from __future__ import annotations

from msgspec.structs import replace

from engine.delivery.model import DOUBTED, TAKEN, Decision, Delivery
from engine.plan.effects import Result, Sent
from engine.store import Unit


def fail(unit: Unit, delivery: Delivery, decision: Decision, code: str) -> Result:
    """It will not go; its place under the caps is free again."""
    unit.deliveries.save(replace(delivery, status="failed", error=code))
    unit.deliveries.decide(replace(decision, outcome="failed", until=None, inputs={**decision.inputs, "error": code}))
    return Sent(outcome="failed")


def doubt(unit: Unit, delivery: Delivery, decision: Decision | None = None) -> Result:
    """Nobody knows whether the provider has it: held for ops to see, never guessed."""
    if delivery.status in TAKEN:
        return Sent(outcome="sent")
    unit.deliveries.save(replace(delivery, status="in_doubt"))
    if decision:
        unit.deliveries.decide(replace(decision, outcome="in_doubt", until=None))
    return Sent(outcome="in_doubt")


def give_up(unit: Unit, delivery_id: str) -> None:
    """Nothing will be tried again: what was waiting for its next try has failed, what may have gone is in doubt."""
    known = unit.deliveries.find(delivery_id)
    if known and (known.status == "claimed" or (known.status == "retrying" and known.error == DOUBTED)):
        doubt(unit, known)
    elif known and known.status == "retrying":
        unit.deliveries.save(replace(known, status="failed"))
