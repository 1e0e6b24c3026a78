"""`sojourn serve`: the API and the dashboard of a larger installation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from workers.cli.project import ProjectFolder, open_installation


def register(app: typer.Typer) -> None:
    app.command("serve")(serve)


def serve(
    project: ProjectFolder = Path(),
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 is every one.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8080,
) -> None:
    """Serves API, webhooks, preference pages and dashboard. Needs the store; `sojourn worker` does the rest."""
    from engine.web.app import create_app
    from workers.api import ApiServer
    from workers.process import StopSignal, configure_logging

    configure_logging()
    stop = StopSignal()
    with open_installation(project) as installation:
        # Whoever routes polls the store: what is committed here waits half a second for it at most.
        api = ApiServer(create_app(installation.engine, on_intake=lambda: None), host=host, port=port)
        api.start()
        typer.echo(f"Serving {installation.project.name} on http://{host}:{port}")
        stop.wait(unless=api.failure)
        api.stop()
