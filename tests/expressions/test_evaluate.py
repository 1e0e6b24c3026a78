"""The rules of values and truth, one by one."""

from __future__ import annotations

import itertools
import math
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import ids
from engine.expressions.evaluate import evaluate, is_true, resolve
from engine.expressions.values import as_time
from engine.profiles.model import Value
from tests.expressions.facts_of import NOON, FakeFacts, facts_of
from tests.expressions.strategies import PEOPLE, expressions

ANA = facts_of(
    profile={
        "plan": "pro",
        "points": 100,
        "score": 2.5,
        "vip": True,
        "zero": 0,
        "empty": "",
        "tags": ["a", "b", 1, None],
        "address": {"city": "Madrid", "lines": ["x", "y"]},
        "renewal": "2026-06-15",
        "leap": "2026-02-28",
        "seen_at": "2026-03-02T12:00:00+01:00",
        "local": "2026-03-02T12:00:00",
        "null": None,
        "big": 10**400,
    },
    event={"from": "ad", "total": 80, "cart_id": "c1"},
    trigger={"cart_id": "c1", "total": 100},
    steps={"review": {"event": {"rating": 4}, "response": None}, "send@steps.1": {"outcome": "sent"}},
)


def _table(rows: str) -> list[tuple[str, str]]:
    return [
        (left.strip(), right.strip()) for left, _, right in (row.partition("→") for row in rows.strip().split("\n"))
    ]


@pytest.mark.parametrize(
    ("text", "same_as"),
    _table("""
        profile.plan                                → "pro"
        event["from"]                               → "ad"
        profile.address.city                        → "Madrid"
        profile.address["lines"][1]                 → "y"
        profile.address.lines[-1]                   → "y"
        steps.review.event.rating                   → 4
        steps["send@steps.1"].outcome               → "sent"
        trigger.cart_id                             → "c1"
        -profile.points                             → 0 - 100
        profile.points + 1                          → 101
        profile.points / 8                          → 12.5
        profile.points / 50                         → 2
        2 * 3 - 4 / 2                               → 4
        0.1 + 0.2 - 0.2                             → 0.1 + 0.2 - 0.2
        "a" + profile.plan                          → "apro"
        lower("AÉ")                                 → "aé"
        upper(profile.plan)                         → "PRO"
        len(profile.plan)                           → 3
        len(profile.tags)                           → 4
        coalesce(profile.nope, none, 7)             → 7
        coalesce(profile.zero, 7)                   → 0
        date(profile.seen_at)                       → date("2026-03-02")
        date("2026-03-02T23:30:00Z")                → date("2026-03-03")
        weekday(now)                                → 1
        weekday("2026-03-08")                       → 7
        hour(now)                                   → 12
        hour("2026-07-01T12:00:00Z")                → 14
        hour("2026-07-01")                          → 0
        days_since("2026-03-01T23:30:00Z")          → 0
        days_since("2026-03-01T22:30:00Z")          → 1
        days_since("2026-03-05")                    → 0 - 3
        days_until("2026-03-05")                    → 3
        date(now) + days(1)                         → date("2026-03-03")
        weeks(1)                                    → days(7)
        hours(1)                                    → minutes(60)
        days(1.5)                                   → hours(36)
        now - days(1) - (now - days(3))             → days(2)
        date("2026-03-29") - date("2026-03-01")     → days(28)
    """),
)
def test_an_expression_has_a_value(text: str, same_as: str) -> None:
    value = evaluate(text, ANA)
    assert value is not None
    assert value == evaluate(same_as, ANA)
    assert type(value) is type(evaluate(same_as, ANA))


MISSING = """
    profile.nope   profile.null   profile.plan.x   profile.tags[9]   profile.tags.x   profile.address[0]
    profile.plan[0]   event.nope   trigger.nope   steps.nope.event.x   steps.review.event.nope
    steps.review.response.x   none   profile.nope+1   1-profile.nope   1/0   profile.points/profile.zero
    0/0   1.0/0   profile.vip+1   true+true   -true   -profile.plan   "a"+1   "a"*3   profile.plan-"a"
    days(1)*2   days(2)/days(1)   now+1   now+now   profile.renewal+1   profile.local+days(1)   lower(1)
    upper(none)   len(5)   days("1")   days(true)   days(none)   days(1e300)   now+days(9999999)
    date("x")   date(5)   weekday(profile.local)   hour("x")   days_since(none)
    days_until("2026-02-30")   coalesce(none,profile.nope)   1e308*10   profile.big*1.5   profile.big/3
    [1]+[2]   profile.tags-1   date(now)+profile.plan   now-profile.plan   -profile.nope
"""


