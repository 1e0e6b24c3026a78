"""A local time is the first moment at which the wall clock shows it or a later one."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import BadInput
from engine.schedule import (
    calendar_days,
    find_zone,
    local_moment,
    next_date_moment,
    next_local,
    parse_days,
    parse_local_time,
)

MADRID, NEW_YORK, APIA = (ZoneInfo(name) for name in ("Europe/Madrid", "America/New_York", "Pacific/Apia"))


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


@pytest.mark.parametrize(
    ("zone", "on", "clock", "moment"),
    [
        ("Europe/Madrid", "2026-03-02", "09:00", "2026-03-02T09:00+01:00"),
        ("America/New_York", "2026-03-08", "02:30", "2026-03-08T03:00-04:00"),
        ("Europe/Madrid", "2026-03-29", "02:30", "2026-03-29T03:00+02:00"),
        ("Europe/Madrid", "2026-10-25", "02:30", "2026-10-25T02:30+02:00"),
        ("America/New_York", "2026-11-01", "01:30", "2026-11-01T01:30-04:00"),
        ("America/New_York", "2026-11-01", "02:30", "2026-11-01T02:30-05:00"),
        ("Australia/Lord_Howe", "2026-10-04", "02:15", "2026-10-04T02:30+11:00"),
        ("Africa/Cairo", "2026-04-24", "00:00", "2026-04-24T01:00+03:00"),
        ("America/Havana", "2026-03-08", "00:30", "2026-03-08T01:00-04:00"),
        ("Pacific/Apia", "2011-12-30", "12:00", "2011-12-31T00:00+14:00"),
    ],
)
def test_gaps_end_where_they_end_and_folds_take_the_first_pass(zone: str, on: str, clock: str, moment: str) -> None:
    assert local_moment(date.fromisoformat(on), clock, ZoneInfo(zone)) == at(moment)


def test_dates_at_the_edge_of_the_calendar_stay_inside_it() -> None:
    assert local_moment(date.max, "23:00", NEW_YORK).year == 9999
    assert local_moment(date.min, "00:00", MADRID).year == 1
    assert calendar_days(at("2026-03-02T10:00Z"), 10_000_000, None, MADRID).year == 9999


# ── next_local ───────────────────────────────────────────────────────────────────────────────────────────────────────
def test_the_present_moment_is_a_next_moment_too() -> None:
    now = at("2026-03-02T00:30Z")
    assert next_local(now, "01:30", MADRID) == now
    assert next_local(now + timedelta(microseconds=1), "01:30", MADRID) == now + timedelta(days=1)


def test_once_the_first_pass_is_gone_the_next_is_tomorrows() -> None:
    assert next_local(at("2026-11-01T06:10Z"), "01:30", NEW_YORK) == at("2026-11-02T01:30-05:00")


def test_a_weekday_is_the_next_such_day_of_the_zone() -> None:
    tuesday_evening = at("2026-03-03T23:30-05:00")  # already Wednesday in UTC
    assert next_local(tuesday_evening, "10:00", NEW_YORK, weekday=2) == at("2026-03-10T10:00-04:00")
    assert next_local(tuesday_evening, "23:45", NEW_YORK, weekday=2) == at("2026-03-03T23:45-05:00")


def test_a_day_that_a_zone_leaves_out_ends_where_the_next_begins() -> None:
    assert next_local(at("2011-12-29T20:00-10:00"), "09:00", APIA, weekday=5) == at("2011-12-31T00:00+14:00")


def test_a_weekday_is_one_of_seven() -> None:
    with pytest.raises(BadInput):
        next_local(at("2026-03-02T10:00Z"), "09:00", MADRID, weekday=8)


# ── calendar days ────────────────────────────────────────────────────────────────────────────────────────────────────
def test_calendar_days_keep_the_local_time_where_none_is_named() -> None:
    assert calendar_days(at("2026-03-28T12:00:07+01:00"), 1, None, MADRID) == at("2026-03-29T12:00:07+02:00")
    assert calendar_days(at("2026-03-28T02:30:07.5+01:00"), 1, None, MADRID) == at("2026-03-29T03:00+02:00")
    assert calendar_days(at("2026-10-31T12:00-04:00"), 3, "10:00", NEW_YORK) == at("2026-11-03T10:00-05:00")


def test_no_days_at_all_is_the_moment_itself_even_in_the_second_pass() -> None:
    second_pass = at("2026-10-25T02:30+01:00")
    assert calendar_days(second_pass, 0, None, MADRID) == second_pass
    assert calendar_days(second_pass, 0, "09:00", MADRID) == at("2026-10-25T09:00+01:00")


# ── date triggers ────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_date_comes_once_and_the_moment_itself_still_counts() -> None:
    nine = at("2026-03-08T09:00+01:00")
    assert next_date_moment(date(2026, 3, 8), "09:00", MADRID, False, nine) == nine
    assert next_date_moment(date(2026, 3, 8), "09:00", MADRID, False, nine + timedelta(microseconds=1)) is None


@pytest.mark.parametrize(
    ("after", "moment"),
    [
        ("2026-02-20T10:00Z", "2026-02-28T09:00+01:00"),
        ("2026-02-28T09:00:01+01:00", "2027-02-28T09:00+01:00"),
        ("2027-12-31T23:59Z", "2028-02-29T09:00+01:00"),
    ],
)
def test_29_february_is_kept_on_the_28th_in_common_years(after: str, moment: str) -> None:
    assert next_date_moment(date(1996, 2, 29), "09:00", MADRID, True, at(after)) == at(moment)


def test_a_yearly_date_begins_with_its_own_year() -> None:
    assert next_date_moment(date(2030, 5, 1), "09:00", MADRID, True, at("2026-01-01T00:00Z")) == at(
        "2030-05-01T09:00+02:00"
    )


def test_new_year_is_the_zones_own() -> None:
    after = at("2027-01-01T00:30+13:00")  # still 2026 in UTC
    assert next_date_moment(date(1990, 1, 1), "09:00", APIA, True, after) == at("2027-01-01T09:00+13:00")
    assert next_date_moment(date(1990, 12, 31), "09:00", APIA, True, after) == at("2027-12-31T09:00+13:00")


# ── texts ────────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_local_time_may_name_its_day() -> None:
    assert parse_local_time("09:00") == (None, "09:00")
    assert parse_local_time("tue 10:00") == (2, "10:00")
    assert parse_local_time("Sun  23:59") == (7, "23:59")


@pytest.mark.parametrize("text", ["", "9:00", "24:00", "09:60", "09:00:00", "tues 10:00", "tue", "10:00 tue", "٠٩:٠٠"])
def test_what_is_no_local_time_is_refused(text: str) -> None:
    with pytest.raises(BadInput):
        parse_local_time(text)


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("mon-fri", (1, 2, 3, 4, 5)),
        ("mon, wed,fri", (1, 3, 5)),
        ("fri-mon", (1, 5, 6, 7)),
        ("sat", (6,)),
        ("tue,mon-tue", (1, 2)),
    ],
)
def test_days_are_ranges_and_lists(text: str, days: tuple[int, ...]) -> None:
    assert parse_days(text) == days


@pytest.mark.parametrize("text", ["", "mon-", "-fri", "mon,,tue", "mon-tue-wed", "weekdays"])
def test_what_is_no_day_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="no day of the week"):
        parse_days(text)


@pytest.mark.parametrize(
    "name", ["", "Europe", "Mars/Olympus", "../../etc/passwd", "/etc/localtime", "Europe/Madrid\0", "localtime"]
)
def test_what_is_no_zone_is_not_found(name: str) -> None:
    assert find_zone(name) is None


def test_a_zone_is_found_by_its_name() -> None:
    assert find_zone("Europe/Madrid") is ZoneInfo("Europe/Madrid")


# ── every zone's own oddities ────────────────────────────────────────────────────────────────────────────────────────
ZONES = (
    "Africa/Cairo", "Africa/Casablanca", "Africa/El_Aaiun", "Africa/Juba", "America/Asuncion",
    "America/Chihuahua", "America/Havana", "America/New_York", "America/Nuuk", "America/Santiago",
    "America/Scoresbysund", "America/St_Johns", "Antarctica/Casey", "Antarctica/Troll", "Asia/Amman",
    "Asia/Almaty", "Asia/Beirut", "Asia/Gaza", "Asia/Kathmandu", "Asia/Tehran",
    "Atlantic/Azores", "Australia/Lord_Howe", "Europe/Dublin", "Europe/London", "Europe/Madrid",
    "Europe/Volgograd", "Pacific/Apia", "Pacific/Chatham", "Pacific/Easter", "Pacific/Fiji",
    "Pacific/Norfolk", "UTC",
)  # fmt: skip


@cache
def change_days(name: str) -> list[date]:
    """Days around which the zone's offset changes, 2020 to 2030, and Apia's and Kwajalein's kind of skipped day."""
    zone = ZoneInfo(name)
    noons = [datetime(2011, 12, 25, 12, tzinfo=UTC) + timedelta(days=n) for n in range(10)]
    noons += [datetime(2020, 1, 1, 12, tzinfo=UTC) + timedelta(days=n) for n in range(4018)]
    return [
        noon.date()
        for noon in noons
        if zone.utcoffset(noon.astimezone(zone)) != zone.utcoffset((noon - timedelta(days=1)).astimezone(zone))
    ] or [date(2026, 3, 29)]


