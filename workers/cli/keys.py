"""`sojourn keys`: API keys. A key is shown once, when it is made; only its hash is kept."""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import Annotated

import typer
from msgspec.structs import replace

from engine.errors import BadInput, Conflict, NotFound
from engine.insight.people import iso
from engine.store import KeyRecord, Unit
from engine.web.access import SCOPES, key_hash
from workers.cli.console import print_table
from workers.cli.project import ProjectFolder, open_installation
from workers.cli.why import Form

_HEADINGS = ("name", "scopes", "created_at", "revoked_at")
#: Tells the key for what it is where it is found: in a file, a log, a scanner for secrets.
_PREFIX = "sj_"

Name = Annotated[str, typer.Argument(help="What the key is called here.")]


def register(app: typer.Typer) -> None:
    keys = typer.Typer(help="API keys.", no_args_is_help=True)
    keys.command("list")(list_keys)
    keys.command("create")(create)
    keys.command("revoke")(revoke)
    app.add_typer(keys, name="keys")


def list_keys(project: ProjectFolder = Path(), form: Form = "text") -> None:
    """Lists the keys: name, scopes, and since when."""
    with open_installation(project) as installation, installation.store.transaction() as unit:
        held = unit.access.keys()
        rows = [
            {
                "name": key.name,
                "scopes": list(key.scopes),
                "created_at": iso(key.created_at),
                "revoked_at": iso(key.revoked_at) if key.revoked_at else None,
            }
            for key in held
        ]
    if form == "json":
        typer.echo(json.dumps({"keys": rows}, ensure_ascii=False, indent=2))
    else:
        cells = [[row["name"], " ".join(row["scopes"] or ()), row["created_at"], row["revoked_at"]] for row in rows]
        print_table(_HEADINGS, cells, empty="There is no key; `sojourn keys create NAME --scope ingest` makes one.")


def create(
    name: Name,
    scopes: Annotated[list[str], typer.Option("--scope", help=f"One or more of: {' '.join(SCOPES)}.")],
    project: ProjectFolder = Path(),
) -> None:
    """Makes a key and prints it: the only time that it is seen."""
    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown:
        raise BadInput(f"unknown scope {' '.join(unknown)}: allowed are {' '.join(SCOPES)}")
    key = f"{_PREFIX}{secrets.token_urlsafe(24)}"
    with open_installation(project) as installation, installation.store.transaction() as unit:
        if _live(unit, name):
            raise Conflict(f"there is a key `{name}` already: revoke it first, or choose another name")
        unit.access.save_key(
            KeyRecord(
                key_hash=key_hash(key),
                name=name,
                scopes=tuple(scope for scope in SCOPES if scope in scopes),
                created_at=installation.clock(),
            )
        )
    typer.echo(key)


def revoke(name: Name, project: ProjectFolder = Path()) -> None:
    """Revokes a key: within a second it opens nothing."""
    with open_installation(project) as installation, installation.store.transaction() as unit:
        found = _live(unit, name)
        if not found:
            raise NotFound(f"there is no live key `{name}`")
        for key in found:
            unit.access.save_key(replace(key, revoked_at=installation.clock()))
    typer.echo(f"revoked {name}")


def _live(unit: Unit, name: str) -> list[KeyRecord]:
    held = unit.access.keys()
    return [key for key in held if key.name == name and key.revoked_at is None]
