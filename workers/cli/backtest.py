"""`sojourn backtest`: a drafted journey over recorded events."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal
from zoneinfo import ZoneInfo

import typer

from engine.errors import BadInput, NotFound
from workers.cli.console import progress
from workers.cli.project import ProjectFolder, open_installation, open_project
from workers.cli.shares import play_shares

if TYPE_CHECKING:
    from engine.project import Project

#: Messages that the text shows where nobody says how many.
_SHOWN = 20


def register(app: typer.Typer) -> None:
    app.command("backtest")(backtest)


def backtest(
    journey: Annotated[str, typer.Argument(help="The journey's name.")],
    events: Annotated[Path, typer.Option("--events", help="Recorded events: .csv, .jsonl (also .gz) or .parquet.")],
    project: ProjectFolder = Path(),
    profiles: Annotated[
        Path | None, typer.Option("--profiles", help="Profiles: the same formats, a row a person.")
    ] = None,
    consents_all: Annotated[
        bool, typer.Option("--consent-all", help="As if everybody had said yes, and had an address on every channel.")
    ] = False,
    columns: Annotated[
        list[str] | None, typer.Option("--map", help="OURS=COLUMN, e.g. user_id=customer_id.", metavar="OURS=COLUMN")
    ] = None,
    event: Annotated[
        str | None, typer.Option("--event", help="The name of every event, where no column says it.")
    ] = None,
    against: Annotated[
        str | None,
        typer.Option("--against", help="`deployed`, a version, or another project's folder: show the difference."),
    ] = None,
    encoding: Annotated[
        str | None, typer.Option("--encoding", help="Of text files; default: UTF-8, or what the first bytes say.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", min=0, help="Show so many messages; default: 20, in JSON all.")
    ] = None,
    form: Annotated[Literal["text", "json"], typer.Option("--format", help="How to print it.")] = "text",
) -> None:
    """Runs a journey as drafted over recorded events: who would have got what, and when."""
    from engine.simulator.backtest import Draft
    from engine.simulator.backtest_difference import compare
    from engine.simulator.backtest_report import report_json, report_text
    from engine.simulator.backtest_rows import Recording
    from engine.simulator.backtest_survey import profiles_of, survey

    opened = open_project(project)
    _known(opened, journey)
    zone = ZoneInfo(opened.timezone)
    recording = Recording(path=events, zone=zone, columns=_mapped(columns or []), event=event, encoding=encoding)
    people = profiles_of(profiles, encoding) if profiles else {}
    other = _other(opened, journey, against, project) if against else None
    draft = Draft(project=opened, journey=journey, consents_all=consents_all, people=people)
    with progress("reading", None) as step:
        seen = survey(recording, step)
    began = time.monotonic()
    ran = play_shares(draft, recording, seen, "events")
    seconds = time.monotonic() - began
    difference = None
    if other:
        difference = compare(play_shares(replace(draft, project=other), recording, seen, "the other version"), ran)
    if form == "json":
        typer.echo(report_json(ran, zone, limit, seconds, difference))
    else:
        typer.echo(report_text(ran, zone, _SHOWN if limit is None else limit, seconds, difference))


def _known(project: Project, journey: str) -> None:
    from engine.language.diagnostics import suggest

    if journey not in project.plans:
        hint = suggest(journey, project.plans)
        raise NotFound(f"no journey {journey!r} in {project.name}" + (f"; {hint}" if hint else ""))


def _mapped(columns: list[str]) -> dict[str, str]:
    mapped = {}
    for each in columns:
        ours, equals, theirs = each.partition("=")
        if not (ours and equals and theirs):
            raise BadInput(f"--map {each}: write OURS=COLUMN, such as user_id=customer_id")
        mapped[ours.strip()] = theirs.strip()
    return mapped


def _other(project: Project, journey: str, against: str, folder: Path) -> Project:
    """The project with which to compare: another folder's, or this one with a deployed version of the journey."""
    from engine.plan.digest import plan_from_json

    if Path(against).is_dir():
        other = open_project(Path(against))
        _known(other, journey)
        return other
    with open_installation(folder) as installation, installation.store.transaction() as unit:
        version = against
        if against == "deployed":
            record = unit.journeys.find(journey)
            if record is None:
                raise NotFound(f"{journey} was never deployed here: `sojourn journeys` lists what is")
            version = record.digest
        document = unit.journeys.find_plan(version)
    if document is None:
        raise NotFound(f"no deployed version and no folder is {against!r}; `sojourn journeys` lists versions")
    plan = plan_from_json(document)
    if plan.journey != journey:
        raise BadInput(f"version {against} is one of {plan.journey}, not of {journey}")
    return replace(project, plans={**project.plans, journey: plan})
