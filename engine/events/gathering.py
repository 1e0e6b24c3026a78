"""A unit of work for many calls at once: people are read together before the first call, and what the calls write is
written together after the last.

Calls are taken in one by one and do not know: each finds what those before it did. Whatever is not gathered goes to the
unit beneath, after what was gathered until then.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, cast

from engine.errors import SojournError
from engine.events.model import Occurrence
from engine.profiles.model import Event, Profile
from engine.store import Unit

#: Kinds of identifiers that are read beforehand and written together: no address is among them.
_GATHERED_KINDS = ("external", "anonymous")


class Overtaken(SojournError):
    """Another transaction stored an event under an id that was free when this one looked."""


class Gathering:
    """What many calls read and write, in memory between the two. `unit` is what the calls are given."""

    def __init__(
        self,
        unit: Unit,
        *,
        locked: set[str],
        owners: Mapping[tuple[str, str], str | None],
        profile_ids: Collection[str],
        event_ids: Collection[str],
    ) -> None:
        """`locked`: profiles whose locks are held. `owners`: whose the identifiers are that the calls name, by kind and
        value. `profile_ids`: whom to read beforehand. `event_ids`: of all events that the calls may store."""
        self._beneath = unit
        self._held = locked
        self._people = owners
        self._owners = dict(owners)
        self._profiles: dict[str, Profile | None] = dict.fromkeys(profile_ids)
        if profile_ids:
            self._profiles.update((each.profile_id, each) for each in unit.profiles.find_each(profile_ids))
        self._event_ids = event_ids
        self._is_known = unit.events.known(event_ids)
        # What is to be written.
        self._made: dict[str, Profile] = {}
        self._identified: dict[tuple[str, str], str] = {}
        self._events: list[Event] = []
        self._occurrences: list[Occurrence] = []
        self.unit = cast(Unit, _GatheredUnit(unit, self))

    def write(self) -> None:
        """Writes what was gathered. Raises Overtaken where an event is another transaction's by now."""
        if self._made or self._identified:
            self._beneath.profiles.add_each(self._made.values(), self._identified)
            self._made, self._identified = {}, {}
        if self._events:
            stored = self._beneath.events.add_each(self._events)
            if stored < len(self._events):
                raise Overtaken("an event that was to be stored was stored by somebody else meanwhile")
            self._events = []
        if self._occurrences:
            self._beneath.queue.add_occurrences(self._occurrences)
            self._occurrences = []

    def settle(self) -> None:
        """Writes, and from now on reads anew: for what may change anything."""
        self.write()
        self._owners, self._profiles = {}, {}

    def let_go(self) -> None:
        """Nothing: the calls before this one stand on these locks, whether what they write is written yet or not."""

    def lock(self, profile_id: str) -> None:
        if profile_id not in self._held:
            self._beneath.lock(profile_id)
            self._held.add(profile_id)
            # While we waited it may have become another.
            self._profiles.pop(profile_id, None)

    # ── profiles ─────────────────────────────────────────────────────────────────────────────────────────────────────
    def find(self, profile_id: str) -> Profile | None:
        if profile_id not in self._profiles:
            found = self._beneath.profiles.find(profile_id)
            if profile_id not in self._held:
                return found
            self._profiles[profile_id] = found
        return self._profiles[profile_id]

    def find_by(self, kind: str, value: str) -> Profile | None:
        if kind not in _GATHERED_KINDS:
            self.write()
            return self._beneath.profiles.find_by(kind, value)
        owner = self.owner(kind, value)
        return None if owner is None else self.find(owner)

    def owner(self, kind: str, value: str) -> str | None:
        identifier = (kind, value)
        if identifier not in self._owners:
            self.write()
            found = self._beneath.profiles.owner(kind, value)
            if identifier not in self._people:
                return found
            self._owners[identifier] = found
        return self._owners[identifier]

    def save(self, profile: Profile) -> None:
        profile_id = profile.profile_id
        made = self._made.get(profile_id)
        before = None if made is None else _addresses(made)
        if before is not None and any(before) and before != _addresses(profile):
            # Which of its addresses it takes now, and which it had, only what is written tells.
            self.write()
        elif made is not None or self._profiles.get(profile_id, profile) is None:
            if before != _addresses(profile):
                # Anew at the end: of two people who take one address the later has it.
                self._made.pop(profile_id, None)
            self._made[profile_id] = self._profiles[profile_id] = profile
            return
        known = self._profiles.get(profile_id)
        if known is None or known.external_id != profile.external_id:
            self.settle()
        elif _addresses(known) != _addresses(profile):
            self.write()
        self._beneath.profiles.save(profile)
        if known is not None and self._profiles:
            self._profiles[profile_id] = profile

    def identify(self, kind: str, value: str, profile_id: str) -> None:
        if kind in _GATHERED_KINDS:
            self._owners[kind, value] = self._identified[kind, value] = profile_id
        else:
            self.write()
            self._beneath.profiles.identify(kind, value, profile_id)

    # ── events, and what awaits routing ──────────────────────────────────────────────────────────────────────────────
    def add_event(self, event: Event) -> bool:
        if event.event_id not in self._event_ids:
            self.write()
            return self._beneath.events.add(event)
        if event.event_id in self._is_known:
            return False
        self._is_known.add(event.event_id)
        self._events.append(event)
        return True

    def add_occurrence(self, occurrence: Occurrence) -> None:
        self._occurrences.append(occurrence)


def _addresses(profile: Profile) -> tuple[object, ...]:
    return profile.email, profile.phone, profile.chat


class _GatheredUnit:
    """The unit beneath, of which some groups are gathered."""

    def __init__(self, unit: Unit, gathering: Gathering) -> None:
        self._unit = unit
        self.lock = gathering.lock
        self.let_go = gathering.let_go
        self.profiles = _Profiles(gathering, unit.profiles)
        self.events = _Events(gathering, unit.events)
        self.queue = _Queue(gathering, unit.queue)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._unit, name)


class _Group:
    """A group of records: what a subclass does not gather is done beneath, after what was gathered."""

    def __init__(self, gathering: Gathering, beneath: object) -> None:
        self._gathering = gathering
        self._beneath = beneath

    def __getattr__(self, name: str) -> Any:
        self._gathering.settle()
        return getattr(self._beneath, name)


class _Profiles(_Group):
    def __init__(self, gathering: Gathering, beneath: object) -> None:
        super().__init__(gathering, beneath)
        self.find = gathering.find
        self.find_by = gathering.find_by
        self.owner = gathering.owner
        self.save = gathering.save
        self.identify = gathering.identify


class _Events(_Group):
    def __init__(self, gathering: Gathering, beneath: object) -> None:
        super().__init__(gathering, beneath)
        self.add = gathering.add_event


class _Queue(_Group):
    def __init__(self, gathering: Gathering, beneath: object) -> None:
        super().__init__(gathering, beneath)
        self.add_occurrence = gathering.add_occurrence
