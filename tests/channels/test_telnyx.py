"""Telnyx, by its published shapes, its description and its own SDK."""

from __future__ import annotations

import base64
import json
import warnings
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from channels.base import AdapterContext
from channels.sms.telnyx import Telnyx
from channels.testing.contract import WEBHOOK_URL, TimedReceiptContract
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
from tests.channels.described import DescribedContract

with warnings.catch_warnings():
    # The SDK and what it stands on announce their own future; none of it is about us.
    warnings.simplefilter("ignore")
    from telnyx import Telnyx as Sdk
    from telnyx import TelnyxError

MESSAGE_ID = "40385f64-5717-4562-b3fc-2c963f66afa6"
SEED = "telnyx-s1gns-with-this-seed-here"
KEY = Ed25519PrivateKey.from_private_bytes(SEED.encode())
PUBLIC = base64.b64encode(KEY.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()

SETTINGS = {"api_key": "KEY5ecret", "from": "+447700900000", "public_key": PUBLIC}


def no(code: str, status: int = 400) -> Reply:
    return Reply(status=status, body={"errors": [{"code": code, "title": "no", "detail": "+447700900123"}]})


def signed(body: bytes, moment: datetime, secret: str) -> WebhookRequest:
    key = Ed25519PrivateKey.from_private_bytes(secret.encode().ljust(32, b".")[:32])
    stamp = str(int(moment.timestamp()))
    mac = base64.b64encode(key.sign(stamp.encode() + b"|" + body)).decode()
    headers = {"content-type": "application/json", "telnyx-timestamp": stamp, "telnyx-signature-ed25519": mac}
    return WebhookRequest(url=WEBHOOK_URL, method="POST", headers=headers, body=body, received_at=moment)


def event(id: str, type: str, **payload: Any) -> bytes:
    data = {
        "record_type": "event",
        "event_type": type,
        "id": id,
        "occurred_at": "2026-03-02T09:59:58.123456Z",
        "payload": {"id": MESSAGE_ID, "record_type": "message", **payload},
    }
    return json.dumps({"data": data, "meta": {"attempt": 1}}).encode()


def finalized(id: str, status: str, *codes: str) -> bytes:
    people = [{"phone_number": "+447700900123", "status": status}]
    return event(id, "message.finalized", to=people, errors=[{"code": code, "title": "x"} for code in codes])


def inbound(id: str, text: str) -> bytes:
    sender = {"phone_number": "+447700900123", "carrier": ""}
    return event(id, "message.received", direction="inbound", text=text, **{"from": sender})


class TestTelnyx(DescribedContract, TimedReceiptContract):
    adapter = Telnyx
    description = "telnyx"
    settings = SETTINGS
    exhibit = HttpExhibit(
        accepted=Reply(status=200, body={"data": {"id": MESSAGE_ID, "record_type": "message", "parts": 2}}),
        message_id=MESSAGE_ID,
        refusals=(
            Refusal(reply=no("40310"), reason="invalid_address"),
            Refusal(reply=no("10016"), reason="invalid_address"),
            Refusal(reply=no("40001", 422), reason="invalid_address"),
            Refusal(reply=no("40300", 403), reason="opted_out"),
            Refusal(reply=no("40322"), reason="rejected"),
            Refusal(reply=no("99999"), reason="rejected"),
            Refusal(reply=no("40302"), error=UnsupportedMessage),
            Refusal(reply=no("10009", 401), error=ChannelConfigError),
            Refusal(reply=no("20100", 403), error=ChannelConfigError),
            Refusal(reply=no("40305", 400), error=ChannelConfigError),
            Refusal(reply=no("10011", 429), error=TransientChannelError),
            Refusal(reply=no("40318"), error=TransientChannelError),
            Refusal(reply=no("10007", 500), error=TransientChannelError),
            Refusal(reply=Reply(status=200, body={"data": None}), error=DoubtfulChannelError),
        ),
        throttled=no("10011", 429),
    )
    receipts = ReceiptExhibit(
        sign=signed,
        secret=SEED,
        bodies=(
            (finalized("e1", "delivered"), ("delivered",)),
            (finalized("e2", "delivery_failed", "40008"), ("bounced",)),
            (finalized("e3", "expired"), ("failed",)),
            (finalized("e4", "delivery_unconfirmed"), ()),
            (event("e5", "message.sent", to=[{"phone_number": "+447700900123", "status": "sent"}]), ()),
            (inbound("e6", "Where is it?"), ("replied",)),
        ),
        unknown=finalized("e7", "teleported"),
        unreadable=(b"", b"{", b"[]", b"null", b'{"data": {}}', b"\xff"),
    )

    def test_the_request_is_the_published_one(self) -> None:
        with self.serving(self.exhibit.accepted) as (adapter, server):
            result = adapter.send(self.message())
        assert server.seen[0].path == "/messages"
        assert server.seen[0].headers["authorization"] == "Bearer KEY5ecret"
        assert json.loads(server.seen[0].body) == {
            "to": "+447700900123",
            "from": "+447700900000",
            "text": "Your cart waits, Ana",
            "type": "SMS",
            "webhook_url": f"{WEBHOOK_URL}?delivery=d0123456789abcdef01234567",
        }
        assert result.segments == 2

    def test_a_messaging_profile_stands_in_for_a_sender_or_goes_with_its_name(self) -> None:
        profile = {"api_key": "k", "messaging_profile_id": "p1"}
        for settings, sender, expected in (
            (profile, None, {"messaging_profile_id": "p1"}),
            (profile, "Shop", {"messaging_profile_id": "p1", "from": "Shop"}),
            ({**profile, "from": "Shop"}, None, {"messaging_profile_id": "p1", "from": "Shop"}),
        ):
            adapter = Telnyx.open(settings, AdapterContext(channel="sms", kind="sms"))
            assert isinstance(adapter, Telnyx)
            body = json.loads(adapter.compose(self.message(from_=sender)).content)
            assert {name: body[name] for name in ("messaging_profile_id", "from") if name in body} == expected
            assert "webhook_url" not in body

    def test_without_any_sender_it_is_our_configuration(self) -> None:
        with pytest.raises(ChannelConfigError, match="no sender"):
            Telnyx.open({"api_key": "k"}, self.context()).send(self.message())

    def test_a_receipt_names_the_message_the_delivery_and_the_number(self) -> None:
        request = self.signed(finalized("e1", "delivered"))
        named = WebhookRequest(
            url=f"{WEBHOOK_URL}?delivery=d1",
            method="POST",
            headers=request.headers,
            body=request.body,
            received_at=request.received_at,
        )
        (receipt,) = self.open().parse(named)
        assert (receipt.provider_message_id, receipt.delivery_id) == (MESSAGE_ID, "d1")
        assert (receipt.address, receipt.vendor_kind) == ("+447700900123", "delivered")
        assert receipt.occurred_at == datetime(2026, 3, 2, 9, 59, 58, 123456, UTC)

    @pytest.mark.parametrize(
        ("code", "kind", "is_hard"),
        [
            ("40001", "bounced", True),
            ("40012", "bounced", True),
            ("40006", "bounced", False),
            ("40300", "unsubscribed", False),
            ("40002", "failed", False),
        ],
    )
    def test_the_code_of_a_failure_says_whether_the_number_is_dead(self, code: str, kind: str, is_hard: bool) -> None:
        (receipt,) = self.open().parse(self.signed(finalized("e8", "delivery_failed", code)))
        assert (receipt.kind, receipt.is_hard) == (kind, is_hard)

    def test_a_reply_carries_its_text_and_its_sender(self) -> None:
        (receipt,) = self.open().parse(self.signed(inbound("e9", "STOP")))
        assert (receipt.kind, receipt.text, receipt.address) == ("replied", "STOP", "+447700900123")
        assert receipt.provider_message_id is None

    def test_an_event_of_another_type_is_kept_as_unknown(self) -> None:
        (receipt,) = self.open().parse(self.signed(event("e10", "message.teleported")))
        assert (receipt.kind, receipt.vendor_kind) == ("unknown", "message.teleported")

    def test_a_public_key_that_is_none_is_named_and_not_shown(self) -> None:
        for value in ("short", "not base64 at all!", base64.b64encode(b"x" * 31).decode()):
            (problem,) = Telnyx.check_settings({"api_key": "k", "public_key": value})
            assert "`public_key`" in problem
            assert value not in problem

    def test_without_a_public_key_events_are_refused(self) -> None:
        with pytest.raises(ReceiptRefused, match="public_key"):
            Telnyx.open({"api_key": "k"}, self.context()).verify(self.signed(finalized("e1", "delivered")))

    def test_the_sdk_of_telnyx_and_we_believe_the_same_requests(self) -> None:
        sdk = Sdk(api_key="k", public_key=PUBLIC)
        now = datetime.now(UTC)
        body = finalized("e1", "delivered")
        genuine = signed(body, now, SEED)
        self.open().verify(genuine)
        sdk.webhooks.unwrap(body.decode(), headers=dict(genuine.headers))
        for forged in (
            signed(body, now, "another secret"),
            signed(body, now - timedelta(seconds=400), SEED),
            replace(genuine, body=body.replace(b"delivered", b"expired")),
        ):
            with pytest.raises(ReceiptRefused):
                self.open().verify(replace(forged, received_at=now))
            with pytest.raises((TelnyxError, ValueError)):
                sdk.webhooks.unwrap(forged.body.decode(), headers=dict(forged.headers))
