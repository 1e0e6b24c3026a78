"""Mailgun, by its published shapes: it publishes no description."""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.parser import BytesParser
from typing import Any

import pytest

from channels.email.mailgun import Mailgun
from channels.testing.contract import MOMENT, WEBHOOK_URL, FreshSenderContract, HttpContract
from channels.testing.exhibit import HttpExhibit, ReceiptExhibit, Refusal
from channels.testing.server import Reply
from engine.delivery.message import Attachment, WebhookRequest
from engine.errors import ChannelConfigError, ReceiptRefused, TransientChannelError

KEY = "key-ma1lgun"
SIGNING_KEY = "s1gn1ng-k3y"
DELIVERY = "d0123456789abcdef01234567"


def signed(body: bytes, moment: datetime, secret: str) -> WebhookRequest:
    """Mailgun puts the signature into the body, beside what it does not sign."""
    stamp, token = str(int(moment.timestamp())), hashlib.sha256(body).hexdigest()[:50]
    mac = hmac.new(secret.encode(), f"{stamp}{token}".encode(), hashlib.sha256).hexdigest()
    try:
        event = json.loads(body)
        body = json.dumps(
            {"signature": {"timestamp": stamp, "token": token, "signature": mac}, "event-data": event}
        ).encode()
    except ValueError:
        pass
    headers = {"content-type": "application/json"}
    return WebhookRequest(url=WEBHOOK_URL, method="POST", headers=headers, body=body, received_at=moment)


def event(word: str, **more: Any) -> bytes:
    fields = {
        "event": word,
        "id": "CPgfbmQMTCKtHW6uIWtuVe",
        "timestamp": 1772445600.5,
        "recipient": "ana@shop.example",
        "message": {"headers": {"message-id": f"{DELIVERY}@shop.example"}},
        "user-variables": {"delivery": DELIVERY},
    }
    return json.dumps({**fields, **more}).encode()


def no(status: int, said: str = "No") -> Reply:
    return Reply(status=status, body={"message": said})


SETTINGS = {
    "api_key": KEY,
    "domain": "mg.shop.example",
    "from": "Demo Shop <hello@shop.example>",
    "webhook_signing_key": SIGNING_KEY,
}


