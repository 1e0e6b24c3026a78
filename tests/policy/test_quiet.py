"""Quiet hours begin with `from`, are over at `to`, and are one stretch of time whatever the clocks do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.policy.quiet import quiet_until
from engine.project import QuietHours

MADRID, NEW_YORK = ZoneInfo("Europe/Madrid"), ZoneInfo("America/New_York")
NIGHT = QuietHours(from_="21:00", to="08:00", channels=("sms", "chat"))


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


@pytest.mark.parametrize(
    ("now", "until"),
    [
        ("2026-03-02T20:59:59.999999+01:00", None),
        ("2026-03-02T21:00:00+01:00", "2026-03-03T08:00+01:00"),
        ("2026-03-03T02:00:00+01:00", "2026-03-03T08:00+01:00"),
        ("2026-03-03T07:59:59.999999+01:00", "2026-03-03T08:00+01:00"),
        ("2026-03-03T08:00:00+01:00", None),
        ("2026-03-28T23:00:00+01:00", "2026-03-29T08:00+02:00"),
        ("2026-10-24T23:00:00+02:00", "2026-10-25T08:00+01:00"),
        ("2026-10-25T02:30:00+01:00", "2026-10-25T08:00+01:00"),
    ],
)
def test_from_is_inside_and_to_is_outside_on_every_night(now: str, until: str | None) -> None:
    assert quiet_until(at(now), MADRID, [NIGHT], "sms") == (at(until) if until else None)


def test_the_night_is_the_zones_own() -> None:
    now = at("2026-03-03T02:30+01:00")
    assert quiet_until(now, MADRID, [NIGHT], "sms") == at("2026-03-03T08:00+01:00")
    assert quiet_until(now, NEW_YORK, [NIGHT], "sms") is None


def test_other_channels_are_loud_and_a_rule_without_channels_means_all() -> None:
    now = at("2026-03-02T23:00+01:00")
    assert quiet_until(now, MADRID, [NIGHT], "email") is None
    assert quiet_until(now, MADRID, [QuietHours(from_="22:00", to="23:30")], "email") == at("2026-03-02T23:30+01:00")


def test_rules_that_meet_or_overlap_are_one_night() -> None:
    siesta = QuietHours(from_="14:00", to="16:00")
    rules = [NIGHT, QuietHours(from_="06:00", to="10:00"), QuietHours(from_="10:00", to="11:00"), siesta]
    assert quiet_until(at("2026-03-02T22:00+01:00"), MADRID, rules, "sms") == at("2026-03-03T11:00+01:00")
    assert quiet_until(at("2026-03-02T15:00+01:00"), MADRID, rules, "sms") == at("2026-03-02T16:00+01:00")


def test_hours_that_a_spring_gap_swallows_are_none_that_night() -> None:
    rule = QuietHours(from_="02:00", to="02:45")
    assert quiet_until(at("2026-03-29T03:00+02:00"), MADRID, [rule], "sms") is None
    assert quiet_until(at("2026-03-30T02:00+02:00"), MADRID, [rule], "sms") == at("2026-03-30T02:45+02:00")


def test_hours_that_end_in_the_autumn_hour_end_at_its_first_pass() -> None:
    rule = QuietHours(from_="21:00", to="02:30")
    assert quiet_until(at("2026-10-25T02:15+02:00"), MADRID, [rule], "sms") == at("2026-10-25T02:30+02:00")
    assert quiet_until(at("2026-10-25T02:15+01:00"), MADRID, [rule], "sms") is None


def test_hours_that_begin_when_they_end_are_none() -> None:
    assert quiet_until(at("2026-03-02T09:00Z"), MADRID, [QuietHours(from_="09:00", to="09:00")], "sms") is None


def test_rules_without_any_gap_hold_a_message_for_a_week_at_a_time() -> None:
    always = [QuietHours(from_="08:00", to="20:00"), QuietHours(from_="20:00", to="08:00")]
    now = at("2026-03-02T09:00Z")
    until = quiet_until(now, MADRID, always, "sms")
    assert until is not None
    assert timedelta(days=7) <= until - now < timedelta(days=8)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(["Europe/Madrid", "America/New_York", "America/Havana", "Africa/Cairo", "Australia/Lord_Howe"]),
    st.integers(0, 4000 * 1440),
)
def test_a_held_message_goes_at_a_moment_that_is_loud_and_every_moment_before_is_quiet(name: str, minutes: int) -> None:
    zone, now = ZoneInfo(name), at("2020-01-01T00:00Z") + timedelta(minutes=minutes)
    until = quiet_until(now, zone, [NIGHT], "sms")
    clock = now.astimezone(zone).strftime("%H:%M")
    assert (until is not None) == (clock >= "21:00" or clock < "08:00")
    if until is not None:
        assert until.astimezone(zone).strftime("%H:%M:%S") == "08:00:00"
        assert quiet_until(until, zone, [NIGHT], "sms") is None
        assert quiet_until(now + (until - now) / 2, zone, [NIGHT], "sms") == until
