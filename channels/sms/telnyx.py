"""SMS over Telnyx's Messaging API (v2): sending, delivery events, and inbound messages."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar

import httpx
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import Field, field_validator

from channels.base import Meaning, Secret, Text, required_sender, safe_word
from channels.http import HttpAdapter, HttpSettings, try_json_object
from channels.signatures import require_fresh, require_header
from channels.sms.callbacks import callback_url, named_delivery
from engine.delivery.message import Capabilities, Message, Receipt, ReceiptKind, SendResult, WebhookRequest
from engine.errors import ReceiptRefused

_KEY_BYTES = 32


class TelnyxSettings(HttpSettings):
    api_key: Secret
    #: A number in E.164, a short code or a sender name.
    from_: Text | None = Field(default=None, alias="from")
    #: A pool of senders; needed besides a sender name.
    messaging_profile_id: Text | None = None
    #: The account's public key in base64: proves webhooks; without it they are refused.
    public_key: Text | None = None

    @field_validator("public_key")
    @classmethod
    def _is_ed25519(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                is_key = len(base64.b64decode(value, validate=True)) == _KEY_BYTES
            except binascii.Error:
                is_key = False
            if not is_key:
                raise ValueError(f"must be {_KEY_BYTES} bytes in base64, as the portal shows it")
        return value


class Telnyx(HttpAdapter[TelnyxSettings]):
    """One Telnyx account."""

    name = "telnyx"
    Settings = TelnyxSettings
    base_url = "https://api.telnyx.com/v2"
    capabilities = Capabilities(kind="sms", has_receipts=True)

    #: Telnyx's error codes while sending.
    ERRORS: ClassVar[Mapping[str, Meaning]] = {
        "10001": "invalid_address",  # the number is inactive
        "10002": "invalid_address",
        "10003": "config",  # the webhook's address
        "10005": "config",  # no such resource: the address of the API
        "10006": "config",  # no such profile
        "10007": "transient",  # their fault
        "10009": "config",  # sign-in
        "10010": "config",  # not allowed
        "10011": "transient",  # too fast
        "10016": "invalid_address",  # no number in E.164
        "20002": "config",  # the key is revoked
        "20006": "config",  # the account is blocked
        "20012": "config",  # the account is inactive
        "20014": "config",  # the account is not verified
        "20100": "config",  # no credit
        "40001": "invalid_address",  # a landline, or no number that can be reached
        "40002": "busy",  # taken for spam, for a while
        "40003": "not_allowed",  # taken for spam
        "40004": "busy",  # the carrier refuses it
        "40005": "busy",  # it ran out on the way
        "40006": "busy",  # the carrier is out
        "40009": "rejected",  # the text
        "40010": "config",  # the sender is not registered
        "40011": "transient",  # too fast for the carrier
        "40012": "invalid_address",
        "40013": "config",  # the sender
        "40100": "config",  # the sender is not set up for messages
        "40300": "opted_out",
        "40301": "rejected",  # not from this sender to that number
        "40302": "unsupported",  # too long
        "40305": "config",  # the sender is not ours
        "40306": "config",  # the sender name is not set up
        "40307": "config",  # the profile has another sender name
        "40309": "unserved",  # the account may not send to that country
        "40310": "invalid_address",
        "40312": "config",  # the profile is disabled
        "40313": "config",  # the profile's secret is missing
        "40314": "config",  # the account's messaging is disabled
        "40315": "config",  # the sender is blocked for its record
        "40316": "unsupported",  # no text
        "40318": "transient",  # the queue is full
        "40319": "rejected",  # not from this sender to that number
        "40320": "transient",  # the sender is out for a while
        "40321": "config",  # no sender in the profile can be used
        "40322": "rejected",  # the text
        "40325": "config",  # the sender name
        "40328": "unsupported",  # too long
        "40329": "config",  # the sender is not verified
        "40330": "config",  # the sender is not ready
        "40331": "config",  # the profile lists no countries
        "40333": "config",  # the account's spending limit
    }
    #: Telnyx's words for what became of a message. None: progress that changes nothing for us.
    STATUSES: ClassVar[Mapping[str, ReceiptKind | None]] = {
        "queued": None, "sending": None, "sent": None, "delivery_unconfirmed": None,
        "delivered": "delivered", "sending_failed": "failed", "delivery_failed": "failed", "expired": "failed",
    }  # fmt: skip
    #: Error codes of an event that say more than its status; True where the number is dead for good.
    LATE: ClassVar[Mapping[str, tuple[ReceiptKind, bool]]] = {
        "40001": ("bounced", True),  # a landline, or no number that can be reached
        "40004": ("bounced", False),  # rejected by the carrier
        "40006": ("bounced", False),  # the carrier is out
        "40008": ("bounced", False),
        "40012": ("bounced", True),  # no such number
        "40300": ("unsubscribed", False),
    }

    def compose(self, message: Message) -> httpx.Request:
        settings = self.settings
        body = {"to": message.to, "text": message.text, "type": "SMS"}
        sender = message.from_ or settings.from_
        if settings.messaging_profile_id:
            body["messaging_profile_id"] = settings.messaging_profile_id
        if sender or not settings.messaging_profile_id:
            body["from"] = required_sender(sender)
        callback = callback_url(self.context, message.delivery_id)
        if callback:
            body["webhook_url"] = callback
        credentials = f"Bearer {settings.api_key.get_secret_value()}"
        return self.request("POST", "/messages", headers={"Authorization": credentials}, body=body)

    def accept(self, response: httpx.Response) -> SendResult:
        data = self.json_object(response).get("data")
        if not isinstance(data, dict):
            raise self.unanswered("answered without saying what became of the message")
        parts = data.get("parts")
        return SendResult(
            provider_message_id=safe_word(data.get("id")) or None,
            segments=parts if isinstance(parts, int) and parts > 0 else None,
        )

    def error_word(self, response: httpx.Response) -> object:
        return _first_code((try_json_object(response) or {}).get("errors"))

    def authenticate(self, request: WebhookRequest) -> None:
        if self.settings.public_key is None:
            raise ReceiptRefused("telnyx's events count only signed: set `public_key`")
        given = require_header(request, "telnyx-signature-ed25519")
        stamp = require_header(request, "telnyx-timestamp")
        require_fresh(stamp, request.received_at)
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(self.settings.public_key))
        try:
            key.verify(base64.b64decode(given, validate=True), f"{stamp}|".encode() + request.body)
        except (InvalidSignature, ValueError):
            failure = ReceiptRefused("the request's signature is wrong")
        else:
            return
        raise failure

    def read(self, request: WebhookRequest) -> Sequence[Receipt]:
        envelope = json.loads(request.body)["data"]
        vendor_kind, payload = safe_word(envelope["event_type"]), envelope["payload"]
        occurred_at = datetime.fromisoformat(envelope["occurred_at"])
        if vendor_kind == "message.received":
            return [
                Receipt(
                    kind="replied",
                    receipt_id=envelope["id"],
                    occurred_at=occurred_at,
                    address=payload["from"]["phone_number"],
                    text=payload.get("text") or "",
                    vendor_kind=vendor_kind,
                    raw=envelope,
                )
            ]
        kind: ReceiptKind | None = "unknown"
        is_hard, address = False, None
        if vendor_kind in ("message.sent", "message.finalized"):
            person = payload["to"][0]
            vendor_kind, address = safe_word(person["status"]), person.get("phone_number")
            kind = self.STATUSES.get(vendor_kind, "unknown")
            if kind == "failed":
                kind, is_hard = self.LATE.get(_first_code(payload.get("errors")), (kind, False))
        if kind is None:
            return []
        return [
            Receipt(
                kind=kind,
                receipt_id=envelope["id"],
                occurred_at=occurred_at,
                provider_message_id=payload.get("id"),
                delivery_id=named_delivery(request),
                address=address,
                is_hard=is_hard,
                vendor_kind=vendor_kind,
                raw=envelope,
            )
        ]


def _first_code(errors: Any) -> str:
    """The code of the first of Telnyx's errors, or empty."""
    first = errors[0] if isinstance(errors, list) and errors else None
    return safe_word(first.get("code")) if isinstance(first, dict) else ""
