"""One journey: who is inside, and what it decided."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response

from engine.web.dashboard.frame import Frame
from engine.web.dashboard.parts import SHOWN, decisions_table, names_of, person_link, tag, time
from engine.web.pages import html, table

if TYPE_CHECKING:
    from engine.assembly import Engine


class Journey:
    """The newest of one journey."""

    def __init__(self, engine: Engine, frame: Frame) -> None:
        self._engine = engine
        self._frame = frame

    def show(self, request: Request) -> Response:
        """The page."""
        journey = request.path_params["journey"]
        with self._engine.store.transaction() as unit:
            record = unit.journeys.find(journey)
            enrollments = unit.enrollments.of(journey=journey, limit=SHOWN)
            decisions = unit.deliveries.decisions(journey=journey, limit=SHOWN)
            counts = unit.enrollments.counts(journey)
            names = names_of(unit, enrollments, decisions)
        if record is None:
            return self._frame.page(request, "Not found", html("<p>No such journey is deployed.</p>"), status=404)
        plan = self._engine.plans.current.get(journey)
        return self._frame.page(
            request,
            plan.title if plan else journey,
            html(
                "<p>{state}{note} {inside} inside, {ended} ended, {converted} converted; people enter on version "
                "<code>{version}</code> of <code>{name}</code></p><h2>Newest enrollments</h2>{enrollments}"
                "<h2>Newest decisions</h2>{decisions}",
                state=tag(record.state),
                note=f" {record.note};" if record.note else None,
                inside=counts.get("active", 0),
                ended=counts.get("ended", 0),
                converted=counts.get("converted", 0),
                name=journey,
                version=record.digest,
                enrollments=table(
                    ("Entered (UTC)", "Profile", "Key", "State", "Stands at", "Until"),
                    (
                        (
                            time(one.entered_at),
                            person_link(one.profile_id, one.journey, names),
                            one.key,
                            tag(one.reason or one.state),
                            one.step_id,
                            time(one.wake_at),
                        )
                        for one in enrollments
                    ),
                    empty="Nobody has entered yet.",
                ),
                decisions=decisions_table(decisions, names),
            ),
        )
