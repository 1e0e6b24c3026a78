"""People read in bulk, with as much of their past as a condition asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, null, select

from engine.consent.model import ConsentRecord
from engine.delivery.model import Delivery
from engine.enrollment.model import Enrollment
from engine.expressions.references import References, references
from engine.profiles.model import Event, Profile
from engine.project import Project
from engine.storage.memory import MemoryStore
from engine.storage.segments.terms import is_text_for_sql
from engine.storage.sql.records import Records
from engine.storage.sql.unit import SqlUnit
from engine.storage.tables import consents, deliveries, enrollments, events, profiles
from engine.store import Unit

_PROFILES = Records(Profile, profiles)
_EVENTS = Records(Event, events)
_CONSENTS = Records(ConsentRecord, consents)
_ENROLLMENTS = Records(Enrollment, enrollments)
_DELIVERIES = Records(Delivery, deliveries)
#: Whether and when a message went out is asked for, never what it said.
_SENT = select(
    *(
        null().label(name) if name in ("subject", "html", "text") else deliveries.c[name]
        for name in Delivery.__struct_fields__
    )
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Needs:
    """What a segment asks of a person, itself or through other segments."""

    events: frozenset[str]
    journeys: frozenset[str]
    has_consents: bool

    @classmethod
    def of(cls, project: Project, segment: str) -> Needs:
        found: dict[str, References] = {}
        waiting = [segment]
        while waiting:
            name = waiting.pop()
            if name in project.segments and name not in found:
                found[name] = references(project.segments[name].condition)
                waiting += found[name].segments
        return cls(
            events=frozenset().union(*(each.events for each in found.values())),
            journeys=frozenset().union(*(each.journeys for each in found.values())),
            has_consents=any(each.consents for each in found.values()),
        )


def read_together(unit: Unit, project: Project, segment: str, profile_ids: Sequence[str]) -> Unit:
    """Answers what a segment asks of these people as the unit does, without a query for each of them."""
    if isinstance(unit, SqlUnit):
        return load(unit.connection, profile_ids, Needs.of(project, segment))
    return unit


def load(connection: Connection, profile_ids: Sequence[str], needs: Needs) -> Unit:
    """A transaction in memory that knows these people, and of their past what is needed."""
    with MemoryStore().transaction() as unit:
        if profile_ids:
            _fill(unit, connection, profile_ids, needs)
        return unit


def _fill(unit: Unit, connection: Connection, profile_ids: Sequence[str], needs: Needs) -> None:
    for profile in _PROFILES.all(connection, _PROFILES.select().where(profiles.c.profile_id.in_(profile_ids))):
        unit.profiles.save(profile)
    names = _storable(connection, needs.events)
    if names:
        # In order of arrival: equal timestamps keep it.
        statement = (
            _EVENTS.select()
            .where(events.c.profile_id.in_(profile_ids), events.c.name.in_(names))
            .order_by(events.c.seq)
        )
        for event in _EVENTS.all(connection, statement):
            unit.events.add(event)
    if needs.has_consents:
        for record in _CONSENTS.all(
            connection, _CONSENTS.select().where(consents.c.profile_id.in_(profile_ids)).order_by(consents.c.seq)
        ):
            unit.consents.add(record)
    journeys = _storable(connection, needs.journeys)
    if journeys:
        found = _ENROLLMENTS.select().where(
            enrollments.c.profile_id.in_(profile_ids),
            enrollments.c.journey.in_(journeys),
            enrollments.c.state == "active",
        )
        for enrollment in _ENROLLMENTS.all(connection, found):
            unit.enrollments.save(enrollment)
        sent = _SENT.where(deliveries.c.profile_id.in_(profile_ids), deliveries.c.journey.in_(journeys))
        for delivery in _DELIVERIES.read(connection.execute(sent)):
            unit.deliveries.save(delivery)


def _storable(connection: Connection, names: frozenset[str]) -> list[str]:
    """Those that rows may bear: no half of a surrogate pair, and on PostgreSQL no NUL."""
    has_nul = connection.dialect.name == "sqlite"
    return sorted(name for name in names if is_text_for_sql(name.replace("\x00", "") if has_nul else name))
