"""`sojourn worker`: carries journeys and sends messages, in as many processes as it takes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from engine.errors import NotFound
from workers.cli.project import ProjectFolder, open_installation


def register(app: typer.Typer) -> None:
    app.command("worker")(worker)


def worker(
    project: ProjectFolder = Path(),
    channel: Annotated[
        list[str] | None, typer.Option(help="Only the sends of this channel; may be repeated. Default: everything.")
    ] = None,
) -> None:
    """Runs journeys, routing and sends, against the Temporal that the TEMPORAL_* variables name."""
    from engine.storage.wakeups import Wakeups
    from workers.activities.steps import StepActivities
    from workers.activities.sweeps import SweepActivity
    from workers.gateway import Gateway
    from workers.loops import Loops, WakingPerformer
    from workers.process import StopSignal, TemporalSide, configure_logging

    configure_logging()
    stop = StopSignal()
    with open_installation(project) as installation:
        engine = installation.engine
        known = installation.project.channels
        for name in channel or ():
            if name not in known:
                raise NotFound(f"there is no channel `{name}`; sojourn.yml has {', '.join(known)}")
        installation.shelve_plans()
        temporal = TemporalSide(installation.settings)
        loops: Loops | None = None
        wakeups: Wakeups | None = None
        sweeps: SweepActivity | None = None
        performer = engine.performer
        if channel:
            activities = StepActivities(performer, installation.clock)
        else:
            temporal.register()
            gateway = Gateway(
                temporal.client,
                temporal.loop,
                project_key=installation.project_key,
                topics=installation.project.topics,
            )
            loops = Loops(engine, gateway, installation.clock)
            activities = StepActivities(WakingPerformer(performer, loops.wake), installation.clock)
            sweeps = SweepActivity(engine.sweeper, installation.clock, loops.wake)
            loops.start()
            wakeups = installation.store.wakeups(loops.wake)
            wakeups.start()
        temporal.start(activities, [known[name] for name in channel or known], with_journeys=not channel, sweeps=sweeps)
        typer.echo(f"Working for {installation.project.name}: {', '.join(channel or ['everything'])}")
        stop.wait(unless=temporal.failure)
        if wakeups:
            wakeups.stop()
        if loops:
            loops.stop()
        temporal.stop()
