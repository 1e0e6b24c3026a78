"""`sojourn init`: a new project that passes `check` and `test` and runs."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import resources
from pathlib import Path
from typing import Annotated

import typer

from engine.errors import BadInput
from engine.language.project_file import FILE
from workers.cli.schema import make_schemas, write_schemas
from workers.settings import FOLDER


def register(app: typer.Typer) -> None:
    app.command("init")(init)


def init(folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new or an empty folder.")]) -> None:
    """Makes a new project: two journeys with their templates and scenarios, ready to check, test and run."""
    name = _project_name(folder.resolve().name)
    with _filling(folder) as inside:
        with resources.as_file(resources.files("workers") / "starter") as starter:
            shutil.copytree(starter, inside, dirs_exist_ok=True)
        project = inside / FILE
        project.write_text(project.read_text("utf-8").replace("project: starter", f"project: {name}", 1), "utf-8")
        write_schemas(make_schemas(inside), inside / FOLDER / "schemas")
    typer.echo(
        f"Made the project `{name}` in {folder}. Next:\n"
        f"  cd {folder}\n"
        "  sojourn check    every problem of every file\n"
        "  sojourn test     its scenarios\n"
        "  sojourn up       everything on this machine"
    )


@contextmanager
def _filling(folder: Path) -> Iterator[Path]:
    """A folder whose content becomes the content of `folder` at the end, or never.

    Raises BadInput where `folder` is not empty. The project's file comes last: where it is, everything is.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        what = "not empty" if folder.is_dir() else "a file"
        raise BadInput(f"{folder} is {what}; a project is begun in a new or an empty folder, and nothing was written")
    is_ours = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        inside = Path(tempfile.mkdtemp(prefix=".init-", dir=folder))
    except OSError as error:
        raise BadInput(f"{folder} cannot be made a project: {error.strerror}") from error
    begun: list[Path] = []
    try:
        yield inside
        for path in sorted(inside.iterdir(), key=lambda path: path.name == FILE):
            begun += [folder / path.name]
            path.rename(begun[-1])
    except BaseException:
        for path in begun:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        raise
    finally:
        shutil.rmtree(inside)
        if is_ours:
            with suppress(OSError):  # it is empty only where nothing came of it
                folder.rmdir()


def _project_name(folder: str) -> str:
    """The folder's name as a project's: `My Shop` becomes `my-shop`."""
    return re.sub(r"[^a-z0-9_-]+", "-", folder.casefold()).strip("-_") or "my-shop"
