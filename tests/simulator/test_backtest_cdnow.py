"""A real purchase history through `win_back`, held against SQL written from the definition of a lapse."""

from __future__ import annotations

import csv
import gzip
import sqlite3
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from engine.simulator.backtest import Backtest, Draft
from engine.simulator.backtest_rows import Recording
from engine.simulator.backtest_survey import survey
from workers.bootstrap import open_project

ROOT = Path(__file__).parents[2]
PURCHASES = ROOT / "tests" / "data" / "cdnow.csv.gz"
#: Every so many-th customer takes part: the whole history takes a minute.
EVERY = 8

#: Days are instants of midnight, UTC. The lapse of a purchase comes 30 days after it, unless another purchase came
#: before or at that very moment. The first mail follows at 10:00 of that day, the second at 10:00 seven days later;
#: both fall between two midnights. A purchase is the goal: up to the seventh day it comes before the second mail, and
#: ends the journey.
LAPSES = """
WITH days AS (SELECT DISTINCT customer, day FROM purchases),
     gaps AS (SELECT customer, day + 30 AS lapse, lead(day) OVER (PARTITION BY customer ORDER BY day) AS back
              FROM days),
     lapses AS (SELECT * FROM gaps WHERE (back IS NULL OR back > lapse) AND lapse <= :last)
SELECT count(*)                                                        AS enrollments,
       count(DISTINCT customer)                                        AS entered,
       sum(lapse < :last)                                              AS miss_you,
       sum((back IS NULL OR back > lapse + 7) AND lapse + 7 < :last)   AS gift,
       sum(back <= lapse + 7)                                          AS goal,
       sum(back <= lapse + 21)                                         AS converted
FROM lapses
"""


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The purchases of the customers who take part."""
    path = tmp_path_factory.mktemp("cdnow") / "purchases.csv"
    with gzip.open(PURCHASES, "rt") as whole, path.open("w") as part:
        part.write(next(whole))
        part.writelines(line for line in whole if int(line.split(",", 1)[0]) % EVERY == 0)
    return path


@pytest.fixture(scope="module")
def ran(sample: Path) -> Backtest:
    recording = Recording(
        path=sample,
        zone=ZoneInfo("UTC"),
        columns={"user_id": "customer_id", "timestamp": "date"},
        event="Order Completed",
    )
    draft = Draft(project=open_project(ROOT), journey="win_back", consents_all=True)
    return draft.run(recording, survey(recording))


@pytest.fixture(scope="module")
def counted(sample: Path) -> Iterator[sqlite3.Row]:
    with sqlite3.connect(":memory:") as database, sample.open() as file:
        database.row_factory = sqlite3.Row
        database.execute("CREATE TABLE purchases (customer TEXT, day INTEGER)")
        database.executemany(
            "INSERT INTO purchases VALUES (?1, julianday(?2) - 0.5)",
            ((row["customer_id"], f"{date.fromisoformat(row['date'])}") for row in csv.DictReader(file)),
        )
        (last,) = database.execute("SELECT max(day) FROM purchases").fetchone()
        yield database.execute(LAPSES, {"last": last}).fetchone()
    database.close()


def test_as_many_lapses_fire_as_sql_finds(ran: Backtest, counted: sqlite3.Row) -> None:
    assert ran.enrollments == counted["enrollments"] > 1000
    assert ran.entered == counted["entered"]
    assert ran.refusals == {}


def test_as_many_nudges_go_out_as_sql_finds(ran: Backtest, counted: sqlite3.Row) -> None:
    sent = {step: outcomes["sent"] for (_, step, _), outcomes in ran.outcomes.items()}
    assert sent == {"miss_you": counted["miss_you"], "gift": counted["gift"]}
    assert len(ran.messages) == counted["miss_you"] + counted["gift"]


def test_as_many_end_by_coming_back_as_sql_finds(ran: Backtest, counted: sqlite3.Row) -> None:
    assert ran.endings["goal"] == counted["goal"] > 100
    assert ran.endings["completed"] == counted["gift"]
    assert ran.endings["active"] == counted["enrollments"] - counted["goal"] - counted["gift"]
    assert ran.converted == counted["converted"]


def test_the_whole_history_is_there() -> None:
    recording = Recording(
        path=PURCHASES,
        zone=ZoneInfo("UTC"),
        columns={"user_id": "customer_id", "timestamp": "date"},
        event="Order Completed",
    )
    seen = survey(recording)
    assert (seen.events, len(seen.people)) == (69_659, 23_570)
    assert (f"{seen.first:%Y-%m-%d}", f"{seen.last:%Y-%m-%d}") == ("1997-01-01", "1998-06-30")
    assert not seen.is_in_order
