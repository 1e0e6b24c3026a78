"""`sojourn routing`: what waits to have its effect, and what failed and is set aside."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from engine.errors import BadInput
from engine.events.model import Occurrence
from engine.insight.people import iso
from workers.cli.console import print_table
from workers.cli.project import ProjectFolder, open_installation
from workers.cli.why import Form

_HEADINGS = ("number", "kind", "profile", "ref", "at", "attempts", "fault", "state")


def register(app: typer.Typer) -> None:
    routing = typer.Typer(help="Events and changes that wait to have their effect.", no_args_is_help=True)
    routing.command("list")(list_setbacks)
    routing.command("retry")(retry)
    app.add_typer(routing, name="routing")


def list_setbacks(project: ProjectFolder = Path(), form: Form = "text") -> None:
    """Says how many wait, and lists those whose routing failed: the newest failure's class, and what comes next."""
    with open_installation(project) as installation, installation.store.transaction() as unit:
        waiting, set_aside = unit.queue.count_occurrences(), unit.queue.count_set_aside()
        rows = [_row(each) for each in unit.queue.setbacks()]
    if form == "json":
        document = {"waiting": waiting, "set_aside": set_aside, "failed": rows}
        typer.echo(json.dumps(document, ensure_ascii=False, indent=2))
        return
    typer.echo(f"{waiting} waiting, {set_aside} set aside")
    cells = [[row[heading] for heading in _HEADINGS] for row in rows]
    print_table(_HEADINGS, cells, empty="Nothing has failed.")


def retry(
    numbers: Annotated[list[int] | None, typer.Argument(help="Numbers, as `sojourn routing list` gives them.")] = None,
    is_all: Annotated[bool, typer.Option("--all", help="Everything that is set aside.")] = False,
    project: ProjectFolder = Path(),
    form: Form = "text",
) -> None:
    """Puts what is set aside back into its place in the queue, with all its attempts. A repeat changes nothing.

    Exit 1 where one of the numbers is not set aside, or not any more; the others are put back.
    """
    if bool(numbers) == is_all:
        raise BadInput("say which: one or more numbers, or --all")
    named = list(dict.fromkeys(numbers or ()))
    with open_installation(project) as installation, installation.store.transaction() as unit:
        missing = [number for number in named if not unit.queue.retry_set_aside([number])]
        put_back = unit.queue.retry_set_aside() if is_all else len(named) - len(missing)
    if form == "json":
        typer.echo(json.dumps({"put_back": put_back, "not_set_aside": missing}, indent=2))
    else:
        if put_back or is_all:
            typer.echo(f"{put_back} put back: routed next" if put_back else "Nothing is set aside.")
        if missing:
            typer.echo(f"Not set aside (any more): {' '.join(map(str, missing))}. `sojourn routing list` says what is.")
    if missing:
        raise typer.Exit(1)


def _row(occurrence: Occurrence) -> dict[str, object]:
    if occurrence.set_aside_at is not None:
        state = f"set aside {iso(occurrence.set_aside_at)}"
    else:
        assert occurrence.retry_at is not None, "one that failed has a next attempt or none ever"
        state = f"tried again {iso(occurrence.retry_at)}"
    return {
        "number": occurrence.seq,
        "kind": occurrence.kind,
        "profile": occurrence.profile_id,
        "ref": occurrence.ref or None,
        "at": iso(occurrence.at),
        "attempts": occurrence.attempts,
        "fault": occurrence.fault,
        "state": state,
    }
