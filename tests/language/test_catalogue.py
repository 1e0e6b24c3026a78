"""Events of our own need no entry in a catalogue: what the checks know of them is what really comes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import pytest

from engine.consent.ledger import Ledger
from engine.delivery.message import Receipt, ReceiptKind
from engine.delivery.model import Delivery
from engine.delivery.receipts import Receipts
from engine.language.checks.catalogue import OWN_EVENTS
from engine.profiles.model import Event, Profile
from engine.project import Channel, ChannelKind, Project, Topic
from engine.storage.memory import MemoryStore
from engine.web.segment import CallType, parse_call

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
TYPES: dict[type, str] = {str: "string", bool: "boolean"}


def event_of(medium: ChannelKind, kind: ReceiptKind) -> Event:
    """What a receipt that says all it may say becomes."""
    channel = Channel(name=medium, use="inbox", kind=medium)
    project = Project(
        name="shop",
        root=Path(),
        timezone="UTC",
        locale="en",
        database="",
        channels={medium: channel},
        topics={"cart": Topic(name="cart", title="Cart")},
    )
    message = Delivery(
        delivery_id="d1", enrollment_id="e1", journey="cart", profile_id="pana", step_id="reminder", visit=1,
        channel=medium, via=medium, topic="cart", template="cart", status="sent", to="ana", is_marketing=True,
        claimed_at=NOW, sent_at=NOW,
    )  # fmt: skip
    receipt = Receipt(
        kind=kind, receipt_id="r1", occurred_at=NOW, delivery_id="d1", is_hard=True, url="https://shop.example/",
        text="STOP", vendor_kind="raw",
    )  # fmt: skip
    with MemoryStore().transaction() as unit:
        unit.profiles.save(Profile(profile_id="pana"))
        unit.deliveries.save(message)
        event = Receipts(project, Ledger(project, b"k" * 32)).take(unit, channel, receipt, NOW)
    assert event is not None
    return event


def receipts() -> Iterator[Event]:
    for medium in get_args(ChannelKind):
        for kind in get_args(ReceiptKind):
            yield event_of(medium, kind)


def test_the_checks_know_every_event_of_a_receipt_and_all_that_it_says() -> None:
    came: dict[str, Any] = {}
    for event in receipts():
        came |= event.properties
        typed = {name: TYPES[type(value)] for name, value in event.properties.items()}
        assert typed.items() <= OWN_EVENTS[event.name].items()
    # … and nothing that never comes.
    assert came.keys() == OWN_EVENTS["Email Delivered"].keys()


@pytest.mark.parametrize("kind", ["page", "screen"])
def test_the_checks_know_pages_and_screens(kind: CallType) -> None:
    (call,) = parse_call(b'{"userId": "ana", "name": "Pricing", "properties": {"path": "/pricing"}}', kind, NOW).calls
    assert call.values.keys() <= OWN_EVENTS[call.name].keys()
    assert {name for name in OWN_EVENTS if name.endswith("Viewed")} == {"Page Viewed", "Screen Viewed"}
