"""The port behind the `call` step: one HTTP request to a system of the author's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
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
