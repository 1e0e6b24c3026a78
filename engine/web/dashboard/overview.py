"""The first page: journeys, and the newest of everything."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from engine.insight import activity
from engine.store import Unit
from engine.web.dashboard.frame import Frame
from engine.web.dashboard.inbox import LocalInbox
from engine.web.dashboard.parts import decisions_table, deliveries_table, link, names_of, tag
from engine.web.pages import Markup, html, join, table

if TYPE_CHECKING:
    from engine.assembly import Engine


class Overview:
    """How things stand."""

    def __init__(self, engine: Engine, frame: Frame, inbox: LocalInbox | None) -> None:
        self._engine = engine
        self._frame = frame
        self._inbox = inbox

    def show(self, request: Request) -> Response:
        """The page."""
        with self._engine.store.transaction() as unit:
            standings = activity.journeys(unit)
            deliveries = unit.deliveries.of(limit=10)
            decisions = unit.deliveries.decisions(limit=10)
            waiting = unit.queue.count_occurrences()
            names = names_of(unit, deliveries, decisions)
            troubles = _troubles(unit)
        titles = {plan.journey: plan.title for plan in self._engine.plans.current.values()}
        cards = [
            ("people in journeys", sum(standing.active for standing in standings)),
            ("converted", sum(standing.converted for standing in standings)),
            ("waiting to be routed", waiting),
        ]
        if self._inbox is not None:
            cards.append(("messages in the inbox", self._inbox.count()))
        return self._frame.page(
            request,
            self._engine.project.name,
            html(
                '{troubles}<div class="cards">{cards}</div><h2>Journeys</h2>{journeys}'
                "<h2>Newest deliveries</h2>{deliveries}<h2>Newest decisions</h2>{decisions}",
                troubles=join(html('<p class="alert" role="alert">{words}</p>', words=words) for words in troubles),
                cards=join(html('<div class="card"><b>{n}</b>{words}</div>', n=n, words=words) for words, n in cards),
                journeys=table(
                    ("Journey", "State", "Inside", "Ended", "Converted", "Version"),
                    (
                        (
                            link(
                                f"/journeys/{quote(s.record.journey)}", titles.get(s.record.journey, s.record.journey)
                            ),
                            tag(s.record.state),
                            s.active,
                            s.ended,
                            s.converted,
                            html("<code>{v}</code>", v=s.record.digest[:12]),
                        )
                        for s in standings
                    ),
                    empty="No journey is deployed yet.",
                ),
                deliveries=deliveries_table(deliveries, names),
                decisions=decisions_table(decisions, names),
            ),
        )


def _troubles(unit: Unit) -> list[Markup]:
    """What somebody is to look at, a sentence each."""
    found = []
    for circuit in unit.circuits.all():
        if circuit.state == "open":
            why = "refuses our account or settings" if circuit.reason == "account" else "is out"
            words = "The provider of the channel {channel} {why}: see `sojourn channels`."
            found.append(html(words, channel=circuit.channel, why=why))
    if set_aside := unit.queue.count_set_aside():
        where = link("/routing", "Routing")
        found.append(html("Set aside, without effect meanwhile: {n}. See {where}.", n=set_aside, where=where))
    if doubtful := unit.deliveries.count("in_doubt"):
        where = link("/deliveries?status=in_doubt", "Deliveries")
        found.append(
            html(
                "In doubt: {n}. Nobody knows whether the provider has them; resolve them under {where}.",
                n=doubtful,
                where=where,
            )
        )
    return found
