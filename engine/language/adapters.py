"""What the compiler knows of a channel's adapter; `channels.registry` fills it in, so that the engine need not import it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from engine.project import ChannelKind


@dataclass(frozen=True, kw_only=True, slots=True)
class AdapterInfo:
    """A registered adapter, as far as `sojourn check` needs it."""

    #: None: it serves any kind.
    kind: ChannelKind | None
    #: One sentence for each thing wrong with the settings, naming the setting and never its value; empty: fine.
    check_settings: Callable[[Mapping[str, Any]], list[str]]
