"""The HTTP side of the engine, put together: intake, API, webhooks, the pages behind links, the dashboard, health."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from engine.errors import SojournError
from engine.web.access import Keys
from engine.web.api import api_routes
from engine.web.commits import Commits
from engine.web.dashboard.inbox import LocalInbox
from engine.web.dashboard.routes import dashboard_routes
from engine.web.health import Counted, Health
from engine.web.links import Links, OfATest, not_found, of_a_test
from engine.web.pages import STYLE
from engine.web.preferences import Preferences
from engine.web.problems import Refused, problem, refusal
from engine.web.segment import TYPES
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
    app = FastAPI(title="Sojourn", lifespan=lifespan, docs_url=None, redoc_url=None)
    app.router.routes += [
        *Tracking(commits, keys, engine.clock).routes(),
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
    app.add_middleware(Counted, requests=health.requests)
    app.openapi = lambda: _described(app)  # type: ignore[method-assign]
    return app


async def _style(_: Request) -> Response:
    return Response(STYLE, media_type="text/css", headers={"Cache-Control": "max-age=300"})


async def _answer_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, SojournError), "registered for these alone"
    return problem(refusal(error))


async def _answer_test(_: Request, error: Exception) -> Response:  # noqa: ARG001 (it says it all)
    return of_a_test()


async def _answer_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError), "registered for these alone"
    if any(row["loc"] == ("body",) for row in error.errors()) and "json" not in request.headers.get("content-type", ""):
        needed = "the body must be a JSON object, sent with `Content-Type: application/json`"
        return problem(Refused(415, "content_type", needed))
    # The place and the rule; never the input, which may be anybody's data.
    said = [f"{'.'.join(str(part) for part in row['loc'])}: {row['msg']}" for row in error.errors()]
    return problem(Refused(400, "bad_input", "; ".join(said)))


async def _answer_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException), "registered for these alone"
    if error.status_code == 404 and not request.url.path.startswith(_API):
        return not_found()
    return problem(Refused(error.status_code, "http", error.detail, headers=error.headers))


async def _answer_defect(_: Request, error: Exception) -> Response:  # noqa: ARG001 (the log has it)
    return problem(Refused(500, "defect", "the request could not be served; the log says more"))


def _described(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI description, with the routes that are not FastAPI's own, our keys, and our problem documents."""
    if app.openapi_schema is None:
        described = get_openapi(title=app.title, version="1", routes=app.routes)
        body = {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}}
        for name in (*TYPES, "batch", "import"):
            described["paths"][f"/v1/{name}"] = {
                "post": {
                    "tags": ["intake"],
                    "summary": f"Segment's `{name}` call",
                    "requestBody": body,
                    "responses": {"200": {"description": "Committed"}},
                }
            }
        for operation in (operation for path in described["paths"].values() for operation in path.values()):
            operation["security"] = [{"basic": []}, {"bearer": []}]
            operation["responses"].pop("422", None)
            operation["responses"]["default"] = _REFUSED
        described["paths"]["/v1/receipts/{channel}"] = {
            "post": {
                "tags": ["receipts"],
                "summary": "A provider's webhook, verified before it is parsed",
                "parameters": [{"name": "channel", "in": "path", "required": True, "schema": {"type": "string"}}],
                "responses": {"200": {"description": "Taken"}, "403": {"description": "Not provably the provider's"}},
            }
        }
        components = described["components"]
        components["securitySchemes"] = _KEYS
        components["schemas"] = {
            name: schema for name, schema in components["schemas"].items() if not name.endswith("ValidationError")
        } | {"Problem": _PROBLEM}
        app.openapi_schema = described
    return app.openapi_schema


#: A key, in either of two ways; what each operation needs of its scopes, a refusal says.
_KEYS = {
    "basic": {"type": "http", "scheme": "basic", "description": "The key as user name, without a password."},
    "bearer": {"type": "http", "scheme": "bearer"},
}
_PROBLEM = {
    "type": "object",
    "description": "RFC 9457; `message` repeats `detail` for Segment's clients.",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string", "description": "Stable: `bad_input`, `not_found`, `conflict` …"},
        "message": {"type": "string"},
    },
    "required": ["type", "title", "status", "detail", "code", "message"],
}
_REFUSED = {
    "description": "Refused, and nothing is changed: 400, 401, 403, 404, 409, 413, 415, 429 or 503",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}
