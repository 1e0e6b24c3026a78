"""SMS over Plivo's Message API: sending, status callbacks, and inbound messages."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import ClassVar
from urllib.parse import parse_qs, parse_qsl, quote, urlsplit, urlunsplit

import httpx
from pydantic import model_validator

from channels.base import Secret, Text, required_sender, safe_word
from channels.http import HttpAdapter, HttpSettings, basic_auth
from channels.signatures import require_header
from channels.sms.callbacks import callback_url, named_delivery, with_plus
from engine.delivery.message import Capabilities, Message, Receipt, ReceiptKind, SendResult, WebhookRequest
from engine.errors import ReceiptRefused, UnsupportedMessage

_LONGEST_TEXT = 1600
_SIGNATURES = ("x-plivo-signature-v3", "x-plivo-signature-ma-v3")


class PlivoSettings(HttpSettings):
    auth_id: Text
    #: Signs in, and signs Plivo's requests to us.
    auth_token: Secret
    #: A number or a sender name.
    src: Text | None = None
    #: A pool of senders, in the place of one.
    powerpack_uuid: Text | None = None

    @model_validator(mode="after")
    def _has_one_sender(self) -> PlivoSettings:
        if self.src and self.powerpack_uuid:
            raise ValueError("settings `src` and `powerpack_uuid`: name one of them")
        return self


class Plivo(HttpAdapter[PlivoSettings]):
    """One Plivo account."""

    name = "plivo"
    Settings = PlivoSettings
    base_url = "https://api.plivo.com/v1"
    capabilities = Capabilities(kind="sms", has_receipts=True)

    #: Plivo's words for what became of a message. None: progress that changes nothing for us.
    STATUSES: ClassVar[Mapping[str, ReceiptKind | None]] = {
        "queued": None, "sent": None,
        "delivered": "delivered", "read": "opened", "undelivered": "failed", "failed": "failed", "rejected": "failed",
    }  # fmt: skip
    #: Error codes of a callback that say more than its status; True where the number is dead for good.
    LATE: ClassVar[Mapping[str, tuple[ReceiptKind, bool]]] = {
        "50": ("bounced", True),  # no number that takes messages
        "70": ("bounced", True),  # out of service
        "80": ("bounced", False),  # switched off or out of reach
        "200": ("unsubscribed", False),  # the person sent STOP to this sender
    }

    def compose(self, message: Message) -> httpx.Request:
        settings = self.settings
        if len(message.text) > _LONGEST_TEXT:
            raise UnsupportedMessage(f"plivo takes at most {_LONGEST_TEXT} characters")
        body = {"dst": message.to.removeprefix("+"), "text": message.text, "type": "sms"}
        if settings.powerpack_uuid and not message.from_:
            body["powerpack_uuid"] = settings.powerpack_uuid
        else:
            body["src"] = required_sender(message.from_, settings.src).removeprefix("+")
        callback = callback_url(self.context, message.delivery_id)
        if callback:
            body |= {"url": callback, "method": "POST"}
        credentials = basic_auth(settings.auth_id, settings.auth_token.get_secret_value())
        path = f"/Account/{quote(settings.auth_id, safe='')}/Message/"
        return self.request("POST", path, headers={"Authorization": credentials}, body=body)

    def accept(self, response: httpx.Response) -> SendResult:
        numbers = self.json_object(response).get("message_uuid")
        if not isinstance(numbers, list) or not numbers:
            raise self.unanswered("answered without saying what became of the message")
        return SendResult(provider_message_id=safe_word(numbers[0]) or None)

    def authenticate(self, request: WebhookRequest) -> None:
        """Plivo signs address, form and a nonce, but no time: a replay is caught by its receipt id.

        Messages come signed with the main account's token, or also with a subaccount's; version 2 signs no form, and
        proves nothing of what a request reports.
        """
        nonce = require_header(request, "x-plivo-signature-v3-nonce")
        if not request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            # Of anything but a form only the address would be signed, and the body not at all.
            raise ReceiptRefused("plivo reports in forms")
        signed = f"{_signed_address(request)}.{nonce}".encode()
        key = self.settings.auth_token.get_secret_value().encode()
        expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest())
        # While a token is being changed there are several signatures, and ours is one of them.
        given = ",".join(request.headers.get(name, "") for name in _SIGNATURES)
        candidates = given.encode("utf-8", "replace").split(b",")
        if not any(hmac.compare_digest(expected, candidate.strip()) for candidate in candidates):
            raise ReceiptRefused("the request's signature is wrong")

    def read(self, request: WebhookRequest) -> Sequence[Receipt]:
        fields = dict(parse_qsl(request.body.decode(), keep_blank_values=True, strict_parsing=True))
        number = fields["MessageUUID"]
        if "Status" not in fields:
            return [
                Receipt(
                    kind="replied",
                    receipt_id=number,
                    occurred_at=request.received_at,
                    address=with_plus(fields["From"]),
                    text=fields.get("Text", ""),
                    vendor_kind="received",
                    raw=fields,
                )
            ]
        status = fields["Status"].lower()
        kind, is_hard = self.STATUSES.get(status, "unknown"), False
        if kind == "failed":
            kind, is_hard = self.LATE.get(fields.get("ErrorCode", ""), (kind, False))
        if kind is None:
            return []
        return [
            Receipt(
                kind=kind,
                receipt_id=f"{number}.{status}",
                occurred_at=request.received_at,
                # A long text has an id for each part; the first one's is what the sending was answered with.
                provider_message_id=fields.get("ParentMessageUUID") or number,
                delivery_id=named_delivery(request),
                address=with_plus(fields.get("To", "")) or None,
                is_hard=is_hard,
                vendor_kind=safe_word(status),
                raw=fields,
            )
        ]


def _signed_address(request: WebhookRequest) -> str:
    """What Plivo signs besides the nonce: the address, its query sorted, and the form's fields, sorted."""
    parts = urlsplit(request.url)
    query = "&".join(f"{name}={value}" for name, value in _sorted(parts.query))
    fields = "".join(f"{name}{value}" for name, value in _sorted(request.body.decode()))
    address = urlunsplit((parts.scheme, parts.netloc, parts.path, "", ""))
    if query or fields:
        address += f"?{query}"
    return f"{address}.{fields}" if query and fields else address + fields


def _sorted(text: str) -> list[tuple[str, str]]:
    found = parse_qs(text, keep_blank_values=True)
    return [(name, value) for name in sorted(found) for value in sorted(found[name])]
