"""Deliveries and decisions: our record of every message, and of every time one was not sent."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from msgspec import Struct

from engine.errors import DoubtfulChannelError
from engine.plan.model import Outcome

#: `claimed` is committed before the provider is called, `sent` after. `in_doubt` waits for ops or the provider.
Status = Literal[
    "claimed",
    "retrying",
    "sent",
    "held_out",
    "failed",
    "in_doubt",
    "delivered",
    "bounced",
    "complained",
    "opened",
    "clicked",
]
#: Statuses of a message that the provider has taken.
TAKEN: tuple[Status, ...] = ("sent", "delivered", "bounced", "complained", "opened", "clicked")
#: Statuses that hold a place under the caps. `retrying` holds none, as the next attempt decides anew, but where it may
#: have gone already: where its error is `DOUBTED`.
COUNTED: tuple[Status, ...] = ("claimed", "in_doubt", "held_out", *TAKEN)
#: The error of a delivery that the provider may have taken, and that is handed over once more all the same. It stays,
#: whatever later attempts meet: the first is as doubtful as it was.
DOUBTED = DoubtfulChannelError.code


class Delivery(Struct, frozen=True, kw_only=True):
    """One message of one visit; owner of the idempotency key."""

    delivery_id: str
    enrollment_id: str
    journey: str
    profile_id: str
    step_id: str
    visit: int
    #: The authored channel's name.
    channel: str
    #: The channel whose adapter took it: the backup's name where that was so.
    via: str
    topic: str
    template: str
    status: Status
    #: Person's address; erasable.
    to: str
    is_marketing: bool
    is_test: bool = False
    claimed_at: datetime
    sent_at: datetime | None = None
    #: First attempt of this visit: the 24 hours of retries count from it.
    first_attempt_at: datetime | None = None
    attempts: int = 0
    provider_message_id: str | None = None
    subject: str | None = None
    html: str | None = None
    text: str | None = None
    #: Code of the last failure, never its text.
    error: str | None = None

    def __repr__(self) -> str:
        """Neither whose address it is nor what it says: a repr ends up in logs."""
        return f"Delivery({self.delivery_id}, {self.status}, {self.journey}/{self.step_id}, via {self.via})"


def holds_place(delivery: Delivery) -> bool:
    """Whether it counts under the caps that it is subject to."""
    return delivery.status in COUNTED or (delivery.status == "retrying" and delivery.error == DOUBTED)


class Decision(Struct, frozen=True, kw_only=True):
    """One passage through the gate for one channel, with all its inputs, whichever way it went."""

    decision_id: str
    delivery_id: str
    enrollment_id: str
    journey: str
    digest: str
    profile_id: str
    step_id: str
    visit: int
    channel: str
    outcome: Outcome
    decided_at: datetime
    #: When a held message may go, for `quiet` and `capped` that wait.
    until: datetime | None = None
    #: The consent record relied on, cap counts, zone, template digest, suppression ids … ids and codes only.
    inputs: Mapping[str, Any] = {}
