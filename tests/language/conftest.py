"""An option of the mutations' test: `pytest tests/language --mutations 10000`."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--mutations", type=int, metavar="N", help="how many mutations of authored files are checked")
