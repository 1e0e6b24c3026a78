"""The earliest moment satisfies quiet hours, window and caps at once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.plan.model import Window
from engine.policy.caps import decide_cap
from engine.policy.moments import earliest_allowed
from engine.policy.quiet import quiet_until
from engine.policy.windows import window_until
from engine.project import Cap, QuietHours

MADRID = ZoneInfo("Europe/Madrid")
NIGHT = QuietHours(from_="21:00", to="08:00")
DAILY = Cap(at_most=1, per_seconds=86_400)
OFFICE = Window(days=(1, 2, 3, 4, 5), from_="07:00", to="18:00")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def test_where_nothing_holds_it_the_message_goes_now() -> None:
    now = at("2026-03-02T10:00Z")
    assert earliest_allowed(now, MADRID, [NIGHT], OFFICE, [DAILY], "sms", []) == now


def test_a_cap_that_ends_at_night_holds_until_the_morning() -> None:
    counted = [(at("2026-03-01T22:00+01:00"), "sms")]
    now = at("2026-03-02T10:00+01:00")
    assert earliest_allowed(now, MADRID, [NIGHT], None, [DAILY], "sms", counted) == at("2026-03-03T08:00+01:00")


def test_a_window_that_opens_inside_the_night_holds_until_both_allow_it() -> None:
    friday_evening = at("2026-03-06T19:00+01:00")
    assert earliest_allowed(friday_evening, MADRID, [NIGHT], OFFICE, [], "sms", []) == at("2026-03-09T08:00+01:00")


def test_hours_that_never_meet_are_never() -> None:
    late = Window(from_="22:00", to="23:00")
    assert earliest_allowed(at("2026-03-02T10:00Z"), MADRID, [NIGHT], late, [], "sms", []) is None


def test_a_cap_of_none_is_never() -> None:
    none_at_all = Cap(at_most=0, per_seconds=3600)
    assert earliest_allowed(at("2026-03-02T10:00Z"), MADRID, [], None, [none_at_all], "sms", []) is None


def test_a_cap_of_half_a_year_is_waited_for() -> None:
    rare = Cap(at_most=1, per_seconds=180 * 86_400)
    sent = at("2026-01-05T10:00+01:00")
    assert earliest_allowed(
        at("2026-03-02T10:00Z"), MADRID, [NIGHT], None, [rare], "sms", [(sent, "sms")]
    ) == sent + timedelta(days=180)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 400 * 96),
    st.lists(st.integers(1, 2 * 96), max_size=4),
    st.sampled_from([OFFICE, Window(days=(7,), from_="01:00", to="09:00"), Window(from_="20:00", to="09:00"), None]),
)
def test_no_earlier_quarter_of_an_hour_would_do(quarter: int, ages: list[int], window: Window | None) -> None:
    step = timedelta(minutes=15)
    now = at("2026-01-01T00:00Z") + quarter * step
    counted = [(now - age * step, "sms") for age in ages]
    caps = [Cap(at_most=2, per_seconds=86_400), Cap(at_most=1, per_seconds=6 * 3600, channels=("sms",))]

    def passes(moment: datetime) -> bool:
        return (
            quiet_until(moment, MADRID, [NIGHT], "sms") is None
            and window_until(moment, MADRID, window) is None
            and not decide_cap(moment, caps, "sms", counted).is_capped
        )

    moment = now
    while not passes(moment):
        moment += step
    assert earliest_allowed(now, MADRID, [NIGHT], window, caps, "sms", counted) == moment
