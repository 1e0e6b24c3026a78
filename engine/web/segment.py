"""Segment's tracking calls, parsed: what a body says, or one clear error with its place."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, get_args

from engine import ids
from engine.errors import BadInput, Conflict
from engine.events.identity import IdentifierKind
from engine.events.intake import Intake
from engine.store import Unit
from engine.web.bodies import CALL_BYTES

CallType = Literal["track", "identify", "page", "screen", "group", "alias"]
TYPES: tuple[CallType, ...] = get_args(CallType)
_ID_LENGTH = 255
#: Below this the difference between `sentAt` and our clock is the way here, not the sender's clock.
_SKEW = timedelta(minutes=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """One tracking call."""

    type: CallType
    user_id: str | None
    anonymous_id: str | None
    #: Corrected by the sender's clock skew; None where the sender gave none.
    timestamp: datetime | None
    message_id: str
    #: Event name, or of an alias the previous id.
    name: str
    #: Properties or traits.
    values: Mapping[str, Any]
    #: Where it stood: empty, or `batch[3]`.
    place: str

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


def parse_call(body: Mapping[str, Any], type: CallType, received_at: datetime) -> Call:
    """One call of a type's own endpoint."""
    return _parse(body, type, received_at, _instant(body, "sentAt", ""), "")


def parse_batch(body: Mapping[str, Any], received_at: datetime) -> list[Call]:
    """The calls of a batch, in its order. One bad message refuses the batch: nothing of it is kept."""
    batch = body.get("batch")
    if not isinstance(batch, list):
        raise BadInput("`batch` must be a list of messages")
    sent_at = _instant(body, "sentAt", "")
    calls = []
    for index, message in enumerate(batch):
        place = f"batch[{index}]"
        if not isinstance(message, dict):
            raise BadInput(f"{place}: a message must be an object")
        kind = message.get("type")
        if kind not in TYPES:
            raise BadInput(f"{place}.type must be one of {', '.join(TYPES)}")
        if len(json.dumps(message, separators=(",", ":"), ensure_ascii=False).encode()) > CALL_BYTES:
            raise BadInput(f"{place} has more than the {CALL_BYTES} bytes allowed to a message")
        calls.append(_parse(message, kind, received_at, sent_at, place))
    return calls


def _parse(
    body: Mapping[str, Any], type: CallType, received_at: datetime, sent_at: datetime | None, place: str
) -> Call:
    user_id, anonymous_id = _id(body, "userId", place), _id(body, "anonymousId", place)
    match type:
        case "track":
            name, values = _text(body, "event", place), _object(body, "properties", place)
        case "page":
            name, values = "Page Viewed", _viewed(body, place)
        case "screen":
            name, values = "Screen Viewed", _viewed(body, place)
        case "identify":
            name, values = "", _object(body, "traits", place)
        case "group":
            group_id = _id(body, "groupId", place)
            if group_id is None:
                raise BadInput(_at(place, "`groupId` is needed"))
            name, values = "", {"group_id": group_id, "group": _object(body, "traits", place)}
        case "alias":
            previous_id = _id(body, "previousId", place)
            if previous_id is None or user_id is None:
                raise BadInput(_at(place, "`previousId` and `userId` are needed"))
            name, values = previous_id, {}
    if user_id is None and anonymous_id is None:
        raise BadInput(_at(place, "`userId` or `anonymousId` is needed: it says whom this is about"))
    message_id = _id(body, "messageId", place)
    return Call(
        type=type,
        user_id=user_id,
        anonymous_id=anonymous_id,
        timestamp=_happened_at(body, received_at, sent_at, place),
        # Without an id of the sender's, a repeat cannot be told from a second event: each is taken for itself.
        message_id=message_id or ids.derived_id("m", received_at.isoformat(), place, json.dumps(body, sort_keys=True)),
        name=name,
        values=values,
        place=place,
    )


def _viewed(body: Mapping[str, Any], place: str) -> dict[str, Any]:
    """Properties of a page or screen: `name`, and what the browser library puts into `context.page`."""
    context = body.get("context")
    page = context.get("page") if isinstance(context, dict) else None
    seen = page if isinstance(page, dict) else {}
    found = {key: seen[key] for key in ("path", "url", "title", "referrer", "search") if seen.get(key) is not None}
    found |= {key: body[key] for key in ("name", "category") if isinstance(body.get(key), str)}
    return {**found, **_object(body, "properties", place)}


def _happened_at(
    body: Mapping[str, Any], received_at: datetime, sent_at: datetime | None, place: str
) -> datetime | None:
    timestamp = _instant(body, "originalTimestamp", place) or _instant(body, "timestamp", place)
    sent_at = _instant(body, "sentAt", place) or sent_at
    if timestamp is None or sent_at is None or abs(received_at - sent_at) < _SKEW:
        return timestamp
    # Segment's rule: what counts is how long before sending it happened, by the sender's own clock.
    try:
        return received_at - (sent_at - timestamp)
    except OverflowError as error:
        raise BadInput(_at(place, "`timestamp` is out of range")) from error


def _instant(body: Mapping[str, Any], name: str, place: str) -> datetime | None:
    value = body.get(name)
    if value is None:
        return None
    try:
        instant = datetime.fromisoformat(value)
    except (TypeError, ValueError) as error:
        raise BadInput(_at(place, f"`{name}` must be ISO 8601 text, like 2026-03-02T10:00:00Z")) from error
    if instant.tzinfo is None:
        raise BadInput(_at(place, f"`{name}` has no offset: write it like 2026-03-02T10:00:00Z"))
    return instant


def _id(body: Mapping[str, Any], name: str, place: str) -> str | None:
    value = body.get(name)
    if value is None or value == "":
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or len(value) > _ID_LENGTH:
        raise BadInput(_at(place, f"`{name}` must be text of at most {_ID_LENGTH} characters"))
    return value


def _text(body: Mapping[str, Any], name: str, place: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value.strip():
        raise BadInput(_at(place, f"`{name}` must be text"))
    return value


def _object(body: Mapping[str, Any], name: str, place: str) -> dict[str, Any]:
    value = body.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BadInput(_at(place, f"`{name}` must be an object"))
    return value


def _at(place: str, text: str) -> str:
    return f"{place}: {text}" if place else text
