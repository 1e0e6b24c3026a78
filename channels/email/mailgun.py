"""Email over Mailgun's API (v3), and its webhooks."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from urllib.parse import quote

import httpx
from pydantic import Field

from channels.base import Meaning, Secret, Text, required_sender
from channels.email.mime import envelope
from channels.http import HttpAdapter, HttpSettings, basic_auth, parse_reset, try_json_object
from channels.signatures import require_fresh, require_same
from engine.delivery.message import Capabilities, Message, Receipt, ReceiptKind, SendResult, WebhookRequest
from engine.errors import ReceiptRefused


class MailgunSettings(HttpSettings):
    """`base_url` is `https://api.eu.mailgun.net` for domains in the EU."""

    api_key: Secret
    #: The sending domain.
    domain: Text
    from_: Text | None = Field(default=None, alias="from")
    #: Proves reports; without it they are refused.
    webhook_signing_key: Secret | None = None


class Mailgun(HttpAdapter[MailgunSettings]):
    """One sending domain at Mailgun."""

    name = "mailgun"
    Settings = MailgunSettings
    base_url = "https://api.mailgun.net"
    capabilities = Capabilities(kind="email", has_receipts=True, has_attachments=True)

    #: Mailgun has prose and no codes: these are the parameters that it names first in a 400. Else the status judges.
    ERRORS: ClassVar[Mapping[str, Meaning]] = {"to": "invalid_address", "from": "config"}
    #: Events; None: progress that changes nothing for us.
    EVENTS: ClassVar[Mapping[str, ReceiptKind | None]] = {
        "accepted": None, "stored": None,
        "delivered": "delivered", "rejected": "failed", "opened": "opened", "clicked": "clicked",
        "complained": "complained", "unsubscribed": "unsubscribed",
    }  # fmt: skip
    #: `reason` of a failure that is permanent; True where the address is dead for good. Others: bounced, not for good.
    FAILURES: ClassVar[Mapping[str, tuple[ReceiptKind, bool]]] = {
        "bounce": ("bounced", True),
        "suppress-bounce": ("bounced", True),
        "suppress-complaint": ("complained", False),
        "suppress-unsubscribe": ("unsubscribed", False),
    }

    def compose(self, message: Message) -> httpx.Request:
        around = envelope(message, required_sender(message.from_, self.settings.from_))
        form = {
            "from": around.sender,
            "to": around.to,
            "subject": around.subject,
            "text": message.text,
            "h:Message-Id": around.message_id,
            **{f"h:{name}": value for name, value in message.headers.items()},
            "v:delivery": message.delivery_id,
            **{f"v:{name}": value for name, value in message.metadata.items()},
        }
        if message.html is not None:
            form["html"] = message.html
        return self.request(
            "POST",
            f"/v3/{quote(self.settings.domain, safe='')}/messages",
            headers={"Authorization": basic_auth("api", self.settings.api_key.get_secret_value())},
            form=form,
            files=[("attachment", (row.name, row.content, row.media_type)) for row in message.attachments],
        )

    def accept(self, response: httpx.Response) -> SendResult:
        # A Message-ID in angle brackets; reports name it without them.
        return SendResult(provider_message_id=str(self.json_object(response).get("id") or "").strip("<>") or None)

    def error_word(self, response: httpx.Response) -> object:
        said = str((try_json_object(response) or {}).get("message", ""))
        return next((name for name in self.ERRORS if said.startswith((f"'{name}' parameter", f"{name} parameter"))), "")

    def retry_after(self, response: httpx.Response) -> timedelta | None:
        named = super().retry_after(response)
        if named is None and response.status_code == 429:
            # In milliseconds.
            return parse_reset(response.headers.get("x-ratelimit-reset", "")[:-3], datetime.now(UTC))
        return named

    def authenticate(self, request: WebhookRequest) -> None:
        """Mailgun signs a time and a token, not the report: so a token counts once, as the id of its receipt."""
        if self.settings.webhook_signing_key is None:
            raise ReceiptRefused("reports count only signed: set `webhook_signing_key`")
        signed = json.loads(request.body)["signature"]
        stamp, token, signature = str(signed["timestamp"]), signed["token"], signed["signature"]
        require_fresh(stamp, request.received_at)
        key = self.settings.webhook_signing_key.get_secret_value().encode()
        require_same(hmac.new(key, f"{stamp}{token}".encode(), hashlib.sha256).hexdigest(), signature)

    def read(self, request: WebhookRequest) -> Sequence[Receipt]:
        report = json.loads(request.body)
        event: dict[str, Any] = report["event-data"]
        kind, is_hard = self._meaning(event)
        if kind is None:
            return []
        return [
            Receipt(
                kind=kind,
                receipt_id=report["signature"]["token"],
                occurred_at=datetime.fromtimestamp(event["timestamp"], UTC),
                provider_message_id=((event.get("message") or {}).get("headers") or {}).get("message-id"),
                delivery_id=(event.get("user-variables") or {}).get("delivery"),
                address=event.get("recipient"),
                is_hard=is_hard,
                url=event.get("url") if kind == "clicked" else None,
                vendor_kind=event["event"],
                raw=event,
            )
        ]

    def _meaning(self, event: Mapping[str, Any]) -> tuple[ReceiptKind | None, bool]:
        if event["event"] != "failed":
            return self.EVENTS.get(event["event"], "unknown"), False
        if event["severity"] == "temporary":
            return "deferred", False
        return self.FAILURES.get(str(event.get("reason")), ("bounced", False))
