"""Channels in trouble, in dicts."""

from __future__ import annotations

from collections.abc import Sequence

from engine.delivery.circuit import Circuit
from engine.storage.dicts.shelf import Journal, Shelf


class DictCircuits:
    def __init__(self, journal: Journal) -> None:
        self._circuits: Shelf[str, Circuit] = Shelf(journal)
        self._all = self._circuits.index(lambda circuit: (None, (circuit.channel,)))

    def find(self, channel: str) -> Circuit | None:
        return self._circuits.get(channel)

    def save(self, circuit: Circuit) -> None:
        self._circuits.put(circuit.channel, circuit)

    def remove(self, channel: str) -> None:
        self._circuits.drop(channel)

    def all(self) -> Sequence[Circuit]:
        return self._all.all()
