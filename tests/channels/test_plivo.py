"""Plivo, by its published shapes and its own SDK."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import warnings
from dataclasses import replace
from datetime import datetime
from urllib.parse import parse_qsl, urlencode

import pytest

from channels.base import AdapterContext
from channels.sms.plivo import Plivo
from channels.testing.contract import MOMENT, WEBHOOK_URL, HttpContract, ReceiptContract
from channels.testing.exhibit import HttpExhibit, ReceiptExhibit, Refusal
from channels.testing.server import Reply
from engine.delivery.message import WebhookRequest
from engine.errors import (
    ChannelConfigError,
    DoubtfulChannelError,
    ReceiptRefused,
    TransientChannelError,
    UnsupportedMessage,
)

with warnings.catch_warnings():
    # The SDK and what it stands on announce their own future; none of it is about us.
    warnings.simplefilter("ignore")
    from plivo.utils import validate_v3_signature

TOKEN = "pl1vo-t0ken"
MESSAGE_ID = "db3ce55a-7f1d-11e1-8ea7-1231380bc196"
NONCE = "12345678901234567890"

SETTINGS = {"auth_id": "MAXXXXXXXXXXXXXXXXXX", "auth_token": TOKEN, "src": "+447700900000"}


def no(status: int, error: str = "dst +447700900123 is wrong") -> Reply:
    return Reply(status=status, body={"api_id": "97ceeb52-58b6-11e1-86da-77300b68f8bb", "error": error})


def signed(body: bytes, moment: datetime, secret: str, url: str = f"{WEBHOOK_URL}?delivery=d1") -> WebhookRequest:
    """As Plivo's documents say it: address with its sorted query, a point, the sorted form, a point, the nonce."""
    fields = sorted(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
    text = f"{url}.{''.join(name + value for name, value in fields)}.{NONCE}"
    mac = base64.b64encode(hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest()).decode()
    headers = {
        "content-type": "application/x-www-form-urlencoded",
        "x-plivo-signature-v3": mac,
        "x-plivo-signature-v3-nonce": NONCE,
    }
    return WebhookRequest(url=url, method="POST", headers=headers, body=body, received_at=moment)


def status(word: str, **more: str) -> bytes:
    fields = {"MessageUUID": MESSAGE_ID, "Status": word, "To": "447700900123", "From": "447700900000", "Units": "1"}
    return urlencode({**fields, **more}).encode()


def inbound(text: str) -> bytes:
    fields = {"MessageUUID": "in-1", "From": "447700900123", "To": "447700900000", "Text": text, "Type": "sms"}
    return urlencode(fields).encode()


class TestPlivo(HttpContract, ReceiptContract):
    adapter = Plivo
    settings = SETTINGS
    exhibit = HttpExhibit(
        accepted=Reply(
            status=202, body={"message": "message(s) queued", "message_uuid": [MESSAGE_ID], "api_id": "97ceeb52"}
        ),
        message_id=MESSAGE_ID,
        refusals=(
            Refusal(reply=no(400), reason="rejected"),
            Refusal(reply=no(401), error=ChannelConfigError),
            Refusal(reply=no(404), error=ChannelConfigError),
            Refusal(reply=no(429), error=TransientChannelError),
            Refusal(reply=no(500), error=TransientChannelError),
            Refusal(reply=Reply(status=202, body={"message_uuid": []}), error=DoubtfulChannelError),
        ),
    )
    receipts = ReceiptExhibit(
        sign=signed,
        secret=TOKEN,
        bodies=(
            (status("delivered"), ("delivered",)),
            (status("queued"), ()),
            (status("sent"), ()),
            (status("undelivered", ErrorCode="300"), ("failed",)),
            (inbound("Where is it?"), ("replied",)),
        ),
        unknown=status("teleported"),
        unreadable=(b"", b"Status=delivered", b"nothing", b"\xff\xfe=\xff"),
    )

    def test_the_request_is_the_published_one(self) -> None:
        with self.serving(self.exhibit.accepted) as (adapter, server):
            adapter.send(self.message())
        request = server.seen[0]
        assert (request.method, request.path) == ("POST", "/Account/MAXXXXXXXXXXXXXXXXXX/Message/")
        known = base64.b64encode(f"MAXXXXXXXXXXXXXXXXXX:{TOKEN}".encode()).decode()
        assert request.headers["authorization"] == f"Basic {known}"
        assert json.loads(request.body) == {
            "src": "447700900000",
            "dst": "447700900123",
            "text": "Your cart waits, Ana",
            "type": "sms",
            "url": f"{WEBHOOK_URL}?delivery=d0123456789abcdef01234567",
            "method": "POST",
        }

    def test_a_powerpack_stands_in_for_a_sender(self) -> None:
        settings = {"auth_id": "MA", "auth_token": TOKEN, "powerpack_uuid": "pp-1"}
        adapter = Plivo.open(settings, AdapterContext(channel="sms", kind="sms"))
        assert isinstance(adapter, Plivo)
        body = json.loads(adapter.compose(self.message()).content)
        assert body["powerpack_uuid"] == "pp-1"
        assert {"src", "url", "method"}.isdisjoint(body)
        assert json.loads(adapter.compose(self.message(from_="Shop")).content)["src"] == "Shop"
        assert Plivo.check_settings({**settings, "src": "Shop"}) != []

    def test_without_any_sender_it_is_our_configuration(self) -> None:
        with pytest.raises(ChannelConfigError, match="no sender"):
            Plivo.open({"auth_id": "MA", "auth_token": TOKEN}, self.context()).send(self.message())

    def test_a_text_longer_than_1600_characters_is_unsupported(self) -> None:
        with pytest.raises(UnsupportedMessage):
            self.open().send(self.message(text="a" * 1601))

    def test_a_receipt_names_the_message_the_delivery_and_the_number(self) -> None:
        (receipt,) = self.open().parse(self.signed(status("delivered")))
        assert (receipt.provider_message_id, receipt.delivery_id) == (MESSAGE_ID, "d1")
        assert (receipt.address, receipt.receipt_id) == ("+447700900123", f"{MESSAGE_ID}.delivered")

    def test_a_part_of_a_long_text_is_about_the_whole(self) -> None:
        body = status("delivered", MessageUUID="part-2", ParentMessageUUID=MESSAGE_ID)
        (receipt,) = self.open().parse(self.signed(body))
        assert (receipt.provider_message_id, receipt.receipt_id) == (MESSAGE_ID, "part-2.delivered")

    @pytest.mark.parametrize(
        ("code", "kind", "is_hard"),
        [
            ("50", "bounced", True),
            ("70", "bounced", True),
            ("80", "bounced", False),
            ("200", "unsubscribed", False),
            ("30", "failed", False),
            ("", "failed", False),
        ],
    )
    def test_the_code_of_a_failure_says_whether_the_number_is_dead(self, code: str, kind: str, is_hard: bool) -> None:
        for word in ("undelivered", "failed"):
            (receipt,) = self.open().parse(self.signed(status(word, ErrorCode=code)))
            assert (receipt.kind, receipt.is_hard) == (kind, is_hard)

    def test_a_reply_carries_its_text_and_its_sender(self) -> None:
        (receipt,) = self.open().parse(self.signed(inbound("Stop.")))
        assert (receipt.kind, receipt.text, receipt.address) == ("replied", "Stop.", "+447700900123")
        assert receipt.provider_message_id is None

    def test_json_is_refused_since_its_body_would_not_be_signed(self) -> None:
        request = self.signed(status("delivered"))
        as_json = replace(request, headers={**request.headers, "content-type": "application/json"})
        with pytest.raises(ReceiptRefused, match="forms"):
            self.open().verify(as_json)

    def test_one_of_several_signatures_is_enough_while_the_token_is_being_changed(self) -> None:
        request = self.signed(status("delivered"))
        other = self.receipts.sign(request.body, MOMENT, "the next token").headers["x-plivo-signature-v3"]
        both = f"{other}, {request.headers['x-plivo-signature-v3']}"
        self.open().verify(replace(request, headers={**request.headers, "x-plivo-signature-v3": both}))

    def test_the_main_accounts_signature_counts_as_messages_come_with_it(self) -> None:
        request = self.signed(status("delivered"))
        mac = request.headers["x-plivo-signature-v3"]
        others = {name: value for name, value in request.headers.items() if name != "x-plivo-signature-v3"}
        self.open().verify(replace(request, headers={**others, "x-plivo-signature-ma-v3": mac}))
        for old in ("x-plivo-signature-v2", "x-plivo-signature-ma-v2"):
            with pytest.raises(ReceiptRefused):
                self.open().verify(replace(request, headers={**others, old: mac}))

    @pytest.mark.parametrize("url", [WEBHOOK_URL, f"{WEBHOOK_URL}?delivery=d1", f"{WEBHOOK_URL}?b=2&a=1&a=0"])
    @pytest.mark.parametrize("body", [status("delivered"), inbound("a=b & ç"), inbound("") + b"&Tag=z&Tag=y"])
    def test_the_sdk_of_plivo_and_we_believe_the_same_requests(self, url: str, body: bytes) -> None:
        fields: dict[str, list[str]] = {}
        for name, value in parse_qsl(body.decode(), keep_blank_values=True):
            fields.setdefault(name, []).append(value)
        candidates = set()
        for text in (
            f"{url}.{_flat(body)}",
            f"{url}?{_flat(body)}",
            f"{url.split('?')[0]}?{_query(url)}.{_flat(body)}",
        ):
            mac = hmac.new(TOKEN.encode(), f"{text}.{NONCE}".encode(), hashlib.sha256).digest()
            candidates.add(base64.b64encode(mac).decode())
        believed = {mac for mac in candidates if validate_v3_signature("POST", url, NONCE, TOKEN, mac, dict(fields))}
        assert len(believed) == 1
        for mac in candidates:
            request = replace(self.signed(body), url=url)
            request = replace(request, headers={**request.headers, "x-plivo-signature-v3": mac})
            if mac in believed:
                self.open().verify(request)
            else:
                with pytest.raises(ReceiptRefused):
                    self.open().verify(request)


def _flat(body: bytes) -> str:
    return "".join(name + value for name, value in sorted(parse_qsl(body.decode(), keep_blank_values=True)))


def _query(url: str) -> str:
    return "&".join(f"{name}={value}" for name, value in sorted(parse_qsl(url.partition("?")[2])))