@st.composite
def zones_and_walls(draw: st.DrawFn) -> tuple[ZoneInfo, datetime]:
    name = draw(st.sampled_from(ZONES))
    day = draw(st.one_of(st.sampled_from(change_days(name)), st.dates(date(2020, 1, 1), date(2030, 12, 31))))
    minute = draw(st.integers(0, 3 * 1440 - 1))
    return ZoneInfo(name), datetime.combine(day - timedelta(days=2), time.min) + timedelta(minutes=minute)


def shown(moment: datetime, zone: ZoneInfo) -> datetime:
    return moment.astimezone(zone).replace(tzinfo=None)


@settings(max_examples=300, deadline=None)
@given(zones_and_walls())
def test_no_earlier_moment_shows_that_local_time_or_a_later_one(case: tuple[ZoneInfo, datetime]) -> None:
    zone, wall = case
    moment = local_moment(wall.date(), wall.strftime("%H:%M"), zone)
    assert shown(moment, zone) >= wall
    minutes = (moment - timedelta(minutes=n) for n in range(1, 27 * 60))
    assert all(shown(minute, zone) < wall for minute in minutes)
    assert shown(moment - timedelta(seconds=1), zone) < wall


@settings(max_examples=200, deadline=None)
@given(zones_and_walls(), st.integers(0, 1439), st.one_of(st.none(), st.integers(1, 7)), st.integers(0, 59))
def test_the_next_local_time_is_the_earliest_of_all_days(
    case: tuple[ZoneInfo, datetime], minute: int, weekday: int | None, second: int
) -> None:
    zone, wall = case
    now = wall.replace(tzinfo=UTC, second=second)
    clock = f"{minute // 60:02}:{minute % 60:02}"
    days = [now.date() + timedelta(days=n) for n in range(-3, 12)]
    moments = [local_moment(day, clock, zone) for day in days if weekday in (None, day.isoweekday())]
    assert next_local(now, clock, zone, weekday) == min(moment for moment in moments if moment >= now)
