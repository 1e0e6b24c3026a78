"""Where one person stands in a plan: everything that the interpreter remembers, and nothing about who they are."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from msgspec import Struct

#: What the person is doing between two inputs.
#:   `performing`  a step is being performed; its result is awaited
#:   `waiting`     until `wake_at`, or for an event (`wake_at` None: without end)
#:   `held`        the journey is paused and the next step may not be taken
#:   `over`        ended; `reason` says why
Mode = Literal["performing", "waiting", "held", "over"]


class Pass(Struct, frozen=True, kw_only=True):
    """How far a `repeat` has come."""

    #: Passes begun.
    number: int
    #: When the present pass began.
    began_at: datetime


class State(Struct, frozen=True, kw_only=True):
    """One enrollment's place in its plan."""

    enrollment_id: str
    mode: Mode
    entered_at: datetime
    #: The step where the person stands; None before the first and after the last.
    step_id: str | None = None
    #: Passes over the present step, this one included.
    visit: int = 0
    #: When the present visit began: `expires`, elapsed waits and `within` count from it.
    reached_at: datetime | None = None
    wake_at: datetime | None = None
    #: Calls of `Perform` in this visit, this one included: 1, and more after a deferral, a retry or a re-computation.
    attempt: int = 0
    #: Visits so far, by step.
    visits: Mapping[str, int] = {}
    #: When each step last began: what `since: STEP_ID` counts from.
    began: Mapping[str, datetime] = {}
    passes: Mapping[str, Pass] = {}
    #: The goto list that an outcome led into has no memory of its own: its last step's `next` leads back.
    reason: str | None = None
