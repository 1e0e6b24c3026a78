"""The plan: a journey compiled, checked, and serialised. Its hash is the journey's version.

A plan is a graph of steps by id: every step names its `next`, so a person's place is a step id and survives a
deploy. Conditions and computed values are kept as text in the expression language (`all:`, `any:`, `not:` are
already folded into it); a value is JSON as authored, in which a string that begins with `=` is an expression.
Durations are whole seconds. Times of day are `HH:MM`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

#: Raised when the meaning of an existing plan would change for people inside; never a `patched` in the workflow.
SCHEMA_VERSION = 1

#: JSON as authored; a string beginning with `=` is an expression.
Authored = Any

Outcome = Literal[
    "sent",
    "held_out",
    "ended",
    "expired",
    "unreachable",
    "suppressed",
    "no_consent",
    "quiet",
    "capped",
    "render_error",
    "failed",
    "in_doubt",
]
#: What may be named under `otherwise`.
UNSENT: tuple[Outcome, ...] = (
    "expired",
    "unreachable",
    "suppressed",
    "no_consent",
    "quiet",
    "capped",
    "render_error",
    "failed",
    "in_doubt",
)


# ── triggers ─────────────────────────────────────────────────────────────────────────────────────────────────────────
@dataclass(frozen=True, kw_only=True, slots=True)
class EventTrigger:
    event: str
    condition: str | None = None
    kind: Literal["event"] = "event"


@dataclass(frozen=True, kw_only=True, slots=True)
class SegmentTrigger:
    segment: str
    on: Literal["enter", "leave"]
    condition: str | None = None
    kind: Literal["segment"] = "segment"


@dataclass(frozen=True, kw_only=True, slots=True)
class InactiveTrigger:
    #: An event name, or None for `any`.
    event: str | None
    for_seconds: int
    condition: str | None = None
    kind: Literal["inactive"] = "inactive"


@dataclass(frozen=True, kw_only=True, slots=True)
class DateTrigger:
    #: Expression giving a date.
    date: str
    at: str
    is_yearly: bool = False
    condition: str | None = None
    kind: Literal["date"] = "date"


@dataclass(frozen=True, kw_only=True, slots=True)
class ScheduleTrigger:
    #: Five cron fields.
    cron: str
    #: Segment whose members enter.
    to: str
    #: `profile`: each in their own zone; `project`: all at one moment.
    zone: Literal["project", "profile"] = "project"
    condition: str | None = None
    kind: Literal["schedule"] = "schedule"


@dataclass(frozen=True, kw_only=True, slots=True)
class ApiTrigger:
    condition: str | None = None
    kind: Literal["api"] = "api"


@dataclass(frozen=True, kw_only=True, slots=True)
class JourneyTrigger:
    journey: str
    #: The end's reason, or None for any.
    reason: str | None = None
    condition: str | None = None
    kind: Literal["journey"] = "journey"


Trigger = EventTrigger | SegmentTrigger | InactiveTrigger | DateTrigger | ScheduleTrigger | ApiTrigger | JourneyTrigger


# ── entry, exits, goal ───────────────────────────────────────────────────────────────────────────────────────────────
@dataclass(frozen=True, kw_only=True, slots=True)
class Limit:
    at_most: int
    per_seconds: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    #: Expression, or None: one live enrollment per profile.
    key: str | None = None
    condition: str | None = None
    when_active: Literal["ignore", "restart"] = "ignore"
    again: Literal["always", "never", "after"] = "always"
    #: With `again="after"`: seconds from the beginning of the last enrollment.
    again_after_seconds: int | None = None
    ignore_older_than_seconds: int = 86_400
    limit: Limit | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class EventExit:
    event: str
    condition: str | None = None
    reason: str = "exit"
    kind: Literal["event"] = "event"


@dataclass(frozen=True, kw_only=True, slots=True)
class SegmentExit:
    segment: str
    on: Literal["enter", "leave"]
    condition: str | None = None
    reason: str = "exit"
    kind: Literal["segment"] = "segment"


@dataclass(frozen=True, kw_only=True, slots=True)
class ConditionExit:
    """A bare `{if: EXPR}`: tested before each step and inside every dispatch."""

    condition: str
    reason: str = "exit"
    kind: Literal["condition"] = "condition"


Exit = EventExit | SegmentExit | ConditionExit


@dataclass(frozen=True, kw_only=True, slots=True)
class Goal:
    event: str
    condition: str | None = None
    #: Seconds from entry, or None: while the enrollment lives.
    within_seconds: int | None = None
    is_exit: bool = True


# ── steps ────────────────────────────────────────────────────────────────────────────────────────────────────────────
@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """Local hours in which the author lets a message go; `days` are ISO weekdays 1 to 7."""

    days: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7)
    from_: str = "00:00"
    to: str = "00:00"


@dataclass(frozen=True, kw_only=True, slots=True)
class Otherwise:
    """What follows an unsent outcome. `goto` is the first step of an authored list (then back to the send's `next`)."""

    action: Literal["skip", "wait", "exit", "goto"]
    goto: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Step:
    step_id: str
    #: The author's title, or None; `engine.plan.words.describe` gives the words that ops read.
    title: str | None = None
    #: `if:`; false passes the step over.
    condition: str | None = None
    #: The step after this one; None is the end of the journey (reason `completed`).
    next: str | None = None
    #: Where it was authored, `steps.1.then.0`: for diagnostics and pictures.
    path: str = ""


#: What becomes of a message of which nobody can find out whether the provider has it: it waits for ops, or goes again.
InDoubt = Literal["hold", "resend"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Send(_Step):
    channels: tuple[str, ...]
    template: str
    topic: str
    values: Mapping[str, Authored] = field(default_factory=dict)
    #: Files by their path under `templates/attachments/`.
    attachments: tuple[str, ...] = ()
    to: Authored | None = None
    window: Window | None = None
    expires_seconds: int | None = None
    #: Complete: every unsent outcome has its action.
    otherwise: Mapping[str, Otherwise] = field(default_factory=dict)
    #: None: what the channel says.
    in_doubt: InDoubt | None = None
    kind: Literal["send"] = "send"


@dataclass(frozen=True, kw_only=True, slots=True)
class Elapsed:
    seconds: int
    kind: Literal["elapsed"] = "elapsed"


@dataclass(frozen=True, kw_only=True, slots=True)
class CalendarDays:
    """`days` calendar days on, at `at` (None: the same local time)."""

    days: int
    at: str | None = None
    kind: Literal["calendar"] = "calendar"


@dataclass(frozen=True, kw_only=True, slots=True)
class NextLocal:
    """The next `[weekday] HH:MM`, the present moment included; `weekday` is ISO 1 to 7 or None."""

    at: str
    weekday: int | None = None
    kind: Literal["next_local"] = "next_local"


@dataclass(frozen=True, kw_only=True, slots=True)
class Moment:
    """A computed timestamp or date; missing counts as past."""

    expression: str
    kind: Literal["moment"] = "moment"


@dataclass(frozen=True, kw_only=True, slots=True)
class Wait(_Step):
    for_: Elapsed | CalendarDays | NextLocal | Moment
    if_past: Literal["continue", "exit"] = "continue"
    kind: Literal["wait"] = "wait"


@dataclass(frozen=True, kw_only=True, slots=True)
class Awaited:
    event: str
    condition: str | None = None
    #: First step of `then`, or None: on to the step's `next`.
    then: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class WaitFor(_Step):
    alternatives: tuple[Awaited, ...]
    #: `step` (this one's beginning), `start` (the moment of entry), or the id of an earlier step (when it last began).
    since: str | None = None
    within_seconds: int | None = None
    #: First step of `else`, or None: on to the step's `next`.
    otherwise: str | None = None
    kind: Literal["wait_for"] = "wait_for"


@dataclass(frozen=True, kw_only=True, slots=True)
class Arm:
    condition: str
    then: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Branch(_Step):
    arms: tuple[Arm, ...]
    otherwise: str | None = None
    kind: Literal["branch"] = "branch"


@dataclass(frozen=True, kw_only=True, slots=True)
class Side:
    name: str
    weight: float
    first: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Split(_Step):
    sides: tuple[Side, ...]
    kind: Literal["split"] = "split"


@dataclass(frozen=True, kw_only=True, slots=True)
class Set(_Step):
    values: Mapping[str, Authored]
    kind: Literal["set"] = "set"


@dataclass(frozen=True, kw_only=True, slots=True)
class Emit(_Step):
    event: str
    values: Mapping[str, Authored] = field(default_factory=dict)
    kind: Literal["emit"] = "emit"


@dataclass(frozen=True, kw_only=True, slots=True)
class Call(_Step):
    url: Authored
    method: str = "GET"
    json: Authored | None = None
    headers: Mapping[str, Authored] = field(default_factory=dict)
    timeout_seconds: int = 10
    #: Attribute name -> path inside the answer.
    save: Mapping[str, str] = field(default_factory=dict)
    kind: Literal["call"] = "call"


@dataclass(frozen=True, kw_only=True, slots=True)
class Start(_Step):
    journey: str
    values: Mapping[str, Authored] = field(default_factory=dict)
    kind: Literal["start"] = "start"


@dataclass(frozen=True, kw_only=True, slots=True)
class Repeat(_Step):
    """A loop; the last step of its body has this step as `next`."""

    times: int
    body: str | None
    every_seconds: int | None = None
    until: str | None = None
    kind: Literal["repeat"] = "repeat"


@dataclass(frozen=True, kw_only=True, slots=True)
class ExitStep(_Step):
    reason: str
    kind: Literal["exit"] = "exit"


Step = Send | Wait | WaitFor | Branch | Split | Set | Emit | Call | Start | Repeat | ExitStep


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """A journey, compiled."""

    journey: str
    title: str
    triggers: tuple[Trigger, ...]
    entry: Entry = field(default_factory=Entry)
    exits: tuple[Exit, ...] = ()
    goal: Goal | None = None
    #: Share of people, in hundredths of a percent (0 to 10000), whose messages are recorded and not sent.
    holdout: int = 0
    #: People let on per second after a resume; None is at once.
    pace_per_second: float | None = None
    #: What a resume does with those whose moment passed during the pause.
    if_late: Literal["continue", "exit"] = "continue"
    #: Vanished step id -> the step where people who stand there go on, when a deploy moves them.
    moved: Mapping[str, str] = field(default_factory=dict)
    #: The first step, or None for a journey without steps.
    first: str | None
    steps: Mapping[str, Step]
    schema_version: int = SCHEMA_VERSION

    def renamed(self, step_id: str) -> str:
        """Where somebody at a step of another version stands in this one: at the same, or where it has moved to."""
        return step_id if step_id in self.steps else self.moved.get(step_id, step_id)
