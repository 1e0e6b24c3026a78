"""What a recording holds, and who the people in it are: read once before anything is played."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from engine.errors import BadInput
from engine.simulator.backtest_rows import Recording, read_rows
from engine.simulator.scenario import Consented, Person

_OWN = ("email", "phone", "timezone", "locale")
_IDS = ("id", "user_id", "userId", "profile")


@dataclass(frozen=True, kw_only=True, slots=True)
class Survey:
    """What a recording holds."""

    events: int
    first: datetime
    last: datetime
    #: By name: how many.
    names: Mapping[str, int]
    #: Everybody, in the order in which they come.
    people: tuple[str, ...]
    is_in_order: bool


def survey(recording: Recording, on_row: Callable[[], None] = lambda: None) -> Survey:
    """Reads a recording once, through. Raises BadInput with the row that cannot be used, and for an empty one."""
    first = last = before = None
    names: Counter[str] = Counter()
    people: dict[str, None] = {}
    is_in_order = True
    for event in recording:
        at = event.timestamp
        first, last = min(first or at, at), max(last or at, at)
        is_in_order = is_in_order and (before is None or before <= at)
        before = at
        names[event.event] += 1
        people[event.person] = None
        on_row()
    if first is None or last is None:
        raise BadInput(f"{recording.path.name} holds no event")
    return Survey(
        events=names.total(),
        first=first,
        last=last,
        names=names,
        people=tuple(people),
        is_in_order=is_in_order,
    )


def read_people(rows: Iterator[Mapping[str, Any]]) -> dict[str, Person]:
    """Profiles of a file by their id: columns `id email phone timezone locale`, `chat`, `consents` and `attributes` as
    mappings where the format has them; every other column is an attribute."""
    people = {}
    for number, row in enumerate(rows, 1):
        named = next((name for name in _IDS if row.get(name) is not None), None)
        if named is None:
            raise BadInput(f"profiles, row {number}: no id; the column is `id` or `user_id`")
        taken = {*_IDS, *_OWN, "chat", "consents", "attributes"}
        attributes = {name: value for name, value in row.items() if name not in taken and value is not None}
        try:
            consents = tuple(Consented(**consent) for consent in row.get("consents") or ())
        except TypeError as problem:
            raise BadInput(f"profiles, row {number}: a consent is {{channel, topic, basis}}") from problem
        own = {name: str(row[name]) for name in _OWN if row.get(name) is not None}
        person = str(row[named])
        people[person] = Person(
            person=person,
            **own,
            chat=row.get("chat") or {},
            attributes={**attributes, **(row.get("attributes") or {})},
            consents=consents,
        )
    return people


def profiles_of(path: Path, encoding: str | None = None) -> dict[str, Person]:
    """Profiles of a .csv, .jsonl or .parquet file."""
    return read_people(read_rows(path, encoding))
