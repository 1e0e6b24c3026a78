"""`matches`: the linear engine agrees with `re` where both speak, and no pattern makes it slow."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.expressions.patterns import PatternError, compile_pattern


@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [
        ("pric", "/pricing", True),
        ("^pric", "/pricing", False),
        ("ing$", "/pricing", True),
        ("ing$", "/pricing\n", False),
        ("^$", "", True),
        ("^$", "a", False),
        ("", "anything", True),
        (r"^/orders/\d{3,5}$", "/orders/1234", True),
        (r"^/orders/\d{3,5}$", "/orders/12", False),
        (r"^(a|b)+c?$", "abba", True),
        (r"^[^/]+@[\w.-]+\.(com|es)$", "ana@shop.example.es", True),
        (r"^[a\]x-]+$", "a]x-", True),
        (r"^[]]$", "]", True),
        (r"a.c", "a\nc", False),
        (r"\.", "x", False),
        (r"^(?:ab){2}$", "abab", True),
        (r"^\S+\s\S+$", "a b", True),
        (r"x{0}y", "y", True),
        (r"(a*)*b", "aaab", True),
        (r"^(|a)b", "b", True),
        ("é$", "café", True),
        ("a{,2}", "a", None),
    ],
)
def test_a_pattern_fits_somewhere_in_the_text(pattern: str, text: str, fits: bool | None) -> None:
    if fits is None:
        with pytest.raises(PatternError):
            compile_pattern(pattern)
    else:
        assert compile_pattern(pattern).search(text) is fits


@pytest.mark.parametrize(
    "pattern",
    [
        *("(", ")", "(a", "a)", "[", "[a", "[]", "*a", "a**", "a*?", "a{2}{3}", "{2}", "a{3,2}", "a{x}", "a{2", "^*"),
        *("\\", r"\b", r"\1", r"(?=a)", r"(?P<n>a)", r"[z-a]", r"[a-\d]", r"[[]", r"a{99999}", "(a{50}){50}"),
        *("a{1000}b", "a" * 501, "(" * 60 + "a" + ")" * 60),
    ],
)
def test_what_is_not_linear_or_does_not_read_is_refused(pattern: str) -> None:
    with pytest.raises(PatternError):
        compile_pattern(pattern)


ATOMS = st.sampled_from(
    ["a", "b", "c", ".", "[ab]", "[^a]", "[a-c]", r"\d", r"\w", r"\s", r"\S", r"\W", r"\D", "é", " ", "1"]
)
TIMES = st.sampled_from(["", "", "", "*", "+", "?", "{2}", "{1,2}", "{0,1}", "{1,}"])


def _grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    repeated = st.tuples(inner.map(lambda part: f"({part})"), TIMES).map("".join)
    return st.one_of(
        repeated,
        st.lists(inner, min_size=1, max_size=3).map("".join),
        st.lists(inner, min_size=1, max_size=3).map("|".join),
    )


PATTERNS = st.recursive(st.tuples(ATOMS, TIMES).map("".join), _grown, max_leaves=6)
ANCHORED = st.tuples(st.sampled_from(["", "^"]), PATTERNS, st.sampled_from(["", "$"])).map("".join)


@settings(max_examples=300, deadline=None)
@given(ANCHORED, st.text("abc1é _\n", max_size=8))
def test_it_agrees_with_re(pattern: str, text: str) -> None:
    theirs = re.search(pattern.replace("$", r"\Z"), text) is not None
    assert compile_pattern(pattern).search(text) is theirs


def test_a_pattern_that_makes_backtracking_explode_comes_to_its_end() -> None:
    """By backtracking it would take longer than the universe has."""
    text = "a" * 20_000 + "b"
    assert not compile_pattern(r"^(a|a|aa)*(a+)+(a?){30}c$").search(text)


def test_texts_of_many_kinds_of_characters_do_not_fill_the_memory() -> None:
    pattern = compile_pattern(r"^(\w|\s|.)*x$")
    assert not pattern.search("".join(map(chr, range(0x4E00, 0x4E00 + 20_900))))
    assert pattern.search("ok x")
