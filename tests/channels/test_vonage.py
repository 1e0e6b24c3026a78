"""Vonage's SMS API, by its published shapes."""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import pytest

from channels.sms.vonage import Vonage
from channels.testing.contract import MOMENT, WEBHOOK_URL, TimedReceiptContract
from channels.testing.exhibit import HttpExhibit, ReceiptExhibit, Refusal
from channels.testing.server import Reply, SeenRequest
from engine.delivery.message import WebhookRequest
from engine.errors import ChannelConfigError, ReceiptRefused, TransientChannelError, UnsupportedMessage
from tests.channels.described import DescribedContract, described

SECRET = "v0nage-s1gnature"
MESSAGE_ID = "0A0000000123ABCD1"
SETTINGS = {
    "api_key": "abcd1234",
    "api_secret": "v0nage-s3cret",
    "from": "+447700900000",
    "signature_secret": SECRET,
}

#: From the tests of Vonage's own SDK for Python: of `a=1`, `b=2`, `timestamp=1461605396`, with the secret `secret`.
PUBLISHED = {
    "md5hash": "6af838ef94998832dbfc29020b564830",
    "md5": "c15c21ced558c93a226c305f58f902f2",
    "sha1": "3e19a4e6880fdc2c1426bfd0587c98b9532f0210",
    "sha256": "a321e824b9b816be7c3f28859a31749a098713d39f613c80d455bbaffae1cd24",
    "sha512": "812a18f76680fa0fe1b8bd9ee1625466ceb1bd96242e4d050d2cfd9a7b40166c"
    "63ed26ec9702168781b6edcf1633db8ff95af9341701004eec3fcf9550572ee8",
}


def no(status: str) -> Reply:
    return Reply(
        status=200, body={"message-count": "1", "messages": [{"status": status, "error-text": "+447700900123"}]}
    )


def sign_fields(fields: dict[str, str], secret: str, method: str = "sha256") -> str:
    text = "".join(f"&{name}={fields[name].replace('&', '_').replace('=', '_')}" for name in sorted(fields))
    if method == "md5hash":
        return hashlib.md5((text + secret).encode()).hexdigest().upper()
    return hmac.new(secret.encode(), text.encode(), method).hexdigest().upper()


def signed(body: bytes, moment: datetime, secret: str) -> WebhookRequest:
    try:
        fields = {**json.loads(body), "timestamp": str(int(moment.timestamp())), "nonce": "ec11dd3e"}
        body = json.dumps({**fields, "sig": sign_fields(fields, secret)}).encode()
    except (ValueError, TypeError, AttributeError):
        pass
    headers = {"content-type": "application/json"}
    return WebhookRequest(url=WEBHOOK_URL, method="POST", headers=headers, body=body, received_at=moment)


def report(status: str, **more: str) -> bytes:
    fields = {
        "msisdn": "447700900123",
        "to": "Shop",
        "network-code": "12345",
        "messageId": MESSAGE_ID,
        "price": "0.03330000",
        "status": status,
        "scts": "2001011400",
        "err-code": "0",
        "api-key": "abcd1234",
        "client-ref": "d0123456789abcdef01234567",
        "message-timestamp": "2026-03-02 10:00:00",
    }
    return json.dumps({**fields, **more}).encode()


def inbound(text: str, **more: str) -> bytes:
    fields = {"msisdn": "447700900123", "to": "447700900000", "messageId": "0C00", "text": text, "type": "text"}
    return json.dumps({**fields, **more}).encode()


