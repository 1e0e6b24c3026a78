"""SMS over Vonage's SMS API: sending, and signed delivery receipts and inbound messages.

Receipts count only if the account signs them: give `signature_secret`, and set the account's webhooks to POST.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import ClassVar, Literal
from urllib.parse import parse_qsl

import httpx
from pydantic import Field

from channels.base import Meaning, Secret, Text, required_sender, safe_word
from channels.http import HttpAdapter, HttpSettings
from channels.signatures import require_fresh, require_same
from engine.delivery.message import Capabilities, Message, Receipt, ReceiptKind, SendResult, WebhookRequest
from engine.errors import ReceiptRefused, UnsupportedMessage
from engine.rendering.sms_parts import fits_gsm

_LONGEST_CALLBACK = 100


class VonageSettings(HttpSettings):
    api_key: Text
    api_secret: Secret
    #: A number or a sender name.
    from_: Text | None = Field(default=None, alias="from")
    #: Signs receipts; without it they are refused.
    signature_secret: Secret | None = None
    #: As set in the account; `md5hash` is the plain hash with the secret at its end.
    signature_method: Literal["md5hash", "md5", "sha1", "sha256", "sha512"] = "sha256"


class Vonage(HttpAdapter[VonageSettings]):
    """One Vonage account."""

    name = "vonage"
    Settings = VonageSettings
    base_url = "https://rest.nexmo.com"
    capabilities = Capabilities(kind="sms", has_receipts=True)

    #: Vonage's statuses while sending; they come under HTTP 200.
    ERRORS: ClassVar[Mapping[str, Meaning]] = {
        "1": "transient",  # throttled
        "2": "rejected",  # a parameter is missing
        "3": "rejected",  # a parameter is wrong
        "4": "config",  # sign-in
        "5": "transient",  # their fault
        "6": "rejected",  # no route
        "7": "opted_out",  # the number is barred
        "8": "config",  # the account is barred
        "9": "config",  # no credit
        "10": "transient",  # too many connections
        "11": "config",  # the account has no HTTP
        "12": "unsupported",  # too long
        "14": "config",  # our signature
        "15": "rejected",  # the sender is not allowed there
        "22": "rejected",  # the network does not fit the number
        "23": "config",  # the callback address
        "29": "unserved",  # a trial account sends to listed numbers only
        "32": "config",
        "33": "invalid_address",  # the number is switched off for good
    }
    #: Vonage's words in a delivery receipt. None: progress that changes nothing for us.
    STATUSES: ClassVar[Mapping[str, ReceiptKind | None]] = {
        "accepted": None, "buffered": "deferred", "delivered": "delivered",
        "expired": "failed", "failed": "failed", "rejected": "failed", "unknown": "unknown",
    }  # fmt: skip
    #: Codes of a receipt that say more than its status; True where the number is dead for good.
    LATE: ClassVar[Mapping[str, tuple[ReceiptKind, bool]]] = {
        "1": ("bounced", False),  # no such subscriber, for now
        "2": ("bounced", False),  # switched off or out of reach
        "3": ("bounced", False),  # out of reach
        "5": ("bounced", False),  # barred by the person
        "9": ("bounced", True),  # no such number
        "10": ("bounced", False),  # full
    }

    def compose(self, message: Message) -> httpx.Request:
        settings = self.settings
        form = {
            "api_key": settings.api_key,
            "api_secret": settings.api_secret.get_secret_value(),
            "from": required_sender(message.from_, settings.from_).removeprefix("+"),
            "to": message.to.removeprefix("+"),
            "text": message.text,
            "type": "text" if fits_gsm(message.text) else "unicode",
            "client-ref": message.delivery_id,
        }
        if self.context.webhook_url.startswith("https://"):
            if len(self.context.webhook_url) > _LONGEST_CALLBACK:
                raise UnsupportedMessage(f"vonage takes a callback address of at most {_LONGEST_CALLBACK} characters")
            form["callback"] = self.context.webhook_url
        return self.request("POST", "/sms/json", form=form)

    def accept(self, response: httpx.Response) -> SendResult:
        rows = self.json_object(response).get("messages")
        if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
            raise self.unanswered("answered without saying what became of the message")
        # A long text has a row a segment. Once the first one is taken, the person gets a message.
        if str(rows[0].get("status")) != "0":
            raise self.refusal(rows[0].get("status"), response)
        return SendResult(provider_message_id=safe_word(rows[0].get("message-id")) or None, segments=len(rows))

    def authenticate(self, request: WebhookRequest) -> None:
        secret = self.settings.signature_secret
        if secret is None:
            raise ReceiptRefused("vonage's receipts count only signed: set `signature_secret`")
        fields = _fields(request)
        given = fields.pop("sig", "")
        method = self.settings.signature_method
        signed = "".join(f"&{name}={re.sub('[&=]', '_', fields[name])}" for name in sorted(fields)).encode()
        key = secret.get_secret_value().encode()
        if method == "md5hash":
            expected = hashlib.md5(signed + key).hexdigest()
        else:
            expected = hmac.new(key, signed, method).hexdigest()
        require_same(expected, given.lower())
        require_fresh(fields.get("timestamp", ""), request.received_at)

    def read(self, request: WebhookRequest) -> Sequence[Receipt]:
        fields = _fields(request)
        message_id = fields["messageId"]
        occurred_at = datetime.fromtimestamp(int(fields["timestamp"]), UTC)
        if "status" not in fields:
            return [
                Receipt(
                    kind="replied",
                    # Segments of one long reply share an id, and each says only a part.
                    receipt_id=f"{message_id}.{fields.get('concat-part', 'whole')}",
                    occurred_at=occurred_at,
                    address=f"+{fields['msisdn']}",
                    text=fields.get("text", ""),
                    vendor_kind="inbound",
                    raw=fields,
                )
            ]
        status = fields["status"].lower()
        kind, is_hard = self.STATUSES.get(status, "unknown"), False
        if kind == "failed":
            kind, is_hard = self.LATE.get(fields.get("err-code", ""), (kind, False))
        if kind is None:
            return []
        return [
            Receipt(
                kind=kind,
                receipt_id=f"{message_id}.{status}",
                occurred_at=occurred_at,
                provider_message_id=message_id,
                delivery_id=fields.get("client-ref"),
                address=f"+{fields['msisdn']}",
                is_hard=is_hard,
                vendor_kind=status,
                raw=fields,
            )
        ]


def _fields(request: WebhookRequest) -> dict[str, str]:
    """The request's fields, sent as JSON or as a form, whichever the account is set to."""
    if request.headers.get("content-type", "").startswith("application/json"):
        found = json.loads(request.body)
        if not isinstance(found, dict) or not all(isinstance(value, str | int) for value in found.values()):
            raise ReceiptRefused("vonage reports in flat objects")
        return {name: str(value) for name, value in found.items()}
    return dict(parse_qsl(request.body.decode(), keep_blank_values=True, strict_parsing=True))
