"""What takes rows of one kind in."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, Protocol, TypeVar

from engine.events.identity import IdentifierKind
from engine.events.importing.columns import Kind
from engine.events.importing.rows import RowRefused
from engine.events.intake import Intake
from engine.store import Unit

Outcome = Literal["taken", "unchanged"] | RowRefused

R = TypeVar("R")


class Taker(Protocol[R]):
    """Reads rows without a store, and takes what was read into one."""

    @property
    def kind(self) -> Kind: ...

    @property
    def fields(self) -> Sequence[str]:
        """Our own fields, whose columns are found however their names are written."""
        ...

    def needed(self, given: Collection[str]) -> Sequence[str]:
        """Fields without which no row can be taken, where columns give these."""
        ...

    @property
    def aliases(self) -> Mapping[str, str]:
        """Other names in use for our fields."""
        ...

    def knows(self, name: str) -> bool:
        """Whether a field means anything here."""
        ...

    def is_catalogued(self, name: str) -> bool:
        """Whether a field that means something is the project's or ours, and no mere name that came in."""
        ...

    def read(self, given: Mapping[str, Any], now: datetime) -> R:
        """The row, from its cells by field; raises RowRefused."""
        ...

    def take(self, unit: Unit, rows: Sequence[R], now: datetime) -> Sequence[Outcome]:
        """Takes them in, in their order, under the locks of all whom they are about; what came of each.

        A row that is refused has changed nothing.
        """
        ...


def take_each(
    intake: Intake,
    unit: Unit,
    people: Collection[tuple[IdentifierKind, str]],
    rows: Iterable[R],
    take: Callable[[Unit, R], Outcome],
) -> list[Outcome]:
    """What came of each row; a refusal is one row's alone. Whom the rows are about is locked and read together before
    the first, and what they write of profiles, and what awaits routing, is written together after the last."""
    gathering = intake.gather(unit, people, changing=people, event_ids=())
    outcomes: list[Outcome] = []
    for row in rows:
        try:
            outcomes.append(take(gathering.unit, row))
        except RowRefused as refused:
            outcomes.append(refused)
    gathering.write()
    return outcomes
