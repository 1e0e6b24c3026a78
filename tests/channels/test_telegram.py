"""Telegram's Bot API, by its published shapes and its description."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from channels.chat.telegram import Telegram
from channels.testing.contract import WEBHOOK_URL, KnownSenderContract
from channels.testing.exhibit import HttpExhibit, ReceiptExhibit, Refusal
from channels.testing.server import Reply, SeenRequest
from engine.delivery.message import WebhookRequest
from engine.errors import (
    ChannelConfigError,
    DoubtfulChannelError,
    ReceiptRefused,
    TransientChannelError,
    UnsupportedMessage,
)
from tests.channels.described import DescribedContract

TOKEN = "123456:ABC-DEF1234ghIkl-zyx57W2v1u123ew11"
SECRET = "telegram-says-this"
SETTINGS = {"token": TOKEN, "secret_token": SECRET}
TAKEN = {
    "ok": True,
    "result": {"message_id": 42, "date": 1772445600, "chat": {"id": 987654321, "type": "private"}, "text": "x"},
}
MOMENT = datetime.fromtimestamp(1772445600, UTC)


def no(code: int, description: str, **parameters: Any) -> Reply:
    body: dict[str, Any] = {"ok": False, "error_code": code, "description": description}
    return Reply(status=code, body=body | ({"parameters": parameters} if parameters else {}))


def signed(body: bytes, moment: datetime, secret: str) -> WebhookRequest:
    headers = {"content-type": "application/json", "x-telegram-bot-api-secret-token": secret}
    return WebhookRequest(url=WEBHOOK_URL, method="POST", headers=headers, body=body, received_at=moment)


def update(number: int, **fields: Any) -> bytes:
    return json.dumps({"update_id": number, **fields}).encode()


def message(number: int, chat_type: str = "private", **fields: Any) -> bytes:
    chat = {"id": 987654321, "type": chat_type, "first_name": "Ana"}
    person = {"id": 987654321, "is_bot": False, "first_name": "Ana"}
    return update(number, message={"message_id": 43, "from": person, "chat": chat, "date": 1772445600, **fields})


def membership(number: int, status: str, chat_type: str = "private") -> bytes:
    bot = {"id": 123456, "is_bot": True, "first_name": "Shop"}
    change = {
        "chat": {"id": 987654321, "type": chat_type},
        "from": {"id": 987654321, "is_bot": False, "first_name": "Ana"},
        "date": 1772445600,
        "old_chat_member": {"user": bot, "status": "member"},
        "new_chat_member": {"user": bot, "status": status, "until_date": 0},
    }
    return update(number, my_chat_member=change)


class TestTelegram(DescribedContract, KnownSenderContract):
    adapter = Telegram
    description = "telegram"
    settings = SETTINGS
    exhibit = HttpExhibit(
        accepted=Reply(status=200, body=TAKEN),
        message_id="987654321:42",
        refusals=(
            Refusal(reply=no(400, "Bad Request: chat not found"), reason="rejected"),
            Refusal(reply=no(403, "Forbidden: bot was blocked by the user"), reason="opted_out"),
            Refusal(reply=no(403, "Forbidden: user is deactivated"), reason="invalid_address"),
            Refusal(reply=no(403, "Forbidden: bot can't initiate conversation with a user"), reason="not_allowed"),
            Refusal(reply=no(403, "Forbidden: something new"), reason="not_allowed"),
            Refusal(reply=no(400, "Bad Request: something new"), reason="rejected"),
            Refusal(reply=no(400, "Bad Request: message is too long"), error=UnsupportedMessage),
            Refusal(reply=no(401, "Unauthorized"), error=ChannelConfigError),
            Refusal(reply=no(404, "Not Found"), error=ChannelConfigError),
            Refusal(reply=no(429, "Too Many Requests: retry after 5", retry_after=5), error=TransientChannelError),
            Refusal(reply=no(500, "Internal Server Error"), error=TransientChannelError),
            Refusal(reply=Reply(status=200, body={"ok": True}), error=DoubtfulChannelError),
        ),
    )
    receipts = ReceiptExhibit(
        sign=signed,
        secret=SECRET,
        bodies=(
            (message(1, text="Where is it?"), ("replied",)),
            (message(2, "group", text="stop that, Bob"), ()),
            (membership(3, "kicked"), ("unsubscribed",)),
            (membership(4, "member"), ()),
            (membership(5, "kicked", "group"), ()),
        ),
        unknown=update(6, teleportation={"id": "x"}),
        unreadable=(b"", b"{", b"[]", b"null", b'{"update_id": "x"}', b'{"update_id": 1, "message": {}}', b"\xff"),
    )

    def as_described(self, seen: SeenRequest) -> SeenRequest:
        return replace(seen, path=seen.path.removeprefix(f"/bot{TOKEN}"))

    def test_the_request_is_the_published_one(self) -> None:
        with self.serving(self.exhibit.accepted) as (adapter, server):
            adapter.send(self.message(to="987654321", text="*Ana*, <b>R&D</b> [x](y)"))
        assert (server.seen[0].method, server.seen[0].path) == ("POST", f"/bot{TOKEN}/sendMessage")
        # No `parse_mode`: what a person wrote is markup nowhere.
        assert json.loads(server.seen[0].body) == {"chat_id": "987654321", "text": "*Ana*, <b>R&D</b> [x](y)"}

    def test_blocks_are_buttons_one_below_the_other(self) -> None:
        blocks = (
            {"text": "R&amp;D", "url": "https://shop.example/?a=1&amp;b=2"},
            {"text": "B", "url": "https://b.example"},
        )
        with self.serving(self.exhibit.accepted) as (adapter, server):
            adapter.send(self.message(blocks=blocks))
        assert json.loads(server.seen[0].body)["reply_markup"] == {
            "inline_keyboard": [
                [{"text": "R&D", "url": "https://shop.example/?a=1&b=2"}],
                [{"text": "B", "url": "https://b.example"}],
            ]
        }

    def test_a_block_that_is_no_button_is_named(self) -> None:
        assert Telegram.check_blocks([{"text": "A", "url": "https://a.example"}]) == []
        assert len(Telegram.check_blocks([{"type": "section"}, "x", {"text": "A", "url": "b"}])) == 2

    def test_a_text_too_long_or_empty_is_unsupported(self) -> None:
        for text in ("a" * 4097, ""):
            with pytest.raises(UnsupportedMessage):
                self.open().send(self.message(text=text))

    def test_the_wait_that_the_body_names_is_honoured(self) -> None:
        slow_down = no(429, "Too Many Requests: retry after 17", retry_after=17)
        with self.serving(slow_down) as (adapter, _), pytest.raises(TransientChannelError) as caught:
            adapter.send(self.message())
        assert caught.value.retry_after == timedelta(seconds=17)

    def test_a_reply_carries_its_text_its_sender_and_the_message_that_it_answers(self) -> None:
        answered = {"message_id": 42, "chat": {"id": 987654321, "type": "private"}, "date": 1772445000}
        (receipt,) = self.open().parse(self.signed(message(7, text="Thanks!", reply_to_message=answered)))
        assert (receipt.kind, receipt.text, receipt.address) == ("replied", "Thanks!", "987654321")
        assert (receipt.provider_message_id, receipt.receipt_id) == ("987654321:42", "7")
        assert receipt.occurred_at == MOMENT

    @pytest.mark.parametrize(
        ("text", "heard"), [("/stop", "stop"), ("/stop@ShopBot", "stop"), ("/start", "start"), ("/a b", "/a b")]
    )
    def test_a_command_is_heard_as_its_word(self, text: str, heard: str) -> None:
        (receipt,) = self.open().parse(self.signed(message(8, text=text)))
        assert receipt.text == heard

    def test_a_picture_answers_with_its_caption(self) -> None:
        (receipt,) = self.open().parse(self.signed(message(9, photo=[], caption="broken")))
        assert receipt.text == "broken"

    def test_who_blocks_the_bot_has_unsubscribed(self) -> None:
        (receipt,) = self.open().parse(self.signed(membership(10, "kicked")))
        assert (receipt.kind, receipt.address, receipt.vendor_kind) == ("unsubscribed", "987654321", "kicked")

    def test_without_a_secret_updates_are_refused(self) -> None:
        with pytest.raises(ReceiptRefused, match="secret_token"):
            Telegram.open({"token": TOKEN}, self.context()).verify(self.signed(message(1, text="x")))
