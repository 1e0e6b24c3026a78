"""When time alone may change a truth: exact where that is easy, never too late anywhere."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.expressions.evaluate import is_true
from engine.expressions.local_spans import local_span
from engine.expressions.stability import next_change
from tests.expressions.facts_of import NOON, FakeFacts, facts_of
from tests.expressions.strategies import PEOPLE, expressions

DAY, HOUR, TICK = timedelta(days=1), timedelta(hours=1), timedelta(microseconds=1)
#: Local midnight after `NOON` in Madrid.
MIDNIGHT = NOON + 12 * HOUR

BUYER = facts_of(
    events=[
        (-80 * DAY, "Order", {"total": 400}),
        (-3 * DAY, "Order", {"total": 100}),
        (timedelta(minutes=2), "Order", {"total": 1}),
        (-5 * DAY, "View", {"path": "/a", "at": "2026-03-04"}),
        (-DAY, "View", {"path": "/b"}),
    ],
    segments={
        "vip": 'sum("Order", "total", within="90d") >= 500',
        "idle": 'not did("View", within="2d")',
        "rich": "profile.points > 1000",
        "lapsing": 'segment("idle") and segment("vip")',
    },
    profile={"renewal": "2026-03-10", "points": 5},
    sent={"cart": [-10 * DAY, -2 * DAY]},
    consents={("email", "news"): NOON + HOUR, ("sms", "news"): None, ("chat", "news"): NOON - HOUR},
)


@pytest.mark.parametrize(
    ("text", "changes_at"),
    [
        ("profile.points > 3", None),
        ('segment("rich")', None),
        ('enrolled("cart")', None),
        ("now > profile.nope", None),
        ("now > 5", None),
        ('now > "2026-03-01"', None),
        ('"2026-03-01" > now', None),
        ('now >= "2026-03-03T00:00:00Z"', NOON + 13 * HOUR),
        ('now > "2026-03-03T00:00:00Z"', NOON + 13 * HOUR + TICK),
        ('now == "2026-03-03T00:00:00Z"', NOON + 13 * HOUR),
        ('now == "2026-03-02T11:00:00Z"', NOON + TICK),
        ('now <= "2026-03-02T11:00:00Z"', NOON + TICK),
        ('now >= "2026-03-02T11:00:00Z"', None),
        ('now in ["2026-03-01", "2026-03-03"]', MIDNIGHT),
        ("now >= profile.renewal", NOON + 7 * DAY + 12 * HOUR),
        ("now + days(2) >= profile.renewal", NOON + 5 * DAY + 12 * HOUR),
        ("profile.renewal - now <= days(1)", NOON + 6 * DAY + 12 * HOUR),
        ('last("View") < now - days(60)', NOON + 59 * DAY + TICK),
        ('last("View") <= now - days(60)', NOON + 59 * DAY),
        ('last("View") > now - days(60)', NOON + 59 * DAY),
        ('now - last("View") > days(60)', NOON + 59 * DAY + TICK),
        ('not (now - last("View") < days(60))', NOON + 59 * DAY),
        ('days_since(last("View")) > 60', MIDNIGHT),
        ("days_until(profile.renewal) == 7", MIDNIGHT),
        ("weekday(now) == 1", MIDNIGHT),
        ('date(now) == "2026-03-02"', MIDNIGHT),
        ("hour(now) >= 9", NOON + HOUR),
        ("hour(now + minutes(30)) >= 9", NOON + HOUR / 2),
        ("weekday(profile.renewal) == 1", None),
        ('profile.renewal + (now - last("View")) == "2026-03-11"', NOON + TICK),
        ('did("View", within="7d")', NOON + 6 * DAY),
        ('count("View", within="7d") > 1', NOON + 2 * DAY),
        ('count("View", within="7d", path="/b") > 0', NOON + 6 * DAY),
        ('count("View", within="7d", path="/c") > 0', None),
        ("""count("View", within="7d", where="event.path == '/b'") > 0""", NOON + 6 * DAY),
        ("""did("View", where="event.at <= now")""", NOON + DAY + 12 * HOUR),
        ('count("View", since=now - days(2)) > 0', NOON + DAY + TICK),
        ('count("View", since="2026-03-01") > 0', None),
        ('last("View", within="7d") > now - days(3)', NOON + 2 * DAY),
        ('did("Order")', NOON + timedelta(minutes=2)),
        ('segment("vip")', NOON + timedelta(minutes=2)),
        ('segment("idle")', NOON + DAY),
        ('segment("lapsing")', NOON + DAY),
        ('received("cart")', None),
        ('received("cart", within="7d")', NOON + 5 * DAY),
        ('received("cart", within="1d")', None),
        ('received("news", within="7d")', None),
        ('consent("email", "news")', NOON + HOUR),
        ('consent("sms", "news")', None),
        ('consent("chat", "news")', None),
        ("hour(now) > 1 and profile.points > 9", None),
        ("hour(now) > 1 or profile.points > 3", None),
        ('hour(now) > 1 and segment("idle")', NOON + DAY),
        ("exists(now)", None),
        ('now < "9999-12-31T00:00:00Z" + days(1)', None),
    ],
)
def test_the_next_change_is_known(text: str, changes_at: datetime | None) -> None:
    assert next_change(text, BUYER, BUYER.segments) == changes_at


@settings(max_examples=400, deadline=None)
@given(expressions(), st.sampled_from(PEOPLE), st.data())
def test_a_truth_stands_until_the_next_change(text: str, facts: FakeFacts, data: st.DataObject) -> None:
    changes_at = next_change(text, facts, facts.segments)
    horizon = facts.now + 40 * DAY
    end = min(changes_at, horizon) if changes_at else horizon
    assert end > facts.now
    span = (end - facts.now) // TICK
    offsets = data.draw(st.lists(st.integers(0, span - 1), min_size=5, max_size=5))
    for offset in {*offsets, 1 % span, span - 1, *range(0, span, max(1, span // 8))}:
        moment = facts.now + offset * TICK
        assert is_true(text, facts.at(moment)) is is_true(text, facts), moment


@settings(max_examples=100, deadline=None)
@given(expressions(), st.sampled_from(PEOPLE))
def test_a_sweep_that_follows_the_changes_misses_none(text: str, facts: FakeFacts) -> None:
    """From change to change, the truth at every whole hour is the one last found."""
    found = is_true(text, facts)
    following = next_change(text, facts, facts.segments)
    for hour in range(1, 24 * 8):
        moment = facts.now.replace(minute=0, second=0, microsecond=0) + hour * HOUR
        for _ in range(50):
            if following is None or following > moment:
                break
            there = facts.at(following)
            found, following = is_true(text, there), next_change(text, there, facts.segments)
        else:
            return  # so many changes in an hour that following them proves nothing more
        assert is_true(text, facts.at(moment)) is found, moment


@pytest.mark.parametrize("zone", ["Europe/Madrid", "Australia/Lord_Howe", "America/St_Johns", "Asia/Kathmandu", "UTC"])
def test_neither_hour_nor_day_changes_within_a_span(zone: str) -> None:
    place = ZoneInfo(zone)
    for start in (
        datetime(2026, 3, 7, tzinfo=UTC),
        datetime(2026, 10, 24, tzinfo=UTC),
        datetime(2006, 10, 28, tzinfo=UTC),
    ):
        for quarter in range(0, 4 * 48, 3):
            moment = start + quarter * HOUR / 4 + timedelta(seconds=7)
            here = moment.astimezone(place)
            for unit in ("hour", "day"):
                begin, end = local_span(moment, place, unit)
                assert begin <= moment < end
                for inside in (begin, end - TICK, begin + (end - begin) / 3):
                    there = inside.astimezone(place)
                    assert there.date() == here.date()
                    assert unit == "day" or there.hour == here.hour
