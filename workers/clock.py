"""The clock of every process: the only one that the engine is given outside of tests and simulations."""

from __future__ import annotations

from datetime import UTC, datetime


def system_now() -> datetime:
    """Now, aware and UTC."""
    return datetime.now(UTC)
