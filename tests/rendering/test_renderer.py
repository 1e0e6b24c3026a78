"""Messages from templates: which file, which language, which parts."""

from __future__ import annotations

import os
from dataclasses import FrozenInstanceError, replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from engine.errors import RenderError
from engine.project import Project
from engine.rendering.renderer import Renderer
from tests.rendering.conftest import CHANNELS, Render, WriteTemplates


def email(body: str, *, subject: str = "Hello", **more: str) -> str:
    head = "".join(f"{key}: {value}\n" for key, value in {"subject": subject, **more}.items())
    return f"---\n{head}---\n{body}"


def test_a_text_message_is_its_template_with_the_values_in_place(render: Render) -> None:
    files = {"sms/note.txt": "Hello {{ profile.name }}, {{ code }}.\n"}
    found = render(files, profile={"name": "Ana & Bo"}, code=7)
    assert (found.text, found.html, found.subject, found.source) == ("Hello Ana & Bo, 7.", None, None, "sms/note.txt")


def test_an_email_has_its_front_matter_its_page_and_a_text_twin(render: Render) -> None:
    page = email("<p>Hi {{ profile.name }}</p>", subject='"For {{ profile.name }}"', preheader="Only {{ n }} left")
    files = {"email/note.html": page.replace("---\n<p>", "from: Shop <hello@shop.example>\n---\n<p>")}
    found = render(files, channel="email", profile={"name": "Ana & Bo"}, n=3)
    assert found.subject == "For Ana & Bo"
    assert found.preheader == "Only 3 left"
    assert found.from_ == "Shop <hello@shop.example>"
    assert found.text == "Hi Ana & Bo"
    assert found.html is not None
    assert "<p>Hi Ana &amp; Bo</p>" in found.html


def test_a_fragment_becomes_a_document_with_language_viewport_and_title(render: Render) -> None:
    files = {"email/note.es.html": email("<p>Hola</p>", subject="A < B")}
    html = render(files, channel="email", locale="es-MX").html
    assert html is not None
    assert '<html lang="es">' in html
    assert 'name="viewport"' in html
    assert "<title>A &lt; B</title>" in html


def test_the_projects_layout_takes_the_place_of_the_built_in_one(render: Render) -> None:
    layout = '<html lang="{{ locale }}"><body><h1>{{ subject }}</h1>{{ content }}<p>{{ shop }}</p></body></html>'
    files = {"email/note.html": email("<p>{{ shop }}</p>"), "shared/layout.html": layout}
    html = render(files, channel="email", shop="A & B").html
    expected = '<html lang="en"><body><h1>Hello</h1><p>A &amp; B</p><p>A &amp; B</p></body></html>'
    assert html == expected


def test_a_layout_of_blocks_is_for_those_that_extend_it(render: Render) -> None:
    layout = "<html><body>{% block content %}{% endblock %}</body></html>"
    rendered = render({"email/note.html": email("<p>mine</p>"), "shared/layout.html": layout}, channel="email")
    assert "<p>mine</p>" in str(rendered.html)


def test_a_template_that_is_a_document_is_not_set_into_a_layout(render: Render) -> None:
    base = "<html><body>{% block content %}{% endblock %}</body></html>"
    page = email('{% extends "layout.html" %}{% block content %}<p>x</p>{% endblock %}')
    files = {"email/note.html": page, "shared/layout.html": base}
    assert render(files, channel="email").html == "<html><body><p>x</p></body></html>"


def test_the_preheader_comes_first_in_the_body_and_is_hidden_and_escaped(render: Render) -> None:
    html = render({"email/note.html": email("<p>x</p>", preheader="a < b")}, channel="email").html
    assert html is not None
    _, body = html.split("<body", 1)
    first = body.split(">", 1)[1].strip()
    assert first.startswith('<div style="display:none;')
    assert ">a &lt; b</div>" in first


