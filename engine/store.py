"""What the engine asks of a database: a transaction over small groups of records. (500 lines: one contract, whole.)

Two implementations pass one suite: `engine.storage` (SQLAlchemy on SQLite and PostgreSQL) and
`engine.storage.memory` (virtual time). Rules that every implementation keeps:

 1. `Store.transaction(profile_id)` commits on leaving the block and rolls back on an exception. With a profile id it
    first takes that profile's lock: two transactions on one profile never overlap (SQLite: one writer at a time, so
    `BEGIN IMMEDIATE`; PostgreSQL: a transaction-scoped advisory lock on the id). What was committed before the lock
    was taken is visible inside: this is why an acknowledged exit stops a dispatch that begins after it.
 2. Every list is in the order that its docstring names, so that effects are the same everywhere.
 3. Records go in and come out as the frozen values of `engine.*.model`; instants are aware and UTC, to the microsecond.
 4. Errors of the database leave as `engine.errors.StoreUnavailable` (cannot be reached, locked too long) or as they are
    (defects).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Literal, Protocol

from msgspec import Struct

from engine.consent.model import ConsentRecord, Suppression
from engine.delivery.circuit import Circuit
from engine.delivery.model import Decision, Delivery
from engine.enrollment.model import Enrollment, Refusal, Stimulus, TrailEntry
from engine.events.model import Due, Membership, Occurrence
from engine.profiles.model import Event, Profile

#: `retired`: the project has it no more; people inside go on to their end, and no one enters.
JourneyState = Literal["active", "paused", "stopped", "retired"]


class JourneyRecord(Struct, frozen=True, kw_only=True):
    """A deployed journey."""

    journey: str
    #: Version on which people enter.
    digest: str
    state: JourneyState
    deployed_at: datetime
    #: When it came into its state.
    changed_at: datetime
    #: Why, in the words of who put it there.
    note: str | None = None


class Place(Struct, frozen=True, kw_only=True):
    """How many people inside a journey stand at one step of one version."""

    digest: str
    #: None: entered, and not come to the first step yet.
    step_id: str | None
    #: As `Enrollment.waiting`.
    waiting: str | None
    people: int


class LinkRecord(Struct, frozen=True, kw_only=True):
    """What a short token in a message stands for; found by the token's hash."""

    token_hash: str
    #: `unsubscribe preferences confirm click open`, or `test`. A token of one kind never serves as another.
    kind: str
    profile_id: str
    delivery_id: str | None
    channel: str | None
    topic: str | None
    address_hash: str | None
    #: For `click`: where it leads, stored at send time.
    url: str | None
    created_at: datetime
    expires_at: datetime | None


class KeyRecord(Struct, frozen=True, kw_only=True):
    """An API key, by its hash."""

    key_hash: str
    name: str
    #: `ingest author ops compliance`.
    scopes: tuple[str, ...]
    created_at: datetime
    revoked_at: datetime | None = None


class ImportMark(Struct, frozen=True, kw_only=True):
    """How far an unfinished import has come, committed with the rows that it has taken."""

    #: Of one file as it was, with its options.
    import_id: str
    #: The import's own words.
    progress: Mapping[str, Any]
    committed_at: datetime


class Profiles(Protocol):
    def find(self, profile_id: str) -> Profile | None: ...
    def find_by(self, kind: str, value: str) -> Profile | None:
        """By an identifier: `external`, `anonymous`, `email`, `phone`, or a chat channel's name."""
        ...

    def find_each(self, profile_ids: Collection[str]) -> Sequence[Profile]:
        """Those that there are, in no order."""
        ...

    def owner(self, kind: str, value: str) -> str | None:
        """Id of the profile that an identifier resolves to: never of an erased one, which has no identifiers."""
        ...

    def owners(self, kind: str, values: Collection[str]) -> dict[str, str]:
        """`owner` of each of these that has one."""
        ...

    def save(self, profile: Profile) -> None:
        """Inserts or replaces; keeps the identifiers `external`, `email`, `phone` and chat handles in step with it."""
        ...

    def identify(self, kind: str, value: str, profile_id: str) -> None:
        """Makes an identifier resolve to a profile (a repeat is a no-op; another profile's is taken over)."""
        ...

    def add_each(self, profiles: Collection[Profile], identifiers: Mapping[tuple[str, str], str]) -> None:
        """Inserts profiles of which none is known, and makes identifiers (kind and value) resolve to profiles, these or
        known ones; the profiles' own identifiers must be among them."""
        ...

    def identifiers(self, profile_id: str) -> Sequence[tuple[str, str]]:
        """Kind and value of each identifier that resolves to a profile, ascending."""
        ...

    def all_ids(self) -> Sequence[str]:
        """Ids of all profiles not erased, ascending."""
        ...

    def erase(self, profile_id: str, at: datetime) -> None:
        """Empties the profile, deletes its identifiers, its events' properties, bodies and addresses of its deliveries,
        triggers and step values of its enrollments, and evidence of its consent records; leaves ids and outcomes."""
        ...

    def hand_over(self, source_id: str, target_id: str) -> None:
        """Makes what is one profile's another's, when both are found to be one person: identifiers, events, occurrences
        that await routing, deliveries, refusals and links; drops the source's dues and memberships. Enrollments are
        saved anew by who merges; decisions and consent records keep the profile that they were made about."""
        ...


