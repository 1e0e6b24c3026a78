"""One definition, three executions: memory, SQLite and PostgreSQL name the same people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.dialects import postgresql, sqlite

from engine.enrollment.facts import FactsSource, StoreFacts
from engine.profiles.model import Profile
from engine.storage.database import Database
from engine.storage.memory import MemoryStore
from engine.storage.segments.compiler import compile_segment
from engine.storage.segments.members import count, external_ids, members
from engine.storage.segments.verdicts import AtLeast, Exact, Unknown, Verdict
from engine.storage.sql.unit import SqlUnit
from engine.store import Store, Unit
from tests.expressions.facts_of import NOON
from tests.parity.population import NOWS, Person, expressions, people, project_of, source_of
from tests.storage import records

_PEOPLE, _EXPRESSIONS = 16, 25
_WORDS = {Exact: "expressions exact in SQL", AtLeast: "expressions narrowed", Unknown: "expressions all in memory"}
_MANY_EVENTS = """
    INSERT INTO events (event_id, profile_id, name, timestamp, received_at, properties, source, is_clamped)
    SELECT 'v' || n, 'p' || n % 100, 'S', '2026-03-01 12:00Z', '2026-03-01 12:00Z', '{"x": 1}', 'intake', false
    FROM generate_series(1, 5000) AS n
