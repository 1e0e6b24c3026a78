"""How problems are told."""

from __future__ import annotations

import json
import re

import pytest

from engine.language.diagnostics import Diagnostic, Problems, Related, Span, format_diagnostics, related, suggest

TEXTS = {"journeys/cart.yml": "journey: cart\ntitle: A\ntitle: B\n"}
DUPLICATE = Diagnostic(
    file="journeys/cart.yml",
    line=3,
    column=1,
    code="SJ009",
    severity="error",
    message="the key `title` is given twice",
    hint="keep one of the two",
    related=(Related(file="journeys/cart.yml", line=2, column=1, message="first given here"),),
)
WARNING = Diagnostic(
    file="a,b.yml", line=1, column=2, code="SJ103", severity="warning", message="100% wrong:\nhere", related=()
)


def test_text_shows_the_line_and_points_at_the_place() -> None:
    assert format_diagnostics([DUPLICATE], "text", TEXTS) == (
        "error SJ009: the key `title` is given twice\n"
        "  --> journeys/cart.yml:3:1\n"
        "   3 | title: B\n"
        "     | ^\n"
        "  --> journeys/cart.yml:2:1, first given here\n"
        "   2 | title: A\n"
        "     | ^\n"
        "  hint: keep one of the two\n"
        "\n"
        "Explained in docs/checks: SJ009.md"
    )


def test_text_without_the_file_still_says_where() -> None:
    told = format_diagnostics([WARNING], "text", {})
    assert told.startswith("warning SJ103: 100% wrong: here\n  --> a,b.yml:1:2\n\n")


@pytest.mark.parametrize("line", [f"{'x' * 300}Y{'z' * 300}", f"{'x' * 300}Y", f"{'寿' * 300}Y", f"Y{'z' * 300}"])
def test_a_long_line_is_cut_around_the_place(line: str) -> None:
    long = Diagnostic(file="a.yml", line=1, column=line.index("Y") + 1, code="SJ201", severity="error", message="wrong")
    shown = format_diagnostics([long], "text", {"a.yml": line}).splitlines()
    before = shown[2][: shown[2].index("Y")]
    # These letters take two columns each.
    assert shown[3].index("^") == len(before) + before.count("寿")
    assert len(shown[2]) <= 80
    assert ("…" in before) == (not line.startswith("Y"))
    assert shown[2].endswith("…") == line.endswith("z")


def test_nothing_but_names_is_wider_than_a_terminal() -> None:
    wide = Diagnostic(
        file="a.yml", line=1, column=1, code="SJ201", severity="error", message="wrong " * 40, hint="right " * 40
    )
    shown = format_diagnostics([wide], "text", {"a.yml": "x" * 300})
    assert max(map(len, shown.splitlines())) <= 80
    assert shown.count("right") == 40


def test_every_page_is_named_once_at_the_end() -> None:
    told = format_diagnostics([WARNING, DUPLICATE, WARNING], "text", TEXTS)
    assert told.endswith("\n\nExplained in docs/checks: SJ009.md, SJ103.md")
    assert format_diagnostics([], "text", {}) == ""


def test_colours_change_no_word() -> None:
    plain = format_diagnostics([DUPLICATE, WARNING], "text", TEXTS)
    colourful = format_diagnostics([DUPLICATE, WARNING], "text", TEXTS, is_colourful=True)
    assert "\x1b" not in plain
    assert colourful != plain
    assert re.sub(r"\x1b\[[0-9;]*m", "", colourful) == plain


def test_concise_is_one_line_each() -> None:
    assert (
        format_diagnostics([DUPLICATE, DUPLICATE], "concise", TEXTS).splitlines()
        == ["journeys/cart.yml:3:1: SJ009 the key `title` is given twice (keep one of the two)"] * 2
    )


def test_json_is_one_document_of_seven_fields_each() -> None:
    data = json.loads(format_diagnostics([DUPLICATE], "json", TEXTS))
    assert data == {
        "diagnostics": [
            {
                "file": "journeys/cart.yml",
                "line": 3,
                "column": 1,
                "code": "SJ009",
                "severity": "error",
                "message": "the key `title` is given twice",
                "hint": "keep one of the two",
            }
        ]
    }
    assert json.loads(format_diagnostics([], "json", {})) == {"diagnostics": []}


def test_github_annotations_are_escaped() -> None:
    assert format_diagnostics([WARNING], "github", {}) == (
        "::warning file=a%2Cb.yml,line=1,col=2,title=SJ103::100%25 wrong:%0Ahere"
    )


def test_problems_are_sorted_by_place_and_said_once() -> None:
    problems = Problems()
    for file, line, column in [("b.yml", 1, 1), ("a.yml", 2, 1), ("a.yml", 1, 9), ("a.yml", 1, 9)]:
        problems.error("SJ201", Span(file=file, line=line, column=column), "wrong", related=[related(Span(
            file="c.yml", line=1, column=1), "here")])  # fmt: skip
    assert [(each.file, each.line, each.column) for each in problems.sorted()] == [
        ("a.yml", 1, 9),
        ("a.yml", 2, 1),
        ("b.yml", 1, 1),
    ]


@pytest.mark.parametrize(
    ("name", "known", "hint"),
    [
        ("Order complete", ["Order Completed", "Signed Up"], "did you mean `Order Completed`?"),
        ("vpi", ["vip", "customers"], "did you mean `vip`?"),
        ("send1", ["send2", "send3", "send4", "send5"], "did you mean `send5`, `send4` or `send3`?"),
        ("x", ["email", "sms"], "allowed: `email`, `sms`"),
        ("x", [], ""),
        ("x", [f"name{number}" for number in range(13)], ""),
    ],
)
def test_near_names_are_suggested_and_few_ones_listed(name: str, known: list[str], hint: str) -> None:
    assert suggest(name, known) == hint
