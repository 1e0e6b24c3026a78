"""The process's plans by hash, so that a plan never travels through a workflow's history."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as TooSlow

from engine.errors import StoreUnavailable
from engine.plan.model import Plan

#: Temporal calls a workflow task stuck after two seconds; a store that answers later is asked again by the next one.
PATIENCE_SECONDS = 1.5


class PlanShelf:
    """Plans by version, loaded once and kept.

    A workflow carries only its plan's hash and looks the plan up here, outside of Temporal's sandbox and history. That
    is deterministic although the look-up may read the store: a plan is stored under the hash of its own content, so
    one hash can only ever give one plan, on every machine and on every replay. A failed look-up fails the workflow
    task, never the workflow: Temporal repeats the task until the store is back.
    """

    def __init__(self) -> None:
        self._plans: dict[str, Plan] = {}
        self._load: Callable[[str], Plan] | None = None
        # Loading happens in a thread of its own: the thread of a workflow task imports through the sandbox, and what
        # a database driver imports on first use would be loaded (and refused) there.
        self._loading = ThreadPoolExecutor(max_workers=1, thread_name_prefix="plans")
        self._lock = threading.Lock()

    def connect(self, load: Callable[[str], Plan]) -> None:
        """Sets where unknown plans come from. `load` raises where there is none with the hash."""
        self._load = load

    def put(self, digest: str, plan: Plan) -> None:
        """Keeps a plan at hand."""
        with self._lock:
            self._plans[digest] = plan

    def plan(self, digest: str) -> Plan:
        """The plan with this hash. Raises StoreUnavailable where it cannot be read in time, and what `load` raises."""
        known = self._plans.get(digest)
        if known is None:
            if self._load is None:
                raise StoreUnavailable(f"no plan {digest} is at hand and nothing is connected that could load it")
            try:
                known = self._loading.submit(self._load, digest).result(timeout=PATIENCE_SECONDS)
            except TooSlow:
                raise StoreUnavailable(f"the plan {digest} could not be read within {PATIENCE_SECONDS} s") from None
            self.put(digest, known)
        return known


#: The one shelf of this process: workflow code cannot be handed objects, so it finds the plans here.
PLANS = PlanShelf()
