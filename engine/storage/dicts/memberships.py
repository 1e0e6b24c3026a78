"""Memberships of segments, in dicts."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from engine.events.model import Membership
from engine.storage.dicts.shelf import Journal, Shelf


class DictMemberships:
    def __init__(self, journal: Journal) -> None:
        self._memberships: Shelf[tuple[str, str], Membership] = Shelf(journal)
        self._by_profile = self._memberships.index(lambda m: (m.profile_id, (m.segment,)))
        self._members = self._memberships.index(lambda m: (m.segment, (m.profile_id,)) if m.is_member else None)

    def of(self, profile_id: str) -> Sequence[Membership]:
        return self._by_profile.all(profile_id)

    def of_each(self, profile_ids: Collection[str], segment: str) -> Sequence[Membership]:
        found = (self._memberships.get((profile_id, segment)) for profile_id in profile_ids)
        return [known for known in found if known is not None]

    def save(self, membership: Membership) -> None:
        self._memberships.put((membership.profile_id, membership.segment), membership)

    def save_each(self, memberships: Collection[Membership]) -> None:
        for membership in memberships:
            self.save(membership)

    def members(self, segment: str) -> Sequence[str]:
        return [membership.profile_id for membership in self._members.all(segment)]

    def settled(self, segment: str, definition: str, *, is_told: bool) -> Sequence[str]:
        return [
            known.profile_id
            for known in self._memberships.all()
            if (known.segment, known.definition) == (segment, definition) and not (is_told and known.is_silent)
        ]

    def forget(self, profile_id: str) -> None:
        for membership in self._by_profile.all(profile_id):
            self._memberships.drop((membership.profile_id, membership.segment))

    def hand_over(self, source_id: str, target_id: str) -> None:  # noqa: ARG002 (worked out anew for the target)
        self.forget(source_id)
