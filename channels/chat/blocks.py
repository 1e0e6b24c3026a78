"""Blocks as a template's author and the renderer leave them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def as_meant(block: Any) -> Any:
    """The block with `&`, `<` and `>` in place of their escapes: the renderer escapes people's values as Slack wants
    it, and no other provider does."""
    match block:
        case str():
            return block.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
        case Mapping():
            return {key: as_meant(value) for key, value in block.items()}
        case list() | tuple():
            return [as_meant(value) for value in block]
        case _:
            return block
