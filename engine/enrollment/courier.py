"""Brings committed stimuli to their carrier, at least once and in order; a row leaves when the carrier has taken it.

Couriers in several processes share the work: each claims a batch for as long as its lease, and only what a courier has
claimed and not brought away by then (it was killed, say) is another's. A repeat is harmless.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from engine.enrollment.carrier import Carrier
from engine.schedule import doubled
from engine.store import Store

#: For how long what a courier has claimed is its own: longer than a carrier takes over a batch, and as long as a killed
#: courier holds its batch up.
LEASE = timedelta(seconds=20)
_FIRST_PAUSE = timedelta(seconds=0.5)
_LONGEST_PAUSE = timedelta(seconds=30)


class Courier:
    """Delivers for one process."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def deliver_due(self, carrier: Carrier, now: datetime) -> int:
        """Delivers what may go by `now`; how many stimuli that were.

        What the carrier refuses comes again after a pause that grows to half a minute, and holds up only what came
        later for the same enrollment. Raises what the carrier raises where it takes nothing.
        """
        delivered = 0
        while True:
            with self._store.transaction() as unit:
                claimed = unit.queue.claim_stimuli(now, now + LEASE)
                found = [(stimulus, unit.enrollments.find(stimulus.enrollment_id)) for stimulus in claimed]
            if not claimed:
                return delivered
            try:
                refused = carrier.deliver([(stimulus, carried) for stimulus, carried in found if carried is not None])
            except Exception:
                # Its own pace is the caller's to choose: all of it is due again at once.
                with self._store.transaction() as unit:
                    unit.queue.put_back_stimuli([stimulus.seq for stimulus in claimed], now)
                raise
            with self._store.transaction() as unit:
                unit.queue.remove_stimuli([stimulus.seq for stimulus in claimed if stimulus.seq not in refused])
                for stimulus in claimed:
                    if stimulus.seq in refused:
                        pause = doubled(_FIRST_PAUSE, stimulus.attempts - 1, _LONGEST_PAUSE)
                        unit.queue.put_back_stimuli([stimulus.seq], now + pause)
            delivered += len(claimed) - len(refused)
