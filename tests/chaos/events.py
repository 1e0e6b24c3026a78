"""The API and the router killed with -9 at random instants under load: `python -m tests.chaos.events`.

The real application behind the real server takes events through Segment's API; the real loops route them and hand what
comes of it to a carrier that notes it. Each of these processes is killed again and again and forked anew; a client
repeats what was not acknowledged, as every Segment client does. Then the books are compared. Exit code 0 where every
promise held:

- every acknowledged event is stored, once;
- each had its effect once: a cart has one enrollment, which its order has ended, or whose entry was refused, once, as
  the order was there before the cart was routed;
- nothing is left to route, and the carrier heard of every beginning and every end.
"""

from __future__ import annotations

import argparse
import base64
import http.client
import json
import multiprocessing
import os
import random
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import uvicorn

from engine.enrollment.model import Enrollment, Stimulus
from engine.plan.model import Entry, EventExit
from engine.storage.database import Database
from engine.store import KeyRecord
from engine.web.access import key_hash
from engine.web.app import create_app
from tests.chaos.databases import NAMES, fresh_database
from tests.factories import Shop, plan, wait
from tests.waiting import PATIENCE
from workers.loops import Loops

CLIENTS = 8
#: Events acknowledged, at the least, before a run counts as one under load.
_LOAD = 21
#: Seconds for which a process lives, drawn evenly from this span; the first of them pass before it is at work.
LIFE = (0.1, 2.0)
_WRITE_KEY = "sj_ingest_0123456789abcdef"
_JOURNEY = plan(
    wait(days=30),
    journey="cart",
    entry=Entry(key="event.cart_id"),
    exits=(EventExit(event="Order Completed"),),
)


@dataclass(frozen=True, kw_only=True)
class Books:
    """What came of a run on one database."""

    database: str
    kills: int
    #: Distinct events acknowledged; requests without an answer, which were repeated.
    acknowledged: int
    repeated: int
    stored: int
    carts: int
    orders: int
    #: Of the orders, those that were there before their cart was routed: it was not let in any more.
    refused: int
    #: Carts without an effect, with more than one, or with that of an order which there was not.
    wrong: int
    #: Occurrences and stimuli that nobody took; beginnings and ends of which the carrier never heard.
    unrouted: int
    unheard: int
    seconds: float

    @property
    def holds(self) -> bool:
        return not (self.wrong or self.unrouted or self.unheard) and self.stored == self.acknowledged


class LiveShop(Shop):
    """The shop, at the present moment."""

    @property
    def now(self) -> datetime:
        return datetime.now(UTC)

    @now.setter
    def now(self, _: datetime) -> None: ...


class NotingCarrier:
    """Writes down whose stimulus it was given: a line each, at once, so that a kill loses none."""

    def __init__(self, notes: Path) -> None:
        self._notes = os.open(notes, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def deliver(self, batch: Sequence[tuple[Stimulus, Enrollment]]) -> Mapping[int, Exception]:
        for stimulus, enrollment in batch:
            os.write(self._notes, f"{stimulus.input.kind} {enrollment.enrollment_id}\n".encode())
        return {}


# ── the processes ────────────────────────────────────────────────────────────────────────────────────────────────────
def _serve(url: str, listening: socket.socket) -> None:
    app = create_app(LiveShop(Database(url), _JOURNEY).engine, on_intake=lambda: None)
    uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False)).run(sockets=[listening])


def _route(url: str, notes: Path) -> None:
    shop = LiveShop(Database(url), _JOURNEY)
    Loops(shop.engine, NotingCarrier(notes), lambda: shop.now).start()
    threading.Event().wait()


class _Mortal:
    """A process that is forked anew whenever it was killed."""

    def __init__(self, work: Callable[[], None], lot: random.Random) -> None:
        self._work = work
        self._lot = lot
        self._fork(1.0)

    def _fork(self, patience: float) -> None:
        self.dies_at = time.monotonic() + self._lot.uniform(*LIFE) * patience
        self._pid = os.fork()
        if self._pid == 0:
            try:
                self._work()
            except BaseException as problem:
                print(f"a process failed: {problem!r}", file=sys.stderr, flush=True)
            os._exit(1)

    def kill(self) -> None:
        ended, _ = os.waitpid(self._pid, os.WNOHANG)
        if ended:
            raise RuntimeError("a process ended by itself; why is told above")
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)

    def replace(self, patience: float) -> None:
        """Kills it; the next one lives so much longer."""
        self.kill()
        self._fork(patience)


# ── the clients ──────────────────────────────────────────────────────────────────────────────────────────────────────
class Progress:
    """How far the clients, which are a process of their own, have come."""

    def __init__(self) -> None:
        self.acknowledged = multiprocessing.Value("i", 0)
        self.repeated = multiprocessing.Value("b", False)

    @property
    def is_load(self) -> bool:
        return self.acknowledged.value >= _LOAD and bool(self.repeated.value)


