"""What is named is compared exactly, and completely where the rule says complete."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from engine.simulator.observed import Observed
from engine.simulator.scenario import Expected
from engine.simulator.verdict import judge
from tests.factories import NOW, after

Row = Mapping[str, Any]


def observed(**given: tuple[Row, ...]) -> Observed:
    names = (
        "messages", "system_messages", "decisions", "enrollments", "entries_refused", "emitted", "calls", "profiles",
    )  # fmt: skip
    return Observed(ended_at=NOW, **{name: given.get(name, ()) for name in names})


def holds(section: str, expected: tuple[Row, ...], came: tuple[Row, ...]) -> bool:
    of = {"messages_include": "messages"}.get(section, section)
    return not judge(Expected(**{section: expected}), observed(**{of: came}))


def message(step: str, *, profile: str = "ana", **span: float) -> Row:
    return {"at": after(**span), "profile": profile, "step": step, "html": "<p>Hi</p>", "text": "Hi", "subject": "Hey"}


ONE, TWO = message("one", hours=1), message("two", hours=2)


def test_messages_are_the_complete_list_in_order() -> None:
    assert holds("messages", ({"step": "one"}, {"step": "two"}), (ONE, TWO))
    assert not holds("messages", ({"step": "two"}, {"step": "one"}), (ONE, TWO))
    assert not holds("messages", ({"step": "one"},), (ONE, TWO))
    assert not holds("messages", ({"step": "one"}, {"step": "two"}), (ONE,))
    assert not holds("messages", (), (ONE,))
    assert holds("messages", (), ())


def test_messages_of_one_instant_may_be_named_in_any_order() -> None:
    tied = (message("one", hours=1), message("two", hours=1), message("three", hours=2))
    assert holds("messages", ({"step": "two"}, {"step": "one"}, {"step": "three"}), tied)
    assert not holds("messages", ({"step": "two"}, {"step": "three"}, {"step": "one"}), tied)


def test_each_expected_row_needs_a_message_of_its_own() -> None:
    """The row that says little must not take the message that another needs."""
    tied = (message("one", hours=1), message("two", hours=1))
    assert holds("messages", ({"profile": "ana"}, {"step": "one"}), tied)
    assert not holds("messages", ({"step": "one"}, {"step": "one"}), tied)


def test_messages_include_names_some_of_them_each_once() -> None:
    assert holds("messages_include", ({"step": "two"},), (ONE, TWO))
    assert holds("messages_include", ({"step": "two"}, {"step": "one"}), (ONE, TWO))
    assert not holds("messages_include", ({"step": "two"}, {"step": "two"}), (ONE, TWO))
    assert not holds("messages_include", ({"step": "three"},), (ONE, TWO))


def test_decisions_are_among_those_recorded_and_a_row_may_stand_for_several() -> None:
    came = ({"at": NOW, "step": "one", "outcome": "quiet"}, {"at": NOW, "step": "one", "outcome": "sent"})
    assert holds("decisions", ({"outcome": "sent"}, {"outcome": "quiet"}), came)
    assert not holds("decisions", ({"outcome": "capped"},), came)


@pytest.mark.parametrize("section", ["entries_refused", "emitted", "calls"])
def test_refusals_emitted_events_and_calls_are_complete_in_any_order(section: str) -> None:
    came = ({"at": NOW, "profile": "ana"}, {"at": NOW, "profile": "bob"})
    assert holds(section, ({"profile": "bob"}, {"profile": "ana"}), came)
    assert not holds(section, ({"profile": "bob"},), came)


def test_enrollments_are_complete_for_each_person_and_journey_that_they_name() -> None:
    came = tuple(
        {"at": NOW, "profile": profile, "journey": journey, "key": key, "state": "active"}
        for profile, journey, key in (("ana", "cart", "c1"), ("ana", "cart", "c2"), ("bob", "cart", None))
    )
    assert holds("enrollments", ({"profile": "bob", "journey": "cart"},), came)
    assert not holds("enrollments", ({"profile": "ana", "journey": "cart", "key": "c1"},), came)
    assert holds("enrollments", ({"profile": "ana", "key": "c1"}, {"profile": "ana", "key": "c2"}), came)
    assert not holds("enrollments", ({"profile": "eve", "journey": "cart"},), came)
    assert not holds("enrollments", (), came)


@pytest.mark.parametrize(
    ("off", "expected"),
    [
        (timedelta(0), True),
        (timedelta(milliseconds=999), True),
        (timedelta(milliseconds=-999), True),
        (timedelta(seconds=1), False),
        (timedelta(seconds=-1), False),
    ],
)
def test_times_match_to_the_second(off: timedelta, expected: bool) -> None:
    assert holds("messages", ({"at": NOW + off},), ({**ONE, "at": NOW},)) == expected


def test_a_time_that_is_expected_needs_one() -> None:
    assert not holds("calls", ({"at": NOW},), ({"at": None, "url": "https://a.example"},))


@pytest.mark.parametrize(
    ("expected", "came", "is_equal"),
    [
        (1, 1.0, True), (0.3, 0.1 + 0.2, True), (1, True, False), (True, 1, False), ("1", 1, False), (None, None, True),
        (None, 0, False), ([1, "a"], (1, "a"), True), ([1], [1, 2], False), ({"a": 1}, {"a": 1.0}, True),
        ({"a": 1}, {"a": 1, "b": 2}, False),
    ],
)  # fmt: skip
def test_values_are_equal_as_in_the_language(expected: Any, came: Any, is_equal: bool) -> None:
    assert holds("calls", ({"json": expected},), ({"at": NOW, "json": came},)) == is_equal


def test_a_key_is_compared_as_text_and_none_is_no_key() -> None:
    assert holds("enrollments", ({"key": 7},), ({"at": NOW, "profile": "ana", "journey": "cart", "key": "7"},))
    assert holds("enrollments", ({"key": None},), ({"at": NOW, "profile": "ana", "journey": "cart", "key": None},))
    assert not holds("enrollments", ({"key": None},), ({"at": NOW, "profile": "a", "journey": "c", "key": "None"},))


def test_texts_may_be_found_in_any_part_of_a_message_and_all_of_them_must_be() -> None:
    assert holds("messages", ({"contains": ["<p>Hi", "Hey"]},), (ONE,))
    assert not holds("messages", ({"contains": ["Hi", "Ho"]},), (ONE,))


def test_profiles_are_compared_in_what_is_named_of_them() -> None:
    came = ({"id": "ana", "attributes": {"plan": "free", "visits": 2}, "segments": ["vip"]},)
    assert holds("profiles", ({"id": "ana", "attributes": {"visits": 2}, "segments": ["vip"]},), came)
    assert holds("profiles", ({"id": "ana", "attributes": {"lost": None}, "not_segments": ["new"]},), came)
    assert not holds("profiles", ({"id": "ana", "attributes": {"visits": 3}},), came)
    assert not holds("profiles", ({"id": "ana", "segments": ["new"]},), came)
    assert not holds("profiles", ({"id": "ana", "not_segments": ["vip"]},), came)
    assert not holds("profiles", ({"id": "bob"},), came)


def test_what_a_scenario_does_not_speak_of_is_not_judged() -> None:
    assert judge(Expected(), observed(messages=(ONE, TWO))) == ()
