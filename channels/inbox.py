"""The local inbox: catches messages of any kind for looking at, and mail over real SMTP. Nothing leaves the machine.

A message is a JSON file in the inbox's folder, so every process of an installation sees the same inbox, and it
outlives them. Only the newest messages are kept.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import socket
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from channels.base import AdapterContext, ChannelAdapter, NoSettings, channel_error
from engine.delivery.message import Capabilities, Message, SendResult
from engine.errors import ChannelConfigError, Conflict
from engine.project import ChannelKind

if TYPE_CHECKING:
    from aiosmtpd.controller import Controller
    from aiosmtpd.smtp import SMTP, Envelope, Session

#: Messages kept; the oldest go first.
KEPT_MESSAGES = 1000
#: The largest mail that the inbox's server takes, in bytes.
LARGEST_MAIL = 10 * 1024 * 1024
#: Until its server must have answered; a machine that starts everything at once is busy.
_START_SECONDS = 30.0
_ID = re.compile(r"[0-9]{20}-[0-9]+-[0-9]+")
_MESSAGE_ID = re.compile(r"<([^@<>]+)@[^<>]*>")


@dataclass(frozen=True, kw_only=True, slots=True)
class CaughtMessage:
    """A message that somebody sent to the inbox."""

    id: str
    kind: ChannelKind
    received_at: datetime
    to: str = field(repr=False)
    from_: str = ""
    subject: str = field(default="", repr=False)
    text: str = field(default="", repr=False)
    html: str | None = field(default=None, repr=False)
    #: Chat blocks, as they would have gone to the provider.
    blocks: tuple[Mapping[str, Any], ...] = field(default=(), repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    #: File names.
    attachments: tuple[str, ...] = field(default=(), repr=False)
    #: Empty where the sender gave none (a mail of somebody else's).
    delivery_id: str = ""


class Inbox:
    """Caught messages in a folder. Threads and processes may share it."""

    _count = itertools.count()

    def __init__(self, folder: Path, *, kept: int = KEPT_MESSAGES) -> None:
        self.folder = folder
        self._kept = kept

    def __repr__(self) -> str:
        return f"<Inbox in {self.folder.name}>"

    def keep(
        self,
        *,
        kind: ChannelKind,
        to: str,
        from_: str = "",
        subject: str = "",
        text: str = "",
        html: str | None = None,
        blocks: tuple[Mapping[str, Any], ...] = (),
        headers: Mapping[str, str] | None = None,
        attachments: tuple[str, ...] = (),
        delivery_id: str = "",
    ) -> CaughtMessage:
        """Stores a message and drops the oldest ones beyond the limit; raises OSError where it cannot be written."""
        caught = CaughtMessage(
            # Names sort by time; process and counter keep two messages of one instant apart.
            id=f"{time.time_ns():020d}-{os.getpid()}-{next(self._count)}",
            kind=kind, received_at=datetime.now(UTC), to=to, from_=from_, subject=subject, text=text, html=html,
            blocks=blocks, headers=dict(headers or {}), attachments=attachments, delivery_id=delivery_id,
        )  # fmt: skip
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        row = asdict(caught) | {"received_at": caught.received_at.isoformat()}
        # Renamed into place, so that a reader never sees half a message. Bytes of no character set come as lone
        # surrogates out of a mail's parser, and could not be written, or shown, as they are.
        unfinished = self.folder / f"{caught.id}.part"
        unfinished.write_text(json.dumps(row, ensure_ascii=False), encoding="utf-8", errors="replace")
        unfinished.replace(self.folder / f"{caught.id}.json")
        for name in self._names()[self._kept :]:
            (self.folder / f"{name}.json").unlink(missing_ok=True)
        return caught

    def messages(self, *, limit: int | None = None) -> list[CaughtMessage]:
        """Messages, newest first."""
        return [caught for name in self._names()[:limit] if (caught := self.find(name)) is not None]

    def find(self, id: str) -> CaughtMessage | None:
        """The message of that id, or None."""
        if not _ID.fullmatch(id):
            return None
        try:
            row = json.loads((self.folder / f"{id}.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        row |= {
            "received_at": datetime.fromisoformat(row["received_at"]),
            "blocks": tuple(row["blocks"]),
            "attachments": tuple(row["attachments"]),
        }
        return CaughtMessage(**row)

    def count(self) -> int:
        """How many messages there are."""
        return len(self._names())

    def clear(self) -> None:
        """Forgets all messages."""
        for name in self._names():
            (self.folder / f"{name}.json").unlink(missing_ok=True)

    def _names(self) -> list[str]:
        if not self.folder.is_dir():
            return []
        return sorted((path.stem for path in self.folder.glob("*.json") if _ID.fullmatch(path.stem)), reverse=True)


class InboxAdapter(ChannelAdapter[NoSettings]):
    """`use: inbox`: hands messages of any kind to the local inbox."""

    name = "inbox"
    Settings = NoSettings
    serves_any_kind = True
    capabilities = Capabilities(kind="email", has_look_up=True, has_attachments=True, has_media=True)

    def __init__(self, settings: NoSettings, context: AdapterContext) -> None:
        super().__init__(settings, context)
        if context.inbox_folder is None:
            raise ChannelConfigError(f"channel `{context.channel}`: this installation has no local inbox")
        self.inbox = Inbox(context.inbox_folder)
        self.capabilities = Capabilities(kind=context.kind, has_look_up=True, has_attachments=True, has_media=True)

    def deliver(self, message: Message) -> SendResult:
        try:
            caught = self.inbox.keep(
                kind=message.kind, to=message.to, from_=message.from_ or "", subject=message.subject or "",
                text=message.text, html=message.html, blocks=message.blocks, headers=message.headers,
                attachments=tuple(attachment.name for attachment in message.attachments),
                delivery_id=message.delivery_id,
            )  # fmt: skip
        except OSError as error:
            failure = channel_error("transient", f"the inbox cannot be written ({type(error).__name__})")
        else:
            return SendResult(provider_message_id=caught.id)
        raise failure

    def look_up(self, delivery_id: str) -> SendResult | None:
        for caught in self.inbox.messages():
            if caught.delivery_id == delivery_id:
                return SendResult(provider_message_id=caught.id)
        return None


class InboxServer:
    """An SMTP server on this machine that puts all mail into the inbox. Needs the extra `local`.

    A context manager; or `start` and `stop`.
    """

    def __init__(self, inbox: Inbox, *, host: str = "127.0.0.1", port: int = 1025) -> None:
        self.host = host
        self.port = port
        self._inbox = inbox
        self._controller: Controller | None = None

    def start(self) -> None:
        """Listens in a thread of its own; raises Conflict where the port is taken."""
        # Here, since an installation that only sends has no need of an SMTP server.
        from aiosmtpd.controller import Controller

        try:
            # aiosmtpd itself takes five seconds to notice that it cannot listen.
            socket.create_server((self.host, self.port)).close()
        except OSError as error:
            raise Conflict(
                f"the inbox cannot listen on port {self.port} ({error.strerror}): name another one"
            ) from None
        controller = Controller(
            self,
            hostname=self.host,
            port=self.port,
            data_size_limit=LARGEST_MAIL,
            enable_SMTPUTF8=True,
            ready_timeout=_START_SECONDS,
        )
        try:
            controller.start()
        except OSError as error:
            raise Conflict(
                f"the inbox cannot listen on port {self.port} ({error.strerror}): name another one"
            ) from None
        self._controller = controller

    def stop(self) -> None:
        """Stops listening."""
        if self._controller is not None:
            self._controller.stop()
            self._controller = None

    def __enter__(self) -> InboxServer:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802, ARG002
        """aiosmtpd's hook: a mail has come in whole."""
        try:
            for to in envelope.rcpt_tos:
                keep_mail(self._inbox, bytes(envelope.original_content or b""), to)
        except OSError:
            return "452 4.3.1 The inbox cannot be written"
        return "250 2.0.0 Caught"


