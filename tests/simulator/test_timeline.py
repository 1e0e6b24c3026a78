"""When a scenario ends, and in which order things of one instant happen."""

from __future__ import annotations

import gc
import weakref
from datetime import timedelta

from engine.language.diagnostics import Problems
from engine.plan.model import Awaited, EventExit, InactiveTrigger, Plan, Repeat, WaitFor
from engine.simulator.observed import Observed
from engine.simulator.reading import read_scenarios
from engine.simulator.runner import run_scenarios, virtual_driver
from engine.simulator.timeline import play
from engine.simulator.virtual import VirtualCarrier
from engine.simulator.world import World
from engine.storage.memory import MemoryStore
from tests.factories import NOW, after, plan, project, send, wait


def played(text: str, *plans: Plan) -> Observed:
    shop, problems = project(*plans), Problems()
    head = "scenario: one\nstart: 2026-03-02T10:00:00Z\n"
    people = "profiles: [{id: ana, email: ana@example.com, consents: [{channel: email, topic: news}]}]\n"
    (scenario,) = read_scenarios("t.yml", f"{head}{people}{text}\nexpect: {{}}\n".encode(), shop, problems)
    assert problems.sorted() == []
    (verdict,) = run_scenarios([scenario], virtual_driver(shop))
    assert verdict.problem is None
    assert verdict.observed is not None
    return verdict.observed


CART = "events: [{at: 0m, profile: ana, event: Cart Updated}]"


def test_it_ends_when_nothing_is_pending_any_more() -> None:
    assert played(CART, plan(wait(days=3), send())).ended_at == after(days=3)
    assert played("", plan(wait(days=3))).ended_at == NOW


def test_it_ends_at_until_where_that_is_said() -> None:
    came = played(f"{CART}\nuntil: 2d", plan(wait(days=3), send()))
    assert (came.ended_at, came.messages) == (after(days=2), ())
    assert played("until: 2d", plan(wait(days=3))).ended_at == after(days=2)


def test_until_is_part_of_it() -> None:
    assert len(played(f"{CART}\nuntil: 3d", plan(wait(days=3), send())).messages) == 1


def test_a_wait_without_end_is_nothing_pending() -> None:
    forever = WaitFor(step_id="forever", alternatives=(Awaited(event="Never"),))
    came = played(CART, plan(forever))
    assert came.ended_at == NOW
    assert came.enrollments[0]["state"] == "active"


def test_a_lapse_to_come_is_waited_for() -> None:
    lapse = plan(send(), journey="lapse", triggers=(InactiveTrigger(event=None, for_seconds=30 * 86_400),))
    assert [row["at"] for row in played(CART, lapse).messages] == [after(days=30)]


def test_it_ends_after_400_days_at_the_latest() -> None:
    loop = Repeat(step_id="loop", times=1000, body="hello", every_seconds=30 * 86_400)
    came = played(CART, plan(loop, send(next="loop")))
    assert came.ended_at == after(days=390)
    assert len(came.messages) == 14


def test_what_comes_in_at_an_instant_comes_before_what_falls_due_at_it() -> None:
    rows = "events: [{at: 0m, profile: ana, event: Cart Updated}, {at: 1h, profile: ana, event: Order Completed}]"
    came = played(rows, plan(wait(hours=1), send(), exits=(EventExit(event="Order Completed"),)))
    assert came.messages == ()
    assert [(row["reason"], row["at"]) for row in came.enrollments] == [("exit", after(hours=1))]


def test_rows_before_the_start_are_history_and_bring_nothing_about() -> None:
    came = played("events: [{at: -1h, profile: ana, event: Cart Updated}]", plan(wait(hours=2), send()))
    assert (came.messages, came.enrollments, came.entries_refused) == ((), (), ())


def test_an_outage_lasts_as_long_as_it_is_said_to() -> None:
    rows = "events: [{at: 0m, provider: email, fails: outage, for: 31s}, {at: 0m, profile: ana, event: Cart Updated}]"
    assert [row["at"] - NOW for row in played(rows, plan(send())).messages] == [timedelta(seconds=90)]


def test_a_world_that_nobody_has_any_more_is_gone_without_a_search_for_garbage() -> None:
    shop, problems = project(plan(wait(days=3), send())), Problems()
    (scenario,) = read_scenarios(
        "t.yml", f"scenario: one\nstart: {NOW.isoformat()}\n{CART}\nexpect: {{}}\n".encode(), shop, problems
    )
    world = World(shop, scenario, MemoryStore())
    play(world, VirtualCarrier(world.engine, world.clock))
    assert gc.isenabled()
    gc.disable()
    try:
        store = weakref.ref(world.store)
        del world
        assert store() is None
    finally:
        gc.enable()
