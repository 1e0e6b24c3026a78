"""Verdicts are readable by people, by programs and by whatever shows a build's tests."""

from __future__ import annotations

import json
from xml.etree import ElementTree as ET

import pytest

from engine.language.diagnostics import Problems
from engine.simulator.reading import read_scenarios
from engine.simulator.report import report_json, report_junit, report_text
from engine.simulator.runner import Verdict, run_scenarios, virtual_driver
from tests.factories import plan, project, send, wait

SHOP = project(plan(wait(hours=1), send()))
BODY = """
start: 2026-03-02T10:00:00Z
profiles: [{id: ana, email: ana@example.com, consents: [{channel: email, topic: news}]}]
events: [{at: 0m, profile: ana, event: Cart Updated}]
"""
FILE = f"""
scenario: it holds{BODY}
expect: {{messages: [{{at: 1h, profile: ana}}]}}
---
scenario: "it <fails> & says why \\e[31m"{BODY}
expect: {{messages: [{{at: 2h, profile: ana}}]}}
---
scenario: it cannot be run{BODY}  # nobody has had that message yet
expect: {{messages: []}}
"""


@pytest.fixture(scope="module")
def verdicts() -> list[Verdict]:
    problems = Problems()
    text = FILE.replace(
        "events: [{at: 0m, profile: ana, event: Cart Updated}]\n  # nobody",
        "events: [{at: 0m, profile: ana, open: hello}]  # nobody",
    )
    scenarios = read_scenarios("journeys/tests/t.yml", text.encode(), SHOP, problems)
    assert problems.sorted() == []
    return list(run_scenarios(scenarios, virtual_driver(SHOP)))


def test_a_scenario_that_cannot_be_run_to_its_end_does_not_hold_and_stops_no_other(verdicts: list[Verdict]) -> None:
    assert [verdict.holds for verdict in verdicts] == [True, False, False]
    assert "nobody has had a message of step 'hello' by then" in str(verdicts[2].problem)


def test_the_text_shows_expected_and_actual_side_by_side_and_the_decisions(verdicts: list[Verdict]) -> None:
    text = report_text(verdicts, 1.25)
    assert "it holds" not in text
    assert "FAILS  journeys/tests/t.yml:9  it <fails>" in text
    assert "2h (2026-03-02T12:00:00Z)  profile=ana │ 1h (2026-03-02T11:00:00Z)  profile=ana" in text
    assert "1h (2026-03-02T11:00:00Z)  profile=ana  journey=cart  step=hello  channel=email  outcome=sent" in text
    assert text.splitlines()[-1] == "1 of 3 scenarios hold (1.2 s)"


def test_the_json_holds_every_verdict_and_no_body(verdicts: list[Verdict]) -> None:
    report = json.loads(report_json(verdicts, 1.25))
    assert (report["held"], report["failed"], report["seconds"]) == (1, 2, 1.25)
    assert [row["holds"] for row in report["scenarios"]] == [True, False, False]
    (mismatch,) = report["scenarios"][1]["mismatches"]
    assert mismatch["section"] == "messages"
    assert mismatch["expected"] == [{"at": "2026-03-02T12:00:00+00:00", "profile": "ana"}]
    assert mismatch["actual"][0]["at"] == "2026-03-02T11:00:00+00:00"
    assert not {"html", "text"} & set(mismatch["actual"][0])


def test_the_junit_report_is_well_formed_whatever_a_scenario_is_called(verdicts: list[Verdict]) -> None:
    suite = ET.fromstring(report_junit(verdicts, 1.25))
    assert suite.attrib == {"name": "sojourn", "tests": "3", "failures": "2", "time": "1.250"}
    cases = suite.findall("testcase")
    assert [case.get("line") for case in cases] == ["2", "9", "16"]
    assert str(cases[1].get("name")).startswith("it <fails> & says why")
    failures = [case.find("failure") for case in cases]
    assert failures[0] is None
    assert failures[1] is not None
    assert "1h (2026-03-02T11:00:00Z)" in str(failures[1].text)


def test_a_report_of_nothing_is_one_all_the_same() -> None:
    assert report_text([], 0) == "0 of 0 scenarios hold (0.0 s)"
    assert json.loads(report_json([], 0))["scenarios"] == []
    assert ET.fromstring(report_junit([], 0)).get("tests") == "0"