class _Client:
    """Puts carts, and orders every other one, each event until it is acknowledged."""

    def __init__(self, port: int, name: int, progress: Progress) -> None:
        self._port = port
        self._name = name
        self._progress = progress
        self._connection = self._connect()
        credentials = base64.b64encode(f"{_WRITE_KEY}:".encode()).decode()
        self._headers = {"Authorization": f"Basic {credentials}", "Content-Type": "application/json"}
        self.acknowledged: list[str] = []
        self.carts: list[str] = []
        self.orders: list[str] = []
        self.repeated = 0

    def run(self, is_over: Callable[[], bool]) -> None:
        number = 0
        while not is_over():
            cart = f"c{self._name}-{number}"
            self._track(cart, "Cart Updated")
            self.carts.append(cart)
            if number % 2:
                self._track(cart, "Order Completed")
                self.orders.append(cart)
            number += 1

    def _track(self, cart: str, event: str) -> None:
        message_id = f"{event}/{cart}"
        body = json.dumps(
            {"userId": f"u-{cart}", "event": event, "messageId": message_id, "properties": {"cart_id": cart}}
        )
        while not self._is_acknowledged(body):
            self.repeated += 1
            self._progress.repeated.value = True
            time.sleep(0.01)
        self.acknowledged.append(message_id)
        with self._progress.acknowledged.get_lock():
            self._progress.acknowledged.value += 1

    def _is_acknowledged(self, body: str) -> bool:
        try:
            self._connection.request("POST", "/v1/track", body, self._headers)
            answer = self._connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            self._connection = self._connect()
            return False
        assert answer.status in (200, 503), answer.status
        return answer.status == 200

    def _connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)


def _load(port: int, stop_file: Path, results: Path, progress: Progress) -> None:
    clients = [_Client(port, name, progress) for name in range(CLIENTS)]
    threads = [threading.Thread(target=client.run, args=(stop_file.exists,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    names = ("acknowledged", "carts", "orders")
    told: dict[str, object] = {name: [each for client in clients for each in getattr(client, name)] for name in names}
    results.write_text(json.dumps(told | {"repeated": sum(client.repeated for client in clients)}))


# ── the run ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def play(url: str, *, kills: int, seed: int = 1) -> Books:
    """A whole run over an empty, migrated database: so many kills, or more until there was load, then quiet until
    nothing is left to do."""
    lot = random.Random(seed)
    folder = Path(tempfile.mkdtemp(prefix="sojourn-chaos-"))
    shop = LiveShop(Database(url), _JOURNEY).open()
    with shop.store.transaction() as unit:
        unit.access.save_key(
            KeyRecord(key_hash=key_hash(_WRITE_KEY), name="load", scopes=("ingest",), created_at=shop.now)
        )
    shop.store.close()
    listening = socket.create_server(("127.0.0.1", 0), backlog=256)
    port = listening.getsockname()[1]
    notes, stop_file, results = folder / "notes", folder / "stop", folder / "results.json"
    began = time.monotonic()
    progress = Progress()
    load = multiprocessing.get_context("fork").Process(target=_load, args=(port, stop_file, results, progress))
    mortals = [
        _Mortal(lambda: _serve(url, listening), lot),
        _Mortal(lambda: _route(url, notes), lot),
        _Mortal(lambda: _route(url, notes), lot),
    ]
    load.start()
    killed = 0
    while killed < kills or not progress.is_load:
        victim = min(mortals, key=lambda mortal: mortal.dies_at)
        time.sleep(max(0.0, victim.dies_at - time.monotonic()))
        killed += 1
        # On a machine too busy to come to anything in so short a life, they live longer in the end.
        victim.replace(max(1.0, killed / kills))
    stop_file.touch()
    load.join(PATIENCE)
    assert results.exists(), "the clients did not come to an end"
    told = json.loads(results.read_text())
    database = Database(url)
    left = _settle(database)
    seconds = time.monotonic() - began
    for mortal in mortals:
        mortal.kill()
    enrollments: dict[str | None, list[Enrollment]] = {}
    with database.transaction() as unit:
        for enrollment in unit.enrollments.of(journey="cart"):
            enrollments.setdefault(enrollment.key, []).append(enrollment)
        people = {cart: Shop.id_of(f"u-{cart}") for cart in told["carts"]}
        stored = sum(len(unit.events.of(person)) for person in people.values())
        refusals = {
            cart: [refusal.reason for refusal in unit.enrollments.refusals(profile_id=person)]
            for cart, person in people.items()
        }
    database.close()
    listening.close()
    heard = set(notes.read_text().splitlines())
    shutil.rmtree(folder)
    orders = set(told["orders"])
    ended = {cart for cart, found in enrollments.items() if found[0].state == "ended"}
    # What came of each cart, and what may have come of it.
    effects = {
        cart: [each.reason or each.state for each in enrollments.get(cart, [])] + refusals[cart]
        for cart in told["carts"]
    }
    may_come = {True: (["exit"], ["already_met"]), False: (["active"],)}
    begun = {f"started {found[0].enrollment_id}" for found in enrollments.values()}
    over = {f"left {enrollments[cart][0].enrollment_id}" for cart in ended}
    return Books(
        database=url.partition(":")[0],
        kills=killed,
        acknowledged=len(set(told["acknowledged"])),
        repeated=told["repeated"],
        stored=stored,
        carts=len(told["carts"]),
        orders=len(orders),
        refused=sum(1 for cart in orders if refusals[cart]),
        wrong=sum(1 for cart, came in effects.items() if came not in may_come[cart in orders]),
        unrouted=left,
        unheard=len((begun | over) - heard),
        seconds=round(seconds, 1),
    )


def _settle(database: Database) -> int:
    """Waits until nothing is to be routed or delivered; how much of it is left all the same."""
    deadline = time.monotonic() + PATIENCE
    while True:
        with database.transaction() as unit:
            next_stimulus = unit.queue.next_stimulus_at()
            left = unit.queue.count_occurrences() + (next_stimulus is not None)
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.1)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--database", choices=NAMES, action="append")
    given = parser.parse_args()
    is_fine = True
    for name in given.database or NAMES:
        with fresh_database(name) as url:
            books = play(url, kills=given.kills, seed=given.seed)
        print(json.dumps(asdict(books) | {"holds": books.holds}), flush=True)
        is_fine = is_fine and books.holds
    sys.stdout.flush()
    os._exit(0 if is_fine else 1)


if __name__ == "__main__":
    main()
