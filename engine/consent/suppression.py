"""Suppressions: blocks on an address, whatever the consent. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from engine import ids
from engine.consent.model import BLOCKS_ALL, Suppression, SuppressionKind

#: The order in which the one to name is chosen; STOP last, as it withdraws consent besides (see `permission`).
_GRAVEST_FIRST: tuple[SuppressionKind, ...] = (
    "erased", "hard_bounce", "complaint", "revocation", "manual", "sms_stop",
)  # fmt: skip


def blocking(suppressions: Sequence[Suppression], is_marketing: bool) -> Suppression | None:
    """The gravest suppression of an address that blocks a message, or None where none does.

    A hard bounce, STOP and an erasure block everything; a complaint, wording like a revocation and a hand-made block
    stop marketing alone.
    """
    blocks = [s for s in suppressions if s.lifted_at is None and (is_marketing or s.kind in BLOCKS_ALL)]
    return min(blocks, key=lambda s: _GRAVEST_FIRST.index(s.kind), default=None)


def suppression_of(
    channel_kind: str, address_hash: str, kind: SuppressionKind, *, source: str, now: datetime, channel: str = ""
) -> Suppression:
    """A new suppression under its derived id, so that a repeat replaces it; `channel` keeps STOPs of channels apart."""
    parts = (channel_kind, address_hash, kind, channel) if channel else (channel_kind, address_hash, kind)
    return Suppression(
        suppression_id=ids.derived_id("s", *parts),
        channel_kind=channel_kind,
        address_hash=address_hash,
        kind=kind,
        source=source,
        created_at=now,
    )
