"""`sojourn why`, `deliveries`, `enrollments`, `consent`, `suppressions`, `profile`, `keys`, against a real store."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from engine import ids
from engine.delivery.circuit import Circuit
from engine.delivery.model import Delivery
from engine.plan.effects import Perform
from engine.store import JourneyRecord
from engine.web.access import key_hash
from workers.bootstrap import Installation, open_project
from workers.cli.main import run
from workers.settings import Settings

FILES = {
    "sojourn.yml": """
project: shop
timezone: Europe/Madrid
locale: en
database: sqlite:///.sojourn/sojourn.db
channels:
  email: {use: inbox, kind: email, from: "Shop <hello@shop.example>"}
topics:
  cart: {title: "Cart reminders", channels: [email]}
""",
    "journeys/cart.yml": """
journey: cart
topic: cart
trigger: {event: Cart Updated}
entry: {again: never}
steps:
  - {send: email, id: reminder, template: reminder}
""",
    "templates/email/reminder.html": """---
subject: Your cart waits
---
<p>Hello! <a href="{{ links.unsubscribe }}">Unsubscribe</a></p>
""",
}

Sojourn = Callable[..., tuple[int, str, str]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, content in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content.lstrip("\n"))
    (tmp_path / ".sojourn").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def opened(folder: Path, *, is_migrating: bool = False) -> Installation:
    return Installation(open_project(folder, {}), Settings(), is_migrating=is_migrating)


@pytest.fixture
def shop(folder: Path) -> Path:
    """Ana has no consent: her cart led to a decision, and a second one to a refusal."""
    now = datetime.now(UTC)
    with opened(folder, is_migrating=True) as installation:
        engine, store = installation.engine, installation.store
        engine.operations.deploy(now)
        with store.transaction() as unit:
            ana = engine.intake.ensure(unit, "external", "ana", now)
            engine.intake.set_attributes(unit, ana, {"email": "ana@example.com"}, now)
        for number in range(2):
            at = now + timedelta(seconds=number)
            with store.transaction() as unit:
                engine.intake.track(
                    unit, user_id="ana", name="Cart Updated", properties={}, timestamp=at, message_id=f"m{number}",
                    now=at,
                )  # fmt: skip
            engine.router.route_all(at)
            with store.transaction() as unit:
                live = unit.enrollments.active(ana.profile_id)
            for enrollment in live:
                step = Perform(step_id="reminder", visit=1, attempt=1, reached_at=at)
                engine.performer.perform(enrollment.enrollment_id, step, at)
                engine.performer.finish(enrollment.enrollment_id, "completed", at)
    return folder


@pytest.fixture
def sojourn(shop: Path, capsys: pytest.CaptureFixture[str]) -> Sojourn:
    """Runs a command line: exit code, standard output, standard error."""

    def call(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = run(arguments)
        written = capsys.readouterr()
        return code, written.out, written.err

    return call


# ── why ──────────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_why_tells_of_the_message_not_sent_and_the_entry_refused(sojourn: Sojourn) -> None:
    code, out, _ = sojourn("why", "ana", "cart")
    assert code == 0
    assert "not sent: no valid consent for this topic and channel" in out
    assert "consent_reason no_grant" in out
    assert "not enrolled: the re-entry rule does not let this person in yet" in out


def test_why_takes_an_email_and_answers_programs(sojourn: Sojourn) -> None:
    code, out, _ = sojourn("why", "ana@example.com", "--format", "json")
    document = json.loads(out)
    assert code == 0
    assert document["profile"]["external_id"] == "ana"
    assert {"no_consent", "again", "entered"} <= {line["code"] for line in document["lines"]}


def test_why_of_somebody_unknown_is_unusable_and_of_an_untouched_journey_is_a_no(sojourn: Sojourn, shop: Path) -> None:
    code, out, err = sojourn("why", "nobody")
    assert (code, out) == (2, "")
    assert "no profile has this id" in err
    with opened(shop) as installation, installation.store.transaction() as unit:
        now = installation.clock()
        unit.journeys.save(JourneyRecord(journey="gone", digest="v1", state="retired", deployed_at=now, changed_at=now))
    assert sojourn("why", "ana", "gone")[0] == 1


@pytest.mark.parametrize("verb", [("why", "ana", "carts"), ("deliveries", "--journey", "carts")])
def test_a_journey_that_nobody_knows_is_named_rather_than_found_idle(sojourn: Sojourn, verb: tuple[str, ...]) -> None:
    code, out, err = sojourn(*verb)
    assert (code, out) == (2, "")
    assert "there is no journey `carts`; this project has: cart" in err
    assert sojourn("enrollments", "--journey", "carts")[0] == 2


def test_enrollments_and_deliveries_are_listed(sojourn: Sojourn) -> None:
    code, out, _ = sojourn("enrollments", "--profile", "ana", "--format", "json")
    assert code == 0
    assert [(row["journey"], row["reason"]) for row in json.loads(out)["enrollments"]] == [("cart", "completed")]
    assert "cart" in sojourn("enrollments")[1]
    assert sojourn("deliveries", "--profile", "ana") == (0, "No delivery.\n", "")


def test_tables_call_people_as_the_shop_does_and_tell_seconds_and_json_is_exact(
    sojourn: Sojourn, doubtful: str, shop: Path
) -> None:
    with opened(shop) as installation, installation.store.transaction() as unit:
        ana = unit.profiles.find_by("external", "ana")
        assert ana is not None
        delivery = unit.deliveries.find(doubtful)
        assert delivery is not None
        unit.deliveries.save(replace(delivery, sent_at=datetime(2026, 3, 2, 10, 0, 0, 7, tzinfo=UTC)))
        installation.engine.ledger.withdraw(
            unit, profile=ana, occurred_at=installation.clock(), now=installation.clock()
        )
    for verb in (("enrollments",), ("deliveries",), ("consent", "log"), ("keys", "list")):
        code, shown, _ = sojourn(*verb)
        assert (code, ana.profile_id in shown) == (0, False)
        assert re.search(r"\d\.\d+Z", shown) is None
        assert verb == ("keys", "list") or " ana " in shown
    (row,) = json.loads(sojourn("deliveries", "--format", "json")[1])["deliveries"]
    assert (row["profile_id"], row["sent_at"]) == (ana.profile_id, "2026-03-02T10:00:00.000007Z")


# ── in doubt ─────────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.fixture
def doubtful(shop: Path) -> str:
    """A reminder to Ana of which nobody knows whether it went; the delivery's id."""
    at = datetime.now(UTC) - timedelta(minutes=5)
    with opened(shop) as installation, installation.store.transaction() as unit:
        ana = unit.profiles.find_by("external", "ana")
        assert ana is not None
        (enrollment,) = unit.enrollments.of(profile_id=ana.profile_id)
        delivery = Delivery(
            delivery_id=ids.delivery_id(enrollment.enrollment_id, "reminder", 1),
            enrollment_id=enrollment.enrollment_id, journey="cart", profile_id=ana.profile_id, step_id="reminder",
            visit=1, channel="email", via="email", topic="cart", template="reminder", status="in_doubt",
            to="ana@example.com", is_marketing=True, claimed_at=at, first_attempt_at=at, attempts=1,
        )  # fmt: skip
        unit.deliveries.save(delivery)
    return delivery.delivery_id


