"""An author's template is data: it reads plain values, and can neither break out nor eat the worker."""

from __future__ import annotations

import resource
from time import process_time

import pytest

from engine.errors import RenderError
from engine.rendering.sandbox import MAX_OUTPUT
from tests.rendering.conftest import Render

SCOPE = {"profile": {"name": "Ana", "tags": ["a", "b"]}, "trigger": {"total": 80}}

# Ways out that have worked on some template engine at some time.
ESCAPES = [
    "{{ ''.__class__ }}",
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ profile.__class__ }}",
    "{{ profile.name.__class__ }}",
    "{{ ''['__class__'] }}",
    "{{ profile['__class__'] }}",
    "{{ [].__class__.__base__ }}",
    "{{ (1).__class__ }}",
    "{{ ''|attr('__class__') }}",
    "{{ ['']|map(attribute='__class__')|list|first }}",
    "{{ ['']|map('attr', '__class__')|list }}",
    "{{ [profile]|map(attribute='name.__class__')|join }}",
    "{{ '{0.__class__}'.format(1) }}",
    "{{ '{0.__class__.__mro__}'.format('') }}",
    "{{ '{x.__class__}'.format_map({'x': 1}) }}",
    "{% set f = '{0.__class__}'.format %}{{ f(1) }}",
    "{{ ''.format.__self__ }}",
    "{{ '%s' % profile.name }}",
    "{{ 'x'|format('y') }}",
    "{{ cycler.__init__ }}",
    "{{ cycler.__init__.__globals__ }}",
    "{{ joiner.__init__.__globals__.os }}",
    "{{ namespace.__init__.__globals__ }}",
    "{{ range.__class__ }}",
    "{{ lipsum.__globals__ }}",
    "{{ self.__init__.__globals__ }}",
    "{{ self._TemplateReference__context }}",
    "{{ config }}",
    "{{ request.application }}",
    "{{ url_for.__globals__ }}",
    "{{ get_flashed_messages() }}",
    "{{ __import__('os') }}",
    "{{ context }}",
    "{{ environment }}",
    "{{ loop }}",
    "{% for x in [1] %}{{ loop.__class__ }}{% endfor %}",
    "{% for x in [1] %}{{ loop._iterator }}{% endfor %}",
    "{% macro m() %}{% endmacro %}{{ m.__globals__ }}",
    "{% macro m() %}{% endmacro %}{{ m._func }}",
    "{% macro m() %}{{ caller.__closure__ }}{% endmacro %}{% call m() %}{% endcall %}",
    "{% import 'sms/note.txt' as m %}{{ m.__dict__ }}",
    "{{ profile.tags.append(1) }}",
    "{{ profile.tags.sort() }}",
    "{{ profile.pop('name') }}",
    "{{ profile.update({}) }}",
    "{% set profile.name = 'x' %}",
    "{{ profile.name.encode() }}",
    "{{ profile.name|safe }}",
    "{{ profile|tojson }}",
    "{{ [1]|random }}",
    "{{ profile|xmlattr }}",
    "{{ profile|pprint }}",
    "{% autoescape false %}{{ profile.name }}{% endautoescape %}",
    "{% include profile %}",
    "{% include ['../../etc/passwd'] %}",
    "{{ trigger.total.real }}",
    "{{ trigger.total.__add__(1) }}",
    "{{ 'a'.join(['b']) }}",
    "{{ none.__class__ }}",
    "{{ dict }}",
]


@pytest.mark.parametrize("text", ESCAPES)
@pytest.mark.parametrize("channel", ["sms", "email"])
def test_a_template_cannot_reach_what_is_not_its_own(render: Render, text: str, channel: str) -> None:
    head = "---\nsubject: x\n---\n" if channel == "email" else ""
    file = "email/note.html" if channel == "email" else "sms/note.txt"
    with pytest.raises(RenderError):
        render({file: head + "start " + text}, channel=channel, **SCOPE)


