"""`count`, `sum`, `last` and their kin for all profiles at once: events of a name, grouped by profile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import (
    ColumnElement,
    Double,
    Subquery,
    Text,
    and_,
    case,
    cast,
    false,
    func,
    literal_column,
    or_,
    select,
    type_coerce,
)

from engine.expressions.nodes import AggregateName
from engine.storage.segments.documents import Json, can_read
from engine.storage.segments.fields import Field, Rows
from engine.storage.segments.terms import LARGEST, OPAQUE, REACH, Amount, Opaque, Truth, point
from engine.storage.segments.verdicts import ALWAYS, AtLeast, Exact, Sql, Verdict, sql_of
from engine.storage.tables import events

#: Largest relative error of one addition of doubles, with room for reading each of them.
_ROUNDING = 2.0**-51
#: Keeps an error from vanishing.
_TINY = 1e-200
_FRACTION, _DOUBT = 1, 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """Which events are looked at, by name and time."""

    event: str
    until: datetime
    #: Exclusive.
    after: datetime | None = None
    #: Inclusive.
    since: datetime | None = None

    @classmethod
    def of(cls, event: str, now: datetime, within: timedelta | None, since: datetime | None) -> Window:
        return cls(event=event, until=now, after=None if within is None else now - within, since=since)

    def conditions(self) -> list[ColumnElement[bool]]:
        found = [events.c.name == self.event, events.c.timestamp <= self.until]
        if self.after is not None:
            found.append(events.c.timestamp > self.after)
        if self.since is not None:
            found.append(events.c.timestamp >= self.since)
        return found


class History:
    """Events of each profile that a selection lets pass, summed up in columns: one derived table, `alias`."""

    def __init__(self, alias: str, window: Window, json: Json, select_events: Callable[[Rows], Verdict]) -> None:
        self.alias = alias
        self._json = json
        self._window = window
        self._rows = Rows(f"{alias}_rows", events, events.c.properties, json)
        self._profile_id = self._rows.column("profile_id", events.c.profile_id)
        self._selected = select_events(self._rows)
        self._columns: dict[str, Sql] = {}

    def summary(self, function: AggregateName, property_: str | None) -> Amount | Truth | Opaque:
        """The function's value for each profile."""
        match function:
            case "count":
                return self._count()
            case "did":
                return self._did()
            case "first" | "last":
                return self._moment(function)
            case "sum" | "avg" | "min" | "max" | "distinct":
                if property_ is None or not can_read((property_,)):
                    return OPAQUE
                field = self._rows.field((property_,))
                return self._distinct(field) if function == "distinct" else self._of_numbers(function, field)

    def table(self) -> Subquery:
        """The derived table, once everything has been asked of it."""
        rows = self._rows.table(*self._window.conditions())
        summed = select(
            self._profile_id.label("profile_id"), *(column.label(label) for label, column in self._columns.items())
        ).select_from(rows)
        if self._selected is not ALWAYS:
            summed = summed.where(sql_of(self._selected).is_not(false()))
        return summed.group_by(self._profile_id).subquery(self.alias)

    def _column(self, label: str, computed: Sql) -> Sql:
        self._columns.setdefault(label, computed)
        return literal_column(f"{self.alias}.{label}", computed.type)

    def _counted(self, label: str, condition: Sql | None = None) -> Sql:
        """How many events there are, or how many of a condition; 0 where there is no event at all."""
        counted = func.count() if condition is None else func.count(case((condition, 1)))
        return func.coalesce(self._column(label, counted), 0)

    # ── functions of events ──────────────────────────────────────────────────────────────────────────────────────────
    def _bounds(self) -> tuple[Sql, Sql]:
        """At least, and at most, so many events."""
        most = self._counted("most")
        if isinstance(self._selected, Exact):
            return most, most
        return self._counted("least", sql_of(self._selected)), most

    def _count(self) -> Amount:
        least, most = self._bounds()
        low = cast(least, Double)
        return Amount(dimension="number", low=low, high=low if least is most else cast(most, Double))

    def _did(self) -> Truth:
        least, most = self._bounds()
        if least is most:
            return Truth(verdict=Exact(least > 0))
        return Truth(verdict=AtLeast(case((least > 0, most > 0), (most == 0, false()))))

    def _moment(self, function: str) -> Amount:
        found = func.min(self._stamp()) if function == "first" else func.max(self._stamp())
        sure = None if isinstance(self._selected, Exact) else self._counted("unsure", self._is_unsure()) == 0
        return point("moment", self._json.micros(self._column(function, found)), sure=sure, reach=REACH)

    def _stamp(self) -> Sql:
        return self._rows.column("timestamp", events.c.timestamp)

    def _is_unsure(self) -> Sql:
        return sql_of(self._selected).is_(None)

    # ── functions of a property ──────────────────────────────────────────────────────────────────────────────────────
    def _without_doubt(self, label: str, doubt: Sql) -> Sql:
        """Whether every event that may count could be read."""
        doubts = doubt if isinstance(self._selected, Exact) else or_(self._is_unsure(), doubt)
        return self._counted(label, doubts) == 0

    def _of_numbers(self, function: AggregateName, field: Field) -> Amount:
        name, number = field.label, field.summand
        # What the worst of the values is: whole or no number (0), a fraction, one that leaves the result in doubt.
        grade = case(
            (number.is_not(None), case((field.kind == "real", _FRACTION), else_=0)),
            (field.is_no_number, 0),
            else_=_DOUBT,
        )
        if not isinstance(self._selected, Exact):
            grade = case((self._is_unsure(), _DOUBT), else_=grade)
        worst = func.coalesce(self._column(f"{name}_worst", func.max(grade)), 0)
        sure, are_whole = worst < _DOUBT, worst < _FRACTION
        if function in ("min", "max"):
            extreme = func.min(number) if function == "min" else func.max(number)
            found = self._column(f"{name}_{function}", extreme)
            if not self._json.blur:
                return point("number", found, sure=sure)
            error = case((are_whole, 0.0), else_=func.abs(found) * self._json.blur)
            return Amount(dimension="number", low=found - error, high=found + error, sure=sure)
        # Memory rounds once, a database at every step: the sum lies this close. Sums of whole numbers are exact.
        many = func.coalesce(self._column(f"{name}_numbers", func.count(number)), 0)
        total = func.coalesce(self._column(f"{name}_total", func.sum(number)), 0.0)
        size = func.coalesce(self._column(f"{name}_size", func.sum(func.abs(number))), 0.0)
        is_exact = and_(are_whole, size <= LARGEST)
        error = case((is_exact, 0.0), else_=(many + 8) * _ROUNDING * size + _TINY)
        low, high = total - error, total + error
        if function == "avg":
            low, high = low / func.nullif(many, 0), high / func.nullif(many, 0)
        return Amount(dimension="number", low=low, high=high, sure=sure)

    def _distinct(self, field: Field) -> Amount:
        name = field.label
        is_plain = or_(field.kind.in_(("text", "true", "false")), and_(field.kind == "integer", field.is_safe))
        # Unlike kinds are unlike values: "true" is not true.
        values = func.count(func.distinct(case((is_plain, field.kind + ":" + type_coerce(field.content, Text)))))
        sure = self._without_doubt(f"{name}_unlike", or_(~field.sure, and_(field.kind.is_not(None), ~is_plain)))
        found = func.coalesce(self._column(f"{name}_distinct", values), 0)
        return point("number", cast(found, Double), sure=sure)
