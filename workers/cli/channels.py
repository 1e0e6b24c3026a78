"""`sojourn channels`: the registered adapters, and what each can do."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated, Literal

import typer

from workers.cli.console import print_table

_HEADINGS = ("adapter", "kind", "can", "settings", "package")


def register(app: typer.Typer) -> None:
    app.command("channels")(channels)


def channels(
    form: Annotated[Literal["text", "json", "markdown"], typer.Option("--format", help="How to print them.")] = "text",
) -> None:
    """Lists the registered channel adapters: kind, abilities, and settings (optional ones in brackets)."""
    # Loads every adapter with its HTTP client, which the other verbs need not wait for.
    from channels.catalog import abilities, adapter_rows, markdown, settings_words

    rows = adapter_rows()
    if form == "json":
        typer.echo(json.dumps({"adapters": [asdict(row) for row in rows]}, ensure_ascii=False, indent=2))
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
        print_table(_HEADINGS, cells, empty="No adapter is registered: is the package installed?")
