"""A drafted journey over recorded events: what it reads, what it plays, what it compares."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from pyarrow import parquet

from engine.enrollment.planbook import Planbook
from engine.errors import BadInput, NotFound
from engine.plan.digest import plan_to_json
from engine.plan.model import Limit
from engine.project import Project
from engine.simulator.backtest import Backtest, Draft, Planned, Share, united
from engine.simulator.backtest_difference import compare
from engine.simulator.backtest_rows import RecordedEvent, Recording, instant, read_rows
from engine.simulator.backtest_survey import profiles_of, survey
from engine.storage.database import Database
from engine.store import JourneyRecord
from workers.bootstrap import open_project
from workers.cli.main import run
from workers.cli.shares import play_shares

ROOT = Path(__file__).parents[2]
MADRID = ZoneInfo("Europe/Madrid")
T0 = datetime(2026, 3, 2, 10, tzinfo=UTC)

HISTORY = """\
user_id,event,timestamp,cart_id,total
ana,Cart Updated,2026-03-02T10:00:00Z,c1,80
bo,Cart Updated,2026-03-02T10:10:00Z,c2,20
cy,Cart Updated,2026-03-02T10:20:00Z,c3,0
bo,Order Completed,2026-03-02T10:40:00Z,c2,20
ana,Page Viewed,2026-03-05T10:00:00Z,,
"""


@pytest.fixture(scope="module")
def shop() -> Project:
    return open_project(ROOT)


def _recording(folder: Path, text: str = HISTORY, name: str = "events.csv", **how: Any) -> Recording:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return Recording(path=path, zone=MADRID, **how)


def _run(draft: Draft, recording: Recording) -> Backtest:
    return draft.run(recording, survey(recording))


def _told(ran: Backtest) -> list[tuple[str, str, timedelta]]:
    return [(message.person, message.step, message.at - T0) for message in ran.messages]


# ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────────
ROW = {"user_id": "ana", "event": "Cart Updated", "timestamp": "2026-03-02T10:00:00Z", "cart_id": "c1", "total": 80}
EVENT = RecordedEvent("ana", "Cart Updated", T0, {"cart_id": "c1", "total": 80}, None, 1)


def test_csv_jsonl_and_parquet_say_the_same(tmp_path: Path) -> None:
    csv = f"{','.join(ROW)}\n{','.join(map(str, ROW.values()))}\n"
    assert list(_recording(tmp_path, csv)) == [EVENT]
    assert list(_recording(tmp_path, csv.replace(",", ";"), "semicolons.csv")) == [EVENT]
    assert list(_recording(tmp_path, f"{json.dumps(ROW)}\n\n", "events.jsonl")) == [EVENT]
    with gzip.open(tmp_path / "events.csv.gz", "wt") as file:
        file.write(csv)
    assert list(Recording(path=tmp_path / "events.csv.gz", zone=MADRID)) == [EVENT]
    parquet.write_table(pa.Table.from_pylist([ROW]), tmp_path / "events.parquet")
    assert list(Recording(path=tmp_path / "events.parquet", zone=MADRID)) == [EVENT]


def test_properties_come_as_json_beside_the_remaining_columns(tmp_path: Path) -> None:
    row = {**ROW, "properties": {"total": 90, "items": [1]}, "messageId": "m1"}
    [event] = _recording(tmp_path, json.dumps(row), "events.jsonl")
    assert event.properties == {"cart_id": "c1", "total": 90, "items": [1]}
    assert event.message_id == "m1"
    quoted = 'user_id,event,timestamp,properties\nana,X,2026-03-02T10:00:00Z,"{""a"": 1}"\n'
    [event] = _recording(tmp_path, quoted)
    assert event.properties == {"a": 1}


def test_columns_of_other_names_are_mapped_and_one_kind_of_event_is_named(tmp_path: Path) -> None:
    text = "\ufeffcustomer_id,day,dollars\n00042,20260302,11.50\n"
    recording = _recording(
        tmp_path, text, columns={"user_id": "customer_id", "timestamp": "day"}, event="Order Completed"
    )
    [event] = recording
    assert event.person == "00042", "an id that begins with zeros stays as it is"
    assert (event.event, event.properties) == ("Order Completed", {"dollars": 11.5})
    assert event.timestamp == datetime(2026, 3, 1, 23, tzinfo=UTC), "a date is its midnight in the project's zone"


@pytest.mark.parametrize(
    "written",
    [
        "2026-03-02T10:00:00Z", "2026-03-02 11:00:00", "2026-03-02T11:00:00+01:00", "2026-03-02 10:00:00 UTC",
        1772445600, 1772445600000, 1772445600.0, T0, datetime(2026, 3, 2, 11),  # noqa: DTZ001 (as Parquet has it)
    ],
)  # fmt: skip
def test_an_instant_may_be_written_in_any_common_way(written: object) -> None:
    assert instant(written, MADRID) == T0


@pytest.mark.parametrize("written", ["2026-03-02", 20260302, "20260302", date(2026, 3, 2)])
def test_a_date_is_its_local_midnight(written: object) -> None:
    assert instant(written, MADRID) == datetime(2026, 3, 1, 23, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "name", "how", "said"),
    [
        (HISTORY, "events.xlsx", {}, "only .csv, .tsv, .jsonl and .parquet can be read"),
        ("a,b\n1,2\n", "e.csv", {}, "no column is `user_id`; there are `a`, `b`: say --map user_id=COLUMN"),
        ("user_id,timestamp\n1,2\n", "e.csv", {}, 'or say --event "Order Completed"'),
        (HISTORY, "e.csv", {"columns": {"user_id": "who"}}, "there is no column `who`"),
        (HISTORY.replace("2026-03-02T10:40:00Z", "soon"), "e.csv", {}, "row 4: 'soon' is no timestamp"),
        (HISTORY.replace("\nbo,Cart", "\n,Cart"), "e.csv", {}, "row 2: `user_id` is empty"),
        ('{"user_id": 1}\nnothing\n', "e.jsonl", {"event": "X"}, "no column is `timestamp`"),
        ("nothing\n", "e.jsonl", {}, "row 1: the row is no JSON"),
        ("[1]\n", "e.jsonl", {}, "row 1: the row is no JSON object"),
        ('{"user_id": 1, "event": "X", "timestamp": 1, "properties": "{"}', "e.jsonl", {}, "no JSON object"),
        ("user_id,event,timestamp\n", "e.csv", {}, "e.csv holds no event"),
        ("user_id,event,timestamp\nana,X\n", "e.csv", {}, "e.csv, row 1: the row has 2 cells"),
    ],
)
def test_what_cannot_be_used_is_named_with_its_row(
    tmp_path: Path, text: str, name: str, how: dict[str, Any], said: str
) -> None:
    recording = _recording(tmp_path, text, name, **how)
    with pytest.raises(BadInput) as refused:
        survey(recording)
    assert said in str(refused.value)


def test_a_mapping_of_no_column_of_ours_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="map one of user_id, event"):
        Recording(path=tmp_path / "e.csv", zone=MADRID, columns={"who": "x"})
    with pytest.raises(NotFound, match="there is no file"):
        list(read_rows(tmp_path / "e.csv"))


def test_a_recording_in_another_encoding_is_refused_until_the_encoding_is_named(tmp_path: Path) -> None:
    path = tmp_path / "e.csv"
    path.write_bytes("user_id,event,timestamp\nañá,X,2026-03-02T10:00:00Z\n".encode("cp1252"))
    with pytest.raises(BadInput, match="row 1: `user_id` holds bytes that are no text in this encoding"):
        survey(Recording(path=path, zone=MADRID))
    assert [event.person for event in Recording(path=path, zone=MADRID, encoding="cp1252")] == ["añá"]


# ── playing ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_everybody_gets_what_the_journey_gives_them_if_all_consent(shop: Project, tmp_path: Path) -> None:
    ran = _run(Draft(project=shop, journey="abandoned_cart", consents_all=True), _recording(tmp_path))
    assert _told(ran) == [
        ("ana", "reminder", timedelta(hours=1)),
        ("ana", "last_call_sms", timedelta(hours=24)),
    ]
    assert (ran.enrollments, ran.entered, ran.converted) == (2, 2, 1)
    assert ran.endings == {"completed": 1, "exit": 1}
    assert ran.outcomes == {
        ("abandoned_cart", "reminder", "email"): {"sent": 1},
        ("abandoned_cart", "last_call_sms", "sms"): {"sent": 1},
    }
    assert ran.busiest_hour() == (datetime(2026, 3, 2, 11, tzinfo=UTC), 1)


def test_without_consent_nobody_is_written_to_and_the_record_says_why(shop: Project, tmp_path: Path) -> None:
    profiles = tmp_path / "profiles.jsonl"
    consents = [{"channel": "email", "topic": "cart"}]
    rows = [
        {"id": "ana", "email": "ana@example.com"},
        {"id": "dora", "email": "dora@example.com", "plan": "team", "consents": consents},
    ]
    profiles.write_text("\n".join(map(json.dumps, rows)))
    history = HISTORY + "dora,Cart Updated,2026-03-02T12:00:00Z,c4,20\nend,Page Viewed,2026-03-04T12:00:00Z,,\n"
    draft = Draft(project=shop, journey="abandoned_cart", people=profiles_of(profiles))
    ran = _run(draft, _recording(tmp_path, history))
    assert ran.outcomes["abandoned_cart", "reminder", "email"] == {"no_consent": 1, "sent": 1}
    assert [(message.person, message.step) for message in ran.messages] == [("dora", "reminder"), ("dora", "last_call")]


def test_an_entry_limit_counts_over_all_people(shop: Project, tmp_path: Path) -> None:
    plan = shop.plans["abandoned_cart"]
    limited = replace(plan, entry=replace(plan.entry, limit=Limit(at_most=1, per_seconds=3600)))
    project = replace(shop, plans={**shop.plans, plan.journey: limited})
    ran = _run(Draft(project=project, journey=plan.journey, consents_all=True), _recording(tmp_path))
    assert (ran.enrollments, ran.refusals) == (1, {"limit": 1})


def test_rows_out_of_order_are_played_in_order(shop: Project, tmp_path: Path) -> None:
    head, *rows = HISTORY.splitlines()
    shuffled = "\n".join([head, *reversed(rows)])
    draft = Draft(project=shop, journey="abandoned_cart", consents_all=True)
    one, other = _run(draft, _recording(tmp_path)), _run(draft, _recording(tmp_path, shuffled, "shuffled.csv"))
    assert not survey(_recording(tmp_path, shuffled, "shuffled.csv")).is_in_order
    assert (one.messages, one.endings, one.outcomes) == (other.messages, other.endings, other.outcomes)


def test_the_clock_stops_with_the_last_event(shop: Project, tmp_path: Path) -> None:
    history = "\n".join(HISTORY.splitlines()[:5])
    ran = _run(Draft(project=shop, journey="abandoned_cart", consents_all=True), _recording(tmp_path, history))
    assert ran.messages == ()
    assert ran.endings == {"active": 1, "exit": 1}


def test_profiles_are_read_with_their_own_fields_and_attributes(tmp_path: Path) -> None:
    file = tmp_path / "profiles.csv"
    file.write_text("user_id,email,timezone,plan,seats\n7,a@example.com,Asia/Tokyo,team,12\n8,,,,\n")
    people = profiles_of(file)
    assert (people["7"].email, people["7"].timezone) == ("a@example.com", "Asia/Tokyo")
    assert people["7"].attributes == {"plan": "team", "seats": 12}
    assert people["8"].attributes == {}
    file.write_text("email\na@example.com\n")
    with pytest.raises(BadInput, match="profiles, row 1: no id"):
        profiles_of(file)


def test_people_shared_out_among_processes_come_to_the_same(shop: Project, tmp_path: Path) -> None:
    recording = _recording(tmp_path)
    seen = survey(recording)
    draft = Draft(project=shop, journey="abandoned_cart", consents_all=True)
    whole, shared = draft.run(recording, seen), play_shares(draft, recording, seen, "events", processes=2)
    parts = [draft.run(recording, seen, share=Share(number, 5)) for number in range(5)]
    assert united(parts) == replace(shared, version=whole.version)
    assert united(parts) == whole
    assert sum(bool(part.enrollments) for part in parts) > 1, "no share has all of them"


def test_an_entry_limit_keeps_all_people_in_one_world(shop: Project) -> None:
    plan = shop.plans["abandoned_cart"]
    limited = replace(plan, entry=replace(plan.entry, limit=Limit(at_most=1, per_seconds=3600)))
    project = replace(shop, plans={**shop.plans, plan.journey: limited})
    assert Draft(project=shop, journey=plan.journey).is_divisible
    assert not Draft(project=project, journey=plan.journey).is_divisible


# ── comparing ────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_difference_tells_messages_more_fewer_and_moved(shop: Project, tmp_path: Path) -> None:
    recording = _recording(tmp_path)
    after = _run(Draft(project=shop, journey="abandoned_cart", consents_all=True), recording)

    def message(person: str, step: str, hours: int) -> Planned:
        return Planned(
            at=T0 + timedelta(hours=hours), person=person, journey="abandoned_cart", step=step,
            channel="email" if step == "reminder" else "sms", subject=None,
        )  # fmt: skip

    before = replace(after, messages=(message("ana", "reminder", 2), message("bo", "reminder", 1)))
    difference = compare(before, after)
    assert [m.step for m in difference.added] == ["last_call_sms"]
    assert [m.person for m in difference.removed] == ["bo"]
    assert [(one.at - T0, other.at - T0) for one, other in difference.moved] == [
        (timedelta(hours=2), timedelta(hours=1))
    ]
    assert difference.same == 0
    assert compare(after, after).same == 2


# ── the command ──────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.fixture
def drafted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The shop's journeys with a store of their own, in which an earlier version of abandoned_cart is deployed."""
    monkeypatch.setenv("SOJOURN_DATABASE", f"sqlite:///{tmp_path / 'shop.db'}")
    monkeypatch.setenv("SOJOURN_PROJECT_KEY", "0" * 64)
    project = open_project(ROOT)
    plan = replace(project.plans["abandoned_cart"], goal=None)
    first = plan.steps[str(plan.first)]
    earlier = replace(plan, steps={**plan.steps, first.step_id: replace(first, condition="false")})
    version = Planbook(replace(project, plans={plan.journey: earlier})).digest(plan.journey)
    store = Database(project.database)
    store.migrate()
    with store.transaction() as unit:
        unit.journeys.save_plan(version, plan.journey, plan_to_json(earlier))
        unit.journeys.save(
            JourneyRecord(journey=plan.journey, digest=version, state="active", deployed_at=T0, changed_at=T0)
        )
    store.close()
    (tmp_path / "version").write_text(version)
    return tmp_path


