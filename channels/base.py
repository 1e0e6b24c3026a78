"""The base of every adapter: one class in one file for each provider.

An adapter names itself, declares its settings and what it can do, and fills in few verbs: `deliver` to send (over
HTTP: `compose` and `accept`, see `channels.http`), and, where its provider reports back, `authenticate` and `read`.
What holds for all of them is here: what may leave an adapter, what a setting's problem is called, what is refused.
"""

from __future__ import annotations

import logging
import re
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, ClassVar, Generic, Literal, TypeVar, assert_never

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from channels.reports import usable
from engine.delivery.message import Capabilities, Message, Receipt, SendResult, WebhookRequest
from engine.errors import (
    ChannelConfigError,
    ChannelError,
    DoubtfulChannelError,
    PermanentChannelError,
    ReceiptRefused,
    TransientChannelError,
    UnsupportedMessage,
)
from engine.project import ChannelKind

logger = logging.getLogger("sojourn.channels")

#: What a vendor's word for a refusal means. `busy`: transient, but for this address alone (a mailbox that is full).
#: `config` is our account's fault whatever the message; `unserved` is, too, but for this destination alone; and
#: `forbidden` may be either: some in a row tell. The last six are reasons of a permanent one.
Meaning = Literal[
    "transient", "busy", "config", "forbidden", "unserved", "unsupported", "doubtful",
    "rejected", "invalid_address", "opted_out", "too_large", "not_allowed", "unknown",
]  # fmt: skip

#: Types of settings: neither may be empty, as an unset environment variable would leave it.
Text = Annotated[str, Field(min_length=1)]
Secret = Annotated[SecretStr, Field(min_length=1)]

#: The largest webhook body that is looked at, in bytes.
LARGEST_WEBHOOK = 1024 * 1024
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_WORD = re.compile(r"[A-Za-z0-9_.:-]{1,64}")


class AdapterSettings(BaseModel):
    """What stands under a channel's `settings:`. Names are the provider's own, in snake_case; secrets are `Secret`."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, coerce_numbers_to_str=True)


class NoSettings(AdapterSettings):
    """For an adapter that needs none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AdapterContext:
    """Where an adapter stands: what it is opened with besides its settings."""

    #: The channel's name in the project.
    channel: str
    #: The channel's kind, for an adapter that serves any.
    kind: ChannelKind
    #: Where the provider reports to: the public URL of `/v1/receipts/CHANNEL`; empty: nowhere.
    webhook_url: str = ""
    #: Where messages caught on this machine are kept; None: nowhere.
    inbox_folder: Path | None = None


S = TypeVar("S", bound=AdapterSettings)
T = TypeVar("T")


