"""`send`: channels, template, topic, window, and what follows when nothing was sent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, cast, get_args

from engine.errors import BadInput
from engine.language.diagnostics import suggest
from engine.language.fields import Fields, as_text, written, wrong_kind
from engine.language.mentions import Mentions
from engine.language.source import ListNode, MapNode, Node, ScalarNode
from engine.plan.model import UNSENT, InDoubt, Otherwise, Send, Window
from engine.schedule import parse_days

_WORDS = ("skip", "wait", "exit")
#: What `in_doubt` may say, of a step and of a channel.
IN_DOUBT: tuple[InDoubt, ...] = get_args(InDoubt)
#: Outcomes that pass by themselves: only they can be waited for.
_PASSING = ("quiet", "capped")

#: Reads a list of steps under a path below the send.
ReadSteps = Callable[[Node, str], Otherwise]


class SendReader:
    """Reads the sends of one journey."""

    def __init__(self, mentions: Mentions, default_topic: ScalarNode | None) -> None:
        self._mentions = mentions
        self._problems = mentions.problems
        self._default_topic = default_topic

    def read(self, fields: Fields, common: Mapping[str, Any], otherwise: Mapping[str, Otherwise]) -> Send | None:
        """The step; None where it lacks what a message needs."""
        channels = self._channels(fields)
        template = fields.text("template") if fields.need("template") else None
        topic = self._topic(fields)
        values = fields.mapping("with")
        to = fields.get("to")
        if to is not None and as_text(to, self._problems, "`to`") is None:
            to = None
        window = self._window(fields)
        expires = fields.duration("expires")
        in_doubt = fields.word("in_doubt", IN_DOUBT)
        if not channels or template is None:
            return None
        return Send(
            channels=channels,
            template=template,
            topic=topic,
            values={} if values is None else self._mentions.values(values),
            attachments=tuple(str(each.value) for each in fields.texts("attachments")),
            to=None if to is None else self._mentions.values(to),
            window=window,
            expires_seconds=expires,
            otherwise=otherwise,
            in_doubt=cast("InDoubt | None", in_doubt),
            **common,
        )

    def _channels(self, fields: Fields) -> tuple[str, ...]:
        channels: list[str] = []
        for node in fields.texts("send"):
            name = self._mentions.name("channel", node, "`send`")
            if name in channels:
                self._problems.error("SJ211", node, f"the channel {written(node)} is named twice", "name it once")
            elif name is not None:
                channels.append(name)
        if not channels and isinstance(fields.get("send"), ListNode):
            self._problems.error("SJ203", fields.place("send"), "`send` names no channel", "such as `send: email`")
        return tuple(channels)

    def _topic(self, fields: Fields) -> str:
        if "topic" in fields:
            return self._mentions.name("topic", fields.get("topic"), "`topic`") or ""
        if self._default_topic is None:
            hint = "give the step, or the whole journey, a `topic:`"
            self._problems.error("SJ502", fields.place("send"), "the message belongs to no topic", hint)
            return ""
        return str(self._default_topic.value)

    def _window(self, fields: Fields) -> Window | None:
        mapping = fields.mapping("window")
        if mapping is None:
            return None
        inner = Fields(mapping, self._problems, "`window`", ("days", "from", "to"))
        days = self._days(inner)
        from_, to = inner.time("from") or "00:00", inner.time("to") or "00:00"
        if from_ == to and ("from" in inner or "to" in inner):
            self._problems.error(
                "SJ207", inner.node, "the window closes when it opens", "`from` is inside, `to` is not"
            )
        return Window(days=days, from_=from_, to=to)

    def _days(self, fields: Fields) -> tuple[int, ...]:
        days: set[int] = set()
        for node in fields.texts("days"):
            try:
                days.update(parse_days(str(node.value)))
            except BadInput:
                hint = "such as `mon-fri` or `[sat, sun]`; days: mon tue wed thu fri sat sun"
                self._problems.error("SJ204", node, f"`days` cannot be {written(node)}", hint)
        return tuple(sorted(days)) or (1, 2, 3, 4, 5, 6, 7)

    # ── otherwise ────────────────────────────────────────────────────────────────────────────────────────────────────
    def otherwise(self, fields: Fields, read_steps: ReadSteps) -> dict[str, Otherwise]:
        """What follows each unsent outcome, complete."""
        actions: dict[str, Otherwise] = {
            outcome: Otherwise(action="wait" if outcome == "quiet" else "skip") for outcome in UNSENT
        }
        node = fields.get("otherwise")
        match node:
            case None:
                pass
            case MapNode():
                for outcome, pair in node.pairs.items():
                    if outcome not in UNSENT:
                        hint = suggest(outcome, UNSENT)
                        self._problems.error("SJ204", pair.key, f"no outcome is called `{outcome}`", hint)
                        continue
                    action = self._action(pair.value, f"otherwise.{outcome}", read_steps, (outcome,))
                    actions[outcome] = action or actions[outcome]
            case _:
                action = self._action(node, "otherwise", read_steps, UNSENT)
                actions = dict.fromkeys(UNSENT, action) if action else actions
        return actions

    def _action(self, node: Node, path: str, read_steps: ReadSteps, outcomes: tuple[str, ...]) -> Otherwise | None:
        if isinstance(node, ListNode):
            return read_steps(node, path)
        if not isinstance(node, ScalarNode):
            wrong_kind(node, self._problems, "what follows is a word or a list of steps", "words: skip, wait, exit")
            return None
        if node.value not in _WORDS:
            hint = f"{suggest(str(node.value), _WORDS)}; or a list of steps"
            self._problems.error("SJ204", node, f"`otherwise` cannot be {written(node)}", hint)
            return None
        if node.value == "wait" and not set(outcomes) <= set(_PASSING):
            hint = "only `quiet` and `capped` pass by themselves: `otherwise: {quiet: wait, capped: wait}`"
            message = f"`{outcomes[0]}` cannot wait" if len(outcomes) == 1 else "not every outcome can wait"
            self._problems.error("SJ214", node, message, hint)
            return None
        return Otherwise(action=cast("Literal['skip', 'wait', 'exit']", node.value))
