"""The demo shop's templates, as mail programs and people will meet them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from engine.project import Project
from engine.rendering.inspect import inspect_template
from engine.rendering.renderer import Rendered, Renderer
from tests.rendering.conftest import CHANNELS

ROOT = Path(__file__).parents[2]
PROJECT = Project(name="demo-shop", root=ROOT, timezone="Europe/Madrid", locale="en", database="")
SCOPE = {
    "profile": {},
    "trigger": {"cart_id": "c 1/<2>", "total": 1234.5, "currency": "EUR", "items": [{"name": "A & B"}, {}]},
    "links": {"unsubscribe": "https://s.example/u/1", "preferences": "https://s.example/p/1"},
    "code": "COMEBACK10",
    "percent": 10,
    "visits": 3,
}
EMAILS = [
    (file.relative_to(ROOT / "templates/email").as_posix().split(".")[0], locale)
    for file in sorted((ROOT / "templates/email").rglob("*.html"))
    for locale in file.name.split(".")[1:-1] or ["en"]
]


def rendered(template: str, locale: str, channel: str = "email") -> Rendered:
    return Renderer(PROJECT).render(CHANNELS[channel], template, locale, SCOPE)


def test_there_are_emails_to_look_at() -> None:
    assert ("cart/reminder", "en") in EMAILS
    assert ("cart/reminder", "es") in EMAILS


@pytest.mark.parametrize(("template", "locale"), EMAILS)
def test_an_email_renders_for_somebody_of_whom_nothing_is_known(template: str, locale: str) -> None:
    found = rendered(template, locale)
    assert found.html is not None
    assert f'<html lang="{locale}"' in found.html
    assert found.subject
    assert found.preheader
    assert found.preheader not in found.text
    # Some readers cut a page off here, and the unsubscribe link with it.
    assert len(found.html.encode()) < 102_000


@pytest.mark.parametrize(("template", "locale"), EMAILS)
def test_both_parts_say_who_writes_and_how_to_end_it(template: str, locale: str) -> None:
    found = rendered(template, locale)
    for part in (found.html or "", found.text):
        assert "https://s.example/u/1" in part
        assert "https://s.example/p/1" in part
        assert "Meridian Coffee, Calle del Ejemplo 12, 28004 Madrid" in part


@pytest.mark.parametrize(("template", "locale"), EMAILS)
def test_styles_are_on_the_elements_and_small_screens_have_rules(template: str, locale: str) -> None:
    html = rendered(template, locale).html or ""
    assert re.search(r'<a class="button"[^>]* style="[^"]*background: ?#1f4d3a', html)
    assert "@media (max-width: 480px)" in html
    assert "http://" not in html


@pytest.mark.parametrize(("template", "locale"), [each for each in EMAILS if each[0].startswith("cart/")])
def test_a_carts_items_and_number_are_data_in_every_part(template: str, locale: str) -> None:
    found = rendered(template, locale)
    assert "A &amp; B" in (found.html or "")
    assert "A & B" in found.text
    assert "/cart/c%201/%3C2%3E" in found.text


@pytest.mark.parametrize("locale", ["en", "es"])
def test_the_sms_fits_into_three_segments_and_says_how_to_stop(locale: str) -> None:
    text = rendered("cart/last_call", locale, "sms").text
    assert "STOP" in text
    assert len(text) <= 3 * 67


def test_no_template_of_the_shop_has_a_problem() -> None:
    stems = {
        (path.parts[0], Path(*path.parts[1:]).as_posix().split(".")[0])
        for path in (file.relative_to(ROOT / "templates") for file in (ROOT / "templates").rglob("*.*"))
        if path.parts[0] != "shared"
    }
    assert len(stems) >= 7
    for folder, template in sorted(stems):
        facts = inspect_template(ROOT, folder, template)
        assert (facts.files != (), facts.problems, facts.missing, facts.without_subject) == (True, (), (), ())
