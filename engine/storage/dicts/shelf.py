"""Records by id, with ordered indexes, every change of which can be undone: the cost is that of the changes alone."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Hashable, Iterator
from functools import cached_property
from operator import itemgetter
from typing import Any, Generic, TypeVar

V = TypeVar("V")
K = TypeVar("K", bound=Hashable)

#: Where a record stands in an index: its group, and the key by which the group is ordered. Ties stand by insertion.
Place = tuple[Hashable, tuple[Any, ...]]

_first = itemgetter(0)
_last = itemgetter(-1)


class Journal:
    """What would undo the present transaction, newest last."""

    def __init__(self) -> None:
        self._undo: list[tuple[Callable[..., object], tuple[Any, ...]]] = []

    def note(self, undo: Callable[..., object], *arguments: Any) -> None:
        self._undo.append((undo, arguments))

    def commit(self) -> None:
        self._undo.clear()

    def roll_back(self) -> None:
        while self._undo:
            undo, arguments = self._undo.pop()
            undo(*arguments)


class Index(Generic[V]):
    """Groups of a shelf's records, each in the order of its key. Made by `Shelf.index`."""

    def __init__(
        self, rows: dict[Any, tuple[int, V]], kept: list[Index[V]], place: Callable[[V], Place | None]
    ) -> None:
        self._rows = rows
        self._kept = kept
        self.place = place

    @cached_property
    def _groups(self) -> dict[Hashable, list[tuple[Any, ...]]]:
        """Made when first read, and kept from then on: of most indexes a play asks nothing before its end."""
        groups: dict[Hashable, list[tuple[Any, ...]]] = {}
        for key, (number, value) in self._rows.items():
            place = self.place(value)
            if place is not None:
                groups.setdefault(place[0], []).append((*place[1], number, key))
        for entries in groups.values():
            entries.sort()
        self._kept.append(self)
        # Who is in the list does not need it: a circle would keep a store alive that nobody has any more.
        del self._kept
        return groups

    def all(self, group: Hashable = None) -> list[V]:
        return [self._rows[entry[-1]][1] for entry in self._groups.get(group, ())]

    def since(self, start: Any, group: Hashable = None) -> list[V]:
        """Those whose key begins with `start` or more."""
        entries = self._groups.get(group)
        if entries is None:
            return []
        # A shorter tuple comes before every longer one that begins with it.
        return [self._rows[entry[-1]][1] for entry in entries[bisect_left(entries, (start,)) :]]

    def until(self, end: Any, group: Hashable = None) -> list[V]:
        """Those whose key begins with `end` or less."""
        entries = self._groups.get(group, [])
        return [self._rows[entry[-1]][1] for entry in entries[: bisect_right(entries, end, key=_first)]]

    def count(self, group: Hashable = None, *, after: Any = None) -> int:
        """How many there are; with `after`, those whose key begins with more than that."""
        entries = self._groups.get(group, [])
        return len(entries) if after is None else len(entries) - bisect_right(entries, after, key=_first)

    def first(self, group: Hashable = None) -> V | None:
        entries = self._groups.get(group)
        return self._rows[entries[0][-1]][1] if entries else None

    def last(self, group: Hashable = None) -> V | None:
        entries = self._groups.get(group)
        return self._rows[entries[-1][-1]][1] if entries else None

    def backwards(self, group: Hashable = None) -> Iterator[V]:
        for entry in reversed(self._groups.get(group, [])):
            yield self._rows[_last(entry)][1]

    def insert(self, group: Hashable, entry: tuple[Any, ...]) -> None:
        entries = self._groups.get(group)
        if entries is None:
            self._groups[group] = [entry]
            return
        # Nearly everything arrives in order of time: then the end is the place.
        if entries[-1] < entry:
            entries.append(entry)
        else:
            entries.insert(bisect_left(entries, entry), entry)

    def delete(self, group: Hashable, entry: tuple[Any, ...]) -> None:
        entries = self._groups[group]
        if len(entries) == 1:
            del self._groups[group]
        else:
            del entries[bisect_left(entries, entry)]


class Shelf(Generic[K, V]):
    """Records by id. A record keeps the number of its first insertion, whatever replaces it."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._rows: dict[K, tuple[int, V]] = {}
        #: Those that were read before, and follow every change.
        self._kept: list[Index[V]] = []
        self._inserted = 0

    def index(self, place: Callable[[V], Place | None]) -> Index[V]:
        """A further index; records for which `place` is None are not in it."""
        return Index(self._rows, self._kept, place)

    def __contains__(self, key: K) -> bool:
        return key in self._rows

    def get(self, key: K) -> V | None:
        row = self._rows.get(key)
        return None if row is None else row[1]

    def all(self) -> list[V]:
        """By insertion, but for those that were dropped and put again."""
        return [value for _, value in self._rows.values()]

    def next_number(self) -> int:
        """The number that the next new record will have, from 1."""
        return self._inserted + 1

    def put(self, key: K, value: V) -> None:
        """Inserts or replaces."""
        old = self._rows.get(key)
        if old is None:
            self._inserted += 1
            new = (self._inserted, value)
        else:
            new = (old[0], value)
        self._journal.note(self._restore, key, new, old)
        self._restore(key, old, new)

    def drop(self, key: K) -> None:
        """Removes it, where it is there."""
        old = self._rows.get(key)
        if old is not None:
            self._journal.note(self._restore, key, None, old)
            self._restore(key, old, None)

    def _restore(self, key: K, old: tuple[int, V] | None, new: tuple[int, V] | None) -> None:
        for index in self._kept:
            before = None if old is None else index.place(old[1])
            after = None if new is None else index.place(new[1])
            if before == after:
                continue
            if old is not None and before is not None:
                index.delete(before[0], (*before[1], old[0], key))
            if new is not None and after is not None:
                index.insert(after[0], (*after[1], new[0], key))
        if new is None:
            del self._rows[key]
        else:
            self._rows[key] = new


def newest(records: list[V], limit: int | None) -> list[V]:
    """The last of them, still in their order."""
    return records if limit is None else records[max(len(records) - limit, 0) :]
