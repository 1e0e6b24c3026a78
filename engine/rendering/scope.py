"""What a template sees of the world: plain values, and nothing that can act."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any


class NotPlain(TypeError):
    """A value that is no plain data."""


def plain_scope(scope: Mapping[str, Any]) -> dict[str, Any]:
    """The scope in plain Python values only; a key without a value is left out, so that `default` sees it missing.

    Raises `NotPlain` for any other object: its methods would run with the worker's rights.
    """
    return {str(key): _plain(value) for key, value in scope.items() if value is not None}


def _plain(value: Any) -> Any:
    kind = type(value)
    if kind in (str, int, float, bool):
        return value
    if kind is dict:
        return plain_scope(value)
    if kind in (list, tuple):
        return [_plain(item) for item in value]
    match value:
        case None:
            return None
        case Mapping():
            return plain_scope(value)
        case date():
            return value.isoformat()
        case str():
            # A subclass could say of itself that it is safe HTML.
            return str.__str__(value)
        case _:
            raise NotPlain
