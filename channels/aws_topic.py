"""An Amazon SNS topic that is subscribed over HTTPS: its notifications proven, its subscription confirmed.

Amazon signs for every topic of every account, and anybody may point one at us: a signature counts only together with
the one topic that the settings name. Nothing that a request says leads us anywhere but to Amazon's own host in the
region of that topic: not the address of the certificate, and not the one for confirming, which we put together here.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

import httpx
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from pydantic import Field

from channels.aws import service_address
from channels.signatures import require_fresh, require_header
from engine.delivery.message import WebhookRequest
from engine.errors import ReceiptRefused, TransientChannelError

#: Type of a setting: `arn:aws:sns:REGION:ACCOUNT:NAME`.
TopicArn = Annotated[str, Field(pattern=r"^arn:aws(-[a-z]+)*:sns:[a-z]{2,4}(-[a-z]+)+-\d{1,2}:\d{12}:[A-Za-z0-9_.-]+$")]

#: SNS tries again for up to an hour, with the time and the signature of the first attempt.
FRESH_SECONDS = 3600
#: What is signed, by the type of the request; a field that is not there is left out.
_SIGNED: Mapping[str, tuple[str, ...]] = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    "SubscriptionConfirmation": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
    "UnsubscribeConfirmation": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
}
_HASHES = {"1": SHA1, "2": SHA256}
_MOST_CERTIFICATES = 8
#: Begins what a service publishes to a topic that was just named to it.
_TRIAL = "Successfully validated SNS topic"


class Topic:
    """The topic of one channel."""

    @classmethod
    def required(cls, topic: Topic | None) -> Topic:
        """The topic of an adapter that may have none; raises ReceiptRefused without one."""
        if topic is None:
            raise ReceiptRefused("notifications count only from a topic that is named: set `topic_arn`")
        return topic

    def __init__(self, arn: str, client: httpx.Client) -> None:
        self._arn = arn
        self._host = service_address("sns", arn.split(":")[3])
        self._client = client
        self._certificates: dict[str, x509.Certificate] = {}

    def verify(self, request: WebhookRequest) -> None:
        """Returns if the topic sent the request; raises ReceiptRefused, TransientChannelError without a certificate."""
        body = self._body(request)
        kind = str(body["Type"])
        if require_header(request, "x-amz-sns-message-type") != kind or kind not in _SIGNED:
            raise ReceiptRefused("the header and the body name different types of notification, or an unknown one")
        if body["TopicArn"] != self._arn:
            raise ReceiptRefused("the notification is of another topic than the `topic_arn` of the settings")
        sent_at = datetime.fromisoformat(body["Timestamp"])
        require_fresh(str(int(sent_at.timestamp())), request.received_at, within=FRESH_SECONDS)
        signed = "".join(f"{name}\n{body[name]}\n" for name in _SIGNED[kind] if body.get(name) is not None)
        key = self._key(str(body["SigningCertURL"]), request.received_at)
        try:
            signature = base64.b64decode(body["Signature"], validate=True)
            key.verify(signature, signed.encode(), padding.PKCS1v15(), _HASHES[str(body["SignatureVersion"])]())
        except InvalidSignature:
            refusal = ReceiptRefused("the request's signature is wrong")
        else:
            return
        raise refusal

    def read(self, request: WebhookRequest) -> Mapping[str, Any] | None:
        """The verified notification; None for one about the subscription, which is confirmed by this, or the topic."""
        body = self._body(request)
        match body["Type"]:
            case "Notification" if not body["Message"].startswith(_TRIAL):
                return body
            case "SubscriptionConfirmation":
                query = {"Action": "ConfirmSubscription", "TopicArn": self._arn, "Token": str(body["Token"])}
                self._get(f"{self._host}/", query)
        return None

    @staticmethod
    def _body(request: WebhookRequest) -> Mapping[str, Any]:
        body = json.loads(request.body)
        if not isinstance(body, dict):
            raise ReceiptRefused("sns notifies in objects")
        return body

    def _key(self, url: str, now: datetime) -> rsa.RSAPublicKey:
        if not re.fullmatch(re.escape(self._host) + r"/SimpleNotificationService-[0-9a-f]{1,64}\.pem", url):
            raise ReceiptRefused("the certificate is not where Amazon keeps those of the topic's region")
        certificate = self._certificates.get(url)
        if certificate is None:
            certificate = x509.load_pem_x509_certificate(self._get(url, {}))
            if len(self._certificates) >= _MOST_CERTIFICATES:
                self._certificates.clear()
            self._certificates[url] = certificate
        key = certificate.public_key()
        is_valid = certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc
        if not is_valid or not isinstance(key, rsa.RSAPublicKey):
            raise ReceiptRefused("the certificate has run out, or is none of Amazon's")
        return key

    def _get(self, url: str, query: Mapping[str, str]) -> bytes:
        try:
            response = self._client.get(url, params=query or None)
        except httpx.HTTPError as error:
            failure = f"sns cannot be reached ({type(error).__name__})"
        else:
            if response.is_success:
                return response.content
            failure = f"sns answered HTTP {response.status_code}"
        raise TransientChannelError(failure)
