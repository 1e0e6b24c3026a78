"""`sojourn demo`: the main job on the demo shop, from the first event to the received mail."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

import typer

from engine.errors import NotFound
from workers.cli.console import print_table, progress
from workers.cli.project import ProjectFolder

if TYPE_CHECKING:
    from engine.project import Project
    from engine.simulator.observed import Observed, Row
    from engine.simulator.scenario import Scenario

#: The scenario that the demo plays.
_WEEKS = Path("journeys") / "tests" / "demo_week.yml"
_DAYS = 86_400


def register(app: typer.Typer) -> None:
    app.command("demo")(demo)


def demo(
    project: ProjectFolder = Path(),
    scenario: Annotated[Path, typer.Option(help="The scenario to play.")] = _WEEKS,
) -> None:
    """Plays six weeks of the demo shop: real workflows on Temporal in virtual time, real SMTP into the local inbox.

    Exit 0 when everything came as the scenario expects, 1 when not.
    """
    # Temporal's client, the compiler and the store take their time to import; help needs none of them.
    from channels.inbox import Inbox, InboxServer
    from channels.registry import open_adapters
    from engine.simulator.observed import observe
    from engine.simulator.runner import collect_scenarios
    from engine.simulator.verdict import judge
    from workers.bootstrap import open_project
    from workers.embedded import LOOPBACK, choose_port
    from workers.settings import Settings, load_project_key
    from workers.simulation import TemporalDriver

    began = time.monotonic()
    port = choose_port("the demo's SMTP server", 2525, None, set())
    opened = open_project(project, {**os.environ, "SOJOURN_SMTP_PORT": str(port)})
    played = collect_scenarios(opened, [opened.root / scenario])[0]
    if not played:
        raise NotFound(f"no scenario in {scenario}: the demo plays one; see `sojourn check`")
    [weeks] = played[:1]
    state = opened.root / ".sojourn"
    state.mkdir(exist_ok=True)
    database = state / "demo.db"
    # `sojourn why` asks for the folder's key before it opens any store; a folder just cloned has none yet.
    load_project_key(opened.root, Settings.read(), is_new=True)
    inbox = Inbox(state / "inbox")
    before = {message.id for message in inbox.messages()}
    typer.echo(f"{weeks.name}: {len(weeks.people)} people, {len(weeks.rows)} events, {len(opened.plans)} journeys")
    end = weeks.until or weeks.start
    with InboxServer(inbox, port=port), progress("days", int((end - weeks.start).total_seconds() // _DAYS) + 1) as step:
        seen = [weeks.start]

        def passed(moment: datetime) -> None:
            while (moment - seen[0]).total_seconds() >= _DAYS:
                seen[0] = seen[0].fromtimestamp(seen[0].timestamp() + _DAYS, tz=seen[0].tzinfo)
                step()

        adapters = open_adapters(_into_the_inbox(opened, LOOPBACK, port), inbox)
        try:
            with (
                TemporalDriver(opened, adapters=adapters, on_progress=passed, keep=database) as driver,
                driver.played(weeks) as (world, ended_at),
            ):
                observed = observe(world, ended_at)
        finally:
            for adapter in adapters.values():
                adapter.close()
    caught = [message for message in inbox.messages() if message.id not in before]
    by_smtp = sum(message.kind == "email" for message in caught)
    _print_story(opened, weeks, observed)
    mismatches = judge(weeks.expected, observed)
    for mismatch in mismatches:
        typer.echo(f"not as expected: {mismatch.sentence}", err=True)
    days = (ended_at - weeks.start).days
    typer.echo(
        f"\n{days} days on Temporal in {time.monotonic() - began:.0f} s: {len(observed.enrollments)} workflows, "
        f"{by_smtp} mails received over SMTP, {len(caught) - by_smtp} SMS and chat messages, "
        f"{sum(row['outcome'] not in ('sent', 'held_out') for row in observed.decisions)} decisions not to send."
    )
    typer.echo(
        "\nWhere to look\n"
        f"  the messages           {_sojourn()} up, then http://127.0.0.1:8080/inbox\n"
        f"  runs in Temporal's UI  {_sojourn()} up, then http://127.0.0.1:8233, as soon as an event has come in\n"
        f"  why, for each of them  SOJOURN_DATABASE=sqlite:///{_relative(database)} {_sojourn()} why ana\n"
        f"  the same, as a test    {_sojourn()} test"
    )
    if mismatches:
        raise typer.Exit(1)


def _into_the_inbox(project: Project, host: str, port: int) -> Project:
    """The project with every channel led into the local inbox: mail by real SMTP, the rest by its own adapter."""
    channels = {
        name: replace(channel, use="smtp", settings={"host": host, "port": port, "tls": "none"})
        if channel.kind == "email"
        else replace(channel, use="inbox", settings={})
        for name, channel in project.channels.items()
    }
    return replace(project, channels=channels)


# ── the story ────────────────────────────────────────────────────────────────────────────────────────────────────────
def _print_story(project: Project, scenario: Scenario, observed: Observed) -> None:
    """Who got what, who did not and why, in the order in which it happened."""
    from engine.insight.words import REFUSALS

    zone = ZoneInfo(project.timezone)
    rows: list[tuple[datetime, Sequence[Any]]] = []
    subjects = {(m["at"], m["profile"], m["step"]): m["subject"] or _first_line(m["text"]) for m in observed.messages}
    for decision in observed.decisions:
        at, who, step = decision["at"], decision["profile"], decision["step"]
        place = f"{decision['journey']} · {step}"
        if decision["outcome"] == "sent":
            told = subjects.get((at, who, step), "")
            rows.append((at, (who, place, f"{decision['channel']}: {told}", "")))
        else:
            rows.append((at, (who, place, "", _why_not(decision))))
    for row in observed.enrollments:
        if row["state"] == "ended" and row["reason"] != "completed":
            words = "bought: the goal is reached" if row["converted"] else f"ends here ({row['reason']})"
            rows.append((row["at"], (row["profile"], str(row["journey"]), "", words)))
    rows += [
        (row["at"], (row["profile"], str(row["journey"]), "", f"not let in: {REFUSALS[row['reason']]}"))
        for row in observed.entries_refused
    ]
    rows.sort(key=lambda row: row[0])
    print_table(
        ("when", "who", "journey · step", "got", "got nothing, because"),
        [(_moment(at, scenario.start, zone), *cells) for at, cells in rows],
        empty="Nothing happened.",
    )


def _why_not(decision: Row) -> str:
    from engine.insight.words import OUTCOMES

    return OUTCOMES[decision["outcome"]].split(": ", 1)[-1]


def _first_line(text: str | None) -> str:
    return shorten((text or "").strip().split("\n", 1)[0], 60, placeholder=" …")


def _moment(at: datetime, start: datetime, zone: ZoneInfo) -> str:
    local = at.astimezone(zone)
    day = (local.date() - start.astimezone(zone).date()).days
    return f"day {day:>2} {local:%a %H:%M}"


def _sojourn() -> str:
    """The command as it was called, so that what is printed can be pasted."""
    return _relative(Path(sys.argv[0])) if "/" in sys.argv[0] else "sojourn"


def _relative(path: Path) -> str:
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)
