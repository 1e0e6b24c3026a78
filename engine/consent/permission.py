"""The two gates of permission in one answer: suppression, then consent. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from msgspec import Struct

from engine.consent.decide import ConsentDecision, decide_consent
from engine.consent.model import ConsentRecord, Suppression
from engine.consent.suppression import blocking
from engine.project import Topic


class Permission(Struct, frozen=True, kw_only=True):
    """Whether a message may go to an address, with everything that was looked at."""

    #: What stops it, or None.
    outcome: Literal["suppressed", "no_consent"] | None
    consent: ConsentDecision
    suppression: Suppression | None


def decide_permission(
    topic: Topic,
    channel: str,
    address_hash: str,
    records: Sequence[ConsentRecord],
    suppressions: Sequence[Suppression],
    now: datetime,
) -> Permission:
    """Suppression comes before consent, but for STOP.

    STOP is the person's withdrawal, which the number's block only enforces: its marketing finds `no_consent`. The block
    is what stops everything else on that number: receipts, and the marketing of another profile that shares it.
    """
    block = blocking(suppressions, topic.kind == "marketing")
    consent = decide_consent(topic, channel, address_hash, records, now)
    outcome: Literal["suppressed", "no_consent"] | None = None
    if block and (block.kind != "sms_stop" or consent.is_allowed):
        outcome = "suppressed"
    elif not consent.is_allowed:
        outcome = "no_consent"
    return Permission(outcome=outcome, consent=consent, suppression=block)
