"""Segment's tracking calls, parsed: what a body says, or one clear error with its place."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Literal, TypeVar, get_args

import msgspec
from msgspec import Raw, Struct

from engine import ids
from engine.errors import BadInput, Conflict
from engine.events.identity import IdentifierKind
from engine.events.intake import Intake, identified_id, tracked_id
from engine.store import Unit
from engine.web.bodies import CALL_BYTES

CallType = Literal["track", "identify", "page", "screen", "group", "alias"]
TYPES: tuple[CallType, ...] = get_args(CallType)
#: Segment's own limit of a batch besides its bytes.
CALLS_AT_MOST = 2500
ID_LENGTH = 255
#: Below this the difference between `sentAt` and our clock is the way here, not the sender's clock.
_SKEW = timedelta(minutes=1)


class Call(Struct, frozen=True, kw_only=True):
    """One tracking call."""

    type: CallType
    user_id: str | None
    anonymous_id: str | None
    #: Corrected by the sender's clock skew; None where the sender gave none.
    timestamp: datetime | None
    message_id: str
    #: Of the event that it stores; None of an alias.
    event_id: str | None
    #: Event name, or of an alias the previous id.
    name: str
    #: Properties or traits.
    values: Mapping[str, Any]
    #: Where it stood: empty, or `batch[3]`.
    place: str

    @property
    def is_event(self) -> bool:
        """Whether it says that something happened, and changes nobody."""
        return self.type in ("track", "page", "screen")

    def identifiers(self) -> list[tuple[IdentifierKind, str]]:
        """Everyone whom this call touches."""
        found: list[tuple[IdentifierKind, str]] = []
        if self.user_id is not None:
            found.append(("external", self.user_id))
        if self.anonymous_id is not None:
            found.append(("anonymous", self.anonymous_id))
        if self.type == "alias":
            found += [("anonymous", self.name), ("external", self.name)]
        return found

    def apply(self, intake: Intake, unit: Unit, now: datetime) -> None:
        """Takes the call in. BadInput and Conflict name its place."""
        try:
            self._apply(intake, unit, now)
        except BadInput as error:
            raise BadInput(_at(self.place, str(error))) from error
        except Conflict as error:
            raise Conflict(_at(self.place, str(error))) from error

    def _apply(self, intake: Intake, unit: Unit, now: datetime) -> None:
        match self.type:
            case "track" | "page" | "screen":
                intake.track(
                    unit,
                    user_id=self.user_id,
                    anonymous_id=self.anonymous_id,
                    name=self.name,
                    properties=self.values,
                    timestamp=self.timestamp,
                    message_id=self.message_id,
                    now=now,
                )
            case "identify" | "group":
                intake.identify(
                    unit,
                    user_id=self.user_id,
                    anonymous_id=self.anonymous_id,
                    traits=self.values,
                    timestamp=self.timestamp,
                    message_id=self.message_id,
                    now=now,
                )
            case "alias":
                intake.alias(unit, previous_id=self.name, user_id=self.user_id or "", now=now)


class Parsed(Struct, frozen=True, kw_only=True):
    """What a body says."""

    calls: list[Call]
    #: The write key, where the body holds it.
    key: str | None


class _Message(Struct, frozen=True, rename="camel"):
    """A message as it stands in a body, nothing of it checked; what no type of call reads is passed over."""

    type: Any = None
    user_id: Any = None
    anonymous_id: Any = None
    message_id: Any = None
    timestamp: Any = None
    original_timestamp: Any = None
    sent_at: Any = None
    event: Any = None
    properties: Any = None
    traits: Any = None
    name: Any = None
    category: Any = None
    group_id: Any = None
    previous_id: Any = None
    write_key: Any = None
    context: Raw = Raw()


class _Batch(Struct, frozen=True, rename="camel"):
    batch: list[Raw] | None = None
    sent_at: Any = None
    write_key: Any = None


M = TypeVar("M")
_MESSAGE = msgspec.json.Decoder(_Message)
_BATCH = msgspec.json.Decoder(_Batch)
_ANYTHING = msgspec.json.Decoder()


def parse_call(body: bytes, type: CallType, received_at: datetime) -> Parsed:
    """One call of a type's own endpoint. BadInput for what is not one."""
    message = _decode(_MESSAGE, body, "the body")
    call = _parse(message, body, type, received_at, _instant(message.sent_at, "sentAt", ""), "")
    return Parsed(calls=[call], key=_key(message.write_key))


def parse_batch(body: bytes, received_at: datetime) -> Parsed:
    """The calls of a batch, in its order. One bad message refuses the batch: nothing of it is kept."""
    batch = _decode(_BATCH, body, "the body")
    if batch.batch is None:
        raise BadInput("`batch` must be a list of messages")
    if len(batch.batch) > CALLS_AT_MOST:
        raise BadInput(f"`batch` has more than the {CALLS_AT_MOST} messages allowed: send fewer at a time")
    sent_at = _instant(batch.sent_at, "sentAt", "")
    calls = []
    for index, raw in enumerate(batch.batch):
        place = f"batch[{index}]"
        text = memoryview(raw)
        if len(text) > CALL_BYTES:
            raise BadInput(f"{place} has more than the {CALL_BYTES} bytes allowed to a message")
        message = _decode(_MESSAGE, text, place)
        if message.type not in TYPES:
            raise BadInput(f"{place}.type must be one of {', '.join(TYPES)}")
        calls.append(_parse(message, text, message.type, received_at, sent_at, place))
    return Parsed(calls=calls, key=_key(batch.write_key))


