"""Brings committed stimuli to their carrier, at least once and in order; a row leaves when the carrier has taken it."""

from __future__ import annotations

from datetime import datetime

from engine.enrollment.carrier import Carrier
from engine.store import Store


class Courier:
    """One per process that delivers; several at once only repeat each other, harmlessly."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def deliver_due(self, carrier: Carrier, now: datetime) -> int:
        """Delivers what may go by `now`; how many stimuli that were."""
        delivered = 0
        while True:
            with self._store.transaction() as unit:
                batch = [
                    (stimulus, unit.enrollments.find(stimulus.enrollment_id)) for stimulus in unit.queue.stimuli(now)
                ]
            if not batch:
                return delivered
            for stimulus, enrollment in batch:
                if enrollment is not None:
                    carrier.deliver(stimulus, enrollment)
                with self._store.transaction() as unit:
                    unit.queue.remove_stimulus(stimulus.seq)
                delivered += 1
