"""Any system of one's own, over signed JSON."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import replace
from datetime import datetime

import pytest

from channels.signatures import standard_signature
from channels.testing.contract import MOMENT, WEBHOOK_URL, HttpContract, TimedReceiptContract
from channels.testing.exhibit import HttpExhibit, ReceiptExhibit, Refusal
from channels.testing.server import Reply
from channels.webhook import Webhook
from engine.delivery.message import WebhookRequest
from engine.errors import (
    ChannelConfigError,
    DoubtfulChannelError,
    ReceiptRefused,
    TransientChannelError,
    UnsupportedMessage,
)
from engine.project import ChannelKind

SECRET = "hook-s3cret"
SETTINGS = {"url": "https://crm.example/messages?key=t0ken-in-the-address", "secret": SECRET}


def no(word: str, status: int = 400) -> Reply:
    return Reply(status=status, body={"error": word})


def signed(body: bytes, moment: datetime, secret: str) -> WebhookRequest:
    name, stamp = hashlib.sha256(body).hexdigest(), str(int(moment.timestamp()))
    mac = hmac.new(secret.encode(), f"{name}.{stamp}.".encode() + body, hashlib.sha256).digest()
    headers = {
        "content-type": "application/json",
        "webhook-id": name,
        "webhook-timestamp": stamp,
        "webhook-signature": "v1," + base64.b64encode(mac).decode(),
    }
    return WebhookRequest(url=WEBHOOK_URL, method="POST", headers=headers, body=body, received_at=moment)


def report(kind: str, **more: object) -> bytes:
    return json.dumps({"kind": kind, "delivery": "d1", **more}).encode()


class _WebhookContract(HttpContract, TimedReceiptContract):
    adapter = Webhook
    settings = SETTINGS
    exhibit = HttpExhibit(
        accepted=Reply(status=204),
        message_id=None,
        refusals=(
            Refusal(reply=no("invalid_address"), reason="invalid_address"),
            Refusal(reply=no("opted_out"), reason="opted_out"),
            Refusal(reply=no("not_allowed", 403), reason="not_allowed"),
            Refusal(reply=no("a word of its own"), reason="rejected"),
            Refusal(reply=no("unsupported"), error=UnsupportedMessage),
            Refusal(reply=no("config"), error=ChannelConfigError),
            Refusal(reply=no("transient"), error=TransientChannelError),
            Refusal(reply=no("doubtful", 500), error=DoubtfulChannelError),
        ),
    )
    receipts = ReceiptExhibit(
        sign=signed,
        secret=SECRET,
        bodies=(
            (report("delivered"), ("delivered",)),
            (report("bounced", is_hard=True), ("bounced",)),
            (report("replied", address="+447700900123", text="STOP"), ("replied",)),
        ),
        unknown=report("teleported"),
        unreadable=(b"", b"{", b"[]", b"{}", b"\xff"),
    )


class TestWebhookOfSms(_WebhookContract):
    kind: ChannelKind = "sms"

    def test_the_request_is_signed_and_whole(self) -> None:
        with self.serving(self.exhibit.accepted) as (adapter, server):
            adapter.send(self.message(metadata={"journey": "cart"}))
        (request,) = server.seen
        name, stamp = request.headers["webhook-id"], request.headers["webhook-timestamp"]
        assert name == "d0123456789abcdef01234567"
        assert request.headers["webhook-signature"] == standard_signature(SECRET, name, stamp, request.body)
        assert json.loads(request.body) == {
            "delivery": "d0123456789abcdef01234567",
            "channel": "sms",
            "kind": "sms",
            "to": "+447700900123",
            "from": None,
            "subject": None,
            "text": "Your cart waits, Ana",
            "html": None,
            "blocks": [],
            "headers": {},
            "metadata": {"journey": "cart"},
            "is_test": False,
            "reports_to": WEBHOOK_URL,
        }

    def test_the_address_is_used_as_it_is_written(self) -> None:
        adapter = Webhook.open({"url": "https://crm.example/in/?key=1"}, self.context())
        assert isinstance(adapter, Webhook)
        assert str(adapter.compose(self.message()).url) == "https://crm.example/in/?key=1"

    def test_an_answer_may_name_the_message(self) -> None:
        with self.serving(Reply(status=200, body={"id": "m-1"})) as (adapter, _):
            assert adapter.send(self.message()).provider_message_id == "m-1"

    def test_the_address_is_not_shown(self) -> None:
        adapter = self.open()
        assert "t0ken" not in f"{adapter!r} {adapter.settings!r} {vars(adapter)}"

    def test_several_signatures_may_come_while_a_secret_is_changed(self) -> None:
        request = self.signed(report("delivered"))
        both = f"v1,{base64.b64encode(b'old' * 11).decode()} {request.headers['webhook-signature']}"
        self.open().verify(replace(request, headers={**request.headers, "webhook-signature": both}))

    def test_a_reply_carries_its_text_and_its_sender(self) -> None:
        (receipt,) = self.open().parse(self.signed(self.receipts.bodies[2][0]))
        assert (receipt.address, receipt.text, receipt.delivery_id) == ("+447700900123", "STOP", "d1")
        assert receipt.occurred_at == MOMENT

    def test_without_a_secret_reports_are_refused(self) -> None:
        adapter = Webhook.open({"url": "https://crm.example"}, self.context())
        with pytest.raises(ReceiptRefused, match="`secret`"):
            adapter.verify(self.signed(report("delivered")))


class TestWebhookOfEmailThatDeduplicates(_WebhookContract):
    kind: ChannelKind = "email"
    settings = {**SETTINGS, "deduplicates": True}  # noqa: RUF012 (the suite only reads it)

    def test_it_says_so(self) -> None:
        assert self.open().capabilities.has_idempotency


def test_the_published_example_of_the_standard_comes_out() -> None:
    """Of the Standard Webhooks specification."""
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    body = b'{"test": 2432232314}'
    expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert standard_signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", body) == expected


def test_plain_http_to_another_machine_is_named() -> None:
    problems = Webhook.check_settings({"url": "http://crm.example/c0nfidential"})
    assert len(problems) == 1
    assert problems[0].startswith("setting `url`: must begin with https://")
    assert "c0nfidential" not in problems[0]
