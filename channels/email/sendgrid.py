"""Email over SendGrid's Mail Send API (v3), and its signed Event Webhook."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import httpx
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key
from pydantic import Field, field_validator

from channels.base import Meaning, Secret, Text, required_sender, safe_word
from channels.email.mime import base64_text, envelope
from channels.http import HttpAdapter, HttpSettings, parse_reset, try_json_object
from channels.signatures import require_fresh, require_header
from engine.delivery.message import Capabilities, Message, Receipt, ReceiptKind, SendResult, WebhookRequest
from engine.errors import ReceiptRefused


class SendgridSettings(HttpSettings):
    #: With the scope `mail.send`, and no more.
    api_key: Secret
    from_: Text | None = Field(default=None, alias="from")
    #: Of the signed Event Webhook, as the console shows it; without it reports are refused.
    verification_key: str | None = None

    @field_validator("verification_key")
    @classmethod
    def _is_a_key(cls, value: str | None) -> str | None:
        if value is not None:
            _public_key(value)
        return value


class Sendgrid(HttpAdapter[SendgridSettings]):
    """One SendGrid account."""

    name = "sendgrid"
    Settings = SendgridSettings
    base_url = "https://api.sendgrid.com"
    capabilities = Capabilities(kind="email", has_receipts=True, has_attachments=True)

    #: SendGrid has no codes: what a refusal names is the field. Fields that are not here are judged by the HTTP status.
    ERRORS: ClassVar[Mapping[str, Meaning]] = {
        "personalizations.0.to": "invalid_address",
        "personalizations.0.to.0": "invalid_address",
        "personalizations.0.to.0.email": "invalid_address",
        "from": "config",  # no verified identity, or none at all
        "from.email": "config",
        "from.name": "config",
        "authorization": "config",
    }
    #: Events; None: progress that changes nothing for us.
    EVENTS: ClassVar[Mapping[str, ReceiptKind | None]] = {
        "processed": None, "group_resubscribe": None,
        "deferred": "deferred", "delivered": "delivered", "bounce": "bounced", "dropped": "failed",
        "open": "opened", "click": "clicked", "spamreport": "complained",
        "unsubscribe": "unsubscribed", "group_unsubscribe": "unsubscribed",
    }  # fmt: skip
    #: Why SendGrid dropped a message without trying; True where the address is dead for good.
    DROPS: ClassVar[Mapping[str, tuple[ReceiptKind, bool]]] = {
        "bounced address": ("bounced", True),
        "invalid": ("bounced", True),
        "spam reporting address": ("complained", False),
        "unsubscribed address": ("unsubscribed", False),
    }

    def compose(self, message: Message) -> httpx.Request:
        around = envelope(message, required_sender(message.from_, self.settings.from_))
        sender = {"email": around.sender_address, "name": around.sender_name}
        body: dict[str, Any] = {
            "personalizations": [
                {"to": [{"email": around.to}], "custom_args": {"delivery": message.delivery_id, **message.metadata}}
            ],
            "from": {name: value for name, value in sender.items() if value},
            "subject": around.subject,
            # SendGrid wants the plain text first.
            "content": [
                {"type": kind, "value": text}
                for kind, text in (("text/plain", message.text), ("text/html", message.html))
                if text
            ],
            "headers": {"Message-ID": around.message_id, **message.headers},
        }
        if message.attachments:
            body["attachments"] = [
                {"content": base64_text(row), "type": row.media_type, "filename": row.name}
                for row in message.attachments
            ]
        key = self.settings.api_key.get_secret_value()
        return self.request("POST", "/v3/mail/send", headers={"Authorization": f"Bearer {key}"}, body=body)

    def accept(self, response: httpx.Response) -> SendResult:
        """The body of a 202 is empty: the status alone is the yes."""
        return SendResult(provider_message_id=safe_word(response.headers.get("x-message-id")) or None)

    def error_word(self, response: httpx.Response) -> object:
        errors = (try_json_object(response) or {}).get("errors")
        first = errors[0] if isinstance(errors, list) and errors else None
        return first.get("field") if isinstance(first, dict) else ""

    def retry_after(self, response: httpx.Response) -> timedelta | None:
        named = super().retry_after(response)
        if named is None and response.status_code == 429:
            return parse_reset(response.headers.get("x-ratelimit-reset", ""), datetime.now(UTC))
        return named

    def authenticate(self, request: WebhookRequest) -> None:
        if self.settings.verification_key is None:
            raise ReceiptRefused("reports count only signed: set `verification_key`")
        stamp = require_header(request, "x-twilio-email-event-webhook-timestamp")
        signature = base64.b64decode(require_header(request, "x-twilio-email-event-webhook-signature"), validate=True)
        require_fresh(stamp, request.received_at)
        try:
            _public_key(self.settings.verification_key).verify(
                signature, stamp.encode() + request.body, ec.ECDSA(SHA256())
            )
        except InvalidSignature:
            refusal = ReceiptRefused("the request's signature is wrong")
        else:
            return
        raise refusal

    def read(self, request: WebhookRequest) -> Sequence[Receipt]:
        events = json.loads(request.body)
        if not isinstance(events, list):
            raise ReceiptRefused("sendgrid reports in lists")
        return self.each(events, self._receipts)

    def _receipts(self, event: Mapping[str, Any]) -> Iterator[Receipt]:
        kind, is_hard = self._meaning(event)
        if kind is not None:
            yield Receipt(
                kind=kind,
                receipt_id=event["sg_event_id"],
                occurred_at=datetime.fromtimestamp(event["timestamp"], UTC),
                # What follows the first dot is the way that the message took inside SendGrid.
                provider_message_id=str(event.get("sg_message_id") or "").partition(".")[0] or None,
                delivery_id=event.get("delivery"),
                address=event.get("email"),
                is_hard=is_hard,
                url=event.get("url") if kind == "clicked" else None,
                vendor_kind=event["event"],
                raw=event,
            )

    def _meaning(self, event: Mapping[str, Any]) -> tuple[ReceiptKind | None, bool]:
        word = event["event"]
        if word == "open" and event.get("sg_machine_open") is True:
            # A mail programme fetched the picture; nobody has looked.
            return None, False
        if word == "dropped":
            return self.DROPS.get(str(event.get("reason")).lower(), ("failed", False))
        # `blocked` and `expired` are a server's mood, of today.
        return self.EVENTS.get(word, "unknown"), word == "bounce" and event.get("type", "bounce") == "bounce"


def _public_key(text: str) -> ec.EllipticCurvePublicKey:
    """The key in the console's base64; raises ValueError for anything else."""
    try:
        key = load_der_public_key(base64.b64decode(text, validate=True))
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise ValueError("must be the public key that SendGrid shows beside the signed Event Webhook")
    return key
