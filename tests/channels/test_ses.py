"""Amazon SES: by its description, by moto with the signature check on, by notifications signed as SNS signs them."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from email import message_from_bytes, policy
from functools import cache
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from channels.base import AdapterContext
from channels.email.ses import Ses
from channels.testing.contract import MOMENT, WEBHOOK_URL, TimedReceiptContract
from channels.testing.exhibit import HttpExhibit, ReceiptExhibit, Refusal, sample_message
from channels.testing.server import Reply
from engine.delivery.message import Attachment, WebhookRequest
from engine.errors import (
    ChannelConfigError,
    PermanentChannelError,
    ReceiptRefused,
    TransientChannelError,
)
from tests.channels.amazon import Amazon, amazon
from tests.channels.described import DescribedContract

DELIVERY = "d0123456789abcdef01234567"
MESSAGE = "0102017f5c3a3f3e-0a1b2c3d-0000-4e5f-8a9b-000000000000-000000"
TOPIC = "arn:aws:sns:eu-west-1:123456789012:sojourn"
CERTIFICATE = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123456789abcdef.pem"
SETTINGS = {
    "region": "eu-west-1",
    "access_key_id": "AKIDEXAMPLE",
    "secret_access_key": "s3cr3t-acc3ss-k3y",
    "from": "Demo Shop <hello@shop.example>",
    "configuration_set_name": "sojourn",
    "topic_arn": TOPIC,
}


@cache
def private_key(name: str) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@cache
def certificate(name: str, days: int = 365) -> bytes:
    who = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    built = (
        x509.CertificateBuilder()
        .subject_name(who)
        .issuer_name(who)
        .public_key(private_key(name).public_key())
        .serial_number(1)
        .not_valid_before(MOMENT - timedelta(days=30))
        .not_valid_after(MOMENT - timedelta(days=30) + timedelta(days=days))
        .sign(private_key(name), SHA256())
    )
    return built.public_bytes(Encoding.PEM)


def notification(message: str, **more: Any) -> bytes:
    fields = {"Type": "Notification", "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324", "TopicArn": TOPIC}
    return json.dumps({**fields, "Message": message, **more}).encode()


def signed(body: bytes, moment: datetime, secret: str, version: str = "2", cert: str = CERTIFICATE) -> WebhookRequest:
    """SNS puts time and signature into the body."""
    kind = ""
    try:
        fields = json.loads(body)
        fields = {
            **fields,
            "Timestamp": moment.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
            "SignatureVersion": version,
            "SigningCertURL": cert,
        }
        kind = fields["Type"]
        names = ["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"]
        if kind != "Notification":
            names = ["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"]
        text = "".join(f"{name}\n{fields[name]}\n" for name in names if name in fields)
        signature = private_key(secret).sign(
            text.encode(), padding.PKCS1v15(), {"1": SHA1, "2": SHA256}.get(version, SHA256)()
        )
        body = json.dumps({**fields, "Signature": base64.b64encode(signature).decode()}).encode()
    except (ValueError, TypeError, KeyError):
        pass
    headers = {"x-amz-sns-message-type": kind, "content-type": "text/plain; charset=UTF-8"}
    return WebhookRequest(url=WEBHOOK_URL, method="POST", headers=headers, body=body, received_at=moment)


def event(word: str, part: str = "", **more: Any) -> bytes:
    mail = {"messageId": MESSAGE, "destination": ["ana@shop.example"], "tags": {"delivery": [DELIVERY]}}
    report = {"eventType": word, "mail": mail, part or word.lower(): {"timestamp": "2026-03-02T10:00:00.000Z", **more}}
    return notification(json.dumps(report), MessageId=f"id-{word}-{json.dumps(more, sort_keys=True)}")


def bounce(kind: str) -> bytes:
    return event("Bounce", bounceType=kind, bouncedRecipients=[{"emailAddress": "ana@shop.example"}])


def no(status: int, word: str, said: str = "No") -> Reply:
    return Reply(status=status, headers={"x-amzn-ErrorType": f"{word}:http://x/"}, body={"message": said})


class AmazonsHosts:
    """What answers under the names of Amazon's hosts, and what it was asked."""

    def __init__(self, pem: bytes, status: int = 200) -> None:
        self.asked: list[httpx.URL] = []
        self._pem = pem
        self._status = status

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url)
        return httpx.Response(self._status, content=self._pem)


def opened(hosts: AmazonsHosts, **changes: Any) -> Ses:
    settings = Ses.Settings.model_validate({**SETTINGS, **changes})
    context = AdapterContext(channel="main", kind="email", webhook_url=WEBHOOK_URL)
    return Ses(settings, context, httpx.Client(transport=httpx.MockTransport(hosts)))  # type: ignore[arg-type]


