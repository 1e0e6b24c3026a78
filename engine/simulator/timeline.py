"""One timeline for every driver: at each instant what comes in, then what sweeps find, then what falls due.

The carrier is the only difference between virtual time and Temporal: it runs the interpreters and knows their timers.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Protocol

from engine.enrollment.carrier import Carrier
from engine.simulator.scenario import LONGEST, Row
from engine.simulator.world import World

#: Nothing that works settles in more rounds at one instant; what does not is a cycle that makes no time pass.
_MOST_ROUNDS = 1000


class SimulatedCarrier(Carrier, Protocol):
    """A carrier whose time is moved by the timeline."""

    def approach(self, moment: datetime) -> None:
        """Time goes on to `moment`, but what falls due at it has not fallen due yet."""
        ...

    def next_wake_at(self) -> datetime | None:
        """The earliest timer of anybody, or None."""
        ...

    def wake(self, moment: datetime) -> bool:
        """Lets what falls due by `moment` fall due; False where nothing did."""
        ...

    def settle(self) -> bool:
        """Carries everything delivered as far as it goes at this instant; False where nothing was to be done."""
        ...


def play(
    world: World,
    carrier: SimulatedCarrier,
    on_progress: Callable[[datetime], None] | None = None,
    rows: Iterable[Row] | None = None,
) -> datetime:
    """Plays the world's scenario to its end; the instant at which it ended.

    The end is `until`, else when nothing is pending any more, after 400 days at the latest. `rows` are read as time
    goes on, in place of the scenario's own: by time, none before the start.
    """
    with _uncollected():
        return _play(world, carrier, on_progress, rows)


def _play(
    world: World,
    carrier: SimulatedCarrier,
    on_progress: Callable[[datetime], None] | None,
    rows: Iterable[Row] | None,
) -> datetime:
    world.begin()
    end = world.scenario.until or world.scenario.start + LONGEST
    coming = iter(rows if rows is not None else (row for row in world.scenario.rows if row.at >= world.scenario.start))
    upcoming = next(coming, None)
    while True:
        moments = [world.engine.sweeper.next_at(), carrier.next_wake_at(), _next_stimulus(world)]
        if upcoming:
            moments.append(upcoming.at)
        pending = [moment for moment in moments if moment is not None]
        moment = max(min(pending), world.clock.now) if pending else None
        if moment is None or moment > end:
            break
        if on_progress:
            on_progress(moment)
        carrier.approach(moment)
        world.clock.now = moment
        if upcoming is None or upcoming.at != moment:
            _settle(world, carrier, moment)
        while upcoming and upcoming.at == moment:
            world.apply(upcoming)
            _settle(world, carrier, moment)
            upcoming = next(coming, None)
        if world.engine.sweeper.sweep(moment):
            _settle(world, carrier, moment)
        while carrier.wake(moment):
            _settle(world, carrier, moment)
    if world.scenario.until:
        carrier.approach(end)
        world.clock.now = end
    return world.clock.now


@contextmanager
def _uncollected() -> Iterator[None]:
    """Whatever a world makes, its store keeps, and what it drops goes by itself: to search it for garbage, meanwhile or
    as so much that is young at the end, would cost a tenth of the play and find nothing."""
    is_collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        # All of it is old now, without having been looked through.
        gc.freeze()
        gc.unfreeze()
        if is_collecting:
            gc.enable()


def _settle(world: World, carrier: SimulatedCarrier, now: datetime) -> None:
    """Routes, delivers and carries until nothing at this instant is left to do."""
    for _ in range(_MOST_ROUNDS):
        routed = world.engine.router.route_all(now)
        delivered = world.engine.courier.deliver_due(carrier, now)
        if not (carrier.settle() or routed or delivered):
            return
    raise RuntimeError(f"the world does not settle at {now.isoformat()}: journeys start each other without end")


def _next_stimulus(world: World) -> datetime | None:
    with world.store.transaction() as unit:
        return unit.queue.next_stimulus_at()
