"""`sojourn channels`: the project's channels and how their providers do; the adapters and their abilities."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from engine.errors import SojournError
from workers.cli.console import print_table, tell_error
from workers.cli.project import ProjectFolder, open_installation

_STATE_HEADINGS = ("channel", "adapter", "backup", "state", "since", "next try", "waiting", "last failure")
_HEADINGS = ("adapter", "kind", "can", "settings", "package")


def register(app: typer.Typer) -> None:
    app.command("channels")(channels)


def channels(
    project: ProjectFolder = Path(),
    form: Annotated[Literal["text", "json", "markdown"], typer.Option("--format", help="How to print them.")] = "text",
) -> None:
    """Lists the project's channels, whether each provider works, and the registered adapters.

    An adapter's row tells its kind, its abilities and its settings, optional ones in brackets. Without a project here,
    the adapters alone.
    """
    # Loads every adapter with its HTTP client, which the other verbs need not wait for.
    from channels.catalog import abilities, adapter_rows, markdown, settings_words

    rows = adapter_rows()
    if form == "json":
        document = {"channels": _states(project), "adapters": [asdict(row) for row in rows]}
        typer.echo(json.dumps(document, ensure_ascii=False, indent=2))
    elif form == "markdown":
        typer.echo(markdown(rows))
    else:
        cells = [
            [
                row.name,
                row.kind,
                ", ".join(word for word, can in abilities(row).items() if can),
                settings_words(row),
                row.package,
            ]
            for row in rows
        ]
        states = _states(project)
        if states is not None:
            table = [list(state.values()) for state in states]
            print_table(_STATE_HEADINGS, table, empty="The project has no channel.")
            typer.echo()
        print_table(_HEADINGS, cells, empty="No adapter is registered: is the package installed?")


def _states(folder: Path) -> list[dict[str, Any]] | None:
    """How the project's channels do; None where there is no project, or its store cannot be read, which is told."""
    from engine.insight import activity

    if not (folder / "sojourn.yml").is_file():
        return None
    try:
        with open_installation(folder) as installation, installation.store.transaction() as unit:
            return [activity.channel_row(unit, each) for each in installation.project.channels.values()]
    except SojournError as problem:
        tell_error(problem)
        return None
