"""Which value of an attribute holds: the newest by the time at which it was set, in whatever order values come in.

An attribute, a field of the profile's own and a chat handle are each a register: a value, or that it was deleted, and
when (`Profile.set_at`). Of two writes at one instant a deletion holds, and else the greater value: so neither the order
in which calls arrive nor that in which profiles are merged leaves a trace.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Literal

from msgspec.structs import replace

from engine.profiles.model import OWN_FIELDS, Profile, Value

#: What a register is part of, and its name there.
Register = tuple[Literal["own", "chat", "attribute"], str]

#: When a value was set that was kept before times were.
_UNKNOWN = datetime(1, 1, 1, tzinfo=UTC)
_TICK = timedelta(microseconds=1)


def written(profile: Profile, values: Mapping[Register, Value], at: datetime, *, is_last: bool) -> Profile:
    """The profile after values of JSON were set at an instant; None deletes. A value that is older than the one that is
    there changes nothing, unless it `is_last`: then it is taken to be later than all that was there."""
    known = _registers(profile)
    for register, value in values.items():
        before = known.get(register)
        moment = at if before is None or not is_last else max(at, before[1] + _TICK)
        known[register] = _newer(before, (value, moment))
    return _with(profile, known)


def merged(source: Profile, target: Profile) -> Profile:
    """The target with the newest of every register of both."""
    known = _registers(target)
    for register, write in _registers(source).items():
        known[register] = _newer(known.get(register), write)
    born = min((at for at in (source.created_at, target.created_at) if at), default=None)
    return replace(_with(target, known), created_at=born)


_Write = tuple[Value, datetime]


def _newer(one: _Write | None, other: _Write) -> _Write:
    if one is None or (one[0] is None and one[1] == _UNKNOWN):
        return other
    return max(one, other, key=_rank)


def _rank(write: _Write) -> tuple[datetime, bool, str]:
    value, at = write
    return at, value is None, json.dumps(value, sort_keys=True)


def _registers(profile: Profile) -> dict[Register, _Write]:
    """What is set, and what was deleted."""
    values: dict[Register, Value] = {("own", name): getattr(profile, name) for name in OWN_FIELDS}
    values |= {("chat", channel): handle for channel, handle in profile.chat.items()}
    values |= {("attribute", name): value for name, value in profile.attributes.items()}
    for name in profile.set_at:
        values.setdefault(_register(name), None)
    return {register: (value, profile.set_at.get(_name(register), _UNKNOWN)) for register, value in values.items()}


def _with(profile: Profile, known: Mapping[Register, _Write]) -> Profile:
    own = {name: known["own", name][0] for name in OWN_FIELDS}
    return replace(
        profile,
        **own,
        chat={name: value for (part, name), (value, _) in known.items() if part == "chat" and value is not None},
        attributes={
            name: value for (part, name), (value, _) in known.items() if part == "attribute" and value is not None
        },
        set_at={_name(register): at for register, (_, at) in known.items() if at != _UNKNOWN},
    )


def _name(register: Register) -> str:
    part, name = register
    return name if part == "own" else f"{part}.{name}"


def _register(name: str) -> Register:
    if name in OWN_FIELDS:
        return ("own", name)
    part, _, rest = name.partition(".")
    return ("chat", rest) if part == "chat" else ("attribute", rest)
