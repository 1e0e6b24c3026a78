"""A worker may die at any call of the store in any step: the step is performed again, and has its effect once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from engine.plan.effects import Perform, Result
from engine.plan.model import ApiTrigger, Arm, Branch, Call, Emit, ExitStep, Set, Side, Split, Start
from engine.storage.memory import MemoryStore
from engine.store import Store
from tests.factories import Crashed, CrashingStore, ScriptedProvider, Shop, after, plan, send, wait

#: A way through every kind of step; the score shows how often anything was added.
JOURNEY = plan(
    Set(step_id="add", values={"score": "= coalesce(profile.score, 0) + 10"}),
    Emit(step_id="tell", event="Scored", values={"score": "= profile.score"}),
    Start(step_id="begin", journey="other"),
    Split(step_id="ab", sides=(Side(name="A", weight=1, first="ask"),)),
    Call(step_id="ask", url="https://crm.example", save={"tier": "tier"}),
    Branch(step_id="gold", arms=(Arm(condition='profile.tier == "gold"', then="pause"),), otherwise="bye"),
    wait("pause", hours=1),
    send(),
    ExitStep(step_id="bye", reason="done"),
)
OTHER = plan(wait(days=1), journey="other", triggers=(ApiTrigger(),))


class Mortal:
    """A performer whose worker dies once, at the n-th call of its store, and is replaced, as Temporal replaces it."""

    def __init__(self, shop: Shop, store: Store, crash_at: int) -> None:
        self._sound = shop.engine.performer
        self._dying = shop.on(CrashingStore(store, crash_at=crash_at))
        self._dying.engine.performer._caller = shop.caller
        self.has_died = False

    def perform(self, enrollment_id: str, effect: Perform, now: datetime) -> Result:
        return self._twice(lambda performer: performer.perform(enrollment_id, effect, now))

    def finish(self, enrollment_id: str, reason: str, now: datetime) -> None:
        self._twice(lambda performer: performer.finish(enrollment_id, reason, now))

    def _twice(self, work: Callable[[Any], Any]) -> Any:
        if self.has_died:
            return work(self._sound)
        try:
            return work(self._dying.engine.performer)
        except Crashed:
            self.has_died = True
            return work(self._sound)


def walk(store: Store, crash_at: int | None, person: str = "ana") -> tuple[dict[str, Any], bool]:
    """What one person's way came to, and whether a worker died on it."""
    provider = ScriptedProvider("email", has_idempotency=True)
    shop = Shop(store, JOURNEY, OTHER, providers={"email": provider}).open()
    shop.caller.answer = {"tier": "gold"}
    shop.person(person)
    mortal = Mortal(shop, store, crash_at or 10**9)
    shop.engine.performer = mortal  # type: ignore[assignment]
    shop.track("Cart Updated", person)
    shop.run_until(after(hours=2))
    with store.transaction() as unit:
        profile = unit.profiles.find(shop.id_of(person))
        emitted = [event.properties for event in unit.events.of(shop.id_of(person), "Scored")]
    assert profile is not None
    came = {
        "attributes": dict(profile.attributes),
        "emitted": emitted,
        "enrollments": [(each.journey, each.number, each.state, each.reason) for each in shop.enrollments(person)],
        "refused": shop.refusals(person),
        "deliveries": [(each.status, each.sent_at) for each in shop.deliveries(person)],
        "received": len(shop.received),
        "outcomes": shop.outcomes(person),
    }
    return came, mortal.has_died


def test_every_step_has_its_effect_once_wherever_its_worker_died() -> None:
    expected, _ = walk(MemoryStore(), None)
    assert expected["attributes"] == {"score": 10, "tier": "gold"}
    assert expected["enrollments"] == [("cart", 1, "ended", "done"), ("other", 1, "active", None)]
    assert expected["received"] == 1
    place, has_died = 0, True
    while has_died:
        place += 1
        came, has_died = walk(MemoryStore(), place)
        assert came == expected, place
    assert place > 100


@pytest.mark.parametrize("part", range(5))
def test_and_on_the_databases(any_store: Store, part: int) -> None:
    expected, _ = walk(MemoryStore(), None)
    came, has_died = walk(any_store, 17 + 23 * part)
    assert came == expected
    assert has_died
