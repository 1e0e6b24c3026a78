"""Enrollments, refusals and trails, in SQL."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, bindparam, func, insert, literal_column, select

from engine.enrollment.model import Enrollment, Refusal, TrailEntry
from engine.storage.sql.prepared import Prepared
from engine.storage.sql.records import Records
from engine.storage.tables import enrollments, refusals, trail
from engine.store import Place

_ENROLLMENTS = Records(Enrollment, enrollments, key=("enrollment_id",))
_FIND = Prepared(_ENROLLMENTS.select().where(enrollments.c.enrollment_id == bindparam("enrollment_id")))
_OWNER = Prepared(select(enrollments.c.profile_id).where(enrollments.c.enrollment_id == bindparam("enrollment_id")))
# A literal, not a parameter: only then do the partial indexes serve.
_IS_ACTIVE = enrollments.c.state == literal_column("'active'")
_ACTIVE = Prepared(
    _ENROLLMENTS.select()
    .where(enrollments.c.profile_id == bindparam("profile_id"), _IS_ACTIVE)
    .order_by(enrollments.c.entered_at, enrollments.c.enrollment_id)
)
_NEWEST_FIRST = _ENROLLMENTS.select().order_by(enrollments.c.entered_at.desc(), enrollments.c.seq.desc())
_INSIDE = (
    _ENROLLMENTS.select()
    .where(enrollments.c.journey == bindparam("journey"), _IS_ACTIVE)
    .order_by(enrollments.c.entered_at, enrollments.c.seq)
)
_PLACES = (
    select(enrollments.c.digest, enrollments.c.step_id, enrollments.c.waiting, func.count().label("people"))
    .where(enrollments.c.journey == bindparam("journey"), _IS_ACTIVE)
    .group_by(enrollments.c.digest, enrollments.c.step_id, enrollments.c.waiting)
)
_NUMBERED = (
    _ENROLLMENTS.select()
    .where(enrollments.c.journey == bindparam("journey"), enrollments.c.profile_id == bindparam("profile_id"))
    .order_by(enrollments.c.number.desc(), enrollments.c.seq.desc())
    .limit(1)
)
_LAST_WITHOUT_KEY = Prepared(_NUMBERED.where(enrollments.c.key.is_(None)))
_LAST_WITH_KEY = Prepared(_NUMBERED.where(enrollments.c.key == bindparam("key")))
_COUNT_ENTERED = select(func.count()).where(
    enrollments.c.journey == bindparam("journey"), enrollments.c.entered_at > bindparam("since")
)
_NEXT_WAKE_AT = (
    select(enrollments.c.wake_at)
    .where(_IS_ACTIVE, enrollments.c.wake_at.is_not(None))
    .order_by(enrollments.c.wake_at)
    .limit(1)
)
_STATES = (
    select(
        enrollments.c.state,
        func.count().label("people"),
        func.count(enrollments.c.converted_at).label("converted"),
    )
    .where(enrollments.c.journey == bindparam("journey"))
    .group_by(enrollments.c.state)
)

_REFUSALS = Records(Refusal, refusals, key=("refusal_id",))
_REFUSED = _REFUSALS.select().order_by(refusals.c.refused_at, refusals.c.seq)

_TRAIL = Records(TrailEntry, trail)
_TRAIL_OF = Prepared(_TRAIL.select().where(trail.c.enrollment_id == bindparam("enrollment_id")).order_by(trail.c.seq))
_ADD_TRAIL = Prepared(
    insert(trail)
    .inline()
    .values(
        seq=select(func.coalesce(func.max(trail.c.seq), 0) + 1)
        .where(trail.c.enrollment_id == bindparam("enrollment"))
        .scalar_subquery()
    ),
    written=[name for name in TrailEntry.__struct_fields__ if name != "seq"],
)


class SqlEnrollments:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def save(self, enrollment: Enrollment) -> None:
        _ENROLLMENTS.put(self._connection, enrollment)

    def find(self, enrollment_id: str) -> Enrollment | None:
        return _ENROLLMENTS.first(self._connection, _FIND, {"enrollment_id": enrollment_id})

    def owner(self, enrollment_id: str) -> str | None:
        owner: str | None = _OWNER.value(self._connection, {"enrollment_id": enrollment_id})
        return owner

    def active(self, profile_id: str) -> Sequence[Enrollment]:
        return _ENROLLMENTS.all(self._connection, _ACTIVE, {"profile_id": profile_id})

    def of(
        self, *, profile_id: str | None = None, journey: str | None = None, limit: int | None = None
    ) -> Sequence[Enrollment]:
        statement = _NEWEST_FIRST.limit(limit)
        if profile_id is not None:
            statement = statement.where(enrollments.c.profile_id == profile_id)
        if journey is not None:
            statement = statement.where(enrollments.c.journey == journey)
        return _ENROLLMENTS.all(self._connection, statement)

    def inside(self, journey: str) -> Sequence[Enrollment]:
        return _ENROLLMENTS.all(self._connection, _INSIDE, {"journey": journey})

    def places(self, journey: str) -> Sequence[Place]:
        rows = self._connection.execute(_PLACES, {"journey": journey})
        places = [Place(digest=row.digest, step_id=row.step_id, waiting=row.waiting, people=row.people) for row in rows]
        # Here, because databases differ in where they put what is missing and how they order text.
        return sorted(places, key=lambda place: (place.digest, place.step_id or "", place.waiting or ""))

    def last(self, journey: str, profile_id: str, key: str | None) -> Enrollment | None:
        given = {"journey": journey, "profile_id": profile_id}
        if key is None:
            return _ENROLLMENTS.first(self._connection, _LAST_WITHOUT_KEY, given)
        return _ENROLLMENTS.first(self._connection, _LAST_WITH_KEY, given | {"key": key})

    def count_entered(self, journey: str, since: datetime) -> int:
        return self._connection.scalars(_COUNT_ENTERED, {"journey": journey, "since": since}).one()

    def next_wake_at(self) -> datetime | None:
        return self._connection.scalar(_NEXT_WAKE_AT)

    def counts(self, journey: str) -> dict[str, int]:
        counts = {"active": 0, "ended": 0, "converted": 0}
        for row in self._connection.execute(_STATES, {"journey": journey}):
            counts[row.state] = row.people
            counts["converted"] += row.converted
        return counts

    def refuse(self, refusal: Refusal) -> None:
        _REFUSALS.add(self._connection, refusal)

    def refusals(self, *, profile_id: str | None = None, journey: str | None = None) -> Sequence[Refusal]:
        statement = _REFUSED
        if profile_id is not None:
            statement = statement.where(refusals.c.profile_id == profile_id)
        if journey is not None:
            statement = statement.where(refusals.c.journey == journey)
        return _REFUSALS.all(self._connection, statement)

    def add_trail(self, entry: TrailEntry) -> None:
        _ADD_TRAIL.write(self._connection, _TRAIL.row(entry) | {"enrollment": entry.enrollment_id})

    def trail(self, enrollment_id: str) -> Sequence[TrailEntry]:
        return _TRAIL.all(self._connection, _TRAIL_OF, {"enrollment_id": enrollment_id})
