"""What an expression asks about, found without evaluating it."""

from __future__ import annotations

import pytest

from engine.errors import ExpressionError
from engine.expressions.references import References, references


def test_every_name_is_found_under_its_kind() -> None:
    text = """
        profile.plan in [trigger.plan, steps.review.event.rating] and event.total > 1
        and count("Order", shop=event.shop, since=trigger.at, where="event.total > profile.limit or trigger.x") > 1
        and segment("vip") and consent("email", "news") and enrolled("cart") and not received("news")
        and sum("View", "n") + len(coalesce(profile["last name"], "")) > -trigger.plan
    """
    assert references(text) == References(
        events=frozenset({"Order", "View"}),
        segments=frozenset({"vip"}),
        journeys=frozenset({"cart", "news"}),
        consents=frozenset({("email", "news")}),
        attributes=frozenset({"plan", "limit", "last name"}),
        trigger_names=frozenset({"plan", "at", "x"}),
        event_names=frozenset({"total", "shop"}),
        steps=frozenset({"review"}),
        uses_now=False,
    )


@pytest.mark.parametrize(
    ("text", "uses_now"),
    [
        ("now > profile.at", True),
        ('count("Order", since=now - days(1)) > 0', True),
        ("""count("Order", where="event.at > now") > 0""", True),
        ('did("Order", within="7d")', True),
        ('received("cart", within="7d")', True),
        ("days_since(profile.at) > 3", True),
        ("days_until(profile.at) > 3", True),
        ("weekday(profile.at) == 1", False),
        ('did("Order")', False),
        ('received("cart")', False),
        ("days(3) == days(3)", False),
    ],
)
def test_an_expression_says_whether_it_asks_for_the_time(text: str, uses_now: bool) -> None:
    assert references(text).uses_now is uses_now


def test_what_does_not_parse_has_no_references() -> None:
    with pytest.raises(ExpressionError):
        references("profile.")
