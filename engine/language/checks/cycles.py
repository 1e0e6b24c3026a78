"""Journeys that start each other in one moment, without end, and segments that refer to each other in a circle.

An edge leads from a journey to each one that it may begin in the very moment of entry: by `emit`, by `start`, or by
ending where another waits for the end. Re-entry that is forbidden for the whole profile breaks a circle.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

from engine.errors import ExpressionError
from engine.expressions.nodes import InSegment, Node, children
from engine.expressions.parse import parse_expression
from engine.language.authored import Authored
from engine.language.diagnostics import Problems, related
from engine.language.graph import at_once, circles, successors
from engine.plan.model import (
    ConditionExit,
    Emit,
    EventTrigger,
    ExitStep,
    JourneyTrigger,
    Plan,
    Send,
    Start,
)


def check(authored: Authored, problems: Problems) -> None:
    """Reports each circle once, at its first member."""
    _check_journeys(authored, problems)
    _check_segments(authored, problems)


def _check_journeys(authored: Authored, problems: Problems) -> None:
    plans = {name: journey.plan for name, journey in authored.journeys.items()}
    begun = _Begun(plans)
    graph = {name: [other for other in begun.by(plan) if _may_return(plans[other])] for name, plan in plans.items()}
    for circle in circles(graph):
        path = " → ".join([*circle, circle[0]])
        hint = "put a `wait` between, or let one be entered `again: {after: 1d}` or `again: never`"
        others = [related(authored.journeys[name].name, f"`{name}`") for name in circle[1:]]
        place = authored.journeys[circle[0]].name
        problems.error("SJ403", place, f"journeys start each other without time passing: {path}", hint, others)


def _may_return(plan: Plan) -> bool:
    """Whether one profile may enter again and again: with a key each value is a new way in, and no rule of re-entry
    concerns one that restarts."""
    return plan.entry.again == "always" or plan.entry.key is not None or plan.entry.when_active == "restart"


class _Begun:
    """Which journeys another one begins in the moment of entry."""

    def __init__(self, plans: Mapping[str, Plan]) -> None:
        self._plans = plans
        self._by_event: dict[str, list[str]] = defaultdict(list)
        self._by_end: dict[str, list[tuple[str, str | None]]] = defaultdict(list)
        for name, plan in plans.items():
            for trigger in plan.triggers:
                match trigger:
                    case EventTrigger(event=event):
                        self._by_event[event].append(name)
                    case JourneyTrigger(journey=journey, reason=reason):
                        self._by_end[journey].append((name, reason))

    def by(self, plan: Plan) -> Iterator[str]:
        """Their names."""
        for step in at_once(plan).values():
            match step:
                case Emit(event=event):
                    yield from self._by_event[event]
                case Start(journey=journey) if journey in self._plans:
                    yield journey
        reasons = _reasons_at_once(plan)
        for name, reason in self._by_end[plan.journey]:
            if reason in reasons or (reason is None and reasons):
                yield name


def _reasons_at_once(plan: Plan) -> set[str]:
    """The reasons for which a person may leave in the moment of entry."""
    steps = at_once(plan)
    reasons = {exit_.reason for exit_ in plan.exits if isinstance(exit_, ConditionExit) and plan.steps}
    for step in steps.values():
        if isinstance(step, ExitStep):
            reasons.add(step.reason)
        if isinstance(step, Send):
            reasons.update(outcome for outcome, each in step.otherwise.items() if each.action == "exit")
        if None in successors(step):
            reasons.add("completed")
    return reasons if plan.first else {*reasons, "completed"}


def _check_segments(authored: Authored, problems: Problems) -> None:
    graph = {
        name: [other for other in _segments_in(entry.condition.text) if other in authored.segments]
        for name, entry in authored.segments.items()
        if entry.condition
    }
    for circle in circles(graph):
        path = " → ".join([*circle, circle[0]])
        others = [related(authored.segments[name].key, f"`{name}`") for name in circle[1:]]
        place = authored.segments[circle[0]].key
        hint = "a segment cannot depend on its own members"
        problems.error("SJ404", place, f"segments refer to each other in a circle: {path}", hint, others)


def _segments_in(text: str) -> list[str]:
    try:
        open_: list[Node] = [parse_expression(text)]
    except ExpressionError:
        return []  # reported where expressions are checked
    found: list[str] = []
    for node in open_:
        if isinstance(node, InSegment):
            found.append(node.segment)
        open_ += children(node)
    return found
