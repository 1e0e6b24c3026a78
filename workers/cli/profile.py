"""`sojourn profile export` and `erase`: what a person may ask of whoever holds their data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from engine.insight import people
from workers.cli.project import ProjectFolder, open_installation
from workers.cli.why import Person


def register(app: typer.Typer) -> None:
    profile = typer.Typer(help="One person's data.", no_args_is_help=True)
    profile.command("export")(export)
    profile.command("erase")(erase)
    app.add_typer(profile, name="profile")


def export(
    profile: Person,
    project: ProjectFolder = Path(),
    output: Annotated[Path | None, typer.Option("--output", help="A file; default: standard output.")] = None,
) -> None:
    """Writes everything held about a person, as JSON."""
    with open_installation(project) as installation, installation.store.transaction() as unit:
        document = people.export(unit, people.find(unit, installation.project_key, profile))
    text = json.dumps(document, ensure_ascii=False, indent=2)
    if output is None:
        typer.echo(text)
    else:
        output.write_text(f"{text}\n", encoding="utf-8")


def erase(
    profile: Person,
    project: ProjectFolder = Path(),
    is_sure: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Erases a person for good: data, addresses and contents go, enrollments end, the addresses stay blocked."""
    with open_installation(project) as installation:
        with installation.store.transaction() as unit:
            found = people.find(unit, installation.project_key, profile)
        if not is_sure:
            who = f"{found.external_id or 'nobody with an id of yours'} ({found.profile_id})"
            typer.confirm(f"This cannot be undone. Erase {who}?", abort=True)
        with installation.store.transaction() as unit:
            current = installation.engine.intake.current(unit, found.profile_id)
            installation.engine.intake.erase(unit, current, installation.clock())
    typer.echo(f"erased {current.profile_id}")
