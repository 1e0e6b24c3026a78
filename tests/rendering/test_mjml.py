"""Templates in MJML: whole documents made by Jinja2, turned into a mail's HTML, their mistakes told with a line."""

from __future__ import annotations

import sys
from html.parser import HTMLParser

import pytest

from engine.errors import RenderError
from engine.rendering.inspect import inspect_template
from tests.rendering.conftest import Render, WriteTemplates

HEAD = "---\nsubject: Your cart\npreheader: Still here\n---\n"
CART = (
    HEAD
    + """<mjml>
  <mj-head><mj-font name="Raleway" href="https://fonts.googleapis.com/css?family=Raleway" /></mj-head>
  <mj-body>
    <mj-section><mj-column>
      <mj-text font-family="Raleway">Hello {{ profile.name | default("you") }}</mj-text>
      <mj-table>
        {% for item in trigger.items | default([]) %}
        <tr><td>{{ item.name }}</td><td>{{ item.price | money }}</td></tr>
        {% endfor %}
      </mj-table>
      {% if trigger.total %}<mj-button href="https://x.example/{{ trigger.total }}">Buy</mj-button>{% endif %}
      <mj-text><a href="{{ links.unsubscribe }}">Unsubscribe</a></mj-text>
    </mj-column></mj-section>
  </mj-body>
</mjml>
"""
)
SCOPE = {
    "trigger": {"items": [{"name": "A & B", "price": 3}, {"name": "<b>", "price": 4}], "total": 7},
    "links": {"unsubscribe": "https://s.example/u/1"},
}


def parsed(html: str) -> tuple[set[str], set[str]]:
    """The elements of a page, and the names of their attributes, as a browser finds them."""
    tags, names = set(), set()

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            tags.add(tag)
            names.update(name for name, _ in attrs)

    Reader().feed(html)
    return tags, names


def test_loops_and_conditions_stand_anywhere_between_elements(render: Render) -> None:
    found = render({"email/note.mjml": CART}, channel="email", locale="es-MX", **SCOPE)
    html = found.html or ""
    assert "<mj-" not in html
    assert html.count("€3.00</td>") == 1
    assert 'href="https://x.example/7"' in html
    assert 'lang="en"' in html
    assert "Still here" in html
    assert found.text.startswith("Hello you")
    assert "A & B  €3.00\n<b>  €4.00" in found.text
    assert "Unsubscribe (https://s.example/u/1)" in found.text


def test_what_outlook_needs_survives_the_inlining_of_styles(render: Render) -> None:
    html = render({"email/note.mjml": CART}, channel="email", **SCOPE).html or ""
    assert "<!--[if mso | IE]><table" in html
    assert "@media only screen" in html


def test_nothing_is_fetched_from_elsewhere(render: Render) -> None:
    html = render({"email/note.mjml": CART}, channel="email", **SCOPE).html or ""
    assert "googleapis" not in html
    assert "<link" not in html
    assert "@import" not in html


@pytest.mark.parametrize("name", ['"><script>', "<mj-raw>x</mj-raw>", "&quot; onload=&quot;x", "</mj-text>"])
def test_a_persons_data_stays_data(render: Render, name: str) -> None:
    body = '<mj-text>{{ n }}</mj-text><mj-image src="https://x.example/{{ n }}" alt="{{ n }}" />'
    page = f"{HEAD}<mjml><mj-body><mj-section><mj-column>{body}</mj-column></mj-section></mj-body></mjml>"
    found = render({"email/note.mjml": page}, channel="email", n=name)
    tags, names = parsed(found.html or "")
    assert not tags & {"script", "mj-raw"}
    assert "onload" not in names
    assert name in found.text


def test_a_layout_and_its_parts_may_be_mjml(render: Render) -> None:
    files = {
        "shared/frame.mjml": "<mjml><mj-body>{% block main %}{% endblock %}</mj-body></mjml>",
        "shared/row.mjml": "<mj-section><mj-column><mj-text>{{ word }}</mj-text></mj-column></mj-section>",
        "email/note.mjml": HEAD + '{% extends "frame.mjml" %}{% block main %}{% for word in ["a", "b"] %}'
        '{% include "row.mjml" %}{% endfor %}{% endblock %}',
    }
    assert render(files, channel="email").text == "a\n\nb"


def test_html_comes_before_mjml_of_the_same_locale_and_the_locale_before_both(render: Render) -> None:
    mjml = "<mjml><mj-body><mj-section><mj-column><mj-text>m</mj-text></mj-column></mj-section></mj-body></mjml>"
    files = {"email/note.html": HEAD + "<p>h</p>", "email/note.mjml": HEAD + mjml, "email/note.es.mjml": HEAD + mjml}
    assert render(files, channel="email").source == "email/note.html"
    assert render(files, channel="email", locale="es").source == "email/note.es.mjml"


MISTAKES = [
    ("<mjml><mj-body>\n<mj-section>\n<mj-column>\n</mj-section></mj-body></mjml>", 7, "`<mj-column>` is not closed"),
    ("<mjml><mj-body>\n<mj-sektion></mj-sektion></mj-body></mjml>", 6, "MJML has no element `<mj-sektion>`"),
    ('<mjml><mj-body>\n\n<mj-include path="a"/></mj-body></mjml>', 7, "`<mj-include>` reads no files"),
    ("<mjml><mj-body>\n{% if a %}\n<mj-section>\n{% endif %}</mj-body></mjml>", 7, "`<mj-section>` is not closed"),
]


@pytest.mark.parametrize(("body", "line", "said"), MISTAKES)
def test_a_mistake_is_told_with_its_line_before_anything_is_sent(
    write_templates: WriteTemplates, body: str, line: int, said: str
) -> None:
    root = write_templates({"email/note.mjml": HEAD + body})
    [problem] = inspect_template(root, "email", "note").problems
    assert (problem.file, problem.line) == ("templates/email/note.mjml", line)
    assert problem.message.startswith(said)


def test_the_names_that_a_template_uses_are_found(write_templates: WriteTemplates) -> None:
    facts = inspect_template(write_templates({"email/note.mjml": CART}), "email", "note")
    assert (facts.problems, facts.without_subject, facts.without_unsubscribe) == ((), (), ())
    assert {each.path for each in facts.variables} == {
        "trigger.items[].name", "trigger.items[].price", "links.unsubscribe"
    }  # fmt: skip


def test_what_cannot_be_turned_into_html_is_no_message(render: Render) -> None:
    with pytest.raises(RenderError, match=r"templates/email/note.mjml: `<mj-body>` is not closed"):
        render({"email/note.mjml": HEAD + "<mjml><mj-body></mjml>"}, channel="email")


def test_without_the_library_one_is_told_what_to_install(
    write_templates: WriteTemplates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mrml", None)
    [problem] = inspect_template(write_templates({"email/note.mjml": CART}), "email", "note").problems
    assert 'pip install "sojourn[mjml]"' in problem.message
