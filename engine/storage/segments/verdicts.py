"""What a database can say of a condition. Three values, and SQL's own logic is the one that reckons with them:

true, false, and NULL for "ask memory". `AND`, `OR` and `NOT` carry NULL just as soundness wants it: `false AND NULL` is
false (a person is out, whatever the rest would say), `true AND NULL` is NULL.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, assert_never

from sqlalchemy import Boolean, ColumnElement, and_, case, cast, false, null, or_, true
from sqlalchemy import not_ as sql_not
from sqlalchemy.sql.elements import Grouping

Sql = ColumnElement[Any]


@dataclass(frozen=True, slots=True, eq=False)
class Exact:
    """True or false for every row, never NULL, and always what memory would say."""

    sql: Sql


@dataclass(frozen=True, slots=True, eq=False)
class AtLeast:
    """True or false as memory would say, or NULL where it must be asked: `IS NOT FALSE` narrows to a superset."""

    sql: Sql


@dataclass(frozen=True, slots=True, eq=False)
class Unknown:
    """The database has nothing to say of it: NULL for every row."""


Verdict = Exact | AtLeast | Unknown

ALWAYS, NEVER = Exact(true()), Exact(false())
UNKNOWN = Unknown()
_NULL: Sql = cast(null(), Boolean)


def constant(holds: bool) -> Exact:
    return ALWAYS if holds else NEVER


def sql_of(verdict: Verdict) -> Sql:
    """The predicate; NULL where nothing is known."""
    match verdict:
        case Exact() | AtLeast():
            return verdict.sql
        case Unknown():
            return _NULL
        case _:
            assert_never(verdict)


def negated(verdict: Verdict) -> Verdict:
    """`not`: what is unknown stays so."""
    match verdict:
        case Exact():
            return constant(verdict is NEVER) if verdict in (ALWAYS, NEVER) else Exact(_not(verdict.sql))
        case AtLeast():
            return AtLeast(_not(verdict.sql))
        case Unknown():
            return verdict
        case _:
            assert_never(verdict)


def _not(sql: Sql) -> Sql:
    # In brackets: PostgreSQL reads `NOT x IS NOT FALSE` as `NOT (x IS NOT FALSE)`.
    return Grouping(sql_not(sql))


def all_of(parts: Sequence[Verdict]) -> Verdict:
    """`and`: one false part settles it, however little is known of the others."""
    return _joined([part for part in parts if part is not ALWAYS], settling=NEVER, neutral=ALWAYS)


def any_of(parts: Sequence[Verdict]) -> Verdict:
    """`or`: one true part settles it."""
    return _joined([part for part in parts if part is not NEVER], settling=ALWAYS, neutral=NEVER)


def _joined(parts: list[Verdict], *, settling: Exact, neutral: Exact) -> Verdict:
    if settling in parts:
        return settling
    if len(parts) < 2:
        return parts[0] if parts else neutral
    if all(isinstance(part, Unknown) for part in parts):
        return UNKNOWN
    join = and_ if settling is NEVER else or_
    known = [part for part in parts if not isinstance(part, Unknown)]
    joined = join(*map(sql_of, known), *([_NULL] if len(known) < len(parts) else []))
    return Exact(joined) if all(isinstance(part, Exact) for part in parts) else AtLeast(joined)


def where_sure(sure: Sql | None, sql: Sql) -> Verdict:
    """A predicate that is right wherever `sure` is true; None: everywhere."""
    return Exact(sql) if sure is None else AtLeast(case((sure, sql)))


def both(first: Sql | None, second: Sql | None) -> Sql | None:
    """Where two things are sure."""
    if first is None or second is None:
        return second if first is None else first
    return first if first is second else and_(first, second)
