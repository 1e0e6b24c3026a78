"""Where the links in messages lead: unsubscribe, preferences, confirmation, clicks and opens.

Mail scanners follow links, so GET, HEAD and OPTIONS change no consent: a page shows one button, and its POST acts.
A click or an open is recorded on GET, as nothing else ever comes of it; programs that say what they are do neither.
A token is the only credential: no cookie, no login, no redirect. An unknown, malformed or foreign token and one of
another kind all get the same page.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from engine.consent.decide import standing_denial
from engine.delivery.message import Receipt
from engine.delivery.receipt_events import event_name
from engine.profiles.model import Profile
from engine.project import ChannelKind
from engine.rendering import links
from engine.store import LinkRecord, Unit
from engine.web.bodies import CALL_BYTES, read_raw
from engine.web.pages import Markup, html, page
from engine.web.problems import Refused

if TYPE_CHECKING:
    from engine.assembly import Engine

#: How a person calls a kind of channel.
MEDIA: Mapping[ChannelKind, str] = {"email": "by email", "sms": "by text message", "chat": "in chat"}
_TOKEN = re.compile(r"[A-Za-z0-9_-]{16,64}")
_PIXEL = bytes.fromhex("47494638396101000100800000000000ffffff21f90401000000002c00000000010001000002024401003b")
#: The same link followed again so soon is the same click: an impatient finger, or a browser that asks twice.
_SAME_CLICK = timedelta(seconds=10)
#: Programs that say of themselves that nobody looks at what they fetch; a scanner that poses as a browser is not known.
_PROGRAM = re.compile(r"bot\b|crawler|spider|scanner|preview|facebookexternalhit|whatsapp/", re.IGNORECASE)
_PREFETCHING = ("sec-purpose", "purpose", "x-purpose", "x-moz")
_PRIVATE = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Robots-Tag": "noindex"}


class Gone(Exception):
    """A known link that is too old to act on."""


class OfATest(Exception):
    """A link in a message that was sent as a test: there is nothing that it may do or show."""


class Links:
    """Finds what a token stands for, and serves the single-purpose links."""

    def __init__(self, engine: Engine, on_intake: Callable[[], None]) -> None:
        self._engine = engine
        self._on_intake = on_intake

    def routes(self) -> list[Route]:
        """`/u` unsubscribe, `/c` confirm, `/r` click, `/o` open."""
        return [
            Route("/u/{token}", self._unsubscribe, methods=["GET", "POST"]),
            Route("/c/{token}", self._confirm, methods=["GET", "POST"]),
            Route("/r/{token}", self._click, methods=["GET"]),
            Route("/o/{token}", self._open, methods=["GET"]),
        ]

    def find(self, unit: Unit, kind: str, token: str) -> LinkRecord | None:
        """What a token of this kind stands for, or None; raises Gone where it has expired, OfATest for a test's."""
        if not _TOKEN.fullmatch(token):
            return None
        link = unit.access.find_link(links.token_hash(token))
        if link is not None and link.kind == links.VOID:
            raise OfATest
        if link is None or link.kind != kind:
            return None
        if link.expires_at is not None and link.expires_at <= self._engine.clock():
            raise Gone
        return link

    def person(self, unit: Unit, link: LinkRecord) -> Profile | None:
        """The person that a link is about, locked; None where they were erased."""
        profile = self._engine.intake.current(unit, link.profile_id)
        return None if profile.erased_at else profile

    # ── unsubscribe ──────────────────────────────────────────────────────────────────────────────────────────────────
    async def _unsubscribe(self, request: Request) -> Response:
        token = request.path_params["token"]
        if request.method != "POST":
            return await run_in_threadpool(self._ask_to_unsubscribe, token)
        # RFC 8058 posts a form, of either encoding, or nothing: whatever it says, the token says it all.
        try:
            await read_raw(request, CALL_BYTES)
        except Refused as refused:
            return not_understood(refused.status)
        return await run_in_threadpool(self._withdraw, token)

    def _ask_to_unsubscribe(self, token: str) -> Response:
        with self._engine.store.transaction() as unit:
            link = self.find(unit, "unsubscribe", token)
        if link is None:
            return not_found()
        return page(
            "Unsubscribe",
            html(
                '<div class="narrow card"><h1>Unsubscribe from {title}?</h1>'
                "<p>You will get no more messages of this kind{channel}. It takes effect at once.</p>"
                '<form method="post" class="actions"><button type="submit">Unsubscribe</button></form></div>',
                title=self.topic_title(link.topic),
                channel=self._medium(link),
            ),
        )

    def _withdraw(self, token: str) -> Response:
        now = self._engine.clock()
        with self._engine.store.transaction() as unit:
            link = self.find(unit, "unsubscribe", token)
            if link is None:
                return not_found()
            profile = self.person(unit, link)
            if profile is not None and not self._has_withdrawn(unit, profile, link):
                self._engine.ledger.withdraw(
                    unit,
                    profile=profile,
                    channel=link.channel,
                    topic=link.topic,
                    occurred_at=now,
                    now=now,
                    actor="person",
                    source="one_click",
                )
                self._engine.intake.track(
                    unit,
                    profile_id=profile.profile_id,
                    name="Unsubscribed",
                    properties=self._context(unit, link),
                    timestamp=now,
                    message_id=f"unsubscribe/{link.token_hash}/{now.isoformat()}",
                    now=now,
                    source="receipt",
                )
        self._on_intake()
        return page(
            "Unsubscribed",
            html(
                '<div class="narrow card"><h1 class="done">You are unsubscribed.</h1>'
                "<p>You will get no more messages about {title}{channel}.</p></div>",
                title=self.topic_title(link.topic),
                channel=self._medium(link),
            ),
        )

    def _has_withdrawn(self, unit: Unit, profile: Profile, link: LinkRecord) -> bool:
        """A hundred repeats of a click are one withdrawal."""
        topic = self._engine.project.topics.get(link.topic or "")
        if topic is None or link.channel is None:
            return False
        records = unit.consents.of(profile.profile_id)
        now = self._engine.clock()
        return standing_denial(topic, link.channel, link.address_hash or "", records, now) is not None

    @staticmethod
    def _context(unit: Unit, link: LinkRecord) -> dict[str, str]:
        delivery = unit.deliveries.find(link.delivery_id) if link.delivery_id else None
        context = {"channel": link.channel, "topic": link.topic, "delivery": link.delivery_id}
        if delivery:
            context |= {"journey": delivery.journey, "step": delivery.step_id}
        return {name: value for name, value in context.items() if value is not None}

    # ── double opt-in ────────────────────────────────────────────────────────────────────────────────────────────────
    async def _confirm(self, request: Request) -> Response:
        token = request.path_params["token"]
        if request.method != "POST":
            return await run_in_threadpool(self._ask_to_confirm, token)
        return await run_in_threadpool(self._confirmed, token)

    def _ask_to_confirm(self, token: str) -> Response:
        try:
            with self._engine.store.transaction() as unit:
                link = self.find(unit, "confirm", token)
        except Gone:
            return expired()
        if link is None:
            return not_found()
        return page(
            "Please confirm",
            html(
                '<div class="narrow card"><h1>Yes to {title}?</h1>'
                "<p>Please confirm that you want these messages{channel}. You can unsubscribe at any time.</p>"
                '<form method="post" class="actions"><button type="submit">Yes, I confirm</button></form></div>',
                title=self.topic_title(link.topic),
                channel=self._medium(link),
            ),
        )

    def _confirmed(self, token: str) -> Response:
        now = self._engine.clock()
        try:
            with self._engine.store.transaction() as unit:
                link = self.find(unit, "confirm", token)
                if link is None or link.channel is None or link.topic is None:
                    return not_found()
                profile = self.person(unit, link)
                if profile is None:
                    return not_found()
                self._engine.ledger.confirm(
                    unit,
                    profile=profile,
                    channel=link.channel,
                    topic=link.topic,
                    occurred_at=now,
                    now=now,
                    source="confirmation_link",
                    address_hash=link.address_hash,
                )
        except Gone:
            return expired()
        self._on_intake()
        return page(
            "Confirmed",
            html(
                '<div class="narrow card"><h1 class="done">Thank you, it is confirmed.</h1>'
                "<p>You will get messages about {title}.</p></div>",
                title=self.topic_title(link.topic),
            ),
        )

    # ── engagement ───────────────────────────────────────────────────────────────────────────────────────────────────
    async def _click(self, request: Request) -> Response:
        url = await run_in_threadpool(self._clicked, request.path_params["token"], _is_look(request))
        if url is None:
            return not_found()
        return Response(status_code=302, headers={**_PRIVATE, "Location": url})

    def _clicked(self, token: str, is_look: bool) -> str | None:
        with self._engine.store.transaction() as unit:
            link = self.find(unit, "click", token)
            # Only to where the message itself led when it was sent.
            if link is None or link.url is None or urlsplit(link.url).scheme not in ("http", "https"):
                return None
            if not is_look:
                self._engage(unit, link, "clicked")
        if not is_look:
            self._on_intake()
        return link.url

    async def _open(self, request: Request) -> Response:
        is_known = await run_in_threadpool(self._opened, request.path_params["token"], _is_look(request))
        if not is_known:
            return not_found()
        return Response(_PIXEL, media_type="image/gif", headers=_PRIVATE)

    def _opened(self, token: str, is_look: bool) -> bool:
        with self._engine.store.transaction() as unit:
            link = self.find(unit, "open", token)
            if link is None:
                return False
            if not is_look:
                self._engage(unit, link, "opened")
        if not is_look:
            self._on_intake()
        return True

    def _engage(self, unit: Unit, link: LinkRecord, kind: Literal["clicked", "opened"]) -> None:
        now = self._engine.clock()
        channel = self._engine.project.channels.get(link.channel or "")
        profile = self.person(unit, link)
        delivery = unit.deliveries.find(link.delivery_id) if link.delivery_id else None
        if channel is None or profile is None or (delivery and delivery.is_test):
            return
        recent = unit.events.of(profile.profile_id, event_name(channel.kind, kind), since=now - _SAME_CLICK)
        here = (link.delivery_id, link.url)
        if any((event.properties.get("delivery"), event.properties.get("url")) == here for event in recent):
            return
        self._engine.receipts.take(
            unit,
            channel,
            Receipt(
                kind=kind,
                receipt_id=f"{kind}/{link.token_hash}/{now.isoformat()}",
                occurred_at=now,
                delivery_id=link.delivery_id,
                url=link.url,
            ),
            now,
        )

    def _medium(self, link: LinkRecord) -> str:
        channel = self._engine.project.channels.get(link.channel or "")
        return f" {MEDIA[channel.kind]}" if channel else ""

    def topic_title(self, topic: str | None) -> str:
        """The topic as its people know it."""
        if topic is None:
            return "all topics"
        known = self._engine.project.topics.get(topic)
        return known.title if known else "this topic"


