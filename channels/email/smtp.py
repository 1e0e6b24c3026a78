"""Email over SMTP: any server that takes mail, with STARTTLS, implicit TLS, or neither on this machine."""

from __future__ import annotations

import contextlib
import ipaddress
import re
import smtplib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from channels.base import (
    AdapterContext,
    AdapterSettings,
    ChannelAdapter,
    Meaning,
    Secret,
    Text,
    channel_error,
    required_sender,
)
from channels.email.wire import Mail, compose
from engine.delivery.message import Capabilities, Message, SendResult
from engine.errors import ChannelError, TransientChannelError

CONNECT_SECONDS = 5.0
REPLY_SECONDS = 15.0
#: For a connection to come free, and for all that is said before the message itself. With the answer to the message it
#: is half a minute: a worker that takes much longer is given up, and another one hands the message over, too.
PREPARE_SECONDS = 15.0
#: At a time: few servers grant one client more than 20 or so.
CONNECTIONS = 16

Tls = Literal["none", "starttls", "implicit"]
Stage = Literal["greeting", "sign-in", "sender", "recipient", "message"]


class SmtpSettings(AdapterSettings):
    host: Text
    port: int = Field(default=587, ge=1, le=65535)
    username: Text | None = None
    password: Secret | None = None
    #: Unless set: implicit on port 465, none to this machine, else starttls.
    tls: Tls | None = None
    from_: Text | None = Field(default=None, alias="from")

    @model_validator(mode="after")
    def _fits_together(self) -> SmtpSettings:
        if (self.username is None) != (self.password is None):
            raise ValueError("settings `username` and `password` go together")
        if self.password is not None and self.security == "none" and not _is_this_machine(self.host):
            raise ValueError(
                "setting `tls` may not be `none` with a `password`: it would cross the network in the clear"
            )
        return self

    @property
    def security(self) -> Tls:
        if self.tls is not None:
            return self.tls
        if self.port == 465:
            return "implicit"
        return "none" if _is_this_machine(self.host) else "starttls"


