"""Durations are spans of elapsed time, written in whole numbers and units."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import BadInput
from engine.schedule import MAX_DURATION, format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("90m", timedelta(minutes=90)),
        ("3d4h", timedelta(days=3, hours=4)),
        ("1d2h30m", timedelta(days=1, hours=2, minutes=30)),
        ("17h59m59s", timedelta(hours=17, minutes=59, seconds=59)),
        ("2w", timedelta(days=14)),
        ("0m", timedelta(0)),
        ("36525d", MAX_DURATION),
    ],
)
def test_a_duration_adds_up_its_parts(text: str, span: timedelta) -> None:
    assert parse_duration(text) == span


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-",
        "3",
        "d",
        "1.5h",
        "3 days",
        "30m1h",
        "1h1h",
        " 1h",
        "1h ",
        "1H",
        "-1h",
        "٣d",
        "１d",
        "P1D",
        "1h\n",
        "36526d",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(BadInput):
        parse_duration(text)


def test_a_number_of_a_million_digits_is_refused_at_once() -> None:
    with pytest.raises(BadInput, match="too long"):
        parse_duration("9" * 1_000_000 + "d")


def test_only_who_asks_for_it_may_go_back_in_time() -> None:
    assert parse_duration("-40d", can_be_negative=True) == timedelta(days=-40)
    with pytest.raises(BadInput, match="no duration"):
        parse_duration("--40d", can_be_negative=True)


def test_a_refusal_says_what_to_write() -> None:
    with pytest.raises(BadInput, match="whole numbers with the units w d h m s"):
        parse_duration("1.5h")


@pytest.mark.parametrize(
    ("span", "text"),
    [
        (timedelta(minutes=90), "1h30m"),
        (timedelta(days=7), "7d"),
        (timedelta(0), "0s"),
        (timedelta(days=-40), "-40d"),
        (timedelta(microseconds=-1), "0s"),
    ],
)
def test_a_span_is_written_as_short_as_it_can_be(span: timedelta, text: str) -> None:
    assert format_duration(span) == text


@given(st.integers(-int(MAX_DURATION.total_seconds()), int(MAX_DURATION.total_seconds())))
def test_what_is_written_reads_back_the_same(seconds: int) -> None:
    span = timedelta(seconds=seconds)
    assert parse_duration(format_duration(span), can_be_negative=True) == span