def _is_look(request: Request) -> bool:
    """Whether no person stands behind a request, as far as it says so itself."""
    is_ahead = any(word in request.headers.get(name, "") for name in _PREFETCHING for word in ("prefetch", "preview"))
    return request.method == "HEAD" or is_ahead or bool(_PROGRAM.search(request.headers.get("user-agent", "")))


def not_found() -> HTMLResponse:
    """The one page for every token that means nothing here."""
    return page(
        "Not found",
        Markup(
            '<div class="narrow card"><h1>This link is not known here.</h1>'
            "<p>It may have been cut off on its way. Please use the link in the newest message that you got.</p></div>"
        ),
        status=404,
    )


def expired() -> HTMLResponse:
    """For a link that was good once."""
    return page(
        "Expired",
        Markup(
            '<div class="narrow card"><h1>This link has expired.</h1>'
            "<p>Please use the link in the newest message that you got.</p></div>"
        ),
        status=410,
    )


def of_a_test() -> HTMLResponse:
    """For a link that works as it should, and does nothing."""
    return page(
        "A test",
        Markup(
            '<div class="narrow card"><h1>This link works.</h1>'
            "<p>It came in a message that was sent as a test, so nothing was changed, and nobody was unsubscribed.</p>"
            "</div>"
        ),
    )


def not_understood(status: int) -> HTMLResponse:
    """For a form that no page of ours sends."""
    return page(
        "Not understood",
        Markup('<div class="narrow card"><h1>This request could not be read.</h1><p>Nothing was changed.</p></div>'),
        status=status,
    )
