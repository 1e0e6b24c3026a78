"""A step in the author's words: what operators read in Temporal's pages, in a picture of the journey and in a trail."""

from __future__ import annotations

from datetime import timedelta
from typing import assert_never

from engine.plan.model import (
    Branch,
    CalendarDays,
    Call,
    Elapsed,
    Emit,
    ExitStep,
    Moment,
    NextLocal,
    Repeat,
    Send,
    Set,
    Split,
    Start,
    Step,
    Wait,
    WaitFor,
)
from engine.schedule import format_duration

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def describe(step: Step) -> str:
    """A few words for the step: `send email · reminder`, `wait 1h`; its title, where the author gave one."""
    words = step.title or _words(step)
    is_named = not step.step_id.startswith(f"{step.kind}@")
    return f"{words} · {step.step_id}" if is_named else words


def _words(step: Step) -> str:
    match step:
        case Send():
            return f"send {' or '.join(step.channels)}"
        case Wait():
            return f"wait {_wait(step)}"
        case WaitFor():
            limit = "" if step.within_seconds is None else f" within {_span(step.within_seconds)}"
            return f"wait for {' or '.join(each.event for each in step.alternatives)}{limit}"
        case Branch():
            return "branch"
        case Split():
            return f"split {' / '.join(side.name for side in step.sides)}"
        case Set():
            return f"set {', '.join(step.values)}"
        case Emit():
            return f"emit {step.event}"
        case Call():
            return f"call {step.method}"
        case Start():
            return f"start {step.journey}"
        case Repeat():
            every = "" if step.every_seconds is None else f" every {_span(step.every_seconds)}"
            return f"repeat {step.times} times{every}"
        case ExitStep():
            return f"exit {step.reason}"
        case _:
            assert_never(step)


def _wait(step: Wait) -> str:
    match step.for_:
        case Elapsed(seconds=seconds):
            return _span(seconds)
        case CalendarDays(days=days, at=at):
            return f"{days} {'day' if days == 1 else 'days'}" + (f" until {at}" if at else "")
        case NextLocal(at=at, weekday=weekday):
            return f"until {at}" if weekday is None else f"until {_DAYS[weekday - 1]} {at}"
        case Moment(expression=expression):
            return f"until {expression}"
        case _:
            assert_never(step.for_)


def _span(seconds: int) -> str:
    return format_duration(timedelta(seconds=seconds))
