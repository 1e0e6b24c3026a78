"""Consent records and suppressions. Current consent is a fold of the records; nothing is ever overwritten."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from msgspec import Struct

#: `grant` (pending where double opt-in applies), `confirm`, `withdraw`, `object`.
Action = Literal["grant", "confirm", "withdraw", "object"]
#: Who acted. Only the `person` lifts the person's own withdrawal.
Actor = Literal["person", "import", "api", "agent", "provider", "system"]


class ConsentRecord(Struct, frozen=True, kw_only=True):
    """One entry of the ledger; append-only."""

    consent_id: str
    profile_id: str
    action: Action
    #: Channel name, or None for all (withdrawals and objections only).
    channel: str | None
    #: Topic name, or None for all (withdrawals and objections only; a `confirm` without topic is a START, which undoes
    #: the STOPs before it on its channel and address).
    topic: str | None
    #: Keyed hash of the normalised address (`engine.consent.addresses`); None on a withdrawal that names no address.
    address_hash: str | None = None
    basis: Literal["consent", "soft_opt_in"] = "consent"
    #: When it happened, and when we took it in.
    occurred_at: datetime
    received_at: datetime
    actor: Actor = "person"
    #: Where it came from: `form:checkout`, `sms_keyword`, `one_click`, `import:FILE`, `scenario` …
    source: str
    #: Version of the wording that the person saw; a grant without it is refused.
    wording: str | None = None
    expires_at: datetime | None = None
    #: For `soft_opt_in`: `sale`, `own_similar_products`, `opt_out_offered_at_collection`, `opt_out_in_every_message`.
    #: Otherwise whatever proves it. Erasable.
    evidence: Mapping[str, Any] = {}

    def __repr__(self) -> str:
        """Without the evidence, which may hold anything: a repr ends up in logs."""
        return f"ConsentRecord({self.consent_id}, {self.action}, {self.channel}/{self.topic}, {self.occurred_at})"


#: `hard_bounce`, `sms_stop` and `erased` block everything; `complaint`, `revocation` (worded like one, queued for
#: review) and `manual` block marketing.
SuppressionKind = Literal["hard_bounce", "sms_stop", "erased", "complaint", "revocation", "manual"]
BLOCKS_ALL: tuple[SuppressionKind, ...] = ("hard_bounce", "sms_stop", "erased")


class Suppression(Struct, frozen=True, kw_only=True):
    """A block on an address of one channel kind, whatever the consent. Kept by keyed hash: it survives erasure."""

    suppression_id: str
    #: `email`, `sms`, `chat`.
    channel_kind: str
    address_hash: str
    kind: SuppressionKind
    source: str
    created_at: datetime
    lifted_at: datetime | None = None
