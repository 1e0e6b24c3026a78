"""`journeys/segments/*.yml`: named predicates."""

from __future__ import annotations

from dataclasses import dataclass

from engine.language.conditions import Condition, read_condition
from engine.language.diagnostics import Problems
from engine.language.fields import Fields, as_mapping, as_name
from engine.language.source import Node, ScalarNode
from engine.project import Segment


@dataclass(frozen=True, kw_only=True, slots=True)
class SegmentEntry:
    """One segment, with where it was written."""

    key: ScalarNode
    name: str
    title: str
    #: None where it could not be read.
    condition: Condition | None

    def segment(self) -> Segment | None:
        """The segment itself, where it is complete."""
        return Segment(name=self.name, title=self.title, condition=self.condition.text) if self.condition else None


def read_segments_file(document: Node, problems: Problems) -> list[SegmentEntry]:
    """The segments of one document."""
    mapping = as_mapping(document, problems, "a segments file", "such as `segments: {vip: {if: …}}`")
    if mapping is None:
        return []
    if "journey" in mapping.pairs and "segments" not in mapping.pairs:
        hint = "move it to `journeys/`"
        problems.error("SJ212", mapping.pairs["journey"].key, "a journey among the segments", hint)
        return []
    fields = Fields(mapping, problems, "a segments file", ("segments",))
    segments = fields.mapping("segments") if fields.need("segments") else None
    entries: list[SegmentEntry] = []
    for name, pair in segments.pairs.items() if segments else ():
        node = as_mapping(pair.value, problems, f"the segment `{name}`", 'such as `{if: did("Order Completed")}`')
        if node is None or as_name(pair.key, problems, "a segment") is None:
            entries.append(SegmentEntry(key=pair.key, name=name, title=name, condition=None))
            continue
        inner = Fields(node, problems, f"the segment `{name}`", ("title", "if"))
        condition_node = inner.get("if") if inner.need("if") else None
        condition = None if condition_node is None else read_condition(condition_node, problems, "`if`")
        title = inner.text("title") or name
        entries.append(SegmentEntry(key=pair.key, name=name, title=title, condition=condition))
    return entries
