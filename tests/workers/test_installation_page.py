"""docs/installation.md names everything that it has to."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from engine.web import access, health
from workers import settings

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/installation.md").read_text(encoding="utf-8")


def named_in(module: object, pattern: str) -> set[str]:
    return set(re.findall(pattern, Path(str(module.__file__)).read_text(encoding="utf-8")))  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "names",
    [
        named_in(settings, r"\bSOJOURN_[A-Z_]*[A-Z]\b"),
        named_in(health, r"\bsojourn_[a-z_]*[a-z]\b"),
        set(access.SCOPES),
    ],
    ids=["variables", "metrics", "scopes"],
)
def test_the_page_names_every_one(names: set[str]) -> None:
    assert len(names) >= 3
    told = set(re.findall(r"\w+", PAGE))
    assert {name for name in names if name not in told and f"{name}_total" not in told} == set()
