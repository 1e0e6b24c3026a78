"""What goes into the interpreter and what comes out of it: the whole conversation between a driver and a plan.

A driver hands `advance` one input at a time and carries out the effects that come back, in order. At most one
`Perform` is under way for an enrollment; its result comes back as `Performed`. Inputs that do not fit the state
(a late timer, a signal for a step already left, a repeat) change nothing, so drivers may deliver twice.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from msgspec import Struct

from engine.plan.model import Outcome


# ── results of performing a step ─────────────────────────────────────────────────────────────────────────────────────
class Done(Struct, frozen=True, kw_only=True):
    """The step is done (or was passed over): on to its `next`."""

    kind: Literal["done"] = "done"


class Chosen(Struct, frozen=True, kw_only=True):
    """A branch, split, awaited event or `repeat` has decided where to go; None is the step's `next`."""

    goto: str | None
    kind: Literal["chosen"] = "chosen"


class WaitUntil(Struct, frozen=True, kw_only=True):
    """Wait until then (None: until an event or an exit), and perform the same visit again when it comes.

    Of a `wait` step: its moment. Of a `wait_for`: `within`. Of a `send`: quiet hours, a cap, a provider's retry.
    Of a `repeat`: the start of the next pass.
    """

    until: datetime | None
    #: `timer`, `event`, `quiet`, `capped`, `retry`, `every`: for the people who read where somebody stands.
    why: str
    kind: Literal["wait_until"] = "wait_until"


class Sent(Struct, frozen=True, kw_only=True):
    """A send has its outcome; the plan's `otherwise` says what follows."""

    outcome: Outcome
    kind: Literal["sent"] = "sent"


class Over(Struct, frozen=True, kw_only=True):
    """The enrollment is over: an exit, a goal, a restart, an erasure; the store already says so."""

    reason: str
    kind: Literal["over"] = "over"


class Held(Struct, frozen=True, kw_only=True):
    """The journey is paused: the step was not taken."""

    kind: Literal["held"] = "held"


Result = Done | Chosen | WaitUntil | Sent | Over | Held


# ── inputs ───────────────────────────────────────────────────────────────────────────────────────────────────────────
class Started(Struct, frozen=True, kw_only=True):
    kind: Literal["started"] = "started"


class Performed(Struct, frozen=True, kw_only=True):
    """The result of the `Perform` with the same step, visit and attempt."""

    step_id: str
    visit: int
    attempt: int
    result: Result
    kind: Literal["performed"] = "performed"


class Woke(Struct, frozen=True, kw_only=True):
    """`wake_at` has come."""

    kind: Literal["woke"] = "woke"


class Arrived(Struct, frozen=True, kw_only=True):
    """An awaited event came; the router has recorded it as the step's event. `goto` as in `Chosen`."""

    step_id: str
    visit: int
    goto: str | None
    kind: Literal["arrived"] = "arrived"


class Left(Struct, frozen=True, kw_only=True):
    """The enrollment was ended from outside; the store already says so."""

    reason: str
    kind: Literal["left"] = "left"


class Resumed(Struct, frozen=True, kw_only=True):
    """The journey goes on after a pause."""

    kind: Literal["resumed"] = "resumed"


class Reconsider(Struct, frozen=True, kw_only=True):
    """Something that a waiting step depends on has changed (the profile's zone): compute its moment again."""

    kind: Literal["reconsider"] = "reconsider"


class Moved(Struct, frozen=True, kw_only=True):
    """A deploy moves the person to another version. The driver hands that version's plan to `advance` along with it.

    Where the person's step has vanished from it and is not mapped, the move cannot be made: no effect follows, and the
    driver stays with the plan that it had.
    """

    #: Hash of the plan to go on with.
    digest: str
    kind: Literal["moved"] = "moved"


Input = Started | Performed | Woke | Arrived | Left | Resumed | Reconsider | Moved


# ── effects ──────────────────────────────────────────────────────────────────────────────────────────────────────────
class Perform(Struct, frozen=True, kw_only=True):
    """Perform a step against the store, and hand back `Performed`."""

    step_id: str
    visit: int
    attempt: int
    #: When this visit began.
    reached_at: datetime
    #: What `wait_for` counts from, and the number and beginning of a `repeat`'s pass.
    since: datetime | None = None
    passes_begun: int = 0
    pass_began_at: datetime | None = None
    #: True where `wake_at` of this visit has come (a wait is over, `within` has passed, a deferral is due).
    is_due: bool = False
    #: Set where the person is moved to another version: the record of it is one transaction with this step's.
    digest: str | None = None
    kind: Literal["perform"] = "perform"


class Finish(Struct, frozen=True, kw_only=True):
    """Record the end, for this reason; nothing follows."""

    reason: str
    kind: Literal["finish"] = "finish"


Effect = Perform | Finish
