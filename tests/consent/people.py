"""Records, topics and a small shop for the tests of consent."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from engine.consent.model import ConsentRecord
from engine.profiles.model import Profile
from engine.project import Channel, Project, Topic

KEY = b"a key for tests"
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)

CART = Topic(name="cart", title="Cart reminders", channels=("email", "sms"))
NEWS = Topic(name="news", title="Newsletter", channels=("email",), double_opt_in=("email", "sms"))
TIPS = Topic(name="tips", title="Tips", basis="legitimate_interest")
SALES = Topic(name="sales", title="Similar products", basis="soft_opt_in")
ORDERS = Topic(name="orders", title="Order updates", kind="transactional", basis="contract")
DESK = Topic(name="desk", title="Notes to our desk", kind="internal")

PROJECT = Project(
    name="shop",
    root=Path(),
    timezone="Europe/Madrid",
    locale="en",
    database="",
    channels={
        "email": Channel(name="email", use="inbox", kind="email"),
        "sms": Channel(name="sms", use="inbox", kind="sms", backup="sms_backup"),
        "sms_backup": Channel(name="sms_backup", use="inbox", kind="sms"),
        "sms_uk": Channel(name="sms_uk", use="inbox", kind="sms"),
        "chat": Channel(name="chat", use="inbox", kind="chat"),
    },
    topics={topic.name: topic for topic in (CART, NEWS, TIPS, SALES, ORDERS, DESK)},
)
ANA = Profile(profile_id="pana", email="ana@example.com", phone="+447700900222", chat={"chat": "U1"})


def minutes(count: float) -> datetime:
    return NOON + timedelta(minutes=count)


_GRANT = ConsentRecord(
    consent_id="c", profile_id="pana", action="grant", channel="email", topic="cart", address_hash="home",
    occurred_at=NOON, received_at=NOON, source="form:test", wording="v1",
)  # fmt: skip
_DENIAL = replace(_GRANT, action="withdraw", address_hash=None, wording=None)


def grant(consent_id: str, at: float, **fields: Any) -> ConsentRecord:
    """The person's grant of `cart` by email, so many minutes after noon, written down at once."""
    return _with(_GRANT, consent_id, at, fields)


def confirm(consent_id: str, at: float, **fields: Any) -> ConsentRecord:
    return _with(replace(_GRANT, action="confirm", wording=None), consent_id, at, fields)


def withdraw(consent_id: str, at: float, **fields: Any) -> ConsentRecord:
    """The person's withdrawal from `cart` by email."""
    return _with(_DENIAL, consent_id, at, fields)


def _with(record: ConsentRecord, consent_id: str, at: float, fields: dict[str, Any]) -> ConsentRecord:
    late = fields.pop("received", at)
    return replace(record, consent_id=consent_id, occurred_at=minutes(at), received_at=minutes(late), **fields)
