"""What every signed webhook shares: comparison in constant time, and freshness."""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import hmac
from datetime import datetime

from engine.delivery.message import WebhookRequest
from engine.errors import ReceiptRefused

#: How far a request's own timestamp may be from its arrival, in seconds, either way.
FRESH_SECONDS = 300


def require_header(request: WebhookRequest, name: str) -> str:
    """The header's value; refuses the request where it is missing or empty. `name` is lower-case."""
    value = request.headers.get(name, "")
    if not value:
        raise ReceiptRefused(f"the request has no `{name}`")
    return value


def require_same(expected: str, given: str) -> None:
    """Refuses a signature that is not the expected one; takes as long whatever differs."""
    if not hmac.compare_digest(expected.encode(), given.encode("utf-8", "replace")):
        raise ReceiptRefused("the request's signature is wrong")


def require_basic(request: WebhookRequest, username: str, password: str) -> None:
    """Refuses a request without these credentials in its `Authorization`: for providers that sign nothing."""
    expected = "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()
    require_same(expected, require_header(request, "authorization"))


def require_fresh(unix_seconds: str, received_at: datetime, *, within: int = FRESH_SECONDS) -> None:
    """Refuses a request that was signed more than `within` seconds before or after it arrived, or names no time."""
    if not (unix_seconds.isascii() and unix_seconds.isdigit() and len(unix_seconds) <= 12):
        raise ReceiptRefused("the request's timestamp is not a number of seconds")
    if abs(received_at.timestamp() - int(unix_seconds)) > within:
        raise ReceiptRefused(f"the request is stale: it was signed more than {within} seconds from now")


def require_standard(secret: str, request: WebhookRequest, *, prefix: str = "webhook") -> None:
    """Refuses a request that is not signed, and fresh, as Standard Webhooks say (and Svix, whose prefix is `svix`)."""
    name, stamp = require_header(request, f"{prefix}-id"), require_header(request, f"{prefix}-timestamp")
    require_fresh(stamp, request.received_at)
    expected = standard_signature(secret, name, stamp, request.body).encode()
    # While a secret is being changed there are several signatures, and ours is one of them.
    given = require_header(request, f"{prefix}-signature").encode("utf-8", "replace").split(b" ")
    if not any(hmac.compare_digest(expected, candidate) for candidate in given):
        raise ReceiptRefused("the request's signature is wrong")


def standard_signature(secret: str, name: str, stamp: str, body: bytes) -> str:
    """The signature of Standard Webhooks over a request's id, timestamp and body; `whsec_` begins a base64 secret."""
    key = secret.encode()
    if secret.startswith("whsec_"):
        with contextlib.suppress(binascii.Error):
            key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    mac = hmac.new(key, f"{name}.{stamp}.".encode() + body, hashlib.sha256).digest()
    return "v1," + base64.b64encode(mac).decode()
