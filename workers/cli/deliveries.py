"""`sojourn deliveries`: what was sent, and what nobody is sure of, resolved."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from workers.cli.console import print_table, tell_error
from workers.cli.project import ProjectFolder, check_names, login_name, open_installation

_HEADINGS = ("sent_at", "delivery_id", "profile", "journey", "step", "channel", "via", "status", "error")
_DONE = {"sent": "is sent", "failed": "has failed", "in_doubt": "is still in doubt"}

Form = Annotated[Literal["text", "json"], typer.Option("--format", help="How to print it.")]


def register(app: typer.Typer) -> None:
    group = typer.Typer(no_args_is_help=False)
    group.callback(invoke_without_command=True)(deliveries)
    group.command("resolve")(resolve)
    app.add_typer(group, name="deliveries", help="Lists the newest deliveries; resolves those in doubt.")


def deliveries(
    context: typer.Context,
    project: ProjectFolder = Path(),
    profile: Annotated[str | None, typer.Option("--profile", help="Only this person's.")] = None,
    journey: Annotated[str | None, typer.Option("--journey", help="Only this journey's.")] = None,
    channel: Annotated[str | None, typer.Option("--channel", help="Only this channel's.")] = None,
    status: Annotated[str | None, typer.Option("--status", help="Only those with this status, e.g. in_doubt.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many, the newest.")] = 50,
    form: Form = "text",
) -> None:
    """Lists the newest deliveries."""
    if context.invoked_subcommand is not None:
        return
    from engine.insight import activity, people

    with open_installation(project) as installation, installation.store.transaction() as unit:
        profile_id = None
        if profile is not None:
            profile_id = people.find(unit, installation.project_key, profile).profile_id
        found = activity.deliveries(
            unit, profile_id=profile_id, journey=journey, channel=channel, status=status, limit=limit
        )
        if not found:
            check_names(installation, unit, journey=journey, channel=channel)
        rows = [activity.delivery_row(delivery) for delivery in found]
        names = people.names(unit, (delivery.profile_id for delivery in found))
    if form == "json":
        typer.echo(json.dumps({"deliveries": rows}, ensure_ascii=False, indent=2))
    else:
        called = [row | {"profile": names[row["profile_id"]]} for row in rows]
        print_table(_HEADINGS, [[row[heading] for heading in _HEADINGS] for row in called], empty="No delivery.")


def resolve(
    delivery_ids: Annotated[list[str], typer.Argument(metavar="DELIVERY...", help="Ids of deliveries in doubt.")],
    is_sent: Annotated[bool, typer.Option("--sent", help="The provider has it.")] = False,
    is_resend: Annotated[
        bool, typer.Option("--resend", help="Hand it over once more; it is decided anew, and may be a second one.")
    ] = False,
    is_failed: Annotated[bool, typer.Option("--failed", help="The provider has it not; it will not be sent.")] = False,
    note: Annotated[str | None, typer.Option("--note", help="Why; kept with the enrollment's trail.")] = None,
    actor: Annotated[str | None, typer.Option("--actor", help="Who says so. Default: your login name.")] = None,
    project: ProjectFolder = Path(),
    form: Form = "text",
) -> None:
    """Says what became of messages in doubt. May be repeated; exit 1 where one is not in doubt, or stays so."""
    from engine.enrollment.resolving import Resolution
    from engine.errors import BadInput, Conflict
    from engine.insight import activity

    words: dict[Resolution, bool] = {"sent": is_sent, "resend": is_resend, "failed": is_failed}
    said = [word for word, is_said in words.items() if is_said]
    if len(said) != 1:
        raise BadInput("say what became of it, and one thing only: --sent, --resend or --failed")
    rows = []
    is_done = True
    with open_installation(project) as installation:
        for delivery_id in delivery_ids:
            try:
                resolved = installation.engine.resolver.resolve(
                    delivery_id, said[0], installation.clock(), actor=actor or login_name(), note=note
                )
            except Conflict as conflict:
                tell_error(conflict)
                is_done = False
                continue
            delivery = resolved.delivery
            is_done &= delivery.status != "in_doubt"
            rows.append({**activity.delivery_row(delivery), "changed": resolved.is_changed})
            if form == "text":
                why = f" ({delivery.error})" if delivery.status == "in_doubt" else ""
                already = "" if resolved.is_changed else ", as it was already"
                typer.echo(f"{delivery_id} {_DONE.get(delivery.status, f'is {delivery.status}')}{why}{already}")
    if form == "json":
        typer.echo(json.dumps({"deliveries": rows}, ensure_ascii=False, indent=2))
    if not is_done:
        raise typer.Exit(1)
