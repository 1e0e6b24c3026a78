"""What `check` can say about an expression before anybody meets it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings

from engine.expressions.scope import ANYTHING, ExpressionProblem, Scope, Shape
from engine.expressions.typing import check_expression
from tests.expressions.strategies import expressions

CATALOGUE = {
    "Cart Updated": {"cart_id": "string", "total": "number", "items": "list"},
    "Order Completed": {"order_id": "string", "total": "number", "gift": "boolean", "at": "timestamp", "raw": "any"},
}
#: Inside a journey that an order begins, with an order under test.
INSIDE = Scope(
    events=CATALOGUE,
    attributes={"plan": "string", "renewal_date": "date", "points": "number", "tags": "list", "extra": "object"},
    segments=["vip", "customers"],
    journeys=["abandoned_cart", "welcome"],
    channels=["email", "sms"],
    topics=["news", "cart"],
    event=Shape(names=CATALOGUE["Order Completed"], of="the event `Order Completed`"),
    trigger=Shape(names=CATALOGUE["Cart Updated"]),
    steps={
        "review": {"event": Shape(names={"rating": "number"}, of="the event `Review Written`")},
        "ask": {"response": "any", "outcome": "string"},
        "api": {"event": ANYTHING},
    },
)


@pytest.mark.parametrize(
    "text",
    [
        "event.total > 50 and trigger.total <= 3",
        'profile.email != none and profile.timezone == "Europe/Madrid" and profile.id in ["a"]',
        "steps.review.event.rating >= 4 and steps.ask.response.data.ok == true",
        'steps.ask.outcome == "sent" and steps.api.event.what == 1',
        'count("Order Completed", order_id="o1", where="event.total > trigger.total", since=event.at) >= 3',
        'count("Cart Updated", where="event.cart_id == trigger.cart_id") > 1',
        'sum("Order Completed", "total") / count("Order Completed") > avg("Order Completed", "total")',
        'first("Order Completed") + days(4) < now',
        'last("Order Completed", within="7d") == none or days_since(last("Order Completed")) > 60',
        'profile.renewal_date - days(14) <= now and profile.renewal_date == "2026-01-01"',
        "profile.renewal_date < now and date(now) == profile.renewal_date",
        "now - event.at > days(3) and hours(1) + now > event.at",
        'event.at > "2026-01-01T00:00:00Z" and event.at > profile.plan',
        'days_since("2026-01-01") > 3 and weekday(profile.plan) == 1',
        'segment("vip") and consent("email", "news") and enrolled("welcome") and received("abandoned_cart")',
        'contains(profile.tags, "a") and contains(profile.plan, "r") and len(profile.extra) > 1',
        '"a" in profile.tags and profile.plan in ["pro", none] and "x" in profile.plan and 1 in event.raw',
        'coalesce(profile.points, 0) + 10 > 20 and coalesce(profile.plan, 0) == "x"',
        '"Hello " + profile.plan == lower(profile.plan) and -event.total < 0 and -days(1) < days(1)',
        "profile.extra.city == 'Madrid' and event.gift == true and event.gift",
        "true and (event.total > 1 or none == profile.plan)",
        'distinct("Order Completed", "order_id") > 1 and event.raw > "a" and event.raw * 2 > 1',
    ],
)
def test_what_fits_the_catalogue_has_no_problem(text: str) -> None:
    assert check_expression(text, INSIDE) == []


@pytest.mark.parametrize(
    ("text", "code_word", "severity", "place", "said"),
    [
        ("event.totl > 1", "unknown_property", "warning", "event.totl", "did you mean `total`?"),
        ("event.Total > 1", "unknown_property", "warning", "event.Total", "did you mean `total`?"),
        ("event.zzz > 1", "unknown_property", "warning", "event.zzz", "events:"),
        ("profile.pln == 'a'", "unknown_attribute", "warning", "profile.pln", "did you mean `plan`?"),
        ("profile.emal == 'a'", "unknown_attribute", "warning", "profile.emal", "did you mean `email`?"),
        ("profile.zzz == 'a'", "unknown_attribute", "warning", "profile.zzz", "attributes:"),
        ("trigger.totl > 1", "unknown_trigger_name", "warning", "trigger.totl", "did you mean `total`?"),
        (
            'did("Order Complete")',
            "unknown_event",
            "warning",
            'did("Order Complete")',
            "did you mean `Order Completed`?",
        ),
        (
            'did("order completed")',
            "unknown_event",
            "warning",
            'did("order completed")',
            "did you mean `Order Completed`?",
        ),
        ('sum("Order Completed", "totl")', "unknown_property", "warning", None, "did you mean `total`?"),
        ('count("Order Completed", ordr_id="x")', "unknown_property", "warning", '"x"', "did you mean `order_id`?"),
        (
            """count("Order Completed", where="event.totl > 1")""",
            "unknown_property",
            "warning",
            "event.totl",
            "did you mean `total`?",
        ),
        ('segment("vp")', "unknown_segment", "error", 'segment("vp")', "did you mean `vip`?"),
        ('enrolled("abandoned_crt")', "unknown_journey", "error", None, "did you mean `abandoned_cart`?"),
        ('received("x")', "unknown_journey", "error", None, ""),
        ('consent("emial", "news")', "unknown_channel", "error", None, "did you mean `email`?"),
        ('consent("email", "nws")', "unknown_topic", "error", None, "did you mean `news`?"),
        ("steps.rview.event.rating > 1", "unknown_step", "error", "steps.rview.event.rating", "did you mean `review`?"),
        ("steps.review.response", "unknown_step_value", "error", "steps.review.response", "`event`"),
        ("steps.review == none", "unknown_step_value", "error", "steps.review", "`event`"),
        ("steps.review.event.ratng", "unknown_property", "warning", None, "did you mean `rating`?"),
        ('event.total > "50"', "unlike_types", "warning", 'event.total > "50"', "without quotes"),
        ("event.total == event.gift", "unlike_types", "warning", None, "always false"),
        ("event.total != profile.plan", "unlike_types", "warning", None, "always true"),
        ("event.gift == 'true'", "unlike_types", "warning", None, "without quotes"),
        ("event.gift > false", "unlike_types", "warning", None, "has no order"),
        ("profile.tags < profile.tags", "unlike_types", "warning", None, "has no order"),
        ("profile.plan < none", "unlike_types", "warning", None, "exists(x)"),
        ("now - event.at > 3", "unlike_types", "warning", None, "days(3)"),
        ("event.at > 3", "unlike_types", "warning", None, "always false"),
        ('event.at > "soon"', "unlike_types", "warning", None, "always false"),
        ('event.total in [1, "2"]', "unlike_types", "warning", '"2"', "never found"),
        ('count("Order Completed", total="5") > 1', "unlike_types", "warning", '"5"', "never equal"),
        ("event.total in 5", "wrong_operand", "error", "5", "into a list"),
        ("profile.renewal_date + 14 < now", "wrong_operand", "error", "profile.renewal_date + 14", "days(14)"),
        ("days(2) * 3 < days(9)", "wrong_operand", "error", "days(2) * 3", "compute inside"),
        ('event.total + "1" == 2', "wrong_operand", "error", None, "joins two texts"),
        ("now + now == none", "wrong_operand", "error", "now + now", "always missing"),
        ('days(1) - "2026-01-01" == none', "wrong_operand", "error", None, "always missing"),
        ("event.gift * 2 > 1", "wrong_operand", "error", "event.gift * 2", "always missing"),
        ("-profile.plan == none", "wrong_operand", "error", "-profile.plan", "always missing"),
        ('days("3") < days(4)', "wrong_argument", "error", '"3"', "a number, not a text"),
        ("lower(event.total) == 'a'", "wrong_argument", "error", "event.total", "a text, not a number"),
        ("weekday(3) == 1", "wrong_argument", "error", "3", "a date or a timestamp"),
        ('weekday("soon") == 1', "wrong_argument", "error", '"soon"', "a date or a timestamp"),
        ('sum("Order Completed", "order_id") > 1', "wrong_argument", "warning", None, "reckons with numbers"),
        ('did("Order Completed", since="soon")', "wrong_argument", "error", '"soon"', "a timestamp, not a text"),
        ('event.raw == "a" or "b"', "constant", "warning", '"b"', "coalesce"),
        ("event.raw and 5", "constant", "warning", "5", "x in ["),
        ("plan == 1", "syntax", "error", "plan == 1", "did you mean `profile.plan`"),
        ("event.total >", "syntax", "error", "", "too early"),
    ],
)
def test_a_problem_is_named_with_its_place(
    text: str, code_word: str, severity: str, place: str | None, said: str
) -> None:
    [problem] = check_expression(text, INSIDE)
    assert (problem.code_word, problem.severity) == (code_word, severity)
    assert said in f"{problem.message} {problem.hint}"
    if place is not None:
        assert text[problem.offset : problem.offset + problem.length] == place


def test_a_problem_is_one_value() -> None:
    assert check_expression('not segment("vp")', INSIDE) == [
        ExpressionProblem(
            offset=4,
            length=13,
            code_word="unknown_segment",
            severity="error",
            message="there is no segment `vp`",
            hint="did you mean `vip`?",
        )
    ]


def test_all_problems_come_in_order_of_their_places() -> None:
    text = 'event.totl > 1 and segment("x") and profile.renewal_date + 1 > 2 and consent("fax", "spam")'
    words = [problem.code_word for problem in check_expression(text, INSIDE)]
    assert words == ["unknown_property", "unknown_segment", "wrong_operand", "unknown_channel", "unknown_topic"]


def test_names_without_a_place_are_errors() -> None:
    nowhere = Scope()
    for text, code_word in [("event.a", "no_event"), ("trigger.a", "no_trigger"), ("steps.a.event.b", "no_steps")]:
        [problem] = check_expression(text, nowhere)
        assert (problem.code_word, problem.severity) == (code_word, "error")


def test_in_a_where_the_counted_event_is_under_test_wherever_it_stands() -> None:
    segment = replace(INSIDE, event=None, trigger=None, steps=None)
    assert check_expression("""did("Order Completed", where="event.total > 1")""", segment) == []
    [problem] = check_expression('did("Order Completed", order_id=event.order_id)', segment)
    assert problem.code_word == "no_event"


def test_without_a_catalogue_any_event_and_attribute_may_be_there() -> None:
    free = replace(INSIDE, events=None, attributes=None, event=ANYTHING, trigger=ANYTHING)
    text = 'count("Whatever", x=1, where="event.y > 2") > profile.z and event.a == trigger.b'
    assert check_expression(text, free) == []


def test_the_properties_of_an_unknown_event_are_not_complained_about_as_well() -> None:
    [problem] = check_expression('sum("Odr", "total", where="event.x == 1", y=2)', INSIDE)
    assert problem.code_word == "unknown_event"


@settings(max_examples=100, deadline=None)
@given(expressions())
def test_every_problem_lies_inside_its_text(text: str) -> None:
    for problem in check_expression(text, INSIDE):
        assert 0 <= problem.offset < problem.offset + problem.length <= len(text)
