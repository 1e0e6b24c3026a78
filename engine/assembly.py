"""The engine put together: one project over one store, with its adapters. Processes and simulations build it alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from engine.consent.ledger import Ledger
from engine.delivery.circuits import Circuits
from engine.delivery.dispatcher import Dispatcher
from engine.delivery.gate import Gate
from engine.delivery.mailing import Mailing
from engine.delivery.message import Adapter
from engine.delivery.receipts import Receipts
from engine.enrollment.caller import Caller
from engine.enrollment.courier import Courier
from engine.enrollment.ending import Exits
from engine.enrollment.entry import Entries
from engine.enrollment.facts import FactsSource
from engine.enrollment.operations import Operations
from engine.enrollment.performer import Performer
from engine.enrollment.planbook import Planbook
from engine.enrollment.rehearsal import Rehearsal
from engine.enrollment.resolving import Resolver
from engine.enrollment.steps import Forced, Steps
from engine.events.backfill import Backfill
from engine.events.baselines import Baselines
from engine.events.dues import DueIndex
from engine.events.intake import Intake
from engine.events.router import Router
from engine.events.sweeps import Sweeper
from engine.project import Project
from engine.rendering.renderer import Renderer
from engine.store import Store


class Engine:
    """Everything that a process needs of the engine; nothing in it starts a thread or reads a clock of its own."""

    def __init__(
        self,
        *,
        project: Project,
        store: Store,
        adapters: Mapping[str, Adapter],
        caller: Caller,
        project_key: bytes,
        public_url: str,
        clock: Callable[[], datetime],
        forced: Forced | None = None,
        renderer: Renderer | None = None,
    ) -> None:
        forced = forced or Forced()
        self.project = project
        self.store = store
        self.adapters = adapters
        self.project_key = project_key
        self.public_url = public_url
        self.clock = clock
        self.plans = Planbook(project)
        self.facts = FactsSource(project=project, project_key=project_key)
        self.ledger = Ledger(project, project_key)
        self.intake = Intake(project, project_key)
        self.receipts = Receipts(project, self.ledger)
        self.mailing = Mailing(project, project_key, public_url, renderer or Renderer(project))
        self.circuits = Circuits(project)
        self.dispatcher = Dispatcher(
            project=project,
            gate=Gate(project, project_key),
            ledger=self.ledger,
            adapters=adapters,
            mailing=self.mailing,
            circuits=self.circuits,
            held_out=forced.holdout,
        )
        exits = Exits(self.facts)
        self.entries = Entries(self.plans, self.facts, exits)
        self.performer = Performer(
            store=store,
            planbook=self.plans,
            facts=self.facts,
            exits=exits,
            steps=Steps(planbook=self.plans, facts=self.facts, entries=self.entries, intake=self.intake, forced=forced),
            dispatcher=self.dispatcher,
            caller=caller,
        )
        self.rehearsal = Rehearsal(
            project=project,
            store=store,
            planbook=self.plans,
            facts=self.facts,
            intake=self.intake,
            dispatcher=self.dispatcher,
            mailing=self.mailing,
        )
        self.resolver = Resolver(
            store=store, planbook=self.plans, facts=self.facts, exits=exits, dispatcher=self.dispatcher
        )
        self.dues = DueIndex(self.plans, self.facts)
        self.router = Router(
            store=store,
            planbook=self.plans,
            facts=self.facts,
            exits=exits,
            entries=self.entries,
            dues=self.dues,
        )
        self.sweeper = Sweeper(
            store=store,
            planbook=self.plans,
            facts=self.facts,
            entries=self.entries,
            router=self.router,
            dues=self.dues,
            circuits=self.circuits,
        )
        self.courier = Courier(store)
        self.backfill = Backfill(store=store, planbook=self.plans, facts=self.facts, router=self.router, dues=self.dues)
        baselines = Baselines(self.plans, self.dues)
        self.operations = Operations(store, self.plans, self.dues, baselines, self.backfill)
