"""The steps of a journey, read and laid out as the plan's graph in one pass.

A list of steps is a chain: each step's `next` is the one after it, and the last one's is what follows the list. A
step without an id is called by its kind and its path in the file (`send@steps.1`, indexes from 0), which stays the
same as long as nothing is inserted before it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from engine.language.actions import ActionReader, Common
from engine.language.diagnostics import related, suggest
from engine.language.fields import Fields, as_list, as_mapping, as_text, written
from engine.language.mentions import Mentions
from engine.language.sends import SendReader
from engine.language.source import ListNode, MapNode, Node, ScalarNode
from engine.language.waits import read_wait
from engine.plan.model import (
    Arm,
    Awaited,
    Branch,
    Otherwise,
    Repeat,
    Side,
    Split,
    Step,
    Wait,
    WaitFor,
)

#: Kind of step -> the keys that may stand beside it.
KINDS: Mapping[str, tuple[str, ...]] = {
    "send": ("template", "with", "attachments", "topic", "to", "window", "expires", "otherwise", "in_doubt"),
    "wait": (),
    "wait_for": ("since", "within", "then", "else"),
    "branch": ("else",),
    "split": (),
    "set": (),
    "emit": ("with",),
    "call": (),
    "start": ("with",),
    "repeat": (),
    "exit": (),
}
_COMMON = ("id", "title", "if")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Chained:
    """A step of a list, before it is read."""

    node: MapNode
    kind: str
    step_id: str
    path: str


class StepsReader:
    """Reads lists of steps; afterwards `steps` holds the graph and `places` the authored mapping of each step."""

    def __init__(self, mentions: Mentions, default_topic: ScalarNode | None) -> None:
        self._mentions = mentions
        self._problems = mentions.problems
        self._sends = SendReader(mentions, default_topic)
        self._actions = ActionReader(mentions)
        self._read: dict[str, Step] = {}
        self._ids: dict[str, Node] = {}
        #: In the order written, by step id.
        self.places: dict[str, MapNode] = {}

    @property
    def steps(self) -> dict[str, Step]:
        """By id, in the order written."""
        return {step_id: self._read[step_id] for step_id in self.places if step_id in self._read}

    def read(self, node: Node, path: str, after: str | None) -> str | None:
        """Reads a list; the id of its first step, or None where it is empty. `after` is what follows the list."""
        items = as_list(node, self._problems, "steps", "begin each step with `- `")
        chain = [
            chained
            for index, item in enumerate(items.items if items else ())
            if (chained := self._chained(item, f"{path}.{index}"))
        ]
        following = [each.step_id for each in chain[1:]] + [after]
        for each, next_ in zip(chain, following, strict=False):
            self.places[each.step_id] = each.node
            around, self._mentions.step_id = self._mentions.step_id, each.step_id
            step = self._step(each, next_)
            self._mentions.step_id = around
            if step:
                self._read[each.step_id] = step
        return chain[0].step_id if chain else None

    def _chained(self, item: Node, path: str) -> _Chained | None:
        node = as_mapping(item, self._problems, "a step", "such as `wait: 1h`")
        if node is None:
            return None
        kinds = [key for key in node.pairs if key in KINDS]
        if not kinds:
            unknown = [pair.key for key, pair in node.pairs.items() if key not in _COMMON]
            place = unknown[0] if unknown else node
            hint = suggest(str(unknown[0].value) if unknown else "", KINDS)
            self._problems.error("SJ213", place, "a step does not say what it does", hint)
            return None
        if len(kinds) > 1:
            message = f"a step does one thing, and this one has `{kinds[0]}` and `{kinds[1]}`"
            self._problems.error("SJ211", node.pairs[kinds[1]].key, message, "make two steps of it")
        return _Chained(node=node, kind=kinds[0], step_id=self._id(node, kinds[0], path), path=path)

    def _id(self, node: MapNode, kind: str, path: str) -> str:
        default = f"{kind}@{path}"
        given = node.get("id")
        step_id = None if given is None else as_text(given, self._problems, "`id`")
        if given is None or step_id is None:
            return default
        if not _ID.fullmatch(step_id):
            hint = "letters, digits, hyphens and underscores, beginning with a letter or digit"
            self._problems.error("SJ205", given, f"a step's id cannot be {written(given)}", hint)
            return default
        first = self._ids.get(step_id)
        if first is not None:
            # A list is numbered before what is nested in it: the one read first may stand later.
            earlier, later = sorted((first, given), key=lambda node: (node.line, node.column))
            message = f"two steps of the journey have the id `{step_id}`"
            self._problems.error("SJ111", later, message, "give one of them another", [related(earlier, "first here")])
            return default
        self._ids[step_id] = given
        return step_id

    # ── one step ─────────────────────────────────────────────────────────────────────────────────────────────────────
    def _step(self, chained: _Chained, next_: str | None) -> Step | None:
        what = f"the step `{chained.kind}`"
        # A second kind has been reported already, and what belongs to it is not unknown.
        kinds = [key for key in chained.node.pairs if key in KINDS]
        allowed = tuple(dict.fromkeys([*kinds, *(key for kind in kinds for key in KINDS[kind]), *_COMMON]))
        fields = Fields(chained.node, self._problems, what, allowed)
        common = Common(
            step_id=chained.step_id,
            title=fields.text("title"),
            condition=self._mentions.condition(fields.get("if"), "`if`"),
            next=next_,
            path=chained.path,
        )
        readers: Mapping[str, Callable[[Fields, Common], Step | None]] = {
            "send": self._send,
            "wait": self._wait,
            "wait_for": self._wait_for,
            "branch": self._branch,
            "split": self._split,
            "set": self._actions.set,
            "emit": self._actions.emit,
            "call": self._actions.call,
            "start": self._actions.start,
            "repeat": self._repeat,
            "exit": self._actions.exit,
        }
        return readers[chained.kind](fields, common)

    def _send(self, fields: Fields, common: Common) -> Step | None:
        otherwise = self._sends.otherwise(fields, lambda node, at: self._goto(node, f"{common['path']}.{at}", common))
        return self._sends.read(fields, dict(common), otherwise)

    def _goto(self, node: Node, path: str, common: Common) -> Otherwise:
        first = self.read(node, path, common["next"])
        return Otherwise(action="goto", goto=first) if first else Otherwise(action="skip")

    def _wait(self, fields: Fields, common: Common) -> Step | None:
        wait = read_wait(fields.node.pairs["wait"].value, self._mentions)
        return Wait(for_=wait.for_, if_past=wait.if_past, **common) if wait else None

    def _wait_for(self, fields: Fields, common: Common) -> Step | None:
        node = fields.node.pairs["wait_for"].value
        path, next_ = common["path"], common["next"]
        beside = fields.get("then")
        alternatives: list[Awaited] = []
        if isinstance(node, ListNode):
            if beside is not None:
                hint = "put `then` into each alternative"
                self._problems.error("SJ211", fields.place("then"), "`then` beside a list of alternatives", hint)
            for index, item in enumerate(node.items):
                awaited = self._awaited(item, f"{path}.wait_for.{index}.then", next_)
                alternatives += [awaited] if awaited else []
        else:
            then = None if beside is None else self.read(beside, f"{path}.then", next_)
            awaited = self._awaited(node, f"{path}.wait_for.then", next_)
            if awaited and awaited.then and beside is not None:
                self._problems.error("SJ211", fields.place("then"), "`then` is given twice", "keep one of them")
            if awaited:
                alternatives.append(replace(awaited, then=awaited.then or then))
        otherwise = fields.get("else")
        within = fields.duration("within")
        if otherwise is not None and "within" not in fields:
            hint = "say `within:`, how long to wait"
            self._problems.error("SJ401", fields.place("else"), "`else` is never reached without `within`", hint)
        since = fields.text("since")
        if since is not None and since != "start":
            self._mentions.name("step", fields.get("since"), "`since`")
        first = None if otherwise is None else self.read(otherwise, f"{path}.else", next_)
        if not alternatives:
            return None
        return WaitFor(alternatives=tuple(alternatives), since=since, within_seconds=within, otherwise=first, **common)

    def _awaited(self, item: Node, path: str, next_: str | None) -> Awaited | None:
        hint = "such as `{event: Order Completed}`"
        mapping = as_mapping(item, self._problems, "what `wait_for` awaits", hint)
        if mapping is None:
            return None
        inner = Fields(mapping, self._problems, "`wait_for`", ("event", "if", "then"))
        inner.need("event")
        event = self._mentions.name("event", inner.get("event"), "`event`")
        condition = self._mentions.condition(inner.get("if"), "`if`", events=(event,) if event else ())
        then = inner.get("then")
        first = None if then is None else self.read(then, path, next_)
        return Awaited(event=event, condition=condition, then=first) if event else None

    def _branch(self, fields: Fields, common: Common) -> Step:
        path, next_ = common["path"], common["next"]
        hint = "each arm begins with `- if: …`"
        items = as_list(fields.node.pairs["branch"].value, self._problems, "`branch`", hint)
        arms: list[Arm] = []
        for index, item in enumerate(items.items if items else ()):
            mapping = as_mapping(item, self._problems, "an arm of `branch`", "such as `{if: …, then: […]}`")
            if mapping is None:
                continue
            inner = Fields(mapping, self._problems, "an arm of `branch`", ("if", "then"))
            inner.need("if", "then")
            condition = self._mentions.condition(inner.get("if"), "`if`")
            then = inner.get("then")
            first = None if then is None else self.read(then, f"{path}.branch.{index}.then", next_)
            if condition is not None:
                arms.append(Arm(condition=condition, then=first))
        if items is not None and not items.items:
            self._problems.error("SJ203", items, "`branch` has no arm", hint)
        otherwise = fields.get("else")
        return Branch(
            arms=tuple(arms),
            otherwise=None if otherwise is None else self.read(otherwise, f"{path}.else", next_),
            **common,
        )

    def _split(self, fields: Fields, common: Common) -> Step | None:
        node = fields.node.pairs["split"].value
        mapping = as_mapping(node, self._problems, "`split`", "such as `{A: {weight: 50, steps: […]}, B: …}`")
        sides: list[Side] = []
        for name, pair in mapping.pairs.items() if mapping else ():
            side = as_mapping(pair.value, self._problems, f"the side `{name}`", "such as `{weight: 50, steps: […]}`")
            if side is None:
                continue
            inner = Fields(side, self._problems, f"the side `{name}`", ("weight", "steps"))
            weight = inner.number("weight", least=0, is_whole=False) if inner.need("weight") else None
            steps = inner.get("steps")
            path = f"{common['path']}.split.{name}.steps"
            first = None if steps is None else self.read(steps, path, common["next"])
            if weight is not None:
                sides.append(Side(name=name, weight=float(weight), first=first))
        if mapping is None or len(sides) < len(mapping.pairs):
            return None
        self._check_weights(mapping, sides)
        return Split(sides=tuple(sides), **common)

    def _check_weights(self, mapping: MapNode, sides: list[Side]) -> None:
        total = sum(side.weight for side in sides)
        if total == 0:
            hint = "give at least one side a weight above 0"
            self._problems.error("SJ215", mapping, "no side of the split has any weight", hint)
        elif total != 100:
            message = f"the weights add up to {total:g}, not to 100: each is read as a share of {total:g}"
            self._problems.warning("SJ215", mapping, message)

    def _repeat(self, fields: Fields, common: Common) -> Step | None:
        mapping = fields.mapping("repeat")
        if mapping is None:
            return None
        inner = Fields(mapping, self._problems, "`repeat`", ("times", "every", "until", "steps"))
        inner.need("times", "steps")
        times = inner.number("times", least=1)
        every = inner.duration("every")
        until = self._mentions.condition(inner.get("until"), "`until`")
        steps = inner.get("steps")
        body = None if steps is None else self.read(steps, f"{common['path']}.repeat.steps", common["step_id"])
        if isinstance(steps, ListNode) and not steps.items:
            self._problems.error("SJ203", steps, "`repeat` has no steps")
        if times is None:
            return None
        return Repeat(times=int(times), body=body, every_seconds=every, until=until, **common)
