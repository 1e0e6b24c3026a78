"""Who is meant: identifiers resolve to profiles, and two profiles found to be one person become one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal
from zoneinfo import ZoneInfo

from msgspec.structs import replace

from engine import ids
from engine.consent.decide import standing_denial
from engine.consent.model import ConsentRecord
from engine.enrollment.ending import end_enrollment
from engine.enrollment.facts import zone_of
from engine.enrollment.model import Enrollment
from engine.errors import Conflict, NotFound
from engine.events.model import Occurrence
from engine.locking import under_lock
from engine.profiles.merge import Register, merged
from engine.profiles.model import OWN_FIELDS, Profile, Value
from engine.project import Project, Topic
from engine.store import Unit

#: `merged` resolves the id of a profile that was joined to another.
IdentifierKind = Literal["external", "anonymous", "email", "phone", "merged"]

#: Fields of a profile that are addresses, and their kinds of identifier.
_ADDRESSES: tuple[tuple[str, IdentifierKind], ...] = (("email", "email"), ("phone", "phone"))


class Identities:
    """Finds and makes profiles by their identifiers, and merges them."""

    def __init__(self, project: Project, project_key: bytes) -> None:
        self._project = project
        self._key = project_key

    def profile_id(self, unit: Unit, kind: IdentifierKind, value: str) -> str:
        """Id of the profile that an identifier names now, or of the one that it would make."""
        return unit.profiles.owner(kind, value) or ids.profile_id(self._key, kind, value)

    def recipient(self, unit: Unit, kind: IdentifierKind, value: str, now: datetime) -> str | None:
        """Id of the profile under an identifier, locked, and made where there is none; None where it was erased."""

        def look() -> tuple[str, str | None]:
            owner = unit.profiles.owner(kind, value)
            return owner or ids.profile_id(self._key, kind, value), owner

        # Asked again: while we waited for the lock it may have been made, merged or erased.
        known = under_lock(unit, self.profile_id(unit, kind, value), look)
        if known is None:
            profile = self.ensure(unit, kind, value, now)
            known = profile.profile_id if profile.erased_at is None else None
        return known

    def current(self, unit: Unit, profile_id: str) -> Profile:
        """The profile, locked, of an id as links and deliveries keep it; of a merged one, the one it became part of."""

        def look() -> tuple[str, Profile]:
            profile = unit.profiles.find_by("merged", profile_id) or unit.profiles.find(profile_id)
            if profile is None:
                raise NotFound(f"there is no profile {profile_id}")
            return profile.profile_id, profile

        return under_lock(unit, look()[0], look)

    def ensure(self, unit: Unit, kind: IdentifierKind, value: str, now: datetime) -> Profile:
        """The profile under an identifier, locked, and made where there is none. An erased one comes back as it is."""
        profile_id = ids.profile_id(self._key, kind, value)

        def look() -> tuple[str, Profile | None]:
            known = unit.profiles.find_by(kind, value)
            return known.profile_id if known else profile_id, known

        # Only under the lock is it certain: while we waited it may have been made, merged or erased.
        known = under_lock(unit, self.profile_id(unit, kind, value), look)
        if known:
            return known
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

    def join_visitor(self, unit: Unit, anonymous_id: str, profile: Profile, now: datetime) -> Profile:
        """The person, with everything of the anonymous visitor whom they turned out to be.

        A device that somebody else used before passes over to them from now on, and the other keeps their past.
        """
        visitor = unit.profiles.find_by("anonymous", anonymous_id)
        if visitor is None or _is_another(visitor, profile):
            unit.profiles.identify("anonymous", anonymous_id, profile.profile_id)
            return profile
        return self._merge(unit, visitor, profile, now)

    def join_known(self, unit: Unit, previous_id: str, profile: Profile, now: datetime) -> Profile:
        """The person, with everything of whoever is known under `previous_id`, an anonymous id or a shop's; who comes
        under it later is the same person. Raises Conflict where it is the device of somebody else."""
        device = unit.profiles.find_by("anonymous", previous_id)
        if device is not None and _is_another(device, profile):
            raise Conflict(
                "`previousId` is a device on which another known person was identified, and people who share a device "
                "are not one: nothing was joined. If they are one person, send the other person's `userId` as "
                "`previousId`"
            )
        kinds: tuple[IdentifierKind, ...] = ("anonymous", "external")
        for kind in kinds:
            previous = unit.profiles.find_by(kind, previous_id)
            if previous is not None:
                profile = self._merge(unit, previous, profile, now)
            elif unit.profiles.find(ids.profile_id(self._key, kind, previous_id)) is None:
                unit.profiles.identify(kind, previous_id, profile.profile_id)
            # Else that one was erased, and stays forgotten.
        return profile

    def keep_addresses(self, unit: Unit, before: Profile, after: Profile, given: Mapping[Register, Value]) -> None:
        """A person goes on being found by each email and number that they ever had, until somebody else has it."""
        for name, kind in _ADDRESSES:
            former = [getattr(before, name), given.get(("own", name))]
            if getattr(after, name) is None:
                continue
            for address in former:
                if address not in (None, getattr(after, name)) and unit.profiles.find_by(kind, address) is None:
                    unit.profiles.identify(kind, address, after.profile_id)

    def _merge(self, unit: Unit, source: Profile, target: Profile, now: datetime) -> Profile:
        if source.profile_id == target.profile_id:
            return target
        for profile_id in sorted((source.profile_id, target.profile_id)):
            unit.lock(profile_id)
        whole = merged(source, target)
        self._merge_consents(unit, source, target, now)
        _hand_over_enrollments(unit, source, target, now)
        _hand_over_memberships(unit, source, target)
        _hand_over_dues(unit, source, target, zone_of(source, self._project), now)
        unit.profiles.hand_over(source.profile_id, target.profile_id)
        unit.profiles.erase(source.profile_id, now)
        unit.profiles.identify("merged", source.profile_id, target.profile_id)
        known = unit.profiles.identifiers(target.profile_id)
        unit.profiles.save(whole)
        # Of two addresses one is written to; the person goes on being found by both.
        for kind, value in sorted({*known} - {*unit.profiles.identifiers(target.profile_id)}):
            unit.profiles.identify(kind, value, target.profile_id)
        unit.queue.add_occurrence(
            Occurrence(
                profile_id=target.profile_id,
                kind="changed",
                detail={"names": differences(target, whole), "merged": source.profile_id},
                at=now,
            )
        )
        return whole

    def _merge_consents(self, unit: Unit, source: Profile, target: Profile, now: datetime) -> None:
        theirs, ours = unit.consents.of(source.profile_id), unit.consents.of(target.profile_id)
        if not theirs:
            return
        for record in theirs:
            unit.consents.add(
                replace(
                    record,
                    consent_id=ids.derived_id("c", "merge", record.consent_id, target.profile_id),
                    profile_id=target.profile_id,
                )
            )
        # In time order one profile's later grant would lift the other's withdrawal; the stricter of the two is kept.
        both = [*ours, *theirs]
        for topic in self._project.topics.values():
            for channel in self._project.channels:
                if not (_says_no(channel, topic, theirs, now) or _says_no(channel, topic, ours, now)):
                    continue
                # Without an address, too: STOP is bound to its number, and the person's may be another from now on.
                if _says_no(channel, topic, both, now) and standing_denial(topic, channel, "", both, now):
                    continue
                unit.consents.add(
                    ConsentRecord(
                        consent_id=ids.derived_id(
                            "c", "stricter", source.profile_id, target.profile_id, channel, topic.name
                        ),
                        profile_id=target.profile_id,
                        action="withdraw",
                        channel=channel,
                        topic=topic.name,
                        occurred_at=now,
                        received_at=now,
                        actor="system",
                        source="merge",
                    )
                )
        unit.queue.add_occurrence(Occurrence(profile_id=target.profile_id, kind="consented", at=now))


def _says_no(channel: str, topic: Topic, records: Sequence[ConsentRecord], now: datetime) -> bool:
    """Whether a withdrawal stands wherever the person has spoken of the channel. What they are written to at present
    has no part in it: else it would matter in which order addresses and merges come in."""
    spoken_of = {record.address_hash for record in records if record.channel == channel and record.address_hash}
    return all(standing_denial(topic, channel, hashed, records, now) for hashed in spoken_of or {""})


def _is_another(owner: Profile, profile: Profile) -> bool:
    """Whether a device is that of another person whom the shop knows."""
    return owner.external_id is not None and owner.profile_id != profile.profile_id


def _hand_over_enrollments(unit: Unit, source: Profile, target: Profile, now: datetime) -> None:
    """Enrollments go on as the target's; of those alive under one key the one entered first, and the others end."""
    moved = unit.enrollments.of(profile_id=source.profile_id)
    if not moved:
        return
    ways: dict[tuple[str, str | None], list[Enrollment]] = {(each.journey, each.key): [] for each in moved}
    for each in (*moved, *unit.enrollments.of(profile_id=target.profile_id)):
        if (each.journey, each.key) in ways:
            ways[each.journey, each.key].append(each)
    for same in ways.values():
        same.sort(key=lambda way: (way.entered_at, way.enrollment_id))
        alive = [way for way in same if way.state == "active"]
        ended = {way.enrollment_id: end_enrollment(unit, way, "merged", now, tell=True) for way in alive[1:]}
        # Numbers are one sequence under a journey, profile and key, and a live enrollment stays its last.
        same.sort(key=lambda way: way in alive[:1])
        for number, way in enumerate(same, start=1):
            known = ended.get(way.enrollment_id, way)
            if (way.profile_id, way.number) != (target.profile_id, number):
                entered_as = way.entered_as or f"{way.profile_id}/{way.number}"
                unit.enrollments.save(
                    replace(known, profile_id=target.profile_id, number=number, entered_as=entered_as)
                )


