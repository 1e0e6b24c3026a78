"""The dashboard: journeys, deliveries, decisions, the local inbox, and why one person got what they got. It only reads.

With an inbox (everything on one machine) it is open to a browser on that machine; otherwise a key with the scope `ops`
begins a session.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, LiteralString, Protocol
from urllib.parse import parse_qsl, quote, urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from engine.delivery.model import Decision, Delivery
from engine.enrollment.model import Enrollment
from engine.errors import NotFound
from engine.insight import activity, people, why
from engine.insight.words import OUTCOMES, STATUSES
from engine.store import Unit
from engine.web.access import Keys, key_hash
from engine.web.bodies import CALL_BYTES, read_raw
from engine.web.pages import PAGE_POLICY, Markup, html, join, page, table
from engine.web.problems import Refused
from engine.web.session import COOKIE, LASTS, Sessions

if TYPE_CHECKING:
    from engine.assembly import Engine

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_SHOWN = 50
#: A caught message is somebody's HTML: no script, nothing from elsewhere, and a frame of its own.
_SANDBOX = "allow-popups allow-popups-to-escape-sandbox"
_MESSAGE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'"
_MESSAGE_HEADERS = {
    "Content-Security-Policy": f"sandbox {_SANDBOX}; {_MESSAGE_POLICY}",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_GOOD = ("sent", "delivered", "opened", "clicked", "converted", "active")
_BAD = ("failed", "bounced", "complained", "render_error", "in_doubt", "stopped")
_WAITING = ("quiet", "capped", "retrying", "claimed", "paused", "waits")


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
    def delivery_id(self) -> str: ...


class LocalInbox(Protocol):
    """What catches messages on this machine."""

    def messages(self, *, limit: int | None = None) -> Sequence[CaughtMessage]: ...
    def find(self, id: str) -> CaughtMessage | None: ...
    def count(self) -> int: ...


class Dashboard:
    """The pages for those who run it."""

    def __init__(self, engine: Engine, keys: Keys, inbox: LocalInbox | None, temporal_ui: str | None) -> None:
        self._engine = engine
        self._keys = keys
        self._inbox = inbox
        self._temporal_ui = temporal_ui
        self._sessions = Sessions(engine.project_key)

    def routes(self) -> list[Route]:
        routes = [
            Route("/", self._guarded(self._overview), methods=["GET"]),
            Route("/deliveries", self._guarded(self._deliveries), methods=["GET"]),
            Route("/journeys/{journey}", self._guarded(self._journey), methods=["GET"]),
            Route("/people", self._guarded(self._person), methods=["GET"]),
            Route("/login", self._login, methods=["GET", "POST"]),
            Route("/logout", self._logout, methods=["POST"]),
        ]
        if self._inbox is not None:
            routes += [
                Route("/inbox", self._guarded(self._messages), methods=["GET"]),
                Route("/inbox/{message}", self._guarded(self._message), methods=["GET"]),
                Route("/inbox/{message}/html", self._guarded(self._message_html), methods=["GET"]),
            ]
        return routes

    # ── who may look ─────────────────────────────────────────────────────────────────────────────────────────────────
    def _guarded(self, show: Callable[[Request], Response]) -> Callable[[Request], Any]:
        async def endpoint(request: Request) -> Response:
            if not await run_in_threadpool(self._may_look, request):
                return RedirectResponse("/login", status_code=303)
            return await run_in_threadpool(show, request)

        return endpoint

    def _may_look(self, request: Request) -> bool:
        # A page elsewhere that makes its name resolve to this machine arrives with that name as its host.
        if self._inbox is not None and request.url.hostname in _LOOPBACK:
            return True
        now = self._engine.clock()
        hashed = self._sessions.read(request.cookies.get(COOKIE), now)
        record = self._keys.find_by_hash(hashed, now) if hashed else None
        return record is not None and "ops" in record.scopes

    async def _login(self, request: Request) -> Response:
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

    async def _logout(self, request: Request) -> Response:
        value = request.cookies.get(COOKIE, "")
        try:
            fields = dict(parse_qsl((await read_raw(request, CALL_BYTES)).decode(), max_num_fields=10))
        except (Refused, ValueError):
            fields = {}
        response = RedirectResponse("/login", status_code=303)
        if self._sessions.is_own_form(value, fields.get("form", "")):
            response.delete_cookie(COOKIE, httponly=True, samesite="strict")
        return response

    # ── pages ────────────────────────────────────────────────────────────────────────────────────────────────────────
    def _overview(self, request: Request) -> Response:
        with self._engine.store.transaction() as unit:
            standings = activity.journeys(unit)
            deliveries = unit.deliveries.of(limit=10)
            decisions = unit.deliveries.decisions(limit=10)
            waiting = unit.queue.count_occurrences()
            names = _names(unit, deliveries, decisions)
        titles = {plan.journey: plan.title for plan in self._engine.plans.current.values()}
        cards = [
            ("people in journeys", sum(standing.active for standing in standings)),
            ("converted", sum(standing.converted for standing in standings)),
            ("waiting to be routed", waiting),
        ]
        if self._inbox is not None:
            cards.append(("messages in the inbox", self._inbox.count()))
        return self._page(
            request,
            self._engine.project.name,
            html(
                '<div class="cards">{cards}</div><h2>Journeys</h2>{journeys}'
                "<h2>Newest deliveries</h2>{deliveries}<h2>Newest decisions</h2>{decisions}",
                cards=join(html('<div class="card"><b>{n}</b>{words}</div>', n=n, words=words) for words, n in cards),
                journeys=table(
                    ("Journey", "State", "Inside", "Ended", "Converted", "Version"),
                    (
                        (
                            _link(
                                f"/journeys/{quote(s.record.journey)}", titles.get(s.record.journey, s.record.journey)
                            ),
                            _tag(s.record.state),
                            s.active,
                            s.ended,
                            s.converted,
                            html("<code>{v}</code>", v=s.record.digest[:12]),
                        )
                        for s in standings
                    ),
                    empty="No journey is deployed yet.",
                ),
                deliveries=_deliveries_table(deliveries, names),
                decisions=_decisions_table(decisions, names),
            ),
        )

    def _deliveries(self, request: Request) -> Response:
        status = request.query_params.get("status")
        with self._engine.store.transaction() as unit:
            deliveries = unit.deliveries.of(status=status, limit=_SHOWN)
            decisions = unit.deliveries.decisions(limit=_SHOWN)
            names = _names(unit, deliveries, decisions)
        filters = join(
            (_link(f"/deliveries?status={name}", name.replace("_", " ")) for name in STATUSES), between=" · "
        )
        return self._page(
            request,
            "Deliveries",
            html(
                '<p class="soft">{all} · {filters}</p>{deliveries}<h2>Decisions</h2>{decisions}',
                all=_link("/deliveries", "all"),
                filters=filters,
                deliveries=_deliveries_table(deliveries, names),
                decisions=_decisions_table(decisions, names),
            ),
        )

    def _journey(self, request: Request) -> Response:
        journey = request.path_params["journey"]
        with self._engine.store.transaction() as unit:
            record = unit.journeys.find(journey)
            enrollments = unit.enrollments.of(journey=journey, limit=_SHOWN)
            decisions = unit.deliveries.decisions(journey=journey, limit=_SHOWN)
            names = _names(unit, enrollments, decisions)
        if record is None:
            return self._page(request, "Not found", html("<p>No such journey is deployed.</p>"), status=404)
        return self._page(
            request,
            journey,
            html(
                "<p>{state} version <code>{version}</code></p><h2>Newest enrollments</h2>{enrollments}"
                "<h2>Newest decisions</h2>{decisions}",
                state=_tag(record.state),
                version=record.digest,
                enrollments=table(
                    ("Entered (UTC)", "Profile", "Key", "State", "Stands at", "Until"),
                    (
                        (
                            _time(one.entered_at),
                            _person_link(one.profile_id, one.journey, names),
                            one.key,
                            _tag(one.reason or one.state),
                            one.step_id,
                            _time(one.wake_at),
                        )
                        for one in enrollments
                    ),
                    empty="Nobody has entered yet.",
                ),
                decisions=_decisions_table(decisions, names),
            ),
        )

    def _person(self, request: Request) -> Response:
        name, journey = request.query_params.get("name", "").strip(), request.query_params.get("journey") or None
        if not name:
            return self._page(request, "Why", _search(""))
        try:
            with self._engine.store.transaction() as unit:
                told = why.story(unit, people.find(unit, self._engine.project_key, name), journey)
        except NotFound as error:
            body = html('{search}<p class="empty">{error}.</p>', search=_search(name), error=error)
            return self._page(request, "Why", body, status=404)
        profile = told.profile
        return self._page(
            request,
            f"Why: {profile.external_id or profile.profile_id}",
            html(
                '{search}<p class="soft">Profile <code>{id}</code>{erased}{zone}</p>{story}',
                search=_search(name),
                id=profile.profile_id,
                erased=" · erased" if profile.erased_at else "",
                zone=f" · {profile.timezone}" if profile.timezone else "",
                story=_story(told),
            ),
        )

    def _messages(self, request: Request) -> Response:
        assert self._inbox is not None, "routed only with an inbox"
        return self._page(
            request,
            "Inbox",
            html(
                '<p class="soft">Messages caught on this machine. Nothing left it.</p>{messages}',
                messages=table(
                    ("Received (UTC)", "Kind", "To", "Message"),
                    (
                        (
                            _time(message.received_at),
                            html('<span class="tag">{kind}</span>', kind=message.kind),
                            message.to,
                            _link(f"/inbox/{quote(message.id)}", message.subject or message.text[:80] or "(empty)"),
                        )
                        for message in self._inbox.messages(limit=_SHOWN)
                    ),
                    empty="Nothing caught yet.",
                ),
            ),
        )

    def _message(self, request: Request) -> Response:
        message = self._caught(request)
        if message is None:
            return self._page(request, "Not found", html("<p>No such message in the inbox.</p>"), status=404)
        rows = [("From", message.from_), ("To", message.to), *sorted(message.headers.items())]
        with self._engine.store.transaction() as unit:
            delivery = unit.deliveries.find(message.delivery_id) if message.delivery_id else None
        reason = None
        if delivery:
            to = f"/people?name={quote(delivery.profile_id)}&journey={quote(delivery.journey)}"
            reason = html(
                "<p>{link}</p>", link=_link(to, f"Why was this sent? {delivery.journey} · {delivery.step_id}")
            )
        frame = None
        if message.html is not None:
            frame = html(
                '<iframe sandbox="{sandbox}" title="The message" src="{src}"></iframe>',
                sandbox=_SANDBOX,
                src=f"/inbox/{quote(message.id)}/html",
            )
        return self._page(
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

    def _message_html(self, request: Request) -> Response:
        message = self._caught(request)
        if message is None or message.html is None:
            return Response("no such message", status_code=404, media_type="text/plain")
        # Links open beside the frame: inside it our own pages refuse to be shown.
        return HTMLResponse(f'<base target="_blank">{message.html}', headers=_MESSAGE_HEADERS)

    def _caught(self, request: Request) -> CaughtMessage | None:
        return self._inbox.find(request.path_params["message"]) if self._inbox is not None else None

    def _page(
        self, request: Request, title: str, body: Markup, *, status: int = 200, policy: LiteralString = ""
    ) -> HTMLResponse:
        content = html("<h1>{title}</h1>{body}", title=title, body=body)
        response = page(f"{title} · Sojourn", content, status=status, nav=self._nav(request))
        if policy:
            response.headers["Content-Security-Policy"] = f"{PAGE_POLICY}; {policy}; frame-ancestors 'none'"
        return response

    def _nav(self, request: Request) -> Markup:
        places = [("/", "Overview"), ("/deliveries", "Deliveries"), ("/people", "Why")]
        if self._inbox is not None:
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
        temporal = _link(self._temporal_ui, "Temporal") if self._temporal_ui else None
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


# ── parts of pages ───────────────────────────────────────────────────────────────────────────────────────────────────
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


def _search(name: str) -> Markup:
    return html(
        '<form class="line" action="/people"><input type="text" name="name" value="{name}" required '
        'placeholder="Customer id, email or profile id" aria-label="Customer id, email or profile id">'
        "<button>Why?</button></form>",
        name=name,
    )


def _story(told: why.Story) -> Markup:
    if not told.lines:
        return html('<p class="empty">Nothing yet: no entry, no refusal, no message.</p>')
    return html(
        '<ol class="story">{lines}</ol>',
        lines=join(
            html(
                "<li>{at}<span><b>{journey}</b>{key}{step} {tag} {words}</span>{inputs}</li>",
                at=_time(line.at),
                journey=line.journey,
                key=f" ({line.key})" if line.key else "",
                step=f" · {line.step_id}" if line.step_id else "",
                tag=None if line.kind == "trail" else _tag(line.code),
                words=line.words,
                inputs=html('<span class="inputs">{i}</span>', i=why.inputs_text(line.detail))
                if line.kind == "decision"
                else None,
            )
            for line in told.lines
        ),
    )


def _deliveries_table(deliveries: Sequence[Delivery], names: Mapping[str, str]) -> Markup:
    return table(
        ("When (UTC)", "Profile", "Journey", "Step", "Channel", "Status"),
        (
            (
                _time(one.sent_at or one.claimed_at),
                _person_link(one.profile_id, one.journey, names),
                one.journey,
                one.step_id,
                one.channel if one.via == one.channel else f"{one.channel} via {one.via}",
                _tag(one.status),
            )
            for one in reversed(deliveries)
        ),
        empty="No message yet.",
    )


def _decisions_table(decisions: Sequence[Decision], names: Mapping[str, str]) -> Markup:
    return table(
        ("When (UTC)", "Profile", "Journey", "Step", "Channel", "Decision"),
        (
            (
                _time(one.decided_at),
                _person_link(one.profile_id, one.journey, names),
                one.journey,
                one.step_id,
                one.channel,
                html(
                    "{tag} {words}",
                    tag=_tag(one.outcome),
                    words=None if one.outcome == "sent" else OUTCOMES[one.outcome],
                ),
            )
            for one in reversed(decisions)
        ),
        empty="No decision yet.",
    )


def _tag(code: str) -> Markup:
    tone = "good" if code in _GOOD else "bad" if code in _BAD else "wait" if code in _WAITING else ""
    return html('<span class="tag {tone}">{words}</span>', tone=tone, words=code.replace("_", " "))


def _time(instant: datetime | None) -> Markup | None:
    if instant is None:
        return None
    return html(
        '<time datetime="{iso}">{words}</time>',
        iso=people.iso(instant),
        words=instant.strftime("%Y-%m-%d %H:%M:%S"),
    )


def _link(to: str, words: str) -> Markup:
    return html('<a href="{to}">{words}</a>', to=to, words=words)


def _person_link(profile_id: str, journey: str, names: Mapping[str, str]) -> Markup:
    return _link(f"/people?name={quote(profile_id)}&journey={quote(journey)}", names[profile_id])


def _names(unit: Unit, *records: Sequence[Delivery | Decision | Enrollment]) -> dict[str, str]:
    """What to call each person: the shop's id, which those who run it know, else ours."""
    names = {}
    for profile_id in {record.profile_id for group in records for record in group}:
        profile = unit.profiles.find(profile_id)
        names[profile_id] = (profile.external_id if profile else None) or profile_id
    return names
