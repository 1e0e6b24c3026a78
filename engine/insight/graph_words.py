"""What a picture of a journey says: triggers, entry, exits and goal in words, and the ways that lead out of a step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import assert_never

from engine.plan.model import (
    UNSENT,
    ApiTrigger,
    Branch,
    Call,
    ConditionExit,
    DateTrigger,
    Emit,
    EventExit,
    EventTrigger,
    Exit,
    ExitStep,
    InactiveTrigger,
    JourneyTrigger,
    Otherwise,
    Plan,
    Repeat,
    ScheduleTrigger,
    SegmentExit,
    SegmentTrigger,
    Send,
    Set,
    Split,
    Start,
    Step,
    Trigger,
    Wait,
    WaitFor,
    Window,
)
from engine.plan.words import describe
from engine.schedule import format_duration

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
#: What follows an outcome where the author says nothing: not worth a line.
_USUAL: Mapping[str, str] = {outcome: "wait" if outcome == "quiet" else "skip" for outcome in UNSENT}


@dataclass(frozen=True, kw_only=True, slots=True)
class Way:
    """One way out of a step that has several."""

    label: str
    #: The step to which it leads; None is the step's `next`.
    goto: str | None = None
    #: The reason with which it ends the enrollment, where it does.
    ends: str | None = None
    #: The way that people usually take: straight on.
    is_main: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Note:
    """A heading and its lines, beside the picture."""

    heading: str
    lines: tuple[str, ...]


def ways_out(step: Step) -> tuple[Way, ...]:
    """The ways out of a step, in the author's order; empty where the only one is its `next`."""
    match step:
        case Branch():
            arms = [Way(label=f"if {arm.condition}", goto=arm.then) for arm in step.arms]
            return (*arms, Way(label="else", goto=step.otherwise))
        case Split():
            total = sum(side.weight for side in step.sides) or 1
            return tuple(Way(label=f"{s.name} · {100 * s.weight / total:.4g} %", goto=s.first) for s in step.sides)
        case WaitFor():
            arms = [
                Way(label=_with_condition(each.event, each.condition), goto=each.then) for each in step.alternatives
            ]
            if step.within_seconds is not None:
                arms.append(Way(label=f"after {_span(step.within_seconds)}", goto=step.otherwise))
            return tuple(arms) if len(arms) > 1 or arms[0].goto else ()
        case Send():
            sides = tuple(_otherwise(step))
            return (Way(label="sent", is_main=True), *sides) if sides else ()
        case Wait(if_past="exit"):
            return (Way(label="in time", is_main=True), Way(label="already past", ends="past"))
        case Wait() | Set() | Emit() | Call() | Start() | Repeat() | ExitStep():
            return ()
        case _:
            assert_never(step)


def _otherwise(step: Send) -> Iterator[Way]:
    """Outcomes that lead elsewhere than on, those with one answer together."""
    outcomes: dict[Otherwise, list[str]] = {}
    for outcome, otherwise in step.otherwise.items():
        if otherwise.action in ("exit", "goto"):
            outcomes.setdefault(otherwise, []).append(outcome)
    for otherwise, named in outcomes.items():
        label = "not sent" if set(named) == set(UNSENT) else _listed([name.replace("_", " ") for name in named])
        if otherwise.action == "goto":
            yield Way(label=label, goto=otherwise.goto)
        else:
            yield Way(label=label, ends=named[0] if len(named) == 1 else "the outcome")


def heading(step: Step) -> str:
    """The step's first line: the author's title where there is one, else its words."""
    return step.title or describe(step)


def details(step: Step) -> tuple[str, ...]:
    """What stands under the heading, in lines."""
    lines = [describe(replace(step, title=None))] if step.title else []
    if step.condition is not None:
        lines.append(f"only if {step.condition}")
    match step:
        case Send():
            lines.append(f"template {step.template}")
            lines += [f"topic {step.topic}"] if step.to is not None else []
            lines += [f"window {_window(step.window)}"] if step.window else []
            lines += [f"expires {_span(step.expires_seconds)}"] if step.expires_seconds is not None else []
            lines += [f"in doubt: {step.in_doubt}"] if step.in_doubt else []
            lines += [
                f"{outcome.replace('_', ' ')}: {otherwise.action}"
                for outcome, otherwise in step.otherwise.items()
                if otherwise.action in ("wait", "skip") and otherwise.action != _USUAL[outcome]
            ]
        case WaitFor(since=str() as since):
            lines.append("since the start" if since == "start" else f"since {since}")
        case Repeat(until=str() as until):
            lines.append(f"until {until}")
        case Call():
            lines.append(str(step.url))
        case _:
            pass
    return tuple(lines)


