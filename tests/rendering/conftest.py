"""A project folder with the templates that a test writes, and its renderer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from engine.project import Channel, Project
from engine.rendering.renderer import Rendered, Renderer
from engine.rendering.tracking import Lead

CHANNELS = {
    "email": Channel(name="email", use="smtp", kind="email"),
    "sms": Channel(name="sms", use="inbox", kind="sms"),
    "chat": Channel(name="chat", use="inbox", kind="chat"),
}

WriteTemplates = Callable[[Mapping[str, str]], Path]
Render = Callable[..., Rendered]


@pytest.fixture
def write_templates(tmp_path: Path) -> WriteTemplates:
    """Writes files under `templates/` and returns the project's root."""

    def write(files: Mapping[str, str]) -> Path:
        for path, text in files.items():
            file = tmp_path / "templates" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        return tmp_path

    return write


@pytest.fixture
def render(write_templates: WriteTemplates) -> Render:
    """Renders the template `note` of a channel from the files given."""

    def call(
        files: Mapping[str, str],
        *,
        channel: str = "sms",
        locale: str = "en",
        project_locale: str = "en",
        lead: Lead | None = None,
        **scope: Any,
    ) -> Rendered:
        project = Project(
            name="shop", root=write_templates(files), timezone="Europe/Madrid", locale=project_locale, database=""
        )
        return Renderer(project).render(CHANNELS[channel], "note", locale, scope, lead)

    return call
