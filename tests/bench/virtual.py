"""Enrollments a second through the virtual driver, beside an empty loop over the same events.

One process is told by the processor's time: it says the same whoever else is at work on the machine.

The machine is told by the wall, twice. The driver on every processor: in each a process that plays people of its own,
from the moment at which all have declared theirs to the end of the last. And `sojourn backtest` as a whole: processes
started, a file read, people declared and shared out, the results united.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path
from time import monotonic, perf_counter, process_time
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from engine.project import Project
from engine.rendering.renderer import Renderer
from engine.simulator.backtest import Draft
from engine.simulator.backtest_rows import Recording
from engine.simulator.backtest_survey import survey
from engine.simulator.scenario import Consented, Expected, Person, Row, Scenario, Tracked
from engine.simulator.timeline import play
from engine.simulator.virtual import VirtualCarrier
from engine.simulator.world import World
from engine.storage.memory import MemoryStore
from workers.bootstrap import open_project
from workers.cli.shares import play_shares

if TYPE_CHECKING:
    from multiprocessing.queues import SimpleQueue
    from multiprocessing.synchronize import Barrier

ROOT = Path(__file__).parents[2]
PEOPLE = 2_000
#: Enough for the start of a process to be paid back.
PEOPLE_OF_THE_MACHINE = 20_000
START = datetime(2026, 3, 2, 8, tzinfo=UTC)
#: By then every enrollment has come to its end.
SETTLED = timedelta(days=2)


def main(people: int = PEOPLE, people_of_the_machine: int = PEOPLE_OF_THE_MACHINE) -> dict[str, float]:
    """Plays a cart a person, every other of which is ordered within the hour; prints and returns the figures."""
    project = open_project(ROOT)
    figures = _empty_loop(people)
    for name, keeps_bodies in (("whole", True), ("bodies_dropped", False)):
        figures |= _one_process(project, people, name, keeps_bodies, figures["empty_loop_seconds"])
    figures |= _every_processor(people_of_the_machine)
    return figures | _machine(project, people_of_the_machine)


def _empty_loop(people: int) -> dict[str, float]:
    began = process_time()
    events = sum(1 for _ in _rows(people))
    return {"events": events, "empty_loop_seconds": process_time() - began}


def _one_process(project: Project, people: int, name: str, keeps_bodies: bool, empty: float) -> dict[str, float]:
    world = _TimedWorld(
        project, _scenario(people), MemoryStore(), renderer=Renderer(project, keeps_bodies=keeps_bodies)
    )
    began, began_by_the_wall = process_time(), perf_counter()
    play(world, VirtualCarrier(world.engine, world.clock), rows=_rows(people))
    seconds, by_the_wall = process_time() - began, perf_counter() - began_by_the_wall
    with world.store.transaction() as unit:
        enrollments, messages = len(unit.enrollments.of()), len(unit.deliveries.of(status="sent"))
    print(
        f"abandoned_cart, one process, {name.replace('_', ' ')}: {enrollments:,} enrollments and {messages:,} messages "
        f"in {seconds:.2f} s of the processor: {enrollments / seconds:,.0f} a second "
        f"({enrollments / (seconds - world.begun_in):,.0f} once the people are declared, "
        f"{enrollments / by_the_wall:,.0f} by the wall), {seconds / empty:,.0f} times the empty loop"
    )
    return {
        f"{name}_enrollments_per_cpu_second": enrollments / seconds,
        f"{name}_enrollments_per_cpu_second_once_begun": enrollments / (seconds - world.begun_in),
        f"{name}_enrollments_per_second": enrollments / by_the_wall,
        f"{name}_times_the_empty_loop": seconds / empty,
    }


def _every_processor(people: int) -> dict[str, float]:
    """The driver alone, on all processors at once."""
    processes = os.cpu_count() or 1
    context = get_context("spawn")
    barrier, answers = context.Barrier(processes), context.SimpleQueue()
    shares = [
        context.Process(target=_play_beside, args=(people // processes, barrier, answers)) for _ in range(processes)
    ]
    for share in shares:
        share.start()
    played = [answers.get() for _ in shares]
    for share in shares:
        share.join()
    seconds = max(ended for _, _, ended in played) - min(began for _, began, _ in played)
    enrollments = sum(count for count, _, _ in played)
    print(
        f"abandoned_cart, the driver on every processor ({processes} processes), bodies dropped: {enrollments:,} "
        f"enrollments in {seconds:.2f} s by the wall: {enrollments / seconds:,.0f} a second"
    )
    return {"driver_enrollments_per_second": enrollments / seconds}


def _play_beside(people: int, barrier: Barrier, answers: SimpleQueue[tuple[int, float, float]]) -> None:
    project = open_project(ROOT)
    world = _TimedWorld(
        project, _scenario(people), MemoryStore(), renderer=Renderer(project, keeps_bodies=False), barrier=barrier
    )
    play(world, VirtualCarrier(world.engine, world.clock), rows=_rows(people))
    # One clock for all processes of a machine.
    ended = monotonic()
    with world.store.transaction() as unit:
        answers.put((len(unit.enrollments.of()), world.begun_at, ended))


def _machine(project: Project, people: int) -> dict[str, float]:
    processes = os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as folder:
        recording = _recorded(people, Path(folder))
        seen = survey(recording)
        draft = Draft(project=project, journey="abandoned_cart", people={each.person: each for each in _people(people)})
        began, began_by_the_wall = _processors_time(), perf_counter()
        ran = play_shares(draft, recording, seen, "the machine", processes)
        seconds, by_the_wall = _processors_time() - began, perf_counter() - began_by_the_wall
    print(
        f"abandoned_cart, a whole backtest ({processes} processes), bodies dropped: {ran.enrollments:,} enrollments, "
        f"{len(ran.messages):,} messages in {by_the_wall:.2f} s by the wall: "
        f"{ran.enrollments / by_the_wall:,.0f} a second ({seconds:.2f} s of the processors)"
    )
    return {
        "machine_enrollments_per_second": ran.enrollments / by_the_wall,
        "machine_enrollments_per_cpu_second": ran.enrollments / seconds,
    }


def _processors_time() -> float:
    """Seconds of the processors, of this process and of those that it started and that have ended."""
    return sum(os.times()[:4])


def _recorded(people: int, folder: Path) -> Recording:
    """The same events as a file, and one long after them: a backtest's clock stops with the last."""
    path = folder / "events.jsonl"
    last = _row(START + timedelta(seconds=people) + SETTLED, 0, "Page Viewed", {})
    with path.open("w") as file:
        for row in (*_rows(people), last):
            assert isinstance(row.action, Tracked)
            written = {
                "user_id": row.action.person,
                "event": row.action.event,
                "timestamp": row.at.isoformat(),
                "properties": row.action.properties,
            }
            file.write(json.dumps(written) + "\n")
    return Recording(path=path, zone=ZoneInfo("UTC"))


