"""`sojourn simulate`: one person's whole path in time."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

import typer

from engine.errors import BadInput, NotFound
from workers.cli.project import ProjectFolder, open_project

_RECORDED = (".csv", ".jsonl", ".ndjson", ".parquet", ".gz")


def register(app: typer.Typer) -> None:
    app.command("simulate")(simulate)


def simulate(
    journey: Annotated[str, typer.Argument(help="The journey's name.")],
    profile: Annotated[Path, typer.Option("--profile", help="YAML or JSON: a profile as a scenario has it.")],
    events: Annotated[
        Path, typer.Option("--events", help="YAML or JSON: rows as a scenario has them; or recorded .csv or .jsonl.")
    ],
    project: ProjectFolder = Path(),
    start: Annotated[
        datetime | None, typer.Option("--start", help="Default: the first timestamp among the events, else now.")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", help="30d, or a timestamp; default: until nothing is pending any more.")
    ] = None,
    encoding: Annotated[
        str | None, typer.Option("--encoding", help="Of recorded events; default: UTF-8, or what the first bytes say.")
    ] = None,
    form: Annotated[Literal["text", "json"], typer.Option("--format", help="How to print it.")] = "text",
) -> None:
    """Plays one person's events through a journey: every decision, and why, in the person's own time."""
    from engine.language.diagnostics import Problems, format_diagnostics, suggest
    from engine.simulator import simulate as simulation
    from engine.simulator.backtest_rows import Recording
    from engine.simulator.simulate_report import path_json, path_text
    from workers.clock import system_now

    opened = open_project(project)
    if journey not in opened.plans:
        hint = suggest(journey, opened.plans)
        raise NotFound(f"no journey {journey!r} in this project" + (f"; {hint}" if hint else ""))
    for file in (profile, events):
        if not file.is_file():
            raise NotFound(f"there is no file {file}")
    zone = ZoneInfo(opened.timezone)
    if start is not None:
        start = (start if start.tzinfo else start.replace(tzinfo=zone)).astimezone(UTC)
    is_recorded = events.suffix.lower() in _RECORDED
    problems = Problems()
    scenario = simulation.read_simulation(
        opened,
        journey,
        (str(profile), profile.read_bytes()),
        (str(events), b"[]" if is_recorded else events.read_bytes()),
        start=start,
        until=until,
        now=system_now().replace(microsecond=0),
        problems=problems,
    )
    found = problems.sorted()
    if scenario is None or any(each.is_error for each in found):
        typer.echo(format_diagnostics(found, "text", {}), err=True)
        raise typer.Exit(2)
    if is_recorded:
        scenario = simulation.with_recorded(scenario, Recording(path=events, zone=zone, encoding=encoding), start)
        if not scenario.rows:
            raise BadInput(f"{events.name} holds no event of {scenario.people[0].person!r}")
    path = simulation.simulate(opened, journey, scenario)
    typer.echo(path_json(path) if form == "json" else path_text(path))
