"""Consent records and suppressions. Current consent is a fold of the records; nothing is ever overwritten."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

#: `grant` (pending where double opt-in applies), `confirm`, `withdraw`, `object`.
Action = Literal["grant", "confirm", "withdraw", "object"]
#: Who acted. Only the `person` lifts the person's own withdrawal.
Actor = Literal["person", "import", "api", "agent", "provider", "system"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ConsentRecord:
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
    evidence: Mapping[str, Any] = field(default_factory=dict, repr=False)


#: `hard_bounce`, `sms_stop` and `erased` block everything; `complaint`, `revocation` (worded like one, queued for
#: review) and `manual` block marketing.
SuppressionKind = Literal["hard_bounce", "sms_stop", "erased", "complaint", "revocation", "manual"]
BLOCKS_ALL: tuple[SuppressionKind, ...] = ("hard_bounce", "sms_stop", "erased")


@dataclass(frozen=True, kw_only=True, slots=True)
class Suppression:
    """A block on an address of one channel kind, whatever the consent. Kept by keyed hash: it survives erasure."""

    suppression_id: str
    #: `email`, `sms`, `chat`.
    channel_kind: str
    address_hash: str
    kind: SuppressionKind
    source: str
    created_at: datetime
    lifted_at: datetime | None = None
