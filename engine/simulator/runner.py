"""Runs scenarios with a driver and gives each its verdict."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.errors import BadInput, SojournError
from engine.language.diagnostics import Diagnostic, Problems, Span
from engine.project import Project
from engine.simulator.observed import Observed, observe
from engine.simulator.reading import read_scenarios
from engine.simulator.scenario import Scenario
from engine.simulator.timeline import play
from engine.simulator.verdict import Mismatch, judge
from engine.simulator.virtual import VirtualCarrier
from engine.simulator.world import World
from engine.storage.memory import MemoryStore


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What became of one scenario."""

    scenario: Scenario
    mismatches: tuple[Mismatch, ...]
    observed: Observed | None
    #: Why it could not be run to its end, where that is so.
    problem: str | None = None

    @property
    def holds(self) -> bool:
        return not self.mismatches and self.problem is None


#: Plays one scenario and gives what came of it.
Driver = Callable[[Scenario], Observed]


def virtual_driver(project: Project) -> Driver:
    """The first driver: an in-memory store and clock."""

    def play_virtually(scenario: Scenario) -> Observed:
        world = World(project, scenario, MemoryStore())
        return observe(world, play(world, VirtualCarrier(world.engine, world.clock)))

    return play_virtually


def run_scenarios(scenarios: Iterable[Scenario], driver: Driver) -> Iterator[Verdict]:
    """One verdict after another."""
    for scenario in scenarios:
        try:
            observed = driver(scenario)
        except (SojournError, RuntimeError) as problem:
            yield Verdict(scenario=scenario, mismatches=(), observed=None, problem=str(problem))
            continue
        yield Verdict(scenario=scenario, mismatches=judge(scenario.expected, observed), observed=observed)


def collect_scenarios(project: Project, paths: Sequence[Path]) -> tuple[list[Scenario], list[Diagnostic]]:
    """Scenarios of files and folders (default: the project's `journeys/tests`), and what is wrong with them.

    Raises BadInput for a path that does not exist.
    """
    problems = Problems()
    scenarios: list[Scenario] = []
    for path in paths or [project.root / "journeys" / "tests"]:
        if not path.exists():
            raise BadInput(f"there is no {path}; scenarios stand in journeys/tests/*.yml")
        files = sorted(path.rglob("*.yml")) if path.is_dir() else [path]
        for file in files:
            scenarios.extend(read_scenarios(_shown(file, project.root), file.read_bytes(), project, problems))
    _unique(scenarios, problems)
    return scenarios, problems.sorted()


def _shown(file: Path, root: Path) -> str:
    try:
        return str(file.resolve().relative_to(root.resolve()))
    except ValueError:
        return str(file)


def _unique(scenarios: Sequence[Scenario], problems: Problems) -> None:
    first: dict[tuple[str, str], Scenario] = {}
    for scenario in scenarios:
        before = first.setdefault((scenario.file, scenario.name), scenario)
        if before is not scenario:
            place = Span(file=scenario.file, line=scenario.line, column=1)
            problems.error("SJ802", place, f"a scenario of this name begins in line {before.line}", "give it another")
