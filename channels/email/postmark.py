"""Email over Postmark's API, and its webhooks, which are not signed: a password in their address proves them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar

import httpx
from pydantic import Field, model_validator

from channels.base import Meaning, Secret, Text, required_sender, safe_word
from channels.email.mime import base64_text, envelope
from channels.http import HttpAdapter, HttpSettings, try_json_object
from channels.signatures import require_basic
from engine.delivery.message import Capabilities, Message, Receipt, ReceiptKind, SendResult, WebhookRequest
from engine.errors import ReceiptRefused

#: The longest value of a message's metadata.
_LONGEST_VALUE = 80


class PostmarkSettings(HttpSettings):
    server_token: Secret
    from_: Text | None = Field(default=None, alias="from")
    #: Marketing must go over a broadcast stream; unless set, Postmark takes `outbound`, which is transactional.
    message_stream: Text | None = None
    #: As in the webhook's address, `https://NAME:PASSWORD@…`; without them reports are refused.
    webhook_username: Text | None = None
    webhook_password: Secret | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> PostmarkSettings:
        if (self.webhook_username is None) != (self.webhook_password is None):
            raise ValueError("settings `webhook_username` and `webhook_password` go together")
        return self


class Postmark(HttpAdapter[PostmarkSettings]):
    """One Postmark server."""

    name = "postmark"
    Settings = PostmarkSettings
    base_url = "https://api.postmarkapp.com"
    capabilities = Capabilities(kind="email", has_receipts=True, has_attachments=True)

    #: `ErrorCode` of the body, with the field that its prose names where it is one of these. Some look like HTTP
    #: statuses and are none.
    ERRORS: ClassVar[Mapping[str, Meaning]] = {
        "10": "config",  # the token
        "100": "transient",  # maintenance
        "300": "rejected",
        "300:to": "invalid_address",
        "300:from": "config",
        "400": "config",  # no such sender signature
        "401": "config",  # a sender signature that is not confirmed
        "403": "rejected",
        "405": "config",  # no credits
        "406": "invalid_address",  # inactive: it bounced, complained or was taken off
        "411": "not_allowed",  # an attachment of a forbidden type
        "412": "config",  # the account is not approved yet
        "413": "config",  # the account may not send
        "1226": "config",  # no such message stream
        "1235": "config",
        "1236": "config",
    }
    #: `RecordType`; a bounce is looked up below.
    RECORDS: ClassVar[Mapping[str, ReceiptKind]] = {
        "Delivery": "delivered", "Open": "opened", "Click": "clicked", "SpamComplaint": "complained",
    }  # fmt: skip
    #: `Type` of a bounce; True where the address is dead for good. None: nothing happened to the message.
    BOUNCES: ClassVar[Mapping[str, tuple[ReceiptKind, bool] | None]] = {
        "HardBounce": ("bounced", True),
        "BadEmailAddress": ("bounced", True),
        "SoftBounce": ("bounced", False),
        "Blocked": ("bounced", False),
        "SpamNotification": ("bounced", False),  # a filter's judgement; the person has said nothing
        "Unknown": ("bounced", False),
        "Transient": ("deferred", False),
        "DnsError": ("deferred", False),
        "SpamComplaint": ("complained", False),
        "Unsubscribe": ("unsubscribed", False),
        "ManuallyDeactivated": ("failed", False),
        "Unconfirmed": ("failed", False),
        "DMARCPolicy": ("failed", False),
        "VirusNotification": ("failed", False),
        "SMTPApiError": ("failed", False),
        "TemplateRenderingFailed": ("failed", False),
        "AutoResponder": None,
        "AddressChange": None,
        "ChallengeVerification": None,
        "OpenRelayTest": None,
        "Subscribe": None,
    }

    def compose(self, message: Message) -> httpx.Request:
        around = envelope(message, required_sender(message.from_, self.settings.from_))
        # Without `X-PM-KeepID` Postmark puts a Message-ID of its own in the place of ours.
        headers = {**message.headers, "X-PM-KeepID": "true", "Message-ID": around.message_id}
        body: dict[str, Any] = {
            "From": around.sender,
            "To": around.to,
            "Subject": around.subject,
            "TextBody": message.text,
            "Headers": [{"Name": name, "Value": value} for name, value in headers.items()],
            "Metadata": {
                "delivery": message.delivery_id,
                **{name: value[:_LONGEST_VALUE] for name, value in message.metadata.items()},
            },
        }
        if message.html is not None:
            body["HtmlBody"] = message.html
        if self.settings.message_stream is not None:
            body["MessageStream"] = self.settings.message_stream
        if message.attachments:
            body["Attachments"] = [
                {"Name": row.name, "Content": base64_text(row), "ContentType": row.media_type}
                for row in message.attachments
            ]
        token = self.settings.server_token.get_secret_value()
        headers = {"X-Postmark-Server-Token": token, "Accept": "application/json"}
        return self.request("POST", "/email", headers=headers, body=body)

    def accept(self, response: httpx.Response) -> SendResult:
        answer = self.json_object(response)
        if answer.get("ErrorCode"):
            raise self.refusal(answer["ErrorCode"], response)
        return SendResult(provider_message_id=safe_word(answer.get("MessageID")) or None)

    def error_word(self, response: httpx.Response) -> object:
        answer = try_json_object(response) or {}
        word, said = answer.get("ErrorCode", ""), str(answer.get("Message", ""))
        field = next((name for name in ("to", "from") if f"'{name.title()}'" in said), "")
        return f"{word}:{field}" if field and word == 300 else word

    def authenticate(self, request: WebhookRequest) -> None:
        """Nothing is signed, no time either: a repeat is caught by its receipt id, and TLS keeps the password."""
        settings = self.settings
        if settings.webhook_username is None or settings.webhook_password is None:
            raise ReceiptRefused("reports count only with a password: set `webhook_username` and `webhook_password`")
        require_basic(request, settings.webhook_username, settings.webhook_password.get_secret_value())

    def read(self, request: WebhookRequest) -> Sequence[Receipt]:
        report = json.loads(request.body)
        word = report["RecordType"]
        kind, is_hard = self._meaning(word, report)
        if kind is None:
            return []
        moment = next(
            (report[name] for name in ("DeliveredAt", "BouncedAt", "ReceivedAt", "ChangedAt") if report.get(name)), None
        )
        occurred_at = request.received_at if moment is None else datetime.fromisoformat(moment)
        return [
            Receipt(
                kind=kind,
                receipt_id=".".join((word, str(report.get("MessageID")), str(report.get("ID") or moment))),
                occurred_at=occurred_at,
                provider_message_id=report.get("MessageID"),
                delivery_id=(report.get("Metadata") or {}).get("delivery"),
                address=report.get("Email") or report.get("Recipient"),
                is_hard=is_hard,
                url=report.get("OriginalLink"),
                vendor_kind=safe_word(report.get("Type") or word),
                raw=report,
            )
        ]

    def _meaning(self, word: str, report: Mapping[str, Any]) -> tuple[ReceiptKind | None, bool]:
        match word:
            case "Bounce":
                return self.BOUNCES.get(report["Type"], ("unknown", False)) or (None, False)
            case "SubscriptionChange":
                # A bounce or a complaint that led to it has its own report; others than the person may do it, too.
                is_the_persons = (
                    report["SuppressSending"]
                    and report.get("SuppressionReason") == "ManualSuppression"
                    and report.get("Origin") == "Recipient"
                )
                return "unsubscribed" if is_the_persons else None, False
            case _:
                return self.RECORDS.get(word, "unknown"), False
