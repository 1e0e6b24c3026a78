"""The grammar: what reads, what is refused, and where the mistake is said to be."""

from __future__ import annotations

import warnings
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import ExpressionError
from engine.expressions.nodes import (
    Aggregate,
    And,
    Arithmetic,
    Call,
    Compare,
    Constant,
    HasConsent,
    HasReceived,
    InSegment,
    IsEnrolled,
    ListOf,
    Negative,
    Node,
    Not,
    Now,
    Or,
    Read,
    children,
)
from engine.expressions.parse import parse_expression

TOTAL = Read(root="event", name="total")


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("event.total", TOTAL),
        ('event["from"]', Read(root="event", name="from")),
        ('event["from"].city', Read(root="event", name="from", path=("city",))),
        ("event.items[0].sku", Read(root="event", name="items", path=(0, "sku"))),
        ("event.items[-1]", Read(root="event", name="items", path=(-1,))),
        ('steps["send@steps.1"].outcome', Read(root="steps", name="send@steps.1", path=("outcome",))),
        ("now", Now()),
        ("true", Constant(value=True)),
        ("false", Constant(value=False)),
        ("none", Constant(value=None)),
        ("'it'", Constant(value="it")),
        (r'r"\d+"', Constant(value=r"\d+")),
        (r'"\d+"', Constant(value=r"\d+")),
        ("1_000", Constant(value=1000)),
        ("2.5", Constant(value=2.5)),
        ("-event.total", Negative(operand=TOTAL)),
        ("not event.total", Not(operand=TOTAL)),
        ("[1, event.total]", ListOf(items=(Constant(value=1), TOTAL))),
        ("event.total and now or 1", Or(parts=(And(parts=(TOTAL, Now())), Constant(value=1)))),
        ("event.total * 2", Arithmetic(left=TOTAL, sign="*", right=Constant(value=2))),
        ("event.total not in [1]", Compare(left=TOTAL, sign="not in", right=ListOf(items=(Constant(value=1),)))),
        (
            "coalesce(event.total, 1, 2)",
            Call(function="coalesce", arguments=(TOTAL, Constant(value=1), Constant(value=2))),
        ),
        ('segment("vip")', InSegment(segment="vip")),
        ('consent("email", "news")', HasConsent(channel="email", topic="news")),
        ('enrolled("cart")', IsEnrolled(journey="cart")),
        ('received("cart")', HasReceived(journey="cart")),
        ('received("cart", within="30d")', HasReceived(journey="cart", within=timedelta(days=30))),
        ("  event.total\n  ", TOTAL),
        ("event.total ==\n   now", Compare(left=TOTAL, sign="==", right=Now())),
    ],
)
def test_text_becomes_a_tree(text: str, tree: Node) -> None:
    assert parse_expression(text) == tree


def test_a_chain_of_comparisons_is_all_of_its_pairs() -> None:
    assert parse_expression("1 < event.total <= 3") == And(
        parts=(
            Compare(left=Constant(value=1), sign="<", right=TOTAL),
            Compare(left=TOTAL, sign="<=", right=Constant(value=3)),
        )
    )


def test_an_aggregate_takes_a_window_a_condition_and_equalities() -> None:
    text = 'sum("Order", "total", shop="a", within="3d4h", since=now, where="event.total > 50", kind=none)'
    assert parse_expression(text) == Aggregate(
        function="sum",
        event="Order",
        property="total",
        within=timedelta(days=3, hours=4),
        since=Now(),
        where=Compare(left=TOTAL, sign=">", right=Constant(value=50)),
        equals=(("shop", Constant(value="a")), ("kind", Constant(value=None))),
    )


def test_the_same_text_is_parsed_once() -> None:
    assert parse_expression("event.total > 12345") is parse_expression("event.total > 12345")


def test_python_s_warnings_about_escapes_stay_inside() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        parse_expression(r'matches(event.path, "^/\d+$") and 1and event.total')