class _TimedWorld(World):
    """Tells what declaring its people took, which no enrollment is part of, and then waits for the others."""

    begun_in = begun_at = 0.0

    def __init__(self, *given: Any, barrier: Barrier | None = None, **named: Any) -> None:
        super().__init__(*given, **named)
        self._barrier = barrier

    def begin(self) -> None:
        began = process_time()
        super().begin()
        self.begun_in = process_time() - began
        if self._barrier is not None:
            self._barrier.wait()
        self.begun_at = monotonic()


def _people(count: int) -> tuple[Person, ...]:
    consents = (Consented(channel="email", topic="cart"),)
    return tuple(
        Person(person=f"p{number}", email=f"p{number}@example.com", consents=consents) for number in range(count)
    )


def _scenario(people: int) -> Scenario:
    return Scenario(
        name="bench",
        file="bench",
        line=1,
        start=START,
        journeys=("abandoned_cart",),
        people=_people(people),
        rows=(),
        until=None,
        answers={},
        forced_holdout=(),
        forced_split={},
        expected=Expected(),
    )


def _rows(people: int) -> Iterator[Row]:
    """A cart a second; half an hour after it the order of every other one."""
    delay = 1800
    for second in range(people + delay):
        at = START + timedelta(seconds=second)
        if second < people:
            yield _row(at, second, "Cart Updated", {"cart_id": f"c{second}", "total": 80, "items": []})
        ordered = second - delay
        if ordered >= 0 and ordered % 2 == 0:
            yield _row(
                at, ordered, "Order Completed", {"cart_id": f"c{ordered}", "order_id": f"o{ordered}", "total": 80}
            )


def _row(at: datetime, person: int, event: str, properties: dict[str, object]) -> Row:
    action = Tracked(person=f"p{person}", event=event, properties=properties, timestamp=at, message_id=None)
    return Row(at=at, line=1, action=action)


if __name__ == "__main__":
    main()
