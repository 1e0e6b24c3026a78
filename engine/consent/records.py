"""New entries of the ledger. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from engine import ids
from engine.consent.model import Action, Actor, ConsentRecord
from engine.errors import BadInput
from engine.profiles.model import EARLIEST, Profile


def check_instant(occurred_at: datetime) -> None:
    """Raises BadInput for a time without an offset (nobody could say when it was), and for one before 1990."""
    if occurred_at.tzinfo is None:
        raise BadInput("the time of a consent has no offset: write it like 2026-03-02T10:00:00Z")
    if occurred_at < EARLIEST:
        raise BadInput("the time of a consent is before the year 1990: were seconds taken for milliseconds?")


def make_record(
    action: Action,
    *,
    profile: Profile,
    channel: str | None,
    topic: str | None,
    occurred_at: datetime,
    now: datetime,
    actor: Actor,
    source: str,
    address_hash: str | None = None,
    wording: str | None = None,
    basis: Literal["consent", "soft_opt_in"] = "consent",
    evidence: Mapping[str, Any] | None = None,
    expires_at: datetime | None = None,
) -> ConsentRecord:
    """A record whose id derives from what it says, so that a repeat is the same record; a time ahead of ours is now."""
    check_instant(occurred_at)
    # In UTC, so that one moment written with two offsets is one record.
    happened_at = min(occurred_at, now).astimezone(UTC)
    ends_at = None if expires_at is None else _end(expires_at)
    consent_id = ids.derived_id(
        "c",
        profile.profile_id,
        action,
        channel or "",
        topic or "",
        address_hash or "",
        basis,
        actor,
        source,
        wording or "",
        happened_at.isoformat(),
        ends_at.isoformat() if ends_at else "",
    )
    return ConsentRecord(
        consent_id=consent_id,
        profile_id=profile.profile_id,
        action=action,
        channel=channel,
        topic=topic,
        address_hash=address_hash,
        basis=basis,
        occurred_at=happened_at,
        received_at=now,
        actor=actor,
        source=source,
        wording=wording,
        expires_at=ends_at,
        evidence=dict(evidence or {}),
    )


def _end(expires_at: datetime) -> datetime:
    check_instant(expires_at)
    try:
        return expires_at.astimezone(UTC)
    except OverflowError:
        raise BadInput("the grant expires beyond the year 9999: leave `expires_at` out where it does not") from None