class Events(Protocol):
    def add(self, event: Event) -> bool:
        """Stores it once; False where the id is known already (and nothing is changed)."""
        ...

    def add_each(self, events: Sequence[Event]) -> int:
        """Like `add` of each in turn; how many were stored."""
        ...

    def known(self, event_ids: Collection[str]) -> set[str]:
        """Those of these ids under which there is an event."""
        ...

    def find(self, event_id: str) -> Event | None: ...
    def of(self, profile_id: str, name: str | None = None, *, since: datetime | None = None) -> Sequence[Event]:
        """Of one profile, by `timestamp` and then by order of arrival; `since` is inclusive; None is every name."""
        ...

    def of_each(self, profile_id: str, names: Sequence[str], *, since: datetime) -> Sequence[Event]:
        """Like `of` of each name in turn."""
        ...

    def last(
        self, profile_id: str, name: str | None = None, *, until: datetime | None = None, source: str | None = None
    ) -> Event | None:
        """The last of those that `of` would list; `until` is inclusive, `source` as `Event.source`."""
        ...


class Journeys(Protocol):
    def save_plan(self, digest: str, journey: str, document: str) -> None:
        """Keeps a plan's canonical JSON under its hash; a repeat is a no-op."""
        ...

    def find_plan(self, digest: str) -> str | None: ...
    def save(self, record: JourneyRecord) -> None: ...
    def find(self, journey: str) -> JourneyRecord | None: ...
    def all(self) -> Sequence[JourneyRecord]:
        """By name."""
        ...


class Enrollments(Protocol):
    def save(self, enrollment: Enrollment) -> None:
        """Inserts or replaces."""
        ...

    def find(self, enrollment_id: str) -> Enrollment | None: ...
    def owner(self, enrollment_id: str) -> str | None:
        """Id of the profile whose enrollment it is."""
        ...

    def active(self, profile_id: str) -> Sequence[Enrollment]:
        """Of one profile, by `entered_at` and then by id."""
        ...

    def of(
        self, *, profile_id: str | None = None, journey: str | None = None, limit: int | None = None
    ) -> Sequence[Enrollment]:
        """Newest first (by `entered_at`, then by order of insertion)."""
        ...

    def inside(self, journey: str) -> Sequence[Enrollment]:
        """The active ones of a journey, by `entered_at` and then by order of insertion."""
        ...

    def places(self, journey: str) -> Sequence[Place]:
        """Where the people inside a journey stand, by version, step (before the first is first) and what they wait
        for."""
        ...

    def last(self, journey: str, profile_id: str, key: str | None) -> Enrollment | None:
        """The one with the highest `number` under this journey, profile and key."""
        ...

    def count_entered(self, journey: str, since: datetime) -> int:
        """Enrollments of a journey with `entered_at` after `since` (exclusive)."""
        ...

    def next_wake_at(self) -> datetime | None:
        """The earliest `wake_at` of an active enrollment."""
        ...

    def counts(self, journey: str) -> dict[str, int]:
        """People per state (`active`, `ended`) of a journey, and `converted`."""
        ...

    def refuse(self, refusal: Refusal) -> None:
        """Stores it once by its id."""
        ...

    def refusals(self, *, profile_id: str | None = None, journey: str | None = None) -> Sequence[Refusal]:
        """By `refused_at`, then by order of insertion."""
        ...

    def add_trail(self, entry: TrailEntry) -> None:
        """`entry.seq` is given by the store (next of its enrollment, from 1), whatever it says."""
        ...

    def trail(self, enrollment_id: str) -> Sequence[TrailEntry]:
        """By `seq`."""
        ...


