"""What awaits routing and what awaits its carrier, in SQL."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime

from msgspec.structs import replace
from sqlalchemy import ColumnElement, Connection, bindparam, delete, exists, func, or_, select, text, update

from engine.enrollment.model import Stimulus
from engine.events.model import Occurrence
from engine.storage.sql.prepared import Prepared
from engine.storage.sql.records import Records
from engine.storage.tables import occurrences, stimuli
from engine.storage.types import Instant

_ALWAYS = datetime(9999, 1, 1, tzinfo=UTC)
#: When one that is set aside is tried again, in its column. A comparison and not `set_aside_at IS NULL`: of a column
#: without statistics PostgreSQL expects one null in two hundred rows, and would read the whole backlog for each one.
_NEVER = datetime(9999, 12, 31, tzinfo=UTC)

_OCCURRENCES = Records(Occurrence, occurrences, without=("seq",))
_NEW_OCCURRENCES = Records(Occurrence, occurrences, without=("seq", "attempts", "fault", "retry_at", "set_aside_at"))
_EARLIER = occurrences.alias("earlier")
_IS_OF_THE_SAME = _EARLIER.c.profile_id == occurrences.c.profile_id
#: By dialect: whether no earlier one of the profile is to be routed first.
_IS_ITS_TURN: Mapping[str, ColumnElement[bool]] = {
    # One transaction at a time takes them in their order: an earlier one is only still there if it waits for its next
    # attempt.
    "sqlite": ~exists().where(
        _IS_OF_THE_SAME,
        text("earlier.attempts > 0"),  # in the words of the index
        _EARLIER.c.seq < occurrences.c.seq,
        _EARLIER.c.retry_at < _NEVER,
    ),
    # Only a profile's first one is ever taken, and one that another router is at, or that waits for its next attempt,
    # is still there to be the first: so what follows it is passed over, too.
    "postgresql": occurrences.c.seq
    == select(func.min(_EARLIER.c.seq))
    .where(_IS_OF_THE_SAME, or_(_EARLIER.c.retry_at.is_(None), _EARLIER.c.retry_at < _NEVER))
    .scalar_subquery(),
}
_WAITING = {
    dialect: _OCCURRENCES.select()
    .where(
        or_(occurrences.c.retry_at.is_(None), occurrences.c.retry_at <= bindparam("now", type_=Instant)),
        is_its_turn,
    )
    .order_by(occurrences.c.seq)
    for dialect, is_its_turn in _IS_ITS_TURN.items()
}
#: The offset keeps what is asked of these outside: each is tried in its turn, and none behind the first that is free.
_TRIED = _WAITING["postgresql"].offset(0).subquery("waiting")
#: Of the profile that a router is at, in the space of locks with two numbers. It is tried and never waited for, so who
#: has it may wait for the profile's lock. With a lock on the row it could not: a merge has that one, and wants the row.
_ROUTING = 1
#: (In these words PostgreSQL expects it of nearly all, and not of every third: so it looks for few in their order.)
_IS_FREE = func.nullif(
    func.pg_try_advisory_xact_lock(_ROUTING, func.hashtext(_TRIED.c.profile_id)), text("false")
).is_not(None)
_NEXT = {
    "sqlite": Prepared(_WAITING["sqlite"].limit(1)),
    "postgresql": Prepared(select(*_TRIED.c).where(_IS_FREE).limit(1)),
}
_FIRST = Prepared(
    _OCCURRENCES.select()
    .where(
        occurrences.c.profile_id == bindparam("profile_id"),
        or_(occurrences.c.retry_at.is_(None), occurrences.c.retry_at < _NEVER),
    )
    .order_by(occurrences.c.seq)
    .limit(1)
)
_REMOVE_OCCURRENCE = Prepared(delete(occurrences).where(occurrences.c.seq == bindparam("number")))
_COUNT_OCCURRENCES = select(func.count()).select_from(occurrences).where(occurrences.c.set_aside_at.is_(None))
_SET_BACK = (
    update(occurrences)
    .where(occurrences.c.seq == bindparam("number"), occurrences.c.attempts == bindparam("tried") - 1)
    .values(
        attempts=bindparam("tried"),
        fault=bindparam("what"),
        retry_at=bindparam("again_at"),
        set_aside_at=bindparam("aside_at"),
    )
)
_SETBACKS = _OCCURRENCES.select().where(occurrences.c.attempts > 0).order_by(occurrences.c.seq).limit(bindparam("most"))
_IS_SET_ASIDE = (occurrences.c.attempts > 0, occurrences.c.set_aside_at.is_not(None))
_COUNT_SET_ASIDE = select(func.count()).select_from(occurrences).where(*_IS_SET_ASIDE)
#: In order, as a merge locks them (see `profiles`).
_LOCK_SET_ASIDE = select(occurrences.c.seq).where(*_IS_SET_ASIDE).order_by(occurrences.c.seq).with_for_update()
_RETRY = update(occurrences).where(*_IS_SET_ASIDE).values(attempts=0, retry_at=None, set_aside_at=None)

_STIMULI = Records(Stimulus, stimuli, without=("seq",))
_IS_DUE = stimuli.c.not_before <= bindparam("now", type_=Instant)
_DUE = _STIMULI.select().where(_IS_DUE).order_by(stimuli.c.seq).limit(bindparam("most"))
_BEFORE = stimuli.alias("before")
# An earlier one of the same enrollment that another courier is just taking is still there, and due: so this one is
# passed over, and couriers that claim at once cannot deliver it the wrong way round.
_CLAIMED = (
    _STIMULI.select()
    .where(
        _IS_DUE,
        ~exists().where(
            _BEFORE.c.enrollment_id == stimuli.c.enrollment_id,
            _BEFORE.c.seq < stimuli.c.seq,
            or_(_BEFORE.c.not_before <= bindparam("now", type_=Instant), _BEFORE.c.attempts > 0),
        ),
    )
    # In the order of the index: a backlog need not be sorted for each batch.
    .order_by(stimuli.c.not_before, stimuli.c.seq)
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True)
)
_NUMBERED = stimuli.c.seq.in_(bindparam("numbers", expanding=True))
_CLAIM = (
    update(stimuli)
    .where(_NUMBERED)
    .values(not_before=bindparam("again_at", type_=Instant), attempts=stimuli.c.attempts + 1)
)
_PUT_BACK = update(stimuli).where(_NUMBERED).values(not_before=bindparam("again_at", type_=Instant))
_NEXT_STIMULUS_AT = select(func.min(stimuli.c.not_before, type_=Instant))
_REMOVE_STIMULI = delete(stimuli).where(_NUMBERED)


class SqlQueue:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        #: Whether something was added in this transaction: who works on the queues is told with its commit.
        self.has_news = False

    def add_occurrence(self, occurrence: Occurrence) -> None:
        self.has_news = True
        _NEW_OCCURRENCES.put(self._connection, occurrence)

    def add_occurrences(self, occurrences: Sequence[Occurrence]) -> None:
        self.has_news = True
        _NEW_OCCURRENCES.put_each(self._connection, occurrences)

    def next_occurrence(self, now: datetime | None = None) -> Occurrence | None:
        return _OCCURRENCES.first(self._connection, _NEXT[self._connection.dialect.name], {"now": now or _ALWAYS})

    def confirm_occurrence(self, taken: Occurrence, now: datetime | None = None) -> Occurrence | None:
        if self._connection.dialect.name != "postgresql":
            return taken
        first = _OCCURRENCES.first(self._connection, _FIRST, {"profile_id": taken.profile_id})
        return first if first is not None and (first.retry_at is None or first.retry_at <= (now or _ALWAYS)) else None

    def remove_occurrence(self, seq: int) -> None:
        _REMOVE_OCCURRENCE.write(self._connection, {"number": seq})

    def count_occurrences(self) -> int:
        return self._connection.scalars(_COUNT_OCCURRENCES).one()

    def set_back(self, occurrence: Occurrence) -> None:
        self._connection.execute(
            _SET_BACK,
            {
                "number": occurrence.seq,
                "tried": occurrence.attempts,
                "what": occurrence.fault,
                "again_at": _NEVER if occurrence.set_aside_at else occurrence.retry_at,
                "aside_at": occurrence.set_aside_at,
            },
        )

    def setbacks(self, limit: int = 1000) -> Sequence[Occurrence]:
        found = _OCCURRENCES.all(self._connection, _SETBACKS, {"most": limit})
        return [replace(each, retry_at=None) if each.set_aside_at else each for each in found]

    def count_set_aside(self) -> int:
        return self._connection.scalars(_COUNT_SET_ASIDE).one()

    def retry_set_aside(self, seqs: Collection[int] | None = None) -> int:
        self.has_news = True
        is_meant = () if seqs is None else (occurrences.c.seq.in_(seqs),)
        self._connection.execute(_LOCK_SET_ASIDE.where(*is_meant))
        return self._connection.execute(_RETRY.where(*is_meant)).rowcount

    def add_stimulus(self, stimulus: Stimulus) -> None:
        self.has_news = True
        _STIMULI.put(self._connection, stimulus)

    def stimuli(self, now: datetime, limit: int = 100) -> Sequence[Stimulus]:
        return _STIMULI.all(self._connection, _DUE, {"now": now, "most": limit})

    def claim_stimuli(self, now: datetime, until: datetime, limit: int = 100) -> Sequence[Stimulus]:
        found = _STIMULI.all(self._connection, _CLAIMED, {"now": now, "most": limit})
        if found:
            self._connection.execute(_CLAIM, {"numbers": [each.seq for each in found], "again_at": until})
        claimed = [replace(each, not_before=until, attempts=each.attempts + 1) for each in found]
        return sorted(claimed, key=lambda stimulus: stimulus.seq)

    def put_back_stimuli(self, seqs: Collection[int], not_before: datetime) -> None:
        if seqs:
            self._connection.execute(_PUT_BACK, {"numbers": list(seqs), "again_at": not_before})

    def next_stimulus_at(self) -> datetime | None:
        at: datetime | None = self._connection.scalar(_NEXT_STIMULUS_AT)
        return at

    def remove_stimuli(self, seqs: Collection[int]) -> None:
        if seqs:
            self._connection.execute(_REMOVE_STIMULI, {"numbers": list(seqs)})
