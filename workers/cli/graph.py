"""`sojourn graph`: a picture of a journey."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from engine.errors import NotFound
from workers.cli.project import ProjectFolder, open_project


def register(app: typer.Typer) -> None:
    app.command("graph")(graph)


def graph(
    journey: Annotated[str, typer.Argument(help="The journey's name.")],
    project: ProjectFolder = Path(),
    form: Annotated[
        Literal["mermaid", "svg"], typer.Option("--format", help="mermaid: text that wikis draw; svg: a picture.")
    ] = "mermaid",
    output: Annotated[Path | None, typer.Option("--output", help="A file; default: standard output.")] = None,
) -> None:
    """Draws a journey: its triggers, its steps, and every way between them."""
    from engine.insight.graph_mermaid import mermaid
    from engine.insight.graph_svg import svg
    from engine.language.diagnostics import suggest

    plans = open_project(project).plans
    if journey not in plans:
        hint = suggest(journey, plans)
        raise NotFound(f"no journey {journey!r} in this project" + (f"; {hint}" if hint else ""))
    picture = {"mermaid": mermaid, "svg": svg}[form](plans[journey])
    if output is None:
        typer.echo(picture, nl=False)
    else:
        output.write_text(picture, encoding="utf-8")
