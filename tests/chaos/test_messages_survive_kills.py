"""Workers die by -9 between claim and record, before a provider that accepts in silence: no message is lost or doubled.

The same at full length: `python -m tests.chaos.messages` (10,000 messages and 300 kills, each kind, each database).
"""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

MESSAGES, KILLS = 200, 8


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_no_message_is_lost_or_doubled(database: str) -> None:
    # A process of its own: it forks its workers, which must not happen beside pytest's threads.
    size = ("--messages", str(MESSAGES), "--kills", str(KILLS), "--database", database)
    run = subprocess.run(
        [sys.executable, "-m", "tests.chaos.messages", *size], capture_output=True, text=True, timeout=580, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    books = {book["kind"]: book for book in map(json.loads, run.stdout.splitlines())}
    assert all(book["kills"] == KILLS and book["holds"] for book in books.values()), books
    keyed, plain = books["keyed"], books["plain"]
    # It was put to the test: with keys the provider got repeats, without them some are in doubt.
    assert keyed["repeats"] > 0
    assert keyed["sent"] == keyed["messages"] >= MESSAGES
    assert plain["in_doubt"] >= plain["in_doubt_taken"] > 0
