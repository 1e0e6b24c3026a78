"""Intake: what comes in from outside becomes stored facts, and occurrences that await routing, in one transaction.

Every method works inside the caller's transaction, so that many calls can share one. Profiles are locked as they are
touched; a caller with several people in one transaction takes their locks first, in order (`Intake.people`).
Nothing is evaluated here: the router does that, from what was committed.
"""

from __future__ import annotations

import math
import re
import zoneinfo
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from functools import cache, lru_cache
from typing import Any, Literal, cast

from engine import ids
from engine.consent.addresses import address_hash, normalise
from engine.consent.suppression import suppression_of
from engine.errors import BadInput
from engine.events.gathering import Gathering
from engine.events.identity import IdentifierKind, Identities, differences
from engine.events.model import Occurrence
from engine.profiles.merge import Register, written
from engine.profiles.model import EARLIEST, Event, Profile, Value
from engine.project import ChannelKind, Project
from engine.store import Unit

#: What is recorded of an `identify`: a fact like any other, so that a repeat of the call changes nothing.
IDENTIFIED = "Identified"
#: A sender's clock may be this much ahead.
AHEAD = timedelta(minutes=5)
_NAME_LENGTH = 200
#: Of mappings and lists inside one another: whoever reads them walks down, and SQLite stops at a thousand.
_LEVELS_AT_MOST = 100
_LOCALE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,4}")

#: Types of what JSON says as it is; nearly every value has one of them.
_PLAIN = frozenset({str, int, bool, type(None)})
#: Type of all names that JSON has.
_TEXT = frozenset({str})

Source = Literal["intake", "receipt", "emit"]


def tracked_id(message_id: str, source: Source = "intake") -> str:
    """Id of the event that `Intake.track` stores."""
    return _event_id(source, message_id)


def identified_id(message_id: str) -> str:
    """Id of the event that `Intake.identify` stores."""
    return _event_id("identify", message_id)


@lru_cache(maxsize=4096)  # asked for when a call is read, and when it is stored
def _event_id(source: str, message_id: str) -> str:
    return ids.derived_id("ev", source, message_id)


