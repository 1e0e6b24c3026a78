"""Questions about a plan's graph that several checks ask: what follows a step, and where no time passes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import assert_never

from engine.plan.model import (
    Branch,
    Call,
    Elapsed,
    Emit,
    ExitStep,
    Plan,
    Repeat,
    Send,
    Set,
    Split,
    Start,
    Step,
    Wait,
    WaitFor,
)


def successors(step: Step) -> Iterator[str | None]:
    """The ids of the steps that may follow; None is the end of the journey (or of a loop's last pass)."""
    if step.condition is not None:
        yield step.next
    match step:
        case Send():
            yield step.next
            for otherwise in step.otherwise.values():
                if otherwise.action == "goto":
                    yield otherwise.goto or step.next
        case WaitFor():
            for awaited in step.alternatives:
                yield awaited.then or step.next
            # An `else` without `within` never comes; that is reported where it is read.
            if step.within_seconds is not None or step.otherwise is not None:
                yield step.otherwise or step.next
        case Branch():
            for arm in step.arms:
                yield arm.then or step.next
            yield step.otherwise or step.next
        case Split():
            for side in step.sides:
                yield side.first or step.next
        case Repeat():
            yield step.body or step.next
            yield step.next
        case Wait() | Set() | Emit() | Call() | Start():
            yield step.next
        case ExitStep():
            pass
        case _:
            assert_never(step)


def reachable(plan: Plan, first: str | None, *, within: Mapping[str, Step] | None = None) -> dict[str, Step]:
    """Every step that may be reached from one, itself included, over the steps of `within` (default: all)."""
    steps = plan.steps if within is None else within
    found: dict[str, Step] = {}
    open_ = [first]
    while open_:
        step = steps.get(open_.pop() or "")
        if step is not None and step.step_id not in found:
            found[step.step_id] = step
            open_ += list(successors(step))
    return found


def passes_time(step: Step) -> bool:
    """Whether the step itself makes time pass, whenever it is taken."""
    match step:
        case Wait(for_=Elapsed(seconds=seconds)):
            return seconds > 0
        case Wait():
            return True
        case WaitFor(within_seconds=within):
            return within is None or within > 0
        case _:
            return False


def at_once(plan: Plan) -> dict[str, Step]:
    """The steps that a person may reach in the moment of entry."""
    timeless = {step_id: step for step_id, step in plan.steps.items() if not _always_passes_time(step)}
    return reachable(plan, plan.first, within=timeless)


def _always_passes_time(step: Step) -> bool:
    # With an `if` the step may be passed over.
    return passes_time(step) and step.condition is None


def circles(graph: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """Circles in a graph, each as the nodes on it, from the one that comes first; one circle a node at most."""
    found: list[list[str]] = []
    reported: set[str] = set()
    for node in graph:
        if node not in reported:
            path = _way_back(node, graph)
            if path:
                found.append(path)
                reported.update(path)
    return found


def _way_back(node: str, graph: Mapping[str, Sequence[str]]) -> list[str] | None:
    """The shortest way from a node back to it, without the return."""
    came_from: dict[str, str] = {}
    open_ = [node]
    for here in open_:
        for there in graph.get(here, ()):
            if there == node:
                return list(_backwards(here, node, came_from))[::-1]
            if there in graph and there not in came_from:
                came_from[there] = here
                open_.append(there)
    return None


def _backwards(here: str, node: str, came_from: Mapping[str, str]) -> Iterable[str]:
    while here != node:
        yield here
        here = came_from[here]
    yield node