@pytest.mark.parametrize(
    "text", ["{{ 7 * 7 }}", "{% import 'os' as os %}", "${7*7}", "#{7*7}", "{{ ''.__class__ }}", "{#", "{% raw %}"]
)
def test_what_a_person_says_of_themselves_is_never_template(render: Render, text: str) -> None:
    files = {"email/note.html": '---\nsubject: "For {{ name }}"\n---\n<p>{{ name }}</p>'}
    found = render(files, channel="email", name=text)
    assert found.subject == f"For {text}"
    assert found.text == text


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", '" onerror="x', "' onload='x", "<!--", "&lt;b&gt;"])
def test_what_a_person_says_of_themselves_is_never_html(render: Render, text: str) -> None:
    page = (
        '---\nsubject: x\n---\n<p title="{{ name }}">{{ name }}</p>{% set kept %}<b>{{ name }}</b>{% endset %}'
        "{% macro bold(word) %}<i>{{ word }}</i>{% endmacro %}{{ kept }}{{ bold(name) }}{{ name ~ '!' }}"
        "{{ [name, name] | join('<br>') }}{{ name | replace('a', '<u>') }}{{ '<s>' + name }}"
    )
    found = render({"email/note.html": page}, channel="email", name=text)
    assert found.html is not None
    assert text not in found.html
    for mark in ("<br>", "<u>", "<s>", "<script"):
        assert mark not in found.html
    assert "<b>" in found.html
    assert "<i>" in found.html


def test_a_string_that_calls_itself_safe_is_escaped_all_the_same(render: Render) -> None:
    class Safe(str):
        def __html__(self) -> str:
            return "<script>"

    html = render({"email/note.html": "---\nsubject: x\n---\n{{ name }}"}, channel="email", name=Safe("<b>")).html
    assert html is not None
    assert "&lt;b&gt;" in html
    assert "<script>" not in html


def test_an_object_in_the_scope_is_refused(render: Render) -> None:
    class Account:
        def delete(self) -> str:
            raise AssertionError("called")

    with pytest.raises(RenderError, match="kind that cannot be used"):
        render({"sms/note.txt": "{{ account.delete() }}"}, account=Account())


BOMBS = [
    "{{ 'a' * 20000000 }}",
    "{{ 20000000 * 'a' }}",
    "{{ [1] * 20000000 }}",
    "{{ 10 ** 10 ** 8 }}",
    "{{ 10 ** 100000000 }}",
    "{{ 2.0 ** 100000000 }}",
    "{% for x in range(100000000) %}x{% endfor %}",
    "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}",
    "{% for a in range(9999) %}{% for b in range(9999) %}{% set x = a * b %}{% endfor %}{% endfor %}",
    "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "{% macro f(n) %}{% if n > 0 %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}",
    "{% set ns = namespace(x='aaaaaaaa') %}{% for i in range(60) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
    "{% set ns = namespace(x='aaaaaaaa') %}{% for i in range(60) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
    "{% set ns = namespace(x=['a']) %}{% for i in range(60) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
    "{% set ns = namespace(x=['a']) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x|e }}",
    "{% set ns = namespace(x={}) %}{% for i in range(60) %}{% set ns.x = {1: ns.x, 2: ns.x} %}{% endfor %}{{ ns.x|e }}",
    "{% set ns = namespace(x=1) %}{% for i in range(60) %}{% set ns.x = (ns.x, ns.x) %}{% endfor %}{{ ns.x|string }}",
    "{% set ns = namespace(x=9) %}{% for i in range(60) %}{% set ns.x = ns.x * ns.x %}{% endfor %}",
    "{{ ['a' * 200000] * 200000 }}",
    "{{ (['a' * 10000] * 10000) | map('list') | list }}",
    "{{ range(9999) | map('replace', '1', 'x' * 200000) | join }}",
    "{{ range(9999) | join('x' * 200000) }}",
    "{{ ('x' * 200000) | replace('x', 'y' * 200000) }}",
    "{{ 'x' | center(100000000) }}",
    "{{ 'x'.ljust(100000000) }}",
    "{{ 'x'.zfill(100000000) }}",
    "{{ 'x'.expandtabs(100000000) }}",
    "{{ '{:>100000000}'.format('x') }}",
    "{{ '%100000000d' % 1 }}",
    "{{ 'x' | indent(100000000) }}",
    "{{ 'x' | wordwrap(1, true, 'y' * 100000) }}",
    "{{ [1] | batch(100000000, 'x') | list | string }}" + "{{ 'a' * 300000 }}",
    "{{ 5 | round(-100000000) }}",
    "{{ lipsum(100000) }}",
    "{% for x in range(9999) %}{{ 'a' * 200000 }}{% endfor %}",
    "{% set kept %}{% for x in range(9999) %}{{ ('a' * 200000) | upper }}{% endfor %}{% endset %}",
    "{% macro m() %}{% for x in range(9999) %}{{ ('a' * 200000) | upper }}{% endfor %}{% endmacro %}{{ m() | length }}",
    "{% for x in range(9999) %}{{ " + "'a' ~ " * 200 + "'a' }}{% endfor %}",
    "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}",
    "{% include 'sms/note.txt' %}{% include 'sms/note.txt' %}",
    "{{ " + "(" * 20000 + "1" + ")" * 20000 + " }}",
]