def trigger_words(trigger: Trigger) -> str:
    """A trigger in a sentence."""
    return _with_condition(_trigger(trigger), trigger.condition)


def _trigger(trigger: Trigger) -> str:
    match trigger:
        case EventTrigger():
            return trigger.event
        case SegmentTrigger():
            return f"{'enters' if trigger.on == 'enter' else 'leaves'} {trigger.segment}"
        case InactiveTrigger():
            return f"{_span(trigger.for_seconds)} without {trigger.event or 'any event'}"
        case DateTrigger():
            return f"{trigger.date} at {trigger.at}" + (", every year" if trigger.is_yearly else "")
        case ScheduleTrigger():
            return f"{trigger.cron} to {trigger.to}" + (", each in their own zone" if trigger.zone == "profile" else "")
        case ApiTrigger():
            return "enrolled through the API"
        case JourneyTrigger():
            return f"{trigger.journey} ended" + (f" ({trigger.reason})" if trigger.reason else "")
        case _:
            assert_never(trigger)


def notes(plan: Plan) -> tuple[Note, ...]:
    """What holds for the whole journey: who enters, what ends it, what it is for."""
    found = [Note(heading="Entry", lines=tuple(_entry(plan)))]
    if plan.exits:
        found.append(Note(heading="Exits", lines=tuple(_exit(each) for each in plan.exits)))
    if plan.goal:
        within = "" if plan.goal.within_seconds is None else f", within {_span(plan.goal.within_seconds)}"
        stays = "" if plan.goal.is_exit else ", and it goes on"
        found.append(
            Note(heading="Goal", lines=(_with_condition(plan.goal.event, plan.goal.condition) + within + stays,))
        )
    if plan.holdout:
        share = f"{plan.holdout / 100:g} % get no marketing message, for comparison"
        found.append(Note(heading="Holdout", lines=(share,)))
    return tuple(found)


def _entry(plan: Plan) -> Iterator[str]:
    entry = plan.entry
    yield f"one at a time per {entry.key}" if entry.key else "one at a time per person"
    if entry.condition is not None:
        yield f"only if {entry.condition}"
    if entry.when_active == "restart":
        yield "a new trigger begins it anew"
    match entry.again:
        case "never":
            yield "once and never again"
        case "after":
            yield f"again after {_span(entry.again_after_seconds or 0)}"
        case "always":
            pass
    if entry.limit:
        yield f"at most {entry.limit.at_most} per {_span(entry.limit.per_seconds)}"


def _exit(exit_: Exit) -> str:
    match exit_:
        case EventExit():
            words = _with_condition(exit_.event, exit_.condition)
        case SegmentExit():
            words = _with_condition(f"{'enters' if exit_.on == 'enter' else 'leaves'} {exit_.segment}", exit_.condition)
        case ConditionExit():
            words = f"if {exit_.condition}"
        case _:
            assert_never(exit_)
    return words if exit_.reason == "exit" else f"{words} → {exit_.reason}"


def _window(window: Window) -> str:
    days = [_DAYS[day - 1] for day in window.days]
    if len(days) == len(_DAYS):
        return f"{window.from_} to {window.to}"
    is_run = len(days) > 2 and window.days[-1] - window.days[0] == len(days) - 1
    return f"{f'{days[0]}-{days[-1]}' if is_run else ', '.join(days)} {window.from_} to {window.to}"


def _with_condition(words: str, condition: str | None) -> str:
    return words if condition is None else f"{words} if {condition}"


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _span(seconds: int) -> str:
    return format_duration(timedelta(seconds=seconds))
