"""What the language must know of a channel adapter; the registry in `channels` supplies it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.project import ChannelKind


def _any_blocks(_: Sequence[Any]) -> list[str]:
    return []


@dataclass(frozen=True, kw_only=True, slots=True)
class AdapterInfo:
    """One registered adapter."""

    #: None: it serves any kind (`inbox`), and the channel says which.
    kind: ChannelKind | None
    #: What is wrong with the settings, a sentence each; never a value.
    check_settings: Callable[[Mapping[str, Any]], list[str]]
    has_attachments: bool = False
    #: What is wrong with a template's `blocks`, a sentence each.
    check_blocks: Callable[[Sequence[Any]], list[str]] = _any_blocks
