"""API keys: known by their hash, compared in constant time, good for their scopes only."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
from datetime import datetime, timedelta
from typing import Literal, get_args

from starlette.concurrency import run_in_threadpool

from engine.store import KeyRecord, Store

#: `ingest`: events in (it may be public: browsers carry it). `author`: journeys. `ops`: what happened. `compliance`:
#: people's data and consents.
Scope = Literal["ingest", "author", "ops", "compliance"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
#: A key found good is not looked up again for this long, so a revocation takes hold within it.
_REMEMBERED_FOR = timedelta(seconds=1)
#: One that is in use is looked up anew after this long, beside the requests that it serves: none waits for it.
_FRESH_FOR = timedelta(seconds=0.5)
_REMEMBERED_AT_MOST = 1000


def key_hash(key: str) -> str:
    """What is kept of a key. Keys are long and random, so a plain hash keeps them."""
    return hashlib.sha256(key.encode()).hexdigest()


def offered_key(authorization: str | None) -> str | None:
    """The key in an `Authorization` header: Basic with the key as user name, or Bearer."""
    scheme, _, credentials = (authorization or "").partition(" ")
    match scheme.lower():
        case "bearer":
            return credentials.strip() or None
        case "basic":
            try:
                name = base64.b64decode(credentials.strip(), validate=True).decode()
            except ValueError:  # no Base64, not even ASCII, or no text in it
                return None
            return name.partition(":")[0] or None
        case _:
            return None


class Keys:
    """Looks keys up."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._remembered: dict[str, tuple[KeyRecord, datetime]] = {}

    def find(self, key: str | None, now: datetime) -> KeyRecord | None:
        """The record of a live key, or None."""
        return None if key is None else self.find_by_hash(key_hash(key), now)

    def remembered(self, hashed: str, now: datetime) -> KeyRecord | None:
        """Like `find_by_hash`, but without asking the store: None, too, where that would be needed."""
        record, known_at = self._remembered.get(hashed, (None, now))
        return None if now - known_at > _REMEMBERED_FOR else record

    def is_fresh(self, hashed: str, now: datetime) -> bool:
        """Whether it was looked up so lately that it need not be looked up anew before it is forgotten."""
        _, known_at = self._remembered.get(hashed, (None, now))
        return now - known_at <= _FRESH_FOR

    def find_by_hash(self, hashed: str, now: datetime) -> KeyRecord | None:
        """Like `find`, for who holds only the hash (a session)."""
        return self.remembered(hashed, now) or self.look_up(hashed, now)

    def look_up(self, hashed: str, now: datetime) -> KeyRecord | None:
        """Like `find_by_hash`, but asks the store."""
        with self._store.transaction() as unit:
            record = unit.access.find_key(hashed)
        if record is None or record.revoked_at is not None or not hmac.compare_digest(record.key_hash, hashed):
            self._remembered.pop(hashed, None)
            return None
        if len(self._remembered) >= _REMEMBERED_AT_MOST:
            self._remembered.clear()
        self._remembered[hashed] = (record, now)
        return record


class LookUps:
    """Keys for requests that come by the hundred: of all that offer one key, one asks the store."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._under_way: dict[str, asyncio.Task[KeyRecord | None]] = {}

    async def find(self, hashed: str, now: datetime) -> KeyRecord | None:
        """The record of a live key, by its hash, or None."""
        record = self._keys.remembered(hashed, now)
        if record is None:
            # Shielded: another may wait for it, too, when this request is given up.
            return await asyncio.shield(self._begin(hashed, now))
        if not self._keys.is_fresh(hashed, now):
            self._begin(hashed, now)
        return record

    def _begin(self, hashed: str, now: datetime) -> asyncio.Task[KeyRecord | None]:
        task = self._under_way.get(hashed)
        if task is None:
            task = asyncio.create_task(run_in_threadpool(self._keys.look_up, hashed, now))
            self._under_way[hashed] = task
            task.add_done_callback(lambda done: self._end(hashed, done))
        return task

    def _end(self, hashed: str, done: asyncio.Task[KeyRecord | None]) -> None:
        del self._under_way[hashed]
        if not done.cancelled():
            # Taken note of: where nobody waits for it, the next request that needs the key asks again, and is told.
            done.exception()
