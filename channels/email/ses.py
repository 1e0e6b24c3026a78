"""Email over Amazon SES (API v2), and its events, which come by an SNS topic over HTTPS."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import httpx
from pydantic import Field

from channels.aws import AwsSettings, SigV4, service_address
from channels.aws_topic import Topic, TopicArn
from channels.base import AdapterContext, Meaning, Text, required_sender, safe_word
from channels.email.wire import compose
from channels.http import HttpAdapter, try_json_object
from engine.delivery.message import Capabilities, Message, Receipt, ReceiptKind, SendResult, WebhookRequest

#: SES names no wait: its advice is ten minutes for the rate, and a day's quota frees itself little by little.
_RATE_PAUSE = timedelta(minutes=10)
_QUOTA_PAUSE = timedelta(hours=1)
_TAG = re.compile(r"[A-Za-z0-9_-]{1,256}")


class SesSettings(AwsSettings):
    from_: Text | None = Field(default=None, alias="from")
    #: Its event destination, an SNS topic, is what reports to us.
    configuration_set_name: Text | None = None
    #: The topic that may report; without it reports are refused.
    topic_arn: TopicArn | None = None


class Ses(HttpAdapter[SesSettings]):
    """Amazon SES in one region."""

    name = "ses"
    Settings = SesSettings
    capabilities = Capabilities(kind="email", has_receipts=True, has_attachments=True)

    #: Types of errors. Others: by the HTTP status.
    ERRORS: ClassVar[Mapping[str, Meaning]] = {
        "TooManyRequestsException": "transient",
        "ThrottlingException": "transient",
        "Throttling": "transient",
        "LimitExceededException": "transient",
        "AccountSuspendedException": "config",
        "SendingPausedException": "config",
        "MailFromDomainNotVerifiedException": "config",
        "NotFoundException": "config",  # the configuration set
        # One type for a text that SES dislikes and for a sender that is not verified; its prose tells them apart.
        "MessageRejected": "rejected",
        "MessageRejected:NotVerified": "config",
        "BadRequestException": "rejected",
        "AccessDeniedException": "config",
        "ExpiredTokenException": "config",
        "IncompleteSignature": "config",
        "InvalidClientTokenId": "config",
        "InvalidSignatureException": "config",
        "SignatureDoesNotMatch": "config",
        "UnrecognizedClientException": "config",
    }
    #: Events; None: progress that changes nothing for us.
    EVENTS: ClassVar[Mapping[str, ReceiptKind | None]] = {
        "Send": None, "AmazonSnsSubscriptionSucceeded": None,
        "Delivery": "delivered", "DeliveryDelay": "deferred", "Bounce": "bounced", "Complaint": "complained",
        "Reject": "failed", "Rendering Failure": "failed", "Open": "opened", "Click": "clicked",
    }  # fmt: skip
    #: Where an event's own part stands in the report.
    PARTS: ClassVar[Mapping[str, str]] = {"DeliveryDelay": "deliveryDelay", "Rendering Failure": "failure"}

    def __init__(self, settings: SesSettings, context: AdapterContext, client: httpx.Client | None = None) -> None:
        super().__init__(settings, context, client)
        self.base_url = service_address("email", settings.region)
        self.auth = SigV4(settings, "ses")
        self._topic = Topic(settings.topic_arn, self._client) if settings.topic_arn is not None else None

    def compose(self, message: Message) -> httpx.Request:
        sender = required_sender(message.from_, self.settings.from_)
        # SES puts a Message-ID and a Date of its own in the place of ours.
        mail = compose(message, sender, datetime.now(UTC))
        tags = {"delivery": message.delivery_id, **message.metadata}
        body: dict[str, Any] = {
            "FromEmailAddress": mail.sender_address,
            "Destination": {"ToAddresses": [mail.to]},
            "Content": {"Raw": {"Data": base64.b64encode(mail.content).decode()}},
            "EmailTags": [{"Name": name, "Value": value} for name, value in tags.items() if _TAG.fullmatch(value)],
        }
        if self.settings.configuration_set_name is not None:
            body["ConfigurationSetName"] = self.settings.configuration_set_name
        return self.request("POST", "/v2/email/outbound-emails", body=body)

    def accept(self, response: httpx.Response) -> SendResult:
        return SendResult(provider_message_id=safe_word(self.json_object(response).get("MessageId")) or None)

    def error_word(self, response: httpx.Response) -> object:
        answer = try_json_object(response) or {}
        # `MessageRejected:http://…` in the header, `com.amazonaws…#MessageRejected` in the body.
        named = response.headers.get("x-amzn-errortype") or str(answer.get("__type", ""))
        word = named.partition(":")[0].rpartition("#")[2]
        if word == "MessageRejected" and "not verified" in _prose(answer):
            return "MessageRejected:NotVerified"
        return word

    def retry_after(self, response: httpx.Response) -> timedelta | None:
        named = super().retry_after(response)
        if named is None and self.ERRORS.get(str(self.error_word(response))) == "transient":
            return _QUOTA_PAUSE if "quota" in _prose(try_json_object(response) or {}) else _RATE_PAUSE
        return named

    def authenticate(self, request: WebhookRequest) -> None:
        Topic.required(self._topic).verify(request)

    def read(self, request: WebhookRequest) -> Sequence[Receipt]:
        notification = Topic.required(self._topic).read(request)
        if notification is None:
            return []
        report = json.loads(notification["Message"])
        # Event publishing of a configuration set says the first, notifications of an identity the second.
        word = report.get("eventType") or report["notificationType"]
        kind = self.EVENTS.get(word, "unknown")
        if kind is None:
            return []
        mail = report.get("mail") or {}
        part: Mapping[str, Any] = report.get(self.PARTS.get(word, word.lower())) or {}
        deliveries = (mail.get("tags") or {}).get("delivery") or [None]
        addresses = mail.get("destination") or []
        return [
            Receipt(
                kind=kind,
                receipt_id=notification["MessageId"],
                occurred_at=datetime.fromisoformat(part.get("timestamp") or notification["Timestamp"]),
                provider_message_id=mail.get("messageId"),
                delivery_id=deliveries[0],
                address=addresses[0] if len(addresses) == 1 else None,
                is_hard=part.get("bounceType") == "Permanent",
                url=part.get("link"),
                vendor_kind=word,
                raw=report,
            )
        ]


def _prose(answer: Mapping[str, Any]) -> str:
    return str(answer.get("message") or answer.get("Message") or "").lower()
