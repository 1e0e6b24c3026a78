"""A connection to PostgreSQL on which statements travel together.

A message takes some twenty statements, and for half of them nobody waits: the beginning of a transaction, a lock, a
write. Each sent for itself takes a way to the server and back, which is more than the server takes for most of them.
So what nobody waits for is held here, and goes with the next statement of which somebody wants to know what came of it:
at the latest with the commit. So do reads that are expected: their answers are kept until they are asked for, or until
something is written or locked, after which they might be others. The server runs statements one after another, each
with a view of its own, so what is read behind a lock is what was committed before the lock was taken.

psycopg's own cursors can do that, too, and take four times the processor's time for it: so its parts are used here.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from itertools import accumulate
from typing import Any, NamedTuple

import sqlalchemy
from psycopg import Connection
from psycopg.abc import PQGen
from psycopg.adapt import PyFormat, Transformer
from psycopg.errors import InFailedSqlTransaction, error_from_result
from psycopg.generators import fetch_many, send
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGresult
from sqlalchemy import Engine, event

from engine.storage.sql.prepared import RUNNER, Ran, refuse

#: Statements that wait at most: those of a long transaction go before they fill the memory.
_HELD_AT_MOST = 100
#: From this transaction of a connection on, plans are made anew whenever twice as many have begun.
_FIRST_TO_PLAN_ANEW = 8
#: Statements that the server knows at most, each of which takes memory there.
_KNOWN_AT_MOST = 100


class _Statement(NamedTuple):
    sql: str
    values: Sequence[Any]
    #: PostgreSQL's numbers of the values' types: of each combination the server makes a plan.
    types: tuple[int, ...]
    #: Whether each of them is text or binary.
    formats: Sequence[Any]


# READ COMMITTED on purpose: each statement sees what was committed before it began, and so what was before its lock.
_BEGIN = _Statement("BEGIN ISOLATION LEVEL READ COMMITTED", (), (), ())
_COMMIT = _Statement("COMMIT", (), (), ())
_PLAN_ANEW = _Statement("DISCARD PLANS", (), (), ())


class Line:
    """One connection. The driver must not begin transactions (`autocommit`) and not prepare statements itself: after a
    rollback it would make the server forget ours, too."""

    def __init__(self, driver: Connection[Any]) -> None:
        self._driver = driver
        self._wire = driver.pgconn
        self._values = Transformer(driver)
        self._held: list[_Statement] = []
        #: Reads that are expected, to be sent behind what is held, and the answers to those that were sent.
        self._expected: list[_Statement] = []
        self._foreseen: list[tuple[_Statement, PGresult]] = []
        #: The numbers of the statements that the server knows, the one that was not used for longest first.
        self._numbers: OrderedDict[tuple[str, tuple[int, ...]], int] = OrderedDict()
        self._next_number = 0
        self._begun = 0

    def run(self, sql: str, values: Sequence[Any]) -> Ran:
        """Runs a statement behind those that are held; what came of it. Raises the error of the first that failed."""
        statement = self._statement(sql, values)
        self._doubt()
        answer = self._exchange(statement)
        return Ran(self._rows(answer), answer.command_tuples or 0)

    def read(self, sql: str, values: Sequence[Any]) -> Sequence[Sequence[Any]]:
        """The rows of a statement that changes nothing, foreseen or run behind those that are held."""
        statement = self._statement(sql, values)
        answer = next((answer for foreseen, answer in self._foreseen if foreseen == statement), None)
        if answer is None:
            self._expected = [each for each in self._expected if each != statement]
            answer = self._exchange(statement)
        return self._rows(answer)

    def expect(self, sql: str, values: Sequence[Any]) -> None:
        """Has a read run with the next statement that is waited for: it will be asked for then."""
        self._expected.append(self._statement(sql, values))

    def hold(self, sql: str, values: Sequence[Any]) -> None:
        """Has a statement run with the next one that is waited for."""
        statement = self._statement(sql, values)
        self._doubt()
        self._held.append(statement)
        if len(self._held) >= _HELD_AT_MOST:
            self.settle()

    def begin(self) -> None:
        """Begins a transaction."""
        self._doubt()
        self._held = [_BEGIN]
        self._begun += 1
        # The server goes on reading a table end to end because it was small when it planned to, until it is analyzed: a
        # minute or more, in which a new shop's table grows to a hundred times of that. With these no plan is from a
        # time when less than half of what this connection has done was done. (Powers of two, after a few beginnings.)
        if self._begun >= _FIRST_TO_PLAN_ANEW and self._begun & (self._begun - 1) == 0:
            self._held.append(_PLAN_ANEW)

    def settle(self) -> None:
        """Runs what is held. Raises the error of the first that failed."""
        self._doubt()
        if self._held:
            self._exchange(self._held.pop())

    def commit(self) -> None:
        """Commits: returns when the server says that it is done."""
        self._doubt()
        if self._held == [_BEGIN]:
            self._held = []
        elif self._exchange(_COMMIT).command_status != b"COMMIT":
            # Somebody has caught the error of a statement, and gone on. The server calls that a success.
            raise InFailedSqlTransaction("a statement of the transaction had failed: nothing was committed")

    def forget(self) -> None:
        """Drops what is held: the transaction is rolled back."""
        self._doubt()
        self._held = []

    def _doubt(self) -> None:
        """Something is about to change: what was foreseen may have become wrong."""
        self._expected = []
        self._foreseen = []

    def _rows(self, answer: PGresult) -> Sequence[Sequence[Any]]:
        if answer.status != ExecStatus.TUPLES_OK:
            return ()
        self._values.set_pgresult(answer)
        return self._values.load_rows(0, answer.ntuples, tuple)

    def _statement(self, sql: str, values: Sequence[Any]) -> _Statement:
        dumped = self._values.dump_sequence(values, [PyFormat.AUTO] * len(values))
        return _Statement(sql, dumped, self._values.types or (), self._values.formats or ())

    def _exchange(self, last: _Statement) -> PGresult:
        """Sends what is held, what is expected and a last statement; the server's answer to the last one."""
        statements = [*self._held, *self._expected, last]
        expected, self._held, self._expected = self._expected, [], []
        first_new = self._next_number
        try:
            self._wire.enter_pipeline_mode()
            # The number of the last answer to each of them: preparing one has an answer, too.
            ends = list(accumulate(self._send(each) for each in statements))
            self._wire.pipeline_sync()
            answers = self._driver.wait(self._answers(ends[-1]))
            self._wire.exit_pipeline_mode()
        except BaseException:
            # Lost, or interrupted half-way: nobody can say what its next answer belongs to.
            self._driver.close()
            raise
        for answer in answers:
            if answer.status == ExecStatus.FATAL_ERROR:
                # What came behind it was passed over, and with it what was to be known from now on.
                self._numbers = OrderedDict(each for each in self._numbers.items() if each[1] < first_new)
                raise error_from_result(answer, self._values.encoding)
        own = [answers[end - 1] for end in ends]
        self._foreseen += zip(expected, own[-1 - len(expected) : -1], strict=True)
        return own[-1]

    def _send(self, statement: _Statement) -> int:
        """How many answers will come of it."""
        key = (statement.sql, statement.types)
        number = self._numbers.get(key)
        answers = 1
        if number is None:
            number = self._numbers[key] = self._next_number
            self._next_number += 1
            places = tuple(f"${place}" for place in range(1, len(statement.values) + 1))
            self._wire.send_prepare(_name(number), (statement.sql % places).encode(), statement.types)
            answers += 1
        else:
            self._numbers.move_to_end(key)
        if len(self._numbers) > _KNOWN_AT_MOST:
            _, oldest = self._numbers.popitem(last=False)
            self._wire.send_query_params(b"DEALLOCATE " + _name(oldest), None)
            answers += 1
        self._wire.send_query_prepared(_name(number), statement.values, statement.formats)
        return answers

    def _answers(self, count: int) -> PQGen[list[PGresult]]:
        """So many answers; the one that says that these were all is taken and left out."""
        yield from send(self._wire)
        answers: list[PGresult] = []
        for _ in range(count):
            answers += yield from fetch_many(self._wire)
        yield from fetch_many(self._wire)
        assert len(answers) == count, "each statement has one answer"
        return answers


