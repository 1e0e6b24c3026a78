"""How problems are told."""

from __future__ import annotations

import json

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
        "  first given here: journeys/cart.yml:2:1\n"
        "   2 | title: A\n"
        "     | ^\n"
        "  hint: keep one of the two"
    )


def test_text_without_the_file_still_says_where() -> None:
    assert format_diagnostics([WARNING], "text", {}) == "warning SJ103: 100% wrong:\nhere\n  --> a,b.yml:1:2"


def test_a_long_line_is_cut_around_the_place() -> None:
    long = Diagnostic(file="a.yml", line=1, column=301, code="SJ201", severity="error", message="wrong")
    shown = format_diagnostics([long], "text", {"a.yml": "x" * 300 + "Y" + "z" * 300}).splitlines()
    assert len(shown[2]) < 120
    assert shown[2][shown[3].index("^")] == "Y"


def test_concise_is_one_line_each() -> None:
    assert (
        format_diagnostics([DUPLICATE, DUPLICATE], "concise", TEXTS).splitlines()
        == ["journeys/cart.yml:3:1: SJ009 the key `title` is given twice (keep one of the two)"] * 2
    )


def test_json_holds_everything() -> None:
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
                "related": [{"file": "journeys/cart.yml", "line": 2, "column": 1, "message": "first given here"}],
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
