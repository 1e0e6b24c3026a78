"""What may be done to any world without anything coming of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from random import Random

from tests.scenarios.fuzz.journeys import Document
from tests.scenarios.fuzz.record import Record
from tests.scenarios.fuzz.seeds import Case

#: Somebody whom no journey and no segment knows.
STRANGER = "zoe"
_DAYS = 3 * 1440
#: When a world is looked at early.
HALF_WAY = timedelta(hours=36)


def harmless_changes(case: Case) -> Iterator[tuple[str, Document]]:
    """Scenarios of which the same must come as of the case's own, each with what was changed."""
    random = Random(case.seed)
    rows = case.scenario["events"]
    stops = [{"at": f"{random.randint(0, _DAYS)}m", "set": {"hobby": "chess"}, "profile": STRANGER} for _ in range(20)]
    yield "time goes on in smaller steps, in which a stranger does something", _with(case, [*rows, *stops])
    # What was erased, or came before the start, is no longer known, or not yet.
    if not any("erase" in row for row in rows):
        again = [{**row, "at": f"{_minute(row) + random.choice((0, 7, 90))}m"} for row in rows if "message_id" in row]
        yield "every event comes again with its message id", _with(case, [*rows, *again])
    steered = {row.get("pause") or row.get("stop") for row in rows}
    pauses = []
    for journey in case.journeys:
        if journey["journey"] not in steered:
            at = f"{random.randint(0, _DAYS) // 30 * 30}m"
            pauses += [{"at": at, action: journey["journey"]} for action in ("pause", "resume")]
    yield "journeys are paused, and resumed at the same instant", _with(case, [*rows, *pauses])
    if len(case.scenario["profiles"]) > 1 and not any("limit" in each.get("entry", {}) for each in case.journeys):
        mirrored = [*case.scenario["profiles"]][::-1]
        yield "people are declared in another order", {**case.scenario, "profiles": mirrored}


def last_person(case: Case) -> str | None:
    """Somebody whom no other notices; None where people share something: an alias, a limit, a pace, a provider that
    fails, an event's id."""
    rows, journeys = case.scenario["events"], case.journeys
    ids = [row["message_id"] for row in rows if "message_id" in row]
    is_shared = any(row.keys() & {"alias", "provider"} for row in rows) or len(set(ids)) < len(ids)
    is_shared = is_shared or any("limit" in each.get("entry", {}) or "pace" in each for each in journeys)
    people = [profile["id"] for profile in case.scenario["profiles"]]
    return None if is_shared or len(people) == 1 else people[-1]


def without_person(case: Case, person: str) -> Document:
    """The same scenario, in which somebody does not exist."""
    profiles = [profile for profile in case.scenario["profiles"] if profile["id"] != person]
    rows = [row for row in case.scenario["events"] if row.get("profile") != person]
    return {**case.scenario, "profiles": profiles, "events": rows}


def of_others(record: Record, person: str) -> Record:
    """What came of everybody else; of a call nobody can tell whose it is."""
    return {
        name: tuple(row for row in rows if f'"{person}"' not in row) for name, rows in record.items() if name != "calls"
    }


def without_the_stranger(record: Record) -> Record:
    """The record of everybody else."""
    return {name: tuple(row for row in rows if f'"{STRANGER}"' not in row) for name, rows in record.items()}


def shortened(case: Case) -> Document:
    """The same scenario, looked at half-way: what has come by then comes in the whole, too."""
    last = HALF_WAY.total_seconds() / 60
    rows = [row for row in case.scenario["events"] if _minute(row) <= last]
    return {**case.scenario, "events": rows, "until": "36h"}


def in_order(rows: list[Document]) -> list[Document]:
    """By time; those of one instant as they stood."""
    return sorted(rows, key=_minute)


def _with(case: Case, rows: list[Document]) -> Document:
    return {**case.scenario, "events": in_order(rows)}


def _minute(row: Document) -> int:
    return int(row["at"].removesuffix("m"))
