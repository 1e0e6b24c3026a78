"""Postmark, by its description and its published webhooks."""

from __future__ import annotations

import base64
import json
from datetime import datetime
from typing import Any

import pytest

from channels.email.postmark import Postmark
from channels.testing.contract import MOMENT, WEBHOOK_URL, KnownSenderContract
from channels.testing.exhibit import HttpExhibit, ReceiptExhibit, Refusal
from channels.testing.server import Reply
from engine.delivery.message import Attachment, WebhookRequest
from engine.errors import ChannelConfigError, PermanentChannelError, ReceiptRefused, TransientChannelError
from tests.channels.described import DescribedContract

TOKEN = "p0stmark-t0ken"
DELIVERY = "d0123456789abcdef01234567"
MESSAGE = "b7bc2f4a-e38e-4336-af7d-e6c392c2f817"


def signed(body: bytes, moment: datetime, secret: str) -> WebhookRequest:
    credentials = base64.b64encode(f"sojourn:{secret}".encode()).decode()
    headers = {"authorization": f"Basic {credentials}", "content-type": "application/json"}
    return WebhookRequest(url=WEBHOOK_URL, method="POST", headers=headers, body=body, received_at=moment)


def report(word: str, **more: Any) -> bytes:
    fields = {
        "RecordType": word,
        "MessageID": MESSAGE,
        "Recipient": "ana@shop.example",
        "Metadata": {"delivery": DELIVERY},
        "MessageStream": "broadcast",
    }
    return json.dumps({**fields, **more}).encode()


def bounce(kind: str) -> bytes:
    return report("Bounce", Type=kind, ID=4323372036854775807, BouncedAt="2026-03-02T10:00:00Z")


def no(code: int, status: int = 422, said: str = "No") -> Reply:
    return Reply(status=status, body={"ErrorCode": code, "Message": said})


SETTINGS = {
    "server_token": TOKEN,
    "from": "Demo Shop <hello@shop.example>",
    "message_stream": "broadcast",
    "webhook_username": "sojourn",
    "webhook_password": "w3bh00k-passw0rd",
}


