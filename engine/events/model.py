"""What waits to be routed, and what waits for its time."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from msgspec import Struct

#: `event`: `ref` is an event id. `changed`: the profile's attributes or zone changed; `detail["names"]` says which
#: (none: something else did that segments ask about).
#: `consented`: the profile's consent changed. `ended`: `ref` is an enrollment id. `erased`: the person is gone.
OccurrenceKind = Literal["event", "changed", "consented", "ended", "erased"]


class Occurrence(Struct, frozen=True, kw_only=True):
    """Something committed whose effects have not been worked out yet."""

    #: Given by the store, ascending; 0 before it is stored.
    seq: int = 0
    profile_id: str
    kind: OccurrenceKind
    ref: str = ""
    detail: Mapping[str, Any] = {}
    at: datetime
    #: How often its routing has failed; 0 again once ops say that it is to be tried anew.
    attempts: int = 0
    #: What failed it last: the name of an exception's class, never its text.
    fault: str | None = None
    #: Not routed before; None: as soon as it is its turn. What came later of the same profile waits for it.
    retry_at: datetime | None = None
    #: Since when it is out of the queue and holds up nobody, because its attempts are used up; None: it is not.
    set_aside_at: datetime | None = None


class Due(Struct, frozen=True, kw_only=True):
    """A moment at which only time will change something. One row per `(kind, profile_id, subject)`."""

    #: `inactive`: a lapse. `date`: a date trigger. `schedule`: a broadcast. `segment`: membership may change.
    #: `circuit`: a channel in trouble is to be looked at.
    kind: Literal["inactive", "date", "schedule", "segment", "circuit"]
    #: Empty for a schedule in the project's zone, and for a circuit.
    profile_id: str
    #: `JOURNEY#TRIGGER_INDEX`, or the segment's or the channel's name.
    subject: str
    due_at: datetime
    #: `inactive`: the timestamp that the lapse is counted from. `date`, `schedule`: the local date, or date and time,
    #: of the occasion that fired last; empty where none has. A schedule in the project's zone: the last profile that
    #: was asked, while a sweep goes through them.
    basis: str = ""


class Membership(Struct, frozen=True, kw_only=True):
    """Whether a profile belongs to a segment, as last evaluated."""

    profile_id: str
    segment: str
    is_member: bool
    changed_at: datetime
    #: Hash of the condition by which it was evaluated (`Planbook.definitions`); None before these were kept.
    definition: str | None = None
    #: Which membership the segment's triggers and exits were told of; another than `is_member` where a new or an edited
    #: segment was filled in silently. None: `is_member`.
    told: bool | None = None

    @property
    def is_silent(self) -> bool:
        """Whether nothing was told of the present membership."""
        return self.told is not None and self.told != self.is_member
