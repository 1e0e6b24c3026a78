"""SMS over Amazon SNS (API of 2010-03-31), and replies, which come by a topic over HTTPS.

SNS tells what became of a message to CloudWatch alone, so there are no receipts but replies.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, ClassVar, Literal

import httpx
from pydantic import Field

from channels.aws import AwsSettings, SigV4, service_address
from channels.aws_topic import Topic, TopicArn
from channels.base import AdapterContext, Meaning, Text
from channels.http import HttpAdapter
from engine.delivery.message import Capabilities, Message, Receipt, SendResult, WebhookRequest
from engine.errors import UnsupportedMessage

_LONGEST_TEXT = 1600
_NUMBER = re.compile(r"\+?\d{3,15}")
#: What is wanted of an answer in XML; it is not read any further.
_MESSAGE_ID = re.compile(r"<MessageId>([0-9A-Za-z-]{1,64})</MessageId>")
_CODE = re.compile(r"<Code>([0-9A-Za-z.]{1,64})</Code>")


class SnsSettings(AwsSettings):
    #: A number that the account holds, or a sender name; unset, Amazon takes one.
    from_: Text | None = Field(default=None, alias="from")
    #: What Amazon optimises for: cost, or that it arrives. Unset, as the account says.
    sms_type: Literal["Promotional", "Transactional"] | None = None
    #: The most that one message may cost, in US dollars.
    max_price: Annotated[str, Field(pattern=r"^\d{1,3}(\.\d{1,5})?$")] | None = None
    #: The topic that two-way messages go to; without it replies are refused.
    topic_arn: TopicArn | None = None


class Sns(HttpAdapter[SnsSettings]):
    """Amazon SNS in one region."""

    name = "sns"
    Settings = SnsSettings
    capabilities = Capabilities(kind="sms", has_receipts=True)

    #: Codes of errors. One code says that a parameter is wrong, and its prose which.
    ERRORS: ClassVar[Mapping[str, Meaning]] = {
        "InvalidParameter:PhoneNumber": "invalid_address",
        "InvalidParameter:OptedOut": "opted_out",
        "InvalidParameter:Sender": "config",
        "InvalidParameter:TooLong": "unsupported",
        "InvalidParameter": "rejected",
        "InvalidParameterValue": "rejected",
        "ParameterValueInvalid": "rejected",
        "OptedOut": "opted_out",
        "Throttled": "transient",
        "Throttling": "transient",
        "ThrottlingException": "transient",
        "InternalError": "transient",
        "InternalFailure": "transient",
        "ServiceUnavailable": "transient",
        "AccessDenied": "config",
        "AuthorizationError": "config",
        "ExpiredToken": "config",
        "IncompleteSignature": "config",
        "InvalidAction": "config",
        "InvalidClientTokenId": "config",
        "InvalidSecurity": "config",
        "MissingAuthenticationToken": "config",
        "OptInRequired": "config",
        "RequestExpired": "config",  # our clock
        "SignatureDoesNotMatch": "config",
        "UserError": "unserved",  # the account is in the sandbox, and the number not among those it may write to
    }
    #: What the prose of a wrong parameter speaks of, in order.
    PARAMETERS: ClassVar[Mapping[str, str]] = {
        "opted out": "OptedOut",
        "message too long": "TooLong",
        "senderid": "Sender",
        "originationnumber": "Sender",
        "phonenumber": "PhoneNumber",
        "phone number": "PhoneNumber",
    }

    def __init__(self, settings: SnsSettings, context: AdapterContext, client: httpx.Client | None = None) -> None:
        super().__init__(settings, context, client)
        self.base_url = service_address("sns", settings.region)
        self.auth = SigV4(settings, "sns")
        self._topic = Topic(settings.topic_arn, self._client) if settings.topic_arn is not None else None

    def compose(self, message: Message) -> httpx.Request:
        if len(message.text) > _LONGEST_TEXT:
            raise UnsupportedMessage(f"sns takes at most {_LONGEST_TEXT} characters")
        form = {"Action": "Publish", "Version": "2010-03-31", "PhoneNumber": message.to, "Message": message.text}
        for number, (name, kind, value) in enumerate(self._attributes(message), start=1):
            entry = f"MessageAttributes.entry.{number}"
            form |= {f"{entry}.Name": name, f"{entry}.Value.DataType": kind, f"{entry}.Value.StringValue": value}
        return self.request("POST", "/", form=form)

    def _attributes(self, message: Message) -> list[tuple[str, str, str]]:
        sender = message.from_ or self.settings.from_
        named = "AWS.MM.SMS.OriginationNumber" if sender and _NUMBER.fullmatch(sender) else "AWS.SNS.SMS.SenderID"
        wanted = (
            (named, "String", sender),
            ("AWS.SNS.SMS.SMSType", "String", self.settings.sms_type),
            ("AWS.SNS.SMS.MaxPrice", "Number", self.settings.max_price),
        )
        return [(name, kind, value) for name, kind, value in wanted if value]

    def accept(self, response: httpx.Response) -> SendResult:
        found = _MESSAGE_ID.search(response.text)
        if found is None:
            raise self.unanswered("answered without saying what became of the message")
        return SendResult(provider_message_id=found[1])

    def error_word(self, response: httpx.Response) -> object:
        found = _CODE.search(response.text)
        code = found[1] if found else ""
        if code in ("InvalidParameter", "InvalidParameterValue"):
            prose = response.text.lower()
            named = next((word for said, word in self.PARAMETERS.items() if said in prose), "")
            return f"InvalidParameter:{named}" if named else code
        return code

    def authenticate(self, request: WebhookRequest) -> None:
        Topic.required(self._topic).verify(request)

    def read(self, request: WebhookRequest) -> Sequence[Receipt]:
        notification = Topic.required(self._topic).read(request)
        if notification is None:
            return []
        reply = json.loads(notification["Message"])
        occurred_at = datetime.fromisoformat(notification["Timestamp"])
        if "messageBody" not in reply:
            return [
                Receipt(
                    kind="unknown",
                    receipt_id=notification["MessageId"],
                    occurred_at=occurred_at,
                    vendor_kind=str(reply.get("eventType", "")),
                    raw=reply,
                )
            ]
        return [
            Receipt(
                kind="replied",
                receipt_id=reply["inboundMessageId"],
                occurred_at=occurred_at,
                provider_message_id=reply.get("previousPublishedMessageId"),
                address=reply["originationNumber"],
                text=reply["messageBody"],
                vendor_kind="inbound",
                raw=reply,
            )
        ]
