"""Every diagnostic is explained where authors look for it."""

from __future__ import annotations

import re

import pytest

from engine.language.diagnostics import CODES

_CELL = re.compile(r"(?<!\\)\|")


def rows(config: pytest.Config) -> dict[str, list[str]]:
    page = (config.rootpath / "docs" / "checks" / "README.md").read_text(encoding="utf-8")
    cells = [
        [cell.strip() for cell in _CELL.split(line)[1:-1]] for line in page.splitlines() if line.startswith("| SJ")
    ]
    return {row[0]: row[1:] for row in cells}


def test_every_code_has_a_row_of_its_own_title(pytestconfig: pytest.Config) -> None:
    assert {code: row[0] for code, row in rows(pytestconfig).items()} == dict(CODES)


def test_every_row_says_why_and_what_instead(pytestconfig: pytest.Config) -> None:
    incomplete = {code for code, row in rows(pytestconfig).items() if len(row) != 4 or not all(row)}
    assert incomplete == set()
