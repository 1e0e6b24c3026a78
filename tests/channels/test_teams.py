"""Microsoft Teams' Workflows, by their published shapes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from channels.chat.teams import Teams
from channels.testing.contract import HttpContract
from channels.testing.exhibit import HttpExhibit, Refusal
from channels.testing.server import Reply
from engine.errors import ChannelConfigError, TransientChannelError, UnsupportedMessage

URL = "https://prod-01.westeurope.logic.azure.com/workflows/x/triggers/manual/paths/invoke?sig=5ecret"
SETTINGS = {"url": URL}


def no(code: str, status: int = 400) -> Reply:
    return Reply(status=status, body={"error": {"code": code, "message": "U0ANA0ANA: no"}})


class TestTeams(HttpContract):
    adapter = Teams
    settings = SETTINGS
    exhibit = HttpExhibit(
        accepted=Reply(status=202),
        message_id=None,
        refusals=(
            Refusal(reply=no("SomethingNew"), reason="rejected"),
            Refusal(reply=no("RequestEntityTooLarge", 413), reason="too_large"),
            Refusal(reply=no("TriggerInputSchemaMismatch"), error=UnsupportedMessage),
            Refusal(reply=no("WorkflowTriggerIsNotEnabled"), error=ChannelConfigError),
            Refusal(reply=no("DirectApiAuthorizationRequired", 401), error=ChannelConfigError),
            Refusal(reply=no("WorkflowNotFound", 404), error=ChannelConfigError),
            Refusal(reply=no("TooManyRequests", 429), error=TransientChannelError),
            Refusal(reply=Reply(status=502, body="<html>"), error=TransientChannelError),
        ),
    )

    def card(self, **changes: Any) -> Any:
        adapter = self.open()
        assert isinstance(adapter, Teams)
        envelope = json.loads(adapter.compose(self.message(**changes)).content)
        (attached,) = envelope["attachments"]
        assert attached["contentType"] == "application/vnd.microsoft.card.adaptive"
        return attached["content"]

    def test_the_request_is_the_published_envelope_at_the_very_address(self) -> None:
        adapter = self.open()
        assert isinstance(adapter, Teams)
        request = adapter.compose(self.message())
        assert (request.method, str(request.url)) == ("POST", URL)
        assert request.headers["content-type"] == "application/json"
        envelope = json.loads(request.content)
        assert (envelope["type"], envelope["to"]) == ("message", "U0ANA0ANA")
        card = self.card()
        assert (card["type"], card["version"], card["fallbackText"]) == ("AdaptiveCard", "1.4", "Your cart waits, Ana")

    def test_a_text_is_plain_line_by_line_and_its_links_can_be_followed(self) -> None:
        text = "Hi *Ana* [bank](x),\nlook: https://shop.example/a?b=1.\n\nBye"
        assert self.card(text=text)["body"] == [
            {
                "type": "RichTextBlock",
                "spacing": "Default",
                "inlines": [{"type": "TextRun", "text": "Hi *Ana* [bank](x),"}],
            },
            {
                "type": "RichTextBlock",
                "spacing": "None",
                "inlines": [
                    {"type": "TextRun", "text": "look: "},
                    {
                        "type": "TextRun",
                        "text": "https://shop.example/a?b=1",
                        "selectAction": {"type": "Action.OpenUrl", "url": "https://shop.example/a?b=1"},
                    },
                    {"type": "TextRun", "text": "."},
                ],
            },
            {"type": "RichTextBlock", "spacing": "Default", "inlines": [{"type": "TextRun", "text": "Bye"}]},
        ]

    def test_blocks_are_the_cards_elements(self) -> None:
        assert self.card(blocks=({"type": "TextBlock", "text": "R&amp;D"},))["body"] == [
            {"type": "TextBlock", "text": "R&D"}
        ]
        assert Teams.check_blocks([{"type": "TextBlock", "text": "x"}]) == []
        assert len(Teams.check_blocks([{"text": "x"}, "x"])) == 2

    def test_a_card_beyond_28_kilobytes_is_unsupported(self) -> None:
        with pytest.raises(UnsupportedMessage):
            self.open().send(self.message(text="a" * 28 * 1024))

    def test_the_address_is_shown_nowhere(self) -> None:
        assert "5ecret" not in f"{self.open()!r}{self.open().settings!r}"
        (problem,) = Teams.check_settings({"url": "http://flows.example/5ecret"})
        assert "5ecret" not in problem
