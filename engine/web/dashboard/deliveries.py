"""The newest deliveries and decisions of all journeys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response

from engine.insight.words import STATUSES
from engine.web.dashboard.frame import Frame
from engine.web.dashboard.parts import SHOWN, decisions_table, deliveries_table, link, names_of
from engine.web.pages import html, join

if TYPE_CHECKING:
    from engine.assembly import Engine


class Deliveries:
    """What was sent, and what was not."""

    def __init__(self, engine: Engine, frame: Frame) -> None:
        self._engine = engine
        self._frame = frame

    def show(self, request: Request) -> Response:
        """The page."""
        status = request.query_params.get("status")
        with self._engine.store.transaction() as unit:
            deliveries = unit.deliveries.of(status=status, limit=SHOWN)
            decisions = unit.deliveries.decisions(limit=SHOWN)
            names = names_of(unit, deliveries, decisions)
        filters = join((link(f"/deliveries?status={name}", name.replace("_", " ")) for name in STATUSES), between=" · ")
        return self._frame.page(
            request,
            "Deliveries",
            html(
                '<p class="soft">{all} · {filters}</p>{deliveries}<h2>Decisions</h2>{decisions}',
                all=link("/deliveries", "all"),
                filters=filters,
                deliveries=deliveries_table(deliveries, names),
                decisions=decisions_table(decisions, names),
            ),
        )
