"""All of an installation in one process and one child: what `sojourn up` runs."""

from __future__ import annotations

import os
import secrets
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from channels.inbox import Inbox, InboxServer
from engine.store import KeyRecord
from engine.web.access import key_hash
from engine.web.app import create_app
from workers.activities.steps import StepActivities
from workers.activities.sweeps import SweepActivity
from workers.api import ApiServer
from workers.bootstrap import Installation, open_project
from workers.embedded import LOOPBACK, DevServer, choose_port
from workers.gateway import Gateway
from workers.loops import Loops, WakingPerformer
from workers.process import TemporalSide
from workers.settings import Settings, write_secret
from workers.whereabouts import Whereabouts, left


@dataclass(frozen=True, kw_only=True, slots=True)
class Ports:
    """Where the parts listen, all on the loopback."""

    api: int
    temporal: int
    temporal_ui: int
    smtp: int
    #: A line for each that is not where it usually is.
    moved: tuple[str, ...] = ()

    @classmethod
    def choose(cls, *, api: int | None, temporal: int | None, temporal_ui: int | None, smtp: int | None) -> Self:
        """Explicit ports as they are (Conflict where one is in use), the others from their usual place upwards."""
        taken: set[int] = set()
        moved = []
        chosen = {}
        for name, what, usual, explicit in (
            ("api", "the API", 8080, api),
            ("temporal", "Temporal", 7233, temporal),
            ("temporal_ui", "Temporal's pages", 8233, temporal_ui),
            ("smtp", "the local inbox", 1025, smtp),
        ):
            chosen[name] = choose_port(what, usual, explicit, taken)
            if explicit is None and chosen[name] != usual:
                moved.append(f"Port {usual} is in use: {what} listens on {chosen[name]}.")
        return cls(**chosen, moved=tuple(moved))


class Everything:
    """A context manager: entering starts the parts in the order in which they need each other, leaving drains them."""

    def __init__(self, root: Path, folder: Path, ports: Ports) -> None:
        self._root = root
        self._folder = folder
        self._ports = ports
        self._parts = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as parts:
            self._start(parts)
            self._parts = parts.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._parts.close()

    def failure(self) -> BaseException | None:
        """Why it cannot go on, or None. (Temporal's death is none: it is started again.)"""
        return self._temporal.failure() or self._api.failure()

    def summary(self) -> str:
        """Where everything is, for a terminal."""
        ports = self._ports
        lines = [
            f"Sojourn is up: {self._installation.project.name} in {self._root.resolve()}",
            f"  API and dashboard   http://{LOOPBACK}:{ports.api}",
            f"  Temporal's pages    http://{LOOPBACK}:{ports.temporal_ui}",
            f"  Temporal            {LOOPBACK}:{ports.temporal}",
            f"  Local inbox (SMTP)  {LOOPBACK}:{ports.smtp}",
            f"  Write key           {self._write_key}",
            *(f"  Deployed            {line}" for line in self._deployed),
            "Ctrl-C drains and stops.",
        ]
        return "\n".join(lines)

    def _start(self, parts: ExitStack) -> None:
        settings = Settings.read()
        here = Whereabouts(
            process=os.getpid(),
            public_url=settings.public_url or f"http://{LOOPBACK}:{self._ports.api}",
            smtp_port=self._ports.smtp,
        )
        # The project may say `port: ${SOJOURN_SMTP_PORT:-1025}`, and then finds the inbox wherever it is.
        project = open_project(self._root, {**here.environ(), **os.environ})
        inbox = Inbox(self._folder / "inbox")
        self._installation = parts.enter_context(
            Installation(
                project,
                settings,
                public_url=here.public_url,
                inbox=inbox,
                is_migrating=True,
            )
        )
        engine, clock = self._installation.engine, self._installation.clock
        self._installation.shelve_plans()
        self._write_key = self._make_write_key()
        self._deployed = [
            f"{each.journey} ({each.change}, version {each.digest})"
            for each in engine.operations.deploy(clock())
            if each.change != "unchanged"
        ]
        parts.enter_context(InboxServer(inbox, port=self._ports.smtp))

        server = DevServer(self._folder, port=self._ports.temporal, ui_port=self._ports.temporal_ui)
        server.start()
        parts.callback(server.stop)
        self._temporal = TemporalSide(settings, server.address)
        parts.callback(self._temporal.stop)
        gateway = Gateway(
            self._temporal.client,
            self._temporal.loop,
            project_key=self._installation.project_key,
            topics=project.topics,
        )
        loops = Loops(engine, gateway, clock)
        activities = StepActivities(WakingPerformer(engine.performer, loops.wake), clock)
        sweeps = SweepActivity(engine.sweeper, clock, loops.wake)
        self._temporal.start(activities, project.channels.values(), sweeps=sweeps)
        loops.start()
        parts.callback(loops.stop)
        wakeups = self._installation.store.wakeups(loops.wake)
        wakeups.start()
        parts.callback(wakeups.stop)

        app = create_app(
            engine,
            inbox=inbox,
            on_intake=loops.wake,
            temporal_ui=f"http://{LOOPBACK}:{self._ports.temporal_ui}",
        )
        self._api = ApiServer(app, host=LOOPBACK, port=self._ports.api)
        self._api.start()
        parts.callback(self._api.stop)
        parts.enter_context(left(self._folder, here))

    def _make_write_key(self) -> str:
        """The key for events in, the same at every start: in the folder for its owner, in the store by its hash."""
        path = self._folder / "write.key"
        if not path.exists():
            write_secret(path, f"wk_{secrets.token_urlsafe(24)}")
        key = path.read_text().strip()
        hashed = key_hash(key)
        with self._installation.store.transaction() as unit:
            if unit.access.find_key(hashed) is None:
                unit.access.save_key(
                    KeyRecord(
                        key_hash=hashed, name="sojourn up", scopes=("ingest",), created_at=self._installation.clock()
                    )
                )
        return key
