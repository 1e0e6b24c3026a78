"""Every store keeps queues, dues and transactions alike."""

from __future__ import annotations

from typing import NoReturn

import pytest
from msgspec.structs import replace

from engine.enrollment.model import Nudge
from engine.plan.effects import Arrived, Left, Reconsider, Resumed, Started
from engine.store import Store, Unit
from tests.storage.records import (
    AWKWARD,
    NOON,
    at,
    consent,
    decision,
    delivery,
    due,
    enrollment,
    event,
    journey,
    key,
    link,
    membership,
    occurrence,
    profile,
    refusal,
    stimulus,
    suppression,
    trail_entry,
)


# ── queues ───────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_occurrences_leave_in_the_order_in_which_they_came(any_store: Store) -> None:
    first = occurrence("p2", kind="changed", ref="v1", detail=AWKWARD, at=at(micros=5))
    with any_store.transaction() as unit:
        assert unit.queue.next_occurrence() is None
        for each in (first, occurrence("p1"), occurrence("p2", kind="ended")):
            unit.queue.add_occurrence(each)
    taken = []
    with any_store.transaction() as unit:
        assert unit.queue.count_occurrences() == 3
        while (waiting := unit.queue.next_occurrence()) is not None:
            assert unit.queue.next_occurrence() == waiting
            taken.append(waiting)
            unit.queue.remove_occurrence(waiting.seq)
        assert unit.queue.count_occurrences() == 0
    assert [replace(each, seq=0) for each in taken] == [first, occurrence("p1"), occurrence("p2", kind="ended")]
    assert [each.seq for each in taken] == sorted({each.seq for each in taken})


def test_an_occurrence_not_removed_waits_on(any_store: Store) -> None:
    with any_store.transaction() as unit:
        unit.queue.add_occurrence(occurrence())
    with any_store.transaction() as unit:
        taken = unit.queue.next_occurrence()
    with any_store.transaction() as unit:
        assert unit.queue.next_occurrence() == taken


def test_a_number_is_never_given_twice(any_store: Store) -> None:
    """Whoever removes by a number that was dealt with long ago must not hit another row."""
    with any_store.transaction() as unit:
        unit.queue.add_occurrence(occurrence())
        unit.queue.add_stimulus(stimulus())
    with any_store.transaction() as unit:
        waiting = unit.queue.next_occurrence()
        assert waiting is not None
        unit.queue.remove_occurrence(waiting.seq)
        (nudge,) = unit.queue.stimuli(NOON)
        unit.queue.remove_stimuli([nudge.seq])
    with any_store.transaction() as unit:
        unit.queue.add_occurrence(occurrence())
        unit.queue.add_stimulus(stimulus())
        later = unit.queue.next_occurrence()
        assert later is not None
        assert later.seq > waiting.seq
        assert unit.queue.stimuli(NOON)[0].seq > nudge.seq
        unit.queue.remove_occurrence(waiting.seq)
        unit.queue.remove_stimuli([nudge.seq])
        assert unit.queue.count_occurrences() == 1
        assert len(unit.queue.stimuli(NOON)) == 1


@pytest.mark.parametrize(
    "nudge",
    [Started(), Arrived(step_id="ask", visit=2, goto=None), Left(reason="exit"), Resumed(), Reconsider()],
    ids=lambda nudge: nudge.kind,
)
def test_every_input_comes_back_as_it_went_in(any_store: Store, nudge: Nudge) -> None:
    with any_store.transaction() as unit:
        unit.queue.add_stimulus(stimulus(input=nudge, created_at=at(micros=1), not_before=at(micros=2)))
    with any_store.transaction() as unit:
        (found,) = unit.queue.stimuli(at(micros=2))
    assert found == stimulus(input=nudge, created_at=at(micros=1), not_before=at(micros=2), seq=found.seq)


def test_stimuli_come_by_number_when_their_time_has_come(any_store: Store) -> None:
    with any_store.transaction() as unit:
        assert unit.queue.next_stimulus_at() is None
        for enrollment_id, minutes in (("e1", 5), ("e2", 1), ("e3", 9), ("e4", 1)):
            unit.queue.add_stimulus(stimulus(enrollment_id, not_before=at(minutes)))
        assert unit.queue.next_stimulus_at() == at(1)
        assert unit.queue.stimuli(at(0)) == []
        assert [each.enrollment_id for each in unit.queue.stimuli(at(5))] == ["e1", "e2", "e4"]
        assert [each.enrollment_id for each in unit.queue.stimuli(at(5), 2)] == ["e1", "e2"]
        unit.queue.remove_stimuli([unit.queue.stimuli(at(5))[1].seq])
        unit.queue.remove_stimuli([10**9])
        assert [each.enrollment_id for each in unit.queue.stimuli(at(9))] == ["e1", "e3", "e4"]


# ── dues ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_due_is_replaced_under_its_kind_profile_and_subject(any_store: Store) -> None:
    with any_store.transaction() as unit:
        unit.dues.put(due(due_at=at(9), basis="old"))
        unit.dues.put(due(due_at=at(2, micros=1), basis="neu ü"))
        unit.dues.put(due("", kind="schedule", due_at=at(5)))
        assert unit.dues.find("inactive", "p1", "welcome#0") == due(due_at=at(2, micros=1), basis="neu ü")
        assert unit.dues.find("inactive", "p2", "welcome#0") is None
        assert unit.dues.next_at() == at(2, micros=1)
        unit.dues.remove("inactive", "p1", "welcome#0")
        unit.dues.remove("inactive", "p1", "welcome#0")
        assert unit.dues.next_at() == at(5)


