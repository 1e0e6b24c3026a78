"""Journeys that nothing starts, triggers that wait for an end that never comes, or under which nobody may enter."""

from __future__ import annotations

import re
from collections.abc import Mapping

from engine.language.authored import Authored
from engine.language.diagnostics import Problems, suggest
from engine.language.source import MapNode, ScalarNode
from engine.language.triggers import one_or_many
from engine.plan.model import UNSENT, ExitStep, Plan, Send, Start, Wait

#: A key that is one property of what begins the journey: without it nobody enters.
KEY = re.compile(r"(?:event|trigger)\.(\w+)")
#: What each kind of trigger hands on, where that is certain.
_HANDS_ON: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("segment", "inactive", "date", "schedule"), ()),
    "journey": ("journey", "reason", "key"),
}
#: Every journey may end for these, whatever it says itself.
_OURS = ("completed", "exit", "goal", "restarted", "stopped", "erased")


def check(authored: Authored, problems: Problems) -> None:
    """Reports all of them."""
    started = started_with(authored)
    for name, journey in authored.journeys.items():
        if not one_or_many(journey.node.get("trigger")) and name not in started:
            message = f"nothing starts the journey `{name}`"
            problems.warning("SJ405", journey.name, message, "give it a `trigger:`, or `start:` it in another journey")
        for node in one_or_many(journey.node.get("trigger")):
            if isinstance(node, MapNode):
                _check_reason(node, authored, problems)
                _check_key(node, journey.plan, problems)


def started_with(authored: Authored) -> dict[str, list[frozenset[str]]]:
    """The names that `start` steps hand to each journey that they start."""
    started: dict[str, list[frozenset[str]]] = {}
    for journey in authored.journeys.values():
        for step in journey.plan.steps.values():
            if isinstance(step, Start):
                started.setdefault(step.journey, []).append(frozenset(step.values))
    return started


def _check_reason(node: MapNode, authored: Authored, problems: Problems) -> None:
    name, reason = node.get("journey"), node.get("reason")
    if not isinstance(name, ScalarNode) or not isinstance(reason, ScalarNode):
        return
    other = authored.journeys.get(str(name.value))
    if other is not None and reason.value not in _reasons(other.plan):
        message = f"the journey `{name.value}` never ends for the reason `{reason.value}`"
        problems.error("SJ406", reason, message, suggest(str(reason.value), _reasons(other.plan)))


def _check_key(node: MapNode, plan: Plan, problems: Problems) -> None:
    key = KEY.fullmatch(plan.entry.key or "")
    kind = next((kind for kind in _HANDS_ON if kind in node.pairs), None)
    if key is None or kind is None or key[1] in _HANDS_ON[kind]:
        return
    message = f"nobody can enter by this trigger: it hands on no `{key[1]}`, which is the journey's key"
    hint = f"make it a journey of its own, or the key `coalesce({key[0]}, …)`"
    problems.warning("SJ410", node.pairs[kind].key, message, hint)


def _reasons(plan: Plan) -> tuple[str, ...]:
    reasons: dict[str, None] = {}
    for step in plan.steps.values():
        match step:
            case ExitStep(reason=reason):
                reasons[reason] = None
            case Wait(if_past="exit"):
                reasons["past"] = None
            case Send(otherwise=otherwise):
                reasons |= {outcome: None for outcome in UNSENT if otherwise[outcome].action == "exit"}
    reasons |= {exit_.reason: None for exit_ in plan.exits}
    return (*reasons, *(each for each in _OURS if each not in reasons))
