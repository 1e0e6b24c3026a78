"""Records with defaults that tests override."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from engine.consent.model import ConsentRecord, Suppression
from engine.delivery.model import Decision, Delivery
from engine.enrollment.model import Enrollment, Refusal, Stimulus, TrailEntry
from engine.events.model import Due, Membership, Occurrence
from engine.plan.effects import Started
from engine.profiles.model import Event, Profile
from engine.store import JourneyRecord, KeyRecord, LinkRecord

NOON = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
#: What a careless encoding loses: other scripts, a NUL, a lone surrogate, an emoji, integers beyond 64 bits, floats
#: that are whole or tiny, and order.
AWKWARD: dict[str, Any] = {
    "z": "Zoë 東京 \U0001f600",
    "nul": "a\x00b",
    "surrogate": "\ud800",
    "big": 10**40,
    "whole": 1.0,
    "huge": 1e300,
    "tiny": 5e-324,
    "a": [1, {"deep": None, "yes": True, "": []}],
}


def at(minutes: float = 0, *, micros: int = 0) -> datetime:
    return NOON + timedelta(minutes=minutes, microseconds=micros)


def profile(profile_id: str = "p1", **given: Any) -> Profile:
    defaults: dict[str, Any] = {"profile_id": profile_id, "created_at": NOON}
    return Profile(**(defaults | given))


def event(event_id: str = "v1", **given: Any) -> Event:
    defaults: dict[str, Any] = {
        "event_id": event_id,
        "profile_id": "p1",
        "name": "bought",
        "timestamp": NOON,
        "received_at": NOON,
    }
    return Event(**(defaults | given))


def journey(name: str = "welcome", **given: Any) -> JourneyRecord:
    defaults: dict[str, Any] = {
        "journey": name,
        "digest": "1" * 64,
        "state": "active",
        "deployed_at": NOON,
        "changed_at": NOON,
    }
    return JourneyRecord(**(defaults | given))


def enrollment(enrollment_id: str = "e1", **given: Any) -> Enrollment:
    defaults: dict[str, Any] = {
        "enrollment_id": enrollment_id,
        "journey": "welcome",
        "digest": "1" * 64,
        "profile_id": "p1",
        "key": None,
        "number": 1,
        "entered_at": NOON,
        "trigger_at": NOON,
    }
    return Enrollment(**(defaults | given))


def refusal(refusal_id: str = "r1", **given: Any) -> Refusal:
    defaults: dict[str, Any] = {
        "refusal_id": refusal_id,
        "journey": "welcome",
        "profile_id": "p1",
        "key": None,
        "reason": "active",
        "refused_at": NOON,
    }
    return Refusal(**(defaults | given))


def trail_entry(**given: Any) -> TrailEntry:
    defaults: dict[str, Any] = {"enrollment_id": "e1", "seq": 0, "at": NOON, "what": "reached"}
    return TrailEntry(**(defaults | given))


def delivery(delivery_id: str = "d1", **given: Any) -> Delivery:
    defaults: dict[str, Any] = {
        "delivery_id": delivery_id,
        "enrollment_id": "e1",
        "journey": "welcome",
        "profile_id": "p1",
        "step_id": "hello",
        "visit": 1,
        "channel": "email",
        "via": "email",
        "topic": "news",
        "template": "hello",
        "status": "claimed",
        "to": "ann@shop.example",
        "is_marketing": True,
        "claimed_at": NOON,
    }
    return Delivery(**(defaults | given))


def decision(decision_id: str = "c1", **given: Any) -> Decision:
    defaults: dict[str, Any] = {
        "decision_id": decision_id,
        "delivery_id": "d1",
        "enrollment_id": "e1",
        "journey": "welcome",
        "digest": "1" * 64,
        "profile_id": "p1",
        "step_id": "hello",
        "visit": 1,
        "channel": "email",
        "outcome": "sent",
        "decided_at": NOON,
    }
    return Decision(**(defaults | given))


def consent(consent_id: str = "k1", **given: Any) -> ConsentRecord:
    defaults: dict[str, Any] = {
        "consent_id": consent_id,
        "profile_id": "p1",
        "action": "grant",
        "channel": "email",
        "topic": "news",
        "occurred_at": NOON,
        "received_at": NOON,
        "source": "form:checkout",
    }
    return ConsentRecord(**(defaults | given))


def suppression(suppression_id: str = "s1", **given: Any) -> Suppression:
    defaults: dict[str, Any] = {
        "suppression_id": suppression_id,
        "channel_kind": "email",
        "address_hash": "h1",
        "kind": "hard_bounce",
        "source": "receipt",
        "created_at": NOON,
    }
    return Suppression(**(defaults | given))


def occurrence(profile_id: str = "p1", **given: Any) -> Occurrence:
    defaults: dict[str, Any] = {"profile_id": profile_id, "kind": "event", "at": NOON}
    return Occurrence(**(defaults | given))


def stimulus(enrollment_id: str = "e1", **given: Any) -> Stimulus:
    defaults: dict[str, Any] = {
        "enrollment_id": enrollment_id,
        "input": Started(),
        "created_at": NOON,
        "not_before": NOON,
    }
    return Stimulus(**(defaults | given))


def due(profile_id: str = "p1", **given: Any) -> Due:
    defaults: dict[str, Any] = {"kind": "inactive", "profile_id": profile_id, "subject": "welcome#0", "due_at": NOON}
    return Due(**(defaults | given))


def membership(profile_id: str = "p1", segment: str = "regulars", **given: Any) -> Membership:
    defaults: dict[str, Any] = {"profile_id": profile_id, "segment": segment, "is_member": True, "changed_at": NOON}
    return Membership(**(defaults | given))


def link(token_hash: str = "t1", **given: Any) -> LinkRecord:
    defaults: dict[str, Any] = {
        "token_hash": token_hash,
        "kind": "click",
        "profile_id": "p1",
        "delivery_id": "d1",
        "channel": "email",
        "topic": "news",
        "address_hash": "h1",
        "url": "https://shop.example/?who=ann",
        "created_at": NOON,
        "expires_at": None,
    }
    return LinkRecord(**(defaults | given))


def key(key_hash: str = "a1", **given: Any) -> KeyRecord:
    defaults: dict[str, Any] = {
        "key_hash": key_hash,
        "name": "till",
        "scopes": ("ingest", "ops"),
        "created_at": NOON,
    }
    return KeyRecord(**(defaults | given))