@pytest.mark.parametrize("text", MISSING.split())
def test_what_cannot_be_computed_is_missing(text: str) -> None:
    assert evaluate(text, ANA) is None


TRUE = _table("""
    profile.points == 100.0                                  → numbers compare as numbers
    profile.points != "100"                                  → a number is no text
    profile.vip == true                                      → a boolean is itself
    profile.vip != 1                                         → and no number
    profile.zero != false                                    → nor is a number a boolean
    not (profile.vip > 0)                                    → nor has it an order
    not (profile.vip >= true)                                → not even among its kind
    profile.plan != "Pro"                                    → text is case-sensitive
    "Z" < "a"                                                → and ordered by code point
    "a" < "é"                                                → beyond ASCII, too
    profile.nope != "x"                                      → a missing value is unequal to everything
    profile.nope != profile.null                             → even to another missing one
    not (profile.nope == profile.null)                       → so it is not equal to it
    profile.nope not in ["a"]                                → in no list
    profile.nope not in profile.tags                         → not even in one that holds a null
    not (profile.nope in profile.tags)                       → and its negation agrees
    "x" not in profile.nope                                  → nothing is in what is missing
    not (profile.nope < 1) and not (profile.nope >= 1)       → neither low nor high
    profile.nope == none                                     → but `none` is what it is
    none == profile.null                                     → from either side
    none == none                                             → even itself
    profile.plan != none                                     → and what is there is not
    profile.nope in [none, "x"]                              → an authored `none` in a list, too
    not (profile.plan in [none, "x"])                        → which holds nothing else
    exists("")                                               → an empty text is there
    exists(profile.zero) and exists(false)                   → as are 0 and false
    not exists(profile.nope)                                 → a missing value is not
    profile.plan in ["pro", "team"]                          → a text in a list
    profile.points in [1, 100.0]                             → a number in a list
    not (true in [1]) and not (1 in [true])                  → a boolean is no number in lists either
    "ro" in profile.plan                                     → a part of a text
    "city" in profile.address                                → a name of an object
    not (1 in profile.plan)                                  → a number is part of no text
    contains(profile.tags, "a")                              → contains looks into lists
    contains(profile.plan, "ro")                             → and texts
    not contains(profile.address, "city")                    → but not objects
    not contains(profile.nope, "a")                          → nor what is missing
    not contains(profile.tags, profile.nope)                 → nor for it
    starts_with(profile.plan, "p") and ends_with(profile.plan, "o")  → the ends of a text
    not starts_with(profile.points, "1")                     → of which a number has none
    matches(profile.plan, "^p.o$")                           → a pattern
    matches(profile.plan, "r")                               → that may fit anywhere
    not matches(profile.points, "1")                         → in texts alone
    1 < profile.score <= 2.5 < 3                             → a chain is all of its pairs
    not (1 < 2 < 2)                                          → the last included
    profile.seen_at == now                                   → ISO text with an offset is a timestamp
    profile.seen_at == "2026-03-02T11:00:00.000Z"            → two such texts are compared as instants
    "2026-03-02 11:00:00+00:00" == now                       → with a space for the T
    not ("2026-03-02T11:00:00" == now)                       → without an offset it is text
    profile.local != now                                     → whatever it says
    profile.seen_at > now - days(1)                          → also where it is ordered
    "2026-03-02T12:00:00+02:00" < "2026-03-02T11:00:00Z"     → and it is not the text that is
    profile.renewal > "2026-06-14"                           → dates are ordered
    profile.renewal - days(14) == "2026-06-01"               → calendar arithmetic
    profile.leap + days(1) == "2026-03-01"                   → across months
    profile.leap + weeks(1) == "2026-03-07"                  → in weeks, too
    "2026-02-30" + days(1) == none                           → no date, no arithmetic
    now > "2026-03-02"                                       → a date compared with a timestamp is its local midnight
    "2026-03-02" == "2026-03-01T23:00:00Z"                   → of the profile's zone
    "2026-03-02" + hours(1) == "2026-03-02T00:00:00Z"        → from which hours are counted
    date("2026-03-29") + days(1) == "2026-03-29T22:00:00Z"   → a calendar day may have 23 hours
    now - days(1) == "2026-03-01T11:00:00Z"                  → a timestamp's day has 24
    now - last("Nothing") == none                            → nothing comes of nothing
    not (last("Nothing") < now - days(60))                   → and it is not long ago
    days(2) > hours(47)                                      → durations are ordered
    not (days(2) > 1)                                        → but not against numbers
    [1, "a"] == [1.0, "a"] and [1] != [true] and [1] != [1, 2]  → lists are equal item by item
    profile.address == profile.address                       → objects name by name
    not ([1] < [2])                                          → and have no order
    not (profile.nope and 1)                                 → missing is false
    not (profile.zero or profile.empty or false or [])       → as are 0 and what is empty
    (profile.plan or 0) == true                              → and, or and not give true or false
    (profile.plan and 1) == true                             → never one of their sides
    (not profile.nope) == true                               → whatever they are asked of
    bucket("a") == bucket("a") and bucket("a") != bucket("b")   → a bucket depends on its salt
    0 <= bucket("a") < 10000                                 → and is one of ten thousand
""")


