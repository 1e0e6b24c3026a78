"""Email over Resend's API, and its webhooks, signed by Svix."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar

import httpx
from pydantic import Field

from channels.base import Meaning, Secret, Text, required_sender, safe_word
from channels.email.mime import Envelope, base64_text, envelope
from channels.http import HttpAdapter, HttpSettings, try_json_object
from channels.signatures import require_header, require_standard
from engine.delivery.message import Capabilities, Message, Receipt, ReceiptKind, SendResult, WebhookRequest
from engine.errors import ReceiptRefused

#: A quota is a day's or a month's: Resend names no wait for it.
_QUOTA_PAUSE = timedelta(hours=1)
_SPECIAL = re.compile(r'[",;:<>()\[\]\\@]+')
_FIELD = re.compile(r"[`'](to|from)[`']")
_TAG = re.compile(r"[A-Za-z0-9_-]{1,256}")


class ResendSettings(HttpSettings):
    #: With the right to send, and no more.
    api_key: Secret
    from_: Text | None = Field(default=None, alias="from")
    #: Proves reports (`whsec_…`); without it they are refused.
    signing_secret: Secret | None = None


class Resend(HttpAdapter[ResendSettings]):
    """One Resend account."""

    name = "resend"
    Settings = ResendSettings
    base_url = "https://api.resend.com"
    # A key is remembered for 24 hours, as long as the dispatcher tries.
    capabilities = Capabilities(kind="email", has_idempotency=True, has_receipts=True, has_attachments=True)

    #: `name` of an error, with the field that its prose names where it is one of these. Others: by the HTTP status.
    ERRORS: ClassVar[Mapping[str, Meaning]] = {
        "validation_error:to": "invalid_address",
        "validation_error:from": "config",
        "invalid_to_address": "invalid_address",
        "invalid_from_address": "config",
        "missing_api_key": "config",
        "restricted_api_key": "config",
        "invalid_api_key": "config",
        "invalid_region": "config",
        "rate_limit_exceeded": "transient",
        "daily_quota_exceeded": "transient",
        "monthly_quota_exceeded": "transient",
        "concurrent_idempotent_requests": "transient",
        "application_error": "transient",
        "internal_server_error": "transient",
        # Resend took an earlier attempt under this key, which had another content.
        "invalid_idempotent_request": "doubtful",
    }
    #: Events; None: progress that changes nothing for us.
    EVENTS: ClassVar[Mapping[str, ReceiptKind | None]] = {
        "email.sent": None, "email.scheduled": None,
        "email.delivered": "delivered", "email.delivery_delayed": "deferred", "email.bounced": "bounced",
        "email.complained": "complained", "email.opened": "opened", "email.clicked": "clicked",
        "email.failed": "failed", "email.suppressed": "bounced",
    }  # fmt: skip
    #: Why Resend did not even try; True where the address is dead for good.
    SUPPRESSED: ClassVar[Mapping[str, tuple[ReceiptKind, bool]]] = {
        "previous_bounce": ("bounced", True),
        "previous_complaint": ("complained", False),
    }

    def compose(self, message: Message) -> httpx.Request:
        around = envelope(message, required_sender(message.from_, self.settings.from_))
        tags = {"delivery": message.delivery_id, **message.metadata}
        body: dict[str, Any] = {
            "from": _unquoted(around),
            "to": [around.to],
            "subject": around.subject,
            "text": message.text,
            # Resend sets the Message-ID itself.
            "headers": dict(message.headers),
            "tags": [{"name": name, "value": value} for name, value in tags.items() if _TAG.fullmatch(value)],
        }
        if message.html is not None:
            body["html"] = message.html
        if message.attachments:
            body["attachments"] = [
                {"filename": row.name, "content": base64_text(row), "content_type": row.media_type}
                for row in message.attachments
            ]
        key = self.settings.api_key.get_secret_value()
        headers = {"Authorization": f"Bearer {key}", "Idempotency-Key": message.delivery_id}
        return self.request("POST", "/emails", headers=headers, body=body)

    def accept(self, response: httpx.Response) -> SendResult:
        return SendResult(provider_message_id=safe_word(self.json_object(response).get("id")) or None)

    def error_word(self, response: httpx.Response) -> object:
        answer = try_json_object(response) or {}
        word = answer.get("name", "")
        named = _FIELD.search(str(answer.get("message", "")))
        # Under 403 the same word is about the account.
        return f"{word}:{named[1]}" if named and word == "validation_error" and response.status_code != 403 else word

    def retry_after(self, response: httpx.Response) -> timedelta | None:
        named = super().retry_after(response)
        if named is None and str(self.error_word(response)).endswith("quota_exceeded"):
            return _QUOTA_PAUSE
        return named

    def authenticate(self, request: WebhookRequest) -> None:
        if self.settings.signing_secret is None:
            raise ReceiptRefused("reports count only signed: set `signing_secret`")
        require_standard(self.settings.signing_secret.get_secret_value(), request, prefix="svix")

    def read(self, request: WebhookRequest) -> Sequence[Receipt]:
        report = json.loads(request.body)
        word, data = report["type"], report["data"]
        kind, is_hard = self._meaning(word, data)
        if kind is None:
            return []
        addresses = data.get("to") or []
        return [
            Receipt(
                kind=kind,
                receipt_id=require_header(request, "svix-id"),
                occurred_at=datetime.fromisoformat(report["created_at"]),
                provider_message_id=data.get("email_id"),
                delivery_id=(data.get("tags") or {}).get("delivery"),
                address=addresses[0] if len(addresses) == 1 else None,
                is_hard=is_hard,
                url=(data.get("click") or {}).get("link"),
                vendor_kind=word,
                raw=report,
            )
        ]

    def _meaning(self, word: str, data: Mapping[str, Any]) -> tuple[ReceiptKind | None, bool]:
        match word:
            case "email.bounced":
                return "bounced", (data.get("bounce") or {}).get("type") == "Permanent"
            case "email.suppressed":
                return self.SUPPRESSED.get((data.get("suppressed") or {}).get("reason", ""), ("bounced", False))
            case _:
                return self.EVENTS.get(word, "unknown"), False


def _unquoted(around: Envelope) -> str:
    """The sender without quotation marks, which Resend refuses; what would need them gives way to a blank."""
    name = " ".join(_SPECIAL.sub(" ", around.sender_name).split())
    return f"{name} <{around.sender_address}>" if name else around.sender_address