class TestSes(DescribedContract, TimedReceiptContract):
    adapter = Ses
    description = "ses-v2"
    settings = SETTINGS
    fresh_seconds = 3600
    exhibit = HttpExhibit(
        accepted=Reply(status=200, body={"MessageId": MESSAGE}),
        message_id=MESSAGE,
        refusals=(
            Refusal(reply=no(400, "MessageRejected", "Spam"), reason="rejected"),
            Refusal(reply=no(400, "BadRequestException"), reason="rejected"),
            Refusal(reply=no(400, "SomethingNew"), reason="rejected"),
            Refusal(
                reply=Reply(status=400, body={"__type": "com.amazonaws.ses#BadRequestException"}), reason="rejected"
            ),
            Refusal(
                reply=no(400, "MessageRejected", "Email address is not verified. eve@shop.example"),
                error=ChannelConfigError,
            ),
            Refusal(reply=no(400, "AccountSuspendedException"), error=ChannelConfigError),
            Refusal(reply=no(400, "SendingPausedException"), error=ChannelConfigError),
            Refusal(reply=no(400, "MailFromDomainNotVerifiedException"), error=ChannelConfigError),
            Refusal(reply=no(404, "NotFoundException"), error=ChannelConfigError),
            Refusal(reply=no(403, "SignatureDoesNotMatch"), error=ChannelConfigError),
            Refusal(reply=no(403, "UnrecognizedClientException"), error=ChannelConfigError),
            Refusal(reply=no(429, "TooManyRequestsException"), error=TransientChannelError),
            Refusal(reply=no(400, "ThrottlingException"), error=TransientChannelError),
            Refusal(reply=no(400, "LimitExceededException"), error=TransientChannelError),
        ),
        throttled=Reply(status=429),
    )
    receipts = ReceiptExhibit(
        sign=signed,
        secret="ours",
        bodies=(
            (event("Send"), ()),
            (event("Delivery"), ("delivered",)),
            (event("DeliveryDelay", "deliveryDelay", delayType="MailboxFull"), ("deferred",)),
            (bounce("Permanent"), ("bounced",)),
            (event("Complaint", complaintFeedbackType="abuse"), ("complained",)),
            (event("Reject", reason="Bad content"), ("failed",)),
            (event("Rendering Failure", "failure"), ("failed",)),
            (event("Open"), ("opened",)),
            (event("Click", link="https://shop.example/c"), ("clicked",)),
            (notification("Successfully validated SNS topic for Amazon SES event publishing."), ()),
            (notification('{"notificationType": "AmazonSnsSubscriptionSucceeded", "message": "You have"}'), ()),
        ),
        unknown=event("Teleport"),
        unreadable=(b"", b"{", b"[]", b"{}", notification("prose"), notification("{}"), b"\xff"),
    )

    def open(self) -> Ses:
        return opened(AmazonsHosts(certificate("ours")))

    def test_the_request_is_the_published_one(self) -> None:
        attachment = Attachment(name="a.pdf", media_type="application/pdf", content=b"%PDF")
        headers = {"List-Unsubscribe": "<https://shop.example/u/" + "x" * 90 + ">"}
        metadata = {"journey": "cart", "step": "with.a/dot"}
        with self.serving(self.exhibit.accepted) as (adapter, server):
            adapter.send(self.message(headers=headers, attachments=(attachment,), metadata=metadata))
        request = server.seen[0]
        assert (request.method, request.path) == ("POST", "/v2/email/outbound-emails")
        assert request.headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/")
        body = json.loads(request.body)
        mail = message_from_bytes(base64.b64decode(body.pop("Content")["Raw"]["Data"]), policy=policy.default)
        assert body == {
            "FromEmailAddress": "hello@shop.example",
            "Destination": {"ToAddresses": ["ana@shop.example"]},
            # What a tag may not hold stays at home.
            "EmailTags": [{"Name": "delivery", "Value": DELIVERY}, {"Name": "journey", "Value": "cart"}],
            "ConfigurationSetName": "sojourn",
        }
        assert mail["From"] == "Demo Shop <hello@shop.example>"
        assert mail["List-Unsubscribe"] == headers["List-Unsubscribe"]
        assert [part.get_content_type() for part in mail.walk() if not part.is_multipart()] == [
            "text/plain",
            "text/html",
            "application/pdf",
        ]

    def test_it_goes_to_the_region_of_the_settings(self) -> None:
        adapter = self.open()
        assert adapter.compose(self.message()).url.host == "email.eu-west-1.amazonaws.com"

    @pytest.mark.parametrize(
        ("said", "hours"), [("Maximum sending rate exceeded.", 1 / 6), ("Daily message quota exceeded.", 1)]
    )
    def test_a_limit_without_a_wait_gets_the_published_one(self, said: str, hours: float) -> None:
        reply = no(400, "ThrottlingException", said)
        with self.serving(reply) as (adapter, _), pytest.raises(TransientChannelError) as caught:
            adapter.send(self.message())
        assert caught.value.retry_after == timedelta(hours=hours)

    def test_a_receipt_names_the_message_the_delivery_and_the_address(self) -> None:
        (receipt,) = self.open().parse(signed(event("Delivery"), MOMENT, "ours"))
        assert receipt.provider_message_id == MESSAGE
        assert (receipt.delivery_id, receipt.address) == (DELIVERY, "ana@shop.example")
        assert receipt.occurred_at == MOMENT

    @pytest.mark.parametrize(("kind", "is_hard"), [("Permanent", True), ("Transient", False), ("Undetermined", False)])
    def test_what_is_for_good_and_what_is_not(self, kind: str, is_hard: bool) -> None:
        (receipt,) = self.open().parse(signed(bounce(kind), MOMENT, "ours"))
        assert (receipt.kind, receipt.is_hard) == ("bounced", is_hard)

    def test_notifications_of_an_identity_are_read_as_events_are(self) -> None:
        report = {
            "notificationType": "Complaint",
            "mail": {"messageId": MESSAGE, "destination": ["ana@shop.example"]},
            "complaint": {"timestamp": "2026-03-02T10:00:00.000Z"},
        }
        (receipt,) = self.open().parse(signed(notification(json.dumps(report)), MOMENT, "ours"))
        assert (receipt.kind, receipt.delivery_id, receipt.provider_message_id) == ("complained", None, MESSAGE)


