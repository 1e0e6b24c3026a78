"""Chat over Telegram's Bot API: `sendMessage`, and what people answer or do to the bot, over its webhook.

The address on a profile (`chat: {CHANNEL: handle}`) is a chat id: a person's, whom a bot may write to once they have
written to it, or a group's (`-100…`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from urllib.parse import quote

import httpx

from channels.base import Meaning, Secret, safe_word
from channels.chat.blocks import as_meant
from channels.http import HttpAdapter, HttpSettings, parse_retry_after, try_json_object
from channels.signatures import require_header, require_same
from engine.delivery.message import Capabilities, Message, Receipt, ReceiptKind, SendResult, WebhookRequest
from engine.errors import ReceiptRefused, UnsupportedMessage

_LONGEST_TEXT = 4096
_COMMAND = re.compile(r"/([A-Za-z]+)(?:@\w+)?")


class TelegramSettings(HttpSettings):
    #: The bot's, from BotFather.
    token: Secret
    #: As given to `setWebhook`: proves updates; without it they are refused.
    secret_token: Secret | None = None


class Telegram(HttpAdapter[TelegramSettings]):
    """One Telegram bot."""

    name = "telegram"
    Settings = TelegramSettings
    base_url = "https://api.telegram.org"
    capabilities = Capabilities(kind="chat", has_receipts=True)

    #: Telegram has no codes but HTTP's: these are its own sentences, each with a word of ours for it.
    SENTENCES: ClassVar[Mapping[str, str]] = {
        "forbidden: bot was blocked by the user": "blocked",
        "forbidden: user is deactivated": "deactivated",
        "forbidden: bot can't initiate conversation with a user": "not_begun",
        "forbidden: bot can't send messages to bots": "a_bot",
        "forbidden: bot was kicked from the group chat": "kicked",
        "forbidden: bot was kicked from the supergroup chat": "kicked",
        "forbidden: bot was kicked from the channel chat": "kicked",
        "bad request: message is too long": "too_long",
        "bad request: message text is empty": "no_text",
        "bad request: text must be non-empty": "no_text",
        "bad request: chat_id is empty": "no_address",
        "bad request: peer_id_invalid": "no_address",
        "bad request: button_url_invalid": "button",
    }
    #: Those words, and HTTP's codes, in ours.
    ERRORS: ClassVar[Mapping[str, Meaning]] = {
        "blocked": "opted_out",
        "deactivated": "invalid_address",
        "not_begun": "not_allowed",
        "a_bot": "invalid_address",
        "kicked": "not_allowed",
        "too_long": "unsupported",
        "no_text": "unsupported",
        "no_address": "invalid_address",
        "button": "unsupported",
        "400": "rejected",  # a chat that is not found, too: who has not written to the bot yet may do so
        "403": "not_allowed",
        "409": "config",
    }
    #: What became of the bot in a person's chat. None: nothing that we act upon.
    MEMBERSHIPS: ClassVar[Mapping[str, ReceiptKind | None]] = {"kicked": "unsubscribed", "member": None, "left": None}

    def compose(self, message: Message) -> httpx.Request:
        if not message.text:
            raise UnsupportedMessage("telegram needs a text")
        if len(message.text) > _LONGEST_TEXT:
            raise UnsupportedMessage(f"telegram takes at most {_LONGEST_TEXT} characters")
        # Without a `parse_mode` nothing in the text is markup, whoever wrote it.
        body: dict[str, Any] = {"chat_id": message.to, "text": message.text}
        if message.blocks:
            body["reply_markup"] = {"inline_keyboard": [[as_meant(button)] for button in message.blocks]}
        token = quote(self.settings.token.get_secret_value(), safe=":")
        return self.request("POST", f"/bot{token}/sendMessage", body=body)

    @classmethod
    def check_blocks(cls, blocks: Sequence[Any]) -> list[str]:
        buttons = (block for block in blocks if not (isinstance(block, Mapping) and {"text", "url"} <= block.keys()))
        return ["a block of telegram is a button: `{text: …, url: …}`" for _ in buttons]

    def accept(self, response: httpx.Response) -> SendResult:
        answer = self.json_object(response)
        sent = answer.get("result")
        if answer.get("ok") is not True or not isinstance(sent, dict):
            raise self.unanswered("answered without saying what became of the message")
        return SendResult(provider_message_id=_message_id(sent))

    def error_word(self, response: httpx.Response) -> object:
        answer = try_json_object(response) or {}
        return self.SENTENCES.get(str(answer.get("description", "")).lower()) or answer.get("error_code", "")

    def retry_after(self, response: httpx.Response) -> timedelta | None:
        parameters = (try_json_object(response) or {}).get("parameters")
        named = parameters.get("retry_after") if isinstance(parameters, dict) else None
        return parse_retry_after(str(named), datetime.now(UTC)) or super().retry_after(response)

    def authenticate(self, request: WebhookRequest) -> None:
        """Telegram signs nothing: it says the secret that it was given. A replay is caught by its update id."""
        if self.settings.secret_token is None:
            raise ReceiptRefused("telegram's updates count only with a secret: set `secret_token`")
        given = require_header(request, "x-telegram-bot-api-secret-token")
        require_same(self.settings.secret_token.get_secret_value(), given)

    def read(self, request: WebhookRequest) -> Sequence[Receipt]:
        update = json.loads(request.body)
        number = str(int(update["update_id"]))
        if "message" in update:
            return self._reply(number, update["message"], update)
        if "my_chat_member" in update:
            return self._membership(number, update["my_chat_member"], update)
        vendor_kind = safe_word(next((name for name in update if name != "update_id"), ""))
        return [
            Receipt(
                kind="unknown",
                receipt_id=number,
                occurred_at=request.received_at,
                vendor_kind=vendor_kind,
                raw=update,
            )
        ]

    @staticmethod
    def _reply(number: str, message: Mapping[str, Any], update: Mapping[str, Any]) -> Sequence[Receipt]:
        if message["chat"]["type"] != "private":
            # What people say to each other in a group is no answer to us.
            return []
        answered = message.get("reply_to_message")
        text = message.get("text") or message.get("caption") or ""
        command = _COMMAND.fullmatch(text.strip())
        return [
            Receipt(
                kind="replied",
                receipt_id=number,
                occurred_at=datetime.fromtimestamp(message["date"], UTC),
                provider_message_id=_message_id(answered) if answered else None,
                address=str(message["chat"]["id"]),
                # `/stop` is how people say STOP here.
                text=command[1] if command else text,
                vendor_kind="message",
                raw=update,
            )
        ]

    def _membership(self, number: str, change: Mapping[str, Any], update: Mapping[str, Any]) -> Sequence[Receipt]:
        status = change["new_chat_member"]["status"]
        kind = self.MEMBERSHIPS.get(status, "unknown")
        if kind is None or change["chat"]["type"] != "private":
            return []
        return [
            Receipt(
                kind=kind,
                receipt_id=number,
                occurred_at=datetime.fromtimestamp(change["date"], UTC),
                address=str(change["chat"]["id"]),
                vendor_kind=safe_word(status),
                raw=update,
            )
        ]


def _message_id(message: Mapping[str, Any]) -> str | None:
    """A message's number is its id only within its chat."""
    chat = message.get("chat")
    room, number = safe_word(chat.get("id")) if isinstance(chat, dict) else "", safe_word(message.get("message_id"))
    return f"{room}:{number}" if room and number else None
