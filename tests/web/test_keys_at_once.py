"""Keys of requests that come by the hundred."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from msgspec.structs import replace

from engine.errors import StoreUnavailable
from engine.storage.memory import MemoryStore
from engine.store import KeyRecord, Unit
from engine.web.access import Keys, LookUps, key_hash
from tests.web.conftest import NOW, WRITE_KEY


class CountingStore(MemoryStore):
    """A store that counts its transactions, and can be away."""

    def __init__(self) -> None:
        super().__init__()
        self.transactions = 0
        self.is_away = False

    @contextmanager
    def transaction(self, profile_id: str | None = None, *, is_shared: bool = False) -> Iterator[Unit]:
        self.transactions += 1
        if self.is_away:
            raise StoreUnavailable("away")
        with super().transaction(profile_id, is_shared=is_shared) as unit:
            yield unit


@pytest.fixture
def store() -> CountingStore:
    store = CountingStore()
    with store.transaction() as unit:
        unit.access.save_key(KeyRecord(key_hash=key_hash(WRITE_KEY), name="shop", scopes=("ingest",), created_at=NOW))
    store.transactions = 0
    return store


def revoke(store: CountingStore) -> None:
    with store.transaction() as unit:
        known = unit.access.find_key(key_hash(WRITE_KEY))
        assert known is not None
        unit.access.save_key(replace(known, revoked_at=NOW))


@pytest.mark.parametrize("key", [WRITE_KEY, "unknown"])
def test_of_a_hundred_that_offer_one_key_at_once_one_asks_the_store(store: CountingStore, key: str) -> None:
    async def find() -> set[bool]:
        look_ups = LookUps(Keys(store))
        found = await asyncio.gather(*(look_ups.find(key_hash(key), NOW) for _ in range(100)))
        return {record is not None for record in found}

    assert asyncio.run(find()) == {key == WRITE_KEY}
    assert store.transactions == 1


def test_a_key_in_use_is_looked_up_anew_beside_the_requests_and_its_revocation_holds_within_a_second(
    store: CountingStore,
) -> None:
    async def find() -> list[bool]:
        look_ups = LookUps(Keys(store))
        found = [await look_ups.find(key_hash(WRITE_KEY), NOW)]
        revoke(store)
        # This one is served by what is remembered, and has it looked up.
        found.append(await look_ups.find(key_hash(WRITE_KEY), NOW + timedelta(seconds=0.6)))
        found.append(await look_ups.find(key_hash(WRITE_KEY), NOW + timedelta(seconds=1.1)))
        return [record is not None for record in found]

    assert asyncio.run(find()) == [True, True, False]


def test_a_store_that_is_away_is_told_to_whoever_needs_it_and_to_nobody_else(store: CountingStore) -> None:
    async def find() -> None:
        look_ups = LookUps(Keys(store))
        await look_ups.find(key_hash(WRITE_KEY), NOW)
        store.is_away = True
        assert await look_ups.find(key_hash(WRITE_KEY), NOW + timedelta(seconds=0.6)) is not None
        with pytest.raises(StoreUnavailable):
            await look_ups.find(key_hash(WRITE_KEY), NOW + timedelta(seconds=1.1))
        store.is_away = False
        assert await look_ups.find(key_hash(WRITE_KEY), NOW + timedelta(seconds=1.2)) is not None

    asyncio.run(find())
