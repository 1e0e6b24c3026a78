"""`sojourn why`, `enrollments`: what happened to people, and why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from engine.insight import activity, people, why
from workers.cli.console import print_table
from workers.cli.project import ProjectFolder, check_names, open_installation

Person = Annotated[str, typer.Argument(metavar="PROFILE", help="The shop's id, an email, a phone, or our own id.")]
OneProfile = Annotated[str | None, typer.Option("--profile", help="Only this person's.")]
OneJourney = Annotated[str | None, typer.Option("--journey", help="Only this journey's.")]
Limit = Annotated[int, typer.Option("--limit", min=1, help="At most so many, the newest.")]
Form = Annotated[Literal["text", "json"], typer.Option("--format", help="How to print it.")]

_ENROLLMENTS = ("entered_at", "profile", "journey", "key", "state", "reason", "step", "waiting", "wake_at")


def register(app: typer.Typer) -> None:
    app.command("why")(tell_why)
    app.command("enrollments")(enrollments)


def tell_why(
    profile: Person,
    journey: Annotated[str | None, typer.Argument(help="Only this journey.")] = None,
    project: ProjectFolder = Path(),
    form: Form = "text",
) -> None:
    """Tells why a person got what they got, and why not: exit 1 where nothing ever happened to them."""
    with open_installation(project) as installation, installation.store.transaction() as unit:
        check_names(installation, unit, journey=journey)
        told = why.story(unit, people.find(unit, installation.project_key, profile), journey)
    if form == "json":
        typer.echo(json.dumps(why.as_json_document(told), ensure_ascii=False, indent=2))
    else:
        typer.echo(why.as_text(told))
    if not told.lines:
        raise typer.Exit(1)


def enrollments(
    project: ProjectFolder = Path(),
    profile: OneProfile = None,
    journey: OneJourney = None,
    limit: Limit = 50,
    form: Form = "text",
) -> None:
    """Lists the newest enrollments, and where each stands."""
    with open_installation(project) as installation, installation.store.transaction() as unit:
        check_names(installation, unit, journey=journey)
        profile_id = None
        if profile is not None:
            profile_id = people.find(unit, installation.project_key, profile).profile_id
        found = unit.enrollments.of(profile_id=profile_id, journey=journey, limit=limit)
        rows = [activity.enrollment_row(enrollment) for enrollment in reversed(found)]
        names = people.names(unit, (enrollment.profile_id for enrollment in found))
    if form == "json":
        typer.echo(json.dumps({"enrollments": rows}, ensure_ascii=False, indent=2))
    else:
        called = [row | {"profile": names[row["profile_id"]]} for row in rows]
        cells = [[row[heading] for heading in _ENROLLMENTS] for row in called]
        print_table(_ENROLLMENTS, cells, empty="No enrollment.")
