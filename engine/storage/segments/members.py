"""Who is in a segment, and how many: one query, finished in memory where the database cannot say."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Row, func, select

from engine.errors import NotFound
from engine.project import Project
from engine.storage.segments.compiler import compile_segment
from engine.storage.segments.people import Needs, load
from engine.storage.segments.verdicts import Exact, Sql, Unknown, sql_of
from engine.storage.sql.unit import SqlUnit
from engine.storage.tables import profiles
from engine.store import Unit

if TYPE_CHECKING:
    from engine.enrollment.facts import FactsSource

#: Rows read at a time, and people finished in memory at once.
_BATCH = 1_000


def members(
    unit: Unit, project: Project, segment: str, now: datetime, *, facts_source: FactsSource, after: str = ""
) -> Generator[str, None, None]:
    """Ids of the profiles in a segment at `now`, ascending, read as they are asked for; nobody erased is among them.

    `after`: only ids behind this one. Raises NotFound where the project has no such segment.
    """
    _need(project, segment)
    if isinstance(unit, SqlUnit):
        return _in_sql(unit.connection, project, segment, now, facts_source, after)
    everybody = [profile_id for profile_id in unit.profiles.all_ids() if profile_id > after]
    return _in_memory(unit, everybody, segment, now, facts_source)


def count(unit: Unit, project: Project, segment: str, now: datetime, *, facts_source: FactsSource) -> int:
    """How many profiles are in a segment at `now`."""
    _need(project, segment)
    if isinstance(unit, SqlUnit):
        compiled = compile_segment(project, segment, now, unit.connection.dialect.name)
        if isinstance(compiled.verdict, Exact):
            number: int = unit.connection.execute(compiled.query(func.count())).scalar_one()
            return number
    return sum(1 for _ in members(unit, project, segment, now, facts_source=facts_source))


def external_ids(unit: Unit, profile_ids: Iterable[str]) -> Iterator[str]:
    """The shop's own ids of profiles, in their order; ours of those that have none."""
    waiting = iter(profile_ids)
    while batch := list(islice(waiting, _BATCH)):
        if isinstance(unit, SqlUnit):
            asked = select(profiles.c.profile_id, profiles.c.external_id).where(profiles.c.profile_id.in_(batch))
            found = {row[0]: row[1] for row in unit.connection.execute(asked)}
        else:
            found = {each: profile.external_id for each in batch if (profile := unit.profiles.find(each))}
        yield from (found.get(each) or each for each in batch)


def _need(project: Project, segment: str) -> None:
    if segment not in project.segments:
        known = ", ".join(sorted(project.segments)) or "none"
        raise NotFound(f"there is no segment `{segment}`; this project has: {known}")


def _in_sql(
    connection: Connection, project: Project, segment: str, now: datetime, facts_source: FactsSource, after: str
) -> Generator[str, None, None]:
    compiled = compile_segment(project, segment, now, connection.dialect.name)
    columns: list[Sql] = [compiled.profile_id]
    if not isinstance(compiled.verdict, Exact | Unknown):
        columns.append(sql_of(compiled.verdict).label("is_sure"))
    statement = compiled.query(*columns).where(compiled.profile_id > after).order_by(compiled.profile_id)
    # Closed with the generator: who stops half-way leaves no cursor behind on the connection.
    with connection.execute(statement, execution_options={"yield_per": _BATCH}) as rows:
        if isinstance(compiled.verdict, Exact):
            yield from rows.scalars()
            return
        needs = Needs.of(project, segment)
        for batch in rows.partitions():
            asked = [row[0] for row in batch if not _is_certain(row)]
            unit = load(connection, asked, needs)
            finished = set(_in_memory(unit, asked, segment, now, facts_source))
            yield from (row[0] for row in batch if _is_certain(row) or row[0] in finished)


def _is_certain(row: Row[Any]) -> bool:
    return len(row) == 2 and row.is_sure is not None


def _in_memory(
    unit: Unit, profile_ids: Sequence[str], segment: str, now: datetime, facts_source: FactsSource
) -> Generator[str, None, None]:
    for profile_id in profile_ids:
        profile = unit.profiles.find(profile_id)
        if profile is not None and facts_source.of(unit, profile, now).in_segment(segment):
            yield profile_id
