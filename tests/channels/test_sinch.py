"""Sinch's SMS API, by its published shapes."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from channels.base import AdapterContext
from channels.sms.sinch import Sinch
from channels.testing.contract import WEBHOOK_URL, HttpContract, KnownSenderContract, TimedReceiptContract
from channels.testing.exhibit import HttpExhibit, ReceiptExhibit, Refusal
from channels.testing.server import Reply
from engine.delivery.message import WebhookRequest
from engine.errors import ChannelConfigError, ReceiptRefused, TransientChannelError, UnsupportedMessage

SECRET = "s1nch-webh00k"
BATCH = "01FC66621XXXXX119Z8PMV1QPQ"
SETTINGS = {
    "service_plan_id": "plan/1",
    "api_token": "s1nch-t0ken",
    "region": "eu",
    "from": "+447700900000",
    "webhook_secret": SECRET,
}
KNOWN = {
    **{name: value for name, value in SETTINGS.items() if name != "webhook_secret"},
    "callback_username": "sinch",
    "callback_password": SECRET,
}
#: From the tests of Sinch's own SDK for .NET.
PUBLISHED = (
    b'{"app_id":"","accepted_time":"2021-10-18T17:49:13.813615Z",'
    b'"project_id":"e2df3a34-a71b-4448-9db5-a8d2baad28e4","contact_create_notification":{"contact":'
    b'{"id":"01FJA8B466Y0R2GNXD78MD9SM1","channel_identities":[{"channel":"SMS","identity":"48123456789",'
    b'"app_id":""}],"display_name":"New Test Contact","email":"new.contact@email.com","external_id":"",'
    b'"metadata":"","language":"EN_US"}},"message_metadata":""}'
)


def no(status: int, code: str) -> Reply:
    return Reply(status=status, body={"code": code, "text": "to +447700900123: no"})


def signed(body: bytes, moment: datetime, secret: str) -> WebhookRequest:
    stamp, nonce = str(int(moment.timestamp())), "01FJA8B4A7BM43YGWSG9GBV067"
    mac = hmac.new(secret.encode(), body + f".{nonce}.{stamp}".encode(), hashlib.sha256).digest()
    headers = {
        "content-type": "application/json",
        "x-sinch-webhook-signature": base64.b64encode(mac).decode(),
        "x-sinch-webhook-signature-algorithm": "HmacSHA256",
        "x-sinch-webhook-signature-nonce": nonce,
        "x-sinch-webhook-signature-timestamp": stamp,
    }
    return WebhookRequest(url=WEBHOOK_URL, method="POST", headers=headers, body=body, received_at=moment)


def known(body: bytes, moment: datetime, secret: str) -> WebhookRequest:
    headers = {
        "content-type": "application/json",
        "authorization": "Basic " + base64.b64encode(f"sinch:{secret}".encode()).decode(),
    }
    return WebhookRequest(url=WEBHOOK_URL, method="POST", headers=headers, body=body, received_at=moment)


def report(status: str, code: int = 0) -> bytes:
    fields = {
        "type": "recipient_delivery_report_sms",
        "batch_id": BATCH,
        "recipient": "447700900123",
        "code": code,
        "status": status,
        "at": "2026-03-02T09:59:58.930Z",
        "operator_status_at": "2026-03-02T09:59:00Z",
        "client_reference": "d0123456789abcdef01234567",
    }
    return json.dumps(fields).encode()


def inbound(text: str) -> bytes:
    fields = {
        "type": "mo_text",
        "id": "01FC66621XXXXX119Z8PMV1AHY",
        "from": "447700900123",
        "to": "447700900000",
        "body": text,
        "received_at": "2026-03-02T09:59:58.930Z",
    }
    return json.dumps(fields).encode()


BODIES = (
    (report("Delivered"), ("delivered",)),
    (report("Dispatched", 401), ()),
    (report("Failed", 11), ("failed",)),
    (report("Expired", 406), ("failed",)),
    (inbound("Where is it?"), ("replied",)),
)
UNREADABLE = (b"", b"{", b"[]", b"null", b'{"type": "mo_text"}', b"\xff")


class TestSinch(HttpContract, TimedReceiptContract):
    adapter = Sinch
    settings = SETTINGS
    exhibit = HttpExhibit(
        accepted=Reply(
            status=201,
            body={"id": BATCH, "to": ["447700900123"], "from": "447700900000", "canceled": False, "type": "mt_text"},
        ),
        message_id=BATCH,
        refusals=(
            Refusal(reply=no(400, "syntax_constraint_violation"), reason="rejected"),
            Refusal(reply=no(400, "something_new"), reason="rejected"),
            Refusal(reply=no(401, "unauthorized"), error=ChannelConfigError),
            Refusal(reply=no(403, "missing_callback_url"), error=ChannelConfigError),
            Refusal(reply=Reply(status=429), error=TransientChannelError),
            Refusal(reply=Reply(status=500), error=TransientChannelError),
        ),
    )
    receipts = ReceiptExhibit(
        sign=signed, secret=SECRET, bodies=BODIES, unknown=report("Teleported"), unreadable=UNREADABLE
    )

    def test_the_request_is_the_published_one(self) -> None:
        with self.serving(self.exhibit.accepted) as (adapter, server):
            adapter.send(self.message())
        request = server.seen[0]
        assert (request.method, request.path) == ("POST", "/xms/v1/plan%2F1/batches")
        assert request.headers["authorization"] == "Bearer s1nch-t0ken"
        assert json.loads(request.body) == {
            "type": "mt_text",
            "from": "447700900000",
            "to": ["447700900123"],
            "body": "Your cart waits, Ana",
            "client_reference": "d0123456789abcdef01234567",
            "delivery_report": "per_recipient_final",
            "callback_url": WEBHOOK_URL,
        }

    def test_the_region_is_part_of_the_address_and_no_callback_is_asked_for_where_sinch_cannot_reach_us(self) -> None:
        adapter = Sinch.open({**SETTINGS, "region": "au"}, AdapterContext(channel="sms", kind="sms"))
        assert isinstance(adapter, Sinch)
        request = adapter.compose(self.message())
        assert request.url.host == "au.sms.api.sinch.com"
        assert {"callback_url", "delivery_report"}.isdisjoint(json.loads(request.content))
        (problem,) = Sinch.check_settings({**SETTINGS, "region": "evil.example/"})
        assert "`region`" in problem

    def test_without_any_sender_it_is_our_configuration(self) -> None:
        settings = {name: value for name, value in SETTINGS.items() if name != "from"}
        with pytest.raises(ChannelConfigError, match="no sender"):
            Sinch.open(settings, self.context()).send(self.message())

    def test_a_text_longer_than_2000_characters_is_unsupported(self) -> None:
        with pytest.raises(UnsupportedMessage):
            self.open().send(self.message(text="a" * 2001))

    def test_a_receipt_names_the_message_the_delivery_and_the_number(self) -> None:
        (receipt,) = self.open().parse(self.signed(report("Delivered")))
        assert (receipt.provider_message_id, receipt.delivery_id) == (BATCH, "d0123456789abcdef01234567")
        assert (receipt.address, receipt.vendor_kind) == ("+447700900123", "delivered")
        assert receipt.occurred_at == datetime(2026, 3, 2, 9, 59, 58, 930_000, UTC)

    @pytest.mark.parametrize(
        ("code", "kind", "is_hard"),
        [(1, "bounced", True), (5, "bounced", False), (27, "bounced", False), (402, "bounced", False)],
    )
    def test_the_code_of_a_failure_says_whether_the_number_is_dead(self, code: int, kind: str, is_hard: bool) -> None:
        (receipt,) = self.open().parse(self.signed(report("Failed", code)))
        assert (receipt.kind, receipt.is_hard) == (kind, is_hard)

    def test_a_reply_carries_its_text_and_its_sender(self) -> None:
        (receipt,) = self.open().parse(self.signed(inbound("STOP")))
        assert (receipt.kind, receipt.text, receipt.address) == ("replied", "STOP", "+447700900123")

    def test_a_report_on_a_whole_batch_is_kept_as_unknown(self) -> None:
        body = json.dumps({"type": "delivery_report_sms", "batch_id": BATCH, "statuses": []}).encode()
        (receipt,) = self.open().parse(self.signed(body))
        assert (receipt.kind, receipt.provider_message_id) == ("unknown", BATCH)

    def test_the_signature_of_sinchs_own_test_is_believed(self) -> None:
        settings = {**SETTINGS, "webhook_secret": "foo_secret1234"}
        headers = {
            "x-sinch-webhook-signature": "6bpJoRmFoXVjfJIVglMoJzYXxnoxRujzR4k2GOXewOE=",
            "x-sinch-webhook-signature-nonce": "01FJA8B4A7BM43YGWSG9GBV067",
            "x-sinch-webhook-signature-timestamp": "1634579353",
        }
        moment = datetime.fromtimestamp(1634579353, UTC)
        request = WebhookRequest(url=WEBHOOK_URL, method="POST", headers=headers, body=PUBLISHED, received_at=moment)
        Sinch.open(settings, self.context()).verify(request)
        with pytest.raises(ReceiptRefused):
            Sinch.open(settings, self.context()).verify(replace(request, body=PUBLISHED + b" "))

    def test_with_a_secret_credentials_alone_prove_nothing(self) -> None:
        settings = {**SETTINGS, "callback_username": "sinch", "callback_password": "pw"}
        request = known(report("Delivered"), datetime(2026, 3, 2, 10, tzinfo=UTC), "pw")
        with pytest.raises(ReceiptRefused):
            Sinch.open(settings, self.context()).verify(request)

    def test_without_secret_or_credentials_callbacks_are_refused(self) -> None:
        settings = {name: value for name, value in SETTINGS.items() if name != "webhook_secret"}
        with pytest.raises(ReceiptRefused, match="webhook_secret"):
            Sinch.open(settings, self.context()).verify(self.signed(report("Delivered")))

    def test_half_of_the_credentials_is_named(self) -> None:
        (problem,) = Sinch.check_settings({**SETTINGS, "callback_username": "sinch"})
        assert "`callback_password`" in problem


class TestSinchKnownByItsCredentials(KnownSenderContract):
    adapter = Sinch
    settings = KNOWN
    receipts = ReceiptExhibit(
        sign=known, secret=SECRET, bodies=BODIES, unknown=report("Teleported"), unreadable=UNREADABLE
    )
