"""SendGrid, by its description and its own SDK."""

from __future__ import annotations

import base64
import json
import warnings
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from channels.email.sendgrid import Sendgrid
from channels.testing.contract import MOMENT, WEBHOOK_URL, TimedReceiptContract
from channels.testing.exhibit import HttpExhibit, ReceiptExhibit, Refusal
from channels.testing.server import Reply
from engine.delivery.message import Attachment, WebhookRequest
from engine.errors import ChannelConfigError, ReceiptRefused, TransientChannelError
from tests.channels.described import DescribedContract

with warnings.catch_warnings():
    # The SDK's dependencies announce their own future.
    warnings.simplefilter("ignore")
    from sendgrid.helpers.eventwebhook import EventWebhook

KEY = "SG.s3ndgr1d-k3y"
DELIVERY = "d0123456789abcdef01234567"


@cache
def private_key(name: str) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(int.from_bytes(name.encode(), "big"), ec.SECP256R1())


def public_key(name: str) -> str:
    encoded = private_key(name).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(encoded).decode()


def signed(body: bytes, moment: datetime, secret: str) -> WebhookRequest:
    stamp = str(int(moment.timestamp()))
    signature = private_key(secret).sign(stamp.encode() + body, ec.ECDSA(SHA256()))
    headers = {
        "x-twilio-email-event-webhook-signature": base64.b64encode(signature).decode(),
        "x-twilio-email-event-webhook-timestamp": stamp,
        "content-type": "application/json",
    }
    return WebhookRequest(url=WEBHOOK_URL, method="POST", headers=headers, body=body, received_at=moment)


def event(word: str, **more: Any) -> dict[str, Any]:
    return {
        "event": word,
        "email": "ana@shop.example",
        "timestamp": 1772445600,
        "sg_event_id": f"id-{word}-{more.get('reason', '')}",
        "sg_message_id": "14c5d75ce93.dfd.64b469.filter0001.16648.5515E0B88.0",
        "delivery": DELIVERY,
        **more,
    }


def events(*rows: dict[str, Any]) -> bytes:
    return json.dumps(rows).encode()


def no(status: int, field: str | None = None) -> Reply:
    told = [{"message": "ana@shop.example is no good", "field": field, "help": {}}]
    return Reply(status=status, body={"errors": told})


SETTINGS = {"api_key": KEY, "from": "Demo Shop <hello@shop.example>", "verification_key": public_key("ours")}


