"""Whatever is done to it in whatever order, a database answers as the dicts of virtual time do."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Any

import pytest

from engine.delivery.model import COUNTED
from engine.storage.database import Database
from engine.storage.memory import MemoryStore
from engine.store import Store, Unit
from tests.storage.records import (
    at,
    consent,
    decision,
    delivery,
    due,
    enrollment,
    event,
    link,
    membership,
    occurrence,
    profile,
    refusal,
    stimulus,
    suppression,
    trail_entry,
)

_PEOPLE = ("p1", "p2", "p3")
_JOURNEYS = ("welcome", "back")


class _Undo(Exception):
    pass


def _change(dice: random.Random) -> Callable[[Unit], object]:
    """One change, drawn before it is made: every store is given the same."""
    who, other, name = dice.choice(_PEOPLE), dice.choice(_PEOPLE), dice.choice(_JOURNEYS)
    number, when = dice.randrange(6), at(dice.randrange(4), micros=dice.randrange(2))
    state, status = dice.choice(["active", "ended"]), dice.choice([*COUNTED, "failed", "retrying"])
    flag, key = dice.random() < 0.5, dice.choice([None, "", "k"])
    address = f"{number % 3}@shop.example"
    changes: list[Callable[[Unit], object]] = [
        lambda u: u.profiles.save(profile(who, email=address if flag else None, external_id=key, chat={"chat": name})),
        lambda u: u.profiles.identify("email" if flag else "anonymous", address, who),
        lambda u: u.events.add(event(f"v{number}-{who}", profile_id=who, name=name, timestamp=when)),
        lambda u: u.enrollments.save(
            enrollment(
                f"e{number}-{who}",
                profile_id=who,
                journey=name,
                key=key,
                number=number,
                entered_at=when,
                state=state,
                wake_at=when if flag else None,
                converted_at=when if flag else None,
                trigger={"n": number},
            )
        ),
        lambda u: u.enrollments.refuse(refusal(f"r{number}", profile_id=who, journey=name, refused_at=when)),
        lambda u: u.enrollments.add_trail(trail_entry(enrollment_id=f"e{number}-{who}", at=when)),
        lambda u: u.deliveries.save(
            delivery(
                f"d{number}-{who}",
                profile_id=who,
                journey=name,
                status=status,
                claimed_at=when,
                is_marketing=flag,
                sent_at=None if flag else at(number),
                provider_message_id=key,
                subject="S",
            )
        ),
        lambda u: u.deliveries.decide(decision(f"c{number}", profile_id=who, journey=name, decided_at=when)),
        lambda u: u.consents.add(consent(f"k{number}", profile_id=who, evidence={"ip": address})),
        lambda u: u.consents.suppress(suppression(f"s{number}", address_hash=who, lifted_at=when if flag else None)),
        lambda u: u.queue.add_occurrence(occurrence(who, ref=str(number), at=when)),
        _take,
        lambda u: u.queue.add_stimulus(stimulus(f"e{number}-{who}", not_before=when)),
        lambda u: _deliver(u, when),
        lambda u: u.dues.put(due(who, subject=name, due_at=when)),
        lambda u: u.dues.remove("inactive", who, name),
        lambda u: u.dues.put_each([due(each, subject=name, due_at=when) for each in {who, other}]),
        lambda u: u.dues.remove_each("inactive", [who, other], name),
        lambda u: u.memberships.save(membership(who, name, is_member=flag)),
        lambda u: u.memberships.save_each([membership(each, name, is_member=flag) for each in {who, other}]),
        lambda u: u.access.add_links([link(f"t{number}", profile_id=who)]),
    ]
    if dice.random() < 0.03:
        return lambda u: u.profiles.hand_over(who, other) if who != other else u.profiles.erase(who, when)
    return dice.choice(changes)


def _take(unit: Unit) -> None:
    waiting = unit.queue.next_occurrence()
    if waiting is not None:
        unit.queue.remove_occurrence(waiting.seq)


def _answers(store: Store) -> dict[str, Any]:
    """All that the port can be asked; numbers given by the store only by their order."""
    with store.transaction() as unit:
        answers: dict[str, Any] = {
            "ids": unit.profiles.all_ids(),
            "enrollments": unit.enrollments.of(),
            "wake": unit.enrollments.next_wake_at(),
            "refusals": unit.enrollments.refusals(),
            "deliveries": unit.deliveries.of(),
            "in doubt": unit.deliveries.of(status="in_doubt", limit=2),
            "decisions": unit.deliveries.decisions(limit=3),
            "ledger": unit.consents.log(),
            "suppressions": unit.consents.all_suppressions(),
            "stimuli": [(each.enrollment_id, each.not_before) for each in unit.queue.stimuli(at(2))],
            "next stimulus": unit.queue.next_stimulus_at(),
            "dues": unit.dues.until(at(2)),
            "next due": unit.dues.next_at(),
            "links": [unit.access.find_link(f"t{number}") for number in range(6)],
            "identified": [
                unit.profiles.find_by(kind, value)
                for kind in ("email", "anonymous", "external", "chat")
                for value in ("0@shop.example", "1@shop.example", "2@shop.example", "", "k", *_JOURNEYS)
            ],
            "provided": [unit.deliveries.find_by_provider_id("email", value) for value in ("", "k")],
        }
        for who in _PEOPLE:
            answers[who] = (
                unit.profiles.find(who),
                unit.events.of(who),
                unit.events.of(who, "back", since=at(1)),
                unit.events.of_each(who, _JOURNEYS, since=at(1)),
                unit.enrollments.active(who),
                unit.deliveries.counted(who, at(1)),
                unit.consents.of(who),
                unit.consents.suppressions("email", who),
                unit.memberships.of(who),
                [unit.enrollments.trail(f"e{number}-{who}") for number in range(6)],
                [unit.enrollments.last(name, who, key) for name in _JOURNEYS for key in (None, "", "k")],
                [unit.deliveries.received(who, name) for name in _JOURNEYS],
            )
        for name in _JOURNEYS:
            answers[name] = (
                unit.enrollments.of(journey=name, limit=3),
                unit.enrollments.counts(name),
                unit.enrollments.count_entered(name, at(1)),
                unit.memberships.members(name),
                sorted(unit.memberships.of_each([*_PEOPLE, "nobody"], name), key=lambda each: each.profile_id),
            )
    answers["queue"] = _waiting(store)
    return answers


def _deliver(unit: Unit, now: datetime) -> None:
    for each in unit.queue.stimuli(now, 1):
        unit.queue.remove_stimuli([each.seq])


def _waiting(store: Store) -> list[tuple[str, str, datetime]]:
    """All that awaits routing, in order; looking takes it out, so the transaction is undone."""
    waiting: list[tuple[str, str, datetime]] = []
    with suppress(_Undo), store.transaction() as unit:
        while (each := unit.queue.next_occurrence()) is not None:
            waiting.append((each.profile_id, each.ref, each.at))
            unit.queue.remove_occurrence(each.seq)
        raise _Undo
    return waiting


@pytest.mark.parametrize("seed", [1, 2])
def test_a_database_answers_as_virtual_time_does(database: Database, seed: int) -> None:
    dice, memory = random.Random(seed), MemoryStore()
    for _ in range(12):
        for _ in range(8):
            changes, is_undone = [_change(dice) for _ in range(dice.randrange(1, 7))], dice.random() < 0.25
            for store in (memory, database):
                _apply(store, changes, is_undone=is_undone)
        assert _answers(database) == _answers(memory)


@pytest.mark.parametrize("seed", [1, 2])
def test_what_is_read_between_changes_is_as_they_left_it_whether_it_was_expected_or_not(
    database: Database, seed: int
) -> None:
    dice, memory = random.Random(seed), MemoryStore()
    for _ in range(80):
        steps, is_undone = _mixed(dice), dice.random() < 0.25
        found = [_apply(store, steps, is_undone=is_undone) for store in (memory, database)]
        assert found[1] == found[0]


def _mixed(dice: random.Random) -> list[Callable[[Unit], object]]:
    """Looks, some of which are expected, with changes and locks between them."""
    steps: list[Callable[[Unit], object]] = []
    for _ in range(dice.randrange(1, 5)):
        looks = [_look(dice) for _ in range(3)]
        steps += [_expecting(looks), *looks, _look(dice), _change(dice), dice.choice(looks)]
        if dice.random() < 0.3:
            steps.insert(dice.randrange(len(steps)), lambda unit: unit.lock("p1"))
    return steps


def _expecting(looks: list[Callable[[Unit], object]]) -> Callable[[Unit], object]:
    return lambda unit: unit.expect(lambda soon: [look(soon) for look in looks])


def _look(dice: random.Random) -> Callable[[Unit], object]:
    """One read of what `_change` writes."""
    who, name, number = dice.choice(_PEOPLE), dice.choice(_JOURNEYS), dice.randrange(6)
    looks: list[Callable[[Unit], object]] = [
        lambda u: u.profiles.find(who),
        lambda u: u.profiles.owners("email", [f"{number % 3}@shop.example", "nobody"]),
        lambda u: u.events.known([f"v{each}-{who}" for each in range(number)]),
        lambda u: u.enrollments.find(f"e{number}-{who}"),
        lambda u: u.enrollments.active(who),
        lambda u: u.deliveries.find(f"d{number}-{who}"),
        lambda u: u.deliveries.counted(who, at(1)),
        lambda u: u.consents.of(who),
        lambda u: u.dues.find("inactive", who, name),
        lambda u: u.memberships.of(who),
    ]
    return dice.choice(looks)


def _apply(store: Store, steps: list[Callable[[Unit], object]], *, is_undone: bool) -> list[object]:
    """What each step found."""
    found: list[object] = []
    with suppress(_Undo), store.transaction() as unit:
        found += [step(unit) for step in steps]
        if is_undone:
            raise _Undo
    return found
