"""Runs of soft bounces: a mailbox that is full, or away, again and again is as good as none."""

from __future__ import annotations

from datetime import datetime, timedelta

from engine.delivery.receipt_events import event_name
from engine.project import Channel
from engine.store import Unit

#: So many messages in a row, within this time, and the address counts as dead.
RUN = 5
WITHIN = timedelta(days=30)


def is_run(unit: Unit, profile_id: str, channel: Channel, address: str, now: datetime) -> bool:
    """Whether the last `RUN` messages on the channel to the address have all bounced softly, and none has arrived."""
    bounced = event_name(channel.kind, "bounced")
    arrived = {event_name(channel.kind, kind) for kind in ("delivered", "opened", "clicked", "replied")}
    messages: set[str] = set()
    for event in reversed(unit.events.of(profile_id, since=now - WITHIN)):
        if event.source != "receipt" or event.properties.get("channel") != channel.name:
            continue
        delivery_id = event.properties.get("delivery")
        delivery = unit.deliveries.find(delivery_id) if isinstance(delivery_id, str) else None
        if delivery is not None and delivery.to != address:
            continue
        if event.name in arrived:
            return False
        if event.name == bounced and not event.properties.get("is_hard"):
            messages.add(delivery.delivery_id if delivery else event.event_id)
            if len(messages) == RUN:
                return True
    return False