class TestSendgrid(DescribedContract, TimedReceiptContract):
    adapter = Sendgrid
    description = "sendgrid"
    settings = SETTINGS
    exhibit = HttpExhibit(
        accepted=Reply(status=202, headers={"X-Message-Id": "14c5d75ce93"}),
        message_id="14c5d75ce93",
        refusals=(
            Refusal(reply=no(400, "personalizations.0.to.0.email"), reason="invalid_address"),
            Refusal(reply=no(400, "content.0.value"), reason="rejected"),
            Refusal(reply=no(400), reason="rejected"),
            Refusal(reply=no(413), reason="too_large"),
            Refusal(reply=no(400, "from.email"), error=ChannelConfigError),
            Refusal(reply=no(401), error=ChannelConfigError),
            Refusal(reply=no(403, "from"), error=ChannelConfigError),
            Refusal(reply=no(429), error=TransientChannelError),
            Refusal(reply=no(500), error=TransientChannelError),
        ),
        throttled=no(429),
    )
    receipts = ReceiptExhibit(
        sign=signed,
        secret="ours",
        bodies=(
            (events(event("processed"), event("delivered"), event("open")), ("delivered", "opened")),
            (events(event("bounce", type="bounce"), event("deferred")), ("bounced", "deferred")),
            (events(event("click", url="https://shop.example/c")), ("clicked",)),
            (events(event("spamreport"), event("group_unsubscribe")), ("complained", "unsubscribed")),
            (events(event("dropped", reason="Bounced Address")), ("bounced",)),
            (events(event("dropped", reason="Something else")), ("failed",)),
        ),
        unknown=events(event("teleported")),
        unreadable=(b"", b"{", b"{}", b'[{"event": "delivered"}]', b"[1]", b"\xff"),
    )

    def test_one_event_that_cannot_be_read_keeps_nothing_from_the_others(self) -> None:
        """SendGrid sends many in one request, and the same ones again for a day while they are refused."""
        bad = ({"event": "delivered"}, 7, {**event("bounce"), "timestamp": "soon"}, {**event("open"), "email": ["a"]})
        found = self.open().parse(self.signed(json.dumps([event("delivered"), *bad, event("open")]).encode()))
        assert [receipt.kind for receipt in found] == ["delivered", "opened"]

    def test_the_request_is_the_published_one(self) -> None:
        attachment = Attachment(name="a.pdf", media_type="application/pdf", content=b"%PDF")
        headers = {"List-Unsubscribe": "<https://shop.example/u/x>"}
        with self.serving(self.exhibit.accepted) as (adapter, server):
            adapter.send(
                self.message(headers=headers, attachments=(attachment,), metadata={"journey": "cart", "step": "s1"})
            )
        request = server.seen[0]
        assert (request.method, request.path) == ("POST", "/v3/mail/send")
        assert request.headers["authorization"] == f"Bearer {KEY}"
        assert json.loads(request.body) == {
            "personalizations": [
                {
                    "to": [{"email": "ana@shop.example"}],
                    "custom_args": {"delivery": DELIVERY, "journey": "cart", "step": "s1"},
                }
            ],
            "from": {"email": "hello@shop.example", "name": "Demo Shop"},
            "subject": "Your cart",
            "content": [
                {"type": "text/plain", "value": "Your cart waits, Ana"},
                {"type": "text/html", "value": "<p>Your cart waits, <b>Ana</b></p>"},
            ],
            "headers": {"Message-ID": f"<{DELIVERY}@shop.example>", "List-Unsubscribe": "<https://shop.example/u/x>"},
            "attachments": [{"content": "JVBERg==", "type": "application/pdf", "filename": "a.pdf"}],
        }

    def test_sendgrids_own_sdk_agrees_about_what_is_signed(self) -> None:
        request = signed(events(event("delivered")), MOMENT, "ours")
        signature = request.headers["x-twilio-email-event-webhook-signature"]
        stamp = request.headers["x-twilio-email-event-webhook-timestamp"]
        theirs = EventWebhook(public_key("ours"))
        assert theirs.verify_signature(request.body.decode(), signature, stamp)
        assert not theirs.verify_signature(request.body.decode() + " ", signature, stamp)
        self.open().verify(request)

    def test_a_receipt_names_the_message_the_delivery_and_the_address(self) -> None:
        (receipt,) = self.open().parse(signed(events(event("delivered")), MOMENT, "ours"))
        assert receipt.provider_message_id == self.exhibit.message_id
        assert (receipt.delivery_id, receipt.address) == (DELIVERY, "ana@shop.example")
        assert receipt.receipt_id == "id-delivered-"
        assert receipt.occurred_at == MOMENT

    @pytest.mark.parametrize(
        ("report", "kind", "is_hard"),
        [
            (event("bounce", type="bounce"), "bounced", True),
            (event("bounce"), "bounced", True),
            (event("bounce", type="blocked"), "bounced", False),
            (event("bounce", type="expired"), "bounced", False),
            (event("dropped", reason="Invalid"), "bounced", True),
            (event("dropped", reason="Spam Reporting Address"), "complained", False),
            (event("dropped", reason="Unsubscribed Address"), "unsubscribed", False),
        ],
    )
    def test_what_is_for_good_and_what_is_not(self, report: dict[str, Any], kind: str, is_hard: bool) -> None:
        (receipt,) = self.open().parse(signed(events(report), MOMENT, "ours"))
        assert (receipt.kind, receipt.is_hard) == (kind, is_hard)

    def test_a_machine_that_fetched_a_picture_has_not_looked(self) -> None:
        request = signed(events(event("open", sg_machine_open=True)), MOMENT, "ours")
        assert self.open().parse(request) == []

    def test_without_a_retry_after_the_limits_own_reset_counts(self) -> None:
        in_an_hour = int((datetime.now(UTC) + timedelta(hours=1)).timestamp())
        reply = Reply(status=429, headers={"X-RateLimit-Reset": str(in_an_hour)})
        with self.serving(reply) as (adapter, _), pytest.raises(TransientChannelError) as caught:
            adapter.send(self.message())
        assert caught.value.retry_after is not None
        assert timedelta(minutes=50) < caught.value.retry_after <= timedelta(hours=1)

    def test_without_a_verification_key_reports_are_refused(self) -> None:
        adapter = Sendgrid.open({"api_key": KEY}, self.context())
        with pytest.raises(ReceiptRefused, match="verification_key"):
            adapter.verify(signed(events(event("delivered")), MOMENT, "ours"))

    @pytest.mark.parametrize("key", ["", "nonsense", "AAAA"])
    def test_a_verification_key_that_is_none_is_found_when_the_project_is_checked(self, key: str) -> None:
        assert "`verification_key`" in Sendgrid.check_settings({"api_key": KEY, "verification_key": key})[0]
