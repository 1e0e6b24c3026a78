"""Derived ids and stable buckets: the same input gives the same id on every machine, today and after a restart.

An id derives from a hash, never from chance, so a repeated call names the same thing and effects are idempotent.
Ids of people are keyed hashes: whoever holds a history or a log, but not the project's key, cannot test a guess.
"""

from __future__ import annotations

import hashlib
import hmac
from functools import lru_cache


def _digest(*parts: str) -> str:
    # Length prefixes: ("a", "bc") and ("ab", "c") must not meet.
    joined = "".join([f"{len(part)}:{part}" for part in parts])
    return hashlib.sha256(joined.encode()).hexdigest()


def profile_id(project_key: bytes, kind: str, value: str) -> str:
    """Opaque id of the profile first seen under this identifier: `p` and 24 hex digits."""
    mac = hmac.digest(project_key, f"{kind}\x00{value}".encode(), "sha256")
    return f"p{mac.hex()[:24]}"


def enrollment_id(journey: str, profile: str, key: str | None, number: int) -> str:
    """Id of the `number`-th enrollment (from 1) of a profile in a journey under a key: `e` and 24 hex digits."""
    return f"e{_digest('enrollment', journey, profile, '' if key is None else f'={key}', str(number))[:24]}"


@lru_cache(maxsize=1024)  # asked for several times in one dispatch
def delivery_id(enrollment: str, step: str, visit: int) -> str:
    """Id, and idempotency key, of the one message of a visit: `d` and 24 hex digits."""
    return f"d{_digest('delivery', enrollment, step, str(visit))[:24]}"


def derived_id(prefix: str, *parts: str) -> str:
    """Any other derived id: the prefix and 24 hex digits."""
    return f"{prefix}{_digest(prefix, *parts)[:24]}"


def bucket(salt: str, profile: str) -> int:
    """0 to 9999, stable for a salt and a profile; every side of a split and every holdout comes from it."""
    return int(_digest("bucket", salt, profile)[:12], 16) % 10_000
