"""`sojourn send-test`: one real message to an address of one's own, marked as a test."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from engine.insight import activity, people
from workers.cli.project import ProjectFolder, login_name, open_installation
from workers.cli.why import Form


def register(app: typer.Typer) -> None:
    app.command("send-test")(send_test)


def send_test(
    journey: Annotated[str, typer.Argument(help="The journey's name.")],
    step: Annotated[str, typer.Argument(help="The id of the step that sends.")],
    profile: Annotated[str, typer.Option("--profile", help="Whose message it is: an id, an email or a phone.")],
    to: Annotated[str, typer.Option("--to", help="Where it goes: your own address, on the step's channel.")],
    channel: Annotated[str | None, typer.Option("--channel", help="Default: the first of the step.")] = None,
    actor: Annotated[str | None, typer.Option("--actor", help="Who sends it. Default: your login name.")] = None,
    project: ProjectFolder = Path(),
    form: Form = "text",
) -> None:
    """Sends one real message, marked as a test: it counts nowhere, and its links change nothing."""
    with open_installation(project) as installation:
        with installation.store.transaction() as unit:
            person = people.find(unit, installation.project_key, profile)
        delivery = installation.engine.rehearsal.send_test(
            journey,
            step,
            profile_id=person.profile_id,
            to=to,
            channel=channel,
            actor=actor or login_name(),
            now=installation.clock(),
        )
    if form == "json":
        typer.echo(json.dumps(activity.delivery_row(delivery), ensure_ascii=False, indent=2))
    else:
        said = f": {delivery.subject}" if delivery.subject else ""
        typer.echo(f"Sent on {delivery.channel}{said} ({delivery.delivery_id}).")
