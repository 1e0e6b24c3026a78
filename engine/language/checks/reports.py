"""Names that conditions compare a receipt's event with: `event.step == "reminder"` under `Email Link Clicked`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from engine.delivery import receipt_events
from engine.errors import ExpressionError
from engine.expressions.nodes import Aggregate, Compare, Constant, ListOf, Node, Read, children
from engine.expressions.parse import parse_expression
from engine.language.authored import Authored
from engine.language.conditions import Condition
from engine.language.diagnostics import Problems, suggest

_CODES = {"journey": "SJ106", "step": "SJ107", "channel": "SJ101", "topic": "SJ102"}


def check(authored: Authored, problems: Problems) -> None:
    """Warns of names that no receipt can bear."""
    known: Mapping[str, Sequence[str]] = {
        "journey": tuple(authored.journeys),
        "step": tuple(dict.fromkeys(step for journey in authored.journeys.values() for step in journey.places)),
        "channel": authored.project.channel_names,
        "topic": authored.project.topic_names,
    }
    for condition, events in _conditions(authored):
        for piece in condition.pieces:
            for property_, constant in _compared(piece.text, events):
                name = str(constant.value)
                if name not in known[property_]:
                    place = piece.place(constant.start)
                    hint = suggest(name, known[property_])
                    problems.warning(_CODES[property_], place, f"there is no {property_} `{name}`", hint)


def _conditions(authored: Authored) -> Iterator[tuple[Condition, tuple[str, ...]]]:
    for journey in authored.journeys.values():
        for usage in journey.mentions.usages:
            yield usage.condition, usage.events
    for entry in authored.segments.values():
        if entry.condition:
            yield entry.condition, ()


def _compared(text: str, events: Iterable[str]) -> Iterator[tuple[str, Constant]]:
    """The properties of receipts, each with a text that it is compared with."""
    try:
        node = parse_expression(text)
    except ExpressionError:
        return  # reported where expressions are checked
    yield from _walk(node, is_receipt=_are_receipts(events))


def _walk(node: Node, *, is_receipt: bool) -> Iterator[tuple[str, Constant]]:
    match node:
        case Compare(left=left, right=right) if is_receipt:
            for one, other in ((left, right), (right, left)):
                if isinstance(one, Read) and one.root == "event" and one.name in _CODES and not one.path:
                    yield from ((one.name, each) for each in _texts(other))
        case Aggregate(event=event, equals=equals, where=where) if _are_receipts([event]):
            for name, value in equals:
                if name in _CODES:
                    yield from ((name, each) for each in _texts(value))
            if where is not None:
                yield from _walk(where, is_receipt=True)
        case Aggregate():
            pass
        case _:
            for child in children(node):
                yield from _walk(child, is_receipt=is_receipt)


def _are_receipts(events: Iterable[str]) -> bool:
    return bool(events) and all(event in receipt_events.NAMES for event in events)


def _texts(node: Node) -> list[Constant]:
    items = node.items if isinstance(node, ListOf) else (node,)
    return [each for each in items if isinstance(each, Constant) and isinstance(each.value, str)]
