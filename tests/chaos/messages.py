"""Workers killed with -9 at random instants while they send through a moody provider: `python -m tests.chaos.messages`.

Every message goes the way of production: the engine's performer decides and claims, the webhook adapter hands over, the
answer is recorded. Workers are processes that do nothing else; what a killed one had not reported is done again by its
successor, as Temporal does it. A tenth of the messages is given to two workers at once, as after a lost heartbeat.

The books are then compared: what the provider took, what the store says. Exit code 0 where every promise held:

- none lost: each message is `sent`, or (without an idempotency key) `in_doubt`;
- none doubled: the provider took none of them twice, but for repeats under the same key where it takes keys;
- no false record: whatever says `sent` was taken.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import selectors
import signal
import struct
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import cast

from channels.base import AdapterContext
from channels.http import open_client
from channels.webhook import Webhook, WebhookSettings
from engine.enrollment.entry import Occasion
from engine.enrollment.model import Enrollment
from engine.plan.effects import Perform, WaitUntil
from engine.storage.database import Database
from tests.chaos.databases import NAMES, fresh_database
from tests.chaos.sink import counts, running_sink
from tests.factories import NOW, ScriptedProvider, Shop, plan, send

THREADS = 8
#: Seconds for which a worker lives, drawn evenly from this span.
LIFE = (0.02, 0.6)
#: Share of the messages that two workers have.
OVERLAP = 0.1
#: The adapter gives up waiting after this many seconds.
PATIENCE = 0.4
#: With keys the provider de-duplicates, without them it does not.
KINDS = ("keyed", "plain")
_LOOK = timedelta(minutes=1)
_RECORD = struct.Struct("!I")


@dataclass(frozen=True, kw_only=True)
class Books:
    """What came of a run with one kind of provider on one database."""

    kind: str
    database: str
    messages: int
    kills: int
    #: What the provider did with its requests, and how often it took a message that it had already.
    moods: dict[str, int]
    repeats: int
    #: Deliveries by status.
    sent: int
    in_doubt: int
    #: Messages with any other status, or none; messages that people got twice; records of `sent` that nobody took.
    lost: int
    doubled: int
    false: int
    #: In doubt, and the provider has it: whoever had sent again would have doubled it.
    in_doubt_taken: int
    seconds: float

    @property
    def holds(self) -> bool:
        return not (self.lost or self.doubled or self.false or (self.kind == "keyed" and self.in_doubt))


# ── the shop ─────────────────────────────────────────────────────────────────────────────────────────────────────────
JOURNEY = plan(send(), journey="cart")


def _open(url: str, sink: str, kind: str) -> Shop:
    settings = WebhookSettings.model_validate({"url": sink, "deduplicates": kind == "keyed"})
    adapter = Webhook(settings, AdapterContext(channel="email", kind="email"), open_client(read_seconds=PATIENCE))
    # The shop's own providers are scripts; here messages leave the process.
    return Shop(Database(url), JOURNEY, providers={"email": cast("ScriptedProvider", adapter)})


def _populate(shop: Shop, known: int, count: int) -> list[str]:
    """So many more people who consented, each in the journey; the ids of their enrollments."""
    found = []
    for first in range(known, known + count, 500):
        with shop.store.transaction() as unit:
            for number in range(first, min(first + 500, known + count)):
                person = f"p{number}"
                profile = shop.engine.intake.ensure(unit, "external", person, NOW)
                values = {"email": f"{person}@example.com"}
                profile = shop.engine.intake.set_attributes(unit, profile, values, NOW)
                shop.grant(unit, profile, "email", "news")
                occasion = Occasion(at=NOW, values={})
                came = shop.engine.entries.enter(unit, shop.project.plans["cart"], profile, occasion, NOW)
                assert isinstance(came, Enrollment), came
                found.append(came.enrollment_id)
    return found


# ── the workers ──────────────────────────────────────────────────────────────────────────────────────────────────────
def _work(url: str, sink: str, kind: str, share: Sequence[int], enrollments: Sequence[str], reports: int) -> None:
    """Sends each message of the share, and reports its number when nothing more is to be done about it."""
    shop = _open(url, sink, kind)

    def bring(number: int) -> None:
        now, attempt = NOW, 1
        while True:
            effect = Perform(step_id="hello", visit=1, attempt=attempt, reached_at=NOW, is_due=attempt > 1)
            result = shop.engine.performer.perform(enrollments[number], effect, now)
            if not isinstance(result, WaitUntil):
                break
            # Nothing sweeps here: each looks for itself whether a provider that was out is back.
            now, attempt = min(result.until or now + _LOOK, now + _LOOK), attempt + 1
        os.write(reports, _RECORD.pack(number))

    with ThreadPoolExecutor(THREADS) as pool:
        for done in [pool.submit(bring, number) for number in share]:
            done.result()


class _Worker:
    """A forked worker with its pipe of reports, and the moment of its death."""

    def __init__(self, url: str, sink: str, kind: str, share: list[int], enrollments: list[str]) -> None:
        self.share = share
        self.reports, writing = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            code = 1
            try:
                os.close(self.reports)
                _work(url, sink, kind, share, enrollments, writing)
                code = 0
            except Exception as problem:
                print(f"a worker failed: {problem!r}", file=sys.stderr)
            finally:
                sys.stderr.flush()
                os._exit(code)
        os.close(writing)

    def drain(self) -> list[int]:
        """What it reported and was not read yet."""
        data = os.read(self.reports, 1 << 16)
        return [number for (number,) in _RECORD.iter_unpack(data[: len(data) // _RECORD.size * _RECORD.size])]

    def end(self, *, kill: bool) -> list[int]:
        """Waits for its end, or brings it about; the last reports. Raises where it ended by itself with an error."""
        if kill:
            os.kill(self.pid, signal.SIGKILL)
        _, status = os.waitpid(self.pid, 0)
        last = []
        while found := self.drain():
            last += found
        os.close(self.reports)
        if not kill and status:
            raise RuntimeError("a worker ended with an error; it is told above")
        return last


def _send_all(
    url: str, sink: str, kind: str, enrollments: list[str], kills: int, workers: int, lot: random.Random
) -> int:
    """Lets workers send until everything is reported; how many were killed."""
    waiting: list[set[int]] = [set(range(place, len(enrollments), workers)) for place in range(workers)]
    for number in lot.sample(range(len(enrollments)), int(len(enrollments) * OVERLAP)):
        waiting[(number + 1) % workers].add(number)
    killed = 0
    alive: dict[int, tuple[_Worker, float]] = {}
    with selectors.DefaultSelector() as selector:

        def start(place: int) -> None:
            share = sorted(waiting[place])
            lot.shuffle(share)
            worker = _Worker(url, sink, kind, share, enrollments)
            alive[place] = worker, time.monotonic() + lot.uniform(*LIFE)
            selector.register(worker.reports, selectors.EVENT_READ, place)

        def end(place: int, *, kill: bool) -> None:
            worker, _ = alive.pop(place)
            selector.unregister(worker.reports)
            waiting[place].difference_update(worker.end(kill=kill))
            if waiting[place]:
                start(place)

        for place in range(workers):
            start(place)
        while alive:
            for key, _ in selector.select(0.005):
                place = key.data
                found = alive[place][0].drain()
                waiting[place].difference_update(found)
                if not found:
                    end(place, kill=False)
            for place, (_, dies_at) in list(alive.items()):
                if killed < kills and time.monotonic() >= dies_at:
                    end(place, kill=True)
                    killed += 1
    return killed


# ── the books ────────────────────────────────────────────────────────────────────────────────────────────────────────
def play(url: str, kind: str, *, messages: int, kills: int, workers: int = 3, seed: int = 1) -> Books:
    """A whole run with one kind of provider over an empty, migrated database: so many kills, and that many messages
    or, where they are sent before, a multiple of them."""
    lot = random.Random(seed)
    with running_sink(seed) as sink:
        shop = _open(url, sink, kind).open()
        began = time.monotonic()
        killed = brought = 0
        # Where all are sent before so many workers died, there are more to send.
        while not brought or killed < kills:
            enrollments = _populate(shop, brought, messages)
            # No connection is forked.
            cast("Database", shop.store).close()
            killed += _send_all(url, sink, kind, enrollments, kills - killed, workers, lot)
            brought += messages
        seconds = time.monotonic() - began
        taken, moods = counts(sink)
    database = Database(url)
    with database.transaction() as unit:
        deliveries = list(unit.deliveries.of(journey="cart"))
    database.close()
    status: Counter[str] = Counter(delivery.status for delivery in deliveries)
    doubtful = [delivery for delivery in deliveries if delivery.status == "in_doubt"]
    repeats = sum(times - 1 for times in taken.values())
    return Books(
        kind=kind,
        database=url.partition(":")[0],
        messages=brought,
        kills=killed,
        moods=dict(moods),
        repeats=repeats,
        sent=status["sent"],
        in_doubt=status["in_doubt"],
        lost=brought - status["sent"] - status["in_doubt"],
        doubled=0 if kind == "keyed" else repeats,
        false=sum(1 for delivery in deliveries if delivery.status == "sent" and not taken[delivery.delivery_id]),
        in_doubt_taken=sum(1 for delivery in doubtful if taken[delivery.delivery_id]),
        seconds=round(seconds, 1),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--messages", type=int, default=10_000, help="for each kind of provider and database")
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--workers", type=int, default=3, help="alive at a time")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--database", choices=NAMES, action="append")
    given = parser.parse_args()
    is_fine = True
    for name, kind in itertools.product(given.database or NAMES, KINDS):
        with fresh_database(name) as url:
            books = play(url, kind, messages=given.messages, kills=given.kills, workers=given.workers, seed=given.seed)
        print(json.dumps(asdict(books) | {"holds": books.holds}), flush=True)
        is_fine = is_fine and books.holds
    sys.stdout.flush()
    os._exit(0 if is_fine else 1)


if __name__ == "__main__":
    main()