class Intake:
    """The one way in for events, attributes and identifiers."""

    def __init__(self, project: Project, project_key: bytes) -> None:
        self._project = project
        self._key = project_key
        self._identities = Identities(project, project_key)

    def people(self, unit: Unit, identifiers: Iterable[tuple[IdentifierKind, str]]) -> None:
        """Takes the locks of all these people, in one order for every caller, so that no two wait for each other."""
        self._lock(unit, set(identifiers), lambda _: None)

    def gather(
        self,
        unit: Unit,
        identifiers: Collection[tuple[IdentifierKind, str]],
        *,
        changing: Collection[tuple[IdentifierKind, str]],
        event_ids: Collection[str],
    ) -> Gathering:
        """Takes the locks as `people` does, and reads what calls about these people need. The calls are given its
        `unit`; then it is to `write`.

        `changing`: those of them whose profiles the calls may change, and not only add to. `event_ids`: of all events
        that the calls may store (`tracked_id`, `identified_id`).
        """
        locked, owners = self._lock(unit, identifiers, lambda soon: soon.events.known(event_ids))
        return Gathering(
            unit,
            locked=set(locked.values()),
            owners={each: owners.get(each) for each in locked},
            profile_ids={
                owners.get(each, id_) for each, id_ in locked.items() if each in changing or each not in owners
            },
            event_ids=event_ids,
        )

    def _lock(
        self, unit: Unit, people: Collection[tuple[IdentifierKind, str]], reads: Callable[[Unit], object]
    ) -> tuple[dict[tuple[str, str], str], dict[tuple[str, str], str]]:
        """What was locked for each identifier, and whose each is that is somebody's. `reads`: what is read next."""
        values: dict[str, list[str]] = {}
        for kind, value in people:
            values.setdefault(kind, []).append(value)

        def owners() -> dict[tuple[str, str], str]:
            return {
                (kind, value): profile_id
                for kind, each in values.items()
                for value, profile_id in unit.profiles.owners(kind, each).items()
            }

        def meant(owned: Mapping[tuple[str, str], str]) -> dict[tuple[str, str], str]:
            return {
                (kind, value): owned.get((kind, value)) or ids.profile_id(self._key, kind, value)
                for kind, value in people
            }

        owned = owners()
        locked = meant(owned)
        while unit.lock_each(sorted(held := set(locked.values()))):
            unit.expect(reads)
            owned = owners()
            locked = meant(owned)
            if held.issuperset(locked.values()):
                break
            # Somebody was joined to another while we waited, whose lock would be out of its turn behind these.
            unit.let_go()
        return locked, owned

    def ensure(self, unit: Unit, kind: IdentifierKind, value: str, now: datetime) -> Profile:
        """The profile under an identifier, made where there is none; an erased one stays erased (`erased_at`)."""
        return self._identities.ensure(unit, kind, value, now)

    def current(self, unit: Unit, profile_id: str) -> Profile:
        """The profile, locked, that an id of ours stands for now: a merged one's is the one that it became part of.

        Raises NotFound where there never was one.
        """
        return self._identities.current(unit, profile_id)

    def track(
        self,
        unit: Unit,
        *,
        user_id: str | None = None,
        anonymous_id: str | None = None,
        profile_id: str | None = None,
        name: str,
        properties: Mapping[str, Value],
        timestamp: datetime | None,
        message_id: str,
        now: datetime,
        source: Source = "intake",
    ) -> Event | None:
        """Stores an event once by its message id and queues it for routing; makes an unknown profile.

        None where it was a repeat, or where the person was erased: then it is kept on nobody. Without a timestamp it
        happened now.
        """
        _check_name("event name", name)
        recipient = self._recipient(unit, user_id, anonymous_id, profile_id, now)
        if recipient is None:
            return None
        at, is_clamped = _instant(timestamp, now)
        event = Event(
            event_id=tracked_id(message_id, source),
            profile_id=recipient,
            name=name,
            timestamp=at,
            received_at=now,
            properties=plain_mapping("properties", properties),
            source=source,
            is_clamped=is_clamped,
        )
        if not unit.events.add(event):
            return None
        unit.queue.add_occurrence(Occurrence(profile_id=recipient, kind="event", ref=event.event_id, at=now))
        return event

    def identify(
        self,
        unit: Unit,
        *,
        user_id: str | None = None,
        anonymous_id: str | None = None,
        traits: Mapping[str, Value],
        timestamp: datetime | None,
        message_id: str,
        now: datetime,
    ) -> Profile:
        """Sets attributes and addresses, and joins an anonymous visitor to the person, once by the message id."""
        profile = self.ensure(unit, *_named(user_id, anonymous_id), now)
        if profile.erased_at is not None:
            return profile
        at, is_clamped = _instant(timestamp, now)
        is_new = unit.events.add(
            Event(
                event_id=identified_id(message_id),
                profile_id=profile.profile_id,
                name=IDENTIFIED,
                timestamp=at,
                received_at=now,
                properties={"names": sorted(traits)},
                source="identify",
                is_clamped=is_clamped,
            )
        )
        if not is_new:
            # A sender that repeats an old call after a time-out must not undo what came since.
            return profile
        if user_id is not None and anonymous_id is not None:
            profile = self._identities.join_visitor(unit, anonymous_id, profile, now)
        # What is dated ahead of our clock, within what is allowed, was nevertheless set by now.
        return self.set_attributes(unit, profile, traits, now, said_at=None if timestamp is None else min(at, now))

    def alias(self, unit: Unit, *, previous_id: str, user_id: str, now: datetime) -> Profile:
        """Joins what was known under `previous_id` (an anonymous id, or an id of the shop's) to the person `user_id`.

        Events, deliveries and enrollments move; of each attribute the newest value stays, and of consents the stricter.
        In whatever order people are joined, the same person comes of it; a repeat changes nothing. Raises Conflict
        where `previous_id` is a device on which somebody else is known: a shared device makes no two people one.
        """
        profile = self.ensure(unit, "external", user_id, now)
        if profile.erased_at is not None or previous_id == user_id:
            return profile
        return self._identities.join_known(unit, previous_id, profile, now)

    def set_attributes(
        self,
        unit: Unit,
        profile: Profile,
        values: Mapping[str, Value],
        now: datetime,
        *,
        said_at: datetime | None = None,
    ) -> Profile:
        """Writes attributes; `email phone timezone locale` and `chat: {CHANNEL: handle}` are the profile's own.

        None deletes. `said_at`: when somebody outside set them; values that are newer stay. Without it they are set
        now, after all that came before. Refuses unusable addresses, zones and locales with BadInput, naming the
        attribute.
        """
        if profile.erased_at is not None:
            return profile
        given = read_values(profile, values)
        changed = written(profile, given, said_at or now, is_last=said_at is None)
        if changed != profile:
            unit.profiles.save(changed)
        self._identities.keep_addresses(unit, profile, changed, given)
        names = differences(profile, changed)
        if not names:
            return changed
        unit.queue.add_occurrence(
            Occurrence(profile_id=profile.profile_id, kind="changed", detail={"names": names}, at=now)
        )
        return changed

    def erase(self, unit: Unit, profile: Profile, now: datetime) -> None:
        """Forgets a person: attributes, addresses, contents. Keyed hashes of the addresses stay suppressed for good."""
        if profile.erased_at is not None:
            return
        hashes = {(kind, address_hash(self._key, kind, address)) for kind, address in self._addresses(unit, profile)}
        # Sorted: two people who had the same addresses may be erased at once.
        for kind, hashed in sorted(hashes):
            unit.consents.suppress(suppression_of(kind, hashed, "erased", source="erasure", now=now))
        unit.profiles.erase(profile.profile_id, now)
        unit.queue.add_occurrence(Occurrence(profile_id=profile.profile_id, kind="erased", at=now))

    def _recipient(
        self, unit: Unit, user_id: str | None, anonymous_id: str | None, profile_id: str | None, now: datetime
    ) -> str | None:
        if profile_id is not None:
            profile = self._identities.current(unit, profile_id)
            return profile.profile_id if profile.erased_at is None else None
        return self._identities.recipient(unit, *_named(user_id, anonymous_id), now)

    def _addresses(self, unit: Unit, profile: Profile) -> list[tuple[ChannelKind, str]]:
        """Every address by which the person is known, former ones too."""
        kinds: dict[str, ChannelKind] = {"email": "email", "phone": "sms"}
        kinds |= {name: channel.kind for name, channel in self._project.channels.items() if channel.kind == "chat"}
        found: dict[tuple[ChannelKind, str], None] = {}
        for kind, value in unit.profiles.identifiers(profile.profile_id):
            if kind in kinds:
                found[kinds[kind], value] = None
        # An address of theirs that resolves to somebody else by now is nevertheless theirs, too.
        for address, of_kind in ((profile.email, "email"), (profile.phone, "sms")):
            if address:
                found[cast("ChannelKind", of_kind), address] = None
        found.update({("chat", handle): None for handle in profile.chat.values()})
        return list(found)


