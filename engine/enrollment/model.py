"""Enrollments and what is kept of them: refusals, the trail, and the stimuli that their carriers await."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from msgspec import Struct

from engine.plan.effects import Arrived, Left, Moved, Reconsider, Resumed, Started


class Enrollment(Struct, frozen=True, kw_only=True):
    """One profile's way through one version of a journey. The store's word on whether it lives is the last."""

    enrollment_id: str
    journey: str
    #: Version: the hash of the plan on which it runs.
    digest: str
    profile_id: str
    key: str | None
    #: 1 for the first under this journey, profile and key.
    number: int
    entered_at: datetime
    #: The event that began it, or None (api, date, schedule, another journey).
    trigger_event_id: str | None = None
    #: Timestamp from which exits, goals and awaited events count.
    trigger_at: datetime
    #: What `trigger.PROP` reads.
    trigger: Mapping[str, Any] = {}
    state: Literal["active", "ended"] = "active"
    reason: str | None = None
    ended_at: datetime | None = None
    converted_at: datetime | None = None
    #: The step at which the person stands (kept after the end: the last one).
    step_id: str | None = None
    visit: int = 0
    #: When the present visit began.
    reached_at: datetime | None = None
    #: When its timer is due, or None.
    wake_at: datetime | None = None
    #: `timer event quiet capped retry every held`, or None while a step is being performed.
    waiting: str | None = None
    #: While `waiting == "event"`: events from this timestamp on count.
    awaits_since: datetime | None = None
    #: What steps left behind: step id -> {"event_id": …, "response": …, "outcome": …, "side": …}.
    steps: Mapping[str, Mapping[str, Any]] = {}
    #: `PROFILE/NUMBER` at entry, where a merge has changed either since: its carrier goes on knowing it by them.
    entered_as: str | None = None


class Refusal(Struct, frozen=True, kw_only=True):
    """An entry refused, with its reason (`held_back too_late no_key already_met not_matched active again limit`)."""

    refusal_id: str
    journey: str
    profile_id: str
    key: str | None
    reason: str
    refused_at: datetime
    event_id: str | None = None


class TrailEntry(Struct, frozen=True, kw_only=True):
    """One line of an enrollment's own record, in order of `seq`."""

    enrollment_id: str
    seq: int
    at: datetime
    #: `entered reached waits passed_over chose arrived set emitted called started decided converted resumed ended …`
    what: str
    step_id: str | None = None
    visit: int = 0
    #: Ids and codes; never an address or a body.
    detail: Mapping[str, Any] = {}


#: What a carrier delivers to the interpreter of an enrollment.
Nudge = Started | Arrived | Left | Resumed | Reconsider | Moved


class Stimulus(Struct, frozen=True, kw_only=True):
    """An input for an enrollment, committed with the change that caused it and delivered afterwards, at least once."""

    #: Given by the store, ascending; 0 before it is stored.
    seq: int = 0
    enrollment_id: str
    input: Nudge
    created_at: datetime
    #: Not delivered before; later than `created_at` where a resume is paced, a courier has it, or its carrier refused
    #: it.
    not_before: datetime
    #: How often a courier has taken it.
    attempts: int = 0