class ChannelAdapter(ABC, Generic[S]):
    """One provider."""

    #: As in `use: NAME`, and the name of the entry point.
    name: ClassVar[str]
    Settings: ClassVar[type[AdapterSettings]]
    #: True where the channel, not the adapter, says what kind it is.
    serves_any_kind: ClassVar[bool] = False
    capabilities: Capabilities

    def __init__(self, settings: S, context: AdapterContext) -> None:
        self.settings = settings
        self.context = context

    def __repr__(self) -> str:
        return f"<{type(self).__name__} `{self.name}` of channel `{self.context.channel}`>"

    @classmethod
    def open(cls, settings: Mapping[str, Any], context: AdapterContext) -> ChannelAdapter[S]:
        """An adapter over authored settings; raises ChannelConfigError that names every problem."""
        problems = cls.check_settings(settings)
        if problems:
            raise ChannelConfigError(f"channel `{context.channel}` ({cls.name}): {'; '.join(problems)}")
        return cls(cls.Settings.model_validate(dict(settings)), context)  # type: ignore[arg-type]

    @classmethod
    def check_settings(cls, settings: Mapping[str, Any]) -> list[str]:
        """One sentence for each thing wrong, naming the setting and never its value; empty: fine."""
        try:
            cls.Settings.model_validate(dict(settings))
        except ValidationError as error:
            return [cls._problem(dict(row)) for row in error.errors(include_url=False, include_input=False)]
        return []

    @classmethod
    def _problem(cls, row: Mapping[str, Any]) -> str:
        where = ".".join(str(part) for part in row["loc"])
        match row["type"]:
            case "missing":
                return f"setting `{where}` is missing"
            case "extra_forbidden":
                return f"unknown setting `{where}`: allowed are {', '.join(cls.setting_names()) or 'none'}"
            case "too_short" | "string_too_short":
                return f"setting `{where}` is empty"
            case _:
                said = str(row["msg"]).removeprefix("Value error, ")
                return f"setting `{where}`: {said}" if where else said

    @classmethod
    def setting_names(cls) -> tuple[str, ...]:
        """Names of the settings, as authored."""
        return tuple(field.alias or name for name, field in cls.Settings.model_fields.items())

    @classmethod
    def check_blocks(cls, blocks: Sequence[Any]) -> list[str]:  # noqa: ARG003 (whoever overrides it needs it)
        """One sentence for each thing wrong with a template's `blocks` as authored; empty: fine, as far as we know."""
        return []

    # Sending

    def send(self, message: Message) -> SendResult:
        """Hands the message to the provider; raises only `engine.errors.ChannelError`."""
        if message.kind != self.capabilities.kind:
            raise UnsupportedMessage(f"{self.name} carries {self.capabilities.kind}, not {message.kind}")
        if message.attachments and not self.capabilities.has_attachments:
            raise UnsupportedMessage(f"{self.name} carries no attachments")
        if not message.to.strip() or has_control_characters(message.to):
            raise unusable_address("the address is empty or holds control characters")
        try:
            return self.deliver(message)
        except ChannelError:
            raise
        except Exception as error:
            # The adapter's own defect: nobody knows whether the message left.
            failure = DoubtfulChannelError(f"{self.name} failed with {_told(error)}")
        raise failure

    def composed(self, write: Callable[[], T]) -> T:
        """What `write` makes of the message. It fails before anybody was asked: unsupported, and not in doubt."""
        try:
            return write()
        except ChannelError:
            raise
        except Exception as error:
            failure = UnsupportedMessage(f"{self.name} could not write the message down: {_told(error)}")
        raise failure

    @abstractmethod
    def deliver(self, message: Message) -> SendResult:
        """Sends; the adapter's own part of `send`."""

    def look_up(self, delivery_id: str) -> SendResult | None:
        """What the provider has under this delivery id, or None; only where `capabilities.has_look_up`."""
        raise UnsupportedMessage(f"{self.name} cannot be asked for a message: delivery {delivery_id}")

    def close(self) -> None:
        """Gives connections back."""

    # Receiving

    def verify(self, request: WebhookRequest) -> None:
        """Returns if the request is provably the provider's and fresh; raises ReceiptRefused otherwise.

        Where something that proves it cannot be reached, TransientChannelError: the provider shall try again.
        """
        if len(request.body) > LARGEST_WEBHOOK:
            raise ReceiptRefused(f"a webhook body may have at most {LARGEST_WEBHOOK} bytes")
        if request.headers.get("content-encoding", "identity") != "identity":
            # A signature covers the bytes as sent, and a small compressed body can unfold to any size.
            raise ReceiptRefused("a webhook body must not be compressed")
        try:
            return self.authenticate(request)
        except (ReceiptRefused, TransientChannelError):
            raise
        except Exception as error:
            failure = f"{self.name} could not verify the request ({type(error).__name__})"
        raise ReceiptRefused(failure)

    def parse(self, request: WebhookRequest) -> Sequence[Receipt]:
        """What a verified request reports; raises ReceiptRefused where it cannot be read."""
        try:
            return [usable(receipt) for receipt in self.read(request)]
        except (ReceiptRefused, TransientChannelError):
            raise
        except Exception as error:
            failure = f"{self.name} could not read the request ({type(error).__name__})"
        raise ReceiptRefused(failure)

    def authenticate(self, request: WebhookRequest) -> None:  # noqa: ARG002 (whoever overrides it needs it)
        """Checks signature and freshness (`channels.signatures`); the adapter's own part of `verify`."""
        raise ReceiptRefused(f"{self.name} takes no receipts, or none that it could verify")

    def read(self, request: WebhookRequest) -> Sequence[Receipt]:  # noqa: ARG002
        """Maps the provider's words to ours; the adapter's own part of `parse`. Unknown words become `unknown`."""
        raise ReceiptRefused(f"{self.name} takes no receipts")

    def each(self, reports: Iterable[T], read: Callable[[T], Iterable[Receipt]]) -> list[Receipt]:
        """What `read` makes of each report of a batch. One that it cannot read is passed over, and told in the log: the
        provider would send the others in vain for ever. Raises only where it can read none."""
        found: list[Receipt] = []
        failures: list[Exception] = []
        count = 0
        for count, report in enumerate(reports, start=1):  # noqa: B007 (it is the number of them, after)
            try:
                found += [usable(receipt) for receipt in read(report)]
            except Exception as error:
                failures.append(error)
        if failures and len(failures) == count:
            raise failures[0]
        if failures:
            logger.warning(
                "channel `%s` (%s): %d of %d reports of a request could not be read and were passed over (%s)",
                self.context.channel, self.name, len(failures), count, _told(failures[0]),
            )  # fmt: skip
        return found

    def answer(self, request: WebhookRequest) -> str:  # noqa: ARG002
        """Text to answer a verified request with: a challenge echoed, else empty."""
        return ""


def _told(error: Exception) -> str:
    """Kind and place of a defect; its text may hold the address or a secret."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} at {Path(place.filename).name}:{place.lineno}"


def channel_error(meaning: Meaning, text: str, *, retry_after: timedelta | None = None) -> ChannelError:
    """The error of ours for what a vendor's word means."""
    match meaning:
        case "transient":
            return TransientChannelError(text, retry_after=retry_after)
        case "busy":
            return TransientChannelError(text, retry_after=retry_after, provider="works")
        case "config":
            return ChannelConfigError(text)
        case "forbidden":
            return ChannelConfigError(text, provider="trouble")
        case "unserved":
            return ChannelConfigError(text, provider="works")
        case "unsupported":
            return UnsupportedMessage(text)
        case "doubtful":
            return DoubtfulChannelError(text)
        case "rejected" | "invalid_address" | "opted_out" | "too_large" | "not_allowed" | "unknown":
            return PermanentChannelError(text, reason=meaning)
        case _:
            assert_never(meaning)


def unusable_address(text: str) -> PermanentChannelError:
    """The error for an address that no provider need be asked about."""
    return PermanentChannelError(text, reason="invalid_address", provider="unknown")


def safe_word(value: object) -> str:
    """A provider's code, if it is one: short and plain. Else empty: its prose may quote the address or the message."""
    text = str(value) if isinstance(value, str | int) else ""
    return text if _WORD.fullmatch(text) else ""


def required_sender(*candidates: str | None) -> str:
    """The first sender that is set; raises ChannelConfigError where none is."""
    for candidate in candidates:
        if candidate:
            return candidate
    # Some messages in a row say that it is the channel's; one may be its template's.
    raise channel_error("forbidden", "no sender: set `from` on the channel, in its settings or in the template")


def has_control_characters(text: str) -> bool:
    """True where a line break, a NUL or their like could end a header or an address early."""
    return _CONTROL.search(text) is not None
