"""Enrollments a second through the virtual driver, beside an empty loop over the same events.

By the processor's time first: it says the same whoever else is at work on the machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter, process_time

from engine.rendering.renderer import Renderer
from engine.simulator.scenario import Consented, Expected, Person, Row, Scenario, Tracked
from engine.simulator.timeline import play
from engine.simulator.virtual import VirtualCarrier
from engine.simulator.world import World
from engine.storage.memory import MemoryStore
from workers.bootstrap import open_project

ROOT = Path(__file__).parents[2]
PEOPLE = 2000
START = datetime(2026, 3, 2, 8, tzinfo=UTC)


def main(people: int = PEOPLE) -> dict[str, float]:
    """Plays a cart a person, every other of which is ordered within the hour; prints and returns the figures."""
    project = open_project(ROOT)
    began = process_time()
    events = sum(1 for _ in _rows(people))
    empty = process_time() - began
    figures: dict[str, float] = {"events": events, "empty_loop_seconds": empty}
    for name, keeps_bodies in (("whole", True), ("bodies_dropped", False)):
        world = _TimedWorld(
            project, _scenario(people), MemoryStore(), renderer=Renderer(project, keeps_bodies=keeps_bodies)
        )
        began, began_by_the_wall = process_time(), perf_counter()
        play(world, VirtualCarrier(world.engine, world.clock), rows=_rows(people))
        seconds, by_the_wall = process_time() - began, perf_counter() - began_by_the_wall
        with world.store.transaction() as unit:
            enrollments, messages = len(unit.enrollments.of()), len(unit.deliveries.of(status="sent"))
        figures[f"{name}_enrollments_per_cpu_second"] = enrollments / seconds
        figures[f"{name}_enrollments_per_cpu_second_once_begun"] = enrollments / (seconds - world.begun_in)
        figures[f"{name}_enrollments_per_second"] = enrollments / by_the_wall
        figures[f"{name}_times_the_empty_loop"] = seconds / empty
        print(
            f"abandoned_cart, {name.replace('_', ' ')}: {enrollments:,} enrollments and {messages:,} messages "
            f"in {seconds:.2f} s of the processor: {enrollments / seconds:,.0f} a second "
            f"({enrollments / (seconds - world.begun_in):,.0f} once the people are declared, "
            f"{enrollments / by_the_wall:,.0f} by the wall), {seconds / empty:,.0f} times the empty loop"
        )
    return figures


class _TimedWorld(World):
    """Tells what declaring its people took, which no enrollment is part of."""

    begun_in = 0.0

    def begin(self) -> None:
        began = process_time()
        super().begin()
        self.begun_in = process_time() - began


def _scenario(people: int) -> Scenario:
    consents = (Consented(channel="email", topic="cart"),)
    return Scenario(
        name="bench",
        file="bench",
        line=1,
        start=START,
        journeys=("abandoned_cart",),
        people=tuple(
            Person(person=f"p{number}", email=f"p{number}@example.com", consents=consents) for number in range(people)
        ),
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
