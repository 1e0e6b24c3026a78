"""Text messages to pagers: a line of JSON over TCP, and a line back. An adapter that speaks no HTTP."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from typing import ClassVar

from channels.base import AdapterSettings, ChannelAdapter, Meaning, Secret, Text, channel_error, safe_word
from engine.delivery.message import Capabilities, Message, SendResult


class PagerSettings(AdapterSettings):
    host: Text
    port: int
    pin: Secret


class Pager(ChannelAdapter[PagerSettings]):
    """One pager exchange: it says `ok ID`, or `no WORD`."""

    name = "pager"
    Settings = PagerSettings
    capabilities = Capabilities(kind="sms")

    #: The exchange's words, in ours.
    WORDS: ClassVar[Mapping[str, Meaning]] = {
        "unknown": "invalid_address",
        "long": "unsupported",
        "pin": "config",
        "later": "transient",
    }

    def deliver(self, message: Message) -> SendResult:
        word, rest = self._ask({"pin": self.settings.pin.get_secret_value(), "to": message.to, "text": message.text})
        if word == "ok":
            return SendResult(provider_message_id=safe_word(rest) or None)
        if word == "no":
            raise channel_error(self.WORDS.get(rest, "unknown"), f"pager refused the message ({safe_word(rest)})")
        raise channel_error("doubtful", "pager gave no answer that can be read: it may have taken the message")

    def _ask(self, line: Mapping[str, str]) -> tuple[str, str]:
        try:
            connection = socket.create_connection((self.settings.host, self.settings.port), timeout=60)
        except OSError as error:
            failure = channel_error("transient", f"pager cannot be reached ({type(error).__name__})")
        else:
            try:
                with connection, connection.makefile("rw", encoding="utf-8") as stream:
                    stream.write(json.dumps(line) + "\n")
                    stream.flush()
                    word, _, rest = stream.readline().strip().partition(" ")
                    return word, rest
            except OSError as error:
                failure = channel_error("doubtful", f"pager gave no answer ({type(error).__name__})")
        raise failure