@pytest.mark.parametrize("text", BOMBS, ids=[text[:60] for text in BOMBS])
def test_a_bomb_goes_off_small_and_soon(render: Render, text: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = process_time()
    with pytest.raises(RenderError):
        render({"sms/note.txt": text})
    assert process_time() - began < 10
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000


@pytest.mark.parametrize("text", ["{{ 'a' * 10 ** 15 }}", "{{ 10 ** 15 * 'a' }}"])
def test_what_no_machine_could_hold_is_refused_before_it_is_built(render: Render, text: str) -> None:
    with pytest.raises(RenderError, match="too much"):
        render({"sms/note.txt": text})


def test_includes_that_double_at_every_level_are_stopped(render: Render) -> None:
    files = {f"shared/{n}.txt": f"{{% include '{n + 1}.txt' %}}" * 2 for n in range(40)}
    with pytest.raises(RenderError, match="too much"):
        render({"sms/note.txt": "{% include '0.txt' %}", **files, "shared/40.txt": ""})


def test_a_rendering_leaves_the_next_ones_their_whole_budget(render: Render) -> None:
    files = {"sms/note.txt": "{% for x in range(n) %}{% for y in range(9000) %}{% endfor %}{% endfor %}done"}
    for _ in range(3):
        assert render(files, n=9).text == "done"
        with pytest.raises(RenderError, match="too much"):
            render(files, n=90)


def test_output_may_be_as_large_as_the_cap_and_no_larger(render: Render) -> None:
    half = MAX_OUTPUT // 2
    assert len(render({"sms/note.txt": "{{ a }}{{ a }}"}, a="x" * half).text) == MAX_OUTPUT
    with pytest.raises(RenderError, match="too much"):
        render({"sms/note.txt": "{{ a }}{{ a }}x"}, a="x" * half)


def test_ordinary_templates_are_not_in_the_way_of_any_of_it(render: Render) -> None:
    text = (
        "{% macro row(item) %}{{ loop_index | default(1) }} {{ item.name | title }}: {{ item.price * item.n }}"
        "{% endmacro %}"
        "{% set ns = namespace(sum=0) %}"
        "{% for item in items | sort(attribute='name') if item.n %}{% set ns.sum = ns.sum + item.price * item.n %}"
        "{{ row(item) }}{{ ', ' if not loop.last else '' }}{% endfor %} = {{ ns.sum }}; "
        "{% for shop, group in items | groupby('shop') %}{{ shop }}:{{ group | length }} {% endfor %}"
        "{% for key, value in extra | items %}{{ key }}={{ value }} {% endfor %}"
        "{{ profile.name.split(' ')[0].upper() }} {{ '-' * 3 }} {{ 2 ** 3 }} {{ 7 % 4 }}"
    )
    items = [{"name": "tea", "price": 3, "n": 2, "shop": "b"}, {"name": "cup", "price": 5, "n": 1, "shop": "a"}]
    found = render({"sms/note.txt": text}, items=items, extra={"a": 1}, profile={"name": "Ana Ruiz"})
    assert found.text == "1 Cup: 5, 1 Tea: 6 = 11; a:1 b:1 a=1 ANA --- 8 3"


def test_a_missing_name_is_false_and_takes_a_default_with_all_its_members(render: Render) -> None:
    text = (
        "{% if profile.nick %}x{% else %}no{% endif %} {{ profile.a.b[0].c | default('d') }} {{ nobody or 'n' }} "
        "{{ 'is' if profile.nick is defined else 'not' }} {{ not profile.nick }}"
    )
    assert render({"sms/note.txt": text}, profile={}).text == "no d n not True"