def _decode(decoder: msgspec.json.Decoder[M], text: bytes | memoryview | Raw, what: str) -> M:
    try:
        return decoder.decode(text)
    except UnicodeDecodeError as error:
        raise BadInput(f"{what} is not UTF-8") from error
    except RecursionError as error:
        raise BadInput(f"{what} is nested too deeply") from error
    except msgspec.DecodeError as error:
        said = str(error)
        if said.startswith("Expected `object`"):
            raise BadInput(f"{what} must be a JSON object") from error
        if said.endswith("`$.batch`"):
            raise BadInput("`batch` must be a list of messages") from error
        raise BadInput(f"{what} is no JSON: {said.removeprefix('JSON is malformed: ')}") from error


def _parse(
    message: _Message,
    text: bytes | memoryview,
    type: CallType,
    received_at: datetime,
    sent_at: datetime | None,
    place: str,
) -> Call:
    user_id, anonymous_id = _id(message.user_id, "userId", place), _id(message.anonymous_id, "anonymousId", place)
    # Without an id of the sender's, a repeat cannot be told from a second event: each is taken for itself.
    message_id = _id(message.message_id, "messageId", place) or ids.derived_id(
        "m", received_at.isoformat(), place, bytes(text).decode()
    )
    event_id: str | None = None
    match type:
        case "track":
            name, values = _text(message.event, "event", place), _object(message.properties, "properties", place)
            event_id = tracked_id(message_id)
        case "page" | "screen":
            name, values = f"{type.title()} Viewed", _viewed(message, place)
            event_id = tracked_id(message_id)
        case "identify":
            name, values = "", _object(message.traits, "traits", place)
            event_id = identified_id(message_id)
        case "group":
            group_id = _id(message.group_id, "groupId", place)
            if group_id is None:
                raise BadInput(_at(place, "`groupId` is needed"))
            name, values = "", {"group_id": group_id, "group": _object(message.traits, "traits", place)}
            event_id = identified_id(message_id)
        case "alias":
            previous_id = _id(message.previous_id, "previousId", place)
            if previous_id is None or user_id is None:
                raise BadInput(_at(place, "`previousId` and `userId` are needed"))
            name, values = previous_id, {}
    if user_id is None and anonymous_id is None:
        raise BadInput(_at(place, "`userId` or `anonymousId` is needed: it says whom this is about"))
    return Call(
        type=type,
        user_id=user_id,
        anonymous_id=anonymous_id,
        timestamp=_happened_at(message, received_at, sent_at, place),
        message_id=message_id,
        event_id=event_id,
        name=name,
        values=values,
        place=place,
    )


def _viewed(message: _Message, place: str) -> dict[str, Any]:
    """Properties of a page or screen: `name`, and what the browser library puts into `context.page`."""
    context = _decode(_ANYTHING, message.context, _at(place, "`context`")) if bytes(message.context) else None
    page = context.get("page") if isinstance(context, dict) else None
    seen = page if isinstance(page, dict) else {}
    found = {key: seen[key] for key in ("path", "url", "title", "referrer", "search") if seen.get(key) is not None}
    found |= {
        key: value for key, value in (("name", message.name), ("category", message.category)) if isinstance(value, str)
    }
    return {**found, **_object(message.properties, "properties", place)}


def _happened_at(message: _Message, received_at: datetime, sent_at: datetime | None, place: str) -> datetime | None:
    timestamp = _instant(message.original_timestamp, "originalTimestamp", place)
    timestamp = timestamp or _instant(message.timestamp, "timestamp", place)
    sent_at = _instant(message.sent_at, "sentAt", place) or sent_at
    if timestamp is None or sent_at is None or abs(received_at - sent_at) < _SKEW:
        return timestamp
    # Segment's rule: what counts is how long before sending it happened, by the sender's own clock.
    try:
        return received_at - (sent_at - timestamp)
    except OverflowError as error:
        raise BadInput(_at(place, "`timestamp` is out of range")) from error


def _instant(value: Any, name: str, place: str) -> datetime | None:
    if value is None:
        return None
    try:
        instant = datetime.fromisoformat(value)
    except (TypeError, ValueError) as error:
        raise BadInput(_at(place, f"`{name}` must be ISO 8601 text, like 2026-03-02T10:00:00Z")) from error
    if instant.tzinfo is None:
        raise BadInput(_at(place, f"`{name}` has no offset: write it like 2026-03-02T10:00:00Z"))
    return instant


def _id(value: Any, name: str, place: str) -> str | None:
    if value is None:
        return None
    if type(value) is int:
        value = str(value)
    if not isinstance(value, str) or len(value) > ID_LENGTH:
        raise BadInput(_at(place, f"`{name}` must be text of at most {ID_LENGTH} characters"))
    # Of blanks alone it names nobody: it is what an empty form or a missing cookie leaves.
    return value if value and not value.isspace() else None


def _text(value: Any, name: str, place: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise BadInput(_at(place, f"`{name}` must be text"))
    return value


def _object(value: Any, name: str, place: str) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BadInput(_at(place, f"`{name}` must be an object"))
    return value


def _key(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _at(place: str, text: str) -> str:
    return f"{place}: {text}" if place else text