class TestPostmark(DescribedContract, KnownSenderContract):
    adapter = Postmark
    description = "postmark"
    settings = SETTINGS
    exhibit = HttpExhibit(
        accepted=Reply(
            status=200,
            body={
                "To": "ana@shop.example",
                "SubmittedAt": "2026-03-02T10:00:00.0000000-05:00",
                "MessageID": MESSAGE,
                "ErrorCode": 0,
                "Message": "OK",
            },
        ),
        message_id=MESSAGE,
        refusals=(
            Refusal(reply=no(406), reason="invalid_address"),
            Refusal(reply=no(300, said="Invalid 'To' address: 'ana@shop.example'."), reason="invalid_address"),
            Refusal(reply=no(300, said="Zero recipients specified"), reason="rejected"),
            Refusal(reply=no(403), reason="rejected"),
            Refusal(reply=no(411), reason="not_allowed"),
            Refusal(reply=no(99999), reason="rejected"),
            Refusal(reply=no(300, said="Invalid 'From' address: ''."), error=ChannelConfigError),
            Refusal(reply=no(400), error=ChannelConfigError),
            Refusal(reply=no(401), error=ChannelConfigError),
            Refusal(reply=no(405), error=ChannelConfigError),
            Refusal(reply=no(412), error=ChannelConfigError),
            Refusal(reply=no(10, status=401), error=ChannelConfigError),
            Refusal(reply=no(100), error=TransientChannelError),
            Refusal(reply=no(0, status=503), error=TransientChannelError),
        ),
        throttled=Reply(status=429),
    )
    receipts = ReceiptExhibit(
        sign=signed,
        secret="w3bh00k-passw0rd",
        bodies=(
            (report("Delivery", DeliveredAt="2026-03-02T05:00:00.0000000-05:00"), ("delivered",)),
            (report("Open", ReceivedAt="2026-03-02T10:01:00Z"), ("opened",)),
            (report("Click", ReceivedAt="2026-03-02T10:02:00Z", OriginalLink="https://shop.example/c"), ("clicked",)),
            (bounce("HardBounce"), ("bounced",)),
            (report("SpamComplaint", BouncedAt="2026-03-02T10:03:00Z", ID=2), ("complained",)),
            (
                report(
                    "SubscriptionChange",
                    SuppressSending=True,
                    SuppressionReason="ManualSuppression",
                    Origin="Recipient",
                    ChangedAt="2026-03-02T10:04:00Z",
                ),
                ("unsubscribed",),
            ),
        ),
        unknown=report("Teleportation", ReceivedAt="2026-03-02T10:00:00Z"),
        unreadable=(b"", b"{", b"[]", b"{}", b'{"RecordType": "Bounce"}', b"\xff"),
    )

    def test_the_request_is_the_published_one(self) -> None:
        attachment = Attachment(name="a.pdf", media_type="application/pdf", content=b"%PDF")
        headers = {"List-Unsubscribe": "<https://shop.example/u/x>"}
        with self.serving(self.exhibit.accepted) as (adapter, server):
            adapter.send(self.message(headers=headers, attachments=(attachment,), metadata={"journey": "c" * 90}))
        request = server.seen[0]
        assert (request.method, request.path) == ("POST", "/email")
        assert request.headers["x-postmark-server-token"] == TOKEN
        assert json.loads(request.body) == {
            "From": "Demo Shop <hello@shop.example>",
            "To": "ana@shop.example",
            "Subject": "Your cart",
            "TextBody": "Your cart waits, Ana",
            "HtmlBody": "<p>Your cart waits, <b>Ana</b></p>",
            "Headers": [
                {"Name": "List-Unsubscribe", "Value": "<https://shop.example/u/x>"},
                {"Name": "X-PM-KeepID", "Value": "true"},
                {"Name": "Message-ID", "Value": f"<{DELIVERY}@shop.example>"},
            ],
            "Metadata": {"delivery": DELIVERY, "journey": "c" * 80},
            "MessageStream": "broadcast",
            "Attachments": [{"Name": "a.pdf", "Content": "JVBERg==", "ContentType": "application/pdf"}],
        }

    def test_an_error_code_counts_under_200_too(self) -> None:
        with self.serving(no(406, status=200)) as (adapter, _), pytest.raises(PermanentChannelError) as caught:
            adapter.send(self.message())
        assert caught.value.reason == "invalid_address"

    def test_a_receipt_names_the_message_the_delivery_and_the_address(self) -> None:
        (receipt,) = self.open().parse(signed(self.receipts.bodies[0][0], MOMENT, self.receipts.secret))
        assert receipt.provider_message_id == MESSAGE
        assert (receipt.delivery_id, receipt.address) == (DELIVERY, "ana@shop.example")
        assert receipt.occurred_at == MOMENT

    @pytest.mark.parametrize(
        ("word", "kind", "is_hard"),
        [
            ("HardBounce", "bounced", True),
            ("BadEmailAddress", "bounced", True),
            ("SoftBounce", "bounced", False),
            ("SpamNotification", "bounced", False),
            ("Transient", "deferred", False),
            ("DnsError", "deferred", False),
            ("SpamComplaint", "complained", False),
            ("ManuallyDeactivated", "failed", False),
            ("Eaten", "unknown", False),
        ],
    )
    def test_what_is_for_good_and_what_is_not(self, word: str, kind: str, is_hard: bool) -> None:
        (receipt,) = self.open().parse(signed(bounce(word), MOMENT, self.receipts.secret))
        assert (receipt.kind, receipt.is_hard, receipt.vendor_kind) == (kind, is_hard, word)

    def test_an_automatic_answer_is_no_bounce(self) -> None:
        assert self.open().parse(signed(bounce("AutoResponder"), MOMENT, self.receipts.secret)) == []

    @pytest.mark.parametrize(
        ("is_suppressed", "reason", "origin"),
        [
            (True, "HardBounce", "Recipient"),
            (True, "SpamComplaint", "Recipient"),
            (True, "ManualSuppression", "Customer"),
            (True, "ManualSuppression", "Admin"),
            (False, None, "Recipient"),
        ],
    )
    def test_a_change_of_subscription_that_the_person_did_not_ask_for_says_nothing(
        self, is_suppressed: bool, reason: str | None, origin: str
    ) -> None:
        body = report("SubscriptionChange", SuppressSending=is_suppressed, SuppressionReason=reason, Origin=origin)
        assert self.open().parse(signed(body, MOMENT, self.receipts.secret)) == []

    def test_without_a_password_reports_are_refused(self) -> None:
        adapter = Postmark.open({"server_token": TOKEN}, self.context())
        with pytest.raises(ReceiptRefused, match="webhook_password"):
            adapter.verify(signed(self.receipts.bodies[0][0], MOMENT, self.receipts.secret))

    def test_a_name_without_a_password_is_found_when_the_project_is_checked(self) -> None:
        problems = Postmark.check_settings({"server_token": TOKEN, "webhook_username": "sojourn"})
        assert problems == ["settings `webhook_username` and `webhook_password` go together"]
