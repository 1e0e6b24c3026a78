"""Why: entries, refusals, steps, decisions and deliveries of one person, in time order and in words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest

from engine.delivery.model import Decision, Delivery, Status
from engine.enrollment.model import Enrollment, Refusal, TrailEntry
from engine.errors import NotFound
from engine.ids import profile_id
from engine.insight import people, why
from engine.insight.words import OUTCOMES, STATUSES, trail_words
from engine.plan.model import Outcome
from engine.profiles.model import Profile
from engine.store import Store

KEY = b"a project's key"
NOW = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
ANA = Profile(profile_id=profile_id(KEY, "external", "ana"), external_id="ana", email="ana@example.com")


@pytest.fixture
def store(any_store: Store) -> Store:
    """Ana entered, was held by quiet hours, got the reminder, and was refused a second entry meanwhile."""
    with any_store.transaction() as unit:
        unit.profiles.save(ANA)
        for number, (journey, enrollment_id) in enumerate((("cart", "e1"), ("other", "e2"))):
            unit.enrollments.save(
                Enrollment(
                    enrollment_id=enrollment_id, journey=journey, digest="v1", profile_id=ANA.profile_id, key="c1",
                    number=1, entered_at=NOW + timedelta(days=number), trigger_at=NOW, state="ended",
                    reason="completed",
                )
            )  # fmt: skip
        later = NOW + timedelta(hours=1)
        for at, what, step_id, detail in (
            (NOW, "entered", None, {"version": "v1"}),
            (NOW, "reached", "reminder", {}),
            (NOW, "waits", "reminder", {"why": "quiet", "until": "2026-03-02T11:00:00+00:00"}),
            (later, "ended", "reminder", {"reason": "completed"}),
        ):
            unit.enrollments.add_trail(
                TrailEntry(enrollment_id="e1", seq=0, at=at, what=what, step_id=step_id, visit=1, detail=detail)
            )
        unit.enrollments.refuse(
            Refusal(
                refusal_id="r1", journey="cart", profile_id=ANA.profile_id, key="c1", reason="active",
                refused_at=NOW + timedelta(minutes=5), event_id="ev2",
            )
        )  # fmt: skip
        for decision_id, outcome, at, until in (("a", "quiet", NOW, later), ("b", "sent", later, None)):
            unit.deliveries.decide(
                Decision(
                    decision_id=decision_id, delivery_id="d1", enrollment_id="e1", journey="cart", digest="v1",
                    profile_id=ANA.profile_id, step_id="reminder", visit=1, channel="email",
                    outcome=outcome,  # type: ignore[arg-type]
                    decided_at=at, until=until, inputs={"zone": "Europe/Madrid", "consent": "c9", "caps": []},
                )
            )  # fmt: skip
        unit.deliveries.save(
            Delivery(
                delivery_id="d1", enrollment_id="e1", journey="cart", profile_id=ANA.profile_id, step_id="reminder",
                visit=1, channel="email", via="email", topic="cart", template="cart/reminder", status="sent",
                to="ana@example.com", is_marketing=True, claimed_at=later, sent_at=later, attempts=1,
            )
        )  # fmt: skip
    return any_store


def test_the_story_is_told_as_it_came_about(store: Store) -> None:
    with store.transaction() as unit:
        told = why.story(unit, ANA, "cart")
    assert [(line.kind, line.code) for line in told.lines] == [
        ("trail", "entered"),
        ("trail", "reached"),
        ("decision", "quiet"),
        ("trail", "waits"),
        ("refused", "active"),
        ("decision", "sent"),
        ("delivery", "sent"),
        ("trail", "ended"),
    ]


def test_people_go_on_after_their_message_though_the_journey_counts_from_before_it(store: Store) -> None:
    """What follows is recorded at the moment from which a journey counts: some milliseconds before the message."""
    late = NOW + timedelta(milliseconds=60)
    with store.transaction() as unit:
        for at, what, step_id in (
            (NOW, "entered", None),
            (late, "reached", "hello"),
            (NOW, "reached", "pause"),
            (NOW, "waits", "pause"),
            (NOW + timedelta(days=1), "ended", "pause"),
        ):
            unit.enrollments.add_trail(
                TrailEntry(enrollment_id="e2", seq=0, at=at, what=what, step_id=step_id, visit=1, detail={})
            )
        for decision_id, step_id, outcome, at in (
            ("c", "hello", "no_consent", late),
            ("d", "pause", "ended", NOW + timedelta(days=1, seconds=0.5)),
        ):
            unit.deliveries.decide(
                Decision(
                    decision_id=decision_id, delivery_id=f"d{decision_id}", enrollment_id="e2", journey="other",
                    digest="v1", profile_id=ANA.profile_id, step_id=step_id, visit=1, channel="email",
                    outcome=outcome,  # type: ignore[arg-type]
                    decided_at=at,
                )
            )  # fmt: skip
        told = why.story(unit, ANA, "other")
    assert [(line.kind, line.code, line.step_id) for line in told.lines] == [
        ("trail", "entered", None),
        ("trail", "reached", "hello"),
        ("decision", "no_consent", "hello"),
        ("trail", "reached", "pause"),
        ("trail", "waits", "pause"),
        ("trail", "ended", "pause"),
        ("decision", "ended", "pause"),
    ]
    assert why.as_text(told).splitlines()[2].startswith("2026-03-02T10:00:00Z")


def test_inputs_in_words_are_short() -> None:
    inputs = {"reached_at": "2026-03-02T10:00:00.045245+00:00", "template_digest": "0123456789abcdef" * 4, "caps": []}
    assert why.inputs_text(inputs) == "reached_at 2026-03-02T10:00:00Z, template_digest 0123456789ab"


def test_the_text_says_why_in_words_with_what_it_was_based_on(store: Store) -> None:
    with store.transaction() as unit:
        text = why.as_text(why.story(unit, ANA, "cart"))
    assert text == (
        "ana in cart\n"
        "2026-03-02T10:00:00Z  cart (c1): entered\n"
        "2026-03-02T10:00:00Z  cart (c1) · reminder: step reached\n"
        "2026-03-02T10:00:00Z  cart (c1) · reminder: email: held back: quiet hours, or outside the sending window, "
        "until 2026-03-02T11:00:00Z\n"
        "    zone Europe/Madrid, consent c9\n"
        "2026-03-02T10:00:00Z  cart (c1) · reminder: waits for the end of quiet hours or for its window "
        "until 2026-03-02T11:00:00Z\n"
        "2026-03-02T10:05:00Z  cart (c1): not enrolled: an enrollment under this key was already live\n"
        "2026-03-02T11:00:00Z  cart (c1) · reminder: email: sent\n"
        "    zone Europe/Madrid, consent c9\n"
        "2026-03-02T11:00:00Z  cart (c1) · reminder: email: taken by the provider\n"
        "2026-03-02T11:00:00Z  cart (c1) · reminder: ended (completed): all steps were done"
    )


def test_the_document_for_programs_holds_codes_and_no_address(store: Store) -> None:
    with store.transaction() as unit:
        document = why.as_json_document(why.story(unit, ANA))
    assert document["profile"] == {"profile_id": ANA.profile_id, "external_id": "ana", "erased_at": None}
    assert document["lines"][2] == {
        "at": "2026-03-02T10:00:00Z",
        "kind": "decision",
        "code": "quiet",
        "words": "email: held back: quiet hours, or outside the sending window, until 2026-03-02T11:00:00Z",
        "journey": "cart",
        "enrollment_id": "e1",
        "key": "c1",
        "step_id": "reminder",
        "visit": 1,
        "detail": {"zone": "Europe/Madrid", "consent": "c9", "caps": []},
    }
    assert "ana@example.com" not in str(document)


def test_nothing_is_said_to_be_nothing(store: Store) -> None:
    with store.transaction() as unit:
        text = why.as_text(why.story(unit, ANA, "nowhere"))
    assert text == "ana in nowhere\nNothing: no entry, no refusal, no message."


@pytest.mark.parametrize("name", ["ana", "ana@example.com", ANA.profile_id])
def test_a_person_is_found_by_any_name(store: Store, name: str) -> None:
    with store.transaction() as unit:
        assert people.find(unit, KEY, name) == ANA


def test_an_erased_person_is_still_found_by_the_shops_id_and_the_outcomes_stay(store: Store) -> None:
    with store.transaction() as unit:
        unit.profiles.erase(ANA.profile_id, NOW)
        found = people.find(unit, KEY, "ana")
        told = why.story(unit, found, "cart")
        with pytest.raises(NotFound):
            people.find(unit, KEY, "ana@example.com")
    assert found.profile_id == ANA.profile_id
    assert "sent" in [line.code for line in told.lines]


def test_an_export_holds_everything_and_is_json(store: Store) -> None:
    with store.transaction() as unit:
        document = people.export(unit, ANA)
    assert document["profile"]["email"] == "ana@example.com"
    assert [delivery["to"] for delivery in document["deliveries"]] == ["ana@example.com"]
    assert {name: len(rows) for name, rows in document.items() if isinstance(rows, list)} == {
        "events": 0, "consents": 0, "enrollments": 2, "refusals": 1, "deliveries": 1, "decisions": 2, "segments": 0,
    }  # fmt: skip


def test_every_outcome_and_status_has_words() -> None:
    assert set(OUTCOMES) == set(get_args(Outcome))
    assert set(STATUSES) == set(get_args(Status))


@pytest.mark.parametrize(
    ("what", "detail", "words"),
    [
        ("passed_over", {}, "step passed over: its condition was false"),
        ("waits", {"why": "event", "until": None}, "waits for an event"),
        ("chose", {"goto": "b"}, "went on to b"),
        ("chose", {"goto": None}, "went on to the next step"),
        ("set", {"names": ["a", "b"]}, "set a, b"),
        ("started", {"enrollment_id": None, "journey": "j"}, "could not enroll the person in j"),
        ("called", {"answered": False}, "called, and got no answer"),
        ("ended", {"reason": "too_quiet"}, "ended (too_quiet): as its author says"),
        ("moved_on", {}, "moved on"),
    ],
)
def test_a_line_of_the_trail_in_words(what: str, detail: dict[str, object], words: str) -> None:
    assert trail_words(TrailEntry(enrollment_id="e1", seq=1, at=NOW, what=what, detail=detail)) == words
