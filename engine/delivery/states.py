"""The state machine of a delivery: which status may follow which.

    claimed ─┬─▶ sent ──────────┬─▶ delivered ─▶ bounced ─▶ opened ─▶ clicked ─▶ complained
             ├─▶ retrying ──────┤
             ├─▶ in_doubt ──────┤   each of these may be skipped, and none is left backwards
             └─▶ failed ────────┘
    held_out

Whoever sends moves a delivery along the left column; receipts and ops move it to the right. Receipts come late, twice
and in any order, so a status only ever moves to the right: what comes late or again changes nothing. A receipt is also
proof that the provider has the message, whatever we believed, so it ends a doubt and stops a retry.
"""

from __future__ import annotations

from collections.abc import Mapping

from engine.delivery.message import ReceiptKind
from engine.delivery.model import Status

_UNKNOWN, _NEVER = 0, 9
_RANK: Mapping[Status, int] = {
    "claimed": _UNKNOWN, "retrying": _UNKNOWN, "in_doubt": _UNKNOWN, "failed": _UNKNOWN,
    "sent": 1, "delivered": 2, "bounced": 3, "opened": 4, "clicked": 5, "complained": 6,
    # No provider ever had it.
    "held_out": _NEVER,
}  # fmt: skip
_REPORTS: Mapping[ReceiptKind, Status] = {
    "delivered": "delivered",
    "bounced": "bounced",
    "failed": "bounced",
    "opened": "opened",
    "clicked": "clicked",
    "complained": "complained",
    "unsubscribed": "delivered",
    "replied": "delivered",
}


def reported(status: Status, kind: ReceiptKind, *, is_hard: bool) -> Status | None:
    """The status after a receipt, or None where it changes nothing."""
    # A mailbox that was full may yet take the message: what is not final moves nothing.
    is_soft = kind == "bounced" and not is_hard
    following = None if is_soft else _REPORTS.get(kind)
    return following if following and _RANK[following] > _RANK[status] else None