def read_values(profile: Profile, values: Mapping[str, Value]) -> dict[Register, Value]:
    """The values as they are kept, by what they are of; None deletes. Raises BadInput as `Intake.set_attributes`."""
    read: dict[Register, Value] = {}
    for name, value in values.items():
        _check_name("attribute name", name)
        match name:
            case "email":
                read["own", name] = None if value is None else _address("email", name, value)
            case "phone":
                read["own", name] = None if value is None else _address("sms", name, value)
            case "timezone":
                read["own", name] = None if value is None else _zone(value)
            case "locale":
                read["own", name] = None if value is None else _locale(value)
            case "chat":
                read |= {("chat", channel): handle for channel, handle in _handles(profile.chat, value).items()}
            case _:
                read["attribute", name] = plain(name, value)
    return read


def plain(name: str, value: Value, depth: int = 0) -> Any:
    """The value as JSON: instants and dates become ISO text, spans seconds. BadInput for what JSON cannot say, and for
    what is nested too deeply; `depth`: of the value itself."""
    if type(value) in _PLAIN or (type(value) is float and math.isfinite(value)):
        return value
    match value:
        case str() | int():
            return value
        case float():
            if not math.isfinite(value):
                raise BadInput(f"`{name}` is no finite number")
            return value
        case datetime():
            if value.tzinfo is None:
                raise BadInput(f"`{name}` is a timestamp without an offset")
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case date():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case Mapping():
            return plain_mapping(name, value, depth)
        case list() | tuple():
            _check_depth(name, depth)
            return [plain(f"{name}.{place}", item, depth + 1) for place, item in enumerate(value)]
        case _:
            raise BadInput(f"`{name}` is a {type(value).__name__}: only text, numbers, booleans, lists and mappings")


