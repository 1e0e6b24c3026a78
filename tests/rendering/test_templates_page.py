"""docs/templates.md says what is true: its templates pass the check, and nothing that authors may use is left out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from engine.project import Project
from engine.rendering import attachments, front_matter
from engine.rendering.filters import FILTERS
from engine.rendering.inspect import inspect_template
from engine.rendering.renderer import Renderer
from engine.rendering.sandbox import MAX_OUTPUT, MAX_SECONDS, MAX_STEPS
from tests.rendering.conftest import CHANNELS, WriteTemplates

PAGE = (Path(__file__).parents[2] / "docs" / "templates.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"^`templates/([^`\n]+)`\n\n```\w+\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))


def test_every_filter_is_told() -> None:
    table = PAGE.partition("| filters | |")[2].partition("\n\n")[0]
    told = {name for row in table.splitlines() for name in re.findall(r"`(\w+)`", row.split(" | ")[0])}
    assert told == set(FILTERS)


@pytest.mark.parametrize("key", front_matter.KEYS)
def test_every_key_of_front_matter_is_told(key: str) -> None:
    assert f"`{key}`" in PAGE.partition("**Front matter**")[2].partition("\n- **")[0]


def test_the_limits_are_told() -> None:
    assert f"{MAX_SECONDS:g} seconds, {MAX_STEPS:,} loop passes and {MAX_OUTPUT // 1024} KB" in PAGE
    kinds = PAGE.partition("of the kinds ")[2].partition(".")[0].split()
    assert {f".{kind}" for kind in kinds} == set(attachments.MEDIA_TYPES) - {".jpeg"}
    assert f"together {attachments.MOST_BYTES // 1024**2} MB" in PAGE


@pytest.mark.parametrize("template", ["cart/reminder", "offer"])
def test_what_the_page_shows_is_a_template_without_a_problem_and_renders(
    write_templates: WriteTemplates, template: str
) -> None:
    root = write_templates(FILES)
    facts = inspect_template(root, "email", template)
    assert (facts.problems, facts.missing, facts.without_unsubscribe, facts.without_subject) == ((), (), (), ())
    project = Project(name="shop", root=root, timezone="Europe/Madrid", locale="en", database="")
    scope = {"trigger": {"total": 7, "cart_id": "c 1"}, "links": {"unsubscribe": "https://s.example/u/1"}}
    found = Renderer(project).render(CHANNELS["email"], template, "en", scope)
    assert "Unsubscribe (https://s.example/u/1)" in found.text
