"""Who may look: a browser on this machine where messages are caught on it, otherwise a key with the scope `ops`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response

from engine.web.access import Keys, key_hash
from engine.web.bodies import CALL_BYTES, read_raw
from engine.web.pages import html, page
from engine.web.problems import Refused
from engine.web.session import COOKIE, LASTS, Sessions, session_of

if TYPE_CHECKING:
    from engine.assembly import Engine

_LOOPBACK = ("localhost", "127.0.0.1", "::1")


class Access:
    """Logs in and out, and keeps the pages from everyone else."""

    def __init__(self, engine: Engine, keys: Keys, sessions: Sessions, *, is_open_here: bool) -> None:
        self._engine = engine
        self._keys = keys
        self._sessions = sessions
        #: To browsers on this machine.
        self._is_open_here = is_open_here

    def guarded(self, show: Callable[[Request], Response]) -> Callable[[Request], Any]:
        """The page, for those who may look; the others are shown the way in."""

        async def endpoint(request: Request) -> Response:
            if not await run_in_threadpool(self._may_look, request):
                return RedirectResponse("/login", status_code=303)
            return await run_in_threadpool(show, request)

        return endpoint

    def guarded_form(self, act: Callable[[Request, Mapping[str, str], str], Response]) -> Callable[[Request], Any]:
        """What a form of ours does, for those who may look: called with its fields and the name of who sent it."""

        async def endpoint(request: Request) -> Response:
            if not await run_in_threadpool(self._may_look, request):
                return RedirectResponse("/login", status_code=303)
            try:
                fields = dict(parse_qsl((await read_raw(request, CALL_BYTES)).decode(), max_num_fields=10))
            except (Refused, ValueError):
                fields = {}
            origin = request.headers.get("origin")
            is_elsewhere = origin is not None and urlsplit(origin).netloc != request.headers.get("host")
            if is_elsewhere or not self._sessions.is_own_form(session_of(request), fields.get("form", "")):
                return PlainTextResponse("this form was not served to you: load its page again", status_code=403)
            return await run_in_threadpool(act, request, fields, self._who(request))

        return endpoint

    def _who(self, request: Request) -> str:
        now = self._engine.clock()
        hashed = self._sessions.read(request.cookies.get(COOKIE), now)
        record = self._keys.find_by_hash(hashed, now) if hashed else None
        return f"key:{record.name}" if record else "dashboard"

    def _may_look(self, request: Request) -> bool:
        # A page elsewhere that makes its name resolve to this machine arrives with that name as its host.
        if self._is_open_here and request.url.hostname in _LOOPBACK:
            return True
        now = self._engine.clock()
        hashed = self._sessions.read(request.cookies.get(COOKIE), now)
        record = self._keys.find_by_hash(hashed, now) if hashed else None
        return record is not None and "ops" in record.scopes

    async def login(self, request: Request) -> Response:
        """Begins a session with a key."""
        if request.method != "POST":
            return _login_page()
        origin = request.headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
            return _login_page("Please log in on this page.", status=403)
        try:
            fields = dict(parse_qsl((await read_raw(request, CALL_BYTES)).decode(), max_num_fields=10))
        except (Refused, ValueError):
            return _login_page("This could not be read.", status=400)
        key, now = fields.get("key", "").strip(), self._engine.clock()
        record = await run_in_threadpool(self._keys.find, key or None, now)
        if record is None or "ops" not in record.scopes:
            return _login_page("This is no key with the scope `ops`.", status=403)
        response = RedirectResponse("/", status_code=303)
        response.set_cookie(
            COOKIE,
            self._sessions.begin(key_hash(key), now),
            max_age=int(LASTS.total_seconds()),
            httponly=True,
            samesite="strict",
            secure=self._engine.public_url.startswith("https:"),
        )
        return response

    async def logout(self, request: Request) -> Response:
        """Ends the session."""
        value = request.cookies.get(COOKIE, "")
        try:
            fields = dict(parse_qsl((await read_raw(request, CALL_BYTES)).decode(), max_num_fields=10))
        except (Refused, ValueError):
            fields = {}
        response = RedirectResponse("/login", status_code=303)
        if self._sessions.is_own_form(value, fields.get("form", "")):
            response.delete_cookie(COOKIE, httponly=True, samesite="strict")
        return response


def _login_page(error: str | None = None, *, status: int = 200) -> HTMLResponse:
    return page(
        "Log in · Sojourn",
        html(
            '<div class="narrow card"><h1>Log in</h1>{error}<form method="post">'
            "<label>An API key with the scope <code>ops</code> (<code>sojourn keys create</code>)"
            '<input type="password" name="key" autocomplete="current-password" required></label>'
            '<div class="actions"><button>Log in</button></div></form></div>',
            error=html('<p role="alert">{error}</p>', error=error) if error else None,
        ),
        status=status,
    )