def test_the_preheader_is_no_part_of_the_text_twin(render: Render) -> None:
    assert render({"email/note.html": email("<p>x</p>", preheader="secret")}, channel="email").text == "x"


def test_rules_of_a_style_element_are_set_on_the_elements_and_media_rules_stay(render: Render) -> None:
    page = (
        "<html><head><style>p { color: red } @media (max-width: 480px) { p { color: blue } }</style></head>"
        "<body>{% for name in names %}<p>{{ name }}</p>{% endfor %}</body></html>"
    )
    html = render({"email/note.html": email(page)}, channel="email", names=["a", "b"]).html
    assert html is not None
    assert html.count('style="color: red') == 2
    assert "@media (max-width: 480px)" in html


def test_a_text_twin_of_ones_own_is_not_escaped_and_replaces_the_derived_one(render: Render) -> None:
    files = {"email/note.html": email("<p>page</p>"), "email/note.txt": "words for {{ name }}\n"}
    assert render(files, channel="email", name="A & B").text == "words for A & B"


def test_a_twin_in_another_language_is_not_used(render: Render) -> None:
    files = {
        "email/note.html": email("<p>page</p>"),
        "email/note.txt": "words",
        "email/note.es.html": email("<p>hoja</p>"),
    }
    assert render(files, channel="email", locale="es").text == "hoja"


@pytest.mark.parametrize(
    ("locale", "expected"),
    [
        ("es-MX", "es-MX"),
        ("es_MX", "es-MX"),
        ("es-AR", "es"),
        ("ES", "es"),
        # Tags are the same in whatever case they are written, and devices write them in any.
        ("es-mx", "es-MX"),
        ("ES_mx", "es-MX"),
        ("ES-AR", "es"),
        ("de", "fr"),
        ("", "fr"),
        ("../../etc", "fr"),
    ],
)
def test_the_language_widens_then_falls_back_to_the_projects(render: Render, locale: str, expected: str) -> None:
    files = {f"sms/note.{each}.txt": each for each in ("es-MX", "es", "fr")} | {"sms/note.txt": "none"}
    assert render(files, locale=locale, project_locale="fr").text == expected


def test_a_file_may_be_named_in_any_case_too(render: Render) -> None:
    files = {"sms/note.pt-br.txt": "brasil", "sms/note.zh-Hant.txt": "hant", "sms/note.txt": "none"}
    assert render(files, locale="pt-BR").text == "brasil"
    assert render(files, locale="zh-hant-TW").text == "hant"
    both = {"sms/note.pt-br.txt": "brasil", "sms/end.pt-BR.txt": "", "sms/note.txt": "none"}
    assert render(both, locale="pt-BR").text == "brasil"


def test_a_template_without_a_locale_serves_all(render: Render) -> None:
    assert render({"sms/note.txt": "none"}, locale="es-MX", project_locale="fr").text == "none"


def test_an_include_comes_in_the_readers_language_too(render: Render) -> None:
    files = {"sms/note.txt": '{% include "end.txt" %}', "shared/end.txt": "bye", "shared/end.es.txt": "adiós"}
    assert render(files, locale="es-MX").text == "adiós"
    assert render(files, locale="de").text == "bye"


def test_includes_are_looked_up_in_shared_first_then_under_templates(render: Render) -> None:
    files = {
        "sms/note.txt": '{% include "end.txt" %} {% include "sms/other.txt" %}',
        "end.txt": "outer",
        "shared/end.txt": "shared",
        "sms/other.txt": "---\nfrom: me\n---\nother",
    }
    assert render(files).text == "shared other"


@pytest.mark.parametrize("name", ["../secret.txt", "/etc/passwd", "shared/../../secret.txt", "a\\b.txt", "x\x00.txt"])
def test_an_include_cannot_leave_the_templates(render: Render, tmp_path: Path, name: str) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    with pytest.raises(RenderError, match="does not exist"):
        render({"sms/note.txt": "{% include name %}"}, name=name)


