"""`sojourn segment`: who is in a segment, how many, and why one person is or is not."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from engine.errors import BadInput
from engine.expressions.values import as_json
from engine.insight import people
from engine.segments.explain import Explanation, explain, lines
from engine.storage.segments.members import count, external_ids, members
from engine.store import Unit
from workers.cli.console import progress
from workers.cli.project import ProjectFolder, open_installation

if TYPE_CHECKING:
    from workers.bootstrap import Installation


def register(app: typer.Typer) -> None:
    app.command("segment")(segment)


def segment(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The segment, as `journeys/segments/` names it.")],
    project: ProjectFolder = Path(),
    why: Annotated[
        str | None,
        typer.Option("--why", metavar="PROFILE", help="Explain one person: the shop's id, an email, a phone, our id."),
    ] = None,
    is_listing: Annotated[bool, typer.Option("--members", help="List the members.")] = False,
    is_backfilling: Annotated[
        bool, typer.Option("--backfill", help="First fill in who is in it, as a deploy does; fires no trigger.")
    ] = False,
    is_firing: Annotated[
        bool,
        typer.Option("--fire", help="With --backfill: fire triggers and exits for whom it was filled in silently."),
    ] = False,
    form: Annotated[Literal["text", "json"], typer.Option("--format", help="How to print it.")] = "text",
) -> None:
    """Tells a segment's size, its members, and why one person is in or out; exit 1 where that person is out.

    A segment that journeys follow is filled in when it is deployed. `--backfill` does it without a deploy, or goes on
    where one was interrupted; `--fire` lets those enter, and leave, of whom no trigger was told yet, once each.
    """
    if is_firing and not is_backfilling:
        raise BadInput("`--fire` goes with `--backfill`: it says that triggers fire for whom the backfill finds")
    if is_backfilling:
        words = _backfill(project, name, is_firing=is_firing)
        typer.echo(words, err=form == "json")
    with open_installation(project) as installation, installation.store.transaction() as unit:
        now = installation.clock()
        facts = installation.engine.facts
        document: dict[str, Any] = {"segment": name}
        if is_listing:
            document["members"] = sorted(
                external_ids(unit, members(unit, installation.project, name, now, facts_source=facts))
            )
            document["size"] = len(document["members"])
        else:
            document["size"] = count(unit, installation.project, name, now, facts_source=facts)
        explanation = None if why is None else _explanation(installation, unit, name, why, now)
    if form == "json":
        if explanation is not None:
            document["why"] = {"is_member": explanation.is_true, **_as_json(explanation)}
        typer.echo(json.dumps(document, ensure_ascii=False, indent=2))
    else:
        title = installation.project.segments[name].title
        print(f"{name} ({title}): {document['size']:,} {'member' if document['size'] == 1 else 'members'}")
        for member in document.get("members", ()):
            print(f"  {member}")
        if explanation is not None:
            print(f"{why} is {'in' if explanation.is_true else 'not in'} it:")
            for line in lines(explanation):
                print(f"  {line}")
    if explanation is not None and not explanation.is_true:
        raise typer.Exit(1)


def _backfill(project: Path, name: str, *, is_firing: bool) -> str:
    """Fills it in; what was done, in words."""
    with open_installation(project) as installation:
        backfill = installation.engine.backfill
        people = backfill.left(name, is_telling=is_firing)
        with progress(f"Segment {name}", len(people)) as step:
            told = backfill.fill(name, people, installation.clock(), is_telling=is_firing, on_person=step)
    if is_firing:
        return f"{name}: {len(people):,} people looked at, triggers and exits fired for {told:,}"
    return f"{name}: {len(people):,} people filled in"


def _explanation(installation: Installation, unit: Unit, name: str, person: str, now: datetime) -> Explanation:
    profile = people.find(unit, installation.project_key, person)
    facts = installation.engine.facts.of(unit, profile, now)
    segments = installation.project.segments
    return explain(segments[name].condition, facts, segments)


def _as_json(explanation: Explanation) -> dict[str, Any]:
    return {
        "text": explanation.text,
        "value": as_json(explanation.value),
        "parts": [_as_json(child) for child in explanation.children],
    }
