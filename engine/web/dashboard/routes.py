"""The dashboard's pages and where they stand.

With an inbox (everything on one machine) it is open to a browser on that machine; otherwise a key with the scope `ops`
begins a session.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.routing import Route

from engine.web.access import Keys
from engine.web.dashboard.access import Access
from engine.web.dashboard.deliveries import Deliveries
from engine.web.dashboard.frame import Frame
from engine.web.dashboard.inbox import Inbox, LocalInbox
from engine.web.dashboard.journey import Journey
from engine.web.dashboard.overview import Overview
from engine.web.dashboard.person import Person
from engine.web.dashboard.routing import Routing
from engine.web.session import Sessions

if TYPE_CHECKING:
    from engine.assembly import Engine


def dashboard_routes(engine: Engine, keys: Keys, inbox: LocalInbox | None, temporal_ui: str | None) -> list[Route]:
    """The pages for those who run it."""
    sessions = Sessions(engine.project_key)
    access = Access(engine, keys, sessions, is_open_here=inbox is not None)
    frame = Frame(sessions, temporal_ui, has_inbox=inbox is not None)
    deliveries, routing = Deliveries(engine, frame), Routing(engine, frame)
    pages = {
        "/": Overview(engine, frame, inbox).show,
        "/deliveries": deliveries.show,
        "/journeys/{journey}": Journey(engine, frame).show,
        "/people": Person(engine, frame).show,
        "/routing": routing.show,
    }
    if inbox is not None:
        caught = Inbox(engine, frame, inbox)
        pages |= {
            "/inbox": caught.messages,
            "/inbox/{message}": caught.message,
            "/inbox/{message}/html": caught.message_html,
        }
    return [
        *(Route(path, access.guarded(show), methods=["GET"]) for path, show in pages.items()),
        Route("/deliveries/resolve", access.guarded_form(deliveries.resolve), methods=["POST"]),
        Route("/routing/retry", access.guarded_form(routing.retry), methods=["POST"]),
        Route("/login", access.login, methods=["GET", "POST"]),
        Route("/logout", access.logout, methods=["POST"]),
    ]