class Deliveries(Protocol):
    def save(self, delivery: Delivery) -> None:
        """Inserts or replaces."""
        ...

    def find(self, delivery_id: str) -> Delivery | None: ...
    def find_by_provider_id(self, via: str, provider_message_id: str) -> Delivery | None: ...
    def of(
        self,
        *,
        profile_id: str | None = None,
        journey: str | None = None,
        status: str | None = None,
        channel: str | None = None,
        limit: int | None = None,
    ) -> Sequence[Delivery]:
        """By `claimed_at`, then by order of insertion; with `limit`, the newest of them, still in that order."""
        ...

    def count(self, status: str) -> int:
        """How many have this status."""
        ...

    def counted(self, profile_id: str, since: datetime) -> Sequence[tuple[datetime, str]]:
        """Instant and channel of the profile's marketing deliveries, tests excluded, that hold a place under caps
        (`engine.delivery.model.holds_place`), with `sent_at` (else `claimed_at`) after `since`; ascending."""
        ...

    def decide(self, decision: Decision) -> None:
        """Stores it; replaces the one with the same id."""
        ...

    def decisions(
        self,
        *,
        profile_id: str | None = None,
        journey: str | None = None,
        enrollment_id: str | None = None,
        limit: int | None = None,
    ) -> Sequence[Decision]:
        """By `decided_at`, then by order of insertion; with `limit`, the newest of them, still in that order."""
        ...

    def received(self, profile_id: str, journey: str) -> Sequence[datetime]:
        """Instants of messages taken by providers for this profile from this journey, tests excluded; ascending."""
        ...


class Consents(Protocol):
    def add(self, record: ConsentRecord) -> bool:
        """Appends it once; False where the id is known already."""
        ...

    def of(self, profile_id: str) -> Sequence[ConsentRecord]:
        """By order of insertion."""
        ...

    def log(self, *, limit: int | None = None) -> Sequence[ConsentRecord]:
        """All of the ledger by order of insertion; with `limit`, the newest of them, still in that order."""
        ...

    def suppress(self, suppression: Suppression) -> None:
        """Inserts or replaces by id (replacing serves to lift)."""
        ...

    def suppressions(self, channel_kind: str, address_hash: str) -> Sequence[Suppression]:
        """Of one address, lifted ones too, by order of insertion."""
        ...

    def all_suppressions(self) -> Sequence[Suppression]:
        """By order of insertion."""
        ...


class Queue(Protocol):
    """What awaits routing, and what awaits its carrier. Rows leave only with the transaction that dealt with them."""

    def add_occurrence(self, occurrence: Occurrence) -> None: ...
    def add_occurrences(self, occurrences: Sequence[Occurrence]) -> None:
        """Like `add_occurrence` of each in turn."""
        ...

    def next_occurrence(self, now: datetime | None = None) -> Occurrence | None:
        """The lowest `seq` of a profile that no other transaction was given one of and has not ended; none that is set
        aside, and none of a profile of which an earlier one waits for its `retry_at` (where `now` is given). Whoever
        routes it takes the profile's lock and has it confirmed."""
        ...

    def confirm_occurrence(self, taken: Occurrence, now: datetime | None = None) -> Occurrence | None:
        """What `next_occurrence` gave, under its profile's lock: another one of the profile, or None, where a merge or
        another router was quicker."""
        ...

    def remove_occurrence(self, seq: int) -> None: ...
    def count_occurrences(self) -> int:
        """Those that are not set aside."""
        ...

    def set_back(self, occurrence: Occurrence) -> None:
        """Writes `attempts fault retry_at set_aside_at` of one whose attempts have gone up by one; changes nothing
        where somebody else has counted or removed it since."""
        ...

    def setbacks(self, limit: int = 1000) -> Sequence[Occurrence]:
        """Those that have failed and wait for another attempt, or are set aside; by `seq`."""
        ...

    def count_set_aside(self) -> int: ...
    def retry_set_aside(self, seqs: Collection[int] | None = None) -> int:
        """Puts those that are set aside (None: all) back into their places, with all their attempts; how many."""
        ...

    def add_stimulus(self, stimulus: Stimulus) -> None: ...
    def stimuli(self, now: datetime, limit: int = 100) -> Sequence[Stimulus]:
        """Those with `not_before <= now`, by `seq`."""
        ...

    def claim_stimuli(self, now: datetime, until: datetime, limit: int = 100) -> Sequence[Stimulus]:
        """Takes some with `not_before <= now`, the longest due first: nobody else gets them before `until`. By `seq`;
        at most one of an enrollment, and none that comes after one of the same enrollment which is due, taken, or
        put back."""
        ...

    def put_back_stimuli(self, seqs: Collection[int], not_before: datetime) -> None:
        """Those that were taken and not delivered are due again from then on."""
        ...

    def next_stimulus_at(self) -> datetime | None: ...
    def remove_stimuli(self, seqs: Collection[int]) -> None: ...


