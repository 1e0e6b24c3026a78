"""`sojourn consent …` and `sojourn suppressions`: who said yes or no, and which addresses are blocked."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from engine.consent.model import ConsentRecord
from engine.errors import BadInput, Conflict, NotFound
from engine.insight import exports, people
from engine.profiles.model import Profile
from engine.store import Unit
from workers.cli.console import print_table
from workers.cli.project import ProjectFolder, check_channel, open_installation
from workers.cli.why import Form, Limit, Person

if TYPE_CHECKING:
    from workers.bootstrap import Installation

_LOG = ("received_at", "consent_id", "profile", "action", "channel", "topic", "actor", "source", "wording")
_SUPPRESSIONS = ("created_at", "suppression_id", "channel_kind", "kind", "source", "lifted_at")
_FIELDS = ConsentRecord.__struct_fields__

Channel = Annotated[str | None, typer.Option("--channel", help="Default: all channels.")]
Topic = Annotated[str | None, typer.Option("--topic", help="Default: all topics.")]
Source = Annotated[str, typer.Option("--source", help="Where it came from, such as form:checkout or phone-call.")]
When = Annotated[str | None, typer.Option("--at", help="When it happened, as 2026-03-02T10:00:00Z; default: now.")]


def register(app: typer.Typer) -> None:
    consent = typer.Typer(help="The consent ledger.", no_args_is_help=True)
    consent.command("log")(log)
    consent.command("grant")(grant)
    consent.command("withdraw")(withdraw)
    consent.command("export")(export)
    app.add_typer(consent, name="consent")
    app.command("suppressions")(suppressions)


def log(
    profile: Annotated[str | None, typer.Argument(metavar="[PROFILE]", help="Only this person's.")] = None,
    project: ProjectFolder = Path(),
    limit: Limit = 50,
    form: Form = "text",
) -> None:
    """Lists the newest records of the ledger, in its order."""
    with open_installation(project) as installation, installation.store.transaction() as unit:
        if profile is None:
            found = unit.consents.log(limit=limit)
        else:
            found = unit.consents.of(people.find(unit, installation.project_key, profile).profile_id)[-limit:]
        rows = [people.as_json(record) for record in found]
        names = people.names(unit, (record.profile_id for record in found))
    if form == "text":
        rows = [row | {"profile": names[row["profile_id"]]} for row in rows]
    _print("consents", _LOG, rows, form, empty="The ledger has no such record.")


def grant(
    profile: Person,
    channel: Annotated[str, typer.Option("--channel", help="The channel's name.")],
    topic: Annotated[str, typer.Option("--topic", help="The topic's name.")],
    source: Source,
    wording: Annotated[str, typer.Option("--wording", help="Version of the text that the person saw.")],
    at: When = None,
    basis: Annotated[Literal["consent", "soft_opt_in"], typer.Option("--basis")] = "consent",
    evidence: Annotated[
        list[str] | None, typer.Option("--evidence", metavar="NAME[=VALUE]", help="A fact; without a value: true.")
    ] = None,
    project: ProjectFolder = Path(),
) -> None:
    """Records a grant with its evidence. It never lifts the person's own withdrawal."""
    facts = dict(_fact(text) for text in evidence or ())
    with open_installation(project) as installation:
        now = installation.clock()
        with installation.store.transaction() as unit:
            record = installation.engine.ledger.grant(
                unit,
                profile=_living(installation, unit, profile),
                channel=channel,
                topic=topic,
                occurred_at=_instant(at) or now,
                now=now,
                actor="agent",
                source=source,
                wording=wording,
                basis=basis,
                evidence=facts,
            )
    typer.echo(record.consent_id)


def withdraw(
    profile: Person,
    source: Source,
    channel: Channel = None,
    topic: Topic = None,
    at: When = None,
    project: ProjectFolder = Path(),
) -> None:
    """Records a withdrawal: from a channel, a topic, both, or everything. It holds at once."""
    with open_installation(project) as installation:
        # The ledger takes any name, as of a channel that was; one that is mistyped here would stop nothing.
        check_channel(installation.project, channel)
        topics = installation.project.topics
        if topic is not None and topic not in topics:
            raise NotFound(f"there is no topic `{topic}`; this project has: {', '.join(topics)}")
        now = installation.clock()
        with installation.store.transaction() as unit:
            record = installation.engine.ledger.withdraw(
                unit,
                profile=_living(installation, unit, profile),
                channel=channel,
                topic=topic,
                occurred_at=_instant(at) or now,
                now=now,
                actor="agent",
                source=source,
            )
    typer.echo(record.consent_id)


def export(
    project: ProjectFolder = Path(),
    form: Annotated[Literal["jsonl", "csv"], typer.Option("--format", help="How to write it.")] = "jsonl",
    output: Annotated[Path | None, typer.Option("--output", help="A file; default: standard output.")] = None,
) -> None:
    """Writes the whole ledger, in its order."""
    with open_installation(project) as installation, installation.store.transaction() as unit:
        rows = [people.as_json(record) for record in unit.consents.log()]
    lines = exports.json_lines(rows) if form == "jsonl" else exports.csv_lines(_FIELDS, rows)
    if output is None:
        sys.stdout.writelines(lines)
    else:
        # CSV brings its own line ends.
        with output.open("w", encoding="utf-8", newline="") as file:
            file.writelines(lines)


def suppressions(
    project: ProjectFolder = Path(),
    is_all: Annotated[bool, typer.Option("--all", help="Lifted ones, too.")] = False,
    form: Form = "text",
) -> None:
    """Lists blocked addresses, by their keyed hashes."""
    with open_installation(project) as installation, installation.store.transaction() as unit:
        rows = [
            people.as_json(suppression)
            for suppression in unit.consents.all_suppressions()
            if is_all or suppression.lifted_at is None
        ]
    _print("suppressions", _SUPPRESSIONS, rows, form, empty="No address is blocked.")


def _living(installation: Installation, unit: Unit, name: str) -> Profile:
    found = people.find(unit, installation.project_key, name)
    profile = installation.engine.intake.current(unit, found.profile_id)
    if profile.erased_at is not None:
        raise Conflict("this person was erased")
    return profile


def _instant(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        raise BadInput("--at must be a time with an offset, like 2026-03-02T10:00:00Z")
    return instant


def _fact(text: str) -> tuple[str, Any]:
    name, separator, value = text.partition("=")
    if not name:
        raise BadInput("--evidence must be NAME or NAME=VALUE")
    return name, value if separator else True


def _print(name: str, headings: Sequence[str], rows: Sequence[Mapping[str, Any]], form: str, *, empty: str) -> None:
    if form == "json":
        typer.echo(json.dumps({name: rows}, ensure_ascii=False, indent=2))
    else:
        print_table(headings, [[row[heading] for heading in headings] for row in rows], empty=empty)
