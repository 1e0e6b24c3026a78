"""Reports as our records can hold them, whatever a provider writes: ids and addresses are text, a time has a zone."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC

from engine.delivery.message import Receipt
from engine.errors import ReceiptRefused

#: What no database takes as text, or not as a key: U+0000 and the halves of pairs that JSON can smuggle in.
_UNFIT = re.compile("[\x00\ud800-\udfff]")


def usable(receipt: Receipt) -> Receipt:
    """The receipt with its ids as text, and its time in a zone; raises ReceiptRefused where a field cannot be kept."""
    zoned = receipt.occurred_at if receipt.occurred_at.tzinfo else receipt.occurred_at.replace(tzinfo=UTC)
    for name in ("text", "url"):
        if not isinstance(getattr(receipt, name), str | None):
            raise ReceiptRefused(f"a report's {name} is no text")
    named = _id(receipt.receipt_id, "id")
    if not named:
        raise ReceiptRefused("a report has no id")
    return replace(
        receipt,
        receipt_id=named,
        occurred_at=zoned,
        provider_message_id=_id(receipt.provider_message_id, "message"),
        delivery_id=_id(receipt.delivery_id, "delivery"),
        address=_id(receipt.address, "address"),
    )


def _id(value: object, what: str) -> str | None:
    """The value as text, as which a number was kept when the provider took the message."""
    if value is None:
        return None
    is_id = isinstance(value, str | int) and not isinstance(value, bool)
    if not is_id or _UNFIT.search(str(value)):
        raise ReceiptRefused(f"a report's {what} is none that could be kept")
    return str(value)
