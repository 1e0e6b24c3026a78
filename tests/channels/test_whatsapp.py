"""WhatsApp Cloud, by its published shapes."""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from channels.chat.whatsapp import WhatsApp
from channels.testing.contract import MOMENT, WEBHOOK_URL, HttpContract, ReceiptContract
from channels.testing.exhibit import HttpExhibit, ReceiptExhibit, Refusal
from channels.testing.server import Reply
from engine.delivery.message import Message, WebhookRequest
from engine.errors import (
    ChannelConfigError,
    DoubtfulChannelError,
    ReceiptRefused,
    TransientChannelError,
    UnsupportedMessage,
)

SECRET = "wh4tsapp-app-s3cret"
NUMBER = "106540352242922"
MESSAGE_ID = "wamid.HBgLMTY0NjcwNDM1OTUVAgARGBI1RjQyNUE3NEYxMzAzMzQ5MkEA"
SETTINGS = {
    "access_token": "EAAJ-5ecret",
    "phone_number_id": NUMBER,
    "app_secret": SECRET,
    "verify_token": "wh4tsapp-asks-this",
}


def no(code: int, status: int = 400) -> Reply:
    details = {"messaging_product": "whatsapp", "details": "+447700900123: no"}
    error = {"message": f"(#{code}) no", "type": "OAuthException", "code": code, "error_data": details}
    return Reply(status=status, body={"error": {**error, "fbtrace_id": "Az8or2yhqkZfEZ"}})


def signed(body: bytes, moment: datetime, secret: str) -> WebhookRequest:
    mac = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    headers = {"content-type": "application/json", "x-hub-signature-256": f"sha256={mac}"}
    return WebhookRequest(url=WEBHOOK_URL, method="POST", headers=headers, body=body, received_at=moment)


def change(field: str = "messages", number: str = NUMBER, **value: Any) -> bytes:
    about = {"display_phone_number": "447700900000", "phone_number_id": number}
    inner = {"messaging_product": "whatsapp", "metadata": about, **value}
    entry = {"id": "102290129340398", "changes": [{"value": inner, "field": field}]}
    return json.dumps({"object": "whatsapp_business_account", "entry": [entry]}).encode()


def status(word: str, *codes: int, id: str = MESSAGE_ID) -> bytes:
    row: dict[str, Any] = {
        "id": id,
        "status": word,
        "timestamp": "1772445600",
        "recipient_id": "447700900123",
        "biz_opaque_callback_data": "d0123456789abcdef01234567",
    }
    if codes:
        row["errors"] = [{"code": code, "title": "no"} for code in codes]
    return change(statuses=[row])


def message(id: str, type: str, **fields: Any) -> bytes:
    row = {"from": "447700900123", "id": id, "timestamp": "1772445600", "type": type, **fields}
    people = [{"profile": {"name": "Ana"}, "wa_id": "447700900123"}]
    return change(contacts=people, messages=[row])


def choice(value: str) -> bytes:
    row = {
        "wa_id": "447700900123",
        "detail": "User requested to stop marketing messages",
        "category": "marketing_messages",
        "value": value,
        "timestamp": 1772445600,
    }
    return change("user_preferences", user_preferences=[row])


