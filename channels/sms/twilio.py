"""SMS over Twilio's Programmable Messaging (API of 2010-04-01): sending, status callbacks, and inbound messages."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import ClassVar
from urllib.parse import parse_qs, parse_qsl, quote, urlsplit

import httpx
from pydantic import Field, model_validator

from channels.base import Meaning, Secret, Text, required_sender, safe_word
from channels.http import HttpAdapter, HttpSettings, basic_auth, try_json_object
from channels.signatures import require_header, require_same
from channels.sms.callbacks import callback_url, named_delivery
from engine.delivery.message import Capabilities, Message, Receipt, ReceiptKind, SendResult, WebhookRequest
from engine.errors import ReceiptRefused, UnsupportedMessage

_LONGEST_TEXT = 1600


class TwilioSettings(HttpSettings):
    account_sid: Text
    auth_token: Secret
    #: A number in E.164 or a sender name.
    from_: Text | None = Field(default=None, alias="from")
    #: A pool of senders, in the place of one.
    messaging_service_sid: Text | None = None

    @model_validator(mode="after")
    def _has_one_sender(self) -> TwilioSettings:
        if self.from_ and self.messaging_service_sid:
            raise ValueError("settings `from` and `messaging_service_sid`: name one of them")
        return self


class Twilio(HttpAdapter[TwilioSettings]):
    """One Twilio account."""

    name = "twilio"
    Settings = TwilioSettings
    base_url = "https://api.twilio.com"
    capabilities = Capabilities(kind="sms", has_receipts=True)

    #: Twilio's error codes while sending.
    ERRORS: ClassVar[Mapping[str, Meaning]] = {
        "20003": "config",  # sign-in
        "20404": "config",  # no such account
        "20429": "transient",
        "21211": "invalid_address",
        "21408": "unserved",  # the account may not send to that country
        "21601": "config",  # the sender cannot send
        "21602": "unsupported",  # no text
        "21603": "config",  # no sender
        "21606": "config",  # the sender is not ours, or cannot send
        "21607": "config",  # a trial account's sender is another
        "21608": "unserved",  # a trial account sends to numbers that it has verified
        "21609": "config",  # the callback address
        "21610": "opted_out",
        "21611": "transient",  # the sender's queue is full
        "21612": "rejected",  # no route from this sender to that number
        "21614": "invalid_address",  # no mobile number
        "21617": "unsupported",  # too long
        "21635": "invalid_address",  # a landline
        "21659": "forbidden",  # the sender is not Twilio's, or a short code of another country than the number
        "21660": "config",  # the sender is another account's
        "21661": "config",  # the sender cannot send
        "21705": "config",  # no such pool of senders
        "21212": "config",  # the sender is no number
        "63016": "not_allowed",  # WhatsApp, outside its window
        "63018": "transient",
    }
    #: Twilio's message statuses. None: progress that changes nothing for us.
    STATUSES: ClassVar[Mapping[str, ReceiptKind | None]] = {
        "accepted": None, "scheduled": None, "queued": None, "sending": None, "sent": None, "receiving": None,
        "delivered": "delivered", "read": "opened", "failed": "failed", "canceled": "failed", "undelivered": "failed",
        "received": "replied",
    }  # fmt: skip
    #: Error codes of a callback that say more than its status; True where the number is dead for good.
    LATE: ClassVar[Mapping[str, tuple[ReceiptKind, bool]]] = {
        "21610": ("unsubscribed", False),
        "30003": ("bounced", False),  # switched off or out of reach
        "30004": ("bounced", False),  # blocked by the person or the carrier
        "30005": ("bounced", True),  # no such number
        "30006": ("bounced", True),  # a landline
    }

    def compose(self, message: Message) -> httpx.Request:
        settings = self.settings
        if len(message.text) > _LONGEST_TEXT:
            raise UnsupportedMessage(f"twilio takes at most {_LONGEST_TEXT} characters")
        form = {"To": message.to, "Body": message.text}
        if settings.messaging_service_sid and not message.from_:
            form["MessagingServiceSid"] = settings.messaging_service_sid
        else:
            form["From"] = required_sender(message.from_, settings.from_)
        callback = callback_url(self.context, message.delivery_id)
        if callback:
            form["StatusCallback"] = callback
        account = quote(settings.account_sid, safe="")
        credentials = basic_auth(settings.account_sid, settings.auth_token.get_secret_value())
        path = f"/2010-04-01/Accounts/{account}/Messages.json"
        return self.request("POST", path, headers={"Authorization": credentials}, form=form)

    def accept(self, response: httpx.Response) -> SendResult:
        answer = self.json_object(response)
        segments = safe_word(answer.get("num_segments"))
        return SendResult(
            provider_message_id=safe_word(answer.get("sid")) or None,
            segments=int(segments) if segments.isdigit() and segments != "0" else None,
        )

    def error_word(self, response: httpx.Response) -> object:
        return (try_json_object(response) or {}).get("code", "")

    def authenticate(self, request: WebhookRequest) -> None:
        """Twilio signs the exact address and the form's fields, but no time: a replay is caught by its receipt id."""
        given = require_header(request, "x-twilio-signature")
        if not request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            # Of anything but a form only the address would be signed, and the body not at all.
            raise ReceiptRefused("twilio reports in forms")
        fields = parse_qs(request.body.decode(), keep_blank_values=True, strict_parsing=bool(request.body))
        signed = "".join(name + value for name in sorted(fields) for value in sorted(set(fields[name])))
        key = self.settings.auth_token.get_secret_value().encode()
        for spelling in _spellings(request.url):
            mac = base64.b64encode(hmac.new(key, (spelling + signed).encode(), hashlib.sha1).digest()).decode()
            if hmac.compare_digest(mac.encode(), given.encode()):
                return
        require_same(mac, given)

    def read(self, request: WebhookRequest) -> Sequence[Receipt]:
        fields = dict(parse_qsl(request.body.decode(), keep_blank_values=True))
        sid = fields.get("MessageSid") or fields["SmsSid"]
        status = (fields.get("MessageStatus") or fields.get("SmsStatus", "")).lower()
        kind, is_hard = self.LATE.get(fields.get("ErrorCode", ""), (self.STATUSES.get(status, "unknown"), False))
        if kind is None:
            return []
        if kind == "replied":
            # Where Twilio recognised a keyword (its own list, any language) its word for it counts.
            text = fields.get("OptOutType") or fields.get("Body", "")
            return [
                Receipt(
                    kind=kind,
                    receipt_id=f"{sid}.{status}",
                    occurred_at=request.received_at,
                    address=fields["From"],
                    text=text,
                    vendor_kind=status,
                    raw=fields,
                )
            ]
        return [
            Receipt(
                kind=kind,
                receipt_id=f"{sid}.{status}",
                occurred_at=request.received_at,
                provider_message_id=sid,
                delivery_id=named_delivery(request),
                address=fields.get("To"),
                is_hard=is_hard,
                vendor_kind=status,
                raw=fields,
            )
        ]


def _spellings(url: str) -> tuple[str, ...]:
    """The address with and without its default port: Twilio signs some requests the one way, some the other."""
    parts = urlsplit(url)
    default = {"https": 443, "http": 80}.get(parts.scheme)
    if default is None or parts.hostname is None or parts.port not in (None, default):
        return (url,)
    host = parts.netloc.removesuffix(f":{default}")
    return (parts._replace(netloc=host).geturl(), parts._replace(netloc=f"{host}:{default}").geturl())
