"""Chat over Meta's WhatsApp Cloud API: sending, statuses, replies, and people's own word on marketing.

The address on a profile (`chat: {CHANNEL: handle}`) is a number in E.164. Within 24 hours of a person's own message any
text may go; otherwise only a template that Meta has approved, which the `blocks` of our template name:

    blocks:
      - template: cart_waits
        language: en_GB
        parameters: ["{{ profile.first_name | default('there') }}"]
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any, ClassVar
from urllib.parse import parse_qs, quote, urlsplit

import httpx
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from channels.base import Meaning, Secret, Text, safe_word
from channels.chat.blocks import as_meant
from channels.http import HttpAdapter, HttpSettings, try_json_object
from channels.signatures import require_header, require_same
from engine.delivery.message import Capabilities, Message, Receipt, ReceiptKind, SendResult, WebhookRequest
from engine.errors import ReceiptRefused, UnsupportedMessage

_LONGEST_TEXT = 4096


class WhatsAppSettings(HttpSettings):
    access_token: Secret
    #: Meta's id of the number that we send from.
    phone_number_id: Text
    api_version: Annotated[str, Field(pattern=r"^v\d{1,3}\.\d$")] = "v23.0"
    #: The app's: signs webhooks; without it they are refused.
    app_secret: Secret | None = None
    #: As entered beside the webhook's address: Meta says it when it asks whether the address is ours.
    verify_token: Secret | None = None


class ApprovedTemplate(BaseModel):
    """The block that stands for a template at Meta."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, coerce_numbers_to_str=True)

    #: Its name at Meta.
    template: Text
    #: As approved: `es`, `en_GB`.
    language: Text
    #: For the body's places: in order, or by name.
    parameters: list[str] | dict[str, str] = []
    #: Other components, as Meta takes them: a header's picture, a button's address.
    components: list[dict[str, Any]] = []


