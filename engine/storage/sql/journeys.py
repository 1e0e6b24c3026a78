"""Deployed journeys and their plans, in SQL."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct
from sqlalchemy import Connection, bindparam

from engine.storage.sql.prepared import Prepared
from engine.storage.sql.records import Records
from engine.storage.tables import journeys, plans
from engine.store import JourneyRecord


class _PlanRow(Struct, frozen=True, kw_only=True):
    digest: str
    journey: str
    document: str


_PLANS = Records(_PlanRow, plans, key=("digest",))
_FIND_PLAN = Prepared(_PLANS.select().where(plans.c.digest == bindparam("digest")))
_JOURNEYS = Records(JourneyRecord, journeys, key=("journey",))
_FIND = Prepared(_JOURNEYS.select().where(journeys.c.journey == bindparam("journey")))
_ALL = _JOURNEYS.select().order_by(journeys.c.journey)


class SqlJourneys:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def save_plan(self, digest: str, journey: str, document: str) -> None:
        _PLANS.add(self._connection, _PlanRow(digest=digest, journey=journey, document=document))

    def find_plan(self, digest: str) -> str | None:
        row = _PLANS.first(self._connection, _FIND_PLAN, {"digest": digest})
        return None if row is None else row.document

    def save(self, record: JourneyRecord) -> None:
        _JOURNEYS.put(self._connection, record)

    def find(self, journey: str) -> JourneyRecord | None:
        return _JOURNEYS.first(self._connection, _FIND, {"journey": journey})

    def all(self) -> Sequence[JourneyRecord]:
        return _JOURNEYS.all(self._connection, _ALL)
