"""`sojourn test`: scenarios held, in virtual time or on Temporal; once, or again at every change."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from engine.errors import BadInput, SojournError
from engine.language.diagnostics import format_diagnostics
from engine.language.project_file import FILE
from engine.project import Project
from engine.simulator.report import report_json, report_junit, report_text
from engine.simulator.runner import Driver, Verdict, collect_scenarios, run_scenarios, virtual_driver
from workers.cli.console import progress, tell_error
from workers.cli.project import ProjectFolder, open_project

#: Seconds between two looks at the files.
_PAUSE = 0.3


def register(app: typer.Typer) -> None:
    app.command("test")(hold_scenarios)


def hold_scenarios(
    paths: Annotated[list[Path] | None, typer.Argument(help="Files or folders; default: journeys/tests.")] = None,
    project: ProjectFolder = Path(),
    driver: Annotated[
        Literal["virtual", "temporal"], typer.Option(help="virtual: in memory, fast; temporal: the real workflows.")
    ] = "virtual",
    form: Annotated[
        Literal["text", "json", "junit"], typer.Option("--format", help="How to print the verdicts.")
    ] = "text",
    only: Annotated[str | None, typer.Option("-k", help="Only scenarios whose name contains this.")] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Run again whenever a file changes, until Ctrl-C.")] = False,
) -> None:
    """Runs scenarios: exit 0 when all hold, 1 when some fail, 2 for unusable input."""

    chosen = paths or []

    def hold() -> int:
        return _hold(project, chosen, driver, form, only)

    watched = [project / FILE, project / "journeys", project / "templates", *chosen]
    code = _watched(hold, watched) if watch else hold()
    if code:
        raise typer.Exit(code)


def _hold(folder: Path, paths: list[Path], driver: str, form: str, only: str | None) -> int:
    """Runs the scenarios once and prints the verdicts; the exit code that they mean."""
    opened = open_project(folder)
    scenarios, problems = collect_scenarios(opened, paths)
    if problems:
        typer.echo(format_diagnostics(problems, "text", {}), err=True)
        return 2
    chosen = [each for each in scenarios if only is None or only in each.name]
    if scenarios and not chosen:
        raise BadInput(f"none of {len(scenarios)} scenarios has `{only}` in its name")
    scenarios = chosen
    if not scenarios:
        raise BadInput("no scenario found; they stand in journeys/tests/*.yml")
    began = time.monotonic()
    verdicts: list[Verdict] = []
    with progress("scenarios", len(scenarios)) as step, _driver(driver, opened) as play:
        for verdict in run_scenarios(scenarios, play):
            verdicts.append(verdict)
            step()
    seconds = time.monotonic() - began
    report = {"text": report_text, "json": report_json, "junit": report_junit}[form]
    typer.echo(report(verdicts, seconds))
    return 0 if all(verdict.holds for verdict in verdicts) else 1


def _driver(name: str, project: Project) -> AbstractContextManager[Driver]:
    if name == "virtual":
        return nullcontext(virtual_driver(project))
    # The Temporal client alone takes 0.4 s to import.
    from workers.simulation import TemporalDriver

    return TemporalDriver(project)


# ── watching ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def _watched(hold: Callable[[], int], paths: list[Path]) -> int:
    """Holds the scenarios at every change of the files, until Ctrl-C; the exit code of the last time."""
    code = 0
    with suppress(KeyboardInterrupt):
        while True:
            # What changes while the scenarios run counts as a change after them.
            seen = _states(paths)
            # On a terminal only.
            Console().clear()
            try:
                code = hold()
            except SojournError as error:
                code = tell_error(error)
            typer.echo("Waiting for a change; Ctrl-C leaves.", err=True)
            while _states(paths) == seen:
                time.sleep(_PAUSE)
    return code


def _states(paths: list[Path]) -> dict[Path, tuple[int, int]]:
    """When each file was written and how large it is; looked at again and again, which works on every file system."""
    states = {}
    for path in _files(paths):
        with suppress(OSError):  # gone meanwhile
            stat = path.stat()
            states[path] = (stat.st_mtime_ns, stat.st_size)
    return states


def _files(paths: list[Path]) -> Iterator[Path]:
    for path in paths:
        yield path
        yield from path.rglob("*")
