"""Brevo, by its published shapes: it publishes no description."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest

from channels.email.brevo import Brevo
from channels.testing.contract import MOMENT, WEBHOOK_URL, HttpContract, KnownSenderContract
from channels.testing.exhibit import HttpExhibit, ReceiptExhibit, Refusal
from channels.testing.server import Reply
from engine.delivery.message import Attachment, SendResult, WebhookRequest
from engine.errors import (
    ChannelConfigError,
    DoubtfulChannelError,
    ReceiptRefused,
    TransientChannelError,
    UnsupportedMessage,
)

KEY = "xkeysib-s3cr3t"
DELIVERY = "d0123456789abcdef01234567"
MESSAGE = "<202603021000.1234567890@smtp-relay.mailin.fr>"


def signed(body: bytes, moment: datetime, secret: str) -> WebhookRequest:
    headers = {"authorization": f"Bearer {secret}", "content-type": "application/json"}
    return WebhookRequest(url=WEBHOOK_URL, method="POST", headers=headers, body=body, received_at=moment)


def event(word: str, **more: Any) -> bytes:
    fields = {
        "event": word,
        "email": "ana@shop.example",
        "id": 26224,
        "date": "2026-03-02 11:00:00",
        "ts": 1772449200,
        "message-id": MESSAGE,
        "ts_event": 1772449200,
        "ts_epoch": 1772445600000,
        "subject": "Your cart",
        "X-Mailin-custom": DELIVERY,
        "tags": ["cart"],
    }
    return json.dumps({**fields, **more}).encode()


def no(status: int, code: str, said: str = "No") -> Reply:
    return Reply(status=status, body={"code": code, "message": said})


SETTINGS = {"api_key": KEY, "from": "Demo Shop <hello@shop.example>", "webhook_token": "w3bh00k-t0ken"}


class TestBrevo(HttpContract, KnownSenderContract):
    adapter = Brevo
    settings = SETTINGS
    exhibit = HttpExhibit(
        accepted=Reply(status=201, body={"messageId": MESSAGE}),
        message_id=MESSAGE,
        refusals=(
            Refusal(reply=no(400, "invalid_parameter", "email is not valid in to"), reason="invalid_address"),
            Refusal(reply=no(400, "invalid_parameter", "subject is too long"), reason="rejected"),
            Refusal(reply=no(400, "missing_parameter"), reason="rejected"),
            Refusal(reply=no(400, "something_new"), reason="rejected"),
            Refusal(reply=no(400, "invalid_parameter", "Sender is not valid"), error=ChannelConfigError),
            Refusal(reply=no(401, "unauthorized"), error=ChannelConfigError),
            Refusal(reply=no(402, "not_enough_credits"), error=ChannelConfigError),
            Refusal(reply=no(403, "account_under_validation"), error=ChannelConfigError),
            Refusal(reply=no(429, "too_many_requests"), error=TransientChannelError),
        ),
        throttled=no(429, "too_many_requests"),
    )
    receipts = ReceiptExhibit(
        sign=signed,
        secret="w3bh00k-t0ken",
        bodies=(
            (event("request"), ()),
            (event("delivered"), ("delivered",)),
            (event("deferred"), ("deferred",)),
            (event("hard_bounce"), ("bounced",)),
            (event("soft_bounce", ts_epoch=1772445601000), ("bounced",)),
            (event("blocked"), ("failed",)),
            (event("spam"), ("complained",)),
            (event("opened"), ("opened",)),
            (event("proxy_open"), ()),
            (event("click", link="https://shop.example/c"), ("clicked",)),
            (event("unsubscribed"), ("unsubscribed",)),
            # A webhook that is set to batches.
            (
                b"["
                + event("delivered", ts_epoch=1772445602000)
                + b","
                + event("opened", ts_epoch=1772445603000)
                + b"]",
                ("delivered", "opened"),
            ),
        ),
        unknown=event("teleported"),
        unreadable=(b"", b"{", b"[1]", b"{}", b'{"event": "delivered"}', b"\xff"),
    )

    def test_one_report_that_cannot_be_read_keeps_nothing_from_the_others(self) -> None:
        rows = [b"7", event("delivered", ts_epoch="soon"), event("delivered"), b"{}", event("opened")]
        found = self.open().parse(self.signed(b"[" + b",".join(rows) + b"]"))
        assert [receipt.kind for receipt in found] == ["delivered", "opened"]

    def test_the_request_is_the_published_one(self) -> None:
        attachment = Attachment(name="a.pdf", media_type="application/pdf", content=b"%PDF")
        headers = {"List-Unsubscribe": "<https://shop.example/u/x>"}
        with self.serving(self.exhibit.accepted) as (adapter, server):
            adapter.send(self.message(headers=headers, attachments=(attachment,), metadata={"journey": "cart"}))
        request = server.seen[0]
        assert (request.method, request.path) == ("POST", "/v3/smtp/email")
        assert request.headers["api-key"] == KEY
        assert json.loads(request.body) == {
            "sender": {"email": "hello@shop.example", "name": "Demo Shop"},
            "to": [{"email": "ana@shop.example"}],
            "subject": "Your cart",
            "textContent": "Your cart waits, Ana",
            "htmlContent": "<p>Your cart waits, <b>Ana</b></p>",
            "headers": {
                "List-Unsubscribe": "<https://shop.example/u/x>",
                "idempotencyKey": "1e8a8539-0b09-53a2-ac52-3b3b0a780904",
                "X-Mailin-custom": DELIVERY,
            },
            "tags": ["cart"],
            "attachment": [{"name": "a.pdf", "content": "JVBERg=="}],
        }

    def test_a_key_that_brevo_has_seen_means_that_it_has_the_message(self) -> None:
        with self.serving("cut", no(400, "duplicate_parameter")) as (adapter, server):
            with pytest.raises(DoubtfulChannelError):
                adapter.send(self.message())
            assert adapter.send(self.message()) == SendResult()
        assert len({json.loads(request.body)["headers"]["idempotencyKey"] for request in server.seen}) == 1

    def test_a_header_that_brevo_would_garble_is_unsupported(self) -> None:
        with pytest.raises(UnsupportedMessage, match="ASCII"):
            self.open().send(self.message(headers={"X-Note": "Grüße"}))

    def test_a_receipt_names_the_message_the_delivery_and_the_address(self) -> None:
        (receipt,) = self.open().parse(signed(event("delivered"), MOMENT, self.receipts.secret))
        assert receipt.provider_message_id == MESSAGE
        assert (receipt.delivery_id, receipt.address) == (DELIVERY, "ana@shop.example")
        # Not one of the times in the account's own zone.
        assert receipt.occurred_at == MOMENT

    @pytest.mark.parametrize(
        ("word", "kind", "is_hard"),
        [
            ("hard_bounce", "bounced", True),
            ("invalid_email", "bounced", True),
            ("soft_bounce", "bounced", False),
            ("blocked", "failed", False),
        ],
    )
    def test_what_is_for_good_and_what_is_not(self, word: str, kind: str, is_hard: bool) -> None:
        (receipt,) = self.open().parse(signed(event(word), MOMENT, self.receipts.secret))
        assert (receipt.kind, receipt.is_hard) == (kind, is_hard)

    def test_the_first_opening_is_one_though_brevo_tells_of_it_twice(self) -> None:
        words = ("opened", "unique_opened")
        (first,), (second,) = (self.open().parse(signed(event(word), MOMENT, self.receipts.secret)) for word in words)
        assert first.receipt_id == second.receipt_id

    @pytest.mark.parametrize(
        ("epoch", "occurred_at"),
        [
            (1772445600000, MOMENT),
            (1772445600, MOMENT),
            # Complaints have none: what arrives now has happened now.
            (None, MOMENT + timedelta(minutes=7)),
        ],
    )
    def test_a_report_says_when_in_milliseconds_or_seconds_or_not_at_all(
        self, epoch: int | None, occurred_at: datetime
    ) -> None:
        request = signed(event("complaint", ts_epoch=epoch), MOMENT + timedelta(minutes=7), self.receipts.secret)
        (receipt,) = self.open().parse(request)
        assert (receipt.kind, receipt.occurred_at) == ("complained", occurred_at)

    def test_without_a_retry_after_the_limits_own_reset_counts(self) -> None:
        reply = Reply(status=429, headers={"x-sib-ratelimit-reset": "42"})
        with self.serving(reply) as (adapter, _), pytest.raises(TransientChannelError) as caught:
            adapter.send(self.message())
        assert caught.value.retry_after == timedelta(seconds=42)

    def test_without_a_token_reports_are_refused(self) -> None:
        adapter = Brevo.open({"api_key": KEY}, self.context())
        with pytest.raises(ReceiptRefused, match="webhook_token"):
            adapter.verify(signed(event("delivered"), MOMENT, self.receipts.secret))
