"""A template that cannot render says where and what, and nothing about the person; never half a message."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import RenderError
from engine.rendering.document import ScriptedLink, check_links
from tests.rendering.conftest import Render

SECRET = "canary-of-a-person"


def failure(render: Render, text: str, *, channel: str = "sms", **scope: object) -> str:
    extension = "html" if channel == "email" else "txt"
    with pytest.raises(RenderError) as caught:
        render({f"{channel}/note.{extension}": text}, channel=channel, **scope)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("a\nb\n{{ profile.nick }}", 3, "`nick` is missing"),
        ("{{ nobody }}", 1, "`nobody` is missing"),
        ("{{ profile.address.city }}", 1, "`address` is missing"),
        ("\n{{ profile['nick'] }}", 2, "a value is missing"),
        ("{{ profile[profile.name] }}", 1, "a value is missing"),
        ("{% for x in profile.nick %}{% endfor %}", 1, "`nick` is missing"),
        ("{{ profile.nick + 1 }}", 1, "`nick` is missing"),
        ("{{ profile.nick == 1 }}", 1, "`nick` is missing"),
        ("{{ profile.nick | upper }}", 1, "`nick` is missing"),
        ("x\n{{ profile.name + 1 }}", 2, "a value is of a kind that cannot be used so"),
        ("{{ profile.name | money }}", 1, "a value is of a kind that cannot be used so"),
        ("{{ profile.name | date }}", 1, "a value is of a kind that cannot be used so"),
        ("{{ 1 / 0 }}", 1, "a value is of a kind that cannot be used so"),
        ("{{ profile }}", 1, "prints a list, a mapping or nothing"),
        ("{{ [profile.name] }}", 1, "prints a list, a mapping or nothing"),
        ("{{ none }}", 1, "prints a list, a mapping or nothing"),
        ("\n\n{% if %}", 3, "Expected an expression"),
        ("{{ 'a' | nonsense }}", 1, "No filter named 'nonsense'"),
        ("{% include 'gone.txt' %}", 1, "includes a template that does not exist"),
        ("{% include 'sms/note.txt' %}", 1, "without end"),
        ("---\nfrom: a\n---\n\n{{ nobody }}", 5, "`nobody` is missing"),
        ("---\nfrom: a\n\npreheader: 'x {{ nobody }}'\n---\nx", 4, "`nobody` is missing"),
        ("---\nsubjekt: a\n---\nx", 2, "unknown key `subjekt`"),
        ("---\nsubject: [a]\n---\nx", 2, "`subject` must be text"),
        ("---\nsubject: *a\n---\nx", 2, "aliases"),
        ("---\nsubject: a\nx", 1, "the front matter has no end"),
    ],
)
def test_a_fault_is_told_with_file_and_line_and_without_values(render: Render, text: str, line: int, what: str) -> None:
    said = failure(render, text, profile={"name": SECRET})
    assert said.startswith(f"templates/sms/note.txt, line {line}: ")
    assert what in said
    assert SECRET not in said


def test_a_fault_inside_an_include_names_the_included_file(render: Render) -> None:
    files = {"sms/note.txt": "\n\n{% include 'part.txt' %}", "shared/part.txt": "x\n{{ nobody }}"}
    with pytest.raises(RenderError, match=r"templates/shared/part\.txt, line 2: `nobody` is missing"):
        render(files)


def test_a_syntax_error_inside_an_include_names_the_included_file(render: Render) -> None:
    files = {"sms/note.txt": "\n\n{% include 'part.txt' %}", "shared/part.txt": "x\n{% if %}"}
    with pytest.raises(RenderError, match=r"templates/shared/part\.txt, line 2: "):
        render(files)


@pytest.mark.parametrize("mark", ["\r\nBcc: a@b.example", "\n", "\r", "\x00", "\x0b", "\x85", "\u2028", "\u2029"])
@pytest.mark.parametrize("key", ["subject", "from"])
def test_a_line_break_in_a_header_is_refused(render: Render, key: str, mark: str) -> None:
    head = {"subject": "Hello", key: "For {{ name }}!"}
    text = "---\n" + "".join(f'{each}: "{value}"\n' for each, value in head.items()) + "---\n<p>x</p>"
    with pytest.raises(RenderError) as caught:
        render({"email/note.html": text}, channel="email", name=f"{SECRET}{mark}")
    assert str(caught.value) == f"templates/email/note.html: `{key}` would hold a line break or a control character"


def test_an_email_without_a_subject_is_refused(render: Render) -> None:
    assert failure(render, "<p>x</p>", channel="email") == (
        "templates/email/note.html: an email needs a `subject` in its front matter"
    )


def test_a_message_without_text_is_refused(render: Render) -> None:
    assert failure(render, "{% if no %}x{% endif %}", no=False) == "templates/sms/note.txt: the message has no text"


def test_a_file_that_is_no_utf_8_text_is_refused(render: Render, tmp_path: Path) -> None:
    (tmp_path / "templates/sms").mkdir(parents=True)
    (tmp_path / "templates/sms/note.txt").write_bytes(b"fine\n\xff")
    with pytest.raises(RenderError, match=r"templates/sms/note\.txt, line 2: the template is not UTF-8 text"):
        render({})


def test_a_file_larger_than_256_kib_is_refused(render: Render) -> None:
    assert "larger than 256 KiB" in failure(render, "x" * (256 * 1024 + 1))


@pytest.mark.parametrize("link", ["javascript:alert(1)", " JaVa\tScript:x", "data:text/html,x", "vbscript:x"])
def test_a_link_that_would_run_code_is_refused(render: Render, link: str) -> None:
    text = '---\nsubject: x\n---\n<p>x</p><a href="{{ link }}">y</a>'
    assert "a link would run code" in failure(render, text, channel="email", link=link)


@pytest.mark.parametrize(
    "link",
    [
        "javascript&colon;alert(1)", "java&Tab;script:x", "java&NewLine;script:x", "data&#58;text/html,x",
        "&#106avascript:x", "&#x6A;avascript:x", "&#x6a\navascript:x", "&#0106;avascript:x", "&#1;javascript&#x3a;x",
    ],
)  # fmt: skip
def test_a_scheme_that_runs_code_is_refused_however_its_letters_are_written(link: str) -> None:
    with pytest.raises(ScriptedLink):
        check_links(f'<a href="{link}">x</a>')
    check_links(f'<a href="https://shop.example/" title="{link}">It&#39;s &#34;x&#34; &#8217; &#160; &#58;</a>')


def test_the_word_javascript_in_a_text_is_no_link(render: Render) -> None:
    text = "---\nsubject: x\n---\n<p>{{ words }}</p>"
    assert render({"email/note.html": text}, channel="email", words="data: and javascript: too").text
