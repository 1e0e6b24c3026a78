"""Two drivers, one verdict: every scenario holds in virtual time, and on Temporal's time-skipping server.

The projects are the demo shop (the root of the repository) and every folder here that has a `sojourn.yml`:
`acceptance/` holds the specification's own examples.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from channels.registry import adapter_infos
from engine.language.project import load_project
from engine.project import Project
from engine.simulator.report import report_text
from engine.simulator.runner import Driver, Verdict, collect_scenarios, run_scenarios, virtual_driver
from engine.simulator.scenario import Scenario
from workers.simulation import TemporalDriver

HERE = Path(__file__).parent
FOLDERS = {"demo": HERE.parents[1]} | {path.parent.name: path.parent for path in sorted(HERE.glob("*/sojourn.yml"))}
PROJECTS = {name: load_project(folder, {}, adapter_infos()) for name, folder in FOLDERS.items()}


def scenarios_of(name: str, project: Project) -> list[Any]:
    scenarios, problems = collect_scenarios(project, [])
    assert not problems, problems
    return [pytest.param(name, each, id=f"{name}/{Path(each.file).stem}: {each.name}") for each in scenarios]


EVERY = [row for name, project in PROJECTS.items() for row in scenarios_of(name, project)]


def verdict(scenario: Scenario, driver: Driver) -> Verdict:
    (only,) = run_scenarios([scenario], driver)
    return only


@pytest.mark.parametrize(("project", "scenario"), EVERY)
def test_in_virtual_time(project: str, scenario: Scenario) -> None:
    came = verdict(scenario, virtual_driver(PROJECTS[project]))
    assert came.holds, report_text([came], 0)


@pytest.fixture(scope="module")
def temporal(request: pytest.FixtureRequest) -> Iterator[TemporalDriver]:
    """One server for all scenarios of a project."""
    with TemporalDriver(PROJECTS[request.param]) as driver:
        yield driver


@pytest.mark.temporal
@pytest.mark.parametrize(("temporal", "scenario"), EVERY, indirect=["temporal"], scope="module")
def test_on_temporal(temporal: TemporalDriver, scenario: Scenario) -> None:
    came = verdict(scenario, temporal)
    assert came.holds, report_text([came], 0)


def test_the_specifications_examples_are_all_here() -> None:
    assert sum(row.values[0] == "acceptance" for row in EVERY) == 116
