"""What stands around an email's content, and what an email adapter refuses to put into a header.

The standard library accepts a line break in a header's *name* and a NUL in its value.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.headerregistry import Address
from email.utils import parseaddr
from functools import lru_cache

import idna

from channels.base import channel_error, has_control_characters, unusable_address
from engine.delivery.message import Attachment, Message
from engine.errors import UnsupportedMessage

_NAME = re.compile(r"[A-Za-z0-9-]{1,64}")
#: A longer value could not stand on one line, whose limit is 998 characters with the name.
LONGEST_VALUE = 900
#: The adapter's own, the server's, or the signer's: nobody else sets them.
_RESERVED = frozenset({
    "from", "to", "cc", "bcc", "sender", "subject", "date", "message-id", "mime-version", "return-path", "received",
    "dkim-signature", "arc-seal", "arc-message-signature", "arc-authentication-results", "authentication-results",
})  # fmt: skip
#: An address of which nothing needs a closer look.
_USUAL_ADDRESS = re.compile(r"[A-Za-z0-9_+-]+(?:\.[A-Za-z0-9_+-]+)*@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*")


@dataclass(frozen=True, kw_only=True, slots=True)
class Envelope:
    """What stands around an email's content, checked: every adapter of email begins with it."""

    #: May be empty.
    sender_name: str
    sender_address: str
    to: str = field(repr=False)
    subject: str = field(repr=False)
    #: The delivery's id at the sender's domain, in angle brackets: the same in every attempt.
    message_id: str

    @property
    def sender(self) -> str:
        """`Demo Shop <hello@shop.example>`, quoted where it must be."""
        return str(Address(display_name=self.sender_name, addr_spec=self.sender_address))


def envelope(message: Message, sender: str) -> Envelope:
    """The message's envelope; raises ChannelError for what no email may carry, headers and attachments included."""
    sender_name, sender_address = split_address(sender)
    check_headers(message.headers)
    for attachment in message.attachments:
        main, _, sub = attachment.media_type.partition("/")
        if has_control_characters(attachment.name) or not (_NAME.fullmatch(main) and re.fullmatch(r"[\w.+-]+", sub)):
            raise UnsupportedMessage("an attachment's name or media type is none")
    subject = message.subject or ""
    if has_control_characters(subject):
        raise UnsupportedMessage("the subject holds a line break or another control character")
    return Envelope(
        sender_name=sender_name,
        sender_address=sender_address,
        to=recipient(message.to),
        subject=subject,
        message_id=f"<{message.delivery_id}@{sender_address.rpartition('@')[2]}>",
    )


def base64_text(attachment: Attachment) -> str:
    """The attachment's content as JSON APIs take it."""
    return base64.b64encode(attachment.content).decode()


def check_headers(headers: Mapping[str, str]) -> None:
    """Raises UnsupportedMessage for a header that could forge another one or take the place of one of ours."""
    for name, value in headers.items():
        if not _NAME.fullmatch(name):
            raise UnsupportedMessage("a header's name may have letters, digits and hyphens, at most 64")
        if name.lower() in _RESERVED or name.lower().startswith("content-"):
            raise UnsupportedMessage(f"the header `{name}` is not for a message to set")
        if has_control_characters(value):
            raise UnsupportedMessage(f"the header `{name}` holds a line break or another control character")
        if len(value) > LONGEST_VALUE:
            raise UnsupportedMessage(f"the header `{name}` is longer than {LONGEST_VALUE} characters")


@lru_cache
def split_address(sender: str) -> tuple[str, str]:
    """Display name and bare address of `Demo Shop <hello@shop.example>`; raises ChannelConfigError where it is none."""
    name, address = parseaddr(sender)
    if has_control_characters(sender) or "@" not in address.strip("@"):
        raise channel_error("forbidden", "the sender is no email address: write `Name <name@domain>` under `from`")
    try:
        bare = _with_ascii_domain(address)
        Address(display_name=name, addr_spec=bare)
    except (ValueError, IndexError):
        bare = ""
    if not bare.isascii() or not bare:
        raise channel_error(
            "forbidden", "the sender's address is not usable: only its domain may hold non-ASCII letters"
        )
    return name, bare


def recipient(to: str) -> str:
    """The bare address with its domain in ASCII; raises a permanent error where it is none."""
    if _USUAL_ADDRESS.fullmatch(to):
        return to
    local, _, domain = to.rpartition("@")
    try:
        if not local or not domain or re.search(r"[\s<>,;]", to):
            raise ValueError
        if not local.isascii():
            raise UnsupportedMessage("the part before the @ holds non-ASCII letters, which few servers take")
        address = _with_ascii_domain(to)
        Address(addr_spec=address)
    except (ValueError, IndexError):
        address = ""
    if not address:
        raise unusable_address("the recipient is no email address")
    return address


def _with_ascii_domain(address: str) -> str:
    local, _, domain = address.rpartition("@")
    # IDNA 2008: the standard library's codec is the older one, under which `faß.example` is another domain.
    return f"{local}@{domain if domain.isascii() else idna.encode(domain, uts46=True).decode()}"
