"""Steps that nobody can reach: after an `exit`, after steps that all end, behind what always comes first."""

from __future__ import annotations

from collections.abc import Iterator

from engine.errors import ExpressionError
from engine.expressions.nodes import And, Constant, Node, Not, Or
from engine.expressions.parse import parse_expression
from engine.language.authored import Authored
from engine.language.diagnostics import Place, Problems
from engine.language.graph import reachable
from engine.language.source import ListNode, MapNode, find_node
from engine.plan.model import Branch, WaitFor


def check(authored: Authored, problems: Problems) -> None:
    """Reports the first step of each unreachable stretch."""
    for journey in authored.journeys.values():
        if not journey.is_whole:
            continue
        seen = set(reachable(journey.plan, journey.plan.first))
        for step_id, node in journey.places.items():
            if step_id not in seen:
                message = "nobody can reach this step: every way before it ends the journey"
                problems.error("SJ401", node, message, "delete it, or move it before the `exit`")
                seen.update(reachable(journey.plan, step_id))
            step = journey.plan.steps[step_id]
            if isinstance(step, Branch):
                _check_branch(step, node, problems)
            if isinstance(step, WaitFor):
                _check_alternatives(step, node, problems)


def _check_branch(step: Branch, node: MapNode, problems: Problems) -> None:
    places = _places(node, "branch", len(step.arms))
    conditions: set[str] = set()
    for arm, place in zip(step.arms, places, strict=False):
        if arm.condition in conditions:
            message = "nobody can reach this arm: an earlier one has the same condition"
            problems.error("SJ401", place, message, "delete it, or change its condition")
        conditions.add(arm.condition)
        if _is_always_true(arm.condition):
            after = [*places[places.index(place) + 1 :], *([node.pairs["else"].key] if "else" in node.pairs else [])]
            if after:
                message = "nobody can get here: the condition before it is always true"
                problems.error("SJ401", after[0], message, "delete it, or change that condition")
            return


def _check_alternatives(step: WaitFor, node: MapNode, problems: Problems) -> None:
    places = _places(node, "wait_for", len(step.alternatives))
    for index, (awaited, place) in enumerate(zip(step.alternatives, places, strict=False)):
        earlier = [each for each in step.alternatives[:index] if each.event == awaited.event]
        if any(each.condition in (None, awaited.condition) for each in earlier):
            message = f"this alternative never has its turn: an earlier one takes every such `{awaited.event}`"
            problems.error("SJ401", place, message, "delete it, or put the one with the narrower `if` first")


def _places(node: MapNode, key: str, number: int) -> list[Place]:
    """The items of a list; none where one of them could not be read, and has been reported."""
    items = find_node(node, [key])
    return list(items.items) if isinstance(items, ListNode) and len(items.items) == number else []


def _is_always_true(condition: str) -> bool:
    try:
        return _truth(parse_expression(condition)) is True
    except ExpressionError:
        return False  # reported where expressions are checked


def _truth(node: Node) -> bool | None:
    """What a tree always comes out as; None where that depends."""
    match node:
        case Constant(value=value):
            return bool(value)
        case Not(operand=operand):
            truth = _truth(operand)
            return None if truth is None else not truth
        case And(parts=parts):
            return _all(_truth(part) for part in parts)
        case Or(parts=parts):
            truth = _all(None if (each := _truth(part)) is None else not each for part in parts)
            return None if truth is None else not truth
        case _:
            return None


def _all(truths: Iterator[bool | None]) -> bool | None:
    found = set(truths)
    if False in found:
        return False
    return None if None in found else True