def _command(folder: Path, *more: str) -> int:
    (folder / "events.csv").write_text(HISTORY)
    events = str(folder / "events.csv")
    return run(["backtest", "abandoned_cart", "--project", str(ROOT), "--events", events, "--consent-all", *more])


def test_the_text_tells_counts_outcomes_the_busiest_hour_and_who(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _command(tmp_path, "--limit", "1") == 0
    out = capsys.readouterr().out
    assert "over 5 events of 3 people, 2026-03-02 to 2026-03-05 (Europe/Madrid)" in out
    assert "2 enrollments of 2 people; 1 reached the goal" in out
    assert "ended: completed 1, exit 1" in out
    assert "2 messages to 1 people; the busiest hour is Mon 2026-03-02 12:00 with 1 of them" in out
    assert "2026-03-02 Mon 12:00  ana  reminder  email    You left something in your cart" in out
    assert "… and 1 more" in out


def test_the_json_has_every_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _command(tmp_path, "--format", "json") == 0
    document = json.loads(capsys.readouterr().out)
    assert [(m["profile"], m["step"]) for m in document["messages"]] == [("ana", "reminder"), ("ana", "last_call_sms")]
    assert document["busiest_hour"] == {"from": "2026-03-02T11:00:00Z", "messages": 1}


@pytest.mark.parametrize("against", ["deployed", "VERSION"])
def test_the_difference_to_a_deployed_version_is_told(
    drafted: Path, capsys: pytest.CaptureFixture[str], against: str
) -> None:
    version = (drafted / "version").read_text()
    assert _command(drafted, "--against", against.replace("VERSION", version), "--format", "json") == 0
    difference = json.loads(capsys.readouterr().out)["difference"]
    # The earlier version did not wait: bo, who orders within the hour, was written to as well.
    assert [(m["profile"], m["step"]) for m in difference["removed"]] == [("bo", "reminder")]
    assert [(m["profile"], m["before"]) for m in difference["moved"]] == [
        ("ana", "2026-03-02T10:00:00Z"),
        ("ana", "2026-03-03T09:00:00Z"),
    ]
    assert _command(drafted, "--against", against.replace("VERSION", version)) == 0
    assert "0 messages the same, 0 more, 1 fewer, 2 at another moment" in capsys.readouterr().out


def test_another_projects_folder_serves_as_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _command(tmp_path, "--against", str(ROOT)) == 0
    assert "2 messages the same, 0 more, 0 fewer, 0 at another moment" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--map", "user_id"), "write OURS=COLUMN"),
        (("--against", "0123"), "no deployed version and no folder is '0123'"),
    ],
)
def test_options_that_mean_nothing_are_refused(
    drafted: Path, capsys: pytest.CaptureFixture[str], more: tuple[str, ...], said: str
) -> None:
    assert _command(drafted, *more) == 2
    assert said in capsys.readouterr().err