class Smtp(ChannelAdapter[SmtpSettings]):
    """One SMTP server."""

    name = "smtp"
    Settings = SmtpSettings
    capabilities = Capabilities(kind="email", has_attachments=True)

    #: Enhanced status codes (RFC 3463) of a refusal, by their beginning.
    MEANINGS: ClassVar[Mapping[str, Meaning]] = {
        "5.1.1": "invalid_address",  # no such mailbox
        "5.1.2": "invalid_address",  # no such domain
        "5.1.3": "invalid_address",  # malformed
        "5.1.6": "invalid_address",  # moved, no forwarding address
        "5.1.10": "invalid_address",  # the domain takes no mail
        "5.2.3": "too_large",
        "5.3.4": "too_large",
        "4.1": "busy",  # the mailbox
        "4.2": "busy",  # full, or switched off for a while
        "5.7": "config",  # policy: relaying, sender not allowed, authentication wanted
    }

    def __init__(self, settings: SmtpSettings, context: AdapterContext) -> None:
        super().__init__(settings, context)
        self._idle: list[smtplib.SMTP] = []
        self._lock = threading.Lock()
        self._free = threading.BoundedSemaphore(CONNECTIONS)

    def close(self) -> None:
        with self._lock:
            connections, self._idle = self._idle, []
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.quit()

    def deliver(self, message: Message) -> SendResult:
        sender = required_sender(message.from_, self.settings.from_)
        mail = self.composed(lambda: compose(message, sender, datetime.now(UTC)))
        by = time.monotonic() + PREPARE_SECONDS
        with self._turn(by):
            connection = self._take(by)
            try:
                self._hand_over(connection, mail, by)
            except ChannelError:
                self._give_back(connection)
                raise
            except BaseException:
                # Half a dialogue: whatever came next would be taken for the rest of this message.
                connection.close()
                raise
            self._give_back(connection)
        return SendResult(provider_message_id=mail.message_id)

    def _hand_over(self, connection: smtplib.SMTP, mail: Mail, by: float) -> None:
        size = [f"SIZE={len(mail.content)}"] if connection.has_extn("size") else []
        self._expect(2, "sender", *self._ask(connection, lambda: connection.mail(mail.sender_address, size), by))
        self._expect(2, "recipient", *self._ask(connection, lambda: connection.rcpt(mail.to), by))
        self._expect(3, "message", *self._ask(connection, lambda: connection.docmd("DATA"), by))
        try:
            _allow(connection, REPLY_SECONDS)
            # A line that is a lone dot ends the message, so a dot at a line's beginning is doubled.
            connection.send(mail.content.replace(b"\r\n.", b"\r\n..") + b".\r\n")
            code, reply = connection.getreply()
            if code // 100 not in (2, 4, 5):
                # Neither yes nor no; and whatever came next would be taken for the answer to something else.
                connection.close()
                raise smtplib.SMTPResponseException(code, reply)
        except OSError as error:
            failure = channel_error(
                "doubtful", f"smtp got no answer after the message was sent ({type(error).__name__})"
            )
        else:
            return self._expect(2, "message", code, reply)
        raise failure

    @staticmethod
    def _ask(connection: smtplib.SMTP, command: Callable[[], tuple[int, bytes]], by: float) -> tuple[int, bytes]:
        """The server's reply to a command before the message itself: where none comes by then, nothing was sent."""
        # smtplib's own errors are OSErrors, too.
        try:
            _allow(connection, _left(by))
            return command()
        except OSError as error:
            failure = channel_error("transient", f"smtp lost the connection ({type(error).__name__}): nothing was sent")
        raise failure

    def _expect(self, wanted: int, stage: Stage, code: int, reply: bytes) -> None:
        """Raises unless the code begins with that digit, which is what says yes or no (RFC 5321, 4.3.2)."""
        if code // 100 != wanted:
            raise self.refusal(stage, code, reply)

    def refusal(self, stage: Stage, code: int, reply: bytes) -> ChannelError:
        """The error for a reply; its text is left out, since servers quote the address in it."""
        enhanced = re.match(rb"[245]\.\d{1,3}\.\d{1,3}(?!\d)", reply.strip())
        status = enhanced.group().decode() if enhanced else ""
        told = f"{code} {status}".strip()
        return channel_error(self._meaning(stage, code, status), f"smtp: the server refused the {stage} ({told})")

    def _meaning(self, stage: Stage, code: int, status: str) -> Meaning:
        by_status = self.MEANINGS.get(status) or self.MEANINGS.get(status.rpartition(".")[0])
        if 400 <= code < 500 or code < 200:
            is_mailbox = by_status == "busy" or (stage == "recipient" and code == 450 and not status)
            return "busy" if is_mailbox and stage in ("recipient", "message") else "transient"
        if stage in ("greeting", "sign-in"):
            return "config"
        if stage == "recipient" and by_status == "config":
            # Relaying that is denied to us altogether, or one address that takes nothing from us.
            return "forbidden"
        if stage == "sender":
            # Who we are is the same for every message: only the size is this one's.
            return "too_large" if by_status == "too_large" or code == 552 else "config"
        if stage == "message":
            if by_status == "config":
                # A filter that dislikes this text says nothing about the account.
                return "not_allowed"
            return "too_large" if code == 552 and not by_status else by_status or "rejected"
        return by_status or "rejected"

    # Connections

    @contextlib.contextmanager
    def _turn(self, by: float) -> Iterator[None]:
        """The right to one connection."""
        if not self._free.acquire(timeout=_left(by)):
            # Our own crowd: it says nothing of the server.
            raise TransientChannelError("smtp: no connection came free: nothing was sent", provider="unknown")
        try:
            yield
        finally:
            self._free.release()

    def _take(self, by: float) -> smtplib.SMTP:
        """A connection for the caller alone: a living idle one, else a new one."""
        while True:
            with self._lock:
                if not self._idle:
                    break
                connection = self._idle.pop()
            try:
                # Asks whether it is still alive, and forgets what a refused message left behind.
                _allow(connection, _left(by))
                if connection.rset()[0] == 250:
                    return connection
            except OSError:
                pass
            connection.close()
        return self._connect(by)

    def _give_back(self, connection: smtplib.SMTP) -> None:
        # smtplib closes a connection that it finds lost.
        if connection.sock is not None:
            with self._lock:
                self._idle.append(connection)

    def _connect(self, by: float) -> smtplib.SMTP:
        connection: smtplib.SMTP | None = None
        try:
            connection = self._dial(min(CONNECT_SECONDS, _left(by)))
            self._introduce(connection, by)
            return connection
        except (OSError, UnicodeError) as error:
            failure = self._connection_error(error)
        if connection is not None:
            connection.close()
        raise failure

    def _connection_error(self, error: Exception) -> ChannelError:
        match error:
            case smtplib.SMTPConnectError():
                return self.refusal("greeting", error.smtp_code, b"")
            case smtplib.SMTPResponseException():
                return self.refusal("sign-in", error.smtp_code, b"")
            case ssl.SSLCertVerificationError():
                return channel_error("config", "smtp: the server's certificate is not valid for `host`")
            case smtplib.SMTPException() if not isinstance(error, smtplib.SMTPServerDisconnected):
                return channel_error("config", "smtp: the server offers no STARTTLS, or no way to sign in that we know")
            case UnicodeError():
                return channel_error("config", "smtp: `username` and `password` may hold ASCII only")
            case _:
                told = type(error).__name__
                return channel_error("transient", f"smtp cannot reach the server ({told}): nothing was sent")

    def _dial(self, seconds: float) -> smtplib.SMTP:
        settings = self.settings
        # Without a name given, smtplib asks DNS for ours, which may take many seconds.
        name = socket.gethostname()
        if settings.security == "implicit":
            return smtplib.SMTP_SSL(
                settings.host, settings.port, name, timeout=seconds, context=ssl.create_default_context()
            )
        return smtplib.SMTP(settings.host, settings.port, name, timeout=seconds)

    def _introduce(self, connection: smtplib.SMTP, by: float) -> None:
        settings = self.settings
        _allow(connection, _left(by))
        connection.ehlo_or_helo_if_needed()
        if settings.security == "starttls":
            _allow(connection, _left(by))
            code, reply = connection.starttls(context=ssl.create_default_context())
            if code != 220:
                raise smtplib.SMTPResponseException(code, reply)
        if settings.username is not None and settings.password is not None:
            _allow(connection, _left(by))
            connection.login(settings.username, settings.password.get_secret_value())


def _left(by: float) -> float:
    """Seconds until then; a moment where it has come, for what answers at once."""
    return max(by - time.monotonic(), 0.01)


def _allow(connection: smtplib.SMTP, seconds: float) -> None:
    """How long the server may take for each answer from now on."""
    if connection.sock is not None:
        connection.sock.settimeout(seconds)


def _is_this_machine(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
