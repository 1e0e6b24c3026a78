"""The local inbox: messages caught on this machine, and each as its reader would see it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Protocol
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from engine.web.dashboard.frame import Frame
from engine.web.dashboard.parts import SHOWN, link, time
from engine.web.pages import html, join, table

if TYPE_CHECKING:
    from engine.assembly import Engine

_HEAD = re.compile(r"<head(?:\s[^>]*)?>", re.IGNORECASE)
#: A caught message is somebody's HTML: no script, nothing from elsewhere, and a frame of its own.
_SANDBOX = "allow-popups allow-popups-to-escape-sandbox"
_MESSAGE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'"
_MESSAGE_HEADERS = {
    "Content-Security-Policy": f"sandbox {_SANDBOX}; {_MESSAGE_POLICY}",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class CaughtMessage(Protocol):
    """A message in the local inbox."""

    @property
    def id(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def received_at(self) -> datetime: ...
    @property
    def to(self) -> str: ...
    @property
    def from_(self) -> str: ...
    @property
    def subject(self) -> str: ...
    @property
    def text(self) -> str: ...
    @property
    def html(self) -> str | None: ...
    @property
    def headers(self) -> Mapping[str, str]: ...
    @property
    def attachments(self) -> Sequence[str]: ...
    @property
    def delivery_id(self) -> str: ...


class LocalInbox(Protocol):
    """What catches messages on this machine."""

    def messages(self, *, limit: int | None = None) -> Sequence[CaughtMessage]: ...
    def find(self, id: str) -> CaughtMessage | None: ...
    def count(self) -> int: ...


class Inbox:
    """The messages that were caught."""

    def __init__(self, engine: Engine, frame: Frame, inbox: LocalInbox) -> None:
        self._engine = engine
        self._frame = frame
        self._inbox = inbox

    def messages(self, request: Request) -> Response:
        """All of them, newest first."""
        return self._frame.page(
            request,
            "Inbox",
            html(
                '<p class="soft">Messages caught on this machine. Nothing left it.</p>{messages}',
                messages=table(
                    ("Received (UTC)", "Kind", "To", "Message"),
                    (
                        (
                            time(message.received_at),
                            html('<span class="tag">{kind}</span>', kind=message.kind),
                            message.to,
                            link(f"/inbox/{quote(message.id)}", message.subject or message.text[:80] or "(empty)"),
                        )
                        for message in self._inbox.messages(limit=SHOWN)
                    ),
                    empty="Nothing caught yet.",
                ),
            ),
        )

    def message(self, request: Request) -> Response:
        """One of them, with its details."""
        message = self._caught(request)
        if message is None:
            return self._frame.page(request, "Not found", html("<p>No such message in the inbox.</p>"), status=404)
        rows = [("From", message.from_), ("To", message.to), *sorted(message.headers.items())]
        if message.attachments:
            rows.append(("Attachments", ", ".join(message.attachments)))
        with self._engine.store.transaction() as unit:
            delivery = unit.deliveries.find(message.delivery_id) if message.delivery_id else None
        reason = None
        if delivery:
            to = f"/people?name={quote(delivery.profile_id)}&journey={quote(delivery.journey)}"
            reason = html("<p>{link}</p>", link=link(to, f"Why was this sent? {delivery.journey} · {delivery.step_id}"))
        frame = None
        if message.html is not None:
            frame = html(
                '<iframe sandbox="{sandbox}" title="The message" src="{src}"></iframe>',
                sandbox=_SANDBOX,
                src=f"/inbox/{quote(message.id)}/html",
            )
        return self._frame.page(
            request,
            message.subject or message.kind,
            html(
                "{reason}{frame}<h2>As text</h2><pre class='card'>{text}</pre><h2>Details</h2><dl>{rows}</dl>",
                reason=reason,
                frame=frame,
                text=message.text or "(none)",
                rows=join(
                    html("<dt>{name}</dt><dd>{value}</dd>", name=name, value=value)
                    for name, value in dict(rows).items()
                ),
            ),
            policy="frame-src 'self'",
        )

    def message_html(self, request: Request) -> Response:
        """Its HTML alone, as the frame of its page shows it."""
        message = self._caught(request)
        if message is None or message.html is None:
            return Response("no such message", status_code=404, media_type="text/plain")
        # Links open beside the frame: inside it our own pages refuse to be shown.
        head = _HEAD.search(message.html)
        # Before its document type a browser would show it by the rules of another age.
        start = head.end() if head else 0
        shown = f'{message.html[:start]}<base target="_blank">{message.html[start:]}'
        return HTMLResponse(shown, headers=_MESSAGE_HEADERS)

    def _caught(self, request: Request) -> CaughtMessage | None:
        return self._inbox.find(request.path_params["message"])