class TestMailgun(HttpContract, FreshSenderContract):
    adapter = Mailgun
    settings = SETTINGS
    exhibit = HttpExhibit(
        accepted=Reply(status=200, body={"id": f"<{DELIVERY}@shop.example>", "message": "Queued. Thank you."}),
        message_id=f"{DELIVERY}@shop.example",
        refusals=(
            Refusal(
                reply=no(400, "'to' parameter is not a valid address. please check documentation"),
                reason="invalid_address",
            ),
            Refusal(reply=no(400, "to parameter is not a valid address"), reason="invalid_address"),
            Refusal(reply=no(400, "Need at least one of 'text' or 'html'"), reason="rejected"),
            Refusal(reply=no(413), reason="too_large"),
            Refusal(reply=no(400, "from parameter is not a valid address"), error=ChannelConfigError),
            Refusal(reply=Reply(status=401, body="Forbidden"), error=ChannelConfigError),
            Refusal(reply=no(403), error=ChannelConfigError),
            Refusal(reply=no(404, "Domain not found: mg.shop.example"), error=ChannelConfigError),
            Refusal(reply=no(429), error=TransientChannelError),
        ),
        throttled=no(429),
    )
    receipts = ReceiptExhibit(
        sign=signed,
        secret=SIGNING_KEY,
        bodies=(
            (event("delivered"), ("delivered",)),
            (event("accepted"), ()),
            (event("failed", severity="permanent", reason="bounce"), ("bounced",)),
            (event("failed", severity="temporary", reason="generic"), ("deferred",)),
            (event("opened"), ("opened",)),
            (event("clicked", url="https://shop.example/c"), ("clicked",)),
            (event("complained"), ("complained",)),
            (event("unsubscribed"), ("unsubscribed",)),
            (event("rejected", reject={"reason": "Sandbox subdomains are for test purposes only"}), ("failed",)),
        ),
        unknown=event("teleported"),
        unreadable=(b"", b"{", b"[]", b"{}", b'{"event": "delivered"}', b"\xff"),
    )

    def test_the_request_is_the_published_form(self) -> None:
        headers = {"List-Unsubscribe": "<https://shop.example/u/x>"}
        with self.serving(self.exhibit.accepted) as (adapter, server):
            adapter.send(self.message(headers=headers, metadata={"journey": "cart"}))
        request = server.seen[0]
        assert (request.method, request.path) == ("POST", "/v3/mg.shop.example/messages")
        assert request.headers["authorization"] == "Basic YXBpOmtleS1tYTFsZ3Vu"
        assert request.form() == {
            "from": "Demo Shop <hello@shop.example>",
            "to": "ana@shop.example",
            "subject": "Your cart",
            "text": "Your cart waits, Ana",
            "html": "<p>Your cart waits, <b>Ana</b></p>",
            "h:Message-Id": f"<{DELIVERY}@shop.example>",
            "h:List-Unsubscribe": "<https://shop.example/u/x>",
            "v:delivery": DELIVERY,
            "v:journey": "cart",
        }

    def test_attachments_go_along_as_files(self) -> None:
        attached = tuple(
            Attachment(name=name, media_type="application/pdf", content=b"%PDF\r\n\x00") for name in ("a.pdf", "ü.pdf")
        )
        with self.serving(self.exhibit.accepted) as (adapter, server):
            adapter.send(self.message(attachments=attached))
        request = server.seen[0]
        whole = BytesParser().parsebytes(
            b"Content-Type: " + request.headers["content-type"].encode() + b"\r\n\r\n" + request.body
        )
        parts = [part for part in whole.walk() if part.get_filename()]
        assert [part.get_param("name", header="content-disposition") for part in parts] == ["attachment"] * 2
        assert [part.get_content_type() for part in parts] == ["application/pdf"] * 2
        assert request.body.count(b"%PDF\r\n\x00") == 2
        assert b"Your cart waits, Ana" in request.body

    def test_a_domain_cannot_change_the_path(self) -> None:
        adapter = Mailgun.open({**self.settings, "domain": "../x?"}, self.context())
        assert isinstance(adapter, Mailgun)
        assert adapter.compose(self.message()).url.raw_path == b"/v3/..%2Fx%3F/messages"

    def test_a_receipt_names_the_message_the_delivery_and_the_address(self) -> None:
        (receipt,) = self.open().parse(signed(event("delivered"), MOMENT, SIGNING_KEY))
        assert receipt.provider_message_id == self.exhibit.message_id
        assert (receipt.delivery_id, receipt.address) == (DELIVERY, "ana@shop.example")
        assert receipt.occurred_at == MOMENT + timedelta(milliseconds=500)

    def test_a_token_counts_once_whatever_report_it_is_put_beside(self) -> None:
        """The signature does not cover the report: what is forged beside a known token is a repeat to the engine."""
        genuine = signed(event("opened"), MOMENT, SIGNING_KEY)
        forged = replace(genuine, body=genuine.body.replace(b'"opened"', b'"complained"'))
        self.open().verify(forged)
        (first,), (second,) = self.open().parse(genuine), self.open().parse(forged)
        assert first.receipt_id == second.receipt_id

    def test_a_time_or_a_token_changed_after_signing_is_refused(self) -> None:
        genuine = signed(event("opened"), MOMENT, SIGNING_KEY)
        block = json.loads(genuine.body)["signature"]
        for name in block:
            changed = genuine.body.replace(block[name].encode(), b"1" + block[name].encode()[1:][::-1])
            with pytest.raises(ReceiptRefused):
                self.open().verify(replace(genuine, body=changed))

    @pytest.mark.parametrize(
        ("reason", "kind", "is_hard"),
        [
            ("bounce", "bounced", True),
            ("suppress-bounce", "bounced", True),
            ("suppress-complaint", "complained", False),
            ("suppress-unsubscribe", "unsubscribed", False),
            ("old", "bounced", False),
        ],
    )
    def test_what_is_for_good_and_what_is_not(self, reason: str, kind: str, is_hard: bool) -> None:
        body = event("failed", severity="permanent", reason=reason)
        (receipt,) = self.open().parse(signed(body, MOMENT, SIGNING_KEY))
        assert (receipt.kind, receipt.is_hard) == (kind, is_hard)

    def test_without_a_retry_after_the_limits_own_reset_counts(self) -> None:
        in_an_hour = int((datetime.now(UTC) + timedelta(hours=1)).timestamp() * 1000)
        reply = Reply(status=429, headers={"X-RateLimit-Reset": str(in_an_hour)})
        with self.serving(reply) as (adapter, _), pytest.raises(TransientChannelError) as caught:
            adapter.send(self.message())
        assert caught.value.retry_after is not None
        assert timedelta(minutes=50) < caught.value.retry_after <= timedelta(hours=1)

    def test_without_a_signing_key_reports_are_refused(self) -> None:
        adapter = Mailgun.open({"api_key": KEY, "domain": "mg.shop.example"}, self.context())
        with pytest.raises(ReceiptRefused, match="webhook_signing_key"):
            adapter.verify(signed(event("delivered"), MOMENT, SIGNING_KEY))
