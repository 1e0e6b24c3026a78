"""`sojourn schema`: JSON Schemas for editors."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any

import typer

from engine.language.project_file import FILE
from engine.language.schema import KINDS, DocumentKind, Names, make_schema, project_names
from workers.cli.project import ProjectFolder


def register(app: typer.Typer) -> None:
    app.command("schema")(schema)


def schema(
    kind: Annotated[DocumentKind | None, typer.Argument(help="One kind of document; default: all four.")] = None,
    output: Annotated[
        Path | None, typer.Option(help="Write KIND.json into this folder instead of printing.", metavar="DIR")
    ] = None,
    project: ProjectFolder = Path(),
) -> None:
    """Prints JSON Schemas for editors; inside a project they know its channels, topics, journeys and templates."""
    schemas = make_schemas(project, (kind,) if kind else KINDS)
    if output is None:
        typer.echo(json.dumps(schemas[kind] if kind else schemas, ensure_ascii=False, indent=2))
        return
    for path in write_schemas(schemas, output):
        typer.echo(path)


def make_schemas(root: Path, kinds: tuple[DocumentKind, ...] = KINDS) -> dict[DocumentKind, dict[str, Any]]:
    """The schemas by kind; they know the names of the project in the folder, where there is one."""
    # Loads every adapter with its HTTP client, which the other verbs need not wait for.
    from channels.catalog import adapter_rows
    from channels.registry import adapter_infos

    adapters = {row.name: {each.name: each.is_required for each in row.settings} for row in adapter_rows()}
    names = Names(adapters=adapters)
    if (root / FILE).is_file():
        names = project_names(root, os.environ, adapter_infos(), adapters)
    return {kind: make_schema(kind, names) for kind in kinds}


def write_schemas(schemas: dict[DocumentKind, dict[str, Any]], folder: Path) -> list[Path]:
    """Writes `KIND.json` into the folder, each whole or not at all; what was written."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for kind, each in schemas.items():
        path = folder / f"{kind}.json"
        # An editor that reads meanwhile sees the old file or the new one.
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        draft.write_text(json.dumps(each, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        draft.replace(path)
        written.append(path)
    return written