def test_deliveries_are_found_by_status_and_channel(sojourn: Sojourn, doubtful: str) -> None:
    for arguments, found in (
        ([], [doubtful]),
        (["--status", "in_doubt", "--channel", "email", "--journey", "cart", "--profile", "ana"], [doubtful]),
        (["--status", "sent"], []),
    ):
        code, out, _ = sojourn("deliveries", *arguments, "--format", "json")
        assert (code, [row["delivery_id"] for row in json.loads(out)["deliveries"]]) == (0, found)
    code, _, err = sojourn("deliveries", "--channel", "sms")
    assert code == 2
    assert "there is no channel `sms`; this project has: email" in err
    code, _, err = sojourn("deliveries", "--status", "doubtful")
    assert code == 2
    assert "no delivery is ever `doubtful`: statuses are claimed, retrying, sent" in err


def test_a_doubt_is_resolved_once_and_why_tells_by_whom(sojourn: Sojourn, doubtful: str) -> None:
    said = ("deliveries", "resolve", doubtful, "--sent", "--note", "seen in their log", "--actor", "maria")
    assert sojourn(*said) == (0, f"{doubtful} is sent\n", "")
    assert sojourn(*said) == (0, f"{doubtful} is sent, as it was already\n", "")
    assert "maria resolved the message in doubt as `sent`: seen in their log" in sojourn("why", "ana")[1]
    code, out, err = sojourn("deliveries", "resolve", doubtful, "--failed", "--format", "json")
    assert (code, json.loads(out)) == (1, {"deliveries": []})
    assert f"delivery {doubtful} is not in doubt: it is `sent`" in err


