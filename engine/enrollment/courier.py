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
        """Delivers what may go by `now`; how many stimuli that were.

        What the carrier does not take stays for the next call and holds up nobody else's; its exception is raised once
        the others are delivered.
        """
        delivered = 0
        while True:
            with self._store.transaction() as unit:
                due = unit.queue.stimuli(now)
                batch = [(stimulus, unit.enrollments.find(stimulus.enrollment_id)) for stimulus in due]
            refused: dict[str, Exception] = {}
            for stimulus, enrollment in batch:
                if stimulus.enrollment_id in refused:
                    continue  # in order: what comes after a refused one waits for it
                try:
                    if enrollment is not None:
                        carrier.deliver(stimulus, enrollment)
                except Exception as problem:  # whatever it is, it is told below
                    refused[stimulus.enrollment_id] = problem
                    continue
                with self._store.transaction() as unit:
                    unit.queue.remove_stimulus(stimulus.seq)
                delivered += 1
            if refused:
                raise next(iter(refused.values()))
            if not batch:
                return delivered
