"""What every signed webhook shares: comparison in constant time, and freshness."""

from __future__ import annotations

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


def require_fresh(unix_seconds: str, received_at: datetime) -> None:
    """Refuses a request that was signed more than five minutes before or after it arrived, or names no time."""
    if not (unix_seconds.isascii() and unix_seconds.isdigit() and len(unix_seconds) <= 12):
        raise ReceiptRefused("the request's timestamp is not a number of seconds")
    if abs(received_at.timestamp() - int(unix_seconds)) > FRESH_SECONDS:
        raise ReceiptRefused(f"the request is stale: it was signed more than {FRESH_SECONDS} seconds from now")
