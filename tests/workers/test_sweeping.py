"""Sweeps come from Temporal's schedule: one at a time, whoever starts and dies, and each due moment fires once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, ScheduleOverlapPolicy
from temporalio.service import RPCError, RPCStatusCode

from engine.errors import Conflict
from engine.plan.model import ScheduleTrigger
from engine.project import Segment
from engine.storage.database import Database
from engine.storage.memory import MemoryStore
from tests.factories import Shop, plan, wait
from tests.waiting import PATIENCE, until
from workers.activities.steps import StepActivities
from workers.activities.sweeps import SweepActivity
from workers.embedded import DevServer
from workers.loop import LoopThread
from workers.process import TemporalSide
from workers.settings import Settings
from workers.sweeping import SCHEDULE_ID, schedule_sweeps
from workers.worker import sweep_worker

#: A task that Temporal hands to a poller that has just gone is lost until its time is up: that of a workflow for ten
#: seconds, that of a sweep for twenty without a heartbeat. Such a sweep comes late, and a test of many takes its time.
pytestmark = [pytest.mark.temporal, pytest.mark.timeout(1_200)]

#: Of an hour that spring skips, one that autumn has twice, and one of every day.
SKIPPED, TWICE, DAILY = "30 2 29 3 *", "30 2 25 10 *", "0 9 * * *"
EVERYBODY = Segment(name="everybody", title="Everybody", condition='profile.tier != "none"')


class Sweeping:
    """Workers that only sweep, over one shop whose clock the test moves."""

    def __init__(self, client: Client, loop: LoopThread) -> None:
        self.client = client
        self.loop = loop
        self.woken = threading.Event()
        self._stack = AsyncExitStack()

    def start(self, shop: Shop) -> None:
        """One more worker, with a connection of its own as another process has."""
        client = self.loop.run(Client.connect(self.client.service_client.config.target_host))
        sweeps = SweepActivity(shop.engine.sweeper, lambda: shop.now, self.woken.set)
        executor = self._stack.enter_context(ThreadPoolExecutor(1))

        async def begin() -> None:
            await self._stack.enter_async_context(sweep_worker(client, sweeps, executor))

        self.loop.run(begin())

    def stop(self) -> None:
        self.loop.run(self._stack.aclose())

    def clear(self) -> None:
        """Removes the schedule, if there is one, and what it has started."""
        try:
            running = self.description().info.running_actions
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            return
        self.loop.run(self.client.get_schedule_handle(SCHEDULE_ID).delete())
        for each in running:
            self.loop.run(self.client.get_workflow_handle(each.workflow_id).terminate())

    def schedule(self, every: timedelta = timedelta(hours=1)) -> None:
        self.loop.run(schedule_sweeps(self.client, every))

    def description(self) -> Any:
        return self.loop.run(self.client.get_schedule_handle(SCHEDULE_ID).describe())

    def sweep(self) -> int:
        """Has the schedule start a sweep, and waits for its end: how many rows it fired."""
        # The one that the schedule began with comes first: it may be of a moment before the test's.
        until(lambda: self._has_ended(1), self.standing)
        runs = self.description().info.num_actions
        # The scheduler may not have seen yet that the last one has ended.
        handle = self.client.get_schedule_handle(SCHEDULE_ID)
        self.loop.run(handle.trigger(overlap=ScheduleOverlapPolicy.BUFFER_ONE))
        until(lambda: self._has_ended(runs + 1), self.standing)
        last = self.description().info.recent_actions[-1].action
        ended = self.client.get_workflow_handle(last.workflow_id, run_id=last.first_execution_run_id)
        fired: int = self.loop.run(ended.result(), timeout=PATIENCE)
        return fired

    def _has_ended(self, runs: int) -> bool:
        info = self.description().info
        return info.num_actions >= runs and not info.running_actions

    def standing(self) -> str:
        """What the schedule has started, and what the last one came to so far."""
        info = self.description().info
        told = [f"{info.num_actions} sweeps were started"]
        for running in info.running_actions:
            history = self.loop.run(self.client.get_workflow_handle(running.workflow_id).fetch_history())
            told += [
                f"{each.event_id} {EventType.Name(each.event_type)} {each.event_time.ToJsonString()}"
                for each in history.events
            ]
        return "\n".join(told)


@pytest.fixture
def sweeping(dev_client: Client, loop: LoopThread) -> Iterator[Sweeping]:
    """Asked for after the database, so that it ends before: a sweep under way would open a closed one again."""
    started = Sweeping(dev_client, loop)
    # Installations of other tests on this server leave theirs behind.
    started.clear()
    yield started
    started.stop()
    started.clear()


def open_shop(store: Database, cron: str, now: datetime, zone: str) -> Shop:
    trigger = ScheduleTrigger(cron=cron, to="everybody", zone=zone)  # type: ignore[arg-type]
    shop = Shop(
        store,
        plan(wait(days=400), triggers=(trigger,)),
        now=now,
        timezone="Europe/Berlin",
        segments={"everybody": EVERYBODY},
    ).open()
    for person in ("ana", "bob"):
        shop.person(person, timezone="Europe/Berlin")
    shop.settle()
    return shop


def entries(shop: Shop) -> list[datetime]:
    return sorted(each.entered_at for person in ("ana", "bob") for each in shop.enrollments(person))


@pytest.mark.parametrize("zone", ["project", "profile"])
@pytest.mark.parametrize(
    ("cron", "day", "fires_at"),
    [
        # 02:30 does not exist: the clocks go from 02:00 to 03:00.
        (SKIPPED, datetime(2026, 3, 28, 12, tzinfo=UTC), datetime(2026, 3, 29, 1, tzinfo=UTC)),
        # 02:30 comes twice: once is enough.
        (TWICE, datetime(2026, 10, 24, 12, tzinfo=UTC), datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),
    ],
    ids=["spring", "autumn"],
)
def test_a_moment_in_the_hour_of_a_change_of_clocks_fires_once_a_person(
    database: Database, sweeping: Sweeping, cron: str, day: datetime, fires_at: datetime, zone: str
) -> None:
    shop = open_shop(database, cron, day, zone)
    sweeping.start(shop)
    sweeping.schedule()
    for hour in range(6, 36):
        if hour in (6, 14, 35) or 11 <= hour <= 15:
            shop.now = day + timedelta(hours=hour)
            sweeping.sweep()
    came = entries(shop)
    assert len(came) == 2
    assert all(abs(at - fires_at) <= timedelta(minutes=30) for at in came), came


def test_overlapping_sweeps_of_two_workers_fire_once(database: Database, sweeping: Sweeping) -> None:
    now = datetime(2026, 3, 2, 7, 0, tzinfo=UTC)
    shop = open_shop(database, DAILY, now, "project")
    people = [f"p{number}" for number in range(60)]
    for person in people:
        shop.person(person)
    shop.settle()
    other = shop.on(Database(str(database._engine.url.render_as_string(hide_password=False))))
    sweeping.start(shop)
    sweeping.start(other)
    sweeping.schedule()
    shop.now = other.now = now + timedelta(hours=1, minutes=1)
    rival = threading.Thread(target=lambda: other.engine.sweeper.sweep(other.now))
    rival.start()
    sweeping.sweep()
    rival.join()
    for person in (*people, "ana", "bob"):
        assert [each.entered_at for each in shop.enrollments(person)] == [now + timedelta(hours=1)], person
    other.store.close()  # type: ignore[attr-defined]


def test_what_became_due_while_nobody_worked_is_swept_at_the_start(database: Database, sweeping: Sweeping) -> None:
    now = datetime(2026, 3, 2, 7, 0, tzinfo=UTC)
    shop = open_shop(database, DAILY, now, "project")
    sweeping.schedule()
    shop.now = now + timedelta(hours=5)
    # No worker: the sweep that was triggered waits, and the schedule starts no second one.
    sweeping.schedule()
    until(lambda: len(sweeping.description().info.running_actions) == 1, sweeping.standing)
    sweeping.start(shop)
    until(lambda: len(entries(shop)) == 2, sweeping.standing)
    assert sweeping.woken.wait(PATIENCE)
    sweeping.sweep()
    assert entries(shop) == [now + timedelta(hours=1)] * 2


def test_the_schedule_is_made_once_kept_up_to_date_and_left_paused(sweeping: Sweeping, loop: LoopThread) -> None:
    sweeping.schedule(timedelta(minutes=2))
    sweeping.schedule(timedelta(minutes=1))
    known = sweeping.description().schedule
    assert [each.every for each in known.spec.intervals] == [timedelta(minutes=1)]
    handle = sweeping.client.get_schedule_handle(SCHEDULE_ID)
    loop.run(handle.pause(note="by hand"))
    sweeping.schedule()
    known = sweeping.description().schedule
    assert (known.state.paused, known.state.note) == (True, "by hand")
    assert [each.every for each in known.spec.intervals] == [timedelta(hours=1)]
    assert known.policy.overlap.name == "SKIP"


def test_the_schedule_starts_sweeps_by_itself(database: Database, sweeping: Sweeping) -> None:
    now = datetime(2026, 3, 2, 7, 0, tzinfo=UTC)
    shop = open_shop(database, DAILY, now, "project")
    sweeping.start(shop)
    sweeping.schedule(timedelta(seconds=1))
    until(lambda: sweeping.description().info.num_actions >= 3, sweeping.standing)
    shop.now = now + timedelta(hours=1)
    until(lambda: len(entries(shop)) == 2, sweeping.standing)


def test_a_row_that_raises_holds_up_no_other_and_is_told_without_data(
    database: Database, sweeping: Sweeping, caplog: pytest.LogCaptureFixture
) -> None:
    now = datetime(2026, 3, 2, 7, 0, tzinfo=UTC)
    shop = open_shop(database, DAILY, now, "profile")
    journey = shop.project.plans["cart"].journey
    with database.transaction() as unit:
        record = unit.journeys.find(journey)
        assert record is not None
        # A row whose subject is no trigger's, as a defect would leave it.
        due = unit.dues.find("schedule", shop.id_of("ana"), f"{journey}#0")
        assert due is not None

        unit.dues.put(replace(due, subject=f"{journey}#x", due_at=now))
    sweeping.start(shop)
    sweeping.schedule()
    shop.now = now + timedelta(hours=1, minutes=1)
    sweeping.sweep()
    assert len(entries(shop)) == 2
    assert "failed with ValueError" in caplog.text
    with database.transaction() as unit:
        assert unit.dues.find("schedule", shop.id_of("ana"), f"{journey}#x") is not None


def test_a_temporal_that_lets_us_make_no_schedule_is_told_at_the_start(
    dev_server: DevServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(_client: Client) -> None:
        raise RPCError("schedules are not for user ana@example.com", RPCStatusCode.PERMISSION_DENIED, b"")

    monkeypatch.setattr("workers.process.schedule_sweeps", refuse)
    shop = Shop(MemoryStore())
    side = TemporalSide(Settings(), dev_server.address)
    activities = StepActivities(shop.engine.performer, lambda: shop.now)
    sweeps = SweepActivity(shop.engine.sweeper, lambda: shop.now, lambda: None)
    with pytest.raises(Conflict) as raised:
        side.start(activities, (), with_journeys=False, sweeps=sweeps)
    side.stop()
    assert "make a schedule (PERMISSION_DENIED)" in str(raised.value)
    assert "ana@example.com" not in str(raised.value)
