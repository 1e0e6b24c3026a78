"""The HTTP side of the engine, put together: intake, API, webhooks, the pages behind links, the dashboard, health."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from engine.errors import SojournError
from engine.web.access import Keys
from engine.web.api import api_routes
from engine.web.bodies import is_json
from engine.web.commits import Commits
from engine.web.dashboard.inbox import LocalInbox
from engine.web.dashboard.routes import dashboard_routes
from engine.web.description import describe
from engine.web.health import Counted, Health
from engine.web.links import Links, OfATest, not_found, of_a_test
from engine.web.pages import STYLE
from engine.web.preferences import Preferences
from engine.web.problems import Refused, problem, refusal
from engine.web.tracking import Tracking
from engine.web.webhooks import Webhooks

if TYPE_CHECKING:
    from engine.assembly import Engine

#: What a stranger's browser may ask us for is pages; programs ask under this.
_API = "/v1/"


def create_app(
    engine: Engine,
    *,
    inbox: LocalInbox | None = None,
    on_intake: Callable[[], None],
    temporal_ui: str | None = None,
) -> FastAPI:
    """The application. `on_intake` is called after each commit that left something to route; it must not block.

    `inbox` adds the local inbox to the dashboard, and opens the dashboard to browsers on this machine without a login.
    """
    keys = Keys(engine.store)
    commits = Commits(engine.store, engine.intake, on_intake)
    links = Links(engine, on_intake)
    health = Health(engine)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        commits.start()
        try:
            yield
        finally:
            commits.stop()

    # The generated documentation pages load scripts from elsewhere; the description itself is at /openapi.json.
    # And an address is what it says: an id may end in a slash, and leads to nobody else.
    app = FastAPI(title="Sojourn", lifespan=lifespan, docs_url=None, redoc_url=None, redirect_slashes=False)
    # First of all: intake is the hot path.
    app.router.routes.insert(0, Tracking(commits, keys, engine.clock).route())
    app.router.routes += [
        *Webhooks(engine, on_intake).routes(),
        *links.routes(),
        *Preferences(engine, links, on_intake).routes(),
        *health.routes(),
        *dashboard_routes(engine, keys, inbox, temporal_ui),
        Route("/style.css", _style, methods=["GET"]),
    ]
    app.include_router(api_routes(engine, keys, on_intake))
    app.add_exception_handler(SojournError, _answer_error)
    app.add_exception_handler(OfATest, _answer_test)
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    app.add_exception_handler(HTTPException, _answer_http)
    app.add_exception_handler(Exception, _answer_defect)
    app.add_middleware(_WithoutNul)
    app.add_middleware(Counted, requests=health.requests)
    app.openapi = lambda: describe(app)  # type: ignore[method-assign]
    return app


class _WithoutNul:
    """Refuses a call or a query that holds U+0000: whatever it asks for, no database can be asked for it. Links are not
    concerned, as of a token only its hash is looked for."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_api = scope["type"] == "http" and scope["path"].startswith(_API)
        if scope["type"] == "http" and (b"%00" in scope["query_string"] or (is_api and "\x00" in scope["path"])):
            refused = problem(Refused(400, "bad_input", "the address holds U+0000")) if is_api else not_found()
            await refused(scope, receive, send)
            return
        await self._app(scope, receive, send)


async def _style(_: Request) -> Response:
    return Response(STYLE, media_type="text/css", headers={"Cache-Control": "max-age=300"})


async def _answer_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, SojournError), "registered for these alone"
    return problem(refusal(error))


async def _answer_test(_: Request, error: Exception) -> Response:  # noqa: ARG001 (it says it all)
    return of_a_test()


async def _answer_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError), "registered for these alone"
    if any(row["loc"] == ("body",) for row in error.errors()) and not is_json(request):
        needed = "the body must be a JSON object, sent with `Content-Type: application/json`"
        return problem(Refused(415, "content_type", needed))
    # The place and the rule; never the input, which may be anybody's data.
    said = [f"{'.'.join(str(part) for part in row['loc'])}: {row['msg']}" for row in error.errors()]
    return problem(Refused(400, "bad_input", "; ".join(said)))


async def _answer_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException), "registered for these alone"
    if error.status_code == 404 and not request.url.path.startswith(_API):
        return not_found()
    match error.status_code:
        case 404:
            code, detail = "not_found", "there is nothing at this address; /openapi.json tells of what there is"
        case 405:
            allowed = (error.headers or {}).get("Allow", "")
            code, detail = "method_not_allowed", f"this address takes {allowed or 'another method'}"
        case _:
            code, detail = "http", error.detail
    return problem(Refused(error.status_code, code, detail, headers=error.headers))


async def _answer_defect(_: Request, error: Exception) -> Response:  # noqa: ARG001 (the log has it)
    return problem(Refused(500, "defect", "the request could not be served; the log says more"))
