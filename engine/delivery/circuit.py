"""Whether a provider's account is worth a call: the state of one channel, as a value. Pure.

It opens after `OPENS_AFTER` messages in a row whose first attempt failed with nothing taken between them, or at once
where the provider refuses us, whatever the message. What it has against one message or one address opens nothing, nor
does a message that failed before: others may have gone since. While it is open nothing is handed over but, from time to
time, one message to see whether the provider is back; the first that it takes closes the circuit.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from engine.errors import ChannelConfigError, ChannelError, TransientChannelError
from engine.schedule import doubled

OPENS_AFTER = 5
#: Between two probes: doubling from the first to the last. A provider's own word may lengthen it, to an hour at most.
_FIRST_PAUSE = timedelta(seconds=30)
_LONGEST_PAUSE = timedelta(minutes=5)
_LONGEST_WORD = timedelta(hours=1)
#: A probe of which nothing was heard for this long is given up: its worker has died.
PROBE_LASTS = timedelta(minutes=1)
_LONGEST_TEXT = 200


class Circuit(Struct, frozen=True, kw_only=True):
    """A channel whose provider is in trouble; a healthy one has none."""

    channel: str
    #: `closed`: some messages have failed, too few to conclude anything.
    state: Literal["closed", "open"] = "closed"
    #: `account`: the provider refuses our credentials, sender or account, until somebody mends them.
    reason: Literal["outage", "account"] = "outage"
    #: Messages in a row whose first attempt failed.
    failures: int = 0
    #: Probes in a row that failed.
    probes: int = 0
    #: The last failure, in the adapter's words: codes, never an address.
    error: str = ""
    opened_at: datetime | None = None
    #: When the next message is let through.
    probe_at: datetime | None = None
    #: The delivery that was let through last, and is out until `probe_at`.
    probing: str | None = None


def lets_through(circuit: Circuit | None, delivery_id: str, now: datetime) -> bool:
    """Whether this message may be handed over now."""
    if circuit is None or circuit.state == "closed":
        return True
    return circuit.probing == delivery_id or (circuit.probe_at is not None and now >= circuit.probe_at)


def after_failure(
    circuit: Circuit | None, channel: str, delivery_id: str, error: ChannelError, now: datetime, *, is_first: bool
) -> Circuit:
    """The circuit after a failed attempt; `is_first`: of its message."""
    known = circuit or Circuit(channel=channel)
    # Anyone's adapter may say anything: a database takes no NUL, a terminal should get no escapes.
    said = "".join(character for character in str(error) if character.isprintable())
    text = said[:_LONGEST_TEXT]
    if known.state == "open":
        if known.probing != delivery_id:
            return known  # under way before it opened
        probes = known.probes + 1
        return replace(
            known, error=text, probes=probes, probing=None, probe_at=now + _pause(probes, error), reason=_reason(error)
        )
    failures = known.failures + is_first
    is_refused = is_first and error.provider == "refuses_us"
    if failures < OPENS_AFTER and not is_refused:
        return replace(known, failures=failures, error=text)
    return replace(
        known, state="open", reason=_reason(error), failures=failures, error=text, opened_at=now,
        probe_at=now + _pause(0, error),
    )  # fmt: skip


def _reason(error: ChannelError) -> Literal["outage", "account"]:
    return "account" if isinstance(error, ChannelConfigError) else "outage"


def _pause(probes: int, error: ChannelError) -> timedelta:
    pause = doubled(_FIRST_PAUSE, probes, _LONGEST_PAUSE)
    said = error.retry_after if isinstance(error, TransientChannelError) else None
    return pause if said is None else max(pause, min(said, _LONGEST_WORD))
