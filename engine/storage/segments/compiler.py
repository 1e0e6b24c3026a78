"""The tree of a condition → what a database can say of it for all profiles. An author's words are parameters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeGuard

from sqlalchemy import (
    FromClause,
    Select,
    false,
    select,
)

from engine.expressions.nodes import (
    Aggregate,
    And,
    Arithmetic,
    Call,
    Compare,
    Comparison,
    Constant,
    HasConsent,
    HasReceived,
    InSegment,
    IsEnrolled,
    ListOf,
    Negative,
    Node,
    Not,
    Now,
    Or,
    Read,
    is_none,
)
from engine.expressions.parse import parse_expression
from engine.expressions.values import truth
from engine.project import Project
from engine.storage.segments import comparing
from engine.storage.segments.absence import history_of, is_nobody_without, of_nothing
from engine.storage.segments.calls import of_value
from engine.storage.segments.comparing import Term
from engine.storage.segments.documents import Json, can_read
from engine.storage.segments.everyone import Everyone
from engine.storage.segments.fields import Field, Rows
from engine.storage.segments.histories import History, Window
from engine.storage.segments.postgres_json import PostgresJson
from engine.storage.segments.presence import PERSON, has_consent, has_received, is_enrolled
from engine.storage.segments.sqlite_json import SqliteJson
from engine.storage.segments.terms import (
    OPAQUE,
    Amount,
    Known,
    Truth,
    is_text_for_sql,
    negative,
)
from engine.storage.segments.verdicts import (
    NEVER,
    UNKNOWN,
    Sql,
    Verdict,
    all_of,
    any_of,
    constant,
    negated,
    sql_of,
)
from engine.storage.tables import profiles

#: Beyond, the rest of a condition is left to memory: databases have limits of their own (joins, depth), plans get slow.
_MOST_HISTORIES, _MOST_NODES, _DEEPEST = 24, 400, 20
_OWN_COLUMNS = {
    "id": profiles.c.external_id,
    "email": profiles.c.email,
    "phone": profiles.c.phone,
    "timezone": profiles.c.timezone,
    "locale": profiles.c.locale,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Compiled:
    """A condition as a query over `people`."""

    verdict: Verdict
    people: FromClause
    profile_id: Sql = PERSON

    def query(self, *columns: Sql) -> Select[Any]:
        """Columns of all who may be members."""
        return select(*columns).select_from(self.people).where(sql_of(self.verdict).is_not(false()))


def compile_segment(project: Project, segment: str, now: datetime, dialect: str) -> Compiled:
    """The segment of a project at `now`, for `sqlite` or `postgresql`."""
    compiler = _Compiler(project, now, PostgresJson() if dialect == "postgresql" else SqliteJson())
    verdict = compiler.segment(segment)
    return Compiled(verdict=verdict, people=compiler.people_with_histories(segment))


class _Compiler:
    def __init__(self, project: Project, now: datetime, json: Json) -> None:
        self._project = project
        self._now = now
        self._json = json
        self._everyone = Everyone(now)
        self._people = Rows("people", profiles, profiles.c.attributes, json)
        self._people.column("profile_id", profiles.c.profile_id)
        self._histories: dict[Aggregate, History] = {}
        self._opened: tuple[str, ...] = ()
        self._segments: dict[str, Verdict] = {}
        self._nodes = 0
        self._depth = 0

    def people_with_histories(self, segment: str) -> FromClause:
        """Everyone not erased, with a row of each history that the segment asks for; without those who are out for
        want of such a row, where that is certain."""
        found: FromClause = self._people.table(profiles.c.erased_at.is_(None))
        for key, history in self._histories.items():
            table = history.table()
            is_needed = is_nobody_without(self._project, self._everyone, segment, key)
            found = found.join(table, table.c.profile_id == PERSON, isouter=not is_needed)
        return found

    def segment(self, name: str) -> Verdict:
        """Whether a person is a member."""
        known = self._segments.get(name)
        if known is None:
            segment = self._project.segments.get(name)
            if segment is None or name in self._opened:
                return UNKNOWN
            outer, self._opened = self._opened, (*self._opened, name)
            known = self._segments[name] = self._verdict(parse_expression(segment.condition), None)
            self._opened = outer
        return known

    # ── conditions ───────────────────────────────────────────────────────────────────────────────────────────────────
    def _verdict(self, node: Node, events: Rows | None) -> Verdict:
        """Whether a condition holds; `events` are the rows under test inside a `where`."""
        self._nodes += 1
        if self._nodes > _MOST_NODES or self._depth > _DEEPEST:
            return UNKNOWN
        self._depth += 1
        try:
            known = self._known(node, events)
            return self._condition(node, events) if known is None else constant(truth(known.value))
        finally:
            self._depth -= 1

    def _condition(self, node: Node, events: Rows | None) -> Verdict:
        match node:
            case And():
                return all_of([self._verdict(part, events) for part in node.parts])
            case Or():
                return any_of([self._verdict(part, events) for part in node.parts])
            case Not():
                return negated(self._verdict(node.operand, events))
            case Compare():
                return self._compare(node.left, node.sign, node.right, events)
            case Call(function="starts_with" | "ends_with" | "matches" | "contains" | "exists"):
                return self._question(node, events)
            case Call() if _is_coalesce(node):
                return self._first_there(node.arguments, events, lambda each: self._verdict(each, events))
            case InSegment() | HasConsent() | IsEnrolled() | HasReceived():
                return UNKNOWN if events is not None else self._about_person(node)
            case _:
                return comparing.truth(self._term(node, events))

    def _about_person(self, node: InSegment | HasConsent | IsEnrolled | HasReceived) -> Verdict:
        match node:
            case InSegment():
                return self.segment(node.segment)
            case IsEnrolled():
                return is_enrolled(node.journey)
            case HasReceived():
                return has_received(node.journey, None if node.within is None else self._now - node.within)
            case HasConsent():
                return has_consent(self._project, self._people, node.channel, node.topic)

    def _compare(self, left: Node, sign: Comparison, right: Node, events: Rows | None) -> Verdict:
        self._nodes += 1
        if self._nodes > _MOST_NODES:
            return UNKNOWN
        match sign:
            case "!=":
                return negated(self._compare(left, "==", right, events))
            case "not in":
                return negated(self._compare(left, "in", right, events))
            case "in":
                return self._in(left, right, events)
            case "==" if is_none(right) or is_none(left):
                return self._missing(left if is_none(right) else right, events)
        if _is_coalesce(left):
            return self._first_there(left.arguments, events, lambda each: self._compare(each, sign, right, events))
        if _is_coalesce(right):
            return self._first_there(right.arguments, events, lambda each: self._compare(left, sign, each, events))
        return comparing.compare(self._json, self._term(left, events), sign, self._term(right, events))

    def _in(self, item: Node, holder: Node, events: Rows | None) -> Verdict:
        if not isinstance(holder, ListOf):
            return comparing.holds(self._json, self._term(holder, events), self._term(item, events), in_objects=True)
        if is_none(item):
            return constant(any(map(is_none, holder.items)))
        return any_of([self._compare(item, "==", other, events) for other in holder.items])

    def _missing(self, node: Node, events: Rows | None) -> Verdict:
        if isinstance(node, Call) and node.function == "coalesce":
            return all_of([self._missing(each, events) for each in node.arguments])
        return comparing.missing(self._term(node, events))

    def _first_there(self, nodes: tuple[Node, ...], events: Rows | None, ask: Callable[[Node], Verdict]) -> Verdict:
        """What is asked of the first of several values that is not missing."""
        first, *others = nodes
        if not others:
            return ask(first)
        is_missing = self._missing(first, events)
        rest = self._first_there(tuple(others), events, ask)
        return any_of([all_of([negated(is_missing), ask(first)]), all_of([is_missing, rest])])

    def _question(self, node: Call, events: Rows | None) -> Verdict:
        given = [self._term(argument, events) for argument in node.arguments]
        if node.function == "exists":
            return negated(self._missing(node.arguments[0], events))
        if node.function == "contains":
            return comparing.holds(self._json, given[0], given[1], in_objects=False)
        words, other = comparing.as_words(given[0]), given[1]
        if words is None or not isinstance(other, Known):
            return UNKNOWN
        if not isinstance(other.value, str):
            return NEVER
        match node.function:
            case "starts_with":
                return comparing.begins(words, other.value)
            case "ends_with":
                return comparing.ends(words, other.value)
            case _:
                return comparing.is_text(words)

    # ── values ───────────────────────────────────────────────────────────────────────────────────────────────────────
    def _known(self, node: Node, events: Rows | None) -> Known | None:
        """A value that is the same for everyone."""
        return self._everyone.value(node, in_event=events is not None)

    def _term(self, node: Node, events: Rows | None) -> Term:
        known = self._known(node, events)
        if known is not None:
            return known
        self._nodes += 1
        match node:
            case Read():
                return self._read(node, events)
            case Arithmetic(sign="+" | "-" as sign):
                return comparing.add(self._term(node.left, events), sign, self._term(node.right, events))
            case Negative():
                inner = self._term(node.operand, events)
                amount = inner.as_number() if isinstance(inner, Field) else inner
                return (negative(amount) if isinstance(amount, Amount) else None) or OPAQUE
            case Call(function="lower" | "upper" | "len" | "date" | "days_since" | "days_until" | "weekday" | "hour"):
                return of_value(self._json, node.function, self._term(node.arguments[0], events), self._now)
            case Aggregate():
                return OPAQUE if events is not None else self._aggregate(node)
            case And() | Or() | Not() | Compare() | InSegment() | HasConsent() | IsEnrolled() | HasReceived():
                return Truth(verdict=self._verdict(node, events))
            case Call(function="starts_with" | "ends_with" | "matches" | "contains" | "exists"):
                return Truth(verdict=self._verdict(node, events))
            case Constant() | Now() | ListOf() | Arithmetic() | Call():
                return OPAQUE

    def _read(self, node: Read, events: Rows | None) -> Term:
        path = (node.name, *node.path)
        if not can_read(path) or node.root not in ("profile", "event"):
            return OPAQUE
        if node.root == "event":
            return OPAQUE if events is None else events.field(path)
        if events is not None:
            return OPAQUE
        own = _OWN_COLUMNS.get(node.name)
        return OPAQUE if own is not None and node.path else self._people.field(path, own)

    # ── the past ─────────────────────────────────────────────────────────────────────────────────────────────────────
    def _aggregate(self, node: Aggregate) -> Term:
        if not is_text_for_sql(node.event):
            return OPAQUE
        since = None
        if node.since is not None:
            begin = self._known(node.since, None)
            instant = None if begin is None else self._everyone.instant(begin)
            if instant is None:
                return OPAQUE
            since = instant.value
            if since is None:  # nothing is at or after what is missing
                return self._known(of_nothing(node), None) or OPAQUE
        key = history_of(node)
        if key not in self._histories:
            if len(self._histories) >= _MOST_HISTORIES:
                return OPAQUE
            window = Window.of(node.event, self._now, node.within, since)
            alias = f"h{len(self._histories)}"
            self._histories[key] = History(alias, window, self._json, lambda rows: self._selection(node, rows))
        return self._histories[key].summary(node.function, node.property)

    def _selection(self, node: Aggregate, rows: Rows) -> Verdict:
        parts: list[Verdict] = []
        for name, wanted in node.equals:
            if not can_read((name,)):
                parts.append(UNKNOWN)
            elif is_none(wanted):
                parts.append(rows.field((name,)).missing)
            else:
                # Values to be equal to belong to the person, not to the counted event.
                known = self._known(wanted, None)
                parts.append(
                    UNKNOWN if known is None else comparing.compare(self._json, rows.field((name,)), "==", known)
                )
        if node.where is not None:
            parts.append(self._verdict(node.where, rows))
        return all_of(parts)


def _is_coalesce(node: Node) -> TypeGuard[Call]:
    # A literal `none` among the values would mean something else once it stood alone beside `==`.
    return isinstance(node, Call) and node.function == "coalesce" and not any(map(is_none, node.arguments))
