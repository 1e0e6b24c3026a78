"""`sojourn journeys`: what is deployed, and how many people are in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from workers.cli.console import print_table
from workers.cli.project import ProjectFolder, open_installation

_HEADINGS = ("journey", "title", "version", "state", "active", "held", "ended", "converted", "note")


def register(app: typer.Typer) -> None:
    app.command("journeys")(journeys)


def journeys(
    project: ProjectFolder = Path(),
    form: Annotated[Literal["text", "json"], typer.Option("--format", help="How to print them.")] = "text",
) -> None:
    """Lists the journeys: version, state, and the people in them."""
    with open_installation(project) as installation:
        plans = installation.project.plans
        rows: list[dict[str, Any]] = []
        with installation.store.transaction() as unit:
            deployed = {record.journey: record for record in unit.journeys.all()}
            for name in sorted({*plans, *deployed}):
                record = deployed.get(name)
                counts = unit.enrollments.counts(name)
                places = unit.enrollments.places(name)
                rows.append(
                    {
                        "journey": name,
                        "title": plans[name].title if name in plans else None,
                        "version": record.digest if record else None,
                        # `draft`: authored and not deployed.
                        "state": record.state if record else "draft",
                        "active": counts.get("active", 0),
                        # Of those: whose next step came up during a pause.
                        "held": sum(place.people for place in places if place.waiting == "held"),
                        "ended": counts.get("ended", 0),
                        "converted": counts.get("converted", 0),
                        "note": record.note if record else None,
                    }
                )
    if form == "json":
        typer.echo(json.dumps({"journeys": rows}, ensure_ascii=False, indent=2))
    else:
        cells = [[row[heading] for heading in _HEADINGS] for row in rows]
        print_table(_HEADINGS, cells, empty="This project has no journeys; they stand in journeys/*.yml.")