def keep_mail(inbox: Inbox, content: bytes, to: str) -> CaughtMessage:
    """Stores a mail as it came over the wire; `to` is the envelope's recipient."""
    try:
        fields = _fields(content)
    except Exception:
        # The standard library fails in many ways on headers out of shape; such a mail is shown as it came.
        fields = {"text": content.decode("utf-8", "replace")}
    return inbox.keep(kind="email", to=to, **fields)


def _fields(content: bytes) -> dict[str, Any]:
    mail = message_from_bytes(content, _class=EmailMessage, policy=policy.default)
    message_id = _MESSAGE_ID.fullmatch(str(mail.get("Message-ID", "")).strip())
    return {
        "from_": str(mail.get("From", "")),
        "subject": str(mail.get("Subject", "")),
        "text": _part(mail, "plain") or "",
        "html": _part(mail, "html"),
        "headers": {name: str(value) for name, value in mail.items()},
        "attachments": tuple(part.get_filename() or "" for part in mail.iter_attachments()),
        "delivery_id": message_id.group(1) if message_id else "",
    }


def _part(mail: EmailMessage, subtype: str) -> str | None:
    part = mail.get_body((subtype,))
    if part is None:
        return None
    with contextlib.suppress(LookupError):
        return str(part.get_content())
    # A character set that nobody knows.
    return bytes(part.get_payload(decode=True) or b"").decode("utf-8", "replace")
