"""`journeys/*.yml`: one journey a document, read into its plan and what it mentions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast

from engine.language.diagnostics import Problems
from engine.language.fields import Fields, as_mapping, as_name
from engine.language.mentions import Mentions
from engine.language.source import MapNode, Node, ScalarNode
from engine.language.steps import StepsReader
from engine.language.triggers import Doors
from engine.plan.model import Plan

_KEYS = (
    "journey", "title", "topic", "trigger", "entry", "exit", "goal", "holdout", "pace", "if_late", "moved", "steps",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class JourneyFile:
    """One journey, as far as it could be read."""

    #: The document.
    node: MapNode
    #: Where its name stands.
    name: ScalarNode
    plan: Plan
    mentions: Mentions
    #: The authored mapping of each step, in the order written.
    places: Mapping[str, MapNode]

    @property
    def is_whole(self) -> bool:
        """Whether every step could be read: only then does the graph say where people can go."""
        return len(self.plan.steps) == len(self.places)


def read_journey_file(document: Node, problems: Problems) -> JourneyFile | None:
    """The journey of one document; None where it is none, or has no name."""
    node = as_mapping(document, problems, "a journey's file", "begin with `journey: NAME`")
    if node is None:
        return None
    for other, where in (("segments", "journeys/segments/"), ("scenario", "journeys/tests/")):
        if other in node.pairs and "journey" not in node.pairs:
            place = node.pairs[other].key
            problems.error("SJ212", place, f"`{other}` among the journeys", f"move the file to `{where}`")
            return None
    fields = Fields(node, problems, "a journey", _KEYS)
    fields.need("journey", "steps")
    name_node = fields.get("journey")
    name = None if name_node is None else as_name(name_node, problems, "a journey")
    mentions = Mentions(problems=problems)
    doors = Doors(mentions)
    triggers = doors.triggers(fields.get("trigger"))
    entry = doors.entry(fields.get("entry"))
    exits = doors.exits(fields.get("exit"))
    goal = doors.goal(fields.get("goal"))
    mentions.name("topic", fields.get("topic"), "`topic`")
    topic = fields.get("topic")
    reader = StepsReader(mentions, topic if isinstance(topic, ScalarNode) else None)
    steps_node = fields.get("steps")
    first = None if steps_node is None else reader.read(steps_node, "steps", None)
    title = fields.text("title")
    holdout, pace = fields.share("holdout"), fields.rate("pace")
    if_late = fields.word("if_late", ("continue", "exit"))
    moved = _moved(fields, mentions)
    if name is None or not isinstance(name_node, ScalarNode):
        return None
    plan = Plan(
        journey=name,
        title=title or name,
        triggers=triggers,
        entry=entry,
        exits=exits,
        goal=goal,
        holdout=holdout or 0,
        pace_per_second=pace,
        if_late=cast("Literal['continue', 'exit']", if_late or "continue"),
        moved=moved,
        first=first,
        steps=reader.steps,
    )
    return JourneyFile(node=node, name=name_node, plan=plan, mentions=mentions, places=reader.places)


def _moved(fields: Fields, mentions: Mentions) -> dict[str, str]:
    mapping = fields.mapping("moved")
    pairs = mapping.pairs if mapping else {}
    moved = {old: mentions.name("step", pair.value, f"where `{old}` moved") for old, pair in pairs.items()}
    return {old: new for old, new in moved.items() if new}
