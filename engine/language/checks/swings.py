"""Journeys that push people into a segment and out of it again in one moment, without end.

`on: enter` sets an attribute, which makes them leave; `on: leave` sets it back, which makes them enter. Attributes
that are only ever set to one value come to rest by themselves: such a circle is none. Of others nobody can tell without
the people's own values, so this is a warning.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from engine.errors import ExpressionError
from engine.expressions.references import references
from engine.language.authored import Authored
from engine.language.diagnostics import Problems, related
from engine.language.graph import at_once, circles
from engine.plan.model import Plan, SegmentTrigger, Set


def check(authored: Authored, problems: Problems) -> None:
    """Warns of each circle once, at its first journey."""
    attributes = _attributes_by_segment(authored)
    plans = {name: journey.plan for name, journey in authored.journeys.items() if any(_triggers(journey.plan))}
    restless = _restless(plans)
    writes = {name: restless & frozenset(attribute for attribute, _ in _writes(plan)) for name, plan in plans.items()}
    readers: dict[str, list[str]] = {}
    for name, plan in plans.items():
        for attribute in sorted({each for trigger in _triggers(plan) for each in attributes.get(trigger.segment, ())}):
            readers.setdefault(attribute, []).append(name)
    graph = {
        name: [
            other
            for attribute in sorted(writes[name])
            for other in readers.get(attribute, ())
            if other != name or _goes_both_ways([name], plans)
        ]
        for name in plans
    }
    for circle in circles(graph):
        if not _goes_both_ways(circle, plans):
            continue
        path = " → ".join([*circle, circle[0]])
        hint = "put a `wait` between, or let the segment not depend on what they set"
        others = [related(authored.journeys[name].name, f"`{name}`") for name in circle[1:]]
        message = f"journeys may move people in and out of a segment without time passing: {path}"
        problems.warning("SJ403", authored.journeys[circle[0]].name, message, hint, others)


def _triggers(plan: Plan) -> Iterator[SegmentTrigger]:
    return (trigger for trigger in plan.triggers if isinstance(trigger, SegmentTrigger))


def _writes(plan: Plan) -> Iterator[tuple[str, object]]:
    """The attributes that the journey sets in the moment of entry, each with its value as authored."""
    for step in at_once(plan).values():
        if isinstance(step, Set):
            yield from step.values.items()


def _restless(plans: Mapping[str, Plan]) -> frozenset[str]:
    """The attributes that are set to more than one value; a computed one may come out as anything."""
    values: dict[str, list[object]] = {}
    restless: set[str] = set()
    for plan in plans.values():
        for attribute, value in _writes(plan):
            several = values.setdefault(attribute, [])
            several.append(value)
            if value != several[0] or (isinstance(value, str) and value.startswith("=")):
                restless.add(attribute)
    return frozenset(restless)


def _goes_both_ways(circle: list[str], plans: Mapping[str, Plan]) -> bool:
    """Whether people both enter and leave on the way round."""
    return {trigger.on for name in circle for trigger in _triggers(plans[name])} == {"enter", "leave"}


def _attributes_by_segment(authored: Authored) -> dict[str, frozenset[str]]:
    """What each segment reads, itself or through another."""
    own: dict[str, frozenset[str]] = {}
    others: dict[str, frozenset[str]] = {}
    for name, entry in authored.segments.items():
        try:
            found = references(entry.condition.text) if entry.condition else None
        except ExpressionError:
            found = None  # reported where expressions are checked
        own[name] = found.attributes if found else frozenset()
        others[name] = found.segments if found else frozenset()
    return {name: frozenset(each for other in _within(name, others) for each in own.get(other, ())) for name in own}


def _within(name: str, others: Mapping[str, frozenset[str]]) -> list[str]:
    found = [name]
    for each in found:
        found += [other for other in sorted(others.get(each, ())) if other not in found]
    return found
