"""What could not be routed: what it was, why, what comes next, and a button that puts it back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from engine.events.model import Occurrence, OccurrenceKind
from engine.insight import people
from engine.store import Unit
from engine.web.dashboard.frame import Frame
from engine.web.dashboard.parts import link, time
from engine.web.pages import Markup, html, table

if TYPE_CHECKING:
    from engine.assembly import Engine

#: What an occurrence is; an event is called by its name.
_KINDS: Mapping[OccurrenceKind, str] = {
    "event": "an event",
    "changed": "attributes changed",
    "consented": "consent changed",
    "ended": "an enrollment ended",
    "erased": "the person was erased",
}


class Routing:
    """Events and changes whose effect is missing."""

    def __init__(self, engine: Engine, frame: Frame) -> None:
        self._engine = engine
        self._frame = frame

    def show(self, request: Request) -> Response:
        """The page."""
        with self._engine.store.transaction() as unit:
            waiting, set_aside = unit.queue.count_occurrences(), unit.queue.count_set_aside()
            failed = unit.queue.setbacks()
            names = people.names(unit, (each.profile_id for each in failed))
            whats = [_what(unit, each) for each in failed]
        return self._frame.page(
            request,
            "Routing",
            html(
                "<p>{waiting} waiting, {set_aside} set aside. What was tried too often is set aside and has no "
                "effect. Mend the cause (the place is in the worker’s log), then put it back.</p>{everything}{failed}",
                waiting=waiting,
                set_aside=set_aside,
                everything=self._button(request, "all", "Put all back") if set_aside else None,
                failed=self._table(request, failed, names, whats),
            ),
        )

    def retry(self, request: Request, fields: Mapping[str, str], who: str) -> Response:
        """Puts back what a form names. A repeat changes nothing."""
        del request, who
        number = fields.get("number", "")
        with self._engine.store.transaction() as unit:
            if number == "all":
                unit.queue.retry_set_aside()
            elif number.isdecimal() and len(number) < 19:
                unit.queue.retry_set_aside([int(number)])
        return RedirectResponse("/routing", status_code=303)

    def _table(
        self, request: Request, failed: Sequence[Occurrence], names: Mapping[str, str], whats: Sequence[str]
    ) -> Markup:
        return table(
            ("When (UTC)", "Profile", "What", "Attempts", "Error", "Next"),
            (
                (
                    time(each.at),
                    link(f"/people?name={quote(each.profile_id)}", names[each.profile_id]),
                    what,
                    each.attempts,
                    html("<code>{fault}</code>", fault=each.fault),
                    html("tried again {at}", at=time(each.retry_at))
                    if each.set_aside_at is None
                    else self._button(request, str(each.seq), "Put back"),
                )
                for each, what in zip(failed, whats, strict=True)
            ),
            empty="Nothing has failed.",
        )

    def _button(self, request: Request, number: str, words: str) -> Markup:
        return html(
            '<form class="line" method="post" action="/routing/retry">{token}'
            '<button class="plain" name="number" value="{number}">{words}</button></form>',
            token=self._frame.form_token(request),
            number=number,
            words=words,
        )


def _what(unit: Unit, occurrence: Occurrence) -> str:
    event = unit.events.find(occurrence.ref) if occurrence.kind == "event" else None
    return event.name if event else _KINDS[occurrence.kind]
