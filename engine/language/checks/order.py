"""Steps that are read, or counted from, where they cannot have run yet: what they leave behind is always missing."""

from __future__ import annotations

from engine.errors import ExpressionError
from engine.expressions.nodes import Node, Read, children
from engine.expressions.parse import parse_expression
from engine.language.authored import Authored
from engine.language.diagnostics import Place, Problems
from engine.language.graph import reachable, successors
from engine.language.journey_file import JourneyFile
from engine.plan.model import Plan


def check(authored: Authored, problems: Problems) -> None:
    """Reports every such mention."""
    for journey in authored.journeys.values():
        if journey.is_whole:
            _Order(journey, problems).check()


class _Order:
    def __init__(self, journey: JourneyFile, problems: Problems) -> None:
        self._journey = journey
        self._plan = journey.plan
        self._problems = problems
        self._after: dict[str, frozenset[str]] = {}

    def check(self) -> None:
        for mention in self._journey.mentions.names:
            # A step that counts from its own beginning says what is so anyway.
            if mention.kind == "step" and mention.step_id and mention.name != mention.step_id:
                self._check(mention.name, mention.step_id, mention.place)
        for usage in self._journey.mentions.usages:
            if usage.step_id is None:
                continue
            for piece in usage.condition.pieces:
                for name, offset in _steps_read(piece.text):
                    self._check(name, usage.step_id, piece.place(offset))

    def _check(self, name: str, step_id: str, place: Place) -> None:
        if name not in self._plan.steps or step_id in self._following(name):
            return  # unknown steps are reported by their names
        message = f"the step `{name}` cannot have run before this one"
        self._problems.error("SJ409", place, message, "name a step on the way here")

    def _following(self, name: str) -> frozenset[str]:
        if name not in self._after:
            self._after[name] = _after(self._plan, name)
        return self._after[name]


def _after(plan: Plan, name: str) -> frozenset[str]:
    """The steps that may come after a step; itself only where a loop leads back."""
    following = [reachable(plan, first) for first in successors(plan.steps[name])]
    return frozenset(step_id for found in following for step_id in found)


def _steps_read(text: str) -> list[tuple[str, int]]:
    try:
        open_: list[Node] = [parse_expression(text)]
    except ExpressionError:
        return []  # reported where expressions are checked
    found: list[tuple[str, int]] = []
    for node in open_:
        if isinstance(node, Read) and node.root == "steps":
            found.append((node.name, node.start))
        open_ += children(node)
    return found
