"""Caps are rolling: a message holds its place until it is as old as the cap's span."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from engine.policy.caps import CapDecision, decide_cap
from engine.project import Cap

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
DAY = 86_400
THREE_A_DAY = Cap(at_most=3, per_seconds=DAY)
ONE_SMS_A_DAY = Cap(at_most=1, per_seconds=DAY, channels=("sms",))


def ago(**span: float) -> datetime:
    return NOON - timedelta(**span)


def test_below_every_cap_a_message_goes_and_the_counts_are_kept() -> None:
    counted = [(ago(hours=3), "email"), (ago(hours=2), "email")]
    assert decide_cap(NOON, [THREE_A_DAY, ONE_SMS_A_DAY], "sms", counted) == CapDecision(
        is_capped=False, counts=(("3 per 1d", 2), ("1 per 1d on sms", 0))
    )


def test_the_next_place_is_free_when_the_oldest_is_exactly_a_span_old() -> None:
    counted = [(ago(hours=3), "email"), (ago(hours=2), "email"), (ago(hours=1), "sms")]
    decision = decide_cap(NOON, [THREE_A_DAY], "email", counted)
    assert decision.until == ago(hours=3) + timedelta(days=1)
    assert decide_cap(decision.until, [THREE_A_DAY], "email", counted).is_capped is False
    assert decide_cap(decision.until - timedelta(microseconds=1), [THREE_A_DAY], "email", counted).is_capped is True


def test_a_message_exactly_a_span_old_counts_no_more() -> None:
    assert decide_cap(NOON, [ONE_SMS_A_DAY], "sms", [(ago(days=1), "sms")]).is_capped is False


def test_a_cap_of_some_channels_neither_counts_nor_stops_others() -> None:
    counted = [(ago(hours=1), "sms")]
    assert decide_cap(NOON, [ONE_SMS_A_DAY], "email", counted) == CapDecision(is_capped=False)
    assert decide_cap(NOON, [ONE_SMS_A_DAY], "sms", counted).is_capped is True
    both = Cap(at_most=1, per_seconds=DAY, channels=("sms", "chat"))
    assert decide_cap(NOON, [both], "chat", counted).is_capped is True


def test_with_several_caps_the_last_to_allow_it_decides() -> None:
    weekly = Cap(at_most=1, per_seconds=7 * DAY)
    decision = decide_cap(NOON, [ONE_SMS_A_DAY, weekly], "sms", [(ago(hours=5), "sms")])
    assert decision.until == ago(hours=5) + timedelta(days=7)


def test_a_cap_of_none_never_allows_any() -> None:
    none_at_all = Cap(at_most=0, per_seconds=DAY)
    assert decide_cap(NOON, [none_at_all, ONE_SMS_A_DAY], "sms", [(ago(hours=1), "sms")]) == CapDecision(
        is_capped=True, until=None, counts=(("0 per 1d", 1), ("1 per 1d on sms", 1))
    )


@given(st.lists(st.integers(1, 3 * DAY), max_size=12), st.integers(1, 4), st.integers(3600, 2 * DAY))
def test_until_is_the_first_moment_that_passes(ages: list[int], at_most: int, per: int) -> None:
    caps = [Cap(at_most=at_most, per_seconds=per)]
    counted = [(NOON - timedelta(seconds=age), "sms") for age in ages]
    decision = decide_cap(NOON, caps, "sms", counted)
    until = decision.until or NOON
    assert decision.is_capped == (until > NOON)
    assert decide_cap(until, caps, "sms", counted).is_capped is False
    if decision.is_capped:
        assert decide_cap(until - timedelta(microseconds=1), caps, "sms", counted).is_capped is True
