"""`advance(plan, state, input, now) -> (state, effects)`: the only place that decides where a person goes next.

Pure: no I/O, no clock, no chance. What depends on data (a condition, a local time, the gate of a send) is asked of
the driver with `Perform` and comes back as `Performed`; what follows from the answer is decided here. The Temporal
workflow and the virtual clock are two drivers of this one function.

Rules
 1. At most one `Perform` is under way; every other input meanwhile is kept by the driver, but for `Left`.
 2. An input that does not fit the state changes nothing: repeated and late deliveries are harmless.
 3. A step is performed before it is waited in: the performer registers what it awaits in the transaction that looks
    whether it has already come, so nothing falls between.
 4. A timer's moment performs the same visit once more (`is_due`): the store has the last word at every wake-up.
"""

from __future__ import annotations

from datetime import datetime
from typing import assert_never

from msgspec.structs import replace

from engine.plan.effects import (
    Arrived,
    Chosen,
    Done,
    Effect,
    Finish,
    Held,
    Input,
    Left,
    Moved,
    Over,
    Perform,
    Performed,
    Reconsider,
    Resumed,
    Sent,
    Started,
    WaitUntil,
    Woke,
)
from engine.plan.model import Plan, Repeat, Send, Wait, WaitFor
from engine.plan.state import Pass, State

#: Outcomes of a send after which the journey simply goes on.
_DELIVERED = ("sent", "held_out")


def begin(*, enrollment_id: str, entered_at: datetime) -> State:
    """The state of an enrollment that has just been entered; its first input is `Started`."""
    return State(enrollment_id=enrollment_id, mode="performing", entered_at=entered_at)


def advance(plan: Plan, state: State, event: Input, now: datetime) -> tuple[State, tuple[Effect, ...]]:
    """The next state and what the driver must do, for one input at the instant `now` (aware, UTC)."""
    if state.mode == "over":
        return state, ()
    match event:
        case Left():
            return _over(state, event.reason), ()
        case Started():
            return _enter(plan, state, plan.first, now) if state.step_id is None else (state, ())
        case Performed():
            return _performed(plan, state, event, now)
        case Woke():
            due = state.mode == "waiting" and state.wake_at is not None and state.wake_at <= now
            return _perform(plan, state, is_due=True) if due else (state, ())
        case Arrived():
            here = state.mode == "waiting" and (state.step_id, state.visit) == (event.step_id, event.visit)
            return _go(plan, state, event.goto, now) if here else (state, ())
        case Resumed():
            if state.mode != "held":
                return state, ()
            # The step is reached now: `expires` counts from the resume, not from the pause.
            return _perform(plan, replace(state, reached_at=now, began={**state.began, str(state.step_id): now}))
        case Reconsider():
            step = plan.steps.get(state.step_id or "")
            if state.mode == "waiting" and isinstance(step, Wait | Send):
                return _perform(plan, state)
            return state, ()
        case Moved():
            return _move(plan, state, event)
        case _:
            assert_never(event)


def _performed(plan: Plan, state: State, event: Performed, now: datetime) -> tuple[State, tuple[Effect, ...]]:
    mine = (state.step_id, state.visit, state.attempt)
    if state.mode != "performing" or (event.step_id, event.visit, event.attempt) != mine:
        return state, ()
    result = event.result
    match result:
        case Done():
            return _leave(plan, state, now)
        case Chosen():
            return _go(plan, state, result.goto, now)
        case WaitUntil():
            return replace(state, mode="waiting", wake_at=result.until), ()
        case Sent():
            return _sent(plan, state, result, now)
        case Over():
            return _over(state, result.reason), ()
        case Held():
            return replace(state, mode="held", wake_at=None), ()
        case _:
            assert_never(result)


