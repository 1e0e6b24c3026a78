"""What a journey's file mentions, with places: the names and the expressions that checks look at."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from engine.language.conditions import Condition, computed, read_condition
from engine.language.diagnostics import Problems
from engine.language.fields import as_text
from engine.language.source import ListNode, MapNode, Node, ScalarNode, plain

MentionKind = Literal["channel", "topic", "event", "segment", "journey", "step"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Mention:
    """A name that must exist elsewhere."""

    kind: MentionKind
    name: str
    place: ScalarNode
    #: The step that mentions it, or None: what surrounds the steps.
    step_id: str | None = None


#: Where an expression stands, which says what it may read besides the profile:
#:   `before`  a trigger's condition: nothing began yet
#:   `called`  the condition of a call by name: the values that came with it
#:   `ended`   the condition of a trigger by a journey's end: how that one ended
#:   `entry`   what began is at hand, and stands for the event, too
#:   `inside`  what began, and the steps taken
Standing = Literal["before", "called", "ended", "entry", "inside"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """An expression, and what it may read."""

    condition: Condition
    standing: Standing
    #: The event under test is one of these; empty: there is none.
    events: tuple[str, ...] = ()
    #: The step that evaluates it, or None: what surrounds the steps.
    step_id: str | None = None
    #: Whether it must come out as a date or a timestamp.
    is_moment: bool = False


@dataclass(kw_only=True, slots=True)
class Mentions:
    """Collects what is mentioned while a file is read."""

    problems: Problems
    names: list[Mention] = field(default_factory=list)
    usages: list[Usage] = field(default_factory=list)
    #: The step that is being read.
    step_id: str | None = None

    def name(self, kind: MentionKind, node: Node | None, what: str) -> str | None:
        """The name that the node holds, remembered."""
        text = None if node is None else as_text(node, self.problems, what)
        if text is not None and isinstance(node, ScalarNode):
            self.names.append(Mention(kind=kind, name=text, place=node, step_id=self.step_id))
        return text

    def condition(
        self,
        node: Node | None,
        what: str,
        *,
        standing: Standing = "inside",
        events: tuple[str, ...] = (),
        is_moment: bool = False,
    ) -> str | None:
        """The text of the condition that the node holds, remembered."""
        condition = None if node is None else read_condition(node, self.problems, what)
        if condition is None:
            return None
        self.usages.append(
            Usage(condition=condition, standing=standing, events=events, step_id=self.step_id, is_moment=is_moment)
        )
        return condition.text

    def values(self, node: Node) -> Any:
        """The authored values as plain data; strings that begin with `=` are remembered as expressions."""
        self._computed(node)
        return plain(node)

    def _computed(self, node: Node) -> None:
        match node:
            case MapNode():
                for pair in node.pairs.values():
                    self._computed(pair.value)
            case ListNode():
                for item in node.items:
                    self._computed(item)
            case ScalarNode():
                expression = computed(node)
                if expression:
                    self.usages.append(Usage(condition=expression, standing="inside", step_id=self.step_id))