@pytest.mark.parametrize(("text", "why"), TRUE, ids=[why for _, why in TRUE])
def test_truth(text: str, why: str) -> None:
    assert is_true(text, ANA), why


def test_no_condition_holds() -> None:
    assert is_true(None, ANA)


def test_a_bucket_is_that_of_the_whole_engine() -> None:
    assert evaluate('bucket("salt")', ANA) == ids.bucket("salt", "p1")


def test_a_date_is_what_it_is_in_the_profile_s_zone() -> None:
    late = ANA.at(datetime(2026, 3, 2, 23, 30, tzinfo=UTC))
    assert evaluate("date(now)", late) == date(2026, 3, 3)
    assert evaluate("days_since(profile.seen_at)", late) == 1


# ── the profile's past ───────────────────────────────────────────────────────────────────────────────────────────────
def _order(ago: timedelta, **properties: Value) -> tuple[timedelta, str, dict[str, Value]]:
    return -ago, "Order", properties


DAY = timedelta(days=1)
BUYER = facts_of(
    events=[
        _order(30 * DAY, total=10, shop="a"),
        _order(7 * DAY, total=50, shop="b", note="x"),
        _order(2 * DAY, total="60", shop="a"),
        _order(DAY, total=60.5, shop="a", vip=True),
        _order(timedelta(0), total=None, vip=1),
        (DAY / 1440, "Order", {"total": 1_000}),
    ],
    trigger={"shop": "b"},
    segments={"big": 'sum("Order", "total") > 100', "small": 'not segment("big")'},
    consents={("email", "news"): None, ("sms", "news"): NOON},
    journeys=["cart"],
    sent={"cart": [-8 * DAY, -7 * DAY], "news": []},
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('count("Order")', 5),
        ('count("Nothing")', 0),
        ('did("Order")', True),
        ('did("Nothing")', False),
        ('count("Order", within="7d")', 3),
        ('count("Order", within="7d1s")', 4),
        ('count("Order", shop="a")', 3),
        ('count("Order", shop="a", within="7d")', 2),
        ('count("Order", shop=trigger.shop)', 1),
        ('count("Order", shop=trigger.nope)', 0),
        ('count("Order", shop=none)', 1),
        ('count("Order", vip=true)', 1),
        ('count("Order", vip=1)', 1),
        ('count("Order", total=60)', 0),
        ('count("Order", where="event.total > 50")', 1),
        ('count("Order", where="event.total >= 50 and event.shop == trigger.shop")', 1),
        ('count("Order", where="event.total")', 4),
        ('count("Order", since=now - days(7))', 4),
        ('count("Order", since=now - days(7) + minutes(1))', 3),
        ('count("Order", since=now - days(7), within="1d1h")', 2),
        ('count("Order", since="2026-03-01")', 2),
        ('count("Order", since="2026-03-01T11:00:00Z")', 2),
        ('count("Order", since=trigger.nope)', 0),
        ('sum("Order", "total", since="soon")', 0),
        ('sum("Order", "total")', 120.5),
        ('sum("Order", "total", within="7d")', 60.5),
        ('sum("Order", "nope")', 0),
        ('sum("Order", "vip")', 1),
        ('min("Order", "total")', 10),
        ('max("Order", "total")', 60.5),
        ('min("Order", "nope")', None),
        ('max("Nothing", "total")', None),
        ('avg("Order", "total", where="event.total <= 50")', 30),
        ('avg("Nothing", "total")', None),
        ('distinct("Order", "shop")', 2),
        ('distinct("Order", "vip")', 2),
        ('distinct("Nothing", "shop")', 0),
        ('first("Order")', NOON - 30 * DAY),
        ('last("Order")', NOON),
        ('last("Order", shop="b")', NOON - 7 * DAY),
        ('last("Nothing")', None),
        ('segment("big")', True),
        ('segment("small")', False),
        ('consent("email", "news")', True),
        ('consent("sms", "news")', False),
        ('consent("email", "cart")', False),
        ('enrolled("cart")', True),
        ('enrolled("news")', False),
        ('received("cart")', True),
        ('received("news")', False),
        ('received("cart", within="7d")', False),
        ('received("cart", within="8d")', True),
    ],
)
def test_the_past_is_asked_about(text: str, value: Value) -> None:
    found = evaluate(text, BUYER)
    assert (found, type(found)) == (value, type(value))


