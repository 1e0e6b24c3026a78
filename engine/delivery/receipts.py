"""Receipts: what providers report, and what people answer, becomes the delivery's status, an event, and its effects."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from msgspec.structs import replace

from engine import ids
from engine.consent.addresses import normalise
from engine.consent.ledger import Ledger
from engine.consent.replies import ReplyMeaning
from engine.delivery.message import Receipt
from engine.delivery.model import TAKEN, Delivery
from engine.delivery.receipt_events import event_name
from engine.delivery.settling import settle_decision
from engine.delivery.soft_bounces import is_run
from engine.delivery.states import reported
from engine.errors import BadInput
from engine.events.model import Occurrence
from engine.locking import under_lock
from engine.profiles.model import Event, Profile
from engine.project import Channel, ChannelKind, Project
from engine.store import Unit


class Receipts:
    """Takes receipts in, each once, in the caller's transaction."""

    def __init__(self, project: Project, ledger: Ledger) -> None:
        self._project = project
        self._ledger = ledger

    def take(self, unit: Unit, channel: Channel, receipt: Receipt, now: datetime) -> Event | None:
        """Gives a verified receipt its effect; the event that it became, or None where it is known or about nobody.

        A receipt is about the delivery that it names, or else about the sender's address. One that names a message
        which is not ours is about nobody: neither its bounce nor its complaint may silence an address.
        """
        is_named = receipt.delivery_id is not None or receipt.provider_message_id is not None
        delivery = self._delivery(unit, channel, receipt)
        # What a person asks for is heard whichever message it names; a reply's id is only its own.
        if delivery is None and is_named and receipt.kind not in ("replied", "unsubscribed"):
            return None
        profile = self._profile(unit, channel, receipt, delivery)
        if profile is None:
            self._reply(unit, channel, receipt, None, now)
            return None
        first = profile.profile_id

        def look() -> tuple[str, tuple[Delivery | None, Profile | None]]:
            delivery = self._delivery(unit, channel, receipt)
            profile = self._profile(unit, channel, receipt, delivery)
            return profile.profile_id if profile else first, (delivery, profile)

        # Only under the lock is it certain: while we waited, a receipt may have moved the delivery, a merge the person.
        delivery, profile = under_lock(unit, first, look)
        if profile is None:
            return None
        if delivery is not None and delivery.is_test:
            # It went to an address that somebody named: what becomes of it says nothing of the person.
            _move(unit, delivery, receipt, _happened_at(receipt, delivery, now))
            return None
        event_id = ids.derived_id("v", "receipt", channel.name, receipt.receipt_id)
        if unit.events.find(event_id):
            return None
        if delivery is None and receipt.kind == "replied":
            delivery = self._newest(unit, profile, channel)
        meaning = self._reply(unit, channel, receipt, profile, now)
        event = Event(
            event_id=event_id,
            profile_id=profile.profile_id,
            name=event_name(channel.kind, receipt.kind),
            timestamp=_happened_at(receipt, delivery, now),
            received_at=now,
            properties=_properties(channel, receipt, delivery, meaning),
            source="receipt",
        )
        unit.events.add(event)
        unit.queue.add_occurrence(Occurrence(profile_id=profile.profile_id, kind="event", ref=event_id, at=now))
        if delivery:
            _move(unit, delivery, receipt, event.timestamp)
        self._permit(unit, channel, receipt, profile, delivery, now)
        return event

    # ── who and what ─────────────────────────────────────────────────────────────────────────────────────────────────
    def _delivery(self, unit: Unit, channel: Channel, receipt: Receipt) -> Delivery | None:
        found = unit.deliveries.find(receipt.delivery_id) if receipt.delivery_id else None
        if found is None and receipt.provider_message_id:
            found = unit.deliveries.find_by_provider_id(channel.name, receipt.provider_message_id)
        # Another channel's provider has nothing to say about it.
        return found if found and channel.name in (found.channel, found.via) else None

    def _profile(self, unit: Unit, channel: Channel, receipt: Receipt, delivery: Delivery | None) -> Profile | None:
        if delivery:
            found = unit.profiles.find(delivery.profile_id)
            return found if found and found.erased_at is None else None
        for kind in self._identifiers(channel):
            for address in _spellings(channel.kind, receipt.address):
                known = unit.profiles.find_by(kind, address)
                if known and known.erased_at is None:
                    return known
        return None

    def _identifiers(self, channel: Channel) -> tuple[str, ...]:
        """Identifiers that an address on the channel may be; a backup hears people of the channels that it backs."""
        match channel.kind:
            case "email":
                return ("email",)
            case "sms":
                return ("phone",)
            case "chat":
                backed = (other.name for other in self._project.channels.values() if other.backup == channel.name)
                return (channel.name, *backed)

    @staticmethod
    def _newest(unit: Unit, profile: Profile, channel: Channel) -> Delivery | None:
        """The message that a reply answers, as far as anybody can tell: the last one on the channel."""
        for delivery in reversed(unit.deliveries.of(profile_id=profile.profile_id)):
            if delivery.status in TAKEN and channel.name in (delivery.channel, delivery.via):
                return delivery
        return None

    # ── effects ──────────────────────────────────────────────────────────────────────────────────────────────────────
    def _reply(
        self, unit: Unit, channel: Channel, receipt: Receipt, profile: Profile | None, now: datetime
    ) -> ReplyMeaning | None:
        if receipt.kind != "replied":
            return None
        return self._ledger.reply(
            unit, profile=profile, channel=channel.name, text=receipt.text or "", now=now, address=receipt.address
        )

    def _permit(
        self,
        unit: Unit,
        channel: Channel,
        receipt: Receipt,
        profile: Profile,
        delivery: Delivery | None,
        now: datetime,
    ) -> None:
        """What a receipt changes about the permission to send: to the address that the message went to, which need not
        be the person's present one, or for the person."""
        source = f"receipt:{receipt.receipt_id}"
        name = delivery.channel if delivery else channel.name
        address = (delivery.to if delivery else "") or receipt.address
        if receipt.kind == "unsubscribed":
            self._ledger.withdraw(unit, profile=profile, channel=name, occurred_at=now, now=now, source=source)
        elif address and receipt.kind == "complained":
            self._ledger.suppress(unit, channel=name, address=address, kind="complaint", source=source, now=now)
        elif address and receipt.kind in ("bounced", "failed") and receipt.is_hard:
            self._ledger.suppress(unit, channel=name, address=address, kind="hard_bounce", source=source, now=now)
        elif address and receipt.kind == "bounced":
            written_to = self._project.channels[name]
            if is_run(unit, profile.profile_id, written_to, address, now):
                self._ledger.suppress(unit, channel=name, address=address, kind="hard_bounce", source=source, now=now)


