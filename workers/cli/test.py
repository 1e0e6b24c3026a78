"""`sojourn test`: scenarios held, in virtual time or on Temporal."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Annotated, Literal

import typer

from engine.errors import BadInput
from engine.language.diagnostics import format_diagnostics
from engine.project import Project
from engine.simulator.report import report_json, report_junit, report_text
from engine.simulator.runner import Driver, Verdict, collect_scenarios, run_scenarios, virtual_driver
from workers.cli.console import progress
from workers.cli.project import ProjectFolder, open_project


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
) -> None:
    """Runs scenarios: exit 0 when all hold, 1 when some fail, 2 for unusable input."""
    opened = open_project(project)
    scenarios, problems = collect_scenarios(opened, paths or [])
    if problems:
        typer.echo(format_diagnostics(problems, "text", {}), err=True)
        raise typer.Exit(2)
    scenarios = [each for each in scenarios if only is None or only in each.name]
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
    if not all(verdict.holds for verdict in verdicts):
        raise typer.Exit(1)


def _driver(name: str, project: Project) -> AbstractContextManager[Driver]:
    if name == "virtual":
        return nullcontext(virtual_driver(project))
    # The Temporal client alone takes 0.4 s to import.
    from workers.simulation import TemporalDriver

    return TemporalDriver(project)
