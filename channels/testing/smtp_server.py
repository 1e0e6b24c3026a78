# ruff: noqa: ARG002, N802 (aiosmtpd calls its hooks by these names, with these arguments)
"""An SMTP server on this machine that answers by script, and remembers what it took. Needs the extra `local`."""

from __future__ import annotations

import asyncio
import ssl
import threading
from dataclasses import dataclass
from types import TracebackType
from typing import Literal

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from channels.testing.server import closed_port

#: Longer than anybody waits; it ends with the server.
_SILENCE_SECONDS = 3600
#: On a machine that is busy with other things.
_START_SECONDS = 60.0
#: Where the server cuts the connection.
Cut = Literal["recipient", "message"]


@dataclass(frozen=True, kw_only=True, slots=True)
class TakenMail:
    """One mail that the server took."""

    sender: str
    recipients: tuple[str, ...]
    content: bytes


class ScriptedSmtp:
    """Takes mail, or answers a stage with the given reply. A context manager."""

    def __init__(
        self,
        *,
        sender: str = "",
        recipient: str = "",
        message: str = "",
        cut: Cut | None = None,
        silent: bool = False,
        pause: float = 0.0,
        tls: ssl.SSLContext | None = None,
        is_implicit: bool = False,
        login: tuple[str, str] | None = None,
    ) -> None:
        self.taken: list[TakenMail] = []
        self.connections = 0
        #: Set once a message was handed over, whatever is answered.
        self.handed_over = threading.Event()
        #: Who signed in, in order.
        self.signed_in: list[str] = []
        #: What to answer from now on; empty: yes.
        self.sender, self.recipient, self.message = sender, recipient, message
        self.cut = cut
        self.silent = silent
        #: Seconds before each answer to a sender or a recipient.
        self.pause = pause
        #: The port that it listens on.
        self.port = closed_port()
        self._login = login
        self._tls = tls
        self._is_implicit = is_implicit
        self._controller: Controller | None = None

    def _start(self) -> None:
        self._controller = Controller(
            self,
            hostname="127.0.0.1",
            port=self.port,
            ssl_context=self._tls if self._is_implicit else None,
            tls_context=None if self._is_implicit else self._tls,
            authenticator=self._authenticate if self._login else None,
            auth_require_tls=False,
            ready_timeout=_START_SECONDS,
        )
        self._controller.start()

    def _stop(self) -> None:
        if self._controller is not None:
            self._controller.stop()
            self._controller = None

    def __enter__(self) -> ScriptedSmtp:
        self._start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def drop_connections(self) -> None:
        """Stops listening, which cuts every connection, and listens again on the same port."""
        self._stop()
        self._start()

    # aiosmtpd's hooks

    async def handle_EHLO(
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        self.connections += 1
        session.host_name = hostname
        return responses

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        await asyncio.sleep(self.pause)
        if not _is_no(self.sender):
            envelope.mail_from = address
        return self.sender or "250 2.1.0 OK"

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        await asyncio.sleep(self.pause)
        if self.cut == "recipient":
            _abort(server)
        if not _is_no(self.recipient):
            envelope.rcpt_tos.append(address)
        return self.recipient or "250 2.1.5 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        self.handed_over.set()
        if self.silent:
            await asyncio.sleep(_SILENCE_SECONDS)
        if self.cut == "message":
            _abort(server)
        if _is_no(self.message):
            return self.message
        self.taken.append(
            TakenMail(
                sender=envelope.mail_from or "",
                recipients=tuple(envelope.rcpt_tos),
                content=bytes(envelope.original_content or b""),
            )
        )
        return self.message or "250 2.0.0 OK"

    def _authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: object
    ) -> AuthResult:
        is_right = isinstance(data, LoginPassword) and (data.login.decode(), data.password.decode()) == self._login
        if is_right and isinstance(data, LoginPassword):
            self.signed_in.append(data.login.decode())
        return AuthResult(success=is_right, handled=False)


def _is_no(reply: str) -> bool:
    return bool(reply) and not reply.startswith("2")


def _abort(server: SMTP) -> None:
    assert isinstance(server.transport, asyncio.Transport)
    server.transport.abort()
