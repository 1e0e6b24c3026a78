"""Links in messages and API keys, in SQL."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import Connection, bindparam

from engine.storage.sql.prepared import Prepared
from engine.storage.sql.records import Records
from engine.storage.tables import api_keys, links
from engine.store import KeyRecord, LinkRecord

_LINKS = Records(LinkRecord, links, key=("token_hash",))
_FIND_LINK = Prepared(_LINKS.select().where(links.c.token_hash == bindparam("token_hash")))
_KEYS = Records(KeyRecord, api_keys, key=("key_hash",))
_FIND_KEY = Prepared(_KEYS.select().where(api_keys.c.key_hash == bindparam("key_hash")))
_ALL_KEYS = _KEYS.select().order_by(api_keys.c.created_at, api_keys.c.name)


class SqlAccess:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add_links(self, links: Collection[LinkRecord]) -> None:
        _LINKS.ensure_each(self._connection, links)

    def find_link(self, token_hash: str) -> LinkRecord | None:
        return _LINKS.first(self._connection, _FIND_LINK, {"token_hash": token_hash})

    def save_key(self, key: KeyRecord) -> None:
        _KEYS.put(self._connection, key)

    def find_key(self, key_hash: str) -> KeyRecord | None:
        return _KEYS.first(self._connection, _FIND_KEY, {"key_hash": key_hash})

    def keys(self) -> Sequence[KeyRecord]:
        return _KEYS.all(self._connection, _ALL_KEYS)
