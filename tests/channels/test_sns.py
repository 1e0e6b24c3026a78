"""Amazon SNS as a carrier of text messages: by its description, by moto with the signature check on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from channels.base import AdapterContext
from channels.sms.sns import Sns
from channels.testing.contract import MOMENT, WEBHOOK_URL, HttpContract, TimedReceiptContract
from channels.testing.exhibit import HttpExhibit, ReceiptExhibit, Refusal, sample_message
from channels.testing.server import Reply
from engine.errors import (
    ChannelConfigError,
    PermanentChannelError,
    ReceiptRefused,
    TransientChannelError,
    UnsupportedMessage,
)
from tests.channels.amazon import Amazon, amazon
from tests.channels.test_ses import TOPIC, AmazonsHosts, certificate, notification, signed

MESSAGE_ID = "567910cd-659e-55d4-8ccb-5aaf14679dc0"
SETTINGS = {
    "region": "eu-west-1",
    "access_key_id": "AKIDEXAMPLE",
    "secret_access_key": "s3cr3t-acc3ss-k3y",
    "from": "SHOP",
    "sms_type": "Transactional",
    "max_price": "0.50",
    "topic_arn": TOPIC,
}
TAKEN = f"""<PublishResponse xmlns="https://sns.amazonaws.com/doc/2010-03-31/">
  <PublishResult><MessageId>{MESSAGE_ID}</MessageId></PublishResult>
  <ResponseMetadata><RequestId>d74b8436-ae13-5ab4-a9ff-ce54dfea72a0</RequestId></ResponseMetadata>
</PublishResponse>"""


def no(code: str, said: str = "No", status: int = 400) -> Reply:
    error = f"<Error><Type>Sender</Type><Code>{code}</Code><Message>{said}</Message></Error>"
    return Reply(status=status, body=f"<ErrorResponse>{error}</ErrorResponse>", headers={"Content-Type": "text/xml"})


def reply(text: str, id: str = "cae173d2-66b9-564c-8309-21f858e9fb84") -> bytes:
    said = {
        "originationNumber": "+447700900123",
        "destinationNumber": "+447700900000",
        "messageKeyword": "STOP",
        "messageBody": text,
        "inboundMessageId": id,
        "previousPublishedMessageId": MESSAGE_ID,
    }
    return notification(json.dumps(said))


def opened(**changes: Any) -> Sns:
    settings = Sns.Settings.model_validate({**SETTINGS, **changes})
    context = AdapterContext(channel="main", kind="sms", webhook_url=WEBHOOK_URL)
    hosts = AmazonsHosts(certificate("ours"))
    return Sns(settings, context, httpx.Client(transport=httpx.MockTransport(hosts)))  # type: ignore[arg-type]


class TestSns(HttpContract, TimedReceiptContract):
    adapter = Sns
    settings = SETTINGS
    fresh_seconds = 3600
    exhibit = HttpExhibit(
        accepted=Reply(status=200, body=TAKEN),
        message_id=MESSAGE_ID,
        refusals=(
            Refusal(
                reply=no("InvalidParameter", "Invalid parameter: PhoneNumber Reason: +1 is not valid to publish to"),
                reason="invalid_address",
            ),
            Refusal(reply=no("InvalidParameter", "Invalid parameter: Phone number is opted out"), reason="opted_out"),
            Refusal(reply=no("InvalidParameter", "Invalid parameter: something"), reason="rejected"),
            Refusal(reply=no("SomethingNew"), reason="rejected"),
            Refusal(reply=no("InvalidParameterValue", "AWS.SNS.SMS.SenderID is wrong"), error=ChannelConfigError),
            Refusal(reply=no("InvalidParameter", "Invalid parameter: Message too long"), error=UnsupportedMessage),
            Refusal(reply=no("SignatureDoesNotMatch", status=403), error=ChannelConfigError),
            Refusal(reply=no("AuthorizationError", status=403), error=ChannelConfigError),
            Refusal(reply=no("Throttling"), error=TransientChannelError),
            Refusal(reply=no("InternalError", status=500), error=TransientChannelError),
        ),
        throttled=no("Throttled", status=429),
    )
    receipts = ReceiptExhibit(
        sign=signed,
        secret="ours",
        bodies=(
            (reply("Where is it?"), ("replied",)),
            (notification("Successfully validated SNS topic for Amazon Pinpoint."), ()),
        ),
        unknown=notification(json.dumps({"eventType": "TEXT_TELEPORTED"})),
        unreadable=(b"", b"{", b"[]", b"{}", notification("prose"), notification("[]"), b"\xff"),
    )

    def open(self) -> Sns:
        return opened()

    def test_the_request_is_the_published_one(self) -> None:
        with self.serving(self.exhibit.accepted) as (adapter, server):
            adapter.send(self.message())
        request = server.seen[0]
        assert (request.method, request.path) == ("POST", "/")
        assert request.headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/")
        assert request.form() == {
            "Action": "Publish",
            "Version": "2010-03-31",
            "PhoneNumber": "+447700900123",
            "Message": "Your cart waits, Ana",
            "MessageAttributes.entry.1.Name": "AWS.SNS.SMS.SenderID",
            "MessageAttributes.entry.1.Value.DataType": "String",
            "MessageAttributes.entry.1.Value.StringValue": "SHOP",
            "MessageAttributes.entry.2.Name": "AWS.SNS.SMS.SMSType",
            "MessageAttributes.entry.2.Value.DataType": "String",
            "MessageAttributes.entry.2.Value.StringValue": "Transactional",
            "MessageAttributes.entry.3.Name": "AWS.SNS.SMS.MaxPrice",
            "MessageAttributes.entry.3.Value.DataType": "Number",
            "MessageAttributes.entry.3.Value.StringValue": "0.50",
        }

    def test_every_field_is_one_of_the_description(self) -> None:
        """Which has the call as an address with a `#` and a body in XML: no request of anybody's looks like that."""
        described = json.loads((Path(__file__).parent / "openapi" / "sns.json").read_text(encoding="utf-8"))
        parameters = described["paths"]["/#Action=Publish"]["get"]["parameters"]
        known = {each["name"]: each for each in parameters if each.get("in") == "query"}
        with self.serving(self.exhibit.accepted) as (adapter, server):
            adapter.send(self.message())
        form = server.seen[0].form()
        assert {name.partition(".")[0] for name in form} <= known.keys()
        assert {name for name, each in known.items() if each.get("required")} <= form.keys()
        assert all(form[name] in known[name]["schema"]["enum"] for name in ("Action", "Version"))

    def test_a_number_as_sender_is_said_in_another_attribute_and_none_is_left_to_amazon(self) -> None:
        adapter = opened()
        assert b"AWS.MM.SMS.OriginationNumber" in adapter.compose(self.message(from_="+447700900000")).content
        assert b"SenderID" not in opened(**{"from": None}).compose(self.message()).content
        assert adapter.compose(self.message()).url.host == "sns.eu-west-1.amazonaws.com"

    def test_a_text_longer_than_1600_characters_is_unsupported(self) -> None:
        with pytest.raises(UnsupportedMessage):
            self.open().send(self.message(text="a" * 1601))

    def test_a_reply_carries_its_text_its_sender_and_the_message_that_it_answers(self) -> None:
        (receipt,) = self.open().parse(signed(reply("STOP"), MOMENT, "ours"))
        assert (receipt.kind, receipt.text, receipt.address) == ("replied", "STOP", "+447700900123")
        assert (receipt.provider_message_id, receipt.occurred_at) == (MESSAGE_ID, MOMENT)
        assert receipt.receipt_id == "cae173d2-66b9-564c-8309-21f858e9fb84"

    def test_without_a_topic_replies_are_refused(self) -> None:
        with pytest.raises(ReceiptRefused, match="topic_arn"):
            opened(topic_arn=None).verify(signed(reply("STOP"), MOMENT, "ours"))


