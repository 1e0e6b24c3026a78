"""What Temporal gives up in the middle comes to its end all the same: it may hold what others wait for."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment

from engine.plan.effects import Done, Perform, Result
from engine.storage.database import Database
from tests.factories import Shop
from tests.waiting import PATIENCE, until
from workers import calls
from workers.activities.steps import StepActivities
from workers.activities.sweeps import SweepActivity
from workers.contracts.payloads import FinishRequest, PerformRequest

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
STEP = PerformRequest(
    enrollment_id="e1", effect=Perform(step_id="hello", visit=1, attempt=1, reached_at=NOW), now=NOW
).to_json()
END = FinishRequest(enrollment_id="e1", reason="exit", now=NOW).to_json()


class Performer:
    """Opens the store, as each step does."""

    def __init__(self, store: Database) -> None:
        self._store = store

    def perform(self, enrollment_id: str, effect: Perform, now: datetime) -> Result:
        with self._store.transaction(is_shared=True):
            return Done()

    def finish(self, enrollment_id: str, reason: str, now: datetime) -> None:
        with self._store.transaction(is_shared=True):
            pass


@pytest.mark.parametrize("name", [calls.PERFORM, calls.DISPATCH, calls.FINISH, calls.SWEEP])
def test_an_activity_that_is_given_up_while_it_stands_in_line_leaves_the_line_to_others(
    name: str, tmp_path: Path
) -> None:
    """At its time-out Temporal throws an exception into its thread, wherever that is, unless it is told not to."""
    store = Database(f"sqlite:///{tmp_path / 'store.db'}")
    store.migrate()
    steps = StepActivities(Performer(store), lambda: NOW)
    sweep = SweepActivity(Shop(store).engine.sweeper, lambda: NOW, lambda: None).sweep
    given: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
        calls.PERFORM: (steps.perform, (STEP,)),
        calls.DISPATCH: (steps.dispatch, (STEP,)),
        calls.FINISH: (steps.finish, (END,)),
        calls.SWEEP: (sweep, ()),
    }
    function, arguments = given[name]
    environment = ActivityEnvironment()
    one: Any = store._one
    with ThreadPoolExecutor(1) as pool:
        with store.transaction():
            done = pool.submit(environment.run, function, *arguments)
            until(lambda: bool(one._turns._waiting) or done.done())
            environment.cancel()
        done.exception(PATIENCE)
    with store.transaction() as unit:
        assert unit.queue.count_occurrences() == 0
    store.close()
