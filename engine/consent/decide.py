"""Current consent: a fold of the ledger's records, taken anew at every send. Pure.

Deny beats allow, unknown denies. The fold depends on what the records say, never on the order in which they came:

 - A grant belongs to its address, channel and topic. A withdrawal or objection is the person's: it covers every address
   (so a changed one inherits it), and every channel or topic that it leaves unnamed.
 - Only the person's own grant, made later, lifts a withdrawal, for as long as it lasts; it reopens its own channel and
   topic and nothing else. Older grants stay dead. What an import, an agent or a program granted, and a soft opt-in,
   count only while no withdrawal stands.
 - Later means by the clock of the act (`occurred_at`); a tie goes to the withdrawal. Where either was not recorded the
   moment it happened, somebody else's clock stamped it: then the grant must be more than five minutes later. Two acts
   that we took down ourselves are in order as they are: who changes their mind after a minute is believed.
 - STOP is a withdrawal bound to the number that it came from. START, on the same number and channel, undoes it, and
   older grants stand again. On other kinds of channel the same words withdraw from the channel as a whole.
 - Under double opt-in a grant counts once a confirmation for its address, channel and topic follows it; against a
   withdrawal its own time counts, not the confirmation's: an old link cannot undo a newer no.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal

from msgspec import Struct

from engine.consent.model import ConsentRecord
from engine.project import Topic

#: Clocks of others are trusted this far.
SKEW = timedelta(minutes=5)
#: Source of what STOP and START leave in the ledger: on a phone number, and elsewhere.
SMS_KEYWORD, KEYWORD = "sms_keyword", "keyword"
#: All four make a soft opt-in; one missing makes none.
SOFT_OPT_IN_FACTS = ("sale", "own_similar_products", "opt_out_offered_at_collection", "opt_out_in_every_message")

Reason = Literal[
    "not_needed", "granted", "soft_opt_in", "legitimate_interest",
    "withdrawn", "objected", "no_grant", "expired", "unconfirmed",
]  # fmt: skip


class ConsentDecision(Struct, frozen=True, kw_only=True):
    is_allowed: bool
    reason: Reason
    #: The record relied on: the grant that allows it, or whatever denies it; None where there is none.
    consent_id: str | None = None


def decide_consent(
    topic: Topic, channel: str, address_hash: str, records: Sequence[ConsentRecord], now: datetime
) -> ConsentDecision:
    """Whether a message of a topic may go to an address on a channel, by all records of the profile."""
    if topic.kind != "marketing":
        return ConsentDecision(is_allowed=True, reason="not_needed")
    fold = _Fold(topic, channel, address_hash, records, now)
    if fold.effective:
        grant = fold.effective[-1]
        return _decision("soft_opt_in" if grant.basis == "soft_opt_in" else "granted", grant)
    if topic.basis == "legitimate_interest" and not fold.standing:
        return ConsentDecision(is_allowed=True, reason="legitimate_interest")
    if fold.pending:
        return _decision("unconfirmed", fold.pending[-1])
    if fold.standing:
        denial = fold.standing[-1]
        return _decision("objected" if denial.action == "object" else "withdrawn", denial)
    if fold.expired:
        return _decision("expired", fold.expired[-1])
    return ConsentDecision(is_allowed=False, reason="no_grant")


def standing_denial(
    topic: Topic, channel: str, address_hash: str, records: Sequence[ConsentRecord], now: datetime
) -> ConsentRecord | None:
    """The newest withdrawal or objection that the person has not lifted on this address, channel and topic, or None."""
    standing = _Fold(topic, channel, address_hash, records, now).standing
    return standing[-1] if standing else None


class _Fold:
    """Records sorted out for one address, channel and topic; every list is oldest first."""

    def __init__(
        self, topic: Topic, channel: str, address_hash: str, records: Sequence[ConsentRecord], now: datetime
    ) -> None:
        # By time and then by id: the order of arrival leaves no trace, not even in which record is named.
        ordered = sorted(records, key=lambda record: (record.occurred_at, record.consent_id))
        starts = [r for r in ordered if is_start(r) and (r.channel, r.address_hash) == (channel, address_hash)]
        denials = [
            record
            for record in ordered
            if record.action in ("withdraw", "object")
            and record.channel in (None, channel)
            and record.topic in (None, topic.name)
            and _concerns(record, address_hash)
            and not (is_stop(record) and any(is_later(start, record) for start in starts))
        ]
        mine = [r for r in ordered if (r.channel, r.topic, r.address_hash) == (channel, topic.name, address_hash)]
        confirmed_until = max((r.occurred_at for r in mine if r.action == "confirm"), default=None)
        grants = [r for r in mine if r.action == "grant" and r.occurred_at <= now and _has_facts(r)]
        fresh = [r for r in grants if r.expires_at is None or r.expires_at > now]
        valid = [r for r in fresh if not _is_pending(r, topic, confirmed_until)]
        lifting = [r for r in valid if r.actor == "person" and r.basis == "consent"]
        #: Denials that no later grant of the person's own has lifted.
        self.standing = [r for r in denials if not any(is_later(grant, r) for grant in lifting)]
        newer = [r for r in fresh if all(is_later(r, denial) for denial in denials)]
        #: Grants that allow the message.
        self.effective = [
            r
            for r in newer
            if r in valid
            and (r in lifting or not self.standing)
            and (r.basis == "consent" or topic.basis == "soft_opt_in")
        ]
        #: Grants that wait for nothing but their confirmation.
        self.pending = [r for r in newer if r not in valid and (r.actor == "person" or not self.standing)]
        self.expired = [r for r in grants if r not in fresh]


def _is_pending(grant: ConsentRecord, topic: Topic, confirmed_until: datetime | None) -> bool:
    # A soft opt-in is no answer to a question, so there is nothing to confirm.
    if grant.channel not in topic.double_opt_in or grant.basis == "soft_opt_in":
        return False
    return confirmed_until is None or confirmed_until < grant.occurred_at


def is_stop(record: ConsentRecord) -> bool:
    """Whether the record is a STOP."""
    return record.action == "withdraw" and record.source in (SMS_KEYWORD, KEYWORD)


def is_start(record: ConsentRecord) -> bool:
    """Whether the record is a START: a confirmation of the channel, not of a topic."""
    return record.action == "confirm" and record.topic is None


def is_later(act: ConsentRecord, denial: ConsentRecord) -> bool:
    """Whether a grant or START is certainly later than a withdrawal or objection."""
    is_ours = act.occurred_at == act.received_at and denial.occurred_at == denial.received_at
    return act.occurred_at - denial.occurred_at > (timedelta(0) if is_ours else SKEW)


def _concerns(denial: ConsentRecord, address_hash: str) -> bool:
    is_bound = denial.source == SMS_KEYWORD and denial.address_hash is not None
    return not is_bound or denial.address_hash == address_hash


def _has_facts(grant: ConsentRecord) -> bool:
    return grant.basis == "consent" or all(grant.evidence.get(fact) is True for fact in SOFT_OPT_IN_FACTS)


def _decision(reason: Reason, record: ConsentRecord) -> ConsentDecision:
    return ConsentDecision(is_allowed=reason in ("granted", "soft_opt_in"), reason=reason, consent_id=record.consent_id)
