"""The second driver of scenarios: the real workflows and worker on Temporal's time-skipping server, over real SQLite.

The test server's clock starts at the machine's own time, cannot be set, and runs on with it while work is done. So the
engine's time is mapped onto it (`workers.contracts.clock.Clock`): another origin, and many server seconds to one engine
second, which makes real latencies vanish. The timeline tells when time may go on; this carrier moves the server there,
lets timers fire, and waits until every workflow stands still again.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

from temporalio.client import Client, WorkflowHistory
from temporalio.common import WorkflowIDReusePolicy
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment

from engine.assembly import Engine
from engine.delivery.message import Adapter
from engine.enrollment.model import Enrollment, Stimulus
from engine.plan.effects import Arrived, Chosen, Left, Over, Perform, Result
from engine.project import Project
from engine.simulator.observed import Observed, observe
from engine.simulator.scenario import Scenario
from engine.simulator.timeline import play
from engine.simulator.world import SIMULATION_KEY, World
from engine.storage.database import Database
from workers.activities.steps import StepActivities
from workers.contracts.clock import SKIPPING_RATE, Clock
from workers.contracts.payloads import Standing
from workers.contracts.plans import PLANS
from workers.embedded import time_skipping_server
from workers.gateway import Gateway, workflow_id
from workers.loop import LoopThread
from workers.worker import run_workers

#: The server is brought this close (engine time) to an instant before what comes in at it, and this far past it for
#: the timers of that instant.
_BEFORE = timedelta(milliseconds=400)
_AFTER = timedelta(milliseconds=100)
#: A server whose time has come this far is replaced by a new one: beyond lie the limits of 64-bit nanoseconds.
_LATEST = datetime(2180, 1, 1, tzinfo=UTC)
#: How many steps, and sends of a channel, may be under way: so many people at most wait for their turn.
SIMULATION_THREADS = 1000
#: How long (real time) a world may take to stand still before the run is given up.
_PATIENCE_SECONDS = 60.0


class Turns:
    """Who may perform at present. At one instant people go one after another, in the order of virtual time: what one of
    them does may end another, or take the last place under a cap."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._on: frozenset[str] = frozenset()
        #: What enrollments were told last that makes a timer of theirs void, should it have fired all the same.
        self._told: dict[str, Left | Arrived] = {}
        self._is_over = False

    def give(self, enrollment_ids: Iterable[str]) -> None:
        """From now on these may perform, and nobody else."""
        with self._changed:
            self._on = frozenset(enrollment_ids)
            self._changed.notify_all()

    def tell(self, enrollment_id: str, told: Left | Arrived) -> None:
        """This enrollment is over, or goes on elsewhere, whatever its timer would have brought."""
        with self._changed:
            self._told[enrollment_id] = told
            self._changed.notify_all()

    def end(self) -> None:
        """Nobody performs any more."""
        with self._changed:
            self._is_over = True
            self._changed.notify_all()

    def take(self, enrollment_id: str, effect: Perform) -> Result | None:
        """Waits for this enrollment's turn; gives the result where a timer has become void by what was told meanwhile.

        Raises RuntimeError when the scenario is over before.
        """
        with self._changed:
            self._changed.wait_for(
                lambda: self._is_over or enrollment_id in self._on or isinstance(self._told.get(enrollment_id), Left)
            )
            if self._is_over:
                raise RuntimeError("the scenario is over")
            told = self._told.get(enrollment_id)
        match told:
            case Left() if effect.is_due:
                return Over(reason=told.reason)
            case Arrived() if effect.is_due and (told.step_id, told.visit) == (effect.step_id, effect.visit):
                return Chosen(goto=told.goto)
            case _:
                return None


