"""Values that steps write: into attributes (`set`, `save`), into events (`emit`), into another journey (`start`).

What the catalogue says of a name binds the value, whether it is written out or computed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches

from engine.expressions.functions import TypeWord
from engine.expressions.kinds import IN_WORDS, MOMENTS, type_word
from engine.expressions.mistakes import near
from engine.expressions.scope import Scope
from engine.expressions.typing import OWN_ATTRIBUTES, misfit
from engine.expressions.values import as_time
from engine.language.authored import Authored
from engine.language.checks.catalogue import known_events
from engine.language.checks.scopes import Scopes
from engine.language.conditions import computed
from engine.language.diagnostics import Problems
from engine.language.journey_file import JourneyFile
from engine.language.source import ListNode, MapNode, Node, Pair, ScalarNode, find_node
from engine.plan.model import Call, Emit, EventTrigger, Plan, Set, Start


def check(authored: Authored, problems: Problems) -> None:
    """Warns of values that are not of their name's type, and of names that look like misspellings."""
    checker = _Checker(authored, problems)
    for journey in authored.journeys.values():
        checker.check_journey(journey)


class _Checker:
    def __init__(self, authored: Authored, problems: Problems) -> None:
        self._problems = problems
        self._journeys = authored.journeys
        self._events = known_events(authored.project) if authored.project.events is not None else {}
        self._attributes = {**authored.project.attributes, **OWN_ATTRIBUTES}
        self._is_catalogued = bool(authored.project.attributes)
        self._scopes = Scopes(authored)

    def check_journey(self, journey: JourneyFile) -> None:
        """Every step that writes something."""
        scope = self._scopes.of_journey(journey)
        for step_id, step in journey.plan.steps.items():
            node = journey.places[step_id]
            match step:
                case Set():
                    pairs = list(_pairs(node.get("set")))
                    self._check_types(pairs, self._attributes, "the attribute `NAME`", scope)
                    self._check_attributes(pairs)
                case Call():
                    self._check_attributes(_pairs(find_node(node, ["call", "save"])))
                case Emit(event=event) if event in self._events:
                    pairs = list(_pairs(node.get("with")))
                    self._check_types(pairs, self._events[event], f"`NAME` of the event `{event}`", scope)
                    self._check_properties(pairs, event)
                case Start(journey=name) if name in self._journeys:
                    types = self._trigger_types(self._journeys[name].plan)
                    self._check_types(_pairs(node.get("with")), types, f"`NAME`, with which `{name}` begins,", scope)

    def _trigger_types(self, plan: Plan) -> dict[str, str]:
        """The names of the events that begin a journey, where all of them say the same type."""
        found: dict[str, set[str]] = {}
        for trigger in plan.triggers:
            if isinstance(trigger, EventTrigger):
                for name, word in self._events.get(trigger.event, {}).items():
                    found.setdefault(name, set()).add(word)
        return {name: next(iter(words)) for name, words in found.items() if len(words) == 1}

    def _check_types(
        self, pairs: Iterator[Pair] | list[Pair], types: Mapping[str, str], what: str, scope: Scope
    ) -> None:
        for pair in pairs:
            name = str(pair.key.value)
            wanted = type_word(types.get(name, "any"))
            kind = _kind_that_differs(pair.value, wanted, scope)
            if kind is not None:
                message = f"{what.replace('NAME', name)} is {IN_WORDS[wanted]}, and this is {IN_WORDS[kind]}"
                self._problems.warning("SJ303", pair.value, message, _hint(kind, wanted))

    def _check_attributes(self, pairs: Iterable[Pair]) -> None:
        for pair in pairs:
            name = str(pair.key.value)
            if not self._is_catalogued or name in self._attributes:
                continue
            # A step may bring an attribute into being: only what is very near another is worth a word.
            near_ones = get_close_matches(name, self._attributes, n=1, cutoff=0.8)
            if near_ones:
                message = f"the catalogue has no attribute `{name}`"
                self._problems.warning("SJ104", pair.key, message, f"did you mean `{near_ones[0]}`?")

    def _check_properties(self, pairs: list[Pair], event: str) -> None:
        known = self._events[event]
        for pair in pairs:
            name = str(pair.key.value)
            if name not in known:
                hint = near(name, known) or "add it under `events:` in sojourn.yml"
                message = f"the catalogue has no property `{name}` of the event `{event}`"
                self._problems.warning("SJ109", pair.key, message, hint)


def _pairs(node: Node | None) -> Iterator[Pair]:
    if isinstance(node, MapNode):
        yield from node.pairs.values()


def _kind_that_differs(node: Node, wanted: TypeWord, scope: Scope) -> TypeWord | None:
    if wanted == "any":
        return None
    expression = computed(node) if isinstance(node, ScalarNode) else None
    if expression is not None:
        return misfit(expression.text, scope, [wanted])
    kind = _kind(node)
    is_moment = wanted in MOMENTS and isinstance(node, ScalarNode) and as_time(str(node.value)) is not None
    return None if kind in (wanted, "any") or is_moment else kind


def _kind(node: Node) -> TypeWord:
    match node:
        case MapNode():
            return "object"
        case ListNode():
            return "list"
        case ScalarNode(value=bool()):
            return "boolean"
        case ScalarNode(value=int() | float()):
            return "number"
        case ScalarNode(value=str()):
            return "string"
        case ScalarNode():
            return "any"


def _hint(kind: TypeWord, wanted: TypeWord) -> str:
    if kind == "string" and wanted in ("number", "boolean"):
        return "write it without quotes" if wanted == "number" else "write true or false, without quotes"
    if kind in ("number", "boolean") and wanted == "string":
        return "put it in quotes"
    if wanted in MOMENTS:
        return "such as `2026-03-02`, or computed: `= now + days(14)`"
    return ""
