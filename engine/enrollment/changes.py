"""What another version of a journey changes, step by step and in words, and whom it concerns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import timedelta
from typing import Any, Literal

from engine.plan.digest import part_to_json
from engine.plan.model import Plan, Step, Wait
from engine.plan.words import describe
from engine.schedule import format_duration
from engine.store import Place

#: Fields of a step as their authors know them.
_STEP_WORDS = {
    "condition": "if",
    "next": "then goes on to",
    "values": "with",
    "arms": "branches",
    "alternatives": "events",
    "for_": "wait",
}
#: Not what the author says of a step, or said elsewhere.
_UNTOLD = ("step_id", "kind", "path")
_PLAN_WORDS = {
    "title": "title",
    "triggers": "trigger",
    "entry": "entry",
    "exits": "exit",
    "goal": "goal",
    "holdout": "holdout",
    "pace_per_second": "pace",
    "if_late": "if_late",
    "first": "first step",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class StepChange:
    """One step that is not what it was."""

    step_id: str
    #: `moved`: vanished, and mapped to the step `to`.
    change: Literal["added", "removed", "changed", "moved"]
    #: The step in words: as it will be, or as it was where it is no more.
    words: str
    #: What changed, each in a few words.
    details: tuple[str, ...] = ()
    to: str | None = None
    #: People who stand at it now, by the version on which they are.
    people: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class JourneyChange:
    """What a deploy would do to one journey."""

    journey: str
    title: str
    #: `gone`: deployed, and no longer part of the project.
    change: Literal["new", "changed", "unchanged", "gone"]
    #: The version that people enter on now, and the one that they would enter on.
    deployed: str | None
    version: str | None
    #: What changed around the steps.
    details: tuple[str, ...] = ()
    steps: tuple[StepChange, ...] = ()
    #: People inside, by version.
    inside: Mapping[str, int] = field(default_factory=dict)


def compare(
    journey: str,
    old: Plan | None,
    new: Plan | None,
    *,
    deployed: str | None,
    version: str | None,
    places: Sequence[Place],
    known: Mapping[str, Plan],
) -> JourneyChange:
    """The change from the deployed plan (None: there is none) to the project's (None: it is gone).

    `places` is where its people stand; `known` has the plans of their versions.
    """
    shown = new or old
    assert shown is not None, "a journey is deployed or authored"
    change: Literal["new", "changed", "unchanged", "gone"] = "gone"
    if new is not None:
        change = "new" if old is None else "unchanged" if deployed == version else "changed"
    inside: dict[str, int] = {}
    for place in places:
        inside[place.digest] = inside.get(place.digest, 0) + place.people
    return JourneyChange(
        journey=journey,
        title=shown.title,
        change=change,
        deployed=deployed,
        version=version,
        details=_around(old, new) if old and new else (),
        steps=tuple(_steps(old, new, places, known)) if old and new else (),
        inside=inside,
    )


def vanished(new: Plan, places: Sequence[Place], digest: str) -> Mapping[str, int]:
    """Steps, with their people on other versions, that the plan with this hash neither has nor maps."""
    lost: dict[str, int] = {}
    for place in places:
        step_id = place.step_id
        if place.digest != digest and step_id is not None and new.renamed(step_id) not in new.steps:
            lost[step_id] = lost.get(step_id, 0) + place.people
    return lost


def _around(old: Plan, new: Plan) -> tuple[str, ...]:
    return tuple(
        _told(words, getattr(old, name), getattr(new, name), name)
        for name, words in _PLAN_WORDS.items()
        if getattr(old, name) != getattr(new, name)
    )


def _steps(old: Plan, new: Plan, places: Sequence[Place], known: Mapping[str, Plan]) -> list[StepChange]:
    """In the order of the new plan; then those that are no more."""
    people: dict[str, dict[str, int]] = {}
    for place in places:
        if place.step_id is not None:
            at = people.setdefault(place.step_id, {})
            at[place.digest] = at.get(place.digest, 0) + place.people
    found = []
    for step in new.steps.values():
        before = old.steps.get(step.step_id)
        here = people.get(step.step_id, {})
        if before is None:
            found.append(StepChange(step_id=step.step_id, change="added", words=describe(step), people=here))
        elif details := _details(before, step):
            words = describe(step)
            found.append(StepChange(step_id=step.step_id, change="changed", words=words, details=details, people=here))
    for step_id in dict.fromkeys((*old.steps, *people)):
        if step_id in new.steps:
            continue
        here = people.get(step_id, {})
        plans = [old, *(known[digest] for digest in here)]
        was = next(plan.steps[step_id] for plan in plans if step_id in plan.steps)
        to = new.moved.get(step_id)
        found.append(
            StepChange(step_id=step_id, change="moved" if to else "removed", words=describe(was), to=to, people=here)
        )
    return found


def _details(old: Step, new: Step) -> tuple[str, ...]:
    if old.kind != new.kind:
        return (f"was {old.kind}, is {new.kind}",)
    if isinstance(old, Wait) and isinstance(new, Wait) and old.for_ != new.for_:
        changed = [f"{describe(old)} → {describe(new)}"]
    else:
        changed = []
    told = [each.name for each in fields(new) if each.name not in (*_UNTOLD, "for_")]
    changed += [
        _told(_STEP_WORDS.get(name, name.removesuffix("_seconds")), getattr(old, name), getattr(new, name), name)
        for name in told
        if getattr(old, name) != getattr(new, name)
    ]
    return tuple(changed)


def _told(words: str, old: Any, new: Any, name: str) -> str:
    return f"{words}: {_value(old, name)} → {_value(new, name)}"


def _value(value: Any, name: str) -> str:
    """As its author would write it, where that is short; else as it is compiled."""
    match value:
        case None | () | {}:
            return "the end" if name == "next" else "none"
        case int() if name.endswith("_seconds"):
            return format_duration(timedelta(seconds=value))
        case int() if name == "holdout":
            return f"{value / 100:g}%"
        case float() if name == "pace_per_second":
            return f"{value * 60:g}/min"
        case str():
            return value
        case tuple() if all(isinstance(each, str) for each in value):
            return ", ".join(value)
        case _:
            return part_to_json(value)
