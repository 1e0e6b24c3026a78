"""One transaction on a database."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from engine.storage.sql.access import SqlAccess
from engine.storage.sql.circuits import SqlCircuits
from engine.storage.sql.consents import SqlConsents
from engine.storage.sql.deliveries import SqlDeliveries
from engine.storage.sql.dues import SqlDues
from engine.storage.sql.enrollments import SqlEnrollments
from engine.storage.sql.events import SqlEvents
from engine.storage.sql.imports import SqlImports
from engine.storage.sql.journeys import SqlJourneys
from engine.storage.sql.memberships import SqlMemberships
from engine.storage.sql.prepared import ahead, hold, run
from engine.storage.sql.profiles import SqlProfiles
from engine.storage.sql.queue import SqlQueue

if TYPE_CHECKING:
    from engine.store import Unit

#: Whether the transaction has a number: it gets one with its first write.
_HAS_WRITTEN = "SELECT txid_current_if_assigned() IS NOT NULL"
_BEGIN_ANEW = "ROLLBACK AND CHAIN"
_LOCK = "SELECT pg_advisory_xact_lock(%s)"
# An array is unnested in its order, and a row's lock is taken before the next row is made.
_LOCK_EACH = "SELECT pg_advisory_xact_lock(number) FROM unnest(CAST(%s AS bigint[])) AS number"


class SqlUnit:
    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.profiles = SqlProfiles(connection)
        self.events = SqlEvents(connection)
        self.journeys = SqlJourneys(connection)
        self.enrollments = SqlEnrollments(connection)
        self.deliveries = SqlDeliveries(connection)
        self.consents = SqlConsents(connection)
        self.queue = SqlQueue(connection)
        self.dues = SqlDues(connection)
        self.memberships = SqlMemberships(connection)
        self.access = SqlAccess(connection)
        self.circuits = SqlCircuits(connection)
        self.imports = SqlImports(connection)

    def lock(self, profile_id: str, *, is_awaited: bool = False) -> None:
        # On SQLite every transaction has excluded all others since it began.
        if self.connection.dialect.name == "postgresql":
            take = run if is_awaited else hold
            take(self.connection, _LOCK, (lock_number(profile_id),))

    def let_go(self) -> None:
        if self.connection.dialect.name == "postgresql" and not run(self.connection, _HAS_WRITTEN, ()).rows[0][0]:
            hold(self.connection, _BEGIN_ANEW, ())

    def expect(self, reads: Callable[[Unit], object]) -> None:
        if self.connection.dialect.name == "postgresql":
            reads(SqlUnit(ahead(self.connection)))

    def lock_each(self, profile_ids: Sequence[str]) -> bool:
        if self.connection.dialect.name != "postgresql":
            return False
        hold(self.connection, _LOCK_EACH, ([lock_number(each) for each in profile_ids],))
        return True


def lock_number(subject: str) -> int:
    """The signed 64-bit number by which PostgreSQL knows the lock on a subject."""
    return int.from_bytes(hashlib.sha256(subject.encode()).digest()[:8], "big", signed=True)
