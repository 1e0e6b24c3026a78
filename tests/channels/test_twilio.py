"""Twilio, by its published shapes."""

from __future__ import annotations

import base64
import hashlib
import hmac
import warnings
from dataclasses import replace
from datetime import datetime
from urllib.parse import parse_qs, urlencode

import pytest

from channels.base import AdapterContext
from channels.sms.twilio import Twilio
from channels.testing.contract import MOMENT, WEBHOOK_URL, ReceiptContract
from channels.testing.exhibit import HttpExhibit, ReceiptExhibit, Refusal
from channels.testing.server import Reply
from engine.delivery.message import WebhookRequest
from engine.errors import (
    ChannelConfigError,
    PermanentChannelError,
    ReceiptRefused,
    TransientChannelError,
    UnsupportedMessage,
)
from tests.channels.described import DescribedContract

with warnings.catch_warnings():
    # The SDK and what it stands on announce their own future; none of it is about us.
    warnings.simplefilter("ignore")
    from twilio.request_validator import RequestValidator

ACCOUNT = "AC" + "0a" * 16
TOKEN = "7w1lio-t0ken"
SID = "SM" + "1b" * 16
SETTINGS = {"account_sid": ACCOUNT, "auth_token": TOKEN, "from": "+447700900000"}


def twilio_error(code: int, status: int) -> Reply:
    return Reply(
        status=status,
        body={"code": code, "message": "To +447700900123: no", "more_info": f"errors/{code}", "status": status},
    )


def signed(body: bytes, moment: datetime, secret: str, url: str = WEBHOOK_URL) -> WebhookRequest:
    fields = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True)
    text = url + "".join(name + value for name in sorted(fields) for value in fields[name])
    mac = base64.b64encode(hmac.new(secret.encode(), text.encode(), hashlib.sha1).digest()).decode()
    headers = {"x-twilio-signature": mac, "content-type": "application/x-www-form-urlencoded; charset=utf-8"}
    return WebhookRequest(url=url, method="POST", headers=headers, body=body, received_at=moment)


def status(word: str, **more: str) -> bytes:
    fields = {"AccountSid": ACCOUNT, "MessageSid": SID, "MessageStatus": word, "To": "+447700900123", "From": "+1"}
    return urlencode({**fields, **more}).encode()


def inbound(text: str, **more: str) -> bytes:
    fields = {"MessageSid": "SM" + "2c" * 16, "SmsStatus": "received", "From": "+447700900123", "Body": text}
    return urlencode({**fields, **more}).encode()