class TestNotifications:
    """Of the topic: who may report, and whom we ask for the proof."""

    def test_both_versions_of_the_signature_count_and_no_other(self) -> None:
        adapter = opened(AmazonsHosts(certificate("ours")))
        for version in ("1", "2"):
            adapter.verify(signed(event("Open"), MOMENT, "ours", version))
        with pytest.raises(ReceiptRefused):
            adapter.verify(signed(event("Open"), MOMENT, "ours", "3"))

    def test_a_subject_is_signed_along(self) -> None:
        body = notification("{}", Subject="Amazon SES Email Event Notification")
        opened(AmazonsHosts(certificate("ours"))).verify(signed(body, MOMENT, "ours"))

    def test_another_topic_is_refused_though_amazon_signed_for_it_and_asked_for_nothing(self) -> None:
        hosts = AmazonsHosts(certificate("ours"))
        for arn in (TOPIC + "2", TOPIC.replace("123456789012", "999999999999")):
            with pytest.raises(ReceiptRefused, match="topic_arn"):
                opened(hosts).verify(signed(notification("{}", TopicArn=arn), MOMENT, "ours"))
        assert hosts.asked == []

    @pytest.mark.parametrize(
        "url",
        [
            CERTIFICATE.replace("https", "http"),
            CERTIFICATE.replace("amazonaws.com", "amazonaws.com.evil.example"),
            CERTIFICATE.replace("sns.eu-west-1", "evil.s3"),
            CERTIFICATE.replace("eu-west-1", "us-east-1"),
            CERTIFICATE.replace("https://", "https://evil.example/"),
            CERTIFICATE.replace("https://", "https://sns.eu-west-1.amazonaws.com@evil.example/"),
            CERTIFICATE.replace(".com/", ".com:8443/"),
            CERTIFICATE.replace("SimpleNotificationService-", "../SimpleNotificationService-"),
            CERTIFICATE + "?x",
            CERTIFICATE + "\n",
            "file:///etc/passwd",
            "",
        ],
    )
    def test_a_certificate_is_fetched_from_amazons_own_host_alone(self, url: str) -> None:
        hosts = AmazonsHosts(certificate("ours"))
        with pytest.raises(ReceiptRefused):
            opened(hosts).verify(signed(event("Open"), MOMENT, "ours", cert=url))
        assert hosts.asked == []

    def test_a_certificate_is_fetched_once(self) -> None:
        hosts = AmazonsHosts(certificate("ours"))
        adapter = opened(hosts)
        for _ in range(3):
            adapter.verify(signed(event("Open"), MOMENT, "ours"))
        assert [str(url) for url in hosts.asked] == [CERTIFICATE]

    def test_a_certificate_that_has_run_out_is_refused(self) -> None:
        with pytest.raises(ReceiptRefused, match="run out"):
            opened(AmazonsHosts(certificate("ours", days=7))).verify(signed(event("Open"), MOMENT, "ours"))

    def test_a_certificate_out_of_reach_refuses_nothing_but_wants_another_attempt(self) -> None:
        with pytest.raises(TransientChannelError):
            opened(AmazonsHosts(b"", status=503)).verify(signed(event("Open"), MOMENT, "ours"))

    def test_a_type_in_the_header_must_be_the_one_that_is_signed(self) -> None:
        request = signed(event("Open"), MOMENT, "ours")
        headers = {**request.headers, "x-amz-sns-message-type": "SubscriptionConfirmation"}
        with pytest.raises(ReceiptRefused):
            opened(AmazonsHosts(certificate("ours"))).verify(replace(request, headers=headers))

    def test_a_subscription_is_confirmed_at_amazon_wherever_the_request_points(self) -> None:
        hosts = AmazonsHosts(certificate("ours"))
        body = notification(
            "You have chosen to subscribe",
            Type="SubscriptionConfirmation",
            Token="2336412f37",
            SubscribeURL="https://evil.example/?Action=ConfirmSubscription",
        )
        request = signed(body, MOMENT, "ours")
        adapter = opened(hosts)
        adapter.verify(request)
        assert adapter.parse(request) == []
        confirmed = hosts.asked[-1]
        assert (confirmed.scheme, confirmed.host, confirmed.path) == ("https", "sns.eu-west-1.amazonaws.com", "/")
        assert dict(confirmed.params) == {
            "Action": "ConfirmSubscription",
            "TopicArn": TOPIC,
            "Token": "2336412f37",
        }

    def test_the_end_of_a_subscription_is_heard_and_nothing_follows(self) -> None:
        hosts = AmazonsHosts(certificate("ours"))
        body = notification("Gone", Type="UnsubscribeConfirmation", Token="t", SubscribeURL="https://x")
        request = signed(body, MOMENT, "ours")
        adapter = opened(hosts)
        adapter.verify(request)
        assert adapter.parse(request) == []
        assert [str(url) for url in hosts.asked] == [CERTIFICATE]

    def test_without_a_topic_reports_are_refused(self) -> None:
        with pytest.raises(ReceiptRefused, match="topic_arn"):
            opened(AmazonsHosts(certificate("ours")), topic_arn=None).verify(signed(event("Open"), MOMENT, "ours"))

    @pytest.mark.parametrize("arn", ["", "sojourn", "arn:aws:sqs:eu-west-1:123456789012:sojourn", TOPIC + ":x"])
    def test_a_topic_that_is_none_is_found_when_the_project_is_checked(self, arn: str) -> None:
        assert "`topic_arn`" in Ses.check_settings({**SETTINGS, "topic_arn": arn})[0]


