"""From seeds to a project that holds their journeys, and to their scenarios."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from channels.registry import adapter_infos
from engine.language.diagnostics import Problems
from engine.language.project import compile_project
from engine.project import Project
from engine.simulator.reading import read_scenarios
from engine.simulator.scenario import Scenario
from tests.scenarios.fuzz.happenings import scenario
from tests.scenarios.fuzz.journeys import Document, journeys
from tests.scenarios.fuzz.shop import project_file, remove_journeys, write_journeys, write_shop


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One seed's journeys and scenario, as authored."""

    seed: int
    journeys: list[Document]
    scenario: Document


def shop_of(seed: int) -> int:
    """The shop of a seed: ten of them share one, and its Temporal server."""
    return seed // 10 * 10


def cases(seeds: Sequence[int]) -> list[Case]:
    found = []
    for seed in seeds:
        random = Random(seed)
        documents = journeys(random, [f"s{seed}_{number}" for number in range(3)])
        found.append(Case(seed=seed, journeys=documents, scenario=scenario(random, f"s{seed}", documents)))
    return found


def build(folder: Path, found: Sequence[Case]) -> tuple[Project, list[Case]]:
    """The project of these cases, which share a shop; without those that `check` refuses."""
    (shop,) = {shop_of(case.seed) for case in found}
    write_shop(folder, project_file(Random(shop)))
    for case in found:
        write_journeys(folder, f"s{case.seed}", case.journeys)
    project, problems = compile_project(folder, {}, adapter_infos())
    refused = {Path(problem.file).stem for problem in problems if problem.is_error}
    for name in refused:
        remove_journeys(folder, name)
    if refused:
        project, problems = compile_project(folder, {}, adapter_infos())
    assert project is not None, problems
    return project, [case for case in found if f"s{case.seed}" not in refused]


def read(project: Project, document: Document) -> Scenario:
    problems = Problems()
    scenarios = read_scenarios("fuzz.yml", json.dumps(document).encode(), project, problems)
    assert scenarios, problems.sorted()
    return scenarios[0]
