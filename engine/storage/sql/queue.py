"""What awaits routing and what awaits its carrier, in SQL."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, bindparam, delete, func, select

from engine.enrollment.model import Stimulus
from engine.events.model import Occurrence
from engine.storage.sql.records import Records
from engine.storage.tables import occurrences, stimuli
from engine.storage.types import Instant

_OCCURRENCES = Records(Occurrence, occurrences, without=("seq",))
_EARLIER = occurrences.alias("earlier")
# Only a profile's first one is ever taken, and one that another transaction holds is still there to be the first: so
# what follows it is passed over, too. (SQLite knows no row locks and needs none: one transaction at a time.)
_NEXT = (
    _OCCURRENCES.select()
    .where(
        occurrences.c.seq
        == select(func.min(_EARLIER.c.seq)).where(_EARLIER.c.profile_id == occurrences.c.profile_id).scalar_subquery()
    )
    .order_by(occurrences.c.seq)
    .limit(1)
    .with_for_update(skip_locked=True)
)
_REMOVE_OCCURRENCE = delete(occurrences).where(occurrences.c.seq == bindparam("number"))
_COUNT_OCCURRENCES = select(func.count()).select_from(occurrences)

_STIMULI = Records(Stimulus, stimuli, without=("seq",))
_DUE = (
    _STIMULI.select()
    .where(stimuli.c.not_before <= bindparam("now", type_=Instant))
    .order_by(stimuli.c.seq)
    .limit(bindparam("most"))
)
_NEXT_STIMULUS_AT = select(func.min(stimuli.c.not_before, type_=Instant))
_REMOVE_STIMULUS = delete(stimuli).where(stimuli.c.seq == bindparam("number"))


class SqlQueue:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add_occurrence(self, occurrence: Occurrence) -> None:
        _OCCURRENCES.put(self._connection, occurrence)

    def next_occurrence(self) -> Occurrence | None:
        return _OCCURRENCES.first(self._connection, _NEXT)

    def remove_occurrence(self, seq: int) -> None:
        self._connection.execute(_REMOVE_OCCURRENCE, {"number": seq})

    def count_occurrences(self) -> int:
        return self._connection.scalars(_COUNT_OCCURRENCES).one()

    def add_stimulus(self, stimulus: Stimulus) -> None:
        _STIMULI.put(self._connection, stimulus)

    def stimuli(self, now: datetime, limit: int = 100) -> Sequence[Stimulus]:
        return _STIMULI.all(self._connection, _DUE, {"now": now, "most": limit})

    def next_stimulus_at(self) -> datetime | None:
        at: datetime | None = self._connection.scalar(_NEXT_STIMULUS_AT)
        return at

    def remove_stimulus(self, seq: int) -> None:
        self._connection.execute(_REMOVE_STIMULUS, {"number": seq})
