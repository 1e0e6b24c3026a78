"""What is around every page: its heading, and the way to the others."""

from __future__ import annotations

from typing import LiteralString

from starlette.requests import Request
from starlette.responses import HTMLResponse

from engine.web.dashboard.parts import link
from engine.web.pages import PAGE_POLICY, Markup, html, join, page
from engine.web.session import COOKIE, Sessions, session_of


class Frame:
    """Puts a page into the dashboard's frame."""

    def __init__(self, sessions: Sessions, temporal_ui: str | None, *, has_inbox: bool) -> None:
        self._sessions = sessions
        self._temporal_ui = temporal_ui
        self._has_inbox = has_inbox

    def page(
        self, request: Request, title: str, body: Markup, *, status: int = 200, policy: LiteralString = ""
    ) -> HTMLResponse:
        """The page; `policy` adds to its Content-Security-Policy."""
        content = html("<h1>{title}</h1>{body}", title=title, body=body)
        response = page(f"{title} · Sojourn", content, status=status, nav=self._nav(request))
        if policy:
            response.headers["Content-Security-Policy"] = f"{PAGE_POLICY}; {policy}; frame-ancestors 'none'"
        return response

    def form_token(self, request: Request) -> Markup:
        """The hidden field of every form that changes something."""
        token = self._sessions.form_token(session_of(request))
        return html('<input type="hidden" name="form" value="{token}">', token=token)

    def _nav(self, request: Request) -> Markup:
        places = [("/", "Overview"), ("/deliveries", "Deliveries"), ("/people", "Why")]
        if self._has_inbox:
            places.insert(1, ("/inbox", "Inbox"))
        links = join(
            html(
                '<a href="{to}"{here}>{words}</a>',
                to=to,
                here=Markup(' aria-current="page"') if request.url.path == to else None,
                words=words,
            )
            for to, words in places
        )
        temporal = link(self._temporal_ui, "Temporal") if self._temporal_ui else None
        session, out = request.cookies.get(COOKIE), None
        if session:
            out = html(
                '<form method="post" action="/logout"><input type="hidden" name="form" value="{form}">'
                '<button class="plain">Log out</button></form>',
                form=self._sessions.form_token(session),
            )
        return html(
            '<header class="top"><nav aria-label="Main"><span class="brand">Sojourn</span>{links}{temporal}{out}</nav>'
            "</header>",
            links=links,
            temporal=temporal,
            out=out,
        )
