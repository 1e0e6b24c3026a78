"""Why a condition holds: its parts, their values, and the segments that it is made of."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from engine.profiles.model import Value
from engine.segments.explain import Explanation, describe, explain, lines
from tests.expressions.facts_of import facts_of

DAY = timedelta(days=1)
ANA = facts_of(
    profile={"plan": "pro"},
    events=[(-DAY, "Order", {"total": 300}), (-70 * DAY, "Order", {"total": 300})],
    segments={
        "vip": 'sum("Order", "total", within="365d") >= 500',
        "lapsing": 'did("Order") and last("Order") < now - days(60) and not segment("vip")',
        "ring": 'segment("other")',
        "other": 'segment("vip") or not segment("vip")',
    },
)


def test_every_part_has_its_text_and_its_value() -> None:
    assert explain('profile.plan  in ["pro", "team"]\n and profile.points > -1', ANA) == Explanation(
        text='profile.plan in ["pro", "team"] and profile.points > -1',
        value=False,
        children=(
            Explanation(
                text='profile.plan in ["pro", "team"]',
                value=True,
                children=(Explanation(text="profile.plan", value="pro"),),
            ),
            Explanation(
                text="profile.points > -1", value=False, children=(Explanation(text="profile.points", value=None),)
            ),
        ),
    )


def test_a_segment_is_opened_up_where_its_definition_is_given() -> None:
    assert lines(explain('segment("lapsing")', ANA, ANA.segments)) == [
        'segment("lapsing")  →  false',
        '  did("Order") and last("Order") < now - days(60) and not segment("vip")  →  false',
        '    did("Order")  →  true',
        '    last("Order") < now - days(60)  →  false',
        '      last("Order")  →  2026-03-01T11:00:00Z',
        "      now - days(60)  →  2026-01-01T11:00:00Z",
        "        now  →  2026-03-02T11:00:00Z",
        "        days(60)  →  60d",
        '    not segment("vip")  →  false',
        '      segment("vip")  →  true',
        '        sum("Order", "total", within="365d") >= 500  →  true',
        '          sum("Order", "total", within="365d")  →  600',
    ]


def test_without_its_definition_a_segment_is_one_line() -> None:
    assert lines(explain('segment("vip")', ANA)) == ['segment("vip")  →  true']


def test_a_counted_event_has_no_one_value_and_is_not_shown() -> None:
    text = """count("Order", total=profile.nope, where="event.total > 1", since=now - days(1)) == 1"""
    [count] = explain(text, ANA).children
    assert [child.text for child in count.children] == ["profile.nope", "now - days(1)"]


def test_truth_is_that_of_conditions() -> None:
    assert explain("profile.plan", ANA).is_true
    assert not explain("profile.nope", ANA).is_true


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "missing"),
        (True, "true"),
        (False, "false"),
        (2, "2"),
        (2.5, "2.5"),
        ("pro", '"pro"'),
        (datetime(2026, 3, 2, 12, tzinfo=UTC), "2026-03-02T12:00:00Z"),
        (date(2026, 3, 2), "2026-03-02"),
        (timedelta(hours=36), "1d12h"),
        ([1, None, "x"], '[1, missing, "x"]'),
    ],
)
def test_a_value_in_words(value: Value, words: str) -> None:
    assert describe(value) == words