@pytest.fixture(scope="module")
def cloud() -> Iterator[Amazon]:
    with amazon() as running:
        yield running


class TestAtAmazon:
    """At moto, which nobody here wrote, and which checks our signatures."""

    def opened(self, cloud: Amazon, **changes: Any) -> Sns:
        settings = Sns.Settings.model_validate({**cloud.settings, "from": "SHOP", **changes})
        return Sns(settings, AdapterContext(channel="sms", kind="sms"))  # type: ignore[arg-type]

    def test_a_message_is_taken_as_it_was_written(self, cloud: Amazon) -> None:
        adapter = self.opened(cloud)
        text = "Hola, ¿qué tal? 50% + más & más = 🛒"
        taken = adapter.send(sample_message("sms", text=text))
        adapter.close()
        (kept,) = [row for row in cloud.kept("sns", "SMS") if row["message_id"] == taken.provider_message_id]
        assert (kept["message"], kept["phone_number"]) == (text, "+447700900123")

    def test_a_number_that_is_none_is_refused_for_good(self, cloud: Amazon) -> None:
        adapter = self.opened(cloud)
        with pytest.raises(PermanentChannelError) as caught:
            adapter.send(sample_message("sms", to="NAA+15551234567"))
        adapter.close()
        assert caught.value.reason == "invalid_address"

    def test_a_wrong_secret_is_our_configuration(self, cloud: Amazon) -> None:
        adapter = self.opened(cloud, secret_access_key="another")
        with pytest.raises(ChannelConfigError, match="SignatureDoesNotMatch"):
            adapter.send(sample_message("sms"))
        adapter.close()
