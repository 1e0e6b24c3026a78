"""Parts of docs/channels.md that are made: `UPDATE_DOCS=1 pytest tests/channels` writes them anew."""

from __future__ import annotations

import os
import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "channels.md"


def hold(mark: str, text: str) -> None:
    """Fails where the part between `<!-- MARK -->` and `<!-- /MARK -->` is not this text; writes it when asked to."""
    page = PAGE.read_text(encoding="utf-8")
    part = re.search(rf"<!-- {mark} -->\n(.*?)\n?<!-- /{mark} -->", page, re.DOTALL)
    assert part is not None, f"docs/channels.md has no part `{mark}`"
    if os.environ.get("UPDATE_DOCS"):
        written = f"<!-- {mark} -->\n{text}\n<!-- /{mark} -->"
        PAGE.write_text(page[: part.start()] + written + page[part.end() :], encoding="utf-8")
        return
    assert part.group(1) == text, "UPDATE_DOCS=1 pytest tests/channels rewrites it"
