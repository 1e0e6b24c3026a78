"""`sojourn segment`: who is in a segment, how many, and why one person is or is not."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from engine.expressions.values import as_json
from engine.insight import people
from engine.segments.explain import Explanation, explain, lines
from engine.storage.segments.members import count, external_ids, members
from engine.store import Unit
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
    form: Annotated[Literal["text", "json"], typer.Option("--format", help="How to print it.")] = "text",
) -> None:
    """Tells a segment's size, its members, and why one person is in or out; exit 1 where that person is out."""
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
