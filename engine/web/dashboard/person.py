"""Why one person got what they got."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response

from engine.errors import NotFound
from engine.insight import people, why
from engine.web.dashboard.frame import Frame
from engine.web.dashboard.parts import tag, time
from engine.web.pages import Markup, html, join

if TYPE_CHECKING:
    from engine.assembly import Engine


class Person:
    """A person's story, found by any name of theirs."""

    def __init__(self, engine: Engine, frame: Frame) -> None:
        self._engine = engine
        self._frame = frame

    def show(self, request: Request) -> Response:
        """The page."""
        name, journey = request.query_params.get("name", "").strip(), request.query_params.get("journey") or None
        if not name:
            return self._frame.page(request, "Why", _search(""))
        try:
            with self._engine.store.transaction() as unit:
                told = why.story(unit, people.find(unit, self._engine.project_key, name), journey)
        except NotFound as error:
            body = html('{search}<p class="empty">{error}.</p>', search=_search(name), error=error)
            return self._frame.page(request, "Why", body, status=404)
        profile = told.profile
        return self._frame.page(
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
                at=time(line.at),
                journey=line.journey,
                key=f" ({line.key})" if line.key else "",
                step=f" · {line.step_id}" if line.step_id else "",
                tag=None if line.kind == "trail" else tag(line.code),
                words=line.words,
                inputs=html('<span class="inputs">{i}</span>', i=why.inputs_text(line.detail))
                if line.kind == "decision"
                else None,
            )
            for line in told.lines
        ),
    )
