"""Files of rows as people have them, another database, and the command that takes them in."""

from __future__ import annotations

import csv
import gzip
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pytest
from pyarrow import parquet

from engine.errors import BadInput, NotFound
from engine.events.importing.files import open_rows
from engine.events.importing.profiles import ProfileRows
from engine.events.importing.rows import Row
from engine.storage import foreign
from tests.waiting import PATIENCE
from workers.bootstrap import Installation, open_project
from workers.cli.main import run
from workers.settings import Settings

SOJOURN = Path(sys.executable).with_name("sojourn")
PROJECT = """
project: shop
timezone: Europe/Madrid
locale: en
database: sqlite:///.sojourn/sojourn.db
channels:
  email: {use: inbox, kind: email, from: "Shop <hello@shop.example>"}
topics:
  news: {title: "News", channels: [email]}
attributes:
  visits: number
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return project_in(tmp_path)


def project_in(path: Path) -> Path:
    path.mkdir(exist_ok=True)
    (path / "sojourn.yml").write_text(PROJECT)
    (path / "journeys").mkdir()
    with Installation(open_project(path, {}), Settings(project_key=bytes(32)), is_migrating=True):
        (path / ".sojourn" / "project.key").write_text(bytes(32).hex())
    return path


def read(path: Path, content: bytes, **options: Any) -> list[Row]:
    path.write_bytes(content)
    with open_rows(path, **options) as file:
        return list(file.rows)


def cells(path: Path, content: bytes, **options: Any) -> list[Any]:
    return [row.problem.code if row.problem else dict(row.cells) for row in read(path, content, **options)]


# ── files ────────────────────────────────────────────────────────────────────────────────────────────────────────────
ANA = [{"id": "ana", "name": "Añá"}]


@pytest.mark.parametrize(
    ("name", "content", "options"),
    [
        ("plain.csv", "id,name\nana,Añá\n".encode(), {}),
        ("marked.csv", "id,name\nana,Añá\n".encode("utf-8-sig"), {}),
        ("excel.csv", "id;name\r\nana;Añá\r\n".encode("utf-16"), {}),
        ("unmarked.csv", "id,name\nana,Añá\n".encode("utf-16-le"), {"encoding": "utf-16-le"}),
        ("western.csv", "id,name\nana,Añá\n".encode("cp1252"), {"encoding": "cp1252"}),
        ("tabs.tsv", "id\tname\nana\tAñá\n".encode(), {}),
        ("quoted.csv", '"id","name"\n"ana","Añá"\n\n'.encode(), {}),
        ("unnamed.csv", "id,name,,\nana,Añá,x,\n".encode(), {}),
        ("longer.csv", "id,name\nana,Añá,,\n".encode(), {}),
        ("packed.csv.gz", gzip.compress("id,name\nana,Añá\n".encode(), mtime=0), {}),
        ("packed.jsonl.gz", gzip.compress('{"id": "ana", "name": "Añá"}\n'.encode("utf-8-sig"), mtime=0), {}),
        ("lines.ndjson", '\n{"id": "ana", "name": "Añá"}\n\n'.encode(), {}),
    ],
)
def test_the_same_row_in_every_dress(name: str, content: bytes, options: dict[str, str], tmp_path: Path) -> None:
    assert cells(tmp_path / name, content, **options) == ANA


@pytest.mark.parametrize(
    ("name", "content", "codes"),
    [
        ("short.csv", b"id,name\nana\nbo,x\n", ["cells", {"id": "bo", "name": "x"}]),
        ("long.csv", b"id,name\nana,x,y\nbo,x\n", ["cells", {"id": "bo", "name": "x"}]),
        ("quotes.csv", b'id,name\n"ana"x,y\nbo,x\n', ["cells", {"id": "bo", "name": "x"}]),
        ("unclosed.csv", b'id,name\nbo,x\nana,"y\n', [{"id": "bo", "name": "x"}, "cells"]),
        ("huge.csv", b"id,name\nana," + b"x" * 200_000 + b"\nbo,x\n", ["cells", {"id": "bo", "name": "x"}]),
        ("broken.jsonl", b'{"id": \n[1]\nNaN\n{"id": NaN}\n{"id": 1}\n', ["json"] * 4 + [{"id": 1}]),
        ("deep.jsonl", b"[" * 100_000 + b'\n{"id": 1}\n', ["json", {"id": 1}]),
        ("lines.csv", b'id,name\nana,"two\nlines"\n', [{"id": "ana", "name": "two\nlines"}]),
        ("bytes.csv", b"id,name\nana,\xff\n", [{"id": "ana", "name": "\udcff"}]),
    ],
)  # fmt: skip
def test_a_broken_row_is_one_row_s_trouble(name: str, content: bytes, codes: list[Any], tmp_path: Path) -> None:
    assert cells(tmp_path / name, content) == codes


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("empty.csv", b"", "no headings"),
        ("twice.csv", b"id,id\n1,2\n", "two columns are called `id`"),
        ("unmarked.csv", "id,name\nana,x\n".encode("utf-16-le"), "NUL"),
        ("odd.csv", "id,name\nana,x\n".encode("utf-16") + b"\x00", "--encoding"),
        ("wide.csv", b"a," * 1_000_000 + b"\n", "no file of rows"),
        ("endless.jsonl", b"[" * 2_000_000, "no file of rows"),
        ("cut.csv.gz", gzip.compress(os.urandom(4_000).hex().encode() * 9)[:-500], "cannot be read to its end"),
        ("false.csv.gz", b"id,name\n", "cannot be read to its end"),
        ("table.xlsx", b"PK", "only .csv"),
        ("renamed.csv", b"PK\x03\x04\x14\x00id,name\n", "NUL"),
        ("photo.csv", b"\x89PNG\r\n\x1a\n", "--encoding"),
        ("sheet.csv", b"\x07\x01id,name\nana,x\n", "control characters"),
        ("western.csv", "id,größe\nana,x\n".encode("cp1252"), "--encoding"),
        ("none.csv", None, "no file"),
    ],
)
def test_a_file_that_is_none_is_unusable(name: str, content: bytes | None, words: str, tmp_path: Path) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises((BadInput, NotFound), match=words), open_rows(path) as file:
        list(file.rows)


def test_parquet_is_read_with_its_own_types_in_batches(tmp_path: Path) -> None:
    path = tmp_path / "people.parquet"
    instant = datetime(2026, 3, 2, 10, tzinfo=UTC)
    rows = [
        {"id": f"c{n}", "visits": n, "since": instant, "tags": ["a", "b"], "spent": Decimal("9.50"), "name": None}
        for n in range(2_500)
    ]
    parquet.write_table(pa.Table.from_pylist(rows), path, row_group_size=700)
    with open_rows(path) as file:
        assert list(file.headings or ()) == ["id", "visits", "since", "tags", "spent", "name"]
        assert not file.is_text
        assert [(row.number, dict(row.cells)) for row in file.rows] == list(enumerate(rows, 1))


def test_of_parquet_nanoseconds_are_cut_off_and_a_row_with_an_impossible_time_is_refused(tmp_path: Path) -> None:
    moments = pa.array([1_772_442_000_000_000_123, None, 1_772_442_000_000_000_000], pa.timestamp("ns", "UTC"))
    spans = pa.array([0, 400_000_000_000_000_000, 0], pa.timestamp("us", "UTC"))
    parquet.write_table(pa.table({"id": [1, 2, 3], "at": moments, "until": spans}), tmp_path / "rows.parquet")
    with open_rows(tmp_path / "rows.parquet") as file:
        rows = list(file.rows)
    at, began = datetime(2026, 3, 2, 9, 0, tzinfo=UTC), datetime(1970, 1, 1, tzinfo=UTC)
    assert [rows[0].cells, rows[2].cells] == [{"id": n, "at": at, "until": began} for n in (1, 3)]
    assert rows[1].problem is not None
    assert rows[1].problem.code == "cells"


def test_damaged_parquet_is_said_to_be(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    parquet.write_table(pa.table({"id": [str(number) for number in range(9_000)]}), path, compression="snappy")
    whole = path.read_bytes()
    path.write_bytes(whole[:4] + b"\xff" * 2_000 + whole[2_004:])
    with pytest.raises(BadInput, match="cannot be read to its end"), open_rows(path) as file:
        list(file.rows)


def test_profiles_are_imported_from_parquet(folder: Path, capsys: Any) -> None:
    people = [{"id": "ana", "email": "ana@example.com", "visits": 3}, {"id": "bo", "email": None, "visits": 4}]
    parquet.write_table(pa.Table.from_pylist(people), folder / "people.parquet", compression="gzip")
    assert run(["import", "profiles", "people.parquet"]) == 0
    assert "Took 2 of 2 rows" in capsys.readouterr().out
    assert sorted(people_in(folder)) == [("ana", "ana@example.com", {"visits": 3}), ("bo", None, {"visits": 4})]


def test_a_file_that_only_calls_itself_parquet_is_refused(tmp_path: Path) -> None:
    (tmp_path / "people.parquet").write_bytes(b"PAR1 and nothing more")
    with pytest.raises(BadInput, match="the file is no Parquet"), open_rows(tmp_path / "people.parquet"):
        pass


def test_parquet_without_its_library_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "people.parquet").write_bytes(b"PAR1")
    # What importing finds where the extra is not installed.
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(BadInput, match=r"sojourn\[parquet\]"), open_rows(tmp_path / "people.parquet"):
        pass


# ── another database ─────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.fixture
def shop_database(tmp_path: Path) -> str:
    with sqlite3.connect(tmp_path / "shop.db") as connection:
        connection.execute("CREATE TABLE customers (id INTEGER, mail TEXT, visits INTEGER)")
        connection.executemany("INSERT INTO customers VALUES (?, ?, ?)", [(1, "a@example.com", 3), (2, "no", 4)])
    connection.close()
    return f"sqlite:///{tmp_path / 'shop.db'}"


def test_rows_come_from_any_database_by_a_query(shop_database: str, folder: Path, capsys: Any) -> None:
    query = ["--from", shop_database, "--query", "SELECT id, mail AS email, visits FROM customers ORDER BY id"]
    assert run(["import", "profiles", *query, "--format", "json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["taken"], told["refused_by_code"]) == (1, {"address": 1})
    with Installation(open_project(folder, {}), Settings()) as installation, installation.store.transaction() as unit:
        found = unit.profiles.find_by("external", "1")
    assert found
    assert (found.email, found.attributes) == ("a@example.com", {"visits": 3})


@pytest.mark.parametrize(
    ("url", "statement", "words"),
    [
        ("nothing", "SELECT 1", "no database URL"),
        ("nosuch://u:canary@host/db", "SELECT 1", "no database URL"),
        ("sqlite:///{folder}/none.db", "SELECT 1", "there is no such file"),
        ("postgresql://u:canary@127.0.0.1:1/db", "SELECT 1", "did not answer"),
        ("{shop}", "SELECT * FROM nobody", "no such table"),
        ("{shop}", "DELETE FROM customers", "readonly"),
        ("{shop}", "DELETE FROM customers RETURNING id", "readonly"),
        ("{shop}", "DROP TABLE customers", "readonly"),
        ("{shop}", "BEGIN", "gives no rows"),
    ],
)
def test_a_database_or_a_query_that_cannot_be_used_is_said(
    url: str, statement: str, words: str, shop_database: str, tmp_path: Path
) -> None:
    with (
        pytest.raises(BadInput, match=words) as caught,
        foreign.query(url.format(shop=shop_database, folder=tmp_path), statement) as result,
    ):
        list(result.rows)
    assert "canary" not in str(caught.value)
    assert not (tmp_path / "none.db").exists()
    with foreign.query(shop_database, "SELECT count(*) AS n FROM customers") as result:
        assert list(result.rows) == [{"n": 2}]


@pytest.mark.parametrize(
    "statement", ["DELETE FROM people RETURNING id", "DROP TABLE people", "CREATE TABLE more (id int)"]
)
def test_a_query_changes_nothing_there(statement: str, postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        connection.execute("CREATE TABLE people AS SELECT 1 AS id")
    with pytest.raises(BadInput), foreign.query(postgres_url, statement) as result:
        list(result.rows)
    with psycopg.connect(postgres_url) as connection:
        assert connection.execute("SELECT id FROM people").fetchall() == [(1,)]
        assert connection.execute("SELECT to_regclass('more')").fetchone() == (None,)


def test_a_query_goes_there_as_it_is_written(shop_database: str, postgres_url: str) -> None:
    for url in (shop_database, postgres_url):
        with foreign.query(url, "SELECT 'a%' AS id, ':vip' AS note WHERE 'abc' LIKE 'a%' -- 100 %s :x") as result:
            assert list(result.rows) == [{"id": "a%", "note": ":vip"}]


# ── the command ──────────────────────────────────────────────────────────────────────────────────────────────────────
def test_exit_codes_say_all_taken_some_refused_unusable(folder: Path, capsys: Any) -> None:
    (folder / "good.csv").write_text("id,email,visits\nana,ana@example.com,3\n")
    (folder / "some.csv").write_text("id,email,visits\nana,ana@example.com,many\nbo,,1\n")
    (folder / "none.csv").write_text("email\nana@example.com\n")
    assert run(["import", "profiles", "good.csv"]) == 0
    assert "Took 1 of 1 rows" in capsys.readouterr().out
    assert run(["import", "profiles", "some.csv", "--map", "email="]) == 1
    told = capsys.readouterr().out
    assert "Columns left out: email" in told
    assert "`visits` must be a number" in told
    assert run(["import", "profiles", "none.csv"]) == 2
    assert "no column is `id`" in capsys.readouterr().err
    assert run(["import", "profiles"]) == 2
    assert run(["import", "profiles", "good.csv", "--from", "sqlite://"]) == 2
    assert run(["import", "events", "good.csv", "--timezone", "Mars/Olympus"]) == 2
    for name in (" ", "x" * 201, "a\nb"):
        assert run(["import", "events", "good.csv", "--event", name]) == 2
        assert "--event must be" in capsys.readouterr().err


EVENTS = "user_id,event,timestamp,properties.total\nana,Seen,2026-03-01T10:00:00Z,7\n"


@pytest.mark.parametrize(
    ("name", "content", "kind", "told"),
    [
        ("rows.csv", EVENTS, "profiles", "look like events (`event`, `properties.total`, `timestamp`)"),
        ("rows.csv", "id,properties.total\nana,7\n", "profiles", "look like events (`properties.total`)"),
        ("rows.jsonl", '{"id": "ana", "event": "Seen", "timestamp": 1}\n', "profiles", "`sojourn import events`"),
        ("rows.csv", "id,channel,topic\nana,email,news\n", "profiles", "look like consents (`channel`, `topic`)"),
        ("rows.csv", EVENTS, "consents", "look like events"),
        ("rows.csv", "id,action,channel,at\nana,withdraw,email,2026-03-01\n", "events", "look like consents"),
        ("rows.csv", "id,email\nana,a@example.com\n", "consents", "no column is `channel`"),
        ("rows.csv", "id,email\nana,a@example.com\n", "events", "no column is `event`"),
    ],
)
def test_rows_of_another_kind_are_refused_as_a_whole_and_say_where_they_belong(
    name: str, content: str, kind: str, told: str, folder: Path, capsys: Any
) -> None:
    (folder / name).write_text(content)
    assert run(["import", kind, name]) == 2
    assert told in capsys.readouterr().err
    assert people_in(folder) == []


def test_columns_that_only_look_like_another_kinds_are_taken_where_they_are_said_to_be_attributes(
    folder: Path, capsys: Any
) -> None:
    (folder / "rows.csv").write_text("id,event,timestamp\nana,fair,May\n")
    assert run(["import", "profiles", "rows.csv", "--map", "event=event", "--map", "timestamp=timestamp"]) == 0
    assert "does not name: event, timestamp" in capsys.readouterr().out
    assert [attributes for _, _, attributes in people_in(folder)] == [{"event": "fair", "timestamp": "May"}]


def test_own_fields_are_found_however_their_names_are_written_and_attributes_nobody_named_are_told(
    folder: Path, capsys: Any
) -> None:
    (folder / "people.csv").write_text("User ID,E-Mail,Visits,visits\nana,ana@example.com,many,3\n")
    assert run(["import", "profiles", "people.csv"]) == 0
    assert "Attributes that `sojourn.yml` does not name: Visits\n" in capsys.readouterr().out
    assert people_in(folder) == [("ana", "ana@example.com", {"Visits": "many", "visits": 3})]
    (folder / "people.jsonl").write_text('{"id": "bo", "Score": 1}\n{"ID": "cy", "chat.x": null, "plan": "pro"}\n')
    assert run(["import", "profiles", "people.jsonl", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["uncatalogued_columns"] == ["Score", "plan"]
    (folder / "consents.jsonl").write_text('{"id": "ana", "action": "object", "when": 1}\n')
    assert run(["import", "consents", "consents.jsonl", "--format", "json"]) == 1
    assert json.loads(capsys.readouterr().out)["unused_columns"] == ["when"]


def test_the_report_names_row_column_and_reason_and_no_spreadsheet_runs_it(folder: Path, capsys: Any) -> None:
    (folder / "people.csv").write_text("id,=visits\nana,3\nbo,many\n,4\n")
    arguments = ["import", "profiles", "people.csv", "--map", "=visits=visits", "--report"]
    assert run([*arguments, "report.csv"]) == 1
    with (folder / "report.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert [row[:3] for row in rows] == [
        ["row", "column", "code"], ["2", "'=visits", "type"], ["3", "id", "missing"],
    ]  # fmt: skip
    assert run([*arguments, "report.jsonl"]) == 1
    lines = [json.loads(line) for line in (folder / "report.jsonl").read_text().splitlines()]
    assert [(line["row"], line["column"], line["code"]) for line in lines] == [
        (2, "=visits", "type"), (3, "id", "missing"),
    ]  # fmt: skip
    assert run([*arguments, "report.xlsx"]) == 2
    capsys.readouterr()


def test_a_report_never_takes_the_place_of_what_is_read(folder: Path, capsys: Any) -> None:
    rows = "id,visits\nana,many\n"
    (folder / "people.csv").write_text(rows)
    (folder / "same.csv").hardlink_to(folder / "people.csv")
    for report in ("people.csv", "./people.csv", "same.csv"):
        assert run(["import", "profiles", "people.csv", "--report", report]) == 2
        assert "is the file that is read" in capsys.readouterr().err
    assert (folder / "people.csv").read_text() == rows


def test_a_row_that_holds_no_text_is_refused_wherever_in_it_that_stands(folder: Path, capsys: Any) -> None:
    """Half of a surrogate pair, or U+0000: neither can be shown, and the API refuses both."""
    odd = ["\\ud800", "\\u0000"]
    places = ('"%s": 1', '"note": "%s"', '"note": {"%s": 1}', '"note": [{"x": ["%s"]}]', '"attributes": {"%s": 1}')
    said = [place % each for each in odd for place in places]
    rows = [f'{{"id": "p{number}", {each}}}' for number, each in enumerate(said)]
    (folder / "people.jsonl").write_text("\n".join([*rows, '{"id": "ana", "note": "\\ud83d\\ude00"}']))
    assert run(["import", "profiles", "people.jsonl", "--report", "report.csv", "--format", "json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["taken"], told["refused_by_code"]) == (1, {"characters": 5, "encoding": 5})
    places = ('"properties": {"x": ["%s"]}', '"properties.%s": 1', '"%s": 1')
    said = [place % each for each in odd for place in places]
    rows = [f'{{"user_id": "ana", "event": "Seen", "timestamp": "2026-03-02T10:00:00Z", {each}}}' for each in said]
    (folder / "events.jsonl").write_text("\n".join(rows))
    assert run(["import", "events", "events.jsonl", "--report", "report.jsonl"]) == 1
    assert "Took 0 of 6 rows" in capsys.readouterr().out


def test_a_dry_run_leaves_nothing_behind(folder: Path, capsys: Any) -> None:
    (folder / "people.csv").write_text("id\nana\n")
    assert run(["import", "profiles", "people.csv", "--dry-run", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["is_dry_run"] is True
    assert people_in(folder) == []


def people_in(folder: Path) -> list[Any]:
    project = open_project(folder, {})
    with Installation(project, Settings()) as installation, installation.store.transaction() as unit:
        found = [unit.profiles.find(one) for one in unit.profiles.all_ids()]
        return [(one.external_id, one.email, one.attributes) for one in found if one]


@pytest.mark.timeout(900)
def test_an_import_killed_in_the_middle_goes_on_and_ends_as_one_that_was_not(tmp_path: Path) -> None:
    rows = 20_000
    lines = [f"c{n},c{n}@example.com,{'many' if n % 1_000 == 7 else n}" for n in range(rows)]
    text = "\n".join(["id,email,visits", *lines, ""])
    killed, whole = project_in(tmp_path / "killed"), project_in(tmp_path / "whole")
    for folder in (killed, whole):
        (folder / "people.csv").write_text(text)
    command = [SOJOURN, "import", "profiles", "people.csv", "--report", "report.jsonl", "--format", "json"]

    first = subprocess.Popen(command, cwd=killed, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    database = killed / ".sojourn" / "sojourn.db"
    while not _rows_done(database) > 3_000:
        assert first.poll() is None, "the import ended before it could be killed"
        time.sleep(0.02)
    first.send_signal(signal.SIGKILL)
    first.wait()

    second = subprocess.run(command, cwd=killed, capture_output=True, text=True, timeout=PATIENCE, check=False)
    told = json.loads(second.stdout)
    assert second.returncode == 1
    assert told["continued_after"] > 3_000
    assert (told["rows"], told["refused_by_code"]) == (rows, {"type": 20})
    # How far it came was committed with what it took: nothing was done again.
    assert (told["taken"], told["unchanged"]) == (rows - 20, 0)
    assert _rows_done(database) == 0

    undisturbed = subprocess.run(command, cwd=whole, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert json.loads(undisturbed.stdout)["taken"] == rows - 20
    assert people_in(killed) == people_in(whole)
    assert (killed / "report.jsonl").read_text() == (whole / "report.jsonl").read_text()


def _rows_done(database: Path) -> int:
    connection = sqlite3.connect(database)
    found = connection.execute("SELECT progress FROM imports").fetchall()
    connection.close()
    return int(json.loads(found[0][0])["rows"]) if found else 0


def test_an_import_into_another_database_begins_at_the_first_row(
    folder: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was killed, and the store was put elsewhere, or made anew, or an older backup of it brought back."""
    (folder / "people.csv").write_text("\n".join(["id", *(f"c{number}" for number in range(600)), ""]))
    (folder / "empty.db").write_bytes((folder / ".sojourn" / "sojourn.db").read_bytes())
    take = ProfileRows.take
    batches = iter(range(3))

    def die(*given: Any) -> Any:
        if next(batches) == 2:
            raise KeyboardInterrupt
        return take(*given)

    with monkeypatch.context() as patch:
        patch.setattr(ProfileRows, "take", die)
        assert run(["import", "profiles", "people.csv"]) == 130
    assert _rows_done(folder / ".sojourn" / "sojourn.db") == 500
    (folder / "empty.db").replace(folder / ".sojourn" / "sojourn.db")
    for name in ("sojourn.db-wal", "sojourn.db-shm"):
        (folder / ".sojourn" / name).unlink(missing_ok=True)
    capsys.readouterr()
    assert run(["import", "profiles", "people.csv", "--format", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["continued_after"], told["taken"], len(people_in(folder))) == (0, 600, 600)