def plain_mapping(name: str, values: Mapping[str, Value], depth: int = 0) -> dict[str, Any]:
    """A mapping as JSON; see `plain`."""
    if not isinstance(values, Mapping):
        raise BadInput(f"`{name}` must be a mapping of names to values")
    if not {*map(type, values)} <= _TEXT and not all(isinstance(key, str) for key in values):
        raise BadInput(f"`{name}` has a name that is no text")
    _check_depth(name, depth)
    return {
        key: value if type(value) in _PLAIN else plain(f"{name}.{key}", value, depth + 1)
        for key, value in values.items()
    }


def _check_depth(name: str, depth: int) -> None:
    if depth >= _LEVELS_AT_MOST:
        raise BadInput(f"`{name[:20]}…` is nested more than {_LEVELS_AT_MOST} levels deep")


def _named(user_id: str | None, anonymous_id: str | None) -> tuple[IdentifierKind, str]:
    if user_id is not None:
        return "external", user_id
    if anonymous_id is not None:
        return "anonymous", anonymous_id
    raise BadInput("a userId or an anonymousId is needed: it says whom this is about")


def _instant(timestamp: datetime | None, now: datetime) -> tuple[datetime, bool]:
    if timestamp is None:
        return now, False
    if timestamp.tzinfo is None:
        raise BadInput("the timestamp has no offset: write it like 2026-03-02T10:00:00Z")
    if timestamp < EARLIEST:
        raise BadInput("the timestamp is before the year 1990: were seconds taken for milliseconds?")
    if timestamp > now + AHEAD:
        return now, True
    return timestamp if timestamp.tzinfo is UTC else timestamp.astimezone(UTC), False


def _check_name(what: str, name: object) -> None:
    if not isinstance(name, str) or not name.strip() or len(name) > _NAME_LENGTH:
        raise BadInput(f"the {what} must be text of 1 to {_NAME_LENGTH} characters")


def _address(kind: Literal["email", "sms"], name: str, value: object) -> str:
    if not isinstance(value, str):
        raise BadInput(f"`{name}` must be text")
    try:
        match_key = normalise(kind, value)
    except BadInput as problem:
        raise BadInput(f"`{name}`: {problem}") from problem
    # An email is kept as given (only its key for matching is folded); a number is kept as E.164.
    return value.strip() if kind == "email" else match_key


@cache
def _zones() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones())


def _zone(value: object) -> str:
    if not isinstance(value, str) or value not in _zones():
        raise BadInput("`timezone` is unknown: write an IANA name such as Europe/Madrid")
    return value


def _locale(value: object) -> str:
    tag = value.replace("_", "-") if isinstance(value, str) else ""
    if not _LOCALE.fullmatch(tag):
        raise BadInput("`locale` must be a language tag such as es or es-MX")
    return tag


def _handles(known: Mapping[str, str], value: object) -> dict[str, str | None]:
    if value is None:
        return dict.fromkeys(known)
    if not isinstance(value, Mapping):
        raise BadInput("`chat` must be a mapping of a channel's name to the person's handle there")
    handles: dict[str, str | None] = {}
    for channel, handle in value.items():
        if handle is None:
            handles[channel] = None
        elif isinstance(handle, str) and handle.strip():
            handles[channel] = handle.strip()
        else:
            raise BadInput(f"`chat.{channel}` must be text")
    return handles
