"""Who is meant: identifiers resolve to profiles, and two profiles found to be one person become one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from msgspec.structs import replace

from engine import ids
from engine.consent.addresses import address_hash
from engine.consent.decide import standing_denial
from engine.consent.model import ConsentRecord
from engine.enrollment.ending import end_enrollment
from engine.enrollment.model import Enrollment
from engine.errors import NotFound
from engine.events.model import Occurrence
from engine.profiles.model import OWN_FIELDS, Profile
from engine.project import Channel, Project, Topic
from engine.store import Unit

#: `merged` resolves the id of a profile that was joined to another.
IdentifierKind = Literal["external", "anonymous", "email", "phone", "merged"]


class Identities:
    """Finds and makes profiles by their identifiers, and merges them."""

    def __init__(self, project: Project, project_key: bytes) -> None:
        self._project = project
        self._key = project_key

    def profile_id(self, unit: Unit, kind: IdentifierKind, value: str) -> str:
        """Id of the profile that an identifier names now, or of the one that it would make."""
        known = unit.profiles.find_by(kind, value)
        return known.profile_id if known else ids.profile_id(self._key, kind, value)

    def current(self, unit: Unit, profile_id: str) -> Profile:
        """The profile, locked, of an id as links and deliveries keep it; of a merged one, the one it became part of."""
        profile = self._find(unit, profile_id)
        unit.lock(profile.profile_id)
        return self._find(unit, profile_id)

    @staticmethod
    def _find(unit: Unit, profile_id: str) -> Profile:
        profile = unit.profiles.find_by("merged", profile_id) or unit.profiles.find(profile_id)
        if profile is None:
            raise NotFound(f"there is no profile {profile_id}")
        return profile

    def ensure(self, unit: Unit, kind: IdentifierKind, value: str, now: datetime) -> Profile:
        """The profile under an identifier, locked, and made where there is none. An erased one comes back as it is."""
        unit.lock(self.profile_id(unit, kind, value))
        # Only now is it certain: while we waited for the lock it may have been made, merged or erased.
        known = unit.profiles.find_by(kind, value)
        if known:
            return known
        profile_id = ids.profile_id(self._key, kind, value)
        # Erasing takes the identifiers; the empty profile under the derived id says: to stay forgotten.
        emptied = unit.profiles.find(profile_id)
        if emptied:
            return emptied
        profile = Profile(
            profile_id=profile_id,
            external_id=value if kind == "external" else None,
            email=value if kind == "email" else None,
            phone=value if kind == "phone" else None,
            created_at=now,
        )
        unit.profiles.save(profile)
        unit.profiles.identify(kind, value, profile_id)
        return profile

    def join(self, unit: Unit, previous_id: str, profile: Profile, now: datetime, *, is_alias: bool = False) -> Profile:
        """The profile, with everything of the one known under `previous_id`.

        Without `is_alias` only an anonymous visitor is joined: a device that somebody else used before passes over to
        this person from now on, and the other keeps their past.
        """
        previous = unit.profiles.find_by("anonymous", previous_id)
        if previous is None and is_alias:
            previous = unit.profiles.find_by("external", previous_id)
        if previous is None:
            unit.profiles.identify("anonymous", previous_id, profile.profile_id)
            return profile
        if previous.profile_id == profile.profile_id:
            return profile
        if previous.external_id is not None and not is_alias:
            unit.profiles.identify("anonymous", previous_id, profile.profile_id)
            return profile
        return self._merge(unit, previous, profile, now)

    def _merge(self, unit: Unit, source: Profile, target: Profile, now: datetime) -> Profile:
        for profile_id in sorted((source.profile_id, target.profile_id)):
            unit.lock(profile_id)
        merged = replace(
            target,
            email=target.email or source.email,
            phone=target.phone or source.phone,
            chat={**source.chat, **target.chat},
            timezone=target.timezone or source.timezone,
            locale=target.locale or source.locale,
            attributes={**source.attributes, **target.attributes},
            created_at=min((at for at in (source.created_at, target.created_at) if at), default=now),
        )
        self._merge_consents(unit, source, target, merged, now)
        _hand_over_enrollments(unit, source, target, now)
        unit.profiles.hand_over(source.profile_id, target.profile_id)
        unit.profiles.erase(source.profile_id, now)
        unit.profiles.identify("merged", source.profile_id, target.profile_id)
        if source.external_id is not None:
            unit.profiles.identify("external", source.external_id, target.profile_id)
        unit.profiles.save(merged)
        unit.queue.add_occurrence(
            Occurrence(
                profile_id=target.profile_id,
                kind="changed",
                detail={"names": differences(target, merged), "merged": source.profile_id},
                at=now,
            )
        )
        return merged

    def _merge_consents(self, unit: Unit, source: Profile, target: Profile, merged: Profile, now: datetime) -> None:
        theirs, ours = unit.consents.of(source.profile_id), unit.consents.of(target.profile_id)
        if not theirs:
            return
        for record in theirs:
            unit.consents.add(
                replace(
                    record,
                    consent_id=ids.derived_id("c", "merge", record.consent_id, target.profile_id),
                    profile_id=target.profile_id,
                    received_at=now,
                )
            )
        # In time order one profile's later grant would lift the other's withdrawal; the stricter of the two is kept.
        both = [*ours, *theirs]
        for topic in self._project.topics.values():
            for channel in self._project.channels.values():
                was_denied = self._denies(source, channel, topic, theirs, now) or self._denies(
                    target, channel, topic, ours, now
                )
                if was_denied and not self._denies(merged, channel, topic, both, now):
                    unit.consents.add(
                        ConsentRecord(
                            consent_id=ids.derived_id(
                                "c", "stricter", source.profile_id, target.profile_id, channel.name, topic.name
                            ),
                            profile_id=target.profile_id,
                            action="withdraw",
                            channel=channel.name,
                            topic=topic.name,
                            occurred_at=now,
                            received_at=now,
                            actor="system",
                            source="merge",
                        )
                    )
        unit.queue.add_occurrence(Occurrence(profile_id=target.profile_id, kind="consented", at=now))

    def _denies(
        self, profile: Profile, channel: Channel, topic: Topic, records: Sequence[ConsentRecord], now: datetime
    ) -> bool:
        address = profile.address(channel.name, channel.kind) or ""
        hashed = address_hash(self._key, channel.kind, address)
        return standing_denial(topic, channel.name, hashed, records, now) is not None


def _hand_over_enrollments(unit: Unit, source: Profile, target: Profile, now: datetime) -> None:
    """Enrollments go on as the target's; of two live ones under one key the source's ends."""
    for enrollment in reversed(unit.enrollments.of(profile_id=source.profile_id)):
        last = unit.enrollments.last(enrollment.journey, target.profile_id, enrollment.key)
        number = enrollment.number
        if last:
            number = last.number + 1
            if last.state == "active":
                if enrollment.state == "active":
                    enrollment = end_enrollment(unit, enrollment, "merged", now, tell=True)
                # Numbers are one sequence under a journey, profile and key, and a live enrollment stays its last.
                unit.enrollments.save(_known_as(last, target.profile_id, number))
                number = last.number
        unit.enrollments.save(_known_as(enrollment, target.profile_id, number))


def _known_as(enrollment: Enrollment, profile_id: str, number: int) -> Enrollment:
    entered_as = enrollment.entered_as or f"{enrollment.profile_id}/{enrollment.number}"
    return replace(enrollment, profile_id=profile_id, number=number, entered_as=entered_as)


def differences(before: Profile, after: Profile) -> list[str]:
    """Names of the own fields and attributes in which two states of a profile differ."""
    own = [name for name in (*OWN_FIELDS, "chat") if getattr(before, name) != getattr(after, name)]
    missing = object()
    names = {*before.attributes, *after.attributes}
    return own + sorted(n for n in names if before.attributes.get(n, missing) != after.attributes.get(n, missing))
