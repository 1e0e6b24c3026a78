"""The composition root: a project's folder becomes a running engine here, and nowhere else."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from channels.calls import HttpCaller
from channels.registry import adapter_infos, open_adapters
from engine.assembly import Engine
from engine.language.project import load_project
from engine.plan.model import Plan
from engine.project import Project
from engine.storage.database import Database
from workers.clock import system_now
from workers.contracts.plans import PLANS, PlanShelf
from workers.settings import Settings, load_project_key

if TYPE_CHECKING:
    from channels.inbox import Inbox
    from engine.delivery.message import Adapter

#: Where links lead on a machine without a public address.
LOCAL_URL = "http://127.0.0.1:8080"


def open_project(root: Path, environ: Mapping[str, str] = os.environ) -> Project:
    """The compiled project of a folder. Raises ProjectError with every problem, NotFound where there is no project."""
    return load_project(root.resolve(), environ, adapter_infos())


class Installation:
    """A project over its store, with its adapters: what every process but the tests runs on. Close it."""

    def __init__(
        self,
        project: Project,
        settings: Settings,
        *,
        public_url: str | None = None,
        inbox: Inbox | None = None,
        is_migrating: bool = False,
        clock: Callable[[], datetime] = system_now,
    ) -> None:
        """Raises Conflict where the store's tables do not fit, unless `is_migrating` brings them up to date."""
        self.project = project
        self.settings = settings
        self.clock = clock
        self.public_url = public_url or settings.public_url or LOCAL_URL
        with ExitStack() as undo:
            self.store = Database(project.database)
            undo.callback(self.store.close)
            is_new = self.store.revision() is None
            if is_migrating:
                self.store.migrate()
            self.store.check_revision()
            self.project_key = load_project_key(project.root, settings, is_new=is_new)
            adapters = open_adapters(project, inbox, public_url=settings.public_url or "")
            for adapter in adapters.values():
                undo.callback(adapter.close)
            self.adapters: Mapping[str, Adapter] = adapters
            caller = HttpCaller(allowed_hosts=project.allowed_hosts)
            undo.callback(caller.close)
            self.engine = Engine(
                project=project,
                store=self.store,
                adapters=adapters,
                caller=caller,
                project_key=self.project_key,
                public_url=self.public_url,
                clock=clock,
            )
            self._undo = undo.pop_all()

    def shelve_plans(self, shelf: PlanShelf = PLANS) -> None:
        """Lets this process's workflows find their plans: the project's at once, older ones from the store."""

        def load(digest: str) -> Plan:
            with self.store.transaction() as unit:
                return self.engine.plans.plan(unit, digest)

        for plan in self.project.plans.values():
            shelf.put(self.engine.plans.digest(plan.journey), plan)
        shelf.connect(load)

    def close(self) -> None:
        self._undo.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
