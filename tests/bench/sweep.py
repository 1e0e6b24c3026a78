"""What a sweep costs when nothing is due, however much will be, and what a row costs that is due.

On SQLite in a file, by the processor's time.
"""

from __future__ import annotations

import tempfile
from datetime import timedelta
from pathlib import Path
from time import process_time

from engine.events.model import Due
from engine.plan.model import InactiveTrigger
from engine.storage.database import Database
from tests.factories import NOW, Shop, after, plan, wait

DUES = 100_000
SWEEPS = 200
LAPSES = 300


def main(dues: int = DUES) -> dict[str, float]:
    """Prints and returns milliseconds of the processor: an empty sweep without and with dues, and a row that fires."""
    journey = plan(wait(days=1), triggers=(InactiveTrigger(event=None, for_seconds=86_400),))
    with tempfile.TemporaryDirectory() as folder:
        store = Database(f"sqlite:///{Path(folder) / 'bench.db'}")
        store.migrate()
        shop = Shop(store, journey).open()
        figures = {"empty_ms": _empty(shop)}
        with store.transaction() as unit:
            for number in range(dues):
                unit.dues.put(
                    Due(
                        kind="inactive",
                        profile_id=f"p{number}",
                        subject="cart#0",
                        due_at=NOW + timedelta(days=900, seconds=number),
                    )
                )
        figures["empty_among_dues_ms"] = _empty(shop)
        figures["fired_row_ms"] = _fired(shop)
        store.close()
    print(f"an empty sweep: {figures['empty_ms']:.2f} ms; among {dues:,} dues: {figures['empty_among_dues_ms']:.2f} ms")
    print(f"a row that fires, with the entry that comes of it: {figures['fired_row_ms']:.2f} ms")
    return figures


def _empty(shop: Shop) -> float:
    began = process_time()
    for _ in range(SWEEPS):
        assert shop.engine.sweeper.sweep(shop.now) == 0
    return (process_time() - began) / SWEEPS * 1000


def _fired(shop: Shop) -> float:
    for number in range(LAPSES):
        shop.person(f"q{number}")
        shop.track("Page Viewed", f"q{number}")
    shop.engine.router.route_all(shop.now)
    shop.now = after(days=2)
    began = process_time()
    fired = shop.engine.sweeper.sweep(shop.now)
    seconds = process_time() - began
    assert fired == LAPSES
    return seconds / fired * 1000


if __name__ == "__main__":
    main()
