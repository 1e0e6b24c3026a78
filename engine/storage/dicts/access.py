"""Links in messages and API keys, in dicts."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from msgspec.structs import replace

from engine.storage.dicts.shelf import Journal, Shelf
from engine.store import KeyRecord, LinkRecord


class DictAccess:
    def __init__(self, journal: Journal) -> None:
        self._links: Shelf[str, LinkRecord] = Shelf(journal)
        self._by_profile = self._links.index(lambda link: (link.profile_id, ()))
        self._keys: Shelf[str, KeyRecord] = Shelf(journal)
        self._by_age = self._keys.index(lambda key: (None, (key.created_at, key.name)))

    def add_links(self, links: Collection[LinkRecord]) -> None:
        for link in links:
            if link.token_hash not in self._links:
                self._links.put(link.token_hash, link)

    def find_link(self, token_hash: str) -> LinkRecord | None:
        return self._links.get(token_hash)

    def save_key(self, key: KeyRecord) -> None:
        self._keys.put(key.key_hash, key)

    def find_key(self, key_hash: str) -> KeyRecord | None:
        return self._keys.get(key_hash)

    def keys(self) -> Sequence[KeyRecord]:
        return self._by_age.all()

    def forget(self, profile_id: str) -> None:
        # Where a link led was part of a message's body, and may name the person.
        for link in self._by_profile.all(profile_id):
            self._links.put(link.token_hash, replace(link, url=None))

    def hand_over(self, source_id: str, target_id: str) -> None:
        for link in self._by_profile.all(source_id):
            self._links.put(link.token_hash, replace(link, profile_id=target_id))