def _sent(plan: Plan, state: State, result: Sent, now: datetime) -> tuple[State, tuple[Effect, ...]]:
    step = plan.steps[str(state.step_id)]
    if result.outcome in _DELIVERED or not isinstance(step, Send):
        return _leave(plan, state, now)
    otherwise = step.otherwise.get(result.outcome)
    if otherwise is None:
        return _leave(plan, state, now)
    match otherwise.action:
        case "exit":
            return _finish(state, result.outcome)
        case "goto":
            return _go(plan, state, otherwise.goto, now)
        case "skip" | "wait":  # where a wait was possible, the performer has answered `WaitUntil`
            return _leave(plan, state, now)
        case _:
            assert_never(otherwise.action)


def _leave(plan: Plan, state: State, now: datetime) -> tuple[State, tuple[Effect, ...]]:
    step = plan.steps[str(state.step_id)]
    if isinstance(step, Repeat):
        passes = {name: value for name, value in state.passes.items() if name != step.step_id}
        state = replace(state, passes=passes)
    return _enter(plan, state, step.next, now)


def _go(plan: Plan, state: State, goto: str | None, now: datetime) -> tuple[State, tuple[Effect, ...]]:
    if goto is None:
        return _leave(plan, state, now)
    step = plan.steps[str(state.step_id)]
    if isinstance(step, Repeat):
        begun = state.passes[step.step_id].number if step.step_id in state.passes else 0
        state = replace(state, passes={**state.passes, step.step_id: Pass(number=begun + 1, began_at=now)})
    return _enter(plan, state, goto, now)


def _enter(plan: Plan, state: State, step_id: str | None, now: datetime) -> tuple[State, tuple[Effect, ...]]:
    if step_id is None:
        return _finish(state, "completed")
    visit = state.visits.get(step_id, 0) + 1
    entered = replace(
        state,
        step_id=step_id,
        visit=visit,
        reached_at=now,
        attempt=0,
        visits={**state.visits, step_id: visit},
        began={**state.began, step_id: now},
    )
    return _perform(plan, entered)


def _perform(plan: Plan, state: State, *, is_due: bool = False) -> tuple[State, tuple[Perform]]:
    step = plan.steps[str(state.step_id)]
    reached_at = state.reached_at or state.entered_at
    since: datetime | None = None
    if isinstance(step, WaitFor):
        match step.since:
            case None:
                since = reached_at
            case "start":
                since = state.entered_at
            case named:
                since = state.began.get(named, state.entered_at)
    under_way = state.passes.get(step.step_id)
    performing = replace(state, mode="performing", wake_at=None, attempt=state.attempt + 1)
    effect = Perform(
        step_id=step.step_id,
        visit=performing.visit,
        attempt=performing.attempt,
        reached_at=reached_at,
        since=since,
        passes_begun=under_way.number if under_way else 0,
        pass_began_at=under_way.began_at if under_way else None,
        is_due=is_due,
    )
    return performing, (effect,)


def _move(plan: Plan, state: State, move: Moved) -> tuple[State, tuple[Effect, ...]]:
    """Goes on with another version's plan, at the same step or where that has moved to; what has passed is kept.

    The step is performed once more, so that its moment, or what it awaits, is worked out anew from when it was reached.
    """
    if state.mode not in ("waiting", "held"):
        return state, ()
    step_id = plan.renamed(str(state.step_id))
    if step_id not in plan.steps:
        return state, ()
    began = {**{plan.renamed(old): at for old, at in state.began.items()}, **state.began}
    passes = {plan.renamed(old): each for old, each in state.passes.items()}
    moved = replace(
        state,
        began=began,
        passes={each: passes[each] for each in passes if isinstance(plan.steps.get(each), Repeat)},
    )
    if step_id != state.step_id:
        # Visits are counted by id for good: what was delivered in one visit is never delivered in another.
        visit = state.visits.get(step_id, 0) + 1
        visits = {**state.visits, step_id: visit}
        moved = replace(moved, step_id=step_id, visit=visit, attempt=0, visits=visits)
    performing, (effect,) = _perform(plan, moved)
    return performing, (replace(effect, digest=move.digest),)


def _finish(state: State, reason: str) -> tuple[State, tuple[Effect, ...]]:
    return _over(state, reason), (Finish(reason=reason),)


def _over(state: State, reason: str) -> State:
    return replace(state, mode="over", step_id=None, wake_at=None, reason=reason)
