"""`sojourn up`: everything on this machine, in the foreground."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from workers.cli.project import ProjectFolder

_Port = int | None


def register(app: typer.Typer) -> None:
    app.command("up")(up)


def up(
    project: ProjectFolder = Path(),
    port: Annotated[
        _Port, typer.Option(help="Of the API and the dashboard; default: 8080 or the next free one.")
    ] = None,
    temporal_port: Annotated[_Port, typer.Option(help="Default: 7233 or the next free one.")] = None,
    temporal_ui_port: Annotated[_Port, typer.Option(help="Default: 8233 or the next free one.")] = None,
    smtp_port: Annotated[_Port, typer.Option(help="Of the local inbox; default: 1025 or the next free one.")] = None,
) -> None:
    """Runs everything on this machine: Temporal, store, API, dashboard, workers, a local inbox. Ctrl-C drains."""
    # A second of imports that no other verb needs.
    from workers.embedded import end_orphan
    from workers.everything import Everything, Ports
    from workers.process import StopSignal, configure_logging, folder_lock

    configure_logging()
    stop = StopSignal()
    with folder_lock(project) as folder:
        end_orphan(folder)
        ports = Ports.choose(api=port, temporal=temporal_port, temporal_ui=temporal_ui_port, smtp=smtp_port)
        for line in ports.moved:
            typer.echo(line)
        with Everything(project, folder, ports) as running:
            typer.echo(running.summary())
            stop.wait(unless=running.failure)
            typer.echo("Draining; once more to leave at once.")
    typer.echo("Down. Everybody waits where they are; `sojourn up` takes them on.")