"""


class _Undo(Exception):
    pass


@contextmanager
def holding(store: Store, population: list[Person]) -> Iterator[Unit]:
    """A transaction over a store that holds these people, until it ends."""
    with suppress(_Undo), store.transaction() as unit:
        for person in population:
            person.save(unit)
        yield unit
        raise _Undo


@pytest.fixture(scope="session")
def depth(pytestconfig: pytest.Config) -> int:
    return int(pytestconfig.getoption("parity_examples"))


@pytest.fixture
def databases(sqlite_url: str, postgres_url: str) -> Iterator[list[Database]]:
    opened = [Database(sqlite_url), Database(postgres_url)]
    yield opened
    for database in opened:
        database.close()


@dataclass(frozen=True, kw_only=True)
class Counting(FactsSource):
    """Counts how often memory is asked about a person."""

    asked: list[str] = field(default_factory=list)

    def of(self, unit: Unit, profile: Profile, now: datetime, **others: Any) -> StoreFacts:
        self.asked.append(profile.profile_id)
        return FactsSource.of(self, unit, profile, now, **others)


def test_memory_sqlite_and_postgresql_name_the_same_members(
    databases: list[Database], depth: int, tally: Counter[str]
) -> None:
    @settings(
        max_examples=max(1, depth // (_PEOPLE * _EXPRESSIONS)),
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
        # Making an example smaller takes minutes; a disagreement names one person and one expression as it is.
        phases=[Phase.generate],
    )
    @given(st.data())
    def agree(data: st.DataObject) -> None:
        now = data.draw(st.sampled_from(NOWS))
        population = [data.draw(people(number, now)) for number in range(_PEOPLE)]
        conditions = {f"s{number}": data.draw(expressions()) for number in range(_EXPRESSIONS)}
        project = project_of(conditions)
        source = source_of(project)
        with holding(MemoryStore(), population) as unit:
            expected = {name: list(members(unit, project, name, now, facts_source=source)) for name in conditions}
        living = [person for person in population if person.profile.erased_at is None]
        for database in databases:
            counting = Counting(project=project, project_key=source.project_key)
            with holding(database, population) as unit:
                for name, text in conditions.items():
                    found = list(members(unit, project, name, now, facts_source=counting))
                    wrong = set(found) ^ set(expected[name])
                    assert not wrong, _described(text, database, population, min(wrong), now)
                    assert found == expected[name]
            tally["people finished in memory"] += len(counting.asked)
            tally["people decided by a database"] += len(living) * len(conditions) - len(counting.asked)
        for name in conditions:
            verdict = compile_segment(project, name, now, "postgresql").verdict
            tally[_WORDS[type(verdict)]] += 1
        tally["(person, expression) pairs"] += len(population) * len(conditions)

    agree()


def _described(text: str, database: Database, population: list[Person], profile_id: str, now: datetime) -> str:
    person = next(person for person in population if person.profile.profile_id == profile_id)
    return f"{database.name} says otherwise than memory\n  of: {text}\n  at: {now}\n  for: {person}"


@pytest.mark.parametrize(
    ("condition", "kind"),
    [
        ('did("S") and not enrolled("j")', Exact),
        ('sum("S", "x") >= 500', AtLeast),
        ('bucket("x") < 5000', Unknown),
        ('consent("email", "orders")', Exact),
        ("profile.n > 1 and hour(now) == 12", AtLeast),
    ],
)
def test_a_count_is_as_many_as_there_are_members(database: Database, condition: str, kind: type[Verdict]) -> None:
    """Whether the database counts alone, memory finishes, or memory counts alone."""
    project = project_of({"s": condition})
    source = source_of(project)
    population = [
        Person(
            profile=records.profile(f"p{number}", email=f"{number}@shop.example", attributes={"n": number}),
            events=[
                records.event(f"v{number}-{index}", profile_id=f"p{number}", name="S", properties={"x": 100.5 * number})
                for index in range(number)
            ],
        )
        for number in range(5)
    ]
    assert isinstance(compile_segment(project, "s", NOON, "sqlite").verdict, kind)
    with holding(MemoryStore(), population) as unit:
        expected = list(members(unit, project, "s", NOON, facts_source=source))
        assert count(unit, project, "s", NOON, facts_source=source) == len(expected) > 0
    with holding(database, population) as unit:
        assert list(members(unit, project, "s", NOON, facts_source=source)) == expected
        assert count(unit, project, "s", NOON, facts_source=source) == len(expected)


def test_only_those_are_finished_in_memory_of_whom_the_database_cannot_tell(database: Database) -> None:
    """Ten times 0.1 is 1 in memory; in a database it comes close, so that one person is asked about there."""
    project = project_of({"s": 'sum("S", "x") >= 1'})
    source = Counting(project=project, project_key=b"k" * 32)
    amounts = {"far": [0.1] * 3, "close": [0.1] * 10, "whole": [1], "over": [0.7, 0.7]}
    population = [
        Person(
            profile=records.profile(who),
            events=[
                records.event(f"{who}{index}", profile_id=who, name="S", properties={"x": amount})
                for index, amount in enumerate(given)
            ],
        )
        for who, given in amounts.items()
    ]
    with holding(database, population) as unit:
        assert list(members(unit, project, "s", NOON, facts_source=source)) == ["close", "over", "whole"]
    assert source.asked == ["close"]


@pytest.mark.parametrize(
    ("condition", "is_left_out"),
    [
        ('did("S")', True),
        ('count("S", within="3d") >= 2 and profile.n != 7', True),
        ('sum("S", "x") > 0 or max("S", "x") < 0', True),
        ('last("S") < now', True),
        ('not (count("S") == 0)', True),
        ('segment("some") and not segment("none")', True),
        ('count("S") in [1, 2]', True),
        ('count("S") < 3', False),
        ('sum("S", "x") >= 0', False),
        ('last("S") == none', False),
        ('not last("S") < now', False),
        ('did("S") or profile.n == 7', False),
        ('count("S") == profile.n', False),
        ('count("S") == count("S", within="3d")', False),
        ('segment("none") or did("S", x=3)', False),
    ],
)
def test_those_without_any_event_are_left_out_early_only_where_that_alone_keeps_them_out(
    database: Database, condition: str, is_left_out: bool
) -> None:
    project = project_of({"s": condition, "some": 'did("S")', "none": 'not segment("some")'})
    population = [
        Person(
            profile=records.profile(f"p{number}", attributes={"n": 7 if number % 2 else 0}),
            events=[
                records.event(f"v{number}-{index}", profile_id=f"p{number}", name="S", properties={"x": number - 3})
                for index in range(number // 2)
            ],
        )
        for number in range(8)
    ]
    for dialect in (sqlite.dialect(), postgresql.dialect()):
        compiled = compile_segment(project, "s", NOON, dialect.name)
        assert ("LEFT OUTER JOIN" in str(compiled.query().compile(dialect=dialect))) is not is_left_out
    with holding(MemoryStore(), population) as unit:
        expected = list(members(unit, project, "s", NOON, facts_source=source_of(project)))
    with holding(database, population) as unit:
        assert list(members(unit, project, "s", NOON, facts_source=source_of(project))) == expected != []


def test_postgresql_may_read_the_events_of_a_segment_by_several_processes(postgres_url: str) -> None:
    """As a query by hand would be; `members` reads by a cursor, for which PostgreSQL plans a single one."""
    compiled = compile_segment(project_of({"s": 'sum("S", "x") >= 500'}), "s", NOON, "postgresql")
    database = Database(postgres_url)
    with suppress(_Undo), database.transaction() as unit:
        assert isinstance(unit, SqlUnit)
        unit.connection.execute(text(_MANY_EVENTS))
        unit.connection.execute(text("ANALYZE events"))
        # So few rows are not worth a second process otherwise.
        for setting in ("parallel_setup_cost", "min_parallel_table_scan_size"):
            unit.connection.execute(text(f"SET LOCAL {setting} = 0"))
        asked = compiled.query(compiled.profile_id).compile(
            unit.connection, compile_kwargs={"render_postcompile": True, "literal_binds": True}
        )
        plan = [line.strip() for line in unit.connection.exec_driver_sql(f"EXPLAIN (COSTS OFF) {asked}").scalars()]
        raise _Undo
    database.close()
    # Each process reads documents: nothing gathers the rows before.
    assert plan[plan.index("->  Parallel Seq Scan on events") - 1] == "->  Subquery Scan on h0_rows_raw"


def test_an_authors_words_are_never_part_of_the_sql() -> None:
    hostile = "'; DROP TABLE profiles; --%_\\"
    condition = f"profile.t == {hostile!r} or contains(profile.t, {hostile!r}) or did({hostile!r}, x={hostile!r})"
    for dialect in (sqlite.dialect(), postgresql.dialect()):
        compiled = compile_segment(project_of({"s": condition}), "s", NOON, dialect.name)
        assert "DROP" not in str(compiled.query(compiled.profile_id).compile(dialect=dialect))


def test_long_conditions_are_left_to_memory_in_part_and_still_agree(database: Database) -> None:
    """Databases have limits of their own: on joins, on depth, on parameters."""
    many = " or ".join(f'did("E{number}")' for number in range(300))
    deep = f"{'not (' * 50}profile.n == 1{')' * 50}"
    listed = f"profile.n in [{', '.join(map(str, range(1_500)))}]"
    project = project_of({"many": many, "deep": deep, "listed": listed})
    population = [
        Person(
            profile=records.profile(f"p{number}", attributes={"n": number}),
            events=[records.event(f"v{number}", profile_id=f"p{number}", name=f"E{number * 100}")],
        )
        for number in range(4)
    ]
    expected = {"many": ["p0", "p1", "p2"], "deep": ["p1"], "listed": ["p0", "p1", "p2", "p3"]}
    with holding(database, population) as unit:
        found = {name: list(members(unit, project, name, NOON, facts_source=source_of(project))) for name in expected}
    assert found == expected


def test_members_come_in_batches_in_order(database: Database) -> None:
    project = project_of({"all": "exists(profile.n)", "half": 'profile.n >= 550 or bucket("x") < 0'})
    population = [Person(profile=records.profile(f"p{n:04}", attributes={"n": n})) for n in range(1_100)]
    with holding(database, population) as unit:
        everyone = list(members(unit, project, "all", NOON, facts_source=source_of(project)))
        half = list(members(unit, project, "half", NOON, facts_source=source_of(project)))
        assert list(external_ids(unit, half)) == half
    assert everyone == [person.profile.profile_id for person in population]
    assert half == everyone[550:]