def test_dues_come_by_time_then_kind_profile_and_subject(any_store: Store) -> None:
    expected = [
        due("p9", due_at=at(0)),
        due("p9", kind="date", due_at=at(1)),
        due("p1", subject="B", due_at=at(1)),
        due("p1", subject="a", due_at=at(1)),
        due("p2", due_at=at(1)),
    ]
    with any_store.transaction() as unit:
        assert unit.dues.next_at() is None
        for each in reversed(expected):
            unit.dues.put(each)
        unit.dues.put(due("p3", due_at=at(1, micros=1)))
        assert unit.dues.until(at(1)) == expected
        assert unit.dues.until(at(1), 2) == expected[:2]
        assert unit.dues.until(at(-1)) == []


# ── transactions ─────────────────────────────────────────────────────────────────────────────────────────────────────
def test_an_exception_undoes_everything_and_passes_on(any_store: Store) -> None:
    with any_store.transaction() as unit:
        unit.profiles.save(profile(email="a@shop.example", attributes={"n": 1}))
        unit.events.add(event())
        unit.enrollments.save(enrollment(wake_at=at(1)))
        unit.enrollments.add_trail(trail_entry())
        unit.deliveries.save(delivery())
        unit.queue.add_occurrence(occurrence())
        unit.queue.add_stimulus(stimulus())
        unit.dues.put(due())
        unit.memberships.save(membership())
    before = _all_of(any_store)
    with pytest.raises(ZeroDivisionError), any_store.transaction("p1") as unit:
        _change_everything(unit)
    assert _all_of(any_store) == before


def _change_everything(unit: Unit) -> NoReturn:
    unit.profiles.save(profile(email="b@shop.example"))
    unit.profiles.save(profile("p2", email="a@shop.example"))
    unit.profiles.identify("anonymous", "cookie", "p2")
    unit.events.add(event("v2", timestamp=at(-1)))
    unit.journeys.save(journey())
    unit.journeys.save_plan("1" * 64, "welcome", "{}")
    unit.enrollments.save(enrollment(wake_at=at(-1), entered_at=at(-9), state="ended"))
    unit.enrollments.save(enrollment("e2"))
    unit.enrollments.refuse(refusal())
    unit.enrollments.add_trail(trail_entry())
    unit.deliveries.save(delivery(status="sent", provider_message_id="m"))
    unit.deliveries.save(delivery("d2"))
    unit.deliveries.decide(decision())
    unit.consents.add(consent())
    unit.consents.suppress(suppression())
    waiting = unit.queue.next_occurrence()
    assert waiting is not None
    unit.queue.remove_occurrence(waiting.seq)
    unit.queue.add_occurrence(occurrence("p2"))
    unit.queue.remove_stimuli([unit.queue.stimuli(at(1))[0].seq])
    unit.dues.remove("inactive", "p1", "welcome#0")
    unit.dues.put(due("p2"))
    unit.memberships.save(membership(is_member=False))
    unit.access.add_links([link()])
    unit.access.save_key(key())
    unit.profiles.erase("p1", at(3))
    unit.profiles.hand_over("p1", "p2")
    raise ZeroDivisionError


def _all_of(store: Store) -> list[object]:
    with store.transaction() as unit:
        return [
            unit.profiles.all_ids(), unit.profiles.find("p1"), unit.profiles.find("p2"),
            unit.profiles.find_by("email", "a@shop.example"), unit.profiles.find_by("email", "b@shop.example"),
            unit.profiles.find_by("anonymous", "cookie"), unit.events.of("p1"), unit.events.of("p2"),
            unit.events.of("p1", "bought"), unit.journeys.all(), unit.journeys.find_plan("1" * 64),
            unit.enrollments.of(), unit.enrollments.active("p1"), unit.enrollments.next_wake_at(),
            unit.enrollments.counts("welcome"), unit.enrollments.refusals(), unit.enrollments.trail("e1"),
            unit.enrollments.last("welcome", "p1", None), unit.deliveries.of(), unit.deliveries.of(status="claimed"),
            unit.deliveries.find_by_provider_id("email", "m"), unit.deliveries.decisions(), unit.consents.log(),
            unit.consents.all_suppressions(), unit.queue.count_occurrences(), unit.queue.next_occurrence(),
            unit.queue.stimuli(at(9)), unit.queue.next_stimulus_at(), unit.dues.until(at(9)), unit.dues.next_at(),
            unit.memberships.of("p1"), unit.memberships.members("regulars"), unit.access.find_link("t1"),
            unit.access.keys(),
        ]  # fmt: skip


def test_a_transaction_within_another_is_refused(any_store: Store) -> None:
    with any_store.transaction() as outer:
        outer.events.add(event())
        with pytest.raises(RuntimeError, match="open already"), any_store.transaction():
            pass
        outer.events.add(event("v2"))
    with any_store.transaction() as unit:
        assert [each.event_id for each in unit.events.of("p1")] == ["v1", "v2"]


def test_a_profile_may_be_locked_again_and_later(any_store: Store) -> None:
    with any_store.transaction("p1") as unit:
        unit.lock("p1")
        unit.lock("p2")
        unit.profiles.save(profile())
    with any_store.transaction() as unit:
        unit.lock("p1")
        assert unit.profiles.find("p1") == profile()