class TestTwilio(DescribedContract, ReceiptContract):
    adapter = Twilio
    description = "twilio"
    settings = SETTINGS
    exhibit = HttpExhibit(
        accepted=Reply(status=201, body={"sid": SID, "status": "queued", "num_segments": "1", "error_code": None}),
        message_id=SID,
        refusals=(
            Refusal(reply=twilio_error(21211, 400), reason="invalid_address"),
            Refusal(reply=twilio_error(21614, 400), reason="invalid_address"),
            Refusal(reply=twilio_error(21610, 400), reason="opted_out"),
            Refusal(reply=twilio_error(21612, 400), reason="rejected"),
            Refusal(reply=twilio_error(99999, 400), reason="rejected"),
            Refusal(reply=twilio_error(21408, 400), error=ChannelConfigError),
            Refusal(reply=twilio_error(21606, 400), error=ChannelConfigError),
            Refusal(reply=twilio_error(21212, 400), error=ChannelConfigError),
            # What 21606 and 21211 meant until 2024 has codes of its own since.
            Refusal(reply=twilio_error(21601, 400), error=ChannelConfigError),
            Refusal(reply=twilio_error(21603, 400), error=ChannelConfigError),
            Refusal(reply=twilio_error(21607, 400), error=ChannelConfigError),
            Refusal(reply=twilio_error(21608, 400), error=ChannelConfigError),
            Refusal(reply=twilio_error(21659, 400), error=ChannelConfigError),
            Refusal(reply=twilio_error(21660, 400), error=ChannelConfigError),
            Refusal(reply=twilio_error(21661, 400), error=ChannelConfigError),
            Refusal(reply=twilio_error(21705, 400), error=ChannelConfigError),
            Refusal(reply=twilio_error(21266, 400), reason="rejected"),
            Refusal(reply=twilio_error(20003, 401), error=ChannelConfigError),
            Refusal(reply=twilio_error(20404, 404), error=ChannelConfigError),
            Refusal(reply=twilio_error(20429, 429), error=TransientChannelError),
            Refusal(reply=twilio_error(21611, 400), error=TransientChannelError),
            Refusal(reply=twilio_error(21617, 400), error=UnsupportedMessage),
        ),
        throttled=twilio_error(20429, 429),
    )
    receipts = ReceiptExhibit(
        sign=signed,
        secret=TOKEN,
        bodies=(
            (status("delivered"), ("delivered",)),
            (status("sent"), ()),
            (status("undelivered", ErrorCode="30008"), ("failed",)),
            (inbound("Where is it?"), ("replied",)),
        ),
        unknown=status("teleported"),
        unreadable=(b"", b"MessageStatus=delivered", b"\xff\xfe=\xff"),
    )

    def test_the_request_is_the_published_form(self) -> None:
        with self.serving(self.exhibit.accepted) as (adapter, server):
            adapter.send(self.message(text="Hola, ¿qué tal? 50% + más & más"))
        request = server.seen[0]
        assert (request.method, request.path) == ("POST", f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json")
        assert request.headers["authorization"] == "Basic " + base64.b64encode(f"{ACCOUNT}:{TOKEN}".encode()).decode()
        assert request.headers["content-type"] == "application/x-www-form-urlencoded"
        assert b"To=%2B447700900123" in request.body
        assert request.form() == {
            "To": "+447700900123",
            "From": "+447700900000",
            "Body": "Hola, ¿qué tal? 50% + más & más",
            "StatusCallback": f"{WEBHOOK_URL}?delivery=d0123456789abcdef01234567",
        }

    def test_segments_charged_come_back(self) -> None:
        with self.serving(Reply(status=201, body={"sid": SID, "num_segments": "3"})) as (adapter, _):
            assert adapter.send(self.message()).segments == 3

    def test_a_messaging_service_stands_in_for_a_sender(self) -> None:
        settings = {"account_sid": ACCOUNT, "auth_token": TOKEN, "messaging_service_sid": "MG1"}
        adapter = Twilio.open(settings, self.context())
        assert isinstance(adapter, Twilio)
        body = adapter.compose(self.message()).content
        assert b"MessagingServiceSid=MG1" in body
        assert b"From" not in body
        assert b"From=%2B1555" in adapter.compose(self.message(from_="+1555")).content

    def test_without_any_sender_it_is_our_configuration(self) -> None:
        adapter = Twilio.open({"account_sid": ACCOUNT, "auth_token": TOKEN}, self.context())
        with pytest.raises(ChannelConfigError, match="no sender"):
            adapter.send(self.message())

    def test_a_text_longer_than_1600_characters_is_unsupported(self) -> None:
        with pytest.raises(UnsupportedMessage):
            self.open().send(self.message(text="a" * 1601))

    def test_an_account_sid_cannot_change_the_path(self) -> None:
        adapter = Twilio.open({**self.settings, "account_sid": "../../x?"}, self.context())
        assert isinstance(adapter, Twilio)
        assert adapter.compose(self.message()).url.raw_path == b"/2010-04-01/Accounts/..%2F..%2Fx%3F/Messages.json"

    def test_another_address_of_the_api_may_end_in_a_slash(self) -> None:
        adapter = Twilio.open({**self.settings, "base_url": "https://api.dublin.ie1.twilio.com/"}, self.context())
        assert isinstance(adapter, Twilio)
        url = str(adapter.compose(self.message()).url)
        assert url == f"https://api.dublin.ie1.twilio.com/2010-04-01/Accounts/{ACCOUNT}/Messages.json"

    def test_no_callback_is_asked_for_where_twilio_could_not_reach_us(self) -> None:
        context = AdapterContext(channel="sms", kind="sms", webhook_url="http://127.0.0.1:8080/v1/receipts/sms")
        adapter = Twilio.open(self.settings, context)
        assert isinstance(adapter, Twilio)
        assert b"StatusCallback" not in adapter.compose(self.message()).content

    def test_a_receipt_names_the_message_the_delivery_and_the_number(self) -> None:
        url = f"{WEBHOOK_URL}?delivery=d0123456789abcdef01234567"
        request = signed(status("delivered"), MOMENT, TOKEN, url)
        self.open().verify(request)
        (receipt,) = self.open().parse(request)
        assert receipt.provider_message_id == SID
        assert receipt.delivery_id == "d0123456789abcdef01234567"
        assert receipt.address == "+447700900123"
        assert receipt.vendor_kind == "delivered"
        assert receipt.receipt_id == f"{SID}.delivered"

    @pytest.mark.parametrize(
        ("word", "code", "kind", "is_hard"),
        [
            ("undelivered", "30003", "bounced", False),
            ("undelivered", "30004", "bounced", False),
            ("undelivered", "30005", "bounced", True),
            ("undelivered", "30006", "bounced", True),
            ("undelivered", "30007", "failed", False),
            ("failed", "21610", "unsubscribed", False),
            ("failed", "", "failed", False),
            ("canceled", "", "failed", False),
            ("read", "", "opened", False),
        ],
    )
    def test_a_late_error_code_says_what_became_of_it(self, word: str, code: str, kind: str, is_hard: bool) -> None:
        (receipt,) = self.open().parse(signed(status(word, ErrorCode=code), MOMENT, TOKEN))
        assert (receipt.kind, receipt.is_hard) == (kind, is_hard)

    def test_a_reply_carries_its_text_and_its_sender(self) -> None:
        (receipt,) = self.open().parse(signed(inbound("Stop."), MOMENT, TOKEN))
        assert (receipt.kind, receipt.text, receipt.address) == ("replied", "Stop.", "+447700900123")
        assert receipt.provider_message_id is None

    def test_a_keyword_that_twilio_recognised_counts_as_that_keyword(self) -> None:
        (receipt,) = self.open().parse(signed(inbound("BAJA", OptOutType="STOP"), MOMENT, TOKEN))
        assert receipt.text == "STOP"

    def test_a_signature_over_the_default_port_counts_as_well(self) -> None:
        with_port = WEBHOOK_URL.replace("shop.example", "shop.example:443")
        request = signed(status("delivered"), MOMENT, TOKEN, with_port)
        self.open().verify(replace(request, url=WEBHOOK_URL))
        with pytest.raises(ReceiptRefused):
            self.open().verify(replace(request, url=WEBHOOK_URL.replace("https", "http")))
        with pytest.raises(ReceiptRefused):
            self.open().verify(replace(request, url=WEBHOOK_URL.replace("shop", "other")))

    def test_json_is_refused_since_its_body_would_not_be_signed(self) -> None:
        mac = base64.b64encode(hmac.new(TOKEN.encode(), WEBHOOK_URL.encode(), hashlib.sha1).digest()).decode()
        headers = {"x-twilio-signature": mac, "content-type": "application/json"}
        request = WebhookRequest(url=WEBHOOK_URL, method="POST", headers=headers, body=b"{}", received_at=MOMENT)
        with pytest.raises(ReceiptRefused, match="forms"):
            self.open().verify(request)

    def test_the_providers_own_text_stays_out_of_the_error(self) -> None:
        with self.serving(twilio_error(21211, 400)) as (adapter, _), pytest.raises(PermanentChannelError) as caught:
            adapter.send(self.message())
        assert str(caught.value) == "twilio refused the message (HTTP 400, code 21211)"

    @pytest.mark.parametrize(
        "body", [status("delivered"), inbound("a=b & ç 🛒"), inbound("") + b"&MediaUrl0=", inbound("x") + b"&A=2&A=1"]
    )
    @pytest.mark.parametrize("url", [WEBHOOK_URL, f"{WEBHOOK_URL}?delivery=d1", WEBHOOK_URL.replace("/v1", ":443/v1")])
    def test_the_sdk_of_twilio_and_we_believe_the_same_requests(self, url: str, body: bytes) -> None:
        fields = parse_qs(body.decode(), keep_blank_values=True)
        sdk = RequestValidator(TOKEN)
        for secret in (TOKEN, "another"):
            given = RequestValidator(secret).compute_signature(url, Fields(fields))
            request = signed(body, MOMENT, secret, url)
            request = replace(request, headers={**request.headers, "x-twilio-signature": given})
            if sdk.validate(url, Fields(fields), given):
                self.open().verify(request)
            else:
                with pytest.raises(ReceiptRefused):
                    self.open().verify(request)


class Fields(dict[str, list[str]]):
    """A form with names that come twice, as web frameworks hand it to the SDK."""

    def getall(self, name: str) -> list[str]:
        return self[name]