def test_the_event_under_test_counts_even_ahead_of_the_clock() -> None:
    facts = facts_of(events=[_order(DAY)], tested=(timedelta(minutes=4), "Order", {"total": 7}))
    for text, value in [("count('Order')", 2), ("count('Order', within='1h')", 1), ("sum('Order', 'total')", 7)]:
        assert evaluate(text, facts) == value
    assert evaluate("last('Order') - now == minutes(4) and event.total == 7", facts) is True


def test_ten_times_a_tenth_is_one_in_any_order() -> None:
    totals = [0.1] * 10 + [1e16, 1, -1e16]
    for order in (totals, totals[::-1], sorted(totals)):
        facts = facts_of(events=[_order(DAY, total=total) for total in order])
        assert evaluate('sum("Order", "total")', facts) == 2


def test_numbers_that_are_none_any_more_are_passed_over() -> None:
    facts = facts_of(events=[_order(DAY, total=total) for total in (math.nan, math.inf, 3)])
    assert [evaluate(f'{name}("Order", "total")', facts) for name in ("sum", "min", "max", "avg")] == [3, 3, 3, 3]


# ── values as authored ───────────────────────────────────────────────────────────────────────────────────────────────
def test_every_string_that_begins_with_an_equals_sign_is_computed() -> None:
    authored = {
        "plain": "x = 1",
        "number": 5,
        "score": "= coalesce(profile.score, 0) + 10",
        "list": ["=profile.plan", {"deep": "= event.total"}],
        "gone": "= profile.nope",
        "=not a key": True,
    }
    assert resolve(authored, ANA) == {
        "plain": "x = 1",
        "number": 5,
        "score": 12.5,
        "list": ["pro", {"deep": 80}],
        "gone": None,
        "=not a key": True,
    }


def test_computed_moments_become_json() -> None:
    authored = ["= now", "= now + minutes(0.001)", "= date(now)", "= days(1)", "= now - (now - hours(0.5))", "= [now]"]
    assert resolve(authored, ANA) == [
        "2026-03-02T11:00:00Z",
        "2026-03-02T11:00:00.060000Z",
        "2026-03-02",
        86_400,
        1_800,
        ["2026-03-02T11:00:00Z"],
    ]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2026-03-02", date(2026, 3, 2)),
        ("2026-03-02T12:00Z", datetime(2026, 3, 2, 12, tzinfo=UTC)),
        ("2026-03-02T12:00:00.123456789+0530", datetime(2026, 3, 2, 6, 30, 0, 123456, tzinfo=UTC)),
        ("2026-02-30", None),
        ("2026-03-02T25:00:00Z", None),
        ("2026-03-02T12:00:00", None),
        ("20260302T120000Z", None),
        ("2026-W10-1", None),
        ("0001-01-01T00:00:00+14:00", None),
        ("٢٠٢٦-03-02", None),
        ("2026-03-02\n", None),
    ],
)
def test_text_that_is_a_moment(text: str, value: Value) -> None:
    assert as_time(text) == value


# ── laws ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
VALUES: list[Value] = [None, True, False, 0, 1, 1.0, -2.5, "", "a", "A", "2026-03-02", "2026-03-02T00:00:00+01:00"]
VALUES += ["2026-03-01T23:00:00Z", NOON, date(2026, 3, 2), timedelta(days=1), [], [1], [True], {}, {"a": 1}]


def test_comparisons_keep_their_laws_for_values_of_any_type() -> None:
    for a, b in itertools.product(VALUES, repeat=2):
        facts = facts_of(profile={"a": a, "b": b})
        held = {sign: is_true(f"profile.a {sign} profile.b", facts) for sign in ("==", "!=", "<", "<=", ">", ">=")}
        swapped = {sign: is_true(f"profile.b {sign} profile.a", facts) for sign in held}
        assert held["!="] is not held["=="]
        assert (held["=="], held["<"], held["<="]) == (swapped["=="], swapped[">"], swapped[">="])
        assert not (held["<"] and held[">"])
        assert held["<="] == held[">="] or held["<"] or held[">"]
        if a is None or b is None:
            assert not any(held[sign] for sign in ("==", "<", "<=", ">", ">="))
        assert is_true("profile.a not in [profile.b]", facts) is held["!="]


@settings(max_examples=150, deadline=None)
@given(expressions(), st.sampled_from(PEOPLE))
def test_any_expression_has_a_truth(text: str, facts: FakeFacts) -> None:
    assert is_true(text, facts) in (True, False)
    assert is_true(f"not ({text})", facts) is not is_true(text, facts)