@pytest.fixture(scope="module")
def cloud() -> Iterator[Amazon]:
    with amazon() as server:
        server.call("ses", "/v2/email/identities", {"EmailIdentity": "hello@shop.example"})
        yield server


class TestAtAmazon:
    """At moto, which nobody here wrote, and which checks our signatures."""

    def open(self, cloud: Amazon, **changes: Any) -> Ses:
        settings = {**cloud.settings, "from": "Demo Shop <hello@shop.example>", **changes}
        adapter = Ses.open(settings, AdapterContext(channel="email", kind="email"))
        assert isinstance(adapter, Ses)
        return adapter

    def test_a_mail_arrives_as_it_was_written(self, cloud: Amazon) -> None:
        headers = {"List-Unsubscribe": "<https://shop.example/u/" + "x" * 90 + ">"}
        message = sample_message("email", subject="Ihr Körbchen — wartet", text="Grüße, Ana", headers=headers)
        sent = self.open(cloud).send(message)
        (kept,) = [row for row in cloud.kept("ses", "RawMessage") if row["id"] == sent.provider_message_id]
        mail = message_from_bytes(kept["raw_data"].encode(), policy=policy.default)
        assert set(kept["destinations"]) == {"ana@shop.example"}
        assert (mail["Subject"], mail["From"]) == ("Ihr Körbchen — wartet", "Demo Shop <hello@shop.example>")
        assert mail["List-Unsubscribe"] == headers["List-Unsubscribe"]
        text = mail.get_body(("plain",))
        assert text is not None
        assert text.get_content().strip() == "Grüße, Ana"

    @pytest.mark.parametrize("changes", [{"secret_access_key": "wrong"}, {"access_key_id": "AKIAWRONG"}])
    def test_a_wrong_key_is_our_configuration(self, cloud: Amazon, changes: dict[str, str]) -> None:
        with pytest.raises(ChannelConfigError, match="HTTP 403"):
            self.open(cloud, **changes).send(sample_message("email"))

    def test_a_sender_that_is_not_verified_is_refused(self, cloud: Amazon) -> None:
        with pytest.raises(PermanentChannelError, match="MessageRejected"):
            self.open(cloud, **{"from": "eve@shop.example"}).send(sample_message("email"))
