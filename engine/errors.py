"""Exceptions of the engine: a class for each way of handling, not for each message.

    SojournError
    ├── BadInput                 somebody gave us something unusable; the message says what to change (exit 2, HTTP 400)
    │   ├── ProjectError         the authored files do not compile; carries the diagnostics
    │   └── ExpressionError      an expression does not parse or type; carries the offset inside it
    ├── NotFound                 a named thing does not exist (exit 2, HTTP 404)
    ├── Conflict                 the state of things forbids it (exit 1, HTTP 409)
    ├── GrantRefused             a grant lacks evidence, or only the person may make it (HTTP 409)
    ├── RenderError              a template cannot render; never a half-rendered message
    ├── StoreUnavailable         the store cannot be read or written now; nothing is sent (retry)
    └── ChannelError             what an adapter raises; nothing else may leave it
        ├── TransientChannelError    try again, after `retry_after` where the provider named it
        ├── PermanentChannelError    this message will never go; `reason` is one of ours
        ├── DoubtfulChannelError     the provider may have taken it: nobody knows
        ├── UnsupportedMessage       the channel cannot carry this message
        ├── ChannelConfigError       our account or settings are wrong; stops the channel, not the person
        └── ReceiptRefused           an inbound provider request that proves nothing or says nothing (HTTP 403)

Messages say what, which, where, what is allowed, what to do; never a secret, an address or a payload.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, ClassVar, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.language.diagnostics import Diagnostic

#: What a failure says of the provider, to the messages that come after: nothing (it was not asked); that it works (it
#: has answered, for this message or this address alone); that it is in trouble (some in a row are an outage); or that
#: it refuses us, whatever the message.
ProviderHealth = Literal["unknown", "works", "trouble", "refuses_us"]


class SojournError(Exception):
    """Root of everything that the engine raises on purpose."""


class BadInput(SojournError):
    """Unusable input; the message says what to change."""


class ProjectError(BadInput):
    """Authored files that do not compile; `diagnostics` holds every problem of every file."""

    def __init__(self, diagnostics: Sequence[Diagnostic]) -> None:
        self.diagnostics = tuple(diagnostics)
        super().__init__(f"{len(self.diagnostics)} problem(s) in the project: run `sojourn check`")


class ExpressionError(BadInput):
    """An expression that does not parse; `offset` counts characters from 0 inside its text."""

    def __init__(self, message: str, *, offset: int = 0, hint: str = "") -> None:
        self.offset = offset
        self.hint = hint
        super().__init__(message)


class NotFound(SojournError):
    """A named thing that does not exist."""


class Conflict(SojournError):
    """Well-formed, but the present state forbids it."""


class GrantRefused(Conflict):
    """A grant without evidence, or one that only the person could make."""


class RenderError(SojournError):
    """A template that cannot render for this person."""


class StoreUnavailable(SojournError):
    """The store cannot be reached; the caller retries, and nothing is sent meanwhile."""


class ChannelError(SojournError):
    """Whatever an adapter raises. `provider`: what it says of the provider, where that is not what its class says."""

    #: What the record of a message says of it.
    code: str = "failed"
    HEALTH: ClassVar[ProviderHealth] = "unknown"

    def __init__(self, message: str, *, provider: ProviderHealth | None = None) -> None:
        self.provider = provider or self.HEALTH
        super().__init__(message)


class TransientChannelError(ChannelError):
    """Try again later; `retry_after` is the provider's own word, where it gave one."""

    code = "unavailable"
    HEALTH = "trouble"

    def __init__(
        self, message: str, *, retry_after: timedelta | None = None, provider: ProviderHealth | None = None
    ) -> None:
        self.retry_after = retry_after
        super().__init__(message, provider=provider)


class PermanentChannelError(ChannelError):
    """This message will never go. `reason`: `invalid_address` suppresses the address; see `engine.delivery.message`."""

    HEALTH = "works"

    def __init__(self, message: str, *, reason: str = "rejected", provider: ProviderHealth | None = None) -> None:
        self.reason = self.code = reason
        super().__init__(message, provider=provider)


class DoubtfulChannelError(ChannelError):
    """The request was written and no answer came: the provider may have taken the message."""

    code = "no_answer"
    HEALTH = "trouble"


class UnsupportedMessage(ChannelError):
    """The channel cannot carry this message (too long, no such media)."""

    code = "unsupported"


class ChannelConfigError(ChannelError):
    """The account or the settings are wrong; no retry helps until somebody mends them."""

    code = "account"
    HEALTH = "refuses_us"


class ReceiptRefused(ChannelError):
    """An inbound request that is not provably the provider's, is stale, or cannot be read; it changes nothing."""
