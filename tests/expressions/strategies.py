"""Random expressions about a few people, for properties that must hold of all of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from tests.expressions.facts_of import NOON, FakeFacts, facts_of

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
#: Before and in the week in which Madrid's clocks go forward (29 March 2026, 02:00 → 03:00).
SPRING = datetime(2026, 3, 27, 22, 45, 30, 5, tzinfo=UTC)

_EVENTS = [
    (-61 * DAY, "A", {"x": 5, "at": "2026-03-30"}),
    (-7 * DAY, "A", {"x": 1, "at": "2026-03-29T01:30:00Z"}),
    (-3 * DAY - HOUR, "B", {"x": "no"}),
    (-2 * HOUR, "A", {"x": 2.5}),
    (timedelta(minutes=3), "B", {"x": 3}),
]
_SEGMENTS = {
    "fresh": 'did("A", within="3d")',
    "late": 'last("A") < now - hours(3) and not segment("fresh")',
    "odd": 'weekday(now) in [6, 7] or count("B", where="event.x == 3") > 0',
}
_PROFILE = {"n": 3, "t": "pro", "on": "2026-03-30", "at": "2026-03-29T01:00:00Z", "list": [1, "2026-03-28"], "b": True}

PEOPLE: list[FakeFacts] = [
    facts_of(
        now=now,
        zone=ZoneInfo(zone),
        events=_EVENTS,
        segments=_SEGMENTS,
        profile=_PROFILE,
        event={"x": 2, "at": "2026-03-28T00:00:00+01:00"},
        sent={"j": [-3 * DAY, -HOUR]},
        consents={("email", "news"): now + 5 * HOUR, ("sms", "news"): None},
    )
    for now, zone in [
        (SPRING, "Europe/Madrid"),
        (NOON, "Asia/Kolkata"),
        (datetime(2026, 10, 24, 23, 0, tzinfo=UTC), "Europe/Madrid"),
        (datetime(2026, 4, 4, 12, 0, tzinfo=UTC), "Australia/Lord_Howe"),
    ]
]

_MOMENTS = [
    *("now", "now", 'last("A")', 'first("B")', "profile.on", "profile.at", "event.at", "date(now)", '"2026-03-29"'),
    *('last("A", within="7d1m")', "profile.nope", '"2026-03-28T23:00:00Z"', 'last("B", since=now - hours(80))'),
]
_SPANS = ["days(1)", "hours(3)", "days(60)", "weeks(1)", "minutes(90)", '(now - last("A"))', "(profile.at - now)"]
_NUMBERS = [
    *("1", "2.5", "profile.n", "event.x", "profile.nope", 'count("A")', 'count("A", within="7d1h")', 'bucket("s")'),
    *('sum("A", "x", within="61d2h")', 'avg("B", "x")', 'distinct("A", "x")', 'count("A", since=now - days(8))'),
    *(
        """count("A", where="event.at > now")""",
        'count("B", x=event.x)',
        """sum("A", "x", where='event.x < hour(now)')""",
    ),
]
_TRUTHS = [
    *("true", "profile.b", 'segment("fresh")', 'segment("late")', 'segment("odd")', 'received("j", within="3d1h")'),
    *('consent("email", "news")', 'consent("sms", "news")', 'enrolled("j")', 'did("A", within="3h")', "exists(now)"),
    *('did("B")', """did("A", where="event.at < now")""", 'did("A", within="7d1h", since=now - days(7))'),
]
_TEXTS = ["profile.t", '"pro"', "lower(profile.t)", 'upper("x")', "profile.nope", "profile.on"]
_SIGNS = st.sampled_from(["==", "!=", "<", "<=", ">", ">="])


def _moments() -> st.SearchStrategy[str]:
    plain = st.sampled_from(_MOMENTS)
    moved = st.tuples(plain, st.sampled_from("+-"), st.sampled_from(_SPANS)).map(" ".join)
    return st.one_of(plain, moved, moved.map(lambda text: f"({text})"))


def _numbers() -> st.SearchStrategy[str]:
    of_moments = st.tuples(st.sampled_from(["days_since", "days_until", "weekday", "hour"]), _moments())
    plain = st.one_of(st.sampled_from(_NUMBERS), of_moments.map(lambda pair: f"{pair[0]}({pair[1]})"))
    return st.one_of(plain, st.tuples(plain, st.sampled_from("+-*/"), plain).map(lambda parts: f"({' '.join(parts)})"))


def _spans() -> st.SearchStrategy[str]:
    between = st.tuples(_moments(), _moments()).map(lambda pair: f"({pair[0]} - ({pair[1]}))")
    return st.one_of(st.sampled_from(_SPANS), between)


def expressions() -> st.SearchStrategy[str]:
    """Conditions in which time, the past and everything else meet."""

    def compared(sides: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        return st.tuples(sides, _SIGNS, sides).map(" ".join)

    anything = st.one_of(_moments(), _numbers(), st.sampled_from(_TEXTS), st.just("none"))
    listed = st.tuples(anything, st.sampled_from(["in", "not in"]), st.lists(anything, max_size=3)).map(
        lambda parts: f"{parts[0]} {parts[1]} [{', '.join(parts[2])}]"
    )
    atoms = st.one_of(
        compared(_moments()),
        compared(_numbers()),
        compared(_spans()),
        compared(anything),
        listed,
        st.sampled_from(_TRUTHS),
        st.tuples(_moments(), st.sampled_from(["in profile.list", "!= coalesce(profile.nope, now)"])).map(" ".join),
        st.tuples(_moments()).map(lambda parts: f"date({parts[0]}) == date(now)"),
        _spans(),
    )

    def grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        joined = st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(lambda parts: f"({' '.join(parts)})")
        return st.one_of(joined, inner.map(lambda text: f"not ({text})"))

    return st.recursive(atoms, grown, max_leaves=4)
