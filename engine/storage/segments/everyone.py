"""What is the same for everyone: parts of a condition that ask nothing of a person are computed once, by memory."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import NoReturn, cast

from engine.expressions.evaluate import compile_node
from engine.expressions.facts import Facts
from engine.expressions.nodes import Node
from engine.expressions.values import as_instant
from engine.profiles.model import Value
from engine.storage.segments.terms import Known


class _AsksAPerson(Exception):
    """Raised where a value depends on whose it is."""


class _Nobody:
    """Facts that are the same for everyone: in a segment there is no event under test, no trigger and no step."""

    event: Mapping[str, Value] = {}
    trigger: Mapping[str, Value] = {}
    steps: Mapping[str, Mapping[str, Value]] = {}

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __getattr__(self, _name: str) -> NoReturn:
        raise _AsksAPerson


class _AnyEvent(Mapping[str, Value]):
    """The counted event, while nobody has said which."""

    def __getitem__(self, _name: str) -> NoReturn:
        raise _AsksAPerson

    __iter__ = __len__ = get = __getitem__  # type: ignore[assignment]


class Everyone:
    """Computes what does not depend on a person, at `now`."""

    def __init__(self, now: datetime) -> None:
        self._nobody = cast(Facts, _Nobody(now))

    def value(self, node: Node, *, in_event: bool) -> Known | None:
        """A part's value; None where it depends on the person, or on the counted event that it stands in."""
        try:
            return Known(value=compile_node(node)(self._nobody, _AnyEvent() if in_event else None))
        except _AsksAPerson:
            return None

    def instant(self, known: Known) -> Known | None:
        """The instant that a value means; None where that depends on the zone, as a date does."""
        try:
            return Known(value=as_instant(known.value, self._nobody))
        except _AsksAPerson:
            return None
