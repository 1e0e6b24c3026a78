"""The project's store, opened and found fit."""

from __future__ import annotations

from engine.storage.database import Database


def open_store(url: str) -> Database:
    """The database, reachable and with the tables that this version needs. Raises BadInput (no such kind of database),
    Conflict (tables older or newer: the message says what to do) or StoreUnavailable."""
    database = Database(url)
    try:
        database.check_revision()
    except BaseException:
        database.close()
        raise
    return database