class WhatsApp(HttpAdapter[WhatsAppSettings]):
    """One number of a WhatsApp Business account."""

    name = "whatsapp"
    Settings = WhatsAppSettings
    base_url = "https://graph.facebook.com"
    capabilities = Capabilities(kind="chat", has_receipts=True)

    #: Meta's error codes.
    ERRORS: ClassVar[Mapping[str, Meaning]] = {
        "0": "config",  # sign-in
        "2": "transient",
        "3": "config",
        "4": "transient",  # too many calls
        "10": "config",
        "33": "config",  # the sending number is gone
        "100": "rejected",  # a parameter
        "190": "config",  # the token is over
        "368": "config",  # the account is restricted
        "80007": "transient",
        "130429": "transient",
        "130472": "not_allowed",  # the person is in an experiment of Meta's
        "131000": "transient",
        "131005": "config",
        "131008": "rejected",
        "131009": "rejected",
        "131016": "transient",
        "131021": "rejected",  # to ourselves
        "131026": "rejected",  # not on WhatsApp, or not yet agreed to its terms: Meta does not say which
        "131031": "config",
        "131037": "config",  # the display name is not approved
        "131042": "config",  # payment
        "131045": "config",
        "131047": "not_allowed",  # more than 24 hours since the person wrote: it takes a template
        "131048": "config",  # too many people blocked the number
        "131049": "not_allowed",  # Meta spares the person more marketing
        "131050": "opted_out",  # the person stopped our marketing
        "131051": "unsupported",
        "131056": "busy",  # too many to this person
        "131057": "transient",  # maintenance
        "132000": "rejected",  # as many parameters as the template has places
        "132001": "rejected",  # no such template in that language
        "132005": "rejected",
        "132007": "rejected",
        "132012": "rejected",
        "132015": "rejected",  # the template is paused
        "132016": "rejected",  # the template is switched off
        "133004": "transient",
        "133010": "config",  # the number is not registered
        "135000": "rejected",
    }
    #: Meta's words for what became of a message. None: progress that changes nothing for us.
    STATUSES: ClassVar[Mapping[str, ReceiptKind | None]] = {
        "accepted": None, "sent": None, "held_for_quality_assessment": None,
        "delivered": "delivered", "read": "opened", "played": "opened", "failed": "failed",
    }  # fmt: skip
    #: Error codes of a status that say more than it.
    LATE: ClassVar[Mapping[str, ReceiptKind]] = {"131026": "bounced", "131050": "unsubscribed"}
    #: Where the words of a person's message are, by its type. Other types are nobody's answer.
    WORDS: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "text": ("text", "body"),
        "button": ("button", "text"),
        "image": ("image", "caption"),
        "video": ("video", "caption"),
        "document": ("document", "caption"),
        "audio": (),
        "location": (),
        "contacts": (),
        "sticker": (),
    }
    #: A person's choice on marketing from us, made in WhatsApp. To resume lifts nothing: it is no consent to us.
    CHOICES: ClassVar[Mapping[str, ReceiptKind]] = {"stop": "unsubscribed"}

    def compose(self, message: Message) -> httpx.Request:
        settings = self.settings
        body = {
            "messaging_product": "whatsapp",
            "recipient_type": "individual",
            "to": message.to,
            # It comes back with each status.
            "biz_opaque_callback_data": message.delivery_id,
            **(_template(message.blocks) if message.blocks else _text(message.text)),
        }
        path = f"/{settings.api_version}/{quote(settings.phone_number_id, safe='')}/messages"
        credentials = f"Bearer {settings.access_token.get_secret_value()}"
        return self.request("POST", path, headers={"Authorization": credentials}, body=body)

    @classmethod
    def check_blocks(cls, blocks: Sequence[Any]) -> list[str]:
        if len(blocks) != 1:
            return ["whatsapp takes one block, which names a template approved by Meta"]
        try:
            ApprovedTemplate.model_validate(blocks[0])
        except ValidationError as error:
            return [_problem(row) for row in error.errors(include_url=False, include_input=False)]
        return []

    def accept(self, response: httpx.Response) -> SendResult:
        taken = self.json_object(response).get("messages")
        if not isinstance(taken, list) or not taken or not isinstance(taken[0], dict):
            raise self.unanswered("answered without saying what became of the message")
        number = taken[0].get("id")
        return SendResult(provider_message_id=number if isinstance(number, str) else None)

    def error_word(self, response: httpx.Response) -> object:
        error = (try_json_object(response) or {}).get("error")
        return error.get("code", "") if isinstance(error, dict) else ""

    def authenticate(self, request: WebhookRequest) -> None:
        """Meta signs the body, but no time: a replay is caught by its receipt id."""
        settings = self.settings
        if request.method == "GET":
            if settings.verify_token is None:
                raise ReceiptRefused("whatsapp's question whether the address is ours takes `verify_token`")
            return require_same(settings.verify_token.get_secret_value(), _asked(request, "hub.verify_token"))
        if settings.app_secret is None:
            raise ReceiptRefused("whatsapp's webhooks count only signed: set `app_secret`")
        mac = hmac.new(settings.app_secret.get_secret_value().encode(), request.body, hashlib.sha256)
        return require_same(f"sha256={mac.hexdigest()}", require_header(request, "x-hub-signature-256"))

    def answer(self, request: WebhookRequest) -> str:
        return _asked(request, "hub.challenge") if request.method == "GET" else ""

    def read(self, request: WebhookRequest) -> Sequence[Receipt]:
        return self.each(
            json.loads(request.body)["entry"],
            lambda entry: self.each(entry["changes"], lambda change: self._receipts(change, request.received_at)),
        )

    def _receipts(self, change: Mapping[str, Any], received_at: datetime) -> Sequence[Receipt]:
        field, value = change["field"], change["value"]
        if value.get("metadata", {}).get("phone_number_id") != self.settings.phone_number_id:
            # The app's other numbers are other channels'.
            return []
        match field:
            case "messages":
                rows = [partial(self._message, message) for message in value.get("messages", ())]
                rows += [partial(self._status, status) for status in value.get("statuses", ())]
            case "user_preferences":
                rows = [partial(self._choice, choice) for choice in value["user_preferences"]]
            case _:
                digest = hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
                unknown = Receipt(
                    kind="unknown",
                    receipt_id=digest,
                    occurred_at=received_at,
                    vendor_kind=safe_word(field),
                    raw=value,
                )
                return [unknown]
        return self.each(rows, lambda read: read())

    def _message(self, message: Mapping[str, Any]) -> Sequence[Receipt]:
        vendor_kind = safe_word(message["type"])
        kind: ReceiptKind = "replied"
        text = ""
        if vendor_kind == "interactive":
            answer = message["interactive"]
            text = answer.get(answer.get("type"), {}).get("title", "")
        elif vendor_kind in self.WORDS:
            found: Any = message
            for name in self.WORDS[vendor_kind]:
                found = found.get(name, "")
            text = found if isinstance(found, str) else ""
        else:
            kind = "unknown"
        return [
            Receipt(
                kind=kind,
                receipt_id=message["id"],
                occurred_at=_moment(message),
                provider_message_id=message.get("context", {}).get("id"),
                address=f"+{message['from']}",
                text=text if kind == "replied" else None,
                vendor_kind=vendor_kind,
                raw=message,
            )
        ]

    def _status(self, status: Mapping[str, Any]) -> Sequence[Receipt]:
        vendor_kind = safe_word(status["status"])
        kind = self.STATUSES.get(vendor_kind, "unknown")
        if kind == "failed" and status.get("errors"):
            kind = self.LATE.get(str(status["errors"][0].get("code")), kind)
        if kind is None:
            return []
        return [
            Receipt(
                kind=kind,
                receipt_id=f"{status['id']}.{vendor_kind}",
                occurred_at=_moment(status),
                provider_message_id=status["id"],
                delivery_id=status.get("biz_opaque_callback_data"),
                address=f"+{status['recipient_id']}",
                vendor_kind=vendor_kind,
                raw=status,
            )
        ]

    def _choice(self, choice: Mapping[str, Any]) -> Sequence[Receipt]:
        vendor_kind = safe_word(choice["value"])
        return [
            Receipt(
                kind=self.CHOICES.get(vendor_kind, "unknown"),
                receipt_id=f"{choice['wa_id']}.{vendor_kind}.{choice['timestamp']}",
                occurred_at=_moment(choice),
                address=f"+{choice['wa_id']}",
                vendor_kind=vendor_kind,
                raw=choice,
            )
        ]


