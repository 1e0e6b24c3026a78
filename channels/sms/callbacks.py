"""What SMS providers' callbacks share: the address to report a message to, and numbers as they write them.

The delivery's id travels in that address, so a receipt finds its delivery even if no answer came to the sending.
"""

from __future__ import annotations

from urllib.parse import parse_qs, urlencode, urlsplit

from channels.base import AdapterContext
from engine.delivery.message import WebhookRequest

_LONGEST_SHORT_CODE = 6


def callback_url(context: AdapterContext, delivery_id: str) -> str:
    """The address to report this delivery to; empty where no provider could reach it."""
    if not context.webhook_url.startswith("https://"):
        return ""
    return f"{context.webhook_url}?{urlencode({'delivery': delivery_id})}"


def named_delivery(request: WebhookRequest) -> str | None:
    """The delivery's id in the address that the provider called."""
    found = parse_qs(urlsplit(request.url).query).get("delivery", [])
    return found[0] if found else None


def with_plus(number: str) -> str:
    """The number in E.164, from a provider that leaves out the plus; a short code or a name as it is."""
    is_whole = number.isascii() and number.isdigit() and len(number) > _LONGEST_SHORT_CODE
    return f"+{number}" if is_whole else number
