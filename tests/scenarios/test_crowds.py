"""Many people due at one instant, while others come in."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from engine.simulator.report import report_text
from engine.simulator.runner import collect_scenarios, run_scenarios
from workers.bootstrap import open_project
from workers.simulation import TemporalDriver

PROJECT = """
project: crowd
timezone: UTC
database: sqlite:///.sojourn/sojourn.db
channels: {email: {use: inbox, kind: email}}
topics: {orders: {title: Orders, kind: transactional, basis: contract}}
"""
WAITING = """
journey: waiting
topic: orders
trigger: {event: Waited}
steps: [{wait: 1h}, {set: {waited: true}}]
"""
COMING = """
journey: coming
topic: orders
trigger: {event: Came}
steps: [{set: {came: true}}]
"""
CROWD, COMERS = 110, 5


@pytest.mark.temporal
def test_those_who_wait_for_their_turn_keep_no_room_from_those_whose_turn_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Timers fire on the server while the rows of their instant are still taken in, as on a slow machine."""
    monkeypatch.setattr("workers.simulation._BEFORE", timedelta(milliseconds=1))
    people = [f"p{number}" for number in range(CROWD)]
    rows = [f"  - {{at: 0m, profile: {each}, event: Waited}}" for each in people]
    rows += [f"  - {{at: 60m, profile: {each}, event: Came}}" for each in people[:COMERS]]
    ended = [f"    - {{profile: {each}, journey: waiting, state: ended, reason: completed}}" for each in people]
    ended += [
        f"    - {{profile: {each}, journey: coming, state: ended, reason: completed}}" for each in people[:COMERS]
    ]
    scenario = "\n".join(
        [
            "scenario: a crowd at one instant",
            "start: 2026-03-02T10:00:00Z",
            "until: 2h",
            "profiles:",
            *(f"  - {{id: {each}}}" for each in people),
            "events:",
            *rows,
            "expect:",
            "  enrollments:",
            *ended,
            "",
        ]
    )
    (tmp_path / "journeys" / "tests").mkdir(parents=True)
    (tmp_path / "sojourn.yml").write_text(PROJECT)
    (tmp_path / "journeys" / "waiting.yml").write_text(WAITING)
    (tmp_path / "journeys" / "coming.yml").write_text(COMING)
    (tmp_path / "journeys" / "tests" / "crowd.yml").write_text(scenario)
    project = open_project(tmp_path)
    (crowd,), problems = collect_scenarios(project, [])
    assert not problems
    with TemporalDriver(project) as driver:
        [came] = run_scenarios([crowd], driver)
    assert came.holds, report_text([came], 0)