@pytest.mark.parametrize("name", ["../note", "/note", "", "no te", "note.txt", "nöte", "note\n", "a//b", "{x}"])
def test_a_templates_name_is_plain(write_templates: WriteTemplates, name: str) -> None:
    root = write_templates({"sms/note.txt": "x", "note.txt": "outside"})
    project = Project(name="shop", root=root, timezone="UTC", locale="en", database="")
    with pytest.raises(RenderError, match="no such template"):
        Renderer(project).render(CHANNELS["sms"], name, "en", {})


def test_a_link_that_points_out_of_the_templates_is_not_followed(render: Render, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "templates/sms").mkdir(parents=True)
    os.symlink(tmp_path / "secret.txt", tmp_path / "templates/sms/note.txt")
    with pytest.raises(RenderError, match="no such template"):
        render({})


def test_a_channel_may_use_another_ones_folder(write_templates: WriteTemplates) -> None:
    root = write_templates({"sms/note.txt": "shared by both"})
    project = Project(name="shop", root=root, timezone="UTC", locale="en", database="")
    backup = replace(CHANNELS["sms"], name="sms_backup", templates="sms")
    assert Renderer(project).render(backup, "note", "en", {}).text == "shared by both"


def test_chat_blocks_are_rendered_and_keep_their_shape_and_numbers(render: Render) -> None:
    text = (
        "---\nblocks:\n  - type: section\n    text: {type: mrkdwn, text: 'Hi {{ name }}'}\n    count: 3\n"
        "    open: true\n---\nHi {{ name }}\n"
    )
    found = render({"chat/note.txt": text}, channel="chat", name="<!channel> & co")
    assert found.text == "Hi <!channel> & co"
    expected = {"type": "mrkdwn", "text": "Hi &lt;!channel&gt; &amp; co"}
    assert found.blocks == ({"type": "section", "text": expected, "count": 3, "open": True},)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("{{ name | urlencode }}", "R%26D%20%3Cx%3E%20%22it%27s%22"),
        ("{{ name | upper }}", 'R&amp;D &lt;X&gt; "IT\'S"'),
        ("{{ name | replace('&', ' and ') }}", 'R and D &lt;x&gt; "it\'s"'),
        ("{{ name | truncate(3) }}", "R&amp;…"),
        ("{{ name | length }}", "14"),
        ("{% if 'R&D' in name %}<@U1>{% endif %}", "<@U1>"),
        ("{% macro bold(x) %}*{{ x }}*{% endmacro %}{{ bold(name) }}", '*R&amp;D &lt;x&gt; "it\'s"*'),
        ("{% set both = name ~ '<' %}{{ both }}", 'R&amp;D &lt;x&gt; "it\'s"&lt;'),
        ("{% include 'who.txt' %}", '<b> R&amp;D &lt;x&gt; "it\'s"'),
        ("{{ name | e }}", 'R&amp;D &lt;x&gt; "it\'s"'),
    ],
)
def test_in_chat_blocks_values_are_escaped_once_and_after_the_filters(render: Render, written: str, said: str) -> None:
    files = {"chat/note.txt": f'---\nblocks: [{{text: "{written}"}}]\n---\nHi\n', "shared/who.txt": "<b> {{ name }}"}
    assert render(files, channel="chat", name='R&D <x> "it\'s"').blocks == ({"text": said},)


def test_what_a_person_writes_like_an_escape_stays_as_written_in_chat_blocks(render: Render) -> None:
    text = '---\nblocks: [{text: "{{ name }}"}]\n---\nHi\n'
    assert render({"chat/note.txt": text}, channel="chat", name="&#39;&lt;").blocks == ({"text": "&amp;#39;&amp;lt;"},)


