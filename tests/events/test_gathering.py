"""Calls that are gathered leave the store as if each had been taken in by itself."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import BadInput, Conflict, SojournError
from engine.events.gathering import Overtaken
from engine.events.intake import Intake
from engine.profiles.model import Event
from engine.project import Project
from engine.storage.memory import MemoryStore
from engine.store import Store, Unit
from engine.web.segment import Call, parse_batch
from tests.web.conftest import KEY, NOW

PROJECT = Project(name="shop", root=Path(), timezone="UTC", locale="en", database="")
INTAKE = Intake(PROJECT, KEY)

PEOPLE = st.sampled_from(["ana", "ben", "cid"])
DEVICES = st.sampled_from(["d1", "d2"])
MESSAGES = st.fixed_dictionaries(
    {"type": st.sampled_from(["track", "track", "identify", "alias", "group", "page"])},
    optional={
        "userId": PEOPLE,
        "anonymousId": DEVICES,
        "messageId": st.sampled_from([f"m{number}" for number in range(6)]),
        "previousId": st.one_of(PEOPLE, DEVICES),
        "event": st.sampled_from(["Seen", "Bought"]),
        "groupId": st.just("g1"),
        "traits": st.fixed_dictionaries(
            {}, optional={"email": st.sampled_from(["a@x.es", "b@x.es", None]), "plan": st.sampled_from(["pro", None])}
        ),
        "timestamp": st.integers(0, 3).map(lambda hours: (NOW - timedelta(hours=hours)).isoformat()),
    },
)


def parsed(messages: Sequence[dict[str, Any]]) -> list[Call]:
    """Those that are calls at all."""
    calls = []
    for number, message in enumerate(messages):
        whole = {"event": "Seen", "messageId": f"own{number}"} | message
        try:
            calls += parse_batch(json.dumps({"batch": [whole]}).encode(), NOW).calls
        except SojournError:
            continue
    return calls


def one_by_one(store: Store, calls: Sequence[Call]) -> None:
    for call in calls:
        with store.transaction() as unit:
            call.apply(INTAKE, unit, NOW)


def gathered(store: Store, calls: Sequence[Call]) -> None:
    people = {each for call in calls for each in call.identifiers()}
    changing = {each for call in calls if not call.is_event for each in call.identifiers()}
    event_ids = {call.event_id for call in calls if call.event_id}
    with store.transaction() as unit:
        gathering = INTAKE.gather(unit, people, changing=changing, event_ids=event_ids)
        for call in calls:
            call.apply(INTAKE, gathering.unit, NOW)
        gathering.write()


def contents(store: Store) -> dict[str, Any]:
    with store.transaction() as unit:
        people = {each: unit.profiles.find(each) for each in unit.profiles.all_ids()}
        queued = []
        while (occurrence := unit.queue.next_occurrence(NOW)) is not None:
            queued.append((occurrence.profile_id, occurrence.kind, occurrence.ref, occurrence.detail))
            unit.queue.remove_occurrence(occurrence.seq)
        return {
            "people": people,
            "identifiers": {each: unit.profiles.identifiers(each) for each in people},
            "events": {each: list(unit.events.of(each)) for each in people},
            "queue": queued,
        }


def becomes_the_same(one: Store, other: Store, before: list[Call], calls: list[Call]) -> None:
    for store in (one, other):
        _try(one_by_one, store, before)
    if _try(one_by_one, one, calls) and _try(gathered, other, calls):
        assert contents(other) == contents(one)


def _try(take: Any, store: Store, calls: list[Call]) -> bool:
    try:
        take(store, calls)
    except (BadInput, Conflict):  # an alias that is refused
        return False
    return True


@given(before=st.lists(MESSAGES, max_size=5), messages=st.lists(MESSAGES, min_size=1, max_size=10))
@settings(max_examples=300, deadline=None)
def test_gathered_calls_do_what_each_does_by_itself(
    before: list[dict[str, Any]], messages: list[dict[str, Any]]
) -> None:
    becomes_the_same(MemoryStore(), MemoryStore(), parsed(before), parsed(messages))


def test_gathered_calls_do_the_same_on_every_store(any_store: Store) -> None:
    messages: list[dict[str, Any]] = [
        {"type": "track", "anonymousId": "d1"},
        {"type": "identify", "userId": "ana", "anonymousId": "d1", "traits": {"email": "a@x.es", "plan": "pro"}},
        {"type": "track", "userId": "ana", "messageId": "m1"},
        {"type": "track", "userId": "ana", "messageId": "m1", "event": "Bought"},
        {"type": "identify", "userId": "ben", "traits": {"email": "a@x.es"}},
        {"type": "track", "anonymousId": "d1", "event": "Bought"},
        {"type": "alias", "userId": "ben", "previousId": "cid"},
        {"type": "track", "userId": "cid", "event": "Bought"},
        {"type": "identify", "userId": "ana", "traits": {"plan": None}},
        {"type": "identify", "userId": "ana", "messageId": "i1", "traits": {"plan": "basic"}},
        {"type": "identify", "userId": "ana", "messageId": "i1", "traits": {"plan": "other"}},
    ]
    becomes_the_same(MemoryStore(), any_store, parsed(messages[:3]), parsed(messages))


def test_an_event_that_another_transaction_stored_meanwhile_undoes_all() -> None:
    store = MemoryStore()
    calls = parsed([{"type": "track", "userId": "ana", "messageId": "m1"}])

    def race(unit: Unit) -> None:
        gathering = INTAKE.gather(unit, calls[0].identifiers(), changing=(), event_ids={str(calls[0].event_id)})
        calls[0].apply(INTAKE, gathering.unit, NOW)
        unit.events.add(
            Event(event_id=str(calls[0].event_id), profile_id="p", name="Seen", timestamp=NOW, received_at=NOW)
        )
        gathering.write()

    with pytest.raises(Overtaken), store.transaction() as unit:
        race(unit)
    with store.transaction() as unit:
        assert unit.profiles.all_ids() == []
