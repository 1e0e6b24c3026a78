"""Circuits at work: a provider in trouble is left alone, its messages wait, and go in their order when it is back.

The state is in the store, so all workers see one circuit: one message at a time is the probe, however many there are,
and `sojourn channels` tells the same everywhere. A healthy channel has no row, and costs one look-up a message.

What an open circuit holds waits without an attempt until its time is over; nobody wakes it but us. Two things do, both
by a row in the due index: a probe each time that one is due, and, once the provider is back, everybody, transactional
messages first, one after another at the channel's rate.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from msgspec.structs import replace

from engine.delivery.circuit import PROBE_LASTS, Circuit, after_failure, lets_through
from engine.delivery.model import Delivery
from engine.enrollment.model import Stimulus
from engine.errors import ChannelError
from engine.events.model import Due
from engine.plan.effects import Reconsider
from engine.project import Project
from engine.store import Unit

logger = logging.getLogger("sojourn.channels")


class Circuits:
    """The circuits of one project's channels. Every change is made under their lock, taken after the profile's."""

    def __init__(self, project: Project) -> None:
        self._project = project

    def lets(self, unit: Unit, channel: str, delivery_id: str, now: datetime) -> bool:
        """Whether a message may be handed to the channel's provider now; where the circuit is open, as its probe."""
        if unit.circuits.find(channel) is None:
            return True
        circuit = self._locked(unit, channel)
        is_let = lets_through(circuit, delivery_id, now)
        if circuit is not None and circuit.state == "open":
            if is_let and circuit.probing != delivery_id:
                circuit = replace(circuit, probing=delivery_id, probe_at=now + PROBE_LASTS)
                unit.circuits.save(circuit)
            # Whoever is held must be sure that somebody will look.
            self._look_at(unit, channel, circuit.probe_at or now)
        return is_let

    def failed(self, unit: Unit, delivery: Delivery, error: ChannelError, now: datetime) -> None:
        """An attempt at the channel that the delivery names in `via` has failed for the provider's sake."""
        channel = delivery.via
        known = self._locked(unit, channel)
        # Of its first dispatch, in which it may be tried with the channel and with its backup.
        is_first = delivery.attempts == 0 or delivery.claimed_at == delivery.first_attempt_at
        circuit = after_failure(known, channel, delivery.delivery_id, error, now, is_first=is_first)
        if circuit == known:
            return
        unit.circuits.save(circuit)
        if circuit.state == "open":
            self._look_at(unit, channel, circuit.probe_at or now)
            if known is None or known.state == "closed" or known.reason != circuit.reason:
                self._tell(circuit)

    def worked(self, unit: Unit, channel: str, now: datetime) -> None:
        """The provider has answered for itself: it is there."""
        if unit.circuits.find(channel) is None:
            return
        circuit = self._locked(unit, channel)
        unit.circuits.remove(channel)
        if circuit is not None and circuit.state == "open":
            self._look_at(unit, channel, now)
            logger.warning("channel `%s` works again; what waited for it goes now, at its rate", channel)

    def tend(self, unit: Unit, row: Due, now: datetime) -> None:
        """What a due row asks for: everybody let on where the circuit has closed, else one message as its probe."""
        channel = row.subject
        circuit = self._locked(unit, channel)
        if unit.dues.find(row.kind, row.profile_id, row.subject) != row:
            return
        unit.dues.remove(row.kind, row.profile_id, row.subject)
        waiting = self._waiting(unit, channel)
        if circuit is None or circuit.state == "closed":
            for place, delivery in enumerate(waiting):
                _nudge(unit, delivery, now + place * self._apart(delivery))
        elif circuit.probe_at is not None and now < circuit.probe_at:
            self._look_at(unit, channel, circuit.probe_at)
        elif waiting:
            # Another one each time: what is wrong may be the message, and the provider long back.
            _nudge(unit, min(waiting, key=lambda delivery: delivery.attempts), now)
            # Should it never come to be handed over, another one is asked.
            self._look_at(unit, channel, now + PROBE_LASTS)
        # Else the next message that comes is the probe.

    def _waiting(self, unit: Unit, channel: str) -> Sequence[Delivery]:
        """Messages that wait for the channel, transactional ones first, then the oldest."""
        served = [each.name for each in self._project.channels.values() if channel in (each.name, each.backup)]
        found = [
            delivery
            for status in ("retrying", "claimed")
            for name in served
            for delivery in unit.deliveries.of(status=status, channel=name)
            if self._is_waiting(unit, delivery)
        ]
        return sorted(
            found, key=lambda delivery: (delivery.is_marketing, delivery.first_attempt_at, delivery.claimed_at)
        )

    @staticmethod
    def _is_waiting(unit: Unit, delivery: Delivery) -> bool:
        enrollment = unit.enrollments.find(delivery.enrollment_id)
        here = (delivery.step_id, delivery.visit)
        return (
            enrollment is not None and enrollment.waiting == "retry" and (enrollment.step_id, enrollment.visit) == here
        )

    def _apart(self, delivery: Delivery) -> timedelta:
        rate = self._project.channels[delivery.channel].rate_per_second
        return timedelta(seconds=1 / rate) if rate else timedelta()

    @staticmethod
    def _locked(unit: Unit, channel: str) -> Circuit | None:
        # One lock for all: a message meets its channel's circuit and its backup's, and two may back each other.
        unit.lock("circuits")
        return unit.circuits.find(channel)

    @staticmethod
    def _look_at(unit: Unit, channel: str, at: datetime) -> None:
        unit.dues.put(Due(kind="circuit", profile_id="", subject=channel, due_at=at))

    def _tell(self, circuit: Circuit) -> None:
        channel = self._project.channels[circuit.channel]
        backup = f"; `{channel.backup}` takes over" if channel.backup else ""
        if circuit.reason == "account":
            logger.error(
                "channel `%s` (%s): the provider refuses our account or settings, and will until somebody mends them "
                "(%s); its messages wait%s; `sojourn channels` shows it",
                channel.name, channel.use, circuit.error, backup,
            )  # fmt: skip
        else:
            logger.warning(
                "channel `%s` (%s): the provider is out after %d failed messages in a row (%s); its messages wait%s",
                channel.name, channel.use, circuit.failures, circuit.error, backup,
            )  # fmt: skip


def _nudge(unit: Unit, delivery: Delivery, at: datetime) -> None:
    unit.queue.add_stimulus(
        Stimulus(enrollment_id=delivery.enrollment_id, input=Reconsider(), created_at=at, not_before=at)
    )
