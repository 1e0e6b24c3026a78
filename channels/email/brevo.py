"""Email over Brevo's API (v3), and its webhooks, which are not signed: a bearer token proves them."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import httpx
from pydantic import Field

from channels.base import Meaning, Secret, Text, required_sender, safe_word
from channels.email.mime import base64_text, envelope
from channels.http import HttpAdapter, HttpSettings, parse_retry_after, try_json_object
from channels.signatures import require_header, require_same
from engine.delivery.message import Capabilities, Message, Receipt, ReceiptKind, SendResult, WebhookRequest
from engine.errors import ReceiptRefused, UnsupportedMessage

#: Above it a number is no time in seconds that anybody would live to see.
_MILLISECONDS = 10**11
#: Brevo wants UUIDs for keys: ours are derived from the delivery's id.
_KEYS = uuid.uuid5(uuid.NAMESPACE_URL, "sojourn:brevo")


class BrevoSettings(HttpSettings):
    api_key: Secret
    from_: Text | None = Field(default=None, alias="from")
    #: The token of the webhook's authentication (method: token); without it reports are refused.
    webhook_token: Secret | None = None


class Brevo(HttpAdapter[BrevoSettings]):
    """One Brevo account."""

    name = "brevo"
    Settings = BrevoSettings
    base_url = "https://api.brevo.com"
    capabilities = Capabilities(
        kind="email",
        has_idempotency=True,
        # Or twice as long: its own pages differ.
        key_lasts=timedelta(minutes=15),
        has_receipts=True,
        has_attachments=True,
    )

    #: `code` of an error. Others: by the HTTP status.
    ERRORS: ClassVar[Mapping[str, Meaning]] = {
        "unauthorized": "config",
        "permission_denied": "config",
        "reseller_permission_denied": "config",
        "account_under_validation": "config",
        "not_enough_credits": "config",
        "too_many_requests": "transient",
        "invalid_parameter:to": "invalid_address",
        "invalid_parameter:sender": "config",
    }
    #: What Brevo says to a key that it has seen.
    TAKEN_BEFORE: ClassVar[str] = "duplicate_parameter"
    #: Events; None: progress that changes nothing for us, or what only a mail programme did.
    EVENTS: ClassVar[Mapping[str, ReceiptKind | None]] = {
        "request": None, "list_addition": None, "proxy_open": None, "unique_proxy_open": None,
        "delivered": "delivered", "deferred": "deferred",
        "hard_bounce": "bounced", "invalid_email": "bounced", "soft_bounce": "bounced",
        "blocked": "failed", "error": "failed", "spam": "complained", "complaint": "complained",
        "opened": "opened", "unique_opened": "opened", "click": "clicked",
        "unsubscribe": "unsubscribed", "unsubscribed": "unsubscribed",
    }  # fmt: skip
    #: Events that say that the address is dead for good.
    HARD: ClassVar[frozenset[str]] = frozenset({"hard_bounce", "invalid_email"})

    def compose(self, message: Message) -> httpx.Request:
        around = envelope(message, required_sender(message.from_, self.settings.from_))
        if not all(value.isascii() for value in message.headers.values()):
            raise UnsupportedMessage("brevo sends headers as they are: their values may hold ASCII only")
        sender = {"email": around.sender_address, "name": around.sender_name}
        body: dict[str, Any] = {
            "sender": {name: value for name, value in sender.items() if value},
            "to": [{"email": around.to}],
            "subject": around.subject,
            "textContent": message.text,
            "headers": {
                # Brevo sets the Message-ID itself.
                **message.headers,
                "idempotencyKey": str(uuid.uuid5(_KEYS, message.delivery_id)),
                # Comes back with every report.
                "X-Mailin-custom": message.delivery_id,
            },
        }
        if message.html is not None:
            body["htmlContent"] = message.html
        if message.metadata:
            body["tags"] = list(message.metadata.values())
        if message.attachments:
            body["attachment"] = [{"name": row.name, "content": base64_text(row)} for row in message.attachments]
        key = self.settings.api_key.get_secret_value()
        return self.request("POST", "/v3/smtp/email", headers={"api-key": key, "Accept": "application/json"}, body=body)

    def deliver(self, message: Message) -> SendResult:
        response = self.exchange(self.composed(lambda: self.compose(message)))
        word = self.error_word(response)
        if response.is_success:
            return self.accept(response)
        if word == self.TAKEN_BEFORE:
            # An earlier attempt got through: only its answer did not.
            return SendResult()
        raise self.refusal(word, response)

    def accept(self, response: httpx.Response) -> SendResult:
        # A Message-ID in angle brackets, as reports name it, too.
        return SendResult(provider_message_id=str(self.json_object(response).get("messageId") or "") or None)

    def error_word(self, response: httpx.Response) -> object:
        answer = try_json_object(response) or {}
        word, said = answer.get("code", ""), str(answer.get("message", "")).lower()
        if word != "invalid_parameter":
            return word
        field = "to" if "email is not valid in to" in said else "sender" if "sender" in said else ""
        return f"{word}:{field}" if field else word

    def retry_after(self, response: httpx.Response) -> timedelta | None:
        named = super().retry_after(response)
        if named is None and response.status_code == 429:
            return parse_retry_after(response.headers.get("x-sib-ratelimit-reset", ""), datetime.now(UTC))
        return named

    def authenticate(self, request: WebhookRequest) -> None:
        """Nothing is signed, no time either: a repeat is caught by its receipt id, and TLS keeps the token."""
        if self.settings.webhook_token is None:
            raise ReceiptRefused("reports count only with a token: set `webhook_token`")
        expected = f"Bearer {self.settings.webhook_token.get_secret_value()}"
        require_same(expected, require_header(request, "authorization"))

    def read(self, request: WebhookRequest) -> Sequence[Receipt]:
        # A webhook that is set to batches sends lists.
        reports = json.loads(request.body)
        return self.each(
            reports if isinstance(reports, list) else [reports],
            lambda report: self._receipts(report, request.received_at),
        )

    def _receipts(self, report: Mapping[str, Any], received_at: datetime) -> Iterator[Receipt]:
        word = report["event"]
        kind = self.EVENTS.get(word, "unknown")
        if kind is None:
            return
        # Brevo numbers no reports. The first opening may come twice, as `opened` and as `unique_opened`: it is one.
        facts = [kind, report.get("message-id"), report["email"], report.get("link")]
        facts += [report.get(name) for name in ("ts_epoch", "ts_event")]
        yield Receipt(
            kind=kind,
            receipt_id=hashlib.sha256(json.dumps(facts).encode()).hexdigest(),
            occurred_at=_moment(report.get("ts_epoch")) or received_at,
            provider_message_id=report.get("message-id"),
            delivery_id=report.get("X-Mailin-custom"),
            address=report["email"],
            is_hard=word in self.HARD,
            url=report.get("link") if kind == "clicked" else None,
            vendor_kind=safe_word(word),
            raw=report,
        )


def _moment(epoch: int | None) -> datetime | None:
    """The one time of a report that is in UTC, where it has it: in milliseconds, in some examples in seconds."""
    if epoch is None:
        return None
    return datetime.fromtimestamp(epoch / 1000 if epoch > _MILLISECONDS else epoch, UTC)
