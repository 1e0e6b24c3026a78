"""What every verb that works on a project shares: its option, and how the folder is opened."""

from __future__ import annotations

import getpass
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from engine.project import Project
    from engine.store import Unit
    from workers.bootstrap import Installation

ProjectFolder = Annotated[Path, typer.Option("--project", help="The project's folder.", metavar="DIR")]


def login_name() -> str:
    """Who is at the keyboard: the actor of what is done here, unless another is named."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # A container whose user has no name.
        return "command line"


def open_project(folder: Path) -> Project:
    """The compiled project. Raises ProjectError with every problem, NotFound where there is no project."""
    # Adapters and the compiler take their time to import; help and usage errors need neither.
    from workers import bootstrap

    return bootstrap.open_project(folder)


def open_installation(folder: Path) -> Installation:
    """The project over its store, ready for use; close it. Raises Conflict where the store wants `sojourn migrate`.

    Beside a `sojourn up` in the folder, links lead to it, and its inbox gets the mail.
    """
    from workers import bootstrap, whereabouts
    from workers.settings import Settings

    beside, settings = whereabouts.find(folder), Settings.read()
    if beside is None:
        return bootstrap.Installation(bootstrap.open_project(folder), settings)
    project = bootstrap.open_project(folder, {**beside.environ(), **os.environ})
    return bootstrap.Installation(project, settings, public_url=settings.public_url or beside.public_url)


def check_names(
    installation: Installation, unit: Unit, *, journey: str | None = None, channel: str | None = None
) -> None:
    """Raises NotFound for a journey that neither the project nor the store knows, or a channel that the project has
    not: that nothing is found of them would say that nothing happened."""
    from engine.errors import NotFound

    plans = installation.project.plans
    if journey is not None and journey not in plans and unit.journeys.find(journey) is None:
        raise NotFound(f"there is no journey `{journey}`; this project has: {', '.join(plans) or 'none'}")
    check_channel(installation.project, channel)


def check_channel(project: Project, channel: str | None) -> None:
    """Raises NotFound for a channel that the project has not."""
    from engine.errors import NotFound

    if channel is not None and channel not in project.channels:
        raise NotFound(f"there is no channel `{channel}`; this project has: {', '.join(project.channels)}")