def _hand_over_memberships(unit: Unit, source: Profile, target: Profile) -> None:
    """Where either was told to have entered a segment the person has: that they enter is said once."""
    inside = {known.segment for known in unit.memberships.of(target.profile_id) if known.is_member}
    for known in unit.memberships.of(source.profile_id):
        if known.is_member and known.segment not in inside:
            unit.memberships.save(replace(known, profile_id=target.profile_id))


def _hand_over_dues(unit: Unit, source: Profile, target: Profile, zone: ZoneInfo, now: datetime) -> None:
    """A moment that has come, and that no sweep has seen, is the person's: late, never lost. What has fired for whom is
    joined has fired for the person, too."""
    for due in unit.dues.of(source.profile_id):
        if due.kind == "segment":
            continue  # memberships are looked at anew
        own = unit.dues.find(due.kind, target.profile_id, due.subject)
        if own is None:
            unit.dues.put(replace(due, profile_id=target.profile_id))
        elif due.kind == "date":
            has_fired = due.due_at.astimezone(zone).date().isoformat() == own.basis
            due_at = due.due_at if due.due_at <= now < own.due_at and not has_fired else own.due_at
            unit.dues.put(replace(own, due_at=due_at, basis=max(due.basis, own.basis)))
        # Else the person has a lapse, or a local schedule, of their own ahead.


def differences(before: Profile, after: Profile) -> list[str]:
    """Names of the own fields and attributes in which two states of a profile differ."""
    own = [name for name in (*OWN_FIELDS, "chat") if getattr(before, name) != getattr(after, name)]
    missing = object()
    names = {*before.attributes, *after.attributes}
    return own + sorted(n for n in names if before.attributes.get(n, missing) != after.attributes.get(n, missing))
