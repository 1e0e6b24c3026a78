"""`sojourn plan`, `deploy`, `pause`, `resume`, `stop`: versions, and the people who are inside while they change."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from workers import whereabouts
from workers.cli.console import progress
from workers.cli.project import ProjectFolder, open_installation

if TYPE_CHECKING:
    from engine.enrollment.changes import JourneyChange, StepChange
    from engine.enrollment.operations import Deployed

Journey = Annotated[str, typer.Argument(help="The journey's name.")]
Form = Annotated[Literal["text", "json"], typer.Option("--format", help="How to print it.")]
Reason = Annotated[str | None, typer.Option("--reason", help="Why; kept with the journey.", metavar="TEXT")]

_SIGNS = {"added": "+", "removed": "-", "changed": "~", "moved": ">"}


def register(app: typer.Typer) -> None:
    for verb in (plan, deploy, pause, resume, stop):
        app.command(verb.__name__)(verb)


# ── versions ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def plan(project: ProjectFolder = Path(), form: Form = "text") -> None:
    """Shows what a deploy would change, and how many people stand where. Changes nothing; exit 0 either way."""
    with open_installation(project) as installation:
        changes = installation.engine.operations.plan()
    if form == "json":
        typer.echo(json.dumps({"journeys": [asdict(change) for change in changes]}, ensure_ascii=False, indent=2))
    else:
        typer.echo(_told(changes))


def deploy(
    project: ProjectFolder = Path(),
    in_flight: Annotated[
        Literal["keep", "move"],
        typer.Option(help="People inside stay on the version on which they entered, or move to the new one."),
    ] = "keep",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask, even on a terminal.")] = False,
    form: Form = "text",
) -> None:
    """Makes the project's journeys the versions on which people enter. On a terminal it shows the plan and asks first.

    Exit 1 where people are to be moved and stand at a step that is gone and not mapped under `moved:`; nothing is
    changed then.
    """
    with open_installation(project) as installation:
        operations = installation.engine.operations
        if not yes and form == "text" and sys.stdin.isatty():
            changes = operations.plan()
            typer.echo(_told(changes))
            if any(change.change != "unchanged" for change in changes):
                typer.confirm("Deploy?", abort=True)
        deployed = operations.deploy(installation.clock(), in_flight, progress)
    if form == "json":
        typer.echo(json.dumps({"journeys": [asdict(each) for each in deployed]}, ensure_ascii=False, indent=2))
        return
    lines = [line for each in deployed for line in _done(each)]
    typer.echo("\n".join(lines or ["Nothing to deploy: every journey is deployed as it is."]))
    beside = whereabouts.find(project)
    if beside is not None and any(each.change != "unchanged" for each in deployed):
        typer.echo(
            f"`sojourn up` (process {beside.process}) read triggers, segments, templates and channels when it started: "
            "restart it for what is new of them, or nobody enters a new journey"
        )


def _done(each: Deployed) -> list[str]:
    if each.change == "gone":
        return [f"{each.journey}: gone from the project; {_inside(each.kept)}, to their end; no one enters"]
    lines = []
    if each.change != "unchanged":
        lines.append(f"{each.journey}: {each.change}, people enter on version {each.digest}")
    if each.moved:
        lines.append(f"{each.journey}: {_people(each.moved)} on older versions move to {each.digest}")
    elif each.kept and each.change != "unchanged":
        lines.append(f"{each.journey}: {_people(each.kept)} on older versions go on with them")
    return lines


# ── pause, resume, stop ──────────────────────────────────────────────────────────────────────────────────────────────
def pause(journey: Journey, reason: Reason = None, project: ProjectFolder = Path(), form: Form = "text") -> None:
    """Holds people where they are: no one enters, no step is taken. Exits still end, and clocks run on."""
    with open_installation(project) as installation:
        inside = installation.engine.operations.pause(journey, installation.clock(), reason)
    _print({"journey": journey, "state": "paused", "inside": inside}, form, f"{journey} is paused: {_inside(inside)}")


def resume(journey: Journey, reason: Reason = None, project: ProjectFolder = Path(), form: Form = "text") -> None:
    """Lets a paused or stopped journey go on.

    Who is held is let on at the journey's `pace`, or ended, where it says `if_late: exit`."""
    with open_installation(project) as installation:
        going = installation.engine.operations.resume(journey, installation.clock(), reason)
    seconds = going.lasts.total_seconds()
    words = f"{journey} goes on: {_people(going.let_on)} let on"
    if seconds:
        words += f" over {seconds:.0f} s"
    if going.ended:
        words += f", {_people(going.ended)} ended (past)"
    document = {"journey": journey, "state": "active", "let_on": going.let_on, "ended": going.ended, "seconds": seconds}
    _print(document, form, words)


def stop(journey: Journey, reason: Reason = None, project: ProjectFolder = Path(), form: Form = "text") -> None:
    """Ends everybody in a journey (`stopped`) and lets no one in, until a resume."""
    with open_installation(project) as installation:
        ended = installation.engine.operations.stop(journey, installation.clock(), reason)
    _print(
        {"journey": journey, "state": "stopped", "ended": ended}, form, f"{journey} is stopped: {_people(ended)} ended"
    )


def _print(document: Mapping[str, object], form: str, words: str) -> None:
    typer.echo(json.dumps(document) if form == "json" else words)


# ── the plan in words ────────────────────────────────────────────────────────────────────────────────────────────────
def _told(changes: Sequence[JourneyChange]) -> str:
    blocks = [_journey(change) for change in changes if change.change != "unchanged"]
    unchanged = [change for change in changes if change.change == "unchanged"]
    if not blocks:
        return f"Nothing to deploy: {len(unchanged)} deployed as they are." if changes else "There is no journey."
    if unchanged:
        blocks.append(f"unchanged: {', '.join(change.journey for change in unchanged)}")
    return "\n\n".join(blocks)


def _journey(change: JourneyChange) -> str:
    versions = " → ".join(version for version in (change.deployed, change.version) if version)
    if change.change == "gone":
        versions = f"{change.deployed}; people inside go on to their end, no one enters"
    lines = [f"{change.journey} ({change.change}, {versions}), {_inside(sum(change.inside.values()))}"]
    lines += [f"    {detail}" for detail in change.details]
    for step in change.steps:
        lines.append(f"  {_SIGNS[step.change]} {_step(step)}")
        lines += [f"      {detail}" for detail in step.details]
    return "\n".join(lines)


def _step(step: StepChange) -> str:
    words = step.words if step.words.endswith(step.step_id) else f"{step.words} · {step.step_id}"
    if step.to:
        words += f" → {step.to}"
    if step.people:
        here = ", ".join(f"{people} on {version}" for version, people in step.people.items())
        words += f"  [{_people(sum(step.people.values()))} here: {here}]"
    elif step.change == "removed":
        words += "  [nobody here]"
    return words


def _people(number: int) -> str:
    return "1 person" if number == 1 else f"{number} people"


def _inside(number: int) -> str:
    return "nobody inside" if number == 0 else f"{_people(number)} inside"