class TemporalCarrier:
    """Carries a world's enrollments as workflows on a time-skipping server."""

    def __init__(
        self,
        world: World,
        environment: WorkflowEnvironment,
        loop: LoopThread,
        gateway: Gateway,
        clock: Clock,
        turns: Turns,
    ) -> None:
        self._world = world
        self._environment = environment
        self._loop = loop
        self._gateway = gateway
        self._clock = clock
        self._turns = turns
        self._carried: dict[str, str] = {}
        #: What was delivered, and whose timer is due, and has not had its turn.
        self._given: deque[tuple[Stimulus, Enrollment]] = deque()
        self._woken: list[str] = []
        #: When the timer of each enrollment that has one is due, and which of them was set first.
        self._timers: dict[str, tuple[datetime, int]] = {}
        self._order = count()

    def deliver(self, batch: Sequence[tuple[Stimulus, Enrollment]]) -> Mapping[int, Exception]:
        self._given.extend(batch)
        return {}

    def approach(self, moment: datetime) -> None:
        self._advance_server(self._clock.to_server(moment - _BEFORE))

    def next_wake_at(self) -> datetime | None:
        return min(self._timers.values())[0] if self._timers else None

    def wake(self, moment: datetime) -> bool:
        due = sorted((timer, each) for each, timer in self._timers.items() if timer[0] <= moment)
        if not due:
            return False
        # All of them fire on the server; who is not on waits in a thread.
        self._woken = [each for _, each in due[: 1 if len(due) < SIMULATION_THREADS else None]]
        return True

    def settle(self) -> bool:
        is_busy = bool(self._woken or self._given)
        if self._woken:
            self._turns.give(self._woken)
            self._advance_server(self._clock.to_server(self._world.clock.now + _AFTER))
            self._carry(self._woken)
            self._woken = []
        # One after another, each as far as it goes: what two journeys do at one instant follows the order of stimuli.
        while self._given:
            stimulus, enrollment = self._given.popleft()
            self._carried[enrollment.enrollment_id] = workflow_id(enrollment, SIMULATION_KEY)
            if isinstance(stimulus.input, Left | Arrived):
                self._turns.tell(enrollment.enrollment_id, stimulus.input)
            self._turns.give([enrollment.enrollment_id])
            for problem in self._gateway.deliver([(stimulus, enrollment)]).values():
                raise RuntimeError(f"Temporal refused enrollment {enrollment.enrollment_id}") from problem
            self._carry([enrollment.enrollment_id])
        return is_busy

    def _carry(self, enrollment_ids: Sequence[str]) -> None:
        """Waits until those whose turn it is stand still, and notes their timers."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        for enrollment_id in enrollment_ids:
            while not self._stands_still(enrollment_id):
                if time.monotonic() > deadline:
                    raise RuntimeError(f"enrollment {enrollment_id} does not come to rest on Temporal")
                time.sleep(0.002)
            with self._world.store.transaction() as unit:
                enrollment = unit.enrollments.find(enrollment_id)
            wake_at = enrollment.wake_at if enrollment and enrollment.state == "active" else None
            if wake_at is None:
                self._timers.pop(enrollment_id, None)
            elif enrollment_id not in self._timers or self._timers[enrollment_id][0] != wake_at:
                self._timers[enrollment_id] = (wake_at, next(self._order))
        self._turns.give([])

    def close(self) -> None:
        """Ends what still runs, so that the next world's time does not pass through it."""
        self._turns.end()
        client = self._environment.client
        with self._world.store.transaction() as unit:
            alive = [
                workflow
                for enrollment_id, workflow in self._carried.items()
                if (enrollment := unit.enrollments.find(enrollment_id)) and enrollment.state == "active"
            ]
        for workflow in alive:
            self._loop.run(_terminate(client, workflow))

    def _stands_still(self, enrollment_id: str) -> bool:
        with self._world.store.transaction() as unit:
            enrollment = unit.enrollments.find(enrollment_id)
        if enrollment is None or enrollment.state == "ended":
            return True
        standing = self._loop.run(_standing(self._environment.client, self._carried[enrollment_id]))
        if standing is None or not standing.is_idle or standing.mode == "performing":
            return False
        return standing.wake_at is None or standing.wake_at > self._world.clock.now

    def _advance_server(self, moment: datetime) -> None:
        now = self._loop.run(self._environment.get_current_time())
        if moment > now:
            self._loop.run(self._environment.sleep(moment - now))


async def _standing(client: Client, workflow: str) -> Standing | None:
    """What the workflow says of itself; None while it cannot be asked (its first task has not been taken)."""
    try:
        return Standing.from_json(await client.get_workflow_handle(workflow).query("standing"))
    except RPCError:
        return None


async def _terminate(client: Client, workflow: str) -> None:
    try:
        await client.get_workflow_handle(workflow).terminate("the scenario is over")
    except RPCError:
        return  # it has come to its end by itself