def test_dates_become_text_and_values_that_are_none_are_missing(render: Render) -> None:
    scope = {"on": date(2026, 3, 2), "at": datetime(2026, 3, 2, 9, tzinfo=UTC), "profile": {"name": None}}
    text = '{{ on }} {{ at }} {{ profile.name | default("there") }}'
    assert render({"sms/note.txt": text}, **scope).text == "2026-03-02 2026-03-02T09:00:00+00:00 there"


def test_a_property_may_be_called_like_a_method_of_a_mapping(render: Render) -> None:
    text = "{% for item in trigger.items %}{{ item.name }};{% endfor %}{{ trigger.keys | default('none') }}"
    assert render({"sms/note.txt": text}, trigger={"items": [{"name": "a"}, {"name": "b"}]}).text == "a;b;none"


def test_the_digest_changes_with_the_template_its_includes_and_its_twin_only(write_templates: WriteTemplates) -> None:
    files = {
        "email/note.html": email('{% include "a.html" %}'),
        "email/note.txt": "twin",
        "shared/a.html": '{% include "b.html" %}',
        "shared/b.html": "b",
        "shared/unused.html": "unused",
    }

    def digest(**changed: str) -> str:
        names = {"page": "email/note.html", "twin": "email/note.txt", "inner": "shared/b.html"}
        root = write_templates(files | {names.get(key, "shared/unused.html"): text for key, text in changed.items()})
        project = Project(name="shop", root=root, timezone="UTC", locale="en", database="")
        return Renderer(project).digest(CHANNELS["email"], "note", "en")

    plain = digest()
    assert digest(unused="changed") == plain
    changed = {digest(page=email("other")), digest(twin="other"), digest(inner="other")}
    assert len(changed | {plain}) == 4


def test_what_was_rendered_cannot_be_changed_and_shows_nothing_of_a_person(render: Render) -> None:
    found = render({"sms/note.txt": "Hello {{ name }}"}, name="Ana")
    assert "Ana" not in repr(found)
    with pytest.raises(FrozenInstanceError):
        found.text = "other"  # type: ignore[misc]


def test_money_is_written_as_the_texts_language_writes_it(render: Render) -> None:
    amounts = {
        "chat/note.txt": "{{ 1234.5 | money }} {{ 3 | money('CHF') }}",
        "chat/note.es.txt": "{{ 1234.5 | money }}",
    }
    assert render(amounts, channel="chat").text == "€1,234.50 CHF\u00a03.00"
    assert render(amounts, channel="chat", locale="es").text == "1.234,50\u00a0€"


def test_in_a_text_message_a_space_is_a_plain_one_so_that_it_stays_at_seven_bits(render: Render) -> None:
    assert render({"sms/note.es.txt": "{{ 1234.5 | money }}"}, locale="es").text == "1.234,50 €"


def test_dates_are_written_in_the_form_asked_for(render: Render) -> None:
    text = "{{ '2026-03-02T09:30:00Z' | date }} {{ '2026-03-02' | date('%d.%m. %H:%M') }}"
    assert render({"sms/note.txt": text}).text == "02/03/2026 02.03. 00:00"


def test_filters_of_ours_do_what_jinjas_do(render: Render) -> None:
    text = (
        "{{ ['a', 'b'] | join('-') }} {{ rows | join('+', 'n') }} {{ rows | sum('n') }} {{ 'aba' | replace('a', 'c') }}"
        " {{ 2.456 | round(1) }} {{ 'one two three' | truncate(9) }} {{ [1, 2, 3] | batch(2) | map('length') | list |"
        " join }}"
    )
    assert render({"sms/note.txt": text}, rows=[{"n": 1}, {"n": 2}]).text == "a-b 1+2 3 cbc 2.5 one two… 21"


def test_block_tags_leave_no_lines_behind(render: Render) -> None:
    text = "a\n{% if yes %}\nb\n{% endif %}\nc\n"
    assert render({"sms/note.txt": text}, yes=True).text == "a\nb\nc"
