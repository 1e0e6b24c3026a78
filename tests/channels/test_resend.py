"""Resend, by its description and by Svix, who signs its webhooks."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import warnings
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from channels.email.resend import Resend
from channels.testing.contract import MOMENT, WEBHOOK_URL, TimedReceiptContract
from channels.testing.exhibit import HttpExhibit, ReceiptExhibit, Refusal
from channels.testing.server import Reply
from engine.delivery.message import Attachment, WebhookRequest
from engine.errors import ChannelConfigError, DoubtfulChannelError, ReceiptRefused, TransientChannelError
from tests.channels.described import DescribedContract

with warnings.catch_warnings():
    # The SDK's dependencies announce their own future.
    warnings.simplefilter("ignore")
    from svix.webhooks import Webhook

KEY = "re_s3cr3t"
SECRET = "whsec_" + base64.b64encode(b"a secret of 24 bytes or so").decode()
DELIVERY = "d0123456789abcdef01234567"
EMAIL = "49a3999c-0ce1-4ea6-ab68-afcd6dc2e794"


def signed(body: bytes, moment: datetime, secret: str) -> WebhookRequest:
    name, stamp = f"msg_{hashlib.sha256(body).hexdigest()[:20]}", str(int(moment.timestamp()))
    key = base64.b64decode(secret.removeprefix("whsec_")) if secret.startswith("whsec_") else secret.encode()
    mac = hmac.new(key, f"{name}.{stamp}.".encode() + body, hashlib.sha256).digest()
    headers = {
        "svix-id": name,
        "svix-timestamp": stamp,
        "svix-signature": f"v1,{base64.b64encode(mac).decode()}",
        "content-type": "application/json",
    }
    return WebhookRequest(url=WEBHOOK_URL, method="POST", headers=headers, body=body, received_at=moment)


def event(word: str, **more: Any) -> bytes:
    data = {
        "email_id": EMAIL,
        "created_at": "2026-03-02T09:59:00.000Z",
        "from": "Demo Shop <hello@shop.example>",
        "to": ["ana@shop.example"],
        "subject": "Your cart",
        "tags": {"delivery": DELIVERY},
        **more,
    }
    return json.dumps({"type": f"email.{word}", "created_at": "2026-03-02T10:00:00.000Z", "data": data}).encode()


def bounce(kind: str) -> bytes:
    return event("bounced", bounce={"type": kind, "subType": "General", "message": "", "diagnosticCode": []})


def suppressed(reason: str) -> bytes:
    return event("suppressed", suppressed={"type": "Suppressed", "reason": reason, "message": "", "diagnosticCode": []})


def no(status: int, name: str, said: str = "No") -> Reply:
    return Reply(status=status, body={"statusCode": status, "name": name, "message": said})


SETTINGS = {"api_key": KEY, "from": "Demo Shop <hello@shop.example>", "signing_secret": SECRET}


class TestResend(DescribedContract, TimedReceiptContract):
    adapter = Resend
    description = "resend"
    settings = SETTINGS
    exhibit = HttpExhibit(
        accepted=Reply(status=200, body={"id": EMAIL}),
        message_id=EMAIL,
        refusals=(
            Refusal(
                reply=no(422, "validation_error", "Invalid `to` field. The email address needs to follow a format."),
                reason="invalid_address",
            ),
            Refusal(reply=no(422, "validation_error", "Invalid 'to' field."), reason="invalid_address"),
            Refusal(reply=no(422, "invalid_to_address"), reason="invalid_address"),
            Refusal(reply=no(400, "validation_error", "Something else"), reason="rejected"),
            Refusal(reply=no(422, "missing_required_field", "Missing `subject` field."), reason="rejected"),
            Refusal(reply=no(400, "invalid_idempotency_key"), reason="rejected"),
            Refusal(reply=no(422, "invalid_attachment"), reason="rejected"),
            Refusal(reply=no(422, "something_new"), reason="rejected"),
            Refusal(reply=no(422, "validation_error", "Invalid `from` field."), error=ChannelConfigError),
            Refusal(
                reply=no(403, "validation_error", "You can only send to yourself. Change `to`, verify a domain."),
                error=ChannelConfigError,
            ),
            Refusal(reply=no(401, "missing_api_key"), error=ChannelConfigError),
            Refusal(reply=no(401, "restricted_api_key"), error=ChannelConfigError),
            Refusal(reply=no(403, "invalid_api_key"), error=ChannelConfigError),
            Refusal(reply=no(409, "invalid_idempotent_request"), error=DoubtfulChannelError),
            Refusal(reply=no(409, "concurrent_idempotent_requests"), error=TransientChannelError),
            Refusal(reply=no(429, "rate_limit_exceeded"), error=TransientChannelError),
            Refusal(reply=no(429, "daily_quota_exceeded"), error=TransientChannelError),
            Refusal(reply=no(500, "application_error"), error=TransientChannelError),
        ),
        throttled=no(429, "rate_limit_exceeded"),
    )
    receipts = ReceiptExhibit(
        sign=signed,
        secret=SECRET,
        bodies=(
            (event("sent"), ()),
            (event("delivered"), ("delivered",)),
            (event("delivery_delayed"), ("deferred",)),
            (bounce("Permanent"), ("bounced",)),
            (event("complained"), ("complained",)),
            (event("opened"), ("opened",)),
            (event("clicked", click={"link": "https://shop.example/c"}), ("clicked",)),
            (event("failed", failed={"reason": "reached_daily_quota"}), ("failed",)),
            (suppressed("previous_bounce"), ("bounced",)),
        ),
        unknown=event("teleported"),
        unreadable=(b"", b"{", b"[]", b"{}", b'{"type": "email.delivered"}', b"\xff"),
    )

    def test_the_request_is_the_published_one(self) -> None:
        attachment = Attachment(name="a.pdf", media_type="application/pdf", content=b"%PDF")
        headers = {"List-Unsubscribe": "<https://shop.example/u/x>"}
        metadata = {"journey": "cart", "step": "with.a/dot"}
        with self.serving(self.exhibit.accepted) as (adapter, server):
            adapter.send(self.message(headers=headers, attachments=(attachment,), metadata=metadata))
        request = server.seen[0]
        assert (request.method, request.path) == ("POST", "/emails")
        assert request.headers["authorization"] == f"Bearer {KEY}"
        assert request.headers["idempotency-key"] == DELIVERY
        assert json.loads(request.body) == {
            "from": "Demo Shop <hello@shop.example>",
            "to": ["ana@shop.example"],
            "subject": "Your cart",
            "text": "Your cart waits, Ana",
            "html": "<p>Your cart waits, <b>Ana</b></p>",
            "headers": {"List-Unsubscribe": "<https://shop.example/u/x>"},
            # What a tag may not hold stays at home.
            "tags": [{"name": "delivery", "value": DELIVERY}, {"name": "journey", "value": "cart"}],
            "attachments": [{"filename": "a.pdf", "content": "JVBERg==", "content_type": "application/pdf"}],
        }

    def test_another_attempt_carries_the_same_key(self) -> None:
        with self.serving("cut", self.exhibit.accepted) as (adapter, server):
            with pytest.raises(DoubtfulChannelError):
                adapter.send(self.message())
            adapter.send(self.message())
        assert {request.headers["idempotency-key"] for request in server.seen} == {DELIVERY}
        assert len({request.body for request in server.seen}) == 1

    @pytest.mark.parametrize(
        ("sender", "sent"),
        [
            ('"Müller, Söhne & Co." <hello@shop.example>', "Müller Söhne & Co. <hello@shop.example>"),
            ("hello@shop.example", "hello@shop.example"),
        ],
    )
    def test_a_senders_name_goes_without_quotation_marks_which_resend_refuses(self, sender: str, sent: str) -> None:
        adapter = self.open()
        assert isinstance(adapter, Resend)
        assert json.loads(adapter.compose(self.message(from_=sender)).content)["from"] == sent

    def test_svix_agrees_about_what_is_signed(self) -> None:
        # Svix's own library asks the clock.
        now = datetime.now(UTC)
        request = signed(event("delivered"), now, SECRET)
        Webhook(SECRET).verify(request.body, dict(request.headers))
        self.open().verify(request)
        theirs = Webhook(SECRET).sign("msg_1", now, request.body.decode())
        headers = {**request.headers, "svix-id": "msg_1", "svix-signature": f"v1,AAAA {theirs}"}
        self.open().verify(
            WebhookRequest(url=WEBHOOK_URL, method="POST", headers=headers, body=request.body, received_at=now)
        )

    def test_a_receipt_names_the_message_the_delivery_and_the_address(self) -> None:
        request = signed(event("delivered"), MOMENT, SECRET)
        (receipt,) = self.open().parse(request)
        assert receipt.provider_message_id == EMAIL
        assert (receipt.delivery_id, receipt.address) == (DELIVERY, "ana@shop.example")
        assert receipt.receipt_id == request.headers["svix-id"]
        assert receipt.occurred_at == MOMENT

    @pytest.mark.parametrize(
        ("body", "kind", "is_hard"),
        [
            (bounce("Permanent"), "bounced", True),
            (bounce("Transient"), "bounced", False),
            (bounce("Undetermined"), "bounced", False),
            (event("bounced"), "bounced", False),
            (suppressed("previous_bounce"), "bounced", True),
            (suppressed("previous_complaint"), "complained", False),
            (suppressed("something_new"), "bounced", False),
        ],
    )
    def test_what_is_for_good_and_what_is_not(self, body: bytes, kind: str, is_hard: bool) -> None:
        (receipt,) = self.open().parse(signed(body, MOMENT, SECRET))
        assert (receipt.kind, receipt.is_hard) == (kind, is_hard)

    def test_a_quota_that_is_used_up_is_tried_again_in_an_hour(self) -> None:
        with (
            self.serving(no(429, "daily_quota_exceeded")) as (adapter, _),
            pytest.raises(TransientChannelError) as caught,
        ):
            adapter.send(self.message())
        assert caught.value.retry_after == timedelta(hours=1)

    def test_without_a_signing_secret_reports_are_refused(self) -> None:
        adapter = Resend.open({"api_key": KEY}, self.context())
        with pytest.raises(ReceiptRefused, match="signing_secret"):
            adapter.verify(signed(event("delivered"), MOMENT, SECRET))
