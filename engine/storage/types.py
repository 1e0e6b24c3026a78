"""Column types that round-trip exactly, and alike on both databases."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from msgspec.structs import asdict
from sqlalchemy import JSON, TIMESTAMP, BigInteger, Dialect, Integer, Text
from sqlalchemy.types import TypeDecorator, TypeEngine

from engine.enrollment.model import Nudge
from engine.plan.effects import Arrived, Left, Moved, Reconsider, Resumed, Started

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_NUDGES: dict[str, type[Nudge]] = {
    "started": Started,
    "arrived": Arrived,
    "left": Left,
    "resumed": Resumed,
    "reconsider": Reconsider,
    "moved": Moved,
}


class Instant(TypeDecorator[datetime]):
    """An aware instant in UTC, to the microsecond. On SQLite a count of microseconds since 1970: a text would neither
    sort nor compare exactly, a float would round."""

    impl = BigInteger
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(TIMESTAMP(timezone=True) if dialect.name == "postgresql" else BigInteger())

    def bind_processor(self, dialect: Dialect) -> Callable[[datetime | None], Any]:
        # Itself and not by `process_bind_param`, which is called by another: an arriving event has three.
        return _aware if dialect.name == "postgresql" else _microseconds

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if dialect.name == "postgresql":
            # In the session's zone.
            return cast(datetime, value).astimezone(UTC)
        return _EPOCH + cast(int, value) * _MICROSECOND


def _aware(value: datetime | None) -> datetime | None:
    if value is not None and value.tzinfo is None:
        raise TypeError("an instant without a time zone cannot be stored: pass aware datetimes")
    return value


def _microseconds(value: datetime | None) -> int | None:
    return None if value is None else (cast(datetime, _aware(value)) - _EPOCH) // _MICROSECOND


class Nudged(TypeDecorator[Nudge]):
    """An input of the interpreter, tagged by its `kind`."""

    impl = JSON
    cache_ok = True

    def process_bind_param(self, value: Nudge | None, dialect: Dialect) -> Any:  # noqa: ARG002
        return None if value is None else asdict(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Nudge | None:  # noqa: ARG002
        return None if value is None else _NUDGES[value["kind"]](**value)


class Instants(TypeDecorator[Mapping[str, datetime]]):
    """Instants by name, as counts of microseconds since 1970; none where nothing was ever written."""

    impl = JSON
    cache_ok = True

    def process_bind_param(self, value: Mapping[str, datetime] | None, dialect: Dialect) -> Any:  # noqa: ARG002
        return {name: (at - _EPOCH) // _MICROSECOND for name, at in (value or {}).items()}

    def process_result_value(self, value: Any, dialect: Dialect) -> Mapping[str, datetime]:  # noqa: ARG002
        return {name: _EPOCH + micros * _MICROSECOND for name, micros in (value or {}).items()}


class Words(TypeDecorator[tuple[str, ...]]):
    """A few words, in order."""

    impl = JSON
    cache_ok = True

    def process_bind_param(self, value: tuple[str, ...] | None, dialect: Dialect) -> Any:  # noqa: ARG002
        return None if value is None else list(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> tuple[str, ...] | None:  # noqa: ARG002
        return None if value is None else tuple(value)


#: Ids and names. Sorted by code point on both databases (and in Python), not by the server's language.
Name = Text().with_variant(Text(collation="C"), "postgresql")
#: Number of insertion. SQLite counts up only an INTEGER.
Number = BigInteger().with_variant(Integer, "sqlite")
#: JSON as it was written: PostgreSQL's JSONB would turn 1e300 into an integer of 301 digits, and refuses "\u0000".
Json = JSON()


def write_json(value: Any) -> str:
    """JSON text of a value; TypeError for what is not JSON, ValueError for NaN and infinities."""
    return "{}" if value == {} else _ENCODER.encode(value)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a {type(value).__name__} cannot be stored as JSON")


# Escaped to ASCII: a lone surrogate or a NUL inside a string is stored, and read back, like any character.
_ENCODER = json.JSONEncoder(allow_nan=False, separators=(",", ":"), default=_plain)
