"""Any system of your own: each message as a signed JSON request, and reports back in the same manner.

Signatures are those of Standard Webhooks (`webhook-id`, `webhook-timestamp`, `webhook-signature`), both ways, so the
libraries that verify them exist. docs/channels.md shows the bodies.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import ClassVar, get_args

import httpx
from pydantic import Field

from channels.base import AdapterContext, Meaning, Secret, safe_word
from channels.http import HttpAdapter, HttpSettings, try_json_object
from channels.signatures import require_header, require_standard, standard_signature
from engine.delivery.message import Capabilities, Message, Receipt, ReceiptKind, SendResult, WebhookRequest
from engine.errors import ReceiptRefused


class WebhookSettings(HttpSettings):
    #: Where messages go. Whoever knows it can often post there, so it is not shown.
    base_url: str = Field(alias="url", repr=False)
    #: Signs our requests, and proves reports; without it both go, and the latter are refused.
    secret: Secret | None = None
    #: True where the system takes a message once, however often its `webhook-id` comes.
    deduplicates: bool = False


class Webhook(HttpAdapter[WebhookSettings]):
    """One address that takes messages."""

    name = "webhook"
    Settings = WebhookSettings
    serves_any_kind = True
    base_url = ""
    capabilities = Capabilities(kind="chat", has_receipts=True)

    #: The system says `{"error": WORD}` in our own words.
    ERRORS: ClassVar[Mapping[str, Meaning]] = {meaning: meaning for meaning in get_args(Meaning)}

    def __init__(self, settings: WebhookSettings, context: AdapterContext, client: httpx.Client | None = None) -> None:
        super().__init__(settings, context, client)
        self.capabilities = Capabilities(kind=context.kind, has_receipts=True, has_idempotency=settings.deduplicates)

    def compose(self, message: Message) -> httpx.Request:
        body = json.dumps(
            {
                "delivery": message.delivery_id,
                "channel": message.channel,
                "kind": message.kind,
                "to": message.to,
                "from": message.from_,
                "subject": message.subject,
                "text": message.text,
                "html": message.html,
                "blocks": list(message.blocks),
                "headers": dict(message.headers),
                "metadata": dict(message.metadata),
                "is_test": message.is_test,
                "reports_to": self.context.webhook_url or None,
            },
            ensure_ascii=False,
        ).encode()
        stamp = str(int(datetime.now(UTC).timestamp()))
        headers = {
            "Content-Type": "application/json",
            "webhook-id": message.delivery_id,
            "webhook-timestamp": stamp,
        }
        if self.settings.secret is not None:
            secret = self.settings.secret.get_secret_value()
            headers["webhook-signature"] = standard_signature(secret, message.delivery_id, stamp, body)
        return self.request("POST", "", headers=headers, content=body)

    def accept(self, response: httpx.Response) -> SendResult:
        """A 2xx is a yes, whatever its body; `{"id": …}` names the message."""
        return SendResult(provider_message_id=safe_word((try_json_object(response) or {}).get("id")) or None)

    def error_word(self, response: httpx.Response) -> object:
        return (try_json_object(response) or {}).get("error", "")

    def authenticate(self, request: WebhookRequest) -> None:
        if self.settings.secret is None:
            raise ReceiptRefused("reports count only signed: set `secret`")
        require_standard(self.settings.secret.get_secret_value(), request)

    def read(self, request: WebhookRequest) -> Sequence[Receipt]:
        report = json.loads(request.body)
        word = report["kind"]
        kinds: Mapping[str, ReceiptKind] = {kind: kind for kind in get_args(ReceiptKind)}
        return [
            Receipt(
                kind=kinds.get(word, "unknown"),
                receipt_id=require_header(request, "webhook-id"),
                occurred_at=datetime.fromtimestamp(int(request.headers["webhook-timestamp"]), UTC),
                provider_message_id=report.get("id"),
                delivery_id=report.get("delivery"),
                address=report.get("address"),
                is_hard=report.get("is_hard") is True,
                url=report.get("url"),
                text=report.get("text"),
                vendor_kind=safe_word(word),
                raw=report,
            )
        ]