def _problem(row: Mapping[str, Any]) -> str:
    where = f"`{'.'.join(str(part) for part in row['loc'])}`"
    match row["type"]:
        case "missing":
            return f"{where} is missing"
        case "extra_forbidden":
            return f"there is no key {where}: allowed are {', '.join(ApprovedTemplate.model_fields)}"
        case _:
            return f"{where}: {row['msg']}"


def _text(text: str) -> Mapping[str, Any]:
    if not text:
        raise UnsupportedMessage("whatsapp needs a text, or a block that names a template")
    if len(text) > _LONGEST_TEXT:
        raise UnsupportedMessage(f"whatsapp takes at most {_LONGEST_TEXT} characters")
    return {"type": "text", "text": {"body": text, "preview_url": False}}


def _template(blocks: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    if WhatsApp.check_blocks(blocks):
        raise UnsupportedMessage("whatsapp takes one block that names an approved template: `sojourn check` says more")
    approved = ApprovedTemplate.model_validate(as_meant(blocks[0]))
    named: Sequence[tuple[Mapping[str, str], str]]
    match approved.parameters:
        case dict() as by_name:
            named = [({"parameter_name": name}, value) for name, value in by_name.items()]
        case in_order:
            named = [({}, value) for value in in_order]
    # Meta takes no line breaks, no tabs and no long gaps in a parameter.
    filled = [{"type": "text", **name, "text": " ".join(value.split())} for name, value in named]
    body = [{"type": "body", "parameters": filled}] if filled else []
    return {
        "type": "template",
        "template": {
            "name": approved.template,
            "language": {"code": approved.language},
            "components": [*body, *approved.components],
        },
    }


def _asked(request: WebhookRequest, name: str) -> str:
    """What the address that was called says under this name."""
    return next(iter(parse_qs(urlsplit(request.url).query).get(name, [])), "")


def _moment(report: Mapping[str, Any]) -> datetime:
    return datetime.fromtimestamp(int(report["timestamp"]), UTC)
