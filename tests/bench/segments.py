"""A segment over 100,000 people with 10 events each, against the same question in SQL by hand."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import insert, text

from engine.enrollment.facts import FactsSource
from engine.project import Project, Segment
from engine.storage.database import Database
from engine.storage.segments.members import count, members
from engine.storage.sql.unit import SqlUnit
from engine.storage.tables import events, profiles
from tests.postgres_server import running_server

PEOPLE, EVENTS, ROUNDS = 100_000, 10, 5
NOW = datetime(2026, 3, 2, 11, 0, tzinfo=UTC)
DAY = timedelta(days=1)
CONDITION = 'sum("Order Completed", "total", within="90d") >= 500'
#: What the language says by the way: nobody who was erased, and only what came in as a number.
_BY_HAND = {
    "sqlite": """
        SELECT e.profile_id FROM events e JOIN profiles p ON p.profile_id = e.profile_id AND p.erased_at IS NULL
        WHERE e.name = 'Order Completed' AND e.timestamp <= :now AND e.timestamp > :start
        GROUP BY e.profile_id
        HAVING sum(CASE WHEN json_type(e.properties, '$.total') IN ('integer', 'real')
                        THEN json_extract(e.properties, '$.total') END) >= 500
    """,
    "postgresql": """
        SELECT e.profile_id FROM events e JOIN profiles p ON p.profile_id = e.profile_id AND p.erased_at IS NULL
        WHERE e.name = 'Order Completed' AND e.timestamp <= :now AND e.timestamp > :start
        GROUP BY e.profile_id
        HAVING sum(CASE WHEN json_typeof(e.properties -> 'total') = 'number'
                        THEN (e.properties ->> 'total')::float8 END) >= 500
    """,
}
_NAMES = ("Order Completed", "Order Completed", "Order Completed", "Page Viewed", "Page Viewed", "Cart Updated")


def main() -> None:
    project = Project(
        name="bench",
        root=Path(),
        timezone="Europe/Madrid",
        locale="en",
        database="sqlite://",
        segments={"vip": Segment(name="vip", title="Best customers", condition=CONDITION)},
    )
    with tempfile.TemporaryDirectory() as folder, running_server() as socket_folder:
        for url in (f"sqlite:///{folder}/bench.db", f"postgresql://postgres@/postgres?host={socket_folder}"):
            _measure(url, project)


def _measure(url: str, project: Project) -> None:
    source = FactsSource(project=project, project_key=b"k" * 32)
    database = Database(url)
    database.migrate()
    with database.transaction() as unit:
        assert isinstance(unit, SqlUnit)
        _fill(unit)
    with database.transaction() as unit:
        assert isinstance(unit, SqlUnit)
        connection = unit.connection
        name = connection.dialect.name
        connection.execute(text("ANALYZE"))
        start = NOW - 90 * DAY
        bounds = (
            {"now": NOW, "start": start} if name == "postgresql" else {"now": _micros(NOW), "start": _micros(start)}
        )

        def listed_by_hand() -> list[str]:
            # As `members` reads: by a cursor, which on PostgreSQL rules out parallel workers.
            ordered = text(f"{_BY_HAND[name]} ORDER BY e.profile_id")
            with connection.execute(ordered, bounds, execution_options={"yield_per": 1_000}) as rows:
                return list(rows.scalars())

        def counted_by_hand() -> int:
            return connection.execute(text(f"SELECT count(*) FROM ({_BY_HAND[name]}) m"), bounds).scalar_one()

        def listed() -> list[str]:
            return list(members(unit, project, "vip", NOW, facts_source=source))

        def counted() -> int:
            return count(unit, project, "vip", NOW, facts_source=source)

        found = listed_by_hand()
        assert listed() == found
        assert counted() == counted_by_hand() == len(found)
        print(f"{name:<11} {PEOPLE:,} people, {EVENTS} events each, {len(found):,} members:", end=" ")
        print(_compared("members", listed, listed_by_hand), _compared("count", counted, counted_by_hand), sep="; ")
    database.close()


def _compared(what: str, run: Callable[[], object], by_hand: Callable[[], object]) -> str:
    taken, hand = _median(run), _median(by_hand)
    return f"{what} {taken:.2f} s, by hand {hand:.2f} s (x{taken / hand:.1f})"


def _median(run: Callable[[], object]) -> float:
    def once() -> float:
        begin = time.perf_counter()
        run()
        return time.perf_counter() - begin

    return statistics.median(once() for _ in range(ROUNDS))


def _micros(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def _fill(unit: SqlUnit) -> None:
    for batch in _batches():
        unit.connection.execute(
            insert(profiles),
            [
                {"profile_id": f"p{number:06}", "chat": {}, "attributes": {"plan": "pro"}, "created_at": NOW}
                for number in batch
            ],
        )
        unit.connection.execute(insert(events), [_event(number, index) for number in batch for index in range(EVENTS)])


def _event(number: int, index: int) -> dict[str, object]:
    # Spread without chance: every run asks the same question.
    spread = (number * 7919 + index * 104_729) % 100_003
    at = NOW - (spread % 180) * DAY
    return {
        "event_id": f"v{number}-{index}",
        "profile_id": f"p{number:06}",
        "name": _NAMES[spread % len(_NAMES)],
        "timestamp": at,
        "received_at": at,
        "properties": {
            "order_id": f"o{spread}",
            "cart_id": f"c{number}",
            "total": (spread % 30_000) / 100,
            "currency": "EUR",
        },
        "source": "intake",
        "is_clamped": False,
    }


def _batches() -> Iterator[range]:
    for start in range(0, PEOPLE, 2_000):
        yield range(start, start + 2_000)
