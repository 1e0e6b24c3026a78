"""The import itself: rows in batches, a transaction each, and a word about every row that was refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any, Generic, TypeVar

from engine.events.importing import cells
from engine.events.importing.columns import MOST_COLUMNS, Columns
from engine.events.importing.rows import Refusal, Row, RowRefused
from engine.events.importing.taker import Outcome, Taker
from engine.store import Store, Unit

#: Rows in one transaction: enough to share its cost, few enough that nobody waits long for a lock.
BATCH = 250

R = TypeVar("R")


@dataclass(slots=True)
class Tally:
    """How an import goes."""

    #: Rows dealt with, from the first.
    rows: int = 0
    taken: int = 0
    #: Known already, just so.
    unchanged: int = 0
    #: Number of refused rows by code.
    refused: Counter[str] = field(default_factory=Counter)

    @property
    def refusals(self) -> int:
        return self.refused.total()

    def as_json(self) -> dict[str, Any]:
        return {
            "rows": self.rows,
            "taken": self.taken,
            "unchanged": self.unchanged,
            "refused": self.refusals,
            "refused_by_code": dict(sorted(self.refused.items())),
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Tally:
        return cls(
            rows=document["rows"],
            taken=document["taken"],
            unchanged=document["unchanged"],
            refused=Counter(document["refused_by_code"]),
        )


#: Called in a batch's transaction, when the tally counts it, with what was refused of it and the present instant.
Keep = Callable[[Unit, Sequence[Refusal], datetime], None]


def _forget(_unit: Unit, _refusals: Sequence[Refusal], _now: datetime) -> None:
    pass


class _Undone(Exception):
    """Takes back what a dry run has written."""


class Importer(Generic[R]):
    """Takes rows of one kind into a store. Killed anywhere and begun again, it ends as if nothing had been."""

    def __init__(
        self,
        store: Store,
        taker: Taker[R],
        columns: Columns,
        clock: Callable[[], datetime],
        *,
        is_dry: bool = False,
        batch: int = BATCH,
    ) -> None:
        """`is_dry`: everything is tried and taken back; each batch then knows nothing of those before it."""
        self._store = store
        self._taker = taker
        self._columns = columns
        self._clock = clock
        self._is_dry = is_dry
        self._batch = batch
        #: Columns that rows had, in the order in which they came; no more than a table may have.
        self.seen: dict[str, None] = {}

    def run(self, rows: Iterable[Row], tally: Tally, keep: Keep = _forget) -> Iterator[Sequence[Refusal]]:
        """Goes on behind the rows that `tally` counts, and keeps it up to date.

        Yields after each batch what was refused of it, in order: by then the batch is committed, and with it what
        `keep` wrote in its transaction.
        """
        remaining = (row for row in rows if row.number > tally.rows)
        while batch := list(islice(remaining, self._batch)):
            yield self._take(batch, tally, keep)

    def _take(self, rows: Sequence[Row], tally: Tally, keep: Keep) -> list[Refusal]:
        now = self._clock()
        outcomes: dict[int, Outcome] = {}
        read: list[tuple[int, R]] = []
        for place, row in enumerate(rows):
            try:
                if row.problem:
                    raise row.problem
                for column in row.cells:
                    cells.check_column(column)
                if len(self.seen) < MOST_COLUMNS:
                    self.seen.update(dict.fromkeys(row.cells))
                read.append((place, self._taker.read(self._columns.arrange(row.cells), now)))
            except RowRefused as refused:
                outcomes[place] = refused
        refusals: list[Refusal] = []
        try:
            with self._store.transaction() as unit:
                taken = self._taker.take(unit, [each for _, each in read], now) if read else ()
                outcomes.update(zip((place for place, _ in read), taken, strict=True))
                refusals = self._count(rows, outcomes, tally)
                keep(unit, refusals, now)
                if self._is_dry:
                    raise _Undone
        except _Undone:
            pass
        return refusals

    def _count(self, rows: Sequence[Row], outcomes: Mapping[int, Outcome], tally: Tally) -> list[Refusal]:
        refusals = []
        for place, row in enumerate(rows):
            outcome = outcomes[place]
            match outcome:
                case "taken":
                    tally.taken += 1
                case "unchanged":
                    tally.unchanged += 1
                case RowRefused():
                    tally.refused[outcome.code] += 1
                    refusals.append(self._refusal(row, outcome))
        tally.rows = rows[-1].number
        return refusals

    def _refusal(self, row: Row, refused: RowRefused) -> Refusal:
        name = refused.field
        column = None if name is None else self._columns.column_of(name, row.cells)
        return Refusal(row=row.number, column=column, code=refused.code, message=refused.sentence)
