"""SMS over Sinch's SMS API (XMS, v1): sending, delivery reports of each recipient, and inbound messages."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, ClassVar
from urllib.parse import quote

import httpx
from pydantic import Field, model_validator

from channels.base import AdapterContext, Meaning, Secret, Text, required_sender, safe_word
from channels.http import HttpAdapter, HttpSettings, try_json_object
from channels.signatures import require_basic, require_fresh, require_header, require_same
from channels.sms.callbacks import with_plus
from engine.delivery.message import Capabilities, Message, Receipt, ReceiptKind, SendResult, WebhookRequest
from engine.errors import ReceiptRefused, UnsupportedMessage

_LONGEST_TEXT = 2000


class SinchSettings(HttpSettings):
    service_plan_id: Text
    api_token: Secret
    #: Where the service plan lives: `us`, `eu`, `au`, `br`, `ca`.
    region: Annotated[str, Field(pattern=r"^[a-z]{2,4}$")] = "us"
    #: A number or a sender name.
    from_: Text | None = Field(default=None, alias="from")
    #: Signs callbacks, where Sinch has enabled that for the service plan.
    webhook_secret: Secret | None = None
    #: Credentials that callbacks carry, where Sinch has enabled those instead.
    callback_username: Text | None = None
    callback_password: Secret | None = None

    @model_validator(mode="after")
    def _has_whole_credentials(self) -> SinchSettings:
        if (self.callback_username is None) != (self.callback_password is None):
            raise ValueError("settings `callback_username` and `callback_password`: name both")
        return self


class Sinch(HttpAdapter[SinchSettings]):
    """One Sinch service plan."""

    name = "sinch"
    Settings = SinchSettings
    capabilities = Capabilities(kind="sms", has_receipts=True)

    #: Sinch's error codes while sending.
    ERRORS: ClassVar[Mapping[str, Meaning]] = {
        "syntax_invalid_json": "rejected",
        "syntax_invalid_parameter_format": "rejected",
        "syntax_constraint_violation": "rejected",
        "unauthorized": "config",
        "missing_callback_url": "config",
        "unknown_campaign": "config",
    }
    #: Sinch's words for what became of a message. None: progress that changes nothing for us.
    STATUSES: ClassVar[Mapping[str, ReceiptKind | None]] = {
        "queued": None, "dispatched": None,
        "delivered": "delivered", "aborted": "failed", "cancelled": "failed", "rejected": "failed",
        "deleted": "failed", "failed": "failed", "expired": "failed", "unknown": "unknown",
    }  # fmt: skip
    #: Codes of a report that say more than its status; True where the number is dead for good.
    LATE: ClassVar[Mapping[str, tuple[ReceiptKind, bool]]] = {
        "1": ("bounced", True),  # no such subscriber
        "5": ("bounced", False),  # not known at the operator
        "9": ("bounced", False),  # an illegal subscriber, which may be a lost telephone
        "27": ("bounced", False),  # switched off or out of reach
        "28": ("bounced", False),
        "402": ("bounced", False),  # no route to the number
    }

    def __init__(self, settings: SinchSettings, context: AdapterContext, client: httpx.Client | None = None) -> None:
        super().__init__(settings, context, client)
        self.base_url = f"https://{settings.region}.sms.api.sinch.com"

    def compose(self, message: Message) -> httpx.Request:
        settings = self.settings
        if len(message.text) > _LONGEST_TEXT:
            raise UnsupportedMessage(f"sinch takes at most {_LONGEST_TEXT} characters")
        body = {
            "type": "mt_text",
            "from": required_sender(message.from_, settings.from_).removeprefix("+"),
            "to": [message.to.removeprefix("+")],
            "body": message.text,
            # It comes back with each report.
            "client_reference": message.delivery_id,
        }
        if self.context.webhook_url.startswith("https://"):
            body |= {"callback_url": self.context.webhook_url, "delivery_report": "per_recipient_final"}
        credentials = f"Bearer {settings.api_token.get_secret_value()}"
        path = f"/xms/v1/{quote(settings.service_plan_id, safe='')}/batches"
        return self.request("POST", path, headers={"Authorization": credentials}, body=body)

    def accept(self, response: httpx.Response) -> SendResult:
        return SendResult(provider_message_id=safe_word(self.json_object(response).get("id")) or None)

    def error_word(self, response: httpx.Response) -> object:
        return (try_json_object(response) or {}).get("code", "")

    def authenticate(self, request: WebhookRequest) -> None:
        """A signature where there is a secret for it; else the credentials that Sinch was given for our address."""
        settings = self.settings
        if settings.webhook_secret is not None:
            self._require_signature(settings.webhook_secret.get_secret_value(), request)
        elif settings.callback_username is not None and settings.callback_password is not None:
            require_basic(request, settings.callback_username, settings.callback_password.get_secret_value())
        else:
            raise ReceiptRefused("sinch's callbacks count only proven: set `webhook_secret` or `callback_username`")

    @staticmethod
    def _require_signature(secret: str, request: WebhookRequest) -> None:
        stamp = require_header(request, "x-sinch-webhook-signature-timestamp")
        nonce = require_header(request, "x-sinch-webhook-signature-nonce")
        require_fresh(stamp, request.received_at)
        mac = hmac.new(secret.encode(), request.body + f".{nonce}.{stamp}".encode(), hashlib.sha256).digest()
        require_same(base64.b64encode(mac).decode(), require_header(request, "x-sinch-webhook-signature"))

    def read(self, request: WebhookRequest) -> Sequence[Receipt]:
        report = json.loads(request.body)
        vendor_kind = safe_word(report["type"])
        if vendor_kind == "mo_text":
            return [
                Receipt(
                    kind="replied",
                    receipt_id=report["id"],
                    occurred_at=datetime.fromisoformat(report["received_at"]),
                    address=with_plus(report["from"]),
                    text=report.get("body", ""),
                    vendor_kind=vendor_kind,
                    raw=report,
                )
            ]
        if vendor_kind != "recipient_delivery_report_sms":
            digest = hashlib.sha256(request.body).hexdigest()
            return [
                Receipt(
                    kind="unknown",
                    receipt_id=digest,
                    occurred_at=request.received_at,
                    provider_message_id=report.get("batch_id"),
                    vendor_kind=vendor_kind,
                    raw=report,
                )
            ]
        status = report["status"].lower()
        kind, is_hard = self.STATUSES.get(status, "unknown"), False
        if kind == "failed":
            kind, is_hard = self.LATE.get(safe_word(report.get("code")), (kind, False))
        if kind is None:
            return []
        return [
            Receipt(
                kind=kind,
                receipt_id=f"{report['batch_id']}.{report['recipient']}.{status}",
                occurred_at=datetime.fromisoformat(report["at"]),
                provider_message_id=report["batch_id"],
                delivery_id=report.get("client_reference"),
                address=with_plus(report["recipient"]),
                is_hard=is_hard,
                vendor_kind=safe_word(status),
                raw=report,
            )
        ]
