"""The API and the routers die by -9 under load: what was acknowledged is stored once, and has its effect once.

The same at full length: `python -m tests.chaos.events` (200 kills on each database).
"""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

KILLS = 12


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_what_was_acknowledged_is_stored_and_routed_once(database: str) -> None:
    # A process of its own: it forks, which must not happen beside pytest's threads.
    command = (sys.executable, "-m", "tests.chaos.events", "--kills", str(KILLS), "--database", database)
    run = subprocess.run(command, capture_output=True, text=True, timeout=580, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    books = json.loads(run.stdout)
    # Until it was put to the test: there was load, and answers were lost.
    assert books["kills"] >= KILLS
    assert books["acknowledged"] > 20
    assert books["repeated"] > 0
