"""The tree of a condition → what a database can say of it for all profiles. An author's words are parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NoReturn, cast

from sqlalchemy import (
    Double,
    FromClause,
    Select,
    Text,
    case,
    exists,
    false,
    func,
    literal,
    literal_column,
    select,
)
from sqlalchemy import cast as sql_cast

from engine.delivery.model import TAKEN
from engine.expressions.evaluate import compile_node
from engine.expressions.facts import Facts
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
from engine.expressions.values import as_instant, truth
from engine.profiles.model import Value
from engine.project import Project
from engine.storage.segments import comparing
from engine.storage.segments.comparing import Term
from engine.storage.segments.documents import Json, can_read
from engine.storage.segments.fields import Field, Rows
from engine.storage.segments.histories import History, Window
from engine.storage.segments.postgres_json import PostgresJson
from engine.storage.segments.sqlite_json import SqliteJson
from engine.storage.segments.terms import (
    DAY,
    OPAQUE,
    ZONES,
    Amount,
    Known,
    Truth,
    Words,
    is_text_for_sql,
    micros,
    negative,
)
from engine.storage.segments.verdicts import (
    NEVER,
    UNKNOWN,
    Sql,
    Verdict,
    all_of,
    any_of,
    both,
    constant,
    negated,
    sql_of,
    where_sure,
)
from engine.storage.tables import consents, deliveries, enrollments, profiles
from engine.storage.types import Instant

#: Beyond, the rest of a condition is left to memory: databases have limits of their own (joins, depth), plans get slow.
_MOST_HISTORIES, _MOST_NODES, _DEEPEST = 24, 400, 20
_OWN_COLUMNS = {
    "id": profiles.c.external_id,
    "email": profiles.c.email,
    "phone": profiles.c.phone,
    "timezone": profiles.c.timezone,
    "locale": profiles.c.locale,
}
#: How far local dates may lie from elapsed days: two zones' offsets, and the part of a day.
_DAYS_APART = 3.0
_PERSON: Sql = literal_column("people.profile_id", Text)


class _AsksAPerson(Exception):
    """Raised where a value depends on whose it is."""


class _Nobody:
    """Facts that are the same for everyone: in a segment there is no event under test, no trigger and no step."""

    event: Mapping[str, Value] = {}
    trigger: Mapping[str, Value] = {}
    steps: Mapping[str, Mapping[str, Value]] = {}

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __getattr__(self, _name: str) -> NoReturn:
        raise _AsksAPerson


class _AnyEvent(Mapping[str, Value]):
    """The counted event, while nobody has said which."""

    def __getitem__(self, _name: str) -> NoReturn:
        raise _AsksAPerson

    __iter__ = __len__ = get = __getitem__  # type: ignore[assignment]


@dataclass(frozen=True, kw_only=True, slots=True)
class Compiled:
    """A condition as a query over `people`."""

    verdict: Verdict
    people: FromClause
    profile_id: Sql = _PERSON

    def query(self, *columns: Sql) -> Select[Any]:
        """Columns of all who may be members."""
        return select(*columns).select_from(self.people).where(sql_of(self.verdict).is_not(false()))


def compile_segment(project: Project, segment: str, now: datetime, dialect: str) -> Compiled:
    """The segment of a project at `now`, for `sqlite` or `postgresql`."""
    compiler = _Compiler(project, now, PostgresJson() if dialect == "postgresql" else SqliteJson())
    verdict = compiler.segment(segment)
    return Compiled(verdict=verdict, people=compiler.people_with_histories())


class _Compiler:
    def __init__(self, project: Project, now: datetime, json: Json) -> None:
        self._project = project
        self._now = now
        self._json = json
        self._nobody = cast(Facts, _Nobody(now))
        self._people = Rows("people", profiles, profiles.c.attributes, json)
        self._people.column("profile_id", profiles.c.profile_id)
        self._histories: dict[Aggregate, History] = {}
        self._opened: tuple[str, ...] = ()
        self._segments: dict[str, Verdict] = {}
        self._nodes = 0
        self._depth = 0

    def people_with_histories(self) -> FromClause:
        """Everyone not erased, with a row of each history that the condition asks for."""
        found: FromClause = self._people.table(profiles.c.erased_at.is_(None))
        for history in self._histories.values():
            table = history.table()
            found = found.outerjoin(table, table.c.profile_id == _PERSON)
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
            case Call(function="coalesce") if not any(map(is_none, node.arguments)):
                return self._first_there(node.arguments, events, lambda each: self._verdict(each, events))
            case InSegment() | HasConsent() | IsEnrolled() | HasReceived():
                return UNKNOWN if events is not None else self._about_person(node)
            case _:
                return comparing.truth(self._term(node, events))

    def _about_person(self, node: InSegment | HasConsent | IsEnrolled | HasReceived) -> Verdict:
        match node:
            case InSegment():
                return self.segment(node.segment)
            case IsEnrolled() | HasReceived() if not is_text_for_sql(node.journey):
                return UNKNOWN
            case IsEnrolled():
                return _there_is(
                    enrollments,
                    enrollments.c.state == literal_column("'active'"),
                    enrollments.c.journey == node.journey,
                )
            case HasReceived():
                taken = func.coalesce(deliveries.c.sent_at, deliveries.c.claimed_at, type_=Instant)
                conditions = [deliveries.c.journey == node.journey, deliveries.c.status.in_(TAKEN)]
                if node.within is not None:
                    conditions.append(taken > self._now - node.within)
                return _there_is(deliveries, deliveries.c.is_test == false(), *conditions)
            case HasConsent():
                return self._consent(node)

    def _consent(self, node: HasConsent) -> Verdict:
        channel, topic = self._project.channels.get(node.channel), self._project.topics.get(node.topic)
        if channel is None or topic is None:
            return NEVER
        has_address: Verdict = UNKNOWN
        if channel.kind != "chat":
            name = "email" if channel.kind == "email" else "phone"
            has_address = where_sure(None, self._people.column(f"own_{name}", _OWN_COLUMNS[name]).is_not(None))
        if topic.kind != "marketing":
            return has_address
        # The ledger is memory's to fold; but without a grant there is no consent, without a denial no objection.
        if topic.basis == "legitimate_interest":
            is_settled = negated(_there_is(consents, consents.c.action.in_(("withdraw", "object"))))
            return all_of([has_address, any_of([is_settled, UNKNOWN])])
        granted = _there_is(
            consents,
            consents.c.action == "grant",
            consents.c.channel == node.channel,
            consents.c.topic == node.topic,
        )
        return all_of([has_address, granted, UNKNOWN])

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
        for node in (left, right):
            if isinstance(node, Call) and node.function == "coalesce" and not any(map(is_none, node.arguments)):
                return self._first_there(
                    node.arguments,
                    events,
                    lambda each, node=node: (
                        self._compare(each, sign, right, events)
                        if node is left
                        else self._compare(left, sign, each, events)
                    ),
                )
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

    def _first_there(self, nodes: tuple[Node, ...], events: Rows | None, ask: Any) -> Verdict:
        """What is asked of the first of several values that is not missing."""
        first, *others = nodes
        if not others:
            return cast(Verdict, ask(first))
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
        """A value that is the same for everyone, by memory's own evaluation."""
        try:
            value = compile_node(node)(self._nobody, None if events is None else _AnyEvent())
        except _AsksAPerson:
            return None
        return Known(value=value)

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
                return self._of_value(node, self._term(node.arguments[0], events))
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

    def _of_value(self, node: Call, given: Term) -> Term:
        match node.function:
            case "lower" | "upper":
                words = comparing.as_words(given)
                if words is None:
                    return OPAQUE
                change = func.lower if node.function == "lower" else func.upper
                is_plain = (words.text.is_(None)) | self._json.is_ascii(words.text)
                return Words(text=change(self._json.by_code_point(words.text)), sure=both(words.sure, is_plain))
            case "len":
                return self._length(given)
        moment = comparing.as_moment_amount(given)
        if moment is None:
            return OPAQUE
        if node.function == "date":
            return Amount(
                dimension="moment",
                low=moment.low - ZONES,
                high=moment.high + ZONES,
                sure=moment.sure,
                reach=moment.reach + ZONES,
            )
        if node.function in ("days_since", "days_until"):
            since = Amount(
                dimension="number",
                low=sql_cast(micros(self._now) - moment.high, Double) / DAY - _DAYS_APART,
                high=sql_cast(micros(self._now) - moment.low, Double) / DAY + _DAYS_APART,
                sure=moment.sure,
            )
            return since if node.function == "days_since" else negative(since) or OPAQUE
        first, last = (1.0, 7.0) if node.function == "weekday" else (0.0, 23.0)
        return Amount(
            dimension="number",
            low=case((moment.low.is_not(None), literal(first, Double))),
            high=case((moment.low.is_not(None), literal(last, Double))),
            sure=moment.sure,
        )

    def _length(self, given: Term) -> Term:
        if isinstance(given, Words):
            return Amount(
                dimension="number", low=(size := sql_cast(func.length(given.text), Double)), high=size, sure=given.sure
            )
        if not isinstance(given, Field):
            return OPAQUE
        array = case((given.kind == "array", given.content))
        size = sql_cast(
            case((given.kind == "text", func.length(given.text)), (given.kind == "array", self._json.length(array))),
            Double,
        )
        is_counted = (given.kind.is_(None)) | (given.kind != "object")
        return Amount(dimension="number", low=size, high=size, sure=both(given.sure, is_counted))

    # ── the past ─────────────────────────────────────────────────────────────────────────────────────────────────────
    def _aggregate(self, node: Aggregate) -> Term:
        if not is_text_for_sql(node.event):
            return OPAQUE
        since = None
        if node.since is not None:
            begin = self._known(node.since, None)
            if begin is None:
                return OPAQUE
            try:
                since = as_instant(begin.value, self._nobody)
            except _AsksAPerson:  # a date is midnight in each person's own zone
                return OPAQUE
            if since is None:  # nothing is at or after what is missing
                return _of_nothing(node)
        # What differs only in what is made of the events shares them.
        key = Aggregate(
            function="count",
            event=node.event,
            within=node.within,
            since=node.since,
            where=node.where,
            equals=node.equals,
        )
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


def _there_is(table: FromClause, *conditions: Sql) -> Verdict:
    """Whether a person has a row."""
    return where_sure(None, exists(select(1).where(table.c.profile_id == _PERSON, *conditions)))


def _of_nothing(node: Aggregate) -> Known:
    match node.function:
        case "did":
            return Known(value=False)
        case "count" | "sum" | "distinct":
            return Known(value=0)
        case _:
            return Known(value=None)
