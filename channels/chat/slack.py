"""Chat over Slack's Web API: `chat.postMessage`, and what people answer, over the Events API.

The address on a profile (`chat: {CHANNEL: handle}`) is a Slack id: of a person (`U…`), a direct message (`D…`) or a
room (`C…`).
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar

import httpx

from channels.base import Meaning, Secret, safe_word
from channels.http import HttpAdapter, HttpSettings
from channels.signatures import require_fresh, require_header, require_same
from engine.delivery.message import Capabilities, Message, Receipt, SendResult, WebhookRequest
from engine.errors import ReceiptRefused, UnsupportedMessage

_LONGEST_TEXT = 40_000
_MOST_BLOCKS = 50


class SlackSettings(HttpSettings):
    #: A bot token (`xoxb-…`) with the scope `chat:write`.
    token: Secret
    #: Signs the Events API's requests; without it they are refused.
    signing_secret: Secret | None = None


class Slack(HttpAdapter[SlackSettings]):
    """One Slack workspace."""

    name = "slack"
    Settings = SlackSettings
    base_url = "https://slack.com/api"
    capabilities = Capabilities(kind="chat", has_receipts=True)

    #: Slack's errors; they come under HTTP 200.
    ERRORS: ClassVar[Mapping[str, Meaning]] = {
        "ratelimited": "transient",
        "rate_limited": "transient",
        "message_limit_exceeded": "transient",
        "internal_error": "transient",
        "service_unavailable": "transient",
        "request_timeout": "transient",
        "team_added_to_org": "transient",
        "fatal_error": "doubtful",  # Slack says that some of it may have succeeded
        "invalid_auth": "config",
        "not_authed": "config",
        "token_revoked": "config",
        "token_expired": "config",
        "account_inactive": "config",
        "missing_scope": "config",
        "no_permission": "config",
        "org_login_required": "config",
        "ekm_access_denied": "config",
        "access_denied": "config",
        "not_allowed_token_type": "config",
        "two_factor_setup_required": "config",
        "team_access_not_granted": "config",
        "user_not_found": "invalid_address",
        "user_disabled": "invalid_address",
        "channel_not_found": "rejected",  # a room may come back, or let us in: its address is not dead
        "is_archived": "rejected",
        "not_in_channel": "not_allowed",
        "restricted_action": "not_allowed",
        "cannot_dm_bot": "not_allowed",
        "messages_tab_disabled": "not_allowed",
        "msg_too_long": "unsupported",
        "msg_blocks_too_long": "unsupported",
        "no_text": "unsupported",
        "invalid_blocks": "unsupported",
        "invalid_blocks_format": "unsupported",
        "too_many_attachments": "unsupported",
        "invalid_arguments": "rejected",
        "invalid_form_data": "rejected",
    }

    def compose(self, message: Message) -> httpx.Request:
        if len(message.text) > _LONGEST_TEXT:
            raise UnsupportedMessage(f"slack takes at most {_LONGEST_TEXT} characters")
        form = {
            "channel": message.to,
            "text": escape(message.text),
            "link_names": "false",
            # Slack keeps it with the message, where an operator can find it by our id.
            "metadata": json.dumps(
                {"event_type": "sojourn_delivery", "event_payload": {"delivery": message.delivery_id}}
            ),
        }
        if message.blocks:
            form["blocks"] = json.dumps([_without_mentions(block) for block in message.blocks], ensure_ascii=False)
        credentials = f"Bearer {self.settings.token.get_secret_value()}"
        return self.request("POST", "/chat.postMessage", headers={"Authorization": credentials}, form=form)

    @classmethod
    def check_blocks(cls, blocks: Sequence[Any]) -> list[str]:
        if len(blocks) > _MOST_BLOCKS:
            return [f"slack takes at most {_MOST_BLOCKS} blocks"]
        wrong = (block for block in blocks if not (isinstance(block, Mapping) and "type" in block))
        return ["a block of slack is a mapping with a `type`" for _ in wrong]

    def accept(self, response: httpx.Response) -> SendResult:
        answer = self.json_object(response)
        if answer.get("ok") is not True:
            if not safe_word(answer.get("error")):
                raise self.unanswered("answered without saying what became of the message")
            raise self.refusal(answer["error"], response)
        # A timestamp is the message's id, but only within its room.
        room, stamp = safe_word(answer.get("channel")), safe_word(answer.get("ts"))
        return SendResult(provider_message_id=f"{room}:{stamp}" if room and stamp else None)

    def authenticate(self, request: WebhookRequest) -> None:
        secret = self.settings.signing_secret
        if secret is None:
            raise ReceiptRefused("slack's events count only signed: set `signing_secret`")
        given = require_header(request, "x-slack-signature")
        stamp = require_header(request, "x-slack-request-timestamp")
        require_fresh(stamp, request.received_at)
        signed = f"v0:{stamp}:".encode() + request.body
        expected = "v0=" + hmac.new(secret.get_secret_value().encode(), signed, hashlib.sha256).hexdigest()
        require_same(expected, given)

    def read(self, request: WebhookRequest) -> Sequence[Receipt]:
        envelope = json.loads(request.body)
        if envelope["type"] == "url_verification":
            return []
        event = envelope["event"]
        vendor_kind = safe_word(event["type"])
        occurred_at = datetime.fromtimestamp(int(envelope["event_time"]), UTC)
        if vendor_kind not in ("message", "app_mention"):
            return [
                Receipt(
                    kind="unknown",
                    receipt_id=envelope["event_id"],
                    occurred_at=occurred_at,
                    vendor_kind=vendor_kind,
                    raw=envelope,
                )
            ]
        if event.get("subtype") or event.get("bot_id"):
            # Edits, joins, and what bots write, ourselves included: nobody's reply.
            return []
        thread = event.get("thread_ts")
        return [
            Receipt(
                kind="replied",
                receipt_id=envelope["event_id"],
                occurred_at=occurred_at,
                provider_message_id=f"{event['channel']}:{thread}" if thread else None,
                # A direct message is a room of two; on a profile stands the person.
                address=event["user"],
                text=event.get("text", ""),
                vendor_kind=vendor_kind,
                raw=envelope,
            )
        ]

    def answer(self, request: WebhookRequest) -> str:
        envelope = json.loads(request.body)
        return str(envelope["challenge"]) if envelope.get("type") == "url_verification" else ""


def escape(text: str) -> str:
    """The text with Slack's three control characters escaped: no mention, no link under another name."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _without_mentions(block: Any) -> Any:
    """A block whose mentions (`<!channel>`, `<@U…>`) are plain text; authors' links stay."""
    match block:
        case str():
            return re.sub(r"<([!@])", r"&lt;\1", block)
        case Mapping():
            return {key: _without_mentions(value) for key, value in block.items()}
        case list() | tuple():
            return [_without_mentions(value) for value in block]
        case _:
            return block