def _happened_at(receipt: Receipt, delivery: Delivery | None, now: datetime) -> datetime:
    """No sooner than the message was sent, whatever the provider's clock says, and no later than now."""
    sent_at = delivery.sent_at if delivery else None
    return min(max(receipt.occurred_at, sent_at or receipt.occurred_at), now)


def _properties(
    channel: Channel, receipt: Receipt, delivery: Delivery | None, meaning: ReplyMeaning | None
) -> dict[str, Any]:
    properties: dict[str, Any] = {"channel": delivery.channel if delivery else channel.name}
    if delivery:
        properties |= {
            "journey": delivery.journey,
            "step": delivery.step_id,
            "delivery": delivery.delivery_id,
            "template": delivery.template,
            "topic": delivery.topic,
        }
    if receipt.url is not None:
        properties["url"] = receipt.url
    if receipt.kind in ("bounced", "failed"):
        properties["is_hard"] = receipt.is_hard
    if meaning is not None:
        properties |= {"text": receipt.text or "", "meaning": meaning}
    if receipt.vendor_kind:
        properties["vendor_kind"] = receipt.vendor_kind
    return properties


def _move(unit: Unit, delivery: Delivery, receipt: Receipt, happened_at: datetime) -> None:
    status = reported(delivery.status, receipt.kind, is_hard=receipt.is_hard)
    if status is None:
        return
    if delivery.status not in TAKEN:
        # The provider speaks of the message, so the provider has it, whatever we believed.
        settle_decision(unit, delivery, "sent", settled_by=f"receipt:{receipt.kind}")
    sent_at = delivery.sent_at or happened_at
    unit.deliveries.save(replace(delivery, status=status, sent_at=sent_at, error=None))


def _spellings(kind: ChannelKind, address: str | None) -> tuple[str, ...]:
    """The address as it came, and in its normal form where it has one."""
    if not address:
        return ()
    try:
        return tuple(dict.fromkeys((address, normalise(kind, address))))
    except BadInput:
        return (address,)