class TestVonage(DescribedContract, TimedReceiptContract):
    adapter = Vonage
    description = "vonage-sms"
    settings = SETTINGS
    exhibit = HttpExhibit(
        accepted=Reply(
            status=200,
            body={"message-count": "1", "messages": [{"to": "447700900123", "message-id": MESSAGE_ID, "status": "0"}]},
        ),
        message_id=MESSAGE_ID,
        refusals=(
            Refusal(reply=no("3"), reason="rejected"),
            Refusal(reply=no("6"), reason="rejected"),
            Refusal(reply=no("15"), reason="rejected"),
            Refusal(reply=no("22"), reason="rejected"),
            Refusal(reply=no("7"), reason="opted_out"),
            Refusal(reply=no("33"), reason="invalid_address"),
            Refusal(reply=no("777"), reason="unknown"),
            Refusal(reply=no("12"), error=UnsupportedMessage),
            Refusal(reply=no("1"), error=TransientChannelError),
            Refusal(reply=no("5"), error=TransientChannelError),
            Refusal(reply=no("10"), error=TransientChannelError),
            *(Refusal(reply=no(status), error=ChannelConfigError) for status in ("4", "8", "9", "11", "14", "29")),
        ),
    )
    receipts = ReceiptExhibit(
        sign=signed,
        secret=SECRET,
        bodies=(
            (report("delivered"), ("delivered",)),
            (report("accepted"), ()),
            (report("buffered"), ("deferred",)),
            (report("failed", **{"err-code": "6"}), ("failed",)),
            (inbound("Where is it? a=b & c"), ("replied",)),
        ),
        unknown=report("teleported"),
        unreadable=(b"{", b"[]", b'{"a": {}}', b'{"status": "delivered"}', b"\xff"),
    )

    def as_described(self, seen: SeenRequest) -> SeenRequest:
        return replace(seen, path=seen.path.removeprefix("/sms"))

    def test_the_suites_yes_is_the_published_one(self) -> None:
        """The description takes any yes for a no as well, and says so: that it is a published yes can be read there."""
        with self.serving(self.exhibit.accepted) as (adapter, server):
            adapter.send(self.message())
            with pytest.raises(Exception, match=r"valid under each of .*schemas/SMS"):
                described(self.description).check_response(self.as_described(server.seen[0]), self.exhibit.accepted)

    def test_the_request_is_the_published_form(self) -> None:
        with self.serving(self.exhibit.accepted) as (adapter, server):
            adapter.send(self.message())
        assert (server.seen[0].method, server.seen[0].path) == ("POST", "/sms/json")
        assert server.seen[0].form() == {
            "api_key": "abcd1234",
            "api_secret": "v0nage-s3cret",
            "from": "447700900000",
            "to": "447700900123",
            "text": "Your cart waits, Ana",
            "type": "text",
            "client-ref": "d0123456789abcdef01234567",
            "callback": WEBHOOK_URL,
        }

    @pytest.mark.parametrize(
        ("text", "type"),
        [("£5 für Ñandù {€}", "text"), ("ç", "unicode"), ("Привет", "unicode"), ("🛒", "unicode"), ("`", "unicode")],
    )
    def test_a_text_beyond_the_gsm_alphabet_goes_as_unicode(self, text: str, type: str) -> None:
        with self.serving(self.exhibit.accepted) as (adapter, server):
            adapter.send(self.message(text=text))
        assert (server.seen[0].form()["type"], server.seen[0].form()["text"]) == (type, text)

    def test_a_long_text_counts_its_segments(self) -> None:
        rows = [{"status": "0", "message-id": f"0A{number}"} for number in range(3)]
        with self.serving(Reply(status=200, body={"message-count": "3", "messages": rows})) as (adapter, _):
            result = adapter.send(self.message())
        assert (result.provider_message_id, result.segments) == ("0A0", 3)

    def test_a_receipt_names_the_message_the_delivery_and_the_number(self) -> None:
        (receipt,) = self.open().parse(self.signed(report("delivered")))
        assert receipt.provider_message_id == MESSAGE_ID
        assert receipt.delivery_id == "d0123456789abcdef01234567"
        assert receipt.address == "+447700900123"
        assert receipt.occurred_at == MOMENT

    @pytest.mark.parametrize(
        ("code", "kind", "is_hard"), [("1", "bounced", False), ("9", "bounced", True), ("99", "failed", False)]
    )
    def test_the_code_of_a_failure_says_whether_the_number_is_dead(self, code: str, kind: str, is_hard: bool) -> None:
        (receipt,) = self.open().parse(self.signed(report("failed", **{"err-code": code})))
        assert (receipt.kind, receipt.is_hard) == (kind, is_hard)

    def test_a_reply_carries_its_text_and_its_sender(self) -> None:
        (receipt,) = self.open().parse(self.signed(inbound("STOP")))
        assert (receipt.kind, receipt.text, receipt.address) == ("replied", "STOP", "+447700900123")

    @pytest.mark.parametrize("method", ["md5hash", "md5", "sha1", "sha256", "sha512"])
    def test_each_way_of_signing_is_verified_in_a_form_too(self, method: str) -> None:
        fields: dict[str, Any] = {**json.loads(report("delivered")), "timestamp": str(int(MOMENT.timestamp()))}
        body = urlencode({**fields, "sig": sign_fields(fields, SECRET, method)}).encode()
        headers = {"content-type": "application/x-www-form-urlencoded"}
        request = WebhookRequest(url=WEBHOOK_URL, method="POST", headers=headers, body=body, received_at=MOMENT)
        Vonage.open({**self.settings, "signature_method": method}, self.context()).verify(request)
        other = "sha1" if method != "sha1" else "sha256"
        with pytest.raises(ReceiptRefused):
            Vonage.open({**self.settings, "signature_method": other}, self.context()).verify(request)

    def test_without_a_signature_secret_receipts_are_refused(self) -> None:
        settings = {key: value for key, value in self.settings.items() if key != "signature_secret"}
        with pytest.raises(ReceiptRefused, match="signature_secret"):
            Vonage.open(settings, self.context()).verify(self.signed(report("delivered")))

    @pytest.mark.parametrize("method", PUBLISHED)
    def test_the_signatures_of_vonages_own_tests_are_believed(self, method: str) -> None:
        moment = datetime.fromtimestamp(1461605396, UTC)
        settings = {**SETTINGS, "signature_secret": "secret", "signature_method": method}
        adapter = Vonage.open(settings, self.context())
        for sign, is_genuine in ((PUBLISHED[method], True), (PUBLISHED[method][:-1] + "x", False)):
            body = urlencode({"a": "1", "b": "2", "timestamp": "1461605396", "sig": sign}).encode()
            headers = {"content-type": "application/x-www-form-urlencoded"}
            request = WebhookRequest(url=WEBHOOK_URL, method="POST", headers=headers, body=body, received_at=moment)
            if is_genuine:
                adapter.verify(request)
            else:
                with pytest.raises(ReceiptRefused):
                    adapter.verify(request)
