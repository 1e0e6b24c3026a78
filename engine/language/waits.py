"""`wait`: elapsed time, calendar days, the next local moment, or a computed one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, cast

from engine.errors import BadInput
from engine.language.fields import Fields, as_duration, as_text, written, wrong_kind
from engine.language.mentions import Mentions
from engine.language.source import MapNode, Node, ScalarNode
from engine.plan.model import CalendarDays, Elapsed, Moment, NextLocal
from engine.schedule import parse_local_time

#: What looks like `[day ]HH:MM`, well-formed or not: no expression does.
_LOCAL_TIME = re.compile(r"\s*([A-Za-z]+\s+)?\d+:\d+\s*")
_HINT = 'such as `3d`, `{days: 2, at: "09:00"}` or `{until: "tue 10:00"}`'


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadWait:
    for_: Elapsed | CalendarDays | NextLocal | Moment
    if_past: Literal["continue", "exit"] = "continue"


def read_wait(node: Node, mentions: Mentions) -> ReadWait | None:
    """What the step waits for; None where it cannot be read."""
    problems = mentions.problems
    if isinstance(node, ScalarNode):
        seconds = as_duration(node, problems, "`wait`")
        return None if seconds is None else ReadWait(for_=Elapsed(seconds=seconds))
    if not isinstance(node, MapNode):
        wrong_kind(node, problems, "`wait` is a duration or a mapping", _HINT)
        return None
    fields = Fields(node, problems, "`wait`", ("days", "at", "until", "if_past"))
    if_past = cast("Literal['continue', 'exit']", fields.word("if_past", ("continue", "exit")) or "continue")
    until = fields.get("until")
    if until is not None:
        for key in ("days", "at"):
            if key in fields:
                hint = 'the time goes into `until`: `{until: "tue 10:00"}`'
                problems.error("SJ211", fields.place(key), f"`{key}` does not go together with `until`", hint)
        moment = _until(until, mentions)
        return ReadWait(for_=moment, if_past=if_past) if moment else None
    if "days" not in fields:
        problems.error("SJ202", node, "`wait` needs `days` or `until`", _HINT)
        return None
    days, at = fields.number("days", least=0), fields.time("at")
    return None if days is None else ReadWait(for_=CalendarDays(days=int(days), at=at), if_past=if_past)


def _until(node: Node, mentions: Mentions) -> NextLocal | Moment | None:
    if isinstance(node, ScalarNode) and isinstance(node.value, str) and _LOCAL_TIME.fullmatch(node.value):
        try:
            weekday, at = parse_local_time(node.value)
        except BadInput:
            hint = 'such as "09:00" or "tue 10:00"; days: mon tue wed thu fri sat sun'
            mentions.problems.error("SJ207", node, f"{written(node)} is no local time", hint)
            return None
        return NextLocal(at=at, weekday=weekday)
    if isinstance(node, ScalarNode) and as_text(node, mentions.problems, "`until`") is None:
        return None
    expression = mentions.condition(node, "`until`", is_moment=True)
    return Moment(expression=expression) if expression else None
