"""What a message costs on PostgreSQL is counted in questions to the server: half of the time is their way."""

from __future__ import annotations

from pathlib import Path

from engine.plan.effects import Sent
from engine.plan.model import EventExit
from engine.project import Cap
from engine.storage.database import Database
from tests.factories import Shop, plan, send
from tests.storage.wire import round_trips


def test_a_message_takes_so_many_round_trips_and_no_more(postgres_url: str, tmp_path: Path) -> None:
    """A marketing message under a cap, from a journey that two events end."""
    exits = (EventExit(event="Order Completed", reason="bought"), EventExit(event="Cart Emptied", reason="emptied"))
    database = Database(postgres_url)
    shop = Shop(database, plan(send(), exits=exits), caps=[Cap(at_most=3, per_seconds=86_400)]).open()
    shop.person()
    enrolled = shop.enrolled()
    # Whose enrollment it is; under the lock, it and the person; what ends it; what the gate asks; the claim. Then what
    # there is, under the lock again; and what came of it.
    with round_trips(database, tmp_path) as trips:
        assert shop.perform(enrolled) == Sent(outcome="sent")
    assert len(trips) <= 7
    database.close()