class Dues(Protocol):
    def put(self, due: Due) -> None:
        """Inserts or replaces by `(kind, profile_id, subject)`."""
        ...

    def find(self, kind: str, profile_id: str, subject: str) -> Due | None: ...
    def of(self, profile_id: str) -> Sequence[Due]:
        """By kind and subject."""
        ...

    def put_each(self, dues: Collection[Due]) -> None:
        """Like `put` of each; no two of them have one key."""
        ...

    def remove(self, kind: str, profile_id: str, subject: str) -> None: ...
    def remove_each(self, kind: str, profile_ids: Collection[str], subject: str) -> None: ...
    def until(self, now: datetime, limit: int = 1000, *, after: Due | None = None) -> Sequence[Due]:
        """With `due_at <= now`, by `due_at`, kind, profile and subject; with `after`, those behind it in this order."""
        ...

    def next_at(self) -> datetime | None: ...


class Memberships(Protocol):
    def of(self, profile_id: str) -> Sequence[Membership]:
        """By segment; profiles never evaluated have none."""
        ...

    def of_each(self, profile_ids: Collection[str], segment: str) -> Sequence[Membership]:
        """Of these profiles, in one segment; in no order."""
        ...

    def save(self, membership: Membership) -> None: ...
    def save_each(self, memberships: Collection[Membership]) -> None:
        """Like `save` of each; no two of them of one profile and segment."""
        ...

    def members(self, segment: str) -> Sequence[str]:
        """Profile ids, ascending."""
        ...

    def settled(self, segment: str, definition: str, *, is_told: bool) -> Sequence[str]:
        """Ids, in no order, of profiles whose membership was evaluated by this definition; with `is_told`, without
        those of whose present membership nothing was told."""
        ...


class Access(Protocol):
    def add_links(self, links: Collection[LinkRecord]) -> None:
        """No two of them of one token. A repeat of a known token is a no-op."""
        ...

    def find_link(self, token_hash: str) -> LinkRecord | None: ...
    def save_key(self, key: KeyRecord) -> None: ...
    def find_key(self, key_hash: str) -> KeyRecord | None: ...
    def keys(self) -> Sequence[KeyRecord]:
        """By `created_at`, then name."""
        ...


class Circuits(Protocol):
    def find(self, channel: str) -> Circuit | None: ...
    def save(self, circuit: Circuit) -> None:
        """Inserts or replaces."""
        ...

    def remove(self, channel: str) -> None: ...
    def all(self) -> Sequence[Circuit]:
        """By channel."""
        ...


class Imports(Protocol):
    def find(self, import_id: str) -> ImportMark | None: ...
    def save(self, mark: ImportMark) -> None: ...
    def remove(self, import_id: str) -> None: ...


class Unit(Protocol):
    """One transaction."""

    @property
    def profiles(self) -> Profiles: ...
    @property
    def events(self) -> Events: ...
    @property
    def journeys(self) -> Journeys: ...
    @property
    def enrollments(self) -> Enrollments: ...
    @property
    def deliveries(self) -> Deliveries: ...
    @property
    def consents(self) -> Consents: ...
    @property
    def queue(self) -> Queue: ...
    @property
    def dues(self) -> Dues: ...
    @property
    def memberships(self) -> Memberships: ...
    @property
    def access(self) -> Access: ...
    @property
    def circuits(self) -> Circuits: ...
    @property
    def imports(self) -> Imports: ...

    def lock(self, profile_id: str) -> None:
        """Takes a profile's lock inside a transaction that began without it, or a lock of any other name: what is read
        and written from here on is under it."""
        ...

    def let_go(self) -> None:
        """Lets go of all locks of a transaction that has written nothing, before it waits for others: who waits while
        he holds a lock that another wants may wait for ever. (Where something was written the locks stay.)"""
        ...

    def expect(self, reads: Callable[[Unit], object]) -> None:
        """Says what will be read next, so that a distant database is asked for all of it at once. Calls `reads` with a
        unit whose reads bring nothing, or not at all; whatever is written or locked makes it as if it was not called.
        """
        ...

    def lock_each(self, profile_ids: Sequence[str]) -> bool:
        """Like `lock` of each in turn; False where nothing read in this transaction can have changed meanwhile."""
        ...


class Store(Protocol):
    def transaction(self, profile_id: str | None = None, *, is_shared: bool = False) -> AbstractContextManager[Unit]:
        """One unit of work, committed when the block is left, and undone where it is left by an exception.

        `profile_id`: under whose lock it begins. `is_shared`: its commit may be one with those of others of the kind,
        which saves waiting for the disk; the block must be short, and wait for nothing that another thread does.
        """
        ...
