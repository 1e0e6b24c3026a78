"""Chat over Microsoft Teams: an Adaptive Card to a Workflow that begins "when a Teams webhook request is received".

The Workflow says where the card goes. It may read the profile's address (`chat: {CHANNEL: handle}`, such as the name
that a person signs in with) from the request's `to`; one that posts to one room need not. Teams reports nothing back.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import httpx
from pydantic import Field

from channels.base import Meaning
from channels.chat.blocks import as_meant
from channels.http import HttpAdapter, HttpSettings, try_json_object
from engine.delivery.message import Capabilities, Message, SendResult
from engine.errors import UnsupportedMessage

#: Of a request, in bytes.
_LARGEST = 28 * 1024
_ADDRESS = re.compile(r"(https?://[^\s<>\"]*[^\s<>\".,;:!?)])")


class TeamsSettings(HttpSettings):
    #: The Workflow's address. Whoever knows it can post there, so it is not shown.
    base_url: str = Field(alias="url", repr=False)


class Teams(HttpAdapter[TeamsSettings]):
    """One Workflow."""

    name = "teams"
    Settings = TeamsSettings
    base_url = ""
    capabilities = Capabilities(kind="chat")

    #: Power Automate's error codes.
    ERRORS: ClassVar[Mapping[str, Meaning]] = {
        "DirectApiAuthorizationRequired": "config",
        "DirectApiInvalidAuthorizationScheme": "config",
        "AuthorizationFailed": "config",
        "WorkflowNotFound": "config",
        "WorkflowTriggerNotFound": "config",
        "WorkflowTriggerIsNotEnabled": "config",  # switched off, or its owner has left
        "WorkflowDisabled": "config",
        "TriggerInputSchemaMismatch": "unsupported",
        "InvalidRequestContent": "unsupported",
        "RequestEntityTooLarge": "too_large",
        "TooManyRequests": "transient",
        "WorkflowOperationsThrottled": "transient",
    }

    def compose(self, message: Message) -> httpx.Request:
        card = {
            "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
            "type": "AdaptiveCard",
            "version": "1.4",
            "fallbackText": message.text,
            "body": [as_meant(block) for block in message.blocks] or _paragraphs(message.text),
        }
        attached = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
        envelope = {"type": "message", "to": message.to, "attachments": [attached]}
        content = json.dumps(envelope, ensure_ascii=False).encode()
        if len(content) > _LARGEST:
            raise UnsupportedMessage(f"teams takes at most {_LARGEST} bytes, card and all")
        return self.request("POST", "", headers={"Content-Type": "application/json"}, content=content)

    @classmethod
    def check_blocks(cls, blocks: Sequence[Any]) -> list[str]:
        wrong = (block for block in blocks if not (isinstance(block, Mapping) and "type" in block))
        return ["a block of teams is an element of an Adaptive Card: a mapping with a `type`" for _ in wrong]

    def accept(self, response: httpx.Response) -> SendResult:  # noqa: ARG002 (202 and nothing else)
        return SendResult()

    def error_word(self, response: httpx.Response) -> object:
        error = (try_json_object(response) or {}).get("error")
        return error.get("code", "") if isinstance(error, dict) else ""


def _paragraphs(text: str) -> list[Mapping[str, Any]]:
    """The text as an element a line: plain, as `TextBlock` would read Markdown into people's words, but with links."""
    elements: list[Mapping[str, Any]] = []
    is_after_gap = True
    for line in text.splitlines():
        if line.strip():
            gap = "Default" if is_after_gap else "None"
            elements.append({"type": "RichTextBlock", "spacing": gap, "inlines": _runs(line)})
        is_after_gap = not line.strip()
    return elements


def _runs(line: str) -> list[Mapping[str, Any]]:
    return [
        {"type": "TextRun", "text": part}
        | ({"selectAction": {"type": "Action.OpenUrl", "url": part}} if number % 2 else {})
        for number, part in enumerate(_ADDRESS.split(line))
        if part
    ]