def test_a_resend_is_decided_anew(sojourn: Sojourn, doubtful: str) -> None:
    code, out, err = sojourn("deliveries", "resolve", doubtful, "--resend")
    assert (code, out) == (1, "")
    assert "not sent, and still in doubt: `no_consent` by now" in err
    consent = ("--channel", "email", "--topic", "cart", "--source", "form:checkout", "--wording", "v1")
    sojourn("consent", "grant", "ana", *consent, "--evidence", "form", "--evidence", "page=/checkout")
    code, out, _ = sojourn("deliveries", "resolve", doubtful, "--resend", "--format", "json")
    (row,) = json.loads(out)["deliveries"]
    assert (code, row["status"], row["attempts"], row["changed"]) == (0, "sent", 2, True)


@pytest.mark.parametrize("words", [(), ("--sent", "--failed")])
def test_a_resolution_is_one_thing(sojourn: Sojourn, doubtful: str, words: tuple[str, ...]) -> None:
    code, _, err = sojourn("deliveries", "resolve", doubtful, *words)
    assert code == 2
    assert "--sent, --resend or --failed" in err
    assert sojourn("deliveries", "resolve", "dnone", "--sent")[0] == 2


# ── channels ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_channels_tells_how_each_provider_does(sojourn: Sojourn, shop: Path) -> None:
    _, out, _ = sojourn("channels", "--format", "json")
    (row,) = json.loads(out)["channels"]
    assert (row["channel"], row["state"], row["since"], row["waiting"]) == ("email", "works", None, 0)
    at = datetime(2026, 3, 2, 10, tzinfo=UTC)
    refused = "http 401: bad_credentials"
    with opened(shop) as installation, installation.store.transaction() as unit:
        known = Circuit(channel="email", state="open", reason="account", error=refused, opened_at=at, probe_at=at)
        unit.circuits.save(known)
    (row,) = json.loads(sojourn("channels", "--format", "json")[1])["channels"]
    assert (row["state"], row["since"], row["error"]) == ("account", "2026-03-02T10:00:00Z", refused)
    code, out, _ = sojourn("channels")
    assert code == 0
    assert out.splitlines()[0].split()[:4] == ["channel", "adapter", "backup", "state"]
    assert refused in out.splitlines()[1]


def test_channels_of_a_project_without_a_store_says_so_and_lists_the_adapters(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["channels", "--project", str(folder)]) == 0
    written = capsys.readouterr()
    assert "run `sojourn migrate`" in written.err
    assert written.out.startswith("adapter")


# ── consent ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_grant_a_withdrawal_and_the_log_of_both(sojourn: Sojourn) -> None:
    granted = sojourn(
        "consent", "grant", "ana", "--channel", "email", "--topic", "cart", "--source", "form:checkout", "--wording",
        "v1", "--evidence", "form", "--evidence", "page=/checkout",
    )  # fmt: skip
    assert granted[0] == 0
    withdrawn = sojourn("consent", "withdraw", "ana", "--channel", "email", "--source", "phone-call")
    assert withdrawn[0] == 0
    rows = json.loads(sojourn("consent", "log", "ana", "--format", "json")[1])["consents"]
    assert [(row["action"], row["actor"], row["channel"], row["topic"], row["evidence"]) for row in rows] == [
        ("grant", "agent", "email", "cart", {"form": True, "page": "/checkout"}),
        ("withdraw", "agent", "email", None, {}),
    ]
    assert [row["consent_id"] for row in rows] == [granted[1].strip(), withdrawn[1].strip()]
    assert "form:checkout" in sojourn("consent", "log")[1]