def _name(number: int) -> bytes:
    return b"sojourn_%d" % number


def use_lines(engine: Engine) -> None:
    """Gives each of its connections a line. What SQLAlchemy runs itself goes by the driver, behind what is held."""
    event.listen(engine, "connect", _connect)
    event.listen(engine, "begin", _begin)
    event.listen(engine, "before_cursor_execute", _settle)
    event.listen(engine, "commit", _commit)
    event.listen(engine, "rollback", _forget)


def _connect(driver: Any, record: Any) -> None:
    driver.autocommit = True
    driver.prepare_threshold = None
    record.info[RUNNER] = Line(driver)


def _begin(connection: sqlalchemy.Connection) -> None:
    connection.info[RUNNER].begin()


def _settle(connection: sqlalchemy.Connection, *_statement: object) -> None:
    line: Line = connection.info[RUNNER]
    try:
        line.settle()
    except BaseException as error:
        refuse(connection, error, "what was held")


def _commit(connection: sqlalchemy.Connection) -> None:
    line: Line = connection.info[RUNNER]
    try:
        line.commit()
    except BaseException as error:
        refuse(connection, error, _COMMIT.sql)


def _forget(connection: sqlalchemy.Connection) -> None:
    if not connection.invalidated:
        connection.info[RUNNER].forget()