class TestWhatsApp(HttpContract, ReceiptContract):
    adapter = WhatsApp
    settings = SETTINGS
    exhibit = HttpExhibit(
        accepted=Reply(
            status=200,
            body={
                "messaging_product": "whatsapp",
                "contacts": [{"input": "+447700900123", "wa_id": "447700900123"}],
                "messages": [{"id": MESSAGE_ID, "message_status": "accepted"}],
            },
        ),
        message_id=MESSAGE_ID,
        refusals=(
            Refusal(reply=no(131047), reason="not_allowed"),
            Refusal(reply=no(131049), reason="not_allowed"),
            Refusal(reply=no(131050), reason="opted_out"),
            Refusal(reply=no(131026), reason="rejected"),
            Refusal(reply=no(132000), reason="rejected"),
            Refusal(reply=no(132001, 404), reason="rejected"),
            Refusal(reply=no(999999), reason="rejected"),
            Refusal(reply=no(131051), error=UnsupportedMessage),
            Refusal(reply=no(190, 401), error=ChannelConfigError),
            Refusal(reply=no(368), error=ChannelConfigError),
            Refusal(reply=no(131048, 400), error=ChannelConfigError),
            Refusal(reply=no(130429), error=TransientChannelError),
            Refusal(reply=no(131056), error=TransientChannelError),
            Refusal(reply=no(4, 400), error=TransientChannelError),
            Refusal(reply=Reply(status=200, body={"messages": []}), error=DoubtfulChannelError),
        ),
        throttled=no(130429, 429),
    )
    receipts = ReceiptExhibit(
        sign=signed,
        secret=SECRET,
        bodies=(
            (status("delivered"), ("delivered",)),
            (status("read"), ("opened",)),
            (status("sent"), ()),
            (status("failed", 131026), ("bounced",)),
            (status("failed", 131047, id="wamid.2"), ("failed",)),
            (message("wamid.in1", "text", text={"body": "Where is it?"}), ("replied",)),
            (choice("stop"), ("unsubscribed",)),
            (change(number="another", statuses=[{"id": "x", "status": "delivered"}]), ()),
        ),
        unknown=status("teleported"),
        unreadable=(b"", b"{", b"[]", b"null", b'{"entry": [{}]}', b"\xff"),
    )

    def message(self, **changes: Any) -> Message:
        return super().message(**{"to": "+447700900123", **changes})

    def test_one_report_that_cannot_be_read_keeps_nothing_from_the_others(self) -> None:
        """Meta sends many in one request, and the same ones again for days while they are refused."""
        good = {"id": "wamid.1", "status": "delivered", "timestamp": "1772445600", "recipient_id": "447700900123"}
        rows = [{"id": "wamid.0"}, good, {**good, "timestamp": "soon"}, {**good, "id": "wamid.2"}]
        entries = json.loads(change(statuses=rows))["entry"]
        entries[0]["changes"] = [{}, *entries[0]["changes"], {"field": "messages", "value": 7}]
        entries = [{"id": "1"}, *entries, 7, {"changes": None}]
        found = self.open().parse(self.signed(json.dumps({"entry": entries}).encode()))
        assert [receipt.provider_message_id for receipt in found] == ["wamid.1", "wamid.2"]

    def sent(self, **changes: Any) -> Any:
        with self.serving(self.exhibit.accepted) as (adapter, server):
            adapter.send(self.message(**changes))
        return json.loads(server.seen[0].body)

    def test_a_text_goes_as_published(self) -> None:
        with self.serving(self.exhibit.accepted) as (adapter, server):
            adapter.send(self.message())
        request = server.seen[0]
        assert (request.method, request.path) == ("POST", f"/v23.0/{NUMBER}/messages")
        assert request.headers["authorization"] == "Bearer EAAJ-5ecret"
        assert json.loads(request.body) == {
            "messaging_product": "whatsapp",
            "recipient_type": "individual",
            "to": "+447700900123",
            "type": "text",
            "text": {"body": "Your cart waits, Ana", "preview_url": False},
            "biz_opaque_callback_data": "d0123456789abcdef01234567",
        }

    def test_a_block_sends_the_template_that_it_names_and_not_the_text(self) -> None:
        block = {"template": "cart_waits", "language": "en_GB", "parameters": ["Ana &amp;\n Bob", "12 €"]}
        body = self.sent(blocks=(block,))
        assert "text" not in body
        assert body["type"] == "template"
        assert body["template"] == {
            "name": "cart_waits",
            "language": {"code": "en_GB"},
            "components": [
                {
                    "type": "body",
                    "parameters": [{"type": "text", "text": "Ana & Bob"}, {"type": "text", "text": "12 €"}],
                }
            ],
        }

    def test_parameters_may_have_names_and_other_components_go_as_meta_takes_them(self) -> None:
        picture = {"type": "header", "parameters": [{"type": "image", "image": {"link": "https://shop.example/a.png"}}]}
        block = {"template": "t", "language": "es", "parameters": {"name": "Ana"}, "components": [picture]}
        assert self.sent(blocks=(block,))["template"]["components"] == [
            {"type": "body", "parameters": [{"type": "text", "parameter_name": "name", "text": "Ana"}]},
            picture,
        ]
        assert self.sent(blocks=({"template": "t", "language": "es"},))["template"]["components"] == []

    @pytest.mark.parametrize(
        ("blocks", "named"),
        [
            ([{"language": "es"}], "`template` is missing"),
            ([{"template": "t"}], "`language`"),
            (
                [{"template": "t", "language": "es", "params": []}],
                "there is no key `params`: allowed are template,",
            ),
            ([{"template": "t", "language": "es", "parameters": "Ana"}], "`parameters"),
            ([{"type": "section"}], "`template`"),
            ([{"template": "t", "language": "es"}] * 2, "one block"),
            (["x"], ""),
        ],
    )
    def test_a_block_that_is_no_template_is_named_and_never_sent(self, blocks: list[Any], named: str) -> None:
        problems = WhatsApp.check_blocks(blocks)
        assert any(named in problem for problem in problems)
        with pytest.raises(UnsupportedMessage):
            self.open().send(self.message(blocks=tuple(blocks)))

    def test_a_text_too_long_or_empty_is_unsupported(self) -> None:
        for text in ("a" * 4097, ""):
            with pytest.raises(UnsupportedMessage):
                self.open().send(self.message(text=text))

    def test_a_status_names_the_message_the_delivery_and_the_number(self) -> None:
        (receipt,) = self.open().parse(self.signed(status("read")))
        assert (receipt.provider_message_id, receipt.delivery_id) == (MESSAGE_ID, "d0123456789abcdef01234567")
        assert (receipt.address, receipt.receipt_id) == ("+447700900123", f"{MESSAGE_ID}.read")
        assert receipt.occurred_at == datetime.fromtimestamp(1772445600, UTC)

    @pytest.mark.parametrize(
        ("type", "fields", "text"),
        [
            ("text", {"text": {"body": "STOP"}}, "STOP"),
            ("button", {"button": {"payload": "p", "text": "Stop promotions"}}, "Stop promotions"),
            (
                "interactive",
                {"interactive": {"type": "button_reply", "button_reply": {"id": "1", "title": "Yes"}}},
                "Yes",
            ),
            ("image", {"image": {"caption": "broken", "id": "1"}}, "broken"),
            ("image", {"image": {"id": "1"}}, ""),
            ("audio", {"audio": {"id": "1"}}, ""),
        ],
    )
    def test_a_reply_carries_its_words_its_sender_and_the_message_that_it_answers(
        self, type: str, fields: dict[str, Any], text: str
    ) -> None:
        body = message("wamid.in", type, context={"from": "447700900000", "id": MESSAGE_ID}, **fields)
        (receipt,) = self.open().parse(self.signed(body))
        assert (receipt.kind, receipt.text, receipt.address) == ("replied", text, "+447700900123")
        assert receipt.provider_message_id == MESSAGE_ID

    def test_a_message_of_a_new_type_is_kept_as_unknown(self) -> None:
        (receipt,) = self.open().parse(self.signed(message("wamid.in", "hologram")))
        assert (receipt.kind, receipt.vendor_kind) == ("unknown", "hologram")

    def test_who_stops_marketing_in_whatsapp_has_unsubscribed_and_to_resume_lifts_nothing(self) -> None:
        (stopped,) = self.open().parse(self.signed(choice("stop")))
        assert (stopped.kind, stopped.address, stopped.provider_message_id) == ("unsubscribed", "+447700900123", None)
        (resumed,) = self.open().parse(self.signed(choice("resume")))
        assert resumed.kind == "unknown"

    def test_metas_question_whether_the_address_is_ours_is_answered_to_who_knows_the_token(self) -> None:
        url = f"{WEBHOOK_URL}?hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=wh4tsapp-asks-this"
        request = WebhookRequest(url=url, method="GET", headers={}, body=b"", received_at=MOMENT)
        adapter = self.open()
        adapter.verify(request)
        assert adapter.answer(request) == "1158201444"
        for other in (url.replace("wh4tsapp", "x"), WEBHOOK_URL):
            with pytest.raises(ReceiptRefused):
                adapter.verify(replace(request, url=other))
        posted = self.signed(status("read"))
        assert adapter.answer(replace(posted, url=url)) == ""
        without = {name: value for name, value in SETTINGS.items() if name != "verify_token"}
        with pytest.raises(ReceiptRefused, match="verify_token"):
            WhatsApp.open(without, self.context()).verify(request)

    def test_a_token_in_the_address_proves_no_report(self) -> None:
        request = self.signed(status("read"))
        url = f"{WEBHOOK_URL}?hub.verify_token=wh4tsapp-asks-this"
        with pytest.raises(ReceiptRefused):
            self.open().verify(replace(request, url=url, headers={}))

    def test_without_an_app_secret_webhooks_are_refused(self) -> None:
        settings = {name: value for name, value in SETTINGS.items() if name != "app_secret"}
        with pytest.raises(ReceiptRefused, match="app_secret"):
            WhatsApp.open(settings, self.context()).verify(self.signed(status("read")))
