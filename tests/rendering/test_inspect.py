"""What `sojourn check` learns about a template without rendering it."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from engine.rendering.inspect import TemplateFacts, inspect_template
from tests.rendering.conftest import WriteTemplates


def facts(write_templates: WriteTemplates, files: Mapping[str, str], folder: str = "sms") -> TemplateFacts:
    return inspect_template(write_templates(files), folder, "note")


@pytest.mark.parametrize(
    ("text", "needed"),
    [
        ("{{ profile.name }}", ["profile.name"]),
        ("{{ profile['first name'] }}", ["profile.first name"]),
        ("{{ code }}\n{{ code }}", ["code", "code"]),
        ("{{ profile.name | default('x') }}", []),
        ("{{ profile.name | d(other) }}", ["other"]),
        ("{{ profile.name | upper | default('x') }}", ["profile.name"]),
        ("{{ profile.name | default('x') | upper }}", []),
        ("{{ profile.name or 'x' }}", []),
        ("{{ profile.name and 'x' }}", ["profile.name"]),
        ("{{ profile.name or other }}", ["other"]),
        ("{% if profile.name %}{{ profile.name }}{% endif %}", []),
        ("{% if profile.name %}{{ profile.nick }}{% endif %}", ["profile.nick"]),
        ("{% if profile.name is defined %}{{ profile.name }}{% endif %}", []),
        (
            "{% if profile.name is undefined %}{{ profile.name }}{% else %}{{ profile.name }}{% endif %}",
            ["profile.name"],
        ),
        ("{% if not profile.name %}{{ profile.name }}{% else %}{{ profile.name }}{% endif %}", ["profile.name"]),
        ("{% if not profile.name %}a{% elif profile.name > 3 %}b{% endif %}", []),
        ("{% if profile.name and profile.name > 3 %}{{ profile.name }}{% endif %}", []),
        ("{% if profile.name or profile.nick %}{{ profile.name }}{% endif %}", ["profile.name"]),
        ("{% if profile.total > 3 %}x{% endif %}", ["profile.total"]),
        ("{% if profile.address.city %}{{ profile.address }}{% endif %}", []),
        ("{% if profile.address %}{{ profile.address.city }}{% endif %}", ["profile.address.city"]),
        ("{{ profile.name if profile.name else 'x' }}", []),
        ("{{ 'x' if profile.name is none else 'y' }}", []),
        ("{% for item in trigger.items %}{{ item.name }}{% endfor %}", ["trigger.items", "trigger.items[].name"]),
        ("{% for item in trigger.items | default([]) %}{{ item.name | d('x') }}{% endfor %}", []),
        ("{% for item in trigger.items or [] %}{{ item.name }}{% endfor %}", ["trigger.items[].name"]),
        ("{% for item in range(3) %}{{ item }}{{ loop.index }}{% endfor %}", []),
        ("{% for item in trigger.items | d([]) if item.n %}{{ item.n }}{% endfor %}", []),
        ("{% for key, value in profile | items %}{{ key }}{{ value.x }}{% endfor %}", ["profile"]),
        ("{{ trigger.items[0].name }}", ["trigger.items[].name"]),
        ("{% set who = profile.name %}{{ who | default('x') }}", []),
        ("{% set who = profile.name %}{{ who }}", ["profile.name"]),
        ("{% set who = profile.name | default('x') %}{{ who }}", []),
        ("{% set all = trigger.items | d([]) %}{% for x in all %}{{ x.n }}{% endfor %}", ["trigger.items[].n"]),
        ("{% set who = 'x' %}{{ who }}", []),
        ("{% if a %}{% set who = 'x' %}{% endif %}{{ who | d('') }}", []),
        ("{% set who %}x{% endset %}{{ who }}", []),
        ("{% set ns = namespace(n=1) %}{% set ns.n = 2 %}{{ ns.n }}", []),
        ("{% with who = profile.name | d('x') %}{{ who | d('') }}{% endwith %}", []),
        ("{% macro hi(who) %}{{ who }}{{ caller() }}{{ code }}{% endmacro %}{{ hi(1) }}", ["code"]),
        ("{{ profile.name.upper() }}", ["profile.name"]),
        (
            "{{ [profile.a, {'x': profile.b}] | length }}{{ profile.c ~ 1 }}{{ -profile.d }}",
            [f"profile.{x}" for x in "abcd"],
        ),
        ("{% filter upper %}{{ code }}{% endfilter %}", ["code"]),
        ("{{ locale }}", []),
        ("---\nfrom: '{{ sender }}'\n---\nx", ["sender"]),
        ("---\nblocks: [{text: {a: '{{ code }}', n: 1}}]\n---\nx", ["code"]),
        ("{% include 'part.txt' %}", ["part", "profile.part"]),
        ("{% if profile.part %}{% set part = 1 %}{% include 'part.txt' %}{% endif %}", []),
        ("{% extends 'base.txt' %}{% block a %}{{ mine }}{% endblock %}", ["mine", "other"]),
        ("{% extends 'base.txt' %}{% block a %}{{ super() }}{% endblock %}", ["base", "other"]),
        ("{% from 'macros.txt' import hi %}{{ hi(1) }}", []),
        ("{% import 'macros.txt' as m %}{{ m.hi(1) }}", []),
    ],
)
def test_names_that_need_a_value_and_have_no_default(
    write_templates: WriteTemplates, text: str, needed: list[str]
) -> None:
    files = {
        "sms/note.txt": text,
        "shared/part.txt": "{{ profile.part }} {{ part }}",
        "shared/base.txt": "{% block a %}{{ base }}{% endblock %}{% block b %}{{ other }}{% endblock %}",
        "shared/macros.txt": "{% macro hi(who) %}{{ who }}{% endmacro %}",
    }
    found = facts(write_templates, files)
    paths = sorted(each.path for each in found.variables)
    assert paths == sorted(needed)
    assert found.problems == ()


def test_places_name_file_line_and_column(write_templates: WriteTemplates) -> None:
    files = {"sms/note.txt": "---\nfrom: a\n---\n\nx {{ profile.name }} {% include 'gone.txt' %}"}
    found = facts(write_templates, files)
    (variable,) = found.variables
    assert (variable.file, variable.line, variable.column) == ("templates/sms/note.txt", 5, 6)
    (missing,) = found.missing
    assert (missing.name, missing.file, missing.line) == ("gone.txt", "templates/sms/note.txt", 5)


def test_every_language_and_the_twin_are_inspected(write_templates: WriteTemplates) -> None:
    files = {
        "email/note.html": "---\nsubject: x\n---\n{{ links.unsubscribe }} {{ a }}",
        "email/note.es.html": "{{ b }}",
        "email/note.txt": "{{ c }}",
    }
    found = facts(write_templates, files, "email")
    assert found.files == ("templates/email/note.es.html", "templates/email/note.html", "templates/email/note.txt")
    assert [each.path for each in found.variables] == ["b", "links.unsubscribe", "a", "c"]
    assert found.without_subject == ("templates/email/note.es.html",)
    assert found.without_unsubscribe == ("templates/email/note.es.html", "templates/email/note.txt")


@pytest.mark.parametrize(
    ("body", "has_link"),
    [
        ("{{ links.unsubscribe }}", True),
        ("{{ links.preferences }}", True),
        ("{% include 'footer.html' %}", True),
        ("<html>{{ links.other }}</html>", False),
        ("plain", True),
        ("<html><body>plain</body></html>", False),
        ("{% extends 'page.html' %}", False),
    ],
)
def test_an_unsubscribe_link_counts_wherever_it_is_reached(
    write_templates: WriteTemplates, body: str, has_link: bool
) -> None:
    files = {
        "email/note.html": f"---\nsubject: x\n---\n{body}",
        "shared/footer.html": "{{ links.unsubscribe }}",
        "shared/layout.html": "<html><body>{{ content }}{% include 'footer.html' %}</body></html>",
        "shared/page.html": "<html><body></body></html>",
    }
    assert bool(facts(write_templates, files, "email").without_unsubscribe) is not has_link


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a\n{% if %}", 2, "Expected an expression"),
        ("a\n{{ x | nonsense }}", 2, "No filter named 'nonsense'"),
        ("a\n{{ x | safe }}", 2, "No filter named 'safe'"),
        ("a\n{% autoescape false %}{% endautoescape %}", 2, "`autoescape` cannot be changed"),
        ("{% for x in y | d([]) recursive %}{% endfor %}", 1, "recursive loops"),
        ("a\n{% include name %}", 2, "must be plain text"),
        ("a\n{{ 'x' if y }}", 2, "an inline `if` needs an `else`"),
        ("a\n{% for k, v in profile.items() %}{% endfor %}", 2, "a dot reads a key"),
        ("a\n<p title={{ name | d('') }}>", 2, "must be in quotes"),
        ("---\nsubject: x\nnonsense: 1\n---\nx", 3, "unknown key `nonsense`"),
        ("---\nsubject: 1\n---\nx", 2, "`subject` must be text"),
        ("---\nsubject: '{{'\n---\nx", 2, "unexpected"),
        ("{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}", 1, "nested too deeply"),
        ("{{ " + "(1+" * 400 + "1" + ")" * 400 + " }}", 1, "nested too deeply"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(
    write_templates: WriteTemplates, text: str, line: int, message: str
) -> None:
    found = facts(write_templates, {"email/note.html": text}, "email")
    said = [each.message for each in found.problems if each.line == line and each.file == "templates/email/note.html"]
    assert any(message in each for each in said), found.problems


def test_problems_of_an_include_are_the_includes(write_templates: WriteTemplates) -> None:
    files = {"sms/note.txt": "{% include 'part.txt' %}", "shared/part.txt": "\n{% if %}"}
    (problem,) = facts(write_templates, files).problems
    assert (problem.file, problem.line) == ("templates/shared/part.txt", 2)


def test_a_twin_with_front_matter_of_its_own_is_a_problem(write_templates: WriteTemplates) -> None:
    files = {"email/note.html": "---\nsubject: x\n---\nx", "email/note.txt": "---\nsubject: y\n---\nx"}
    (problem,) = facts(write_templates, files, "email").problems
    assert "front matter from the page" in problem.message


def test_includes_in_a_circle_are_walked_once(write_templates: WriteTemplates) -> None:
    files = {"sms/note.txt": "{% include 'a.txt' %}", "shared/a.txt": "{{ code }}{% include 'a.txt' %}"}
    assert [each.path for each in facts(write_templates, files).variables] == ["code"]


def test_includes_that_double_at_every_level_are_walked_soon(write_templates: WriteTemplates) -> None:
    files = {f"shared/{n}.txt": f"{{% include '{n + 1}.txt' %}}" * 2 for n in range(60)}
    found = facts(write_templates, {"sms/note.txt": "{% include '0.txt' %}", **files, "shared/60.txt": "{{ code }}"})
    assert [each.path for each in found.variables] == ["code"]


def test_an_include_that_may_be_missing_is_not_missed(write_templates: WriteTemplates) -> None:
    text = "{% include 'gone.txt' ignore missing %}{% include ['gone.txt', 'part.txt'] %}"
    found = facts(write_templates, {"sms/note.txt": text, "shared/part.txt": "{{ code }}"})
    assert found.missing == ()
    assert [each.path for each in found.variables] == ["code"]


def test_a_template_that_does_not_exist_has_no_files(write_templates: WriteTemplates) -> None:
    assert facts(write_templates, {"sms/other.txt": "x"}) == TemplateFacts()
