"""Deliveries and decisions, in SQL."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, bindparam, func, literal_column, select, true
from sqlalchemy.sql.expression import false

from engine.delivery.model import COUNTED, DOUBTED, TAKEN, Decision, Delivery
from engine.storage.sql.prepared import Prepared
from engine.storage.sql.records import Records
from engine.storage.tables import decisions, deliveries
from engine.storage.types import Instant

_DELIVERIES = Records(Delivery, deliveries, key=("delivery_id",))
_FIND = Prepared(_DELIVERIES.select().where(deliveries.c.delivery_id == bindparam("delivery_id")))
_PROVIDED = Prepared(
    _DELIVERIES.select()
    .where(
        deliveries.c.via == bindparam("via"),
        deliveries.c.provider_message_id == bindparam("provider_message_id"),
    )
    .order_by(deliveries.c.seq.desc())
    .limit(1)
)


def _is_one_of(words: Iterable[str]) -> ColumnElement[bool]:
    # Written out: a list of parameters would be made anew for each run.
    return deliveries.c.status.in_([literal_column(f"'{word}'") for word in sorted(words)])


_INSTANT = func.coalesce(deliveries.c.sent_at, deliveries.c.claimed_at, type_=Instant)
_OF_PERSON = deliveries.c.profile_id == bindparam("profile_id")
_IS_REAL = deliveries.c.is_test == false()
_MAY_HAVE_GONE = and_(
    deliveries.c.status == literal_column("'retrying'"), deliveries.c.error == literal_column(f"'{DOUBTED}'")
)
_COUNTED = Prepared(
    select(_INSTANT, deliveries.c.channel)
    .where(
        _OF_PERSON,
        _IS_REAL,
        deliveries.c.is_marketing == true(),
        _is_one_of(COUNTED) | _MAY_HAVE_GONE,
        bindparam("since", type_=Instant) < _INSTANT,
    )
    .order_by(_INSTANT, deliveries.c.channel)
)
_RECEIVED = Prepared(
    select(_INSTANT)
    .where(_OF_PERSON, _IS_REAL, deliveries.c.journey == bindparam("journey"), _is_one_of(TAKEN))
    .order_by(_INSTANT)
)

_COUNT = select(func.count()).select_from(deliveries).where(deliveries.c.status == bindparam("status"))

_DECISIONS = Records(Decision, decisions, key=("decision_id",))


class SqlDeliveries:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def save(self, delivery: Delivery) -> None:
        _DELIVERIES.put(self._connection, delivery)

    def find(self, delivery_id: str) -> Delivery | None:
        return _DELIVERIES.first(self._connection, _FIND, {"delivery_id": delivery_id})

    def find_by_provider_id(self, via: str, provider_message_id: str) -> Delivery | None:
        return _DELIVERIES.first(self._connection, _PROVIDED, {"via": via, "provider_message_id": provider_message_id})

    # Lists that may have a limit are read backwards, so that it leaves the newest.
    def of(
        self,
        *,
        profile_id: str | None = None,
        journey: str | None = None,
        status: str | None = None,
        channel: str | None = None,
        limit: int | None = None,
    ) -> Sequence[Delivery]:
        statement = _DELIVERIES.select().order_by(deliveries.c.claimed_at.desc(), deliveries.c.seq.desc()).limit(limit)
        for column, value in (
            (deliveries.c.profile_id, profile_id),
            (deliveries.c.journey, journey),
            (deliveries.c.status, status),
            (deliveries.c.channel, channel),
        ):
            if value is not None:
                statement = statement.where(column == value)
        return _DELIVERIES.all(self._connection, statement)[::-1]

    def count(self, status: str) -> int:
        return self._connection.scalar(_COUNT, {"status": status}) or 0

    def counted(self, profile_id: str, since: datetime) -> Sequence[tuple[datetime, str]]:
        rows = _COUNTED.rows(self._connection, {"profile_id": profile_id, "since": since})
        return [(instant, channel) for instant, channel in rows]

    def decide(self, decision: Decision) -> None:
        _DECISIONS.put(self._connection, decision)

    def decisions(
        self,
        *,
        profile_id: str | None = None,
        journey: str | None = None,
        enrollment_id: str | None = None,
        limit: int | None = None,
    ) -> Sequence[Decision]:
        statement = _DECISIONS.select().order_by(decisions.c.decided_at.desc(), decisions.c.seq.desc()).limit(limit)
        for column, value in (
            (decisions.c.profile_id, profile_id),
            (decisions.c.journey, journey),
            (decisions.c.enrollment_id, enrollment_id),
        ):
            if value is not None:
                statement = statement.where(column == value)
        return _DECISIONS.all(self._connection, statement)[::-1]

    def received(self, profile_id: str, journey: str) -> Sequence[datetime]:
        rows = _RECEIVED.rows(self._connection, {"profile_id": profile_id, "journey": journey})
        return [instant for (instant,) in rows]
