"""Profiles and their identifiers, in SQL."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from msgspec import Struct
from sqlalchemy import Connection, bindparam, delete, func, select, type_coerce, update

from engine.profiles.model import Profile
from engine.storage.identifiers import identifiers as own_identifiers
from engine.storage.sql.prepared import Prepared
from engine.storage.sql.records import Records, among, listed
from engine.storage.tables import (
    consents,
    deliveries,
    dues,
    enrollments,
    events,
    links,
    memberships,
    occurrences,
    profiles,
    refusals,
)
from engine.storage.tables import identifiers as identifier_table
from engine.storage.types import Json


class _Identifier(Struct, frozen=True, kw_only=True):
    kind: str
    value: str
    profile_id: str


_PROFILES = Records(Profile, profiles, key=("profile_id",))
_IDENTIFIERS = Records(_Identifier, identifier_table, key=("kind", "value"))
_FIND = Prepared(_PROFILES.select().where(profiles.c.profile_id == bindparam("profile_id")))
_FIND_BY = Prepared(
    _PROFILES.select()
    .join(identifier_table, identifier_table.c.profile_id == profiles.c.profile_id)
    .where(identifier_table.c.kind == bindparam("kind"), identifier_table.c.value == bindparam("value"))
)
_FIND_EACH = {
    dialect: Prepared(_PROFILES.select().where(is_asked))
    for dialect, is_asked in among(profiles.c.profile_id, "profile_ids").items()
}
_OWNER = Prepared(
    select(identifier_table.c.profile_id).where(
        identifier_table.c.kind == bindparam("kind"), identifier_table.c.value == bindparam("value")
    )
)
# In one row: SQLite's driver gives up the interpreter's lock at each, see `bulk`.
_GATHERED = {"sqlite": func.json_group_object, "postgresql": func.json_object_agg}
_OWNERS = {
    dialect: Prepared(
        select(type_coerce(_GATHERED[dialect](identifier_table.c.value, identifier_table.c.profile_id), Json)).where(
            identifier_table.c.kind == bindparam("kind"), is_asked
        )
    )
    for dialect, is_asked in among(identifier_table.c.value, "values").items()
}
_UNIDENTIFY = Prepared(
    delete(identifier_table).where(
        identifier_table.c.kind == bindparam("kind"),
        identifier_table.c.value == bindparam("value"),
        identifier_table.c.profile_id == bindparam("profile_id"),
    )
)
_ALL_IDS = select(profiles.c.profile_id).where(profiles.c.erased_at.is_(None)).order_by(profiles.c.profile_id)

_OF_PERSON = {
    table: table.c.profile_id == bindparam("person")
    for table in (
        consents, deliveries, dues, enrollments, events, identifier_table, links, memberships, occurrences, refusals,
    )
}  # fmt: skip
_IDENTIFIED = (
    select(identifier_table.c.kind, identifier_table.c.value)
    .where(_OF_PERSON[identifier_table])
    .order_by(identifier_table.c.kind, identifier_table.c.value)
)
#: What others may change without the profile's lock: who takes several of these over, or puts occurrences back. A
#: statement changes rows in whatever order it finds them, so they are locked in order before it.
_LOCK_IDENTIFIERS = Prepared(_IDENTIFIED.with_for_update())
_LOCK_OCCURRENCES = Prepared(
    select(occurrences.c.seq).where(_OF_PERSON[occurrences]).order_by(occurrences.c.seq).with_for_update()
)
_EMPTIED = (
    delete(identifier_table).where(_OF_PERSON[identifier_table]),
    update(events).where(_OF_PERSON[events]).values(properties={}),
    update(deliveries).where(_OF_PERSON[deliveries]).values(to="", subject=None, html=None, text=None),
    update(enrollments).where(_OF_PERSON[enrollments]).values(trigger={}, steps={}),
    update(consents).where(_OF_PERSON[consents]).values(evidence={}),
    # Where a link led was part of a message's body, and may name the person; so may the date that a due counts from.
    update(links).where(_OF_PERSON[links]).values(url=None),
    delete(dues).where(_OF_PERSON[dues]),
    delete(memberships).where(_OF_PERSON[memberships]),
)
_HANDED_OVER = (
    *(
        update(table).where(_OF_PERSON[table]).values(profile_id=bindparam("other"))
        for table in (identifier_table, events, occurrences, deliveries, refusals, links)
    ),
    delete(dues).where(_OF_PERSON[dues]),
    delete(memberships).where(_OF_PERSON[memberships]),
)


class SqlProfiles:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def find(self, profile_id: str) -> Profile | None:
        return _PROFILES.first(self._connection, _FIND, {"profile_id": profile_id})

    def find_by(self, kind: str, value: str) -> Profile | None:
        return _PROFILES.first(self._connection, _FIND_BY, {"kind": kind, "value": value})

    def find_each(self, profile_ids: Collection[str]) -> Sequence[Profile]:
        asked = {"profile_ids": listed(self._connection, profile_ids)}
        return _PROFILES.all(self._connection, _FIND_EACH[self._connection.dialect.name], asked)

    def owner(self, kind: str, value: str) -> str | None:
        owner: str | None = _OWNER.value(self._connection, {"kind": kind, "value": value})
        return owner

    def owners(self, kind: str, values: Collection[str]) -> dict[str, str]:
        asked = {"kind": kind, "values": listed(self._connection, values)}
        found: dict[str, str] | None = _OWNERS[self._connection.dialect.name].value(self._connection, asked)
        return found or {}

    def save(self, profile: Profile) -> None:
        stored = self.find(profile.profile_id)
        before = frozenset() if stored is None else own_identifiers(stored)
        after = own_identifiers(profile)
        _PROFILES.put(self._connection, profile)
        # Sorted: two transactions that take the same identifiers lock them in the same order.
        for kind, value in sorted(before - after):
            _UNIDENTIFY.write(self._connection, {"kind": kind, "value": value, "profile_id": profile.profile_id})
        for kind, value in sorted(after - before):
            self.identify(kind, value, profile.profile_id)

    def identify(self, kind: str, value: str, profile_id: str) -> None:
        _IDENTIFIERS.put(self._connection, _Identifier(kind=kind, value=value, profile_id=profile_id))

    def add_each(self, profiles: Collection[Profile], identifiers: Mapping[tuple[str, str], str]) -> None:
        _PROFILES.put_each(self._connection, profiles)
        owners = {own: profile.profile_id for profile in profiles for own in own_identifiers(profile)}
        owners.update(identifiers)
        # Sorted, as in `save`.
        _IDENTIFIERS.put_each(
            self._connection,
            (_Identifier(kind=kind, value=value, profile_id=owner) for (kind, value), owner in sorted(owners.items())),
        )

    def identifiers(self, profile_id: str) -> Sequence[tuple[str, str]]:
        return [(row.kind, row.value) for row in self._connection.execute(_IDENTIFIED, {"person": profile_id})]

    def all_ids(self) -> Sequence[str]:
        return self._connection.scalars(_ALL_IDS).all()

    def erase(self, profile_id: str, at: datetime) -> None:
        profile = self.find(profile_id)
        if profile is None:
            return
        _PROFILES.put(self._connection, Profile(profile_id=profile_id, created_at=profile.created_at, erased_at=at))
        self._lock_rows(profile_id, _LOCK_IDENTIFIERS)
        for statement in _EMPTIED:
            self._connection.execute(statement, {"person": profile_id})

    def hand_over(self, source_id: str, target_id: str) -> None:
        self._lock_rows(source_id, _LOCK_IDENTIFIERS, _LOCK_OCCURRENCES)
        for statement in _HANDED_OVER:
            self._connection.execute(statement, {"person": source_id, "other": target_id})

    def _lock_rows(self, profile_id: str, *statements: Prepared) -> None:
        if self._connection.dialect.name == "postgresql":
            for statement in statements:
                statement.write(self._connection, {"person": profile_id})
