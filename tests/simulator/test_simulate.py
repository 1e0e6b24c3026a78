"""One person's path: every decision and why, in the person's own time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from workers.cli.main import run

ROOT = Path(__file__).parents[2]

ANA = """\
id: ana
email: ana@example.com
phone: "+34600111222"
timezone: America/New_York
consents: [{channel: email, topic: cart}, {channel: sms, topic: cart}]
"""
CART = """\
- {at: "2026-03-02T10:00:00Z", event: Cart Updated, properties: {cart_id: c1, total: 80}}
- {at: 3h, open: reminder}
- {at: 25h, event: Cart Updated, properties: {cart_id: c2, total: 20}}
- {at: 25h30m, event: Order Completed, properties: {cart_id: c2, total: 20, order_id: o1}}
"""


class Simulation:
    """Files in a folder, and the command over them."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capsys = capsys

    def run(self, profile: str = ANA, events: str = CART, *more: str, name: str = "events.yml") -> tuple[int, str, str]:
        (self.folder / "ana.yml").write_text(profile)
        (self.folder / name).write_text(events)
        files = ["--profile", str(self.folder / "ana.yml"), "--events", str(self.folder / name)]
        code = run(["simulate", "abandoned_cart", "--project", str(ROOT), *files, *more])
        told = self._capsys.readouterr()
        return code, told.out, told.err


@pytest.fixture
def simulation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Simulation:
    return Simulation(tmp_path, capsys)


def test_the_path_tells_what_came_in_what_was_decided_and_what_went_out_in_local_time(simulation: Simulation) -> None:
    code, out, _ = simulation.run()
    assert code == 0
    assert out.startswith("ana in abandoned_cart, times of America/New_York: 2 enrollments, 2 messages\n")
    in_order = [
        "Monday, 2 March 2026",
        "  05:00:00  » Cart Updated",
        "  05:00:00  abandoned_cart (c1): entered",
        "  05:00:00  abandoned_cart (c1) · wait@steps.0: waits until 2026-03-02 06:00:00",
        "  06:00:00  abandoned_cart (c1) · reminder: step reached",
        "  06:00:00  abandoned_cart (c1) · reminder: email: sent",
        "  06:00:00  ✉ email to ana@example.com: You left something in your cart",
        "  06:00:00  abandoned_cart (c1) · click: step reached",
        "  08:00:00  » Email Opened",
        "Tuesday, 3 March 2026",
        "  05:00:00  abandoned_cart (c1) · last_call_sms: sms: held back: quiet hours",
        "  06:30:00  abandoned_cart (c2): converted: the goal event came",
        "  09:00:00  abandoned_cart (c1) · last_call_sms: sms: sent",
        "  09:00:00  ✉ sms to +34600111222: Meridian Coffee: last call",
    ]
    place = 0
    for line in in_order:
        assert line in out[place:], line
        place = out.index(line, place)


def test_under_a_decision_stands_what_it_was_based_on(simulation: Simulation) -> None:
    _, out, _ = simulation.run()
    lines = out.splitlines()
    under = lines[lines.index("  06:00:00  abandoned_cart (c1) · reminder: email: sent") + 1]
    assert "topic cart, zone America/New_York" in under
    assert "consent_reason granted" in under
    assert "expires_at 2026-03-02 18:00:00" in under


def test_the_json_has_each_instant_in_utc_and_local(simulation: Simulation) -> None:
    code, out, _ = simulation.run(ANA, CART, "--format", "json")
    document = json.loads(out)
    assert code == 0
    assert [(m["step"], m["at"], m["local"]) for m in document["messages"]] == [
        ("reminder", "2026-03-02T11:00:00Z", "2026-03-02T06:00:00-05:00"),
        ("last_call_sms", "2026-03-03T14:00:00Z", "2026-03-03T09:00:00-05:00"),
    ]
    assert {line["kind"] for line in document["lines"]} == {"trail", "decision"}
    assert document["events"][0]["event"] == "Cart Updated"


def test_json_files_serve_as_well(simulation: Simulation) -> None:
    profile = json.dumps({"id": "bo", "email": "bo@example.com", "consents": [{"channel": "email", "topic": "cart"}]})
    event = {"at": "2026-03-02T10:00:00Z", "event": "Cart Updated", "properties": {"cart_id": "c", "total": 5}}
    code, out, _ = simulation.run(profile, json.dumps({"events": [event]}), name="events.json")
    assert code == 0
    assert "✉ email to bo@example.com" in out


RECORDED_CSV = """\
user_id,event,timestamp,cart_id,total
ana,Cart Updated,2026-03-02T10:00:00Z,c1,80
bo,Cart Updated,2026-03-02T10:00:00Z,other,80
"""
RECORDED_JSONL = """\
{"userId": "ana", "event": "Cart Updated", "timestamp": "2026-03-02T10:00:00Z", "properties": {"cart_id": "c1", "total": 80}}
{"userId": "bo", "event": "Cart Updated", "timestamp": "2026-03-02T10:00:00Z", "properties": {"cart_id": "other", "total": 80}}
"""  # noqa: E501


@pytest.mark.parametrize(("name", "events"), [("events.csv", RECORDED_CSV), ("events.jsonl", RECORDED_JSONL)])
def test_recorded_events_are_the_persons_own_alone(simulation: Simulation, name: str, events: str) -> None:
    code, out, _ = simulation.run(ANA, events, name=name)
    assert code == 0
    assert "cart_id c1, total 80" in out
    assert "cart_id other" not in out


def test_until_ends_the_path(simulation: Simulation) -> None:
    _, out, _ = simulation.run(ANA, CART, "--until", "2h")
    assert "reminder: email: sent" in out
    assert "Tuesday" not in out


def test_offsets_count_from_the_start_that_is_given(simulation: Simulation) -> None:
    events = "[{at: 0m, event: Cart Updated, properties: {cart_id: c1, total: 80}}]"
    code, out, _ = simulation.run(ANA, events, "--start", "2026-07-01T09:00:00")
    assert code == 0
    assert "Wednesday, 1 July 2026\n  03:00:00  » Cart Updated" in out, "09:00 in the project's zone"


def test_a_person_to_whom_nothing_happened_is_told_so(simulation: Simulation) -> None:
    code, out, _ = simulation.run(ANA, "[]")
    assert code == 0
    assert "Nothing came in, and nothing happened." in out


@pytest.mark.parametrize(
    ("profile", "events", "said"),
    [
        ("[]", CART, "a profile is a mapping"),
        (ANA, "{}", "events are a list of rows"),
        ("{id: ana, mail: a@example.com}", CART, "`mail` is not known here"),
        (ANA, "[{at: soon, event: X}]", "'soon' is no moment"),
        (ANA, "[{at: 0m, open: nowhere}]", "'nowhere' is no step of this project"),
    ],
)
def test_what_cannot_be_used_is_said_with_exit_code_2(
    simulation: Simulation, profile: str, events: str, said: str
) -> None:
    code, _, err = simulation.run(profile, events)
    assert code == 2
    assert said in err


def test_a_journey_that_is_none_is_refused_with_a_hint(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = str(tmp_path / "x")
    assert run(["simulate", "abandoned_card", "--project", str(ROOT), "--profile", file, "--events", file]) == 2
    assert "did you mean `abandoned_cart`?" in capsys.readouterr().err
