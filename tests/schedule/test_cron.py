"""A schedule fires once for each local time, whatever the clocks do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import BadInput
from engine.schedule import check_cron, next_fire

MADRID, NEW_YORK, APIA = (ZoneInfo(name) for name in ("Europe/Madrid", "America/New_York", "Pacific/Apia"))


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def fires(cron: str, zone: ZoneInfo, after: str, until: str) -> list[datetime]:
    found, moment = [], at(after)
    while (moment := next_fire(cron, zone, moment)) <= at(until):
        found.append(moment)
    return found


def test_a_weekly_schedule_stays_at_nine_when_the_clocks_change() -> None:
    assert fires("0 9 * * MON", MADRID, "2026-03-22T00:00Z", "2026-04-01T00:00Z") == [
        at("2026-03-23T09:00+01:00"),
        at("2026-03-30T09:00+02:00"),
    ]


def test_in_the_autumn_hour_it_fires_at_the_first_pass_alone() -> None:
    assert fires("30 1 * * *", NEW_YORK, "2026-10-31T12:00Z", "2026-11-02T12:00Z") == [
        at("2026-11-01T01:30-04:00"),
        at("2026-11-02T01:30-05:00"),
    ]


def test_asked_in_the_second_pass_it_waits_for_the_next_local_time() -> None:
    assert next_fire("*/30 * * * *", NEW_YORK, at("2026-11-01T01:05-05:00")) == at("2026-11-01T02:00-05:00")


def test_all_times_of_a_spring_gap_fire_once_at_its_end() -> None:
    assert fires("*/20 2 * * *", NEW_YORK, "2026-03-08T00:00-05:00", "2026-03-09T02:10-04:00") == [
        at("2026-03-08T03:00-04:00"),
        at("2026-03-09T02:00-04:00"),
    ]


def test_a_day_that_the_zone_leaves_out_fires_once_where_the_next_begins() -> None:
    assert fires("0 9 * * *", APIA, "2011-12-29T10:00-10:00", "2012-01-01T00:00+14:00") == [
        at("2011-12-31T00:00+14:00"),
        at("2011-12-31T09:00+14:00"),
    ]


def test_the_moment_itself_is_not_the_next_one() -> None:
    assert next_fire("0 9 * * *", MADRID, at("2026-03-02T09:00+01:00")) == at("2026-03-03T09:00+01:00")
    assert next_fire("0 9 * * *", MADRID, at("2026-03-02T08:59:59.999999+01:00")) == at("2026-03-02T09:00+01:00")


@settings(max_examples=50, deadline=None)
@given(
    st.sampled_from(["Europe/Madrid", "America/Havana", "Australia/Lord_Howe", "Africa/Cairo", "Asia/Beirut"]),
    st.integers(0, 3652 * 1440),
)
def test_no_local_time_fires_twice(name: str, minutes: int) -> None:
    zone = ZoneInfo(name)
    moment, walls = at("2020-01-01T00:00Z") + timedelta(minutes=minutes), []
    for _ in range(60):
        moment = next_fire("0,30 0-3 * * *", zone, moment)
        walls.append(moment.astimezone(zone).replace(tzinfo=None))
    assert all(later > earlier for earlier, later in pairwise(walls))
    assert all(later - earlier <= timedelta(hours=22) for earlier, later in pairwise(walls))


@pytest.mark.parametrize(
    "cron", ["0 9 * * MON", "*/15 8-17 * * mon-fri", "0 0 1,15 * *", "0 9 * * fri#2", "0 0 29 2 *", "0 9 L * *"]
)
def test_five_readable_fields_are_a_schedule(cron: str) -> None:
    check_cron(cron)


@pytest.mark.parametrize(
    ("cron", "says"),
    [
        ("0 9 * *", "has 4 fields"),
        ("@daily", "has 1 fields"),
        ("0 0 9 * * MON", "has 6 fields"),
        ("61 9 * * *", "no schedule"),
        ("*/0 9 * * *", "no schedule"),
        ("H 9 * * *", "no cron field"),
        ("R(0-9) 9 * * *", "no cron field"),
        ("0 0 30 2 *", "never comes"),
    ],
)
def test_what_is_no_schedule_is_refused_with_its_reason(cron: str, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        check_cron(cron)
