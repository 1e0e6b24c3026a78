"""Many records in one go: a store does with them what it does with each."""

from __future__ import annotations

from datetime import UTC, datetime

from engine.events.model import Occurrence
from engine.profiles.model import Event, Profile
from engine.store import Store

NOW = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
MANY = 150


def event(number: int, name: str = "Seen") -> Event:
    return Event(
        event_id=f"ev{number}",
        profile_id="p1",
        name=name,
        timestamp=NOW,
        received_at=NOW,
        properties={"number": number, "text": "ñ\u2028'\"", "deep": [None, True, 1.5]},
    )


def person(number: int) -> Profile:
    return Profile(
        profile_id=f"p{number:03}",
        external_id=f"u{number}",
        email=f"u{number}@example.com",
        chat={"team": f"U{number}"},
        attributes={"number": number},
        created_at=NOW,
        set_at={"email": NOW},
    )


def test_events_are_stored_once_each_and_counted(any_store: Store) -> None:
    with any_store.transaction() as unit:
        assert unit.events.add(event(7, "First"))
        assert unit.events.add_each([event(number) for number in range(MANY)]) == MANY - 1
        assert unit.events.add_each([event(0), event(0), event(MANY), event(MANY)]) == 1
        assert unit.events.add_each([]) == 0
        assert unit.events.known({"ev0", f"ev{MANY}", "ev-other", "'; --"}) == {"ev0", f"ev{MANY}"}
        assert unit.events.known(set()) == set()
    with any_store.transaction() as unit:
        found = {each.event_id: each for each in unit.events.of("p1")}
        assert found == {f"ev{number}": event(number, "First" if number == 7 else "Seen") for number in range(MANY + 1)}
        # In the order in which they came.
        assert [each.event_id for each in unit.events.of("p1", "Seen")] == [
            f"ev{number}" for number in range(MANY + 1) if number != 7
        ]


def test_people_come_with_all_their_identifiers(any_store: Store) -> None:
    with any_store.transaction() as unit:
        unit.profiles.save(person(999))
        unit.profiles.add_each(
            [person(number) for number in range(MANY)],
            {("external", f"u{number}"): f"p{number:03}" for number in range(MANY)} | {("anonymous", "v'1"): "p999"},
        )
        unit.profiles.add_each([], {})
    with any_store.transaction() as unit:
        assert list(unit.profiles.find_each(["p005"])) == [person(5)]
        assert {each.profile_id for each in unit.profiles.find_each({"p000", "p149", "nobody"})} == {"p000", "p149"}
        assert list(unit.profiles.find_each([])) == []
        assert unit.profiles.owners("external", ["u3", "u4", "u-other"]) == {"u3": "p003", "u4": "p004"}
        assert unit.profiles.owners("anonymous", ["v'1"]) == {"v'1": "p999"}
        assert unit.profiles.owners("external", []) == {}
        assert unit.profiles.owner("email", "u9@example.com") == unit.profiles.owner("team", "U9") == "p009"
        assert unit.profiles.owner("external", "nobody") is None
        unit.profiles.erase("p003", NOW)
        assert unit.profiles.owners("external", ["u3", "u4"]) == {"u4": "p004"}
        assert unit.profiles.owner("external", "u3") is None


def test_occurrences_queue_up_in_their_order(any_store: Store) -> None:
    with any_store.transaction() as unit:
        unit.queue.add_occurrences(
            [
                Occurrence(profile_id=f"p{number}", kind="event", ref=f"ev{number}", detail={"n": number}, at=NOW)
                for number in range(MANY)
            ]
        )
        unit.queue.add_occurrences([])
    routed = []
    with any_store.transaction() as unit:
        while (found := unit.queue.next_occurrence(NOW)) is not None:
            routed.append((found.ref, found.detail))
            unit.queue.remove_occurrence(found.seq)
    assert routed == [(f"ev{number}", {"n": number}) for number in range(MANY)]


def test_many_locks_are_taken_and_taken_again(any_store: Store) -> None:
    with any_store.transaction() as unit:
        unit.lock_each([f"p{number}" for number in range(2500)])
        unit.lock_each(["p1", "p2"])
        unit.lock("p3")
        unit.lock_each([])
