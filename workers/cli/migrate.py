"""`sojourn migrate`: brings the store's tables up to date."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from workers.cli.project import ProjectFolder, open_project


def register(app: typer.Typer) -> None:
    app.command("migrate")(migrate)


def migrate(
    folder: ProjectFolder = Path(),
    form: Annotated[Literal["text", "json"], typer.Option("--format", help="How to print it.")] = "text",
) -> None:
    """Brings the tables of the project's database up to date; creates them in a new one. A repeat changes nothing."""
    from engine.storage.database import Database
    from workers.settings import Settings, load_project_key

    project = open_project(folder)
    database = Database(project.database)
    try:
        # With the first tables comes the key from which every person's id derives: later it would be another one.
        if database.revision() is None:
            load_project_key(project.root, Settings.read(), is_new=True)
        before, after = database.migrate(lambda revision: typer.echo(f"applied {revision}", err=True))
    finally:
        database.close()
    if form == "json":
        typer.echo(json.dumps({"database": database.name, "from": before, "to": after}))
    elif before == after:
        typer.echo(f"{database.name} is up to date: revision {after}")
    else:
        typer.echo(f"{database.name}: from {'nothing' if before is None else before} to {after}")
