"""How deep the parity suite goes, and what it found."""

from __future__ import annotations

from collections import Counter

import pytest

#: What became of each pair: how its expression was compiled, and who said yes or no of the person.
TALLY: Counter[str] = Counter()


@pytest.fixture(scope="session")
def tally() -> Counter[str]:
    return TALLY


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if TALLY:
        found = ", ".join(f"{name} {number:,}" for name, number in sorted(TALLY.items()))
        terminalreporter.write_line(f"parity: {found}")
