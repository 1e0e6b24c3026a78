"""Chat over Discord's API (v10): a bot's direct messages to people, and messages to rooms.

The address on a profile (`chat: {CHANNEL: handle}`) is a person's id; a room's is `channel:ID`. Discord de-duplicates
by a nonce for some minutes; it reports nothing over webhooks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import httpx

from channels.base import Meaning, Secret, channel_error, safe_word, unusable_address
from channels.chat.blocks import as_meant
from channels.http import HttpAdapter, HttpSettings, parse_retry_after, try_json_object
from engine.delivery.message import Capabilities, Message, SendResult
from engine.errors import DoubtfulChannelError, UnsupportedMessage

_LONGEST_TEXT = 2000
_MOST_EMBEDS = 10
_ROOM = "channel:"


class DiscordSettings(HttpSettings):
    #: The bot's.
    token: Secret


class Discord(HttpAdapter[DiscordSettings]):
    """One Discord bot."""

    name = "discord"
    Settings = DiscordSettings
    base_url = "https://discord.com/api/v10"
    # "A few minutes", it says.
    capabilities = Capabilities(kind="chat", has_idempotency=True, key_lasts=timedelta(minutes=2))

    #: Discord's error codes.
    ERRORS: ClassVar[Mapping[str, Meaning]] = {
        "10003": "rejected",  # no such room, which may be one that we are not let into
        "10013": "invalid_address",  # no such person
        "20016": "busy",  # the room is in slow mode
        "20022": "transient",
        "20026": "config",  # the bot is flagged for spam
        "20028": "busy",  # too many in this room
        "40001": "config",
        "40002": "config",  # the account is not verified
        "40003": "transient",  # direct messages begun too fast
        "50001": "not_allowed",  # a room that the bot is not let into
        "50006": "unsupported",  # empty
        "50007": "invalid_address",  # takes no direct messages from this bot
        "50008": "rejected",  # a room of voices
        "50013": "not_allowed",
        "50024": "rejected",
        "50033": "invalid_address",
        "50035": "rejected",  # a field of ours
        "50045": "too_large",
        "50278": "not_allowed",  # no server in common
        "130000": "transient",
        "200000": "rejected",  # the server's own filter of words
    }

    def deliver(self, message: Message) -> SendResult:
        room = message.to.removeprefix(_ROOM)
        if not (room.isascii() and room.isdigit()):
            raise unusable_address("the address is no Discord id")
        if room == message.to:
            room = self._open_direct(room)
        return super().deliver(replace(message, to=f"{_ROOM}{room}"))

    def _open_direct(self, person: str) -> str:
        """The room of the bot and the person: the same one, however often it is opened."""
        try:
            response = self.exchange(self._post("/users/@me/channels", {"recipient_id": person}))
            if not response.is_success:
                raise self.refusal(self.error_word(response), response)
            room = safe_word(self.json_object(response).get("id"))
        except DoubtfulChannelError:
            room = ""
        if not room:
            raise channel_error("transient", "discord did not say which room to write to: nothing was sent")
        return room

    def compose(self, message: Message) -> httpx.Request:
        if len(message.text) > _LONGEST_TEXT:
            raise UnsupportedMessage(f"discord takes at most {_LONGEST_TEXT} characters")
        if len(message.blocks) > _MOST_EMBEDS:
            raise UnsupportedMessage(f"discord takes at most {_MOST_EMBEDS} embeds")
        body: dict[str, Any] = {
            "content": _without_hidden_links(message.text),
            # Nobody is called, whatever the text says.
            "allowed_mentions": {"parse": []},
            "nonce": message.delivery_id,
            "enforce_nonce": True,
        }
        if message.blocks:
            body["embeds"] = [as_meant(block) for block in message.blocks]
        return self._post(f"/channels/{message.to.removeprefix(_ROOM)}/messages", body)

    @classmethod
    def check_blocks(cls, blocks: Sequence[Any]) -> list[str]:
        if len(blocks) > _MOST_EMBEDS:
            return [f"discord takes at most {_MOST_EMBEDS} blocks, which are embeds"]
        return ["a block of discord is an embed: a mapping" for block in blocks if not isinstance(block, Mapping)]

    def _post(self, path: str, body: Mapping[str, Any]) -> httpx.Request:
        headers = {"Authorization": f"Bot {self.settings.token.get_secret_value()}"}
        return self.request("POST", path, headers=headers, body=body)

    def accept(self, response: httpx.Response) -> SendResult:
        return SendResult(provider_message_id=safe_word(self.json_object(response).get("id")) or None)

    def error_word(self, response: httpx.Response) -> object:
        return (try_json_object(response) or {}).get("code", "")

    def retry_after(self, response: httpx.Response) -> timedelta | None:
        # In the body it has fractions of a second.
        named = (try_json_object(response) or {}).get("retry_after")
        return parse_retry_after(str(named), datetime.now(UTC)) or super().retry_after(response)


def _without_hidden_links(text: str) -> str:
    """The text with `[words](address)` shown as typed: people's own words, too, are in it."""
    return text.replace("](", "]\\(")
