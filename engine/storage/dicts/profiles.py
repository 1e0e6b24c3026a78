"""Profiles and their identifiers, in dicts."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from engine.profiles.model import Profile
from engine.storage.dicts.shelf import Journal, Shelf
from engine.storage.identifiers import identifiers


class Forgetful(Protocol):
    """A repository that holds something of a person."""

    def forget(self, profile_id: str) -> None:
        """Empties what it holds of this person; ids and outcomes stay."""
        ...


class Transferable(Protocol):
    """A repository of which one person's part can become another's."""

    def hand_over(self, source_id: str, target_id: str) -> None: ...


class DictProfiles:
    def __init__(
        self, journal: Journal, *, forgetful: Sequence[Forgetful], transferable: Sequence[Transferable]
    ) -> None:
        self._forgetful = forgetful
        self._transferable = transferable
        self._profiles: Shelf[str, Profile] = Shelf(journal)
        self._ids = self._profiles.index(lambda p: (None, (p.profile_id,)) if p.erased_at is None else None)
        self._owners: Shelf[tuple[str, str], tuple[tuple[str, str], str]] = Shelf(journal)
        self._owned = self._owners.index(lambda pair: (pair[1], pair[0]))

    def find(self, profile_id: str) -> Profile | None:
        return self._profiles.get(profile_id)

    def find_by(self, kind: str, value: str) -> Profile | None:
        owner = self._owners.get((kind, value))
        return None if owner is None else self._profiles.get(owner[1])

    def find_each(self, profile_ids: Collection[str]) -> Sequence[Profile]:
        return [found for each in profile_ids if (found := self._profiles.get(each)) is not None]

    def owner(self, kind: str, value: str) -> str | None:
        owner = self._owners.get((kind, value))
        return None if owner is None else owner[1]

    def owners(self, kind: str, values: Collection[str]) -> dict[str, str]:
        return {value: owner for value in values if (owner := self.owner(kind, value)) is not None}

    def save(self, profile: Profile) -> None:
        stored = self._profiles.get(profile.profile_id)
        before = frozenset() if stored is None else identifiers(stored)
        after = identifiers(profile)
        self._profiles.put(profile.profile_id, profile)
        for kind, value in before - after:
            owner = self._owners.get((kind, value))
            if owner is not None and owner[1] == profile.profile_id:
                self._owners.drop((kind, value))
        for kind, value in after - before:
            self.identify(kind, value, profile.profile_id)

    def identify(self, kind: str, value: str, profile_id: str) -> None:
        self._owners.put((kind, value), ((kind, value), profile_id))

    def add_each(self, profiles: Collection[Profile], identifiers: Mapping[tuple[str, str], str]) -> None:
        for profile in profiles:
            self.save(profile)
        for (kind, value), profile_id in identifiers.items():
            self.identify(kind, value, profile_id)

    def identifiers(self, profile_id: str) -> Sequence[tuple[str, str]]:
        return sorted(identifier for identifier, _ in self._owned.all(profile_id))

    def all_ids(self) -> Sequence[str]:
        return [profile.profile_id for profile in self._ids.all()]

    def erase(self, profile_id: str, at: datetime) -> None:
        profile = self._profiles.get(profile_id)
        if profile is None:
            return
        empty = Profile(profile_id=profile_id, created_at=profile.created_at, erased_at=at)
        self._profiles.put(profile_id, empty)
        for identifier, _ in self._owned.all(profile_id):
            self._owners.drop(identifier)
        for repository in self._forgetful:
            repository.forget(profile_id)

    def hand_over(self, source_id: str, target_id: str) -> None:
        for (kind, value), _ in self._owned.all(source_id):
            self.identify(kind, value, target_id)
        for repository in self._transferable:
            repository.hand_over(source_id, target_id)