@pytest.mark.parametrize(
    ("text", "offset", "hint"),
    [
        ("", 0, ""),
        ("   ", 0, ""),
        ("plan == 1", 0, 'did you mean `profile.plan`, `event.plan` or the text "plan"?'),
        ("profle.plan", 0, "did you mean `profile`?"),
        ("event.total == True", 15, "write `true`"),
        ("event.total is None", 11, "write `==`, as in x == none"),
        ("event.total is not none", 11, "write `!=`, as in x != none"),
        ("event.from == 1", 6, 'write ["from"]'),
        ("event.total = 1", 12, "write `==`"),
        ("event.a && event.b", 8, "write `and`"),
        ("event.a || event.b", 8, "write `or`"),
        ("!event.a", 0, "write `not`"),
        ("event.a AND event.b", 8, "small letters"),
        ("event.at > 3d", 11, "days(3)"),
        ("event.a == “x”", 11, "straight quotes"),
        ("event.name.lower()", 0, "write lower(text)"),
        ("event.a if event.b else 1", 0, "coalesce"),
        ('("a", "b")', 0, "write [1, 2]"),
        ('event.plan in ["pro" "team"]', 15, "is a comma missing"),
        ("cuont('x')", 0, "did you mean `count`?"),
        ("count(event.total)", 6, 'write count("Order Completed")'),
        ('sum("Order")', 0, 'write sum("Order Completed", "total")'),
        ('count("Order", "total")', 0, 'write count("Order Completed")'),
        ('count("Order", within=7)', 22, 'within="7d"'),
        ('count("Order", within="7 days")', 22, ""),
        ('count("Order", within="0d")', 22, 'within="7d"'),
        ('count("Order", where=event.total > 1)', 21, "where="),
        ('count("Order", a=1, a=2)', 20, ""),
        ("lower(event.a, event.b)", 0, "write lower(text)"),
        ("lower(a=1)", 0, "write lower(text)"),
        ("lower(*event.a)", 6, ""),
        ("lower(**event.a)", 0, "write lower(text)"),
        ('received("cart", since=now)', 0, "within="),
        ('matches(event.a, "(")', 17, ""),
        ("matches(event.a, event.b)", 17, "matches(text"),
        ("bucket(event.a)", 7, 'write bucket("salt")'),
        ("event", 0, "event.name"),
        ("lower", 0, "write lower(text)"),
        ("now.year", 0, ""),
        ("event[0]", 0, "event.name"),
        ("event[event.a]", 6, 'event["from"]'),
        ("event.a[true]", 8, ""),
        ("event.a[1:2]", 8, ""),
        ("event.a % 2", 7, "+ - * /"),
        ("event.a ** 2", 7, "+ - * /"),
        ("+event.a", 0, ""),
        ("~event.a", 0, ""),
        ("(x := 1)", 1, "write `==`"),
        ("lambda: 1", 0, ""),
        ("[x for x in event.a]", 0, "count"),
        ("{1: 2}", 0, ""),
        ("{1, 2}", 0, "write a list"),
        ('f"{event.a}"', 0, "join texts"),
        ("b'x'", 0, ""),
        ("...", 0, ""),
        ("2j", 0, ""),
        ("1e999", 0, ""),
        ("99999999999999999999", 0, "9223372036854775807"),
        ("event.a # why", 8, ""),
        ("(event.a", 0, ""),
        ("event.a)", 7, ""),
        ('event.a == "x', 11, ""),
        ("event.a ==", 10, ""),
        ("event.a event.b", 8, ""),
        ("event.a\x00", 0, ""),
        ("event.a == '\ud800'", 0, ""),
        ("ñandú + é + profile.x", 0, ""),
        ('"ñandú" == é', 11, ""),
    ],
)
def test_what_is_not_of_the_language_is_refused_with_its_place(text: str, offset: int, hint: str) -> None:
    with pytest.raises(ExpressionError) as refused:
        parse_expression(text)
    assert (refused.value.offset, hint in refused.value.hint) == (offset, True), refused.value.hint


def test_a_mistake_inside_where_is_placed_in_the_whole_text() -> None:
    text = 'count("Order", where="event.total > totl")'
    with pytest.raises(ExpressionError) as refused:
        parse_expression(text)
    assert refused.value.offset == text.index("totl")


def test_a_mistake_inside_a_where_with_escapes_is_placed_at_the_literal() -> None:
    text = r'count("Order", where="event.shop == \"a\" and totl")'
    with pytest.raises(ExpressionError) as refused:
        parse_expression(text)
    assert refused.value.offset == text.index(r'"event.shop')


def test_a_where_holds_no_other_where() -> None:
    with pytest.raises(ExpressionError, match="no other"):
        parse_expression("""count("A", where='count("B", where="event.a == 1") > 1')""")


@pytest.mark.parametrize(
    "text",
    ["(" * 100 + "1" + ")" * 100, "not " * 100 + "true", "-" * 9_000 + "1", "1" + "+1" * 3_000, "[" * 90 + "]" * 90],
)
def test_deep_nesting_is_refused(text: str) -> None:
    if text.startswith("("):
        assert parse_expression(text) == Constant(value=1)  # brackets alone make no depth
        text = "(" * 300 + "1" + ")" * 300
    with pytest.raises(ExpressionError, match="deeper than 64"):
        parse_expression(text)


def test_a_long_text_is_refused() -> None:
    with pytest.raises(ExpressionError, match="10,000"):
        parse_expression("event.a or " * 1_000 + "true")


def test_a_long_row_of_alternatives_is_not_deep() -> None:
    assert len(children(parse_expression(" or ".join(f"event.a == {n}" for n in range(500))))) == 500


def test_places_are_those_of_the_author_s_characters() -> None:
    text = '  profile.ñ == "ü" and\n lower(event.é) != none'
    node = parse_expression(text)
    assert isinstance(node, And)
    assert [text[part.start : part.end] for part in node.parts] == ['profile.ñ == "ü"', "lower(event.é) != none"]
    assert [text[part.start : part.end] for part in children(node.parts[1])] == ["lower(event.é)", "none"]


@given(st.text(max_size=60))
def test_any_text_parses_or_is_refused_inside_its_bounds(text: str) -> None:
    assert _begins(text) in range(len(text) + 1)


WORDS = [
    "event.a",
    "profile.b",
    "now",
    "none",
    '"x"',
    "1",
    "(",
    ")",
    "[",
    "]",
    ",",
    "and",
    "or",
    "not",
    "in",
    "==",
    "<",
]
WORDS += ["+", "-", "*", "/", "count(", "lower(", 'within="7d"', 'where="event.a"', "if", "else", "lambda", ":", "="]


@given(st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join))
def test_any_row_of_words_parses_or_is_refused_inside_its_bounds(text: str) -> None:
    assert _begins(text) in range(len(text) + 1)


def _begins(text: str) -> int:
    """Where the tree, or the mistake, begins."""
    try:
        return parse_expression(text).start
    except ExpressionError as error:
        return error.offset
