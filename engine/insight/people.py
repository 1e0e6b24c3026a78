"""Finding a person by whatever name one has, and everything that is held about them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict

from engine import ids
from engine.errors import NotFound
from engine.profiles.model import Profile
from engine.store import Unit

_KINDS = ("external", "email", "phone", "anonymous")


def find(unit: Unit, project_key: bytes, name: str) -> Profile:
    """The profile under our own id, the shop's, an email, a phone or an anonymous id. NotFound without any."""
    # Ours comes first: an id of the shop's that happens to look like one must not stand before it.
    profile = unit.profiles.find_by("merged", name) or unit.profiles.find(name)
    for kind in _KINDS:
        profile = profile or unit.profiles.find_by(kind, name)
    # An erased person has no identifier left, yet what happened under the shop's id can still be asked for.
    profile = profile or unit.profiles.find(ids.profile_id(project_key, "external", name))
    if profile is None:
        raise NotFound("no profile has this id, email, phone or anonymous id")
    return profile


def names(unit: Unit, profile_ids: Iterable[str]) -> dict[str, str]:
    """What to call people: by the shop's id, which those who run it know, else by ours."""
    asked = {profile_id: profile_id for profile_id in profile_ids if profile_id}
    found = unit.profiles.find_each(asked) if asked else ()
    return asked | {each.profile_id: each.external_id for each in found if each.external_id}


def export(unit: Unit, profile: Profile) -> dict[str, Any]:
    """Everything held about a person, as JSON: what a request for one's own data is answered with."""
    profile_id = profile.profile_id
    return {
        "profile": as_json(profile),
        "events": [as_json(event) for event in unit.events.of(profile_id)],
        "consents": [as_json(record) for record in unit.consents.of(profile_id)],
        "enrollments": [as_json(enrollment) for enrollment in unit.enrollments.of(profile_id=profile_id)],
        "refusals": [as_json(refusal) for refusal in unit.enrollments.refusals(profile_id=profile_id)],
        "deliveries": [as_json(delivery) for delivery in unit.deliveries.of(profile_id=profile_id)],
        "decisions": [as_json(decision) for decision in unit.deliveries.decisions(profile_id=profile_id)],
        "segments": [as_json(membership) for membership in unit.memberships.of(profile_id)],
    }


def as_json(record: Struct) -> dict[str, Any]:
    """A record's fields as JSON; instants in ISO 8601, UTC."""
    return {name: _plain(value) for name, value in asdict(record).items()}


def _plain(value: Any) -> Any:
    match value:
        case datetime():
            return iso(value)
        case date():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case Mapping():
            return {str(name): _plain(inner) for name, inner in value.items()}
        case list() | tuple():
            return [_plain(inner) for inner in value]
        case _:
            return value


def iso(instant: datetime) -> str:
    """An instant as we print it: `2026-03-02T10:00:00Z`."""
    return instant.isoformat().replace("+00:00", "Z")
