"""The store of virtual time: everything in dicts, gone with the process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from threading import RLock
from types import TracebackType

from engine.storage.dicts.access import DictAccess
from engine.storage.dicts.circuits import DictCircuits
from engine.storage.dicts.consents import DictConsents
from engine.storage.dicts.deliveries import DictDeliveries
from engine.storage.dicts.dues import DictDues
from engine.storage.dicts.enrollments import DictEnrollments
from engine.storage.dicts.events import DictEvents
from engine.storage.dicts.imports import DictImports
from engine.storage.dicts.journeys import DictJourneys
from engine.storage.dicts.memberships import DictMemberships
from engine.storage.dicts.profiles import DictProfiles
from engine.storage.dicts.queue import DictQueue
from engine.storage.dicts.shelf import Journal
from engine.store import Unit


class MemoryUnit:
    """The one transaction of a `MemoryStore`."""

    def __init__(self, journal: Journal) -> None:
        self.events = DictEvents(journal)
        self.journeys = DictJourneys(journal)
        self.enrollments = DictEnrollments(journal)
        self.deliveries = DictDeliveries(journal)
        self.consents = DictConsents(journal)
        self.queue = DictQueue(journal)
        self.dues = DictDues(journal)
        self.memberships = DictMemberships(journal)
        self.access = DictAccess(journal)
        self.circuits = DictCircuits(journal)
        self.imports = DictImports(journal)
        self.profiles = DictProfiles(
            journal,
            forgetful=(
                self.events,
                self.enrollments,
                self.deliveries,
                self.consents,
                self.dues,
                self.memberships,
                self.access,
            ),
            transferable=(
                self.events,
                self.enrollments,
                self.deliveries,
                self.queue,
                self.dues,
                self.memberships,
                self.access,
            ),
        )

    def lock(self, profile_id: str) -> None:
        """Nothing to do: there is one transaction at a time."""

    def expect(self, reads: Callable[[Unit], object]) -> None:
        """Nothing to do: everything is here."""

    def let_go(self) -> None:
        """As `lock`."""

    def lock_each(self, profile_ids: Sequence[str]) -> bool:  # noqa: ARG002 (as `lock`)
        return False


class MemoryStore:
    """A `Store` with one transaction at a time; a rollback costs as much as the changes that it undoes."""

    def __init__(self) -> None:
        self._journal = Journal()
        self._unit = MemoryUnit(self._journal)
        self._turn = RLock()
        self._is_open = False

    def transaction(
        self,
        profile_id: str | None = None,  # noqa: ARG002 (all are excluded)
        *,
        is_shared: bool = False,  # noqa: ARG002 (nothing is written to a disk)
    ) -> AbstractContextManager[Unit]:
        # The store is its own context: virtual time begins some twenty transactions an enrollment.
        return self

    def __enter__(self) -> Unit:
        self._turn.acquire()
        if self._is_open:
            self._turn.release()
            # On SQLite the inner one would wait for the outer one until it is given up.
            raise RuntimeError("a transaction is open already in this thread: pass its unit on instead")
        self._is_open = True
        return self._unit

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._journal.commit()
            else:
                self._journal.roll_back()
        finally:
            self._is_open = False
            self._turn.release()
