"""A window lets a message go on its days, between its hours, in the profile's zone."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from engine.errors import BadInput
from engine.plan.model import Window
from engine.policy.windows import window_until

MADRID = ZoneInfo("Europe/Madrid")
OFFICE = Window(days=(1, 2, 3, 4, 5), from_="09:00", to="18:00")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


@pytest.mark.parametrize(
    ("now", "opens"),
    [
        ("2026-03-06T08:59:59+01:00", "2026-03-06T09:00+01:00"),
        ("2026-03-06T09:00:00+01:00", None),
        ("2026-03-06T17:59:59+01:00", None),
        ("2026-03-06T18:00:00+01:00", "2026-03-09T09:00+01:00"),
        ("2026-03-07T12:00:00+01:00", "2026-03-09T09:00+01:00"),
        ("2026-03-27T19:00:00+01:00", "2026-03-30T09:00+02:00"),
    ],
)
def test_a_window_that_closes_on_friday_opens_on_monday(now: str, opens: str | None) -> None:
    assert window_until(at(now), MADRID, OFFICE) == (at(opens) if opens else None)


def test_hours_across_midnight_belong_to_the_day_on_which_they_open() -> None:
    friday_night = Window(days=(5,), from_="22:00", to="02:00")
    assert window_until(at("2026-03-07T01:59+01:00"), MADRID, friday_night) is None
    assert window_until(at("2026-03-07T02:00+01:00"), MADRID, friday_night) == at("2026-03-13T22:00+01:00")
    assert window_until(at("2026-03-06T01:00+01:00"), MADRID, friday_night) == at("2026-03-06T22:00+01:00")


@pytest.mark.parametrize("hour", ["00:00", "09:00"])
def test_from_equal_to_to_is_the_whole_day(hour: str) -> None:
    saturday = Window(days=(6,), from_=hour, to=hour)
    assert window_until(at("2026-03-07T00:00+01:00"), MADRID, saturday) is None
    assert window_until(at("2026-03-07T23:59:59+01:00"), MADRID, saturday) is None
    assert window_until(at("2026-03-08T00:00+01:00"), MADRID, saturday) == at("2026-03-14T00:00+01:00")


def test_no_window_and_a_bare_one_are_always_open() -> None:
    now = at("2026-03-08T03:33Z")
    assert window_until(now, MADRID, None) is None
    assert window_until(now, MADRID, Window()) is None


def test_an_opening_that_the_spring_gap_swallows_leaves_the_next_weeks() -> None:
    sunday_night = Window(days=(7,), from_="02:00", to="02:45")
    assert window_until(at("2026-03-29T00:00+01:00"), MADRID, sunday_night) == at("2026-04-05T02:00+02:00")


def test_a_window_without_days_is_refused() -> None:
    with pytest.raises(BadInput, match="never opens"):
        window_until(at("2026-03-08T03:33Z"), MADRID, Window(days=()))
