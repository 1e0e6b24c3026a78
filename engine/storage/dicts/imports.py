"""How far unfinished imports have come, in dicts."""

from __future__ import annotations

from engine.storage.dicts.shelf import Journal, Shelf
from engine.store import ImportMark


class DictImports:
    def __init__(self, journal: Journal) -> None:
        self._imports: Shelf[str, ImportMark] = Shelf(journal)

    def find(self, import_id: str) -> ImportMark | None:
        return self._imports.get(import_id)

    def save(self, mark: ImportMark) -> None:
        self._imports.put(mark.import_id, mark)

    def remove(self, import_id: str) -> None:
        self._imports.drop(import_id)
