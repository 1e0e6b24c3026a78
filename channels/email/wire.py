"""A message as the bytes of a mail.

The standard library's `EmailMessage` takes every header apart and puts it together again, and encodes text letter by
letter in Python: twice as long as everything else that a worker does for a message. So what is plain is written here as
it is, and the library writes the rest: headers that must be encoded or folded, and attachments.
"""

from __future__ import annotations

import binascii
import re
from dataclasses import dataclass, field
from datetime import datetime
from email import policy
from email.header import Header
from email.message import MIMEPart
from email.utils import format_datetime
from functools import lru_cache

from channels.email.mime import LONGEST_VALUE, Envelope, envelope
from engine.delivery.message import Attachment, Message

#: A text stands as it is where its lines are no longer: `quoted-printable` makes them so.
_LONGEST_LINE = 76
#: A header that stands as it is on one line, which may have 998 characters with the name.
_PLAIN_HEADER = re.compile(f"[ -~]{{0,{LONGEST_VALUE}}}")
#: Words that hold it as they are would be decoded by readers.
_ENCODED = "=?"
_UNPLAIN_TEXT = re.compile(rb"[^\t -~\r\n]")
#: The library counts a blank at the end of a line before it is encoded: such a line has 77 characters.
_LONG_QUOTED = re.compile(rb"^(.{74,})(=20|=09)(?=\r$)", re.MULTILINE)
_NARROW = policy.SMTP.clone(cte_type="7bit", max_line_length=76)


@dataclass(frozen=True, kw_only=True, slots=True)
class Mail:
    """A mail, and the parts of it that whoever hands it over has to name."""

    sender_address: str
    to: str = field(repr=False)
    message_id: str
    content: bytes = field(repr=False)


def compose(message: Message, sender: str, date: datetime) -> Mail:
    """The message as a mail: stable `Message-ID`, text before HTML, attachments last; raises only ChannelError."""
    around = envelope(message, sender)
    headers = {
        "To": around.to,
        "Subject": around.subject,
        "Date": format_datetime(date),
        "Message-ID": around.message_id,
        **message.headers,
        "MIME-Version": "1.0",
    }
    # Neither quoted-printable nor base64 ever holds `=_`, and a plain text that holds a boundary does not stay plain.
    boundary = f"=_{message.delivery_id}"
    body = _text(message.text, "plain", boundary)
    if message.html is not None:
        body = _together("alternative", [body, _text(message.html, "html", boundary)], f"{boundary}_a")
    if message.attachments:
        body = _together("mixed", [body, *map(_attached, message.attachments)], f"{boundary}_m")
    head = f"From: {_sender(around)}\r\n" + "".join([_header(name, value) for name, value in headers.items()])
    return Mail(
        sender_address=around.sender_address, to=around.to, message_id=around.message_id, content=head.encode() + body
    )


def _header(name: str, value: str) -> str:
    """A header's line, or lines."""
    # On one line, however long: mailbox providers understand no folded `List-Unsubscribe`.
    is_plain = _PLAIN_HEADER.fullmatch(value) and not (name == "Subject" and _ENCODED in value)
    return f"{name}: {value if is_plain else _encoded(name, value)}\r\n"


@lru_cache(maxsize=256)  # the subjects of many messages are the same
def _encoded(name: str, value: str) -> str:
    # All of it, spaces included: between encoded words and plain ones the library's policy for messages loses some.
    return Header(value, "utf-8", header_name=name, maxlinelen=75).encode(linesep="\r\n")


def _sender(around: Envelope) -> str:
    sender = around.sender
    if _PLAIN_HEADER.fullmatch(sender) and _ENCODED not in around.sender_name:
        return sender
    return f"{_encoded('From', around.sender_name)} <{around.sender_address}>"


def _text(text: str, subtype: str, boundary: str) -> bytes:
    """A part of text: as it is where it can be, else in whichever encoding takes less."""
    lines = text.encode().splitlines()
    content = b"\r\n".join([*lines, b""])
    is_plain = max(map(len, lines), default=0) <= _LONGEST_LINE and not _UNPLAIN_TEXT.search(content)
    encoding = "7bit"
    if not is_plain or boundary.encode() in content:
        quoted = _LONG_QUOTED.sub(rb"\1=\r\n\2", binascii.b2a_qp(content, istext=True))
        if len(quoted) * 3 <= len(content) * 4:
            encoding, content = "quoted-printable", quoted
        else:
            encoding, content = "base64", _base64(content)
    head = f'Content-Type: text/{subtype}; charset="utf-8"\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n'
    return head.encode() + content


def _base64(content: bytes) -> bytes:
    # 57 bytes are a line of 76.
    lines = [binascii.b2a_base64(content[at : at + 57], newline=False) for at in range(0, len(content), 57)]
    return b"\r\n".join([*lines, b""])


def _together(subtype: str, parts: list[bytes], boundary: str) -> bytes:
    between = f"--{boundary}\r\n".encode()
    head = f'Content-Type: multipart/{subtype}; boundary="{boundary}"\r\n\r\n'.encode()
    return b"".join([head, *(between + part + b"\r\n" for part in parts), f"--{boundary}--\r\n".encode()])


def _attached(attachment: Attachment) -> bytes:
    part = MIMEPart(policy=_NARROW)
    main, _, sub = attachment.media_type.partition("/")
    part.set_content(attachment.content, main, sub, disposition="attachment", filename=attachment.name)
    return part.as_bytes()
