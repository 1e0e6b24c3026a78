"""The port behind the `call` step: one HTTP request to a system of the author's, and how to read what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, Protocol


@dataclass(frozen=True, kw_only=True, slots=True)
class CallRequest:
    url: str = field(repr=False)
    method: str
    json: Any = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeout_seconds: int = 10


class Caller(Protocol):
    """Carries out `call` steps: refuses private addresses, retries what is transient, limits what it reads."""

    def call(self, request: CallRequest) -> Any:
        """The answer's JSON, or None once the retries have failed."""
        ...


def inside(answer: Any, path: str) -> Any:
    """The value at a dotted path inside an answer, or None."""
    for part in path.split("."):
        if isinstance(answer, Mapping):
            answer = answer.get(part)
        elif isinstance(answer, list) and part.isdigit() and int(part) < len(answer):
            answer = answer[int(part)]
        else:
            return None
    return answer


def plain_json(value: Any) -> Any:
    """Computed values as JSON: instants and dates in ISO 8601, spans in seconds."""
    match value:
        case datetime() | date():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case Mapping():
            return {name: plain_json(inner) for name, inner in value.items()}
        case list() | tuple():
            return [plain_json(inner) for inner in value]
        case _:
            return value