class _Stage:
    """Performs for whichever world is on: workers last for the whole run, worlds for one scenario."""

    def __init__(self) -> None:
        self.engine: Engine | None = None
        self.turns = Turns()

    def perform(self, enrollment_id: str, effect: Perform, now: datetime) -> Result:
        result = self.turns.take(enrollment_id, effect)
        if result is not None:
            return result
        assert self.engine is not None
        return self.engine.performer.perform(enrollment_id, effect, now)

    def finish(self, enrollment_id: str, reason: str, now: datetime) -> None:
        assert self.engine is not None
        self.engine.performer.finish(enrollment_id, reason, now)

    def clock(self) -> datetime:
        assert self.engine is not None
        return self.engine.clock()


class TemporalDriver:
    """Plays scenarios of one project on Temporal. Use as a context manager; scenarios run one at a time."""

    def __init__(
        self,
        project: Project,
        *,
        adapters: Mapping[str, Adapter] | None = None,
        public_url: str = "https://shop.example",
        on_progress: Callable[[datetime], None] | None = None,
        keep: Path | None = None,
    ) -> None:
        """`adapters` replace the simulated providers of the channels they name; `keep` is where the last world's
        database is left, for looking at afterwards."""
        self._project = project
        self._adapters = adapters
        self._public_url = public_url
        self._on_progress = on_progress
        self._keep = keep
        self._stage = _Stage()
        self._loop = LoopThread("temporal-simulation")
        self._folder = Path(tempfile.mkdtemp(prefix="sojourn-"))
        self._running: tuple[WorkflowEnvironment, AsyncExitStack] | None = None

    def __enter__(self) -> TemporalDriver:
        template = Database(f"sqlite:///{self._folder / 'empty.db'}")
        template.migrate()
        template.close()
        return self

    def __exit__(self, *caught: object) -> None:
        self._stop_server()
        self._loop.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __call__(self, scenario: Scenario) -> Observed:
        try:
            with self.played(scenario) as (world, ended_at):
                return observe(world, ended_at)
        except RPCError as error:
            # One world's trouble is no other's: the next scenario has a server of its own.
            self._stop_server()
            raise RuntimeError(f"Temporal's test server did not answer: {error}") from error

    @contextmanager
    def played(self, scenario: Scenario) -> Iterator[tuple[World, datetime]]:
        """The world after its scenario, still open for reading."""
        path = self._folder / "world.db"
        shutil.copyfile(self._folder / "empty.db", path)
        store = Database(f"sqlite:///{path}")
        carrier: TemporalCarrier | None = None
        try:
            world = World(self._project, scenario, store, adapters=self._adapters, public_url=self._public_url)
            environment = self._environment()
            # Timers are scheduled relative to the server's present: the scenario begins a little ahead of it.
            origin = self._loop.run(environment.get_current_time()) + 2 * _BEFORE * SKIPPING_RATE
            clock = Clock(origin_server=origin, origin_engine=scenario.start, rate=SKIPPING_RATE, is_work_instant=True)
            for plan in world.engine.plans.everything:
                PLANS.put(world.engine.plans.digest(plan.journey), plan)
            gateway = Gateway(
                environment.client,
                self._loop.loop,
                project_key=SIMULATION_KEY,
                topics=self._project.topics,
                clock=clock,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            )
            self._stage.engine = world.engine
            self._stage.turns = Turns()
            carrier = TemporalCarrier(world, environment, self._loop, gateway, clock, self._stage.turns)
            yield world, play(world, carrier, self._on_progress)
        finally:
            if carrier:
                carrier.close()
            store.close()
            if self._keep:
                # Closed: SQLite has folded its log into the file.
                shutil.copyfile(path, self._keep)
            for file in self._folder.glob("world.db*"):
                file.unlink()

    def history(self, workflow: str) -> WorkflowHistory:
        """The history of one of the world's workflows, while its scenario is open."""
        return self._loop.run(self._environment().client.get_workflow_handle(workflow).fetch_history())

    def _environment(self) -> WorkflowEnvironment:
        if self._running and self._loop.run(self._running[0].get_current_time()) > _LATEST:
            self._stop_server()
        if self._running is None:
            self._running = self._loop.run(self._start_server())
        return self._running[0]

    async def _start_server(self) -> tuple[WorkflowEnvironment, AsyncExitStack]:
        stack = AsyncExitStack()
        environment = await stack.enter_async_context(time_skipping_server())
        activities = StepActivities(self._stage, self._stage.clock)
        workers = run_workers(
            environment.client, activities, self._project.channels.values(), threads=SIMULATION_THREADS
        )
        await stack.enter_async_context(workers)
        return environment, stack

    def _stop_server(self) -> None:
        if self._running:
            self._loop.run(self._running[1].aclose())
            self._running = None