@pytest.mark.parametrize("wrong", [("--channel", "emial"), ("--topic", "carts")])
def test_a_mistyped_withdrawal_is_refused_since_it_would_stop_nothing(sojourn: Sojourn, wrong: tuple[str, str]) -> None:
    code, out, err = sojourn("consent", "withdraw", "ana", "--source", "phone-call", *wrong)
    assert (code, out) == (2, "")
    assert f"`{wrong[1]}`; this project has: " in err
    assert json.loads(sojourn("consent", "log", "ana", "--format", "json")[1])["consents"] == []


def test_an_agent_cannot_lift_a_withdrawal(sojourn: Sojourn) -> None:
    sojourn("consent", "withdraw", "ana", "--source", "phone-call")
    code, _, err = sojourn(
        "consent", "grant", "ana", "--channel", "email", "--topic", "cart", "--source", "phone", "--wording", "v1"
    )
    assert code == 1
    assert "only the person" in err


@pytest.mark.parametrize("at", ["noon", "2026-03-02T10:00:00"])
def test_a_time_without_an_offset_is_unusable(sojourn: Sojourn, at: str) -> None:
    code, _, err = sojourn("consent", "withdraw", "ana", "--source", "phone-call", "--at", at)
    assert code == 2
    assert "--at must be a time with an offset" in err


def test_the_ledger_is_exported_for_programs_and_for_spreadsheets(sojourn: Sojourn, shop: Path) -> None:
    sojourn("consent", "withdraw", "ana", "--source", "=HYPERLINK(1)")
    lines = sojourn("consent", "export")[1].splitlines()
    assert [json.loads(line)["source"] for line in lines] == ["=HYPERLINK(1)"]
    assert sojourn("consent", "export", "--format", "csv", "--output", "ledger.csv")[0] == 0
    (row,) = csv.DictReader(io.StringIO((shop / "ledger.csv").read_bytes().decode(), newline=""))
    assert (row["action"], row["source"]) == ("withdraw", "'=HYPERLINK(1)")


# ── profiles ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_whoever_is_asked_before_an_erasure_is_told_of_whom(sojourn: Sojourn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    code, out, _ = sojourn("profile", "erase", "ana@example.com")
    assert code == 1
    assert "This cannot be undone. Erase ana (p" in out
    assert json.loads(sojourn("profile", "export", "ana")[1])["profile"]["erased_at"] is None


def test_a_person_is_exported_and_erased_and_their_address_stays_blocked(sojourn: Sojourn) -> None:
    exported = json.loads(sojourn("profile", "export", "ana")[1])
    assert exported["profile"]["email"] == "ana@example.com"
    assert sojourn("suppressions")[1] == "No address is blocked.\n"
    assert sojourn("profile", "erase", "ana", "--yes")[0] == 0
    assert json.loads(sojourn("profile", "export", "ana")[1])["profile"]["email"] is None
    blocked = json.loads(sojourn("suppressions", "--format", "json")[1])["suppressions"]
    assert [(row["channel_kind"], row["kind"]) for row in blocked] == [("email", "erased")]
    assert "ana" not in str(blocked)
    assert sojourn("why", "ana")[0] == 0


# ── keys ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_key_is_shown_once_and_kept_by_its_hash(sojourn: Sojourn, shop: Path) -> None:
    code, out, _ = sojourn("keys", "create", "web", "--scope", "ingest", "--scope", "ops")
    key = out.strip()
    assert code == 0
    assert key.startswith("sj_")
    with opened(shop) as installation, installation.store.transaction() as unit:
        known = unit.access.find_key(key_hash(key))
    assert known is not None
    assert known.scopes == ("ingest", "ops")
    assert key not in sojourn("keys", "list")[1]
    assert sojourn("keys", "create", "web", "--scope", "ingest")[0] == 1
    assert sojourn("keys", "revoke", "web")[0] == 0
    (row,) = json.loads(sojourn("keys", "list", "--format", "json")[1])["keys"]
    assert row["revoked_at"] is not None
    assert sojourn("keys", "revoke", "web")[0] == 2


def test_a_scope_that_is_none_is_refused(sojourn: Sojourn) -> None:
    code, _, err = sojourn("keys", "create", "web", "--scope", "root")
    assert code == 2
    assert "allowed are ingest author ops compliance" in err
