"""What an expression asks about: names of events, segments, attributes and the rest, without evaluating it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from engine.expressions.nodes import (
    Aggregate,
    Call,
    HasConsent,
    HasReceived,
    InSegment,
    IsEnrolled,
    Node,
    Now,
    Read,
    children,
)
from engine.expressions.parse import parse_expression


@dataclass(frozen=True, kw_only=True, slots=True)
class References:
    """Names that an expression mentions; those of a segment that it asks for are not among them."""

    #: Events that are counted, summed, or asked for by `first` and `last`.
    events: frozenset[str] = frozenset()
    segments: frozenset[str] = frozenset()
    #: Asked for by `enrolled` or `received`.
    journeys: frozenset[str] = frozenset()
    #: (channel, topic).
    consents: frozenset[tuple[str, str]] = frozenset()
    #: `profile.NAME`.
    attributes: frozenset[str] = frozenset()
    #: `trigger.NAME`.
    trigger_names: frozenset[str] = frozenset()
    #: `event.NAME` of the event under test (in a `where` it is the counted event, and not here).
    event_names: frozenset[str] = frozenset()
    #: `steps.ID`.
    steps: frozenset[str] = frozenset()
    #: Whether it asks for the time: `now`, `within=`, `days_since`, `days_until`.
    uses_now: bool = False


@lru_cache(maxsize=8192)
def references(text: str) -> References:
    """What an expression asks about; raises `ExpressionError` where it does not parse."""
    found = list(_walk(parse_expression(text), is_counted=False))
    nodes = [node for node, _ in found]
    reads = [(node, is_counted) for node, is_counted in found if isinstance(node, Read)]
    return References(
        events=frozenset(node.event for node in nodes if isinstance(node, Aggregate)),
        segments=frozenset(node.segment for node in nodes if isinstance(node, InSegment)),
        journeys=frozenset(node.journey for node in nodes if isinstance(node, IsEnrolled | HasReceived)),
        consents=frozenset((node.channel, node.topic) for node in nodes if isinstance(node, HasConsent)),
        attributes=frozenset(node.name for node, _ in reads if node.root == "profile"),
        trigger_names=frozenset(node.name for node, _ in reads if node.root == "trigger"),
        event_names=frozenset(node.name for node, is_counted in reads if node.root == "event" and not is_counted),
        steps=frozenset(node.name for node, _ in reads if node.root == "steps"),
        uses_now=any(map(_asks_for_now, nodes)),
    )


def _walk(node: Node, *, is_counted: bool) -> Iterator[tuple[Node, bool]]:
    """Every node, and whether `event.` in it is a counted event."""
    yield node, is_counted
    for child in children(node):
        is_where = isinstance(node, Aggregate) and child is node.where
        yield from _walk(child, is_counted=is_counted or is_where)


def _asks_for_now(node: Node) -> bool:
    match node:
        case Now():
            return True
        case Aggregate() | HasReceived():
            return node.within is not None
        case Call():
            return node.function in ("days_since", "days_until")
        case _:
            return False
