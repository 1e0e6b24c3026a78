"""The newest deliveries and decisions of all journeys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, get_args

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from engine.delivery.model import Delivery
from engine.enrollment.resolving import Resolution
from engine.errors import BadInput, Conflict, NotFound
from engine.insight.words import STATUSES
from engine.web.dashboard.frame import Frame
from engine.web.dashboard.parts import SHOWN, decisions_table, deliveries_table, link, names_of, person_link, time
from engine.web.pages import Markup, html, join, table

if TYPE_CHECKING:
    from engine.assembly import Engine


class Deliveries:
    """What was sent, and what was not."""

    def __init__(self, engine: Engine, frame: Frame) -> None:
        self._engine = engine
        self._frame = frame

    def show(self, request: Request) -> Response:
        """The page."""
        return self._page(request, request.query_params.get("status"))

    def resolve(self, request: Request, fields: Mapping[str, str], who: str) -> Response:
        """Resolves one that is in doubt, as a form says."""
        resolution = next((each for each in get_args(Resolution) if each == fields.get("as")), None)
        try:
            if resolution is None:
                raise BadInput("say what became of it: sent, resend or failed")
            self._engine.resolver.resolve(
                fields.get("delivery", ""), resolution, self._engine.clock(), actor=who, note=fields.get("note")
            )
        except (BadInput, Conflict, NotFound) as problem:
            return self._page(request, "in_doubt", str(problem))
        return RedirectResponse("/deliveries?status=in_doubt", status_code=303)

    def _page(self, request: Request, status: str | None, problem: str | None = None) -> Response:
        with self._engine.store.transaction() as unit:
            deliveries = unit.deliveries.of(status=status, limit=SHOWN)
            decisions = unit.deliveries.decisions(limit=SHOWN)
            doubtful = unit.deliveries.of(status="in_doubt", limit=SHOWN)
            names = names_of(unit, deliveries, decisions, doubtful)
        filters = join((link(f"/deliveries?status={name}", name.replace("_", " ")) for name in STATUSES), between=" · ")
        return self._frame.page(
            request,
            "Deliveries",
            html(
                '<p class="soft">{all} · {filters}</p>{problem}{doubtful}{deliveries}<h2>Decisions</h2>{decisions}',
                problem=html('<p role="alert">{problem}</p>', problem=problem) if problem else None,
                doubtful=self._doubtful(request, doubtful, names) if doubtful else None,
                all=link("/deliveries", "all"),
                filters=filters,
                deliveries=deliveries_table(deliveries, names),
                decisions=decisions_table(decisions, names),
            ),
            status=409 if problem else 200,
        )

    def _doubtful(self, request: Request, deliveries: Sequence[Delivery], names: Mapping[str, str]) -> Markup:
        """Messages of which nobody knows whether the provider has them, with what may be done about each."""
        return html(
            "<h2>In doubt</h2><p>The provider may have taken these; nobody knows. Look there, and say what became of "
            "them. What is resent is decided anew, and may be a second one.</p>{rows}<h2>All</h2>",
            rows=table(
                ("Handed over (UTC)", "Profile", "Journey", "Step", "Channel", "What became of it"),
                (
                    (
                        time(one.claimed_at),
                        person_link(one.profile_id, one.journey, names),
                        one.journey,
                        one.step_id,
                        one.channel if one.via == one.channel else f"{one.channel} via {one.via}",
                        html(
                            '<form class="line" method="post" action="/deliveries/resolve">{token}'
                            '<input type="hidden" name="delivery" value="{delivery}">'
                            '<input type="text" name="note" maxlength="500" aria-label="Why" placeholder="Why?">'
                            '<button name="as" value="sent">It went</button>'
                            '<button class="plain" name="as" value="failed">It did not</button>'
                            '<button class="plain" name="as" value="resend">Resend</button></form>',
                            token=self._frame.form_token(request),
                            delivery=one.delivery_id,
                        ),
                    )
                    for one in reversed(deliveries)
                ),
                empty="",
            ),
        )
