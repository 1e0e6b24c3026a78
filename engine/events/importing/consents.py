"""Consents from rows: grants with their evidence, withdrawals, objections, and blocked addresses.

What an import says is `by: import`: it never lifts what the person has said themselves.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, get_args
from zoneinfo import ZoneInfo

from msgspec.structs import replace

from engine import ids
from engine.consent.addresses import address_hash, normalise
from engine.consent.decide import SOFT_OPT_IN_FACTS
from engine.consent.ledger import Ledger
from engine.consent.model import SuppressionKind
from engine.consent.records import make_record
from engine.consent.suppression import suppression_of
from engine.errors import BadInput, GrantRefused
from engine.events.identity import IdentifierKind
from engine.events.importing import cells
from engine.events.importing.columns import Kind
from engine.events.importing.rows import RowRefused
from engine.events.importing.taker import Outcome, take_each
from engine.events.intake import Intake
from engine.profiles.model import Profile
from engine.project import Channel, Project
from engine.store import Unit

Action = Literal["grant", "withdraw", "object", "suppress"]
Basis = Literal["consent", "soft_opt_in"]
#: `erased` is not among them: only we erase.
_KINDS: tuple[SuppressionKind, ...] = ("manual", "complaint", "hard_bounce", "sms_stop", "revocation")
_NEEDED: Mapping[Action, tuple[str, ...]] = {
    "grant": ("channel", "topic", "address", "source", "wording", "occurred_at"),
    "withdraw": ("occurred_at",),
    "object": ("occurred_at",),
    "suppress": ("channel", "address"),
}
_FIELDS = (
    "id", "action", "channel", "topic", "address", "source", "wording", "basis", "kind", "occurred_at", "confirmed_at",
    "expires_at", "evidence",
)  # fmt: skip
_LOOKED_UP: Mapping[str, IdentifierKind] = {"email": "email", "sms": "phone"}


@dataclass(frozen=True, kw_only=True, slots=True)
class ConsentRow:
    action: Action
    user_id: str | None
    channel: Channel | None
    topic: str | None
    #: As given, and in its normal form.
    address: str | None
    match_key: str | None
    source: str
    wording: str | None
    basis: Basis
    kind: SuppressionKind
    occurred_at: datetime | None
    confirmed_at: datetime | None
    expires_at: datetime | None
    evidence: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class ConsentRows:
    """Takes consents in."""

    project: Project
    project_key: bytes
    intake: Intake
    ledger: Ledger
    #: What to call the import where a row names no source.
    label: str
    #: For timestamps without an offset.
    zone: ZoneInfo | None = None
    kind: Kind = "consents"
    fields: Sequence[str] = _FIELDS
    aliases: Mapping[str, str] = field(
        default_factory=lambda: {
            "user_id": "id", "userId": "id", "profile": "id", "timestamp": "occurred_at", "at": "occurred_at"
        }
    )  # fmt: skip

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────
    def needed(self, given: Collection[str]) -> Sequence[str]:
        # Without an action every row is a grant.
        return () if "action" in given else _NEEDED["grant"]

    def knows(self, name: str) -> bool:
        return name in _FIELDS or name.startswith("evidence.")

    def is_catalogued(self, name: str) -> bool:
        return self.knows(name)

    def read(self, given: Mapping[str, Any], now: datetime) -> ConsentRow:
        action = _word("action", given, get_args(Action), "grant")
        for name in _NEEDED[action]:
            if cells.is_empty(given.get(name)):
                raise RowRefused("missing", f"`{name}` is missing: the action `{action}` needs it", name)
        if action != "suppress" and cells.is_empty(given.get("id")) and cells.is_empty(given.get("address")):
            raise RowRefused("missing", "`id` is missing: it, or an address, says whom the row is about", "id")
        channel = self._channel(given)
        address, match_key = _address(given, channel)
        return ConsentRow(
            action=action,
            user_id=_text(given, "id"),
            channel=channel,
            topic=self._topic(given),
            address=address,
            match_key=match_key,
            source=_text(given, "source") or f"import:{self.label}",
            wording=_text(given, "wording"),
            basis=_word("basis", given, get_args(Basis), "consent"),
            kind=_word("kind", given, _KINDS, "manual"),
            occurred_at=_past(given, "occurred_at", self.zone, now),
            confirmed_at=_past(given, "confirmed_at", self.zone, now),
            expires_at=_instant(given, "expires_at", self.zone),
            evidence=_evidence(given, self.zone),
        )

    def _channel(self, given: Mapping[str, Any]) -> Channel | None:
        name = _text(given, "channel")
        if name is None:
            return None
        if name not in self.project.channels:
            known = " ".join(sorted(self.project.channels))
            raise RowRefused("unknown_channel", f"`channel` is none of the project's: {known}", "channel")
        return self.project.channels[name]

    def _topic(self, given: Mapping[str, Any]) -> str | None:
        name = _text(given, "topic")
        if name is not None and name not in self.project.topics:
            known = " ".join(sorted(self.project.topics))
            raise RowRefused("unknown_topic", f"`topic` is none of the project's: {known}", "topic")
        return name

    # ── taking ───────────────────────────────────────────────────────────────────────────────────────────────────────
    def take(self, unit: Unit, rows: Sequence[ConsentRow], now: datetime) -> Sequence[Outcome]:
        people = {person for row in rows for person in _people(row)}
        return take_each(self.intake, unit, people, rows, lambda unit, row: self._take(unit, row, now))

    def _take(self, unit: Unit, row: ConsentRow, now: datetime) -> Outcome:
        if row.action == "suppress":
            return self._suppress(unit, row, now)
        profile = self._profile(unit, row, now)
        if profile.erased_at is not None:
            raise RowRefused("erased", "this person was erased: their addresses stay blocked", "id")
        if row.action == "grant":
            return self._grant(unit, row, profile, now)
        assert row.occurred_at is not None, "a row without it was refused"
        channel = row.channel.name if row.channel else None
        known = make_record(
            row.action, profile=profile, channel=channel, topic=row.topic, occurred_at=row.occurred_at, now=now,
            actor="import", source=row.source,
        )  # fmt: skip
        if _is_known(unit, profile, known.consent_id):
            return "unchanged"
        deny = self.ledger.withdraw if row.action == "withdraw" else self.ledger.object
        deny(
            unit, profile=profile, channel=channel, topic=row.topic, occurred_at=row.occurred_at, now=now,
            actor="import", source=row.source, evidence=row.evidence,
        )  # fmt: skip
        return "taken"

    def _grant(self, unit: Unit, row: ConsentRow, profile: Profile, now: datetime) -> Outcome:
        assert row.channel is not None
        assert row.topic is not None
        assert row.address is not None
        assert row.occurred_at is not None
        # The grant is the address's of the row: where that is not the profile's present one, it waits for it, inert.
        holder = _with_address(profile, row.channel, row.address)
        known = make_record(
            "grant",
            profile=profile,
            channel=row.channel.name,
            topic=row.topic,
            occurred_at=row.occurred_at,
            now=now,
            actor="import",
            source=row.source,
            address_hash=address_hash(self.project_key, row.channel.kind, row.address),
            wording=row.wording,
            basis=row.basis,
            expires_at=row.expires_at,
        )
        if _is_known(unit, profile, known.consent_id):
            return "unchanged"
        try:
            self.ledger.grant(
                unit,
                profile=holder,
                channel=row.channel.name,
                topic=row.topic,
                occurred_at=row.occurred_at,
                now=now,
                actor="import",
                source=row.source,
                wording=row.wording,
                basis=row.basis,
                evidence=row.evidence,
                expires_at=row.expires_at,
                confirmed_at=row.confirmed_at,
            )
        except GrantRefused as refused:
            raise RowRefused("grant_refused", str(refused)) from refused
        return "taken"

    def _suppress(self, unit: Unit, row: ConsentRow, now: datetime) -> Outcome:
        assert row.channel is not None
        assert row.address is not None
        kind = row.channel.kind
        hashed = address_hash(self.project_key, kind, row.address)
        own = row.channel.name if row.kind == "sms_stop" else ""
        wanted = suppression_of(kind, hashed, row.kind, source=row.source, now=now, channel=own)
        for block in unit.consents.suppressions(kind, hashed):
            if block.suppression_id != wanted.suppression_id:
                continue
            if block.lifted_at is None:
                return "unchanged"
            if row.occurred_at is None or row.occurred_at <= block.lifted_at:
                raise RowRefused(
                    "lifted", "this block was lifted later: to block again, say since when in `occurred_at`", "address"
                )
        self.ledger.suppress(
            unit, channel=row.channel.name, address=row.address, kind=row.kind, source=row.source, now=now
        )
        return "taken"

    def _profile(self, unit: Unit, row: ConsentRow, now: datetime) -> Profile:
        if row.user_id is not None:
            # A no of somebody who is not here yet waits for them; a yes needs somebody who was brought here on purpose.
            if row.action == "grant" and not self._is_known_person(unit, row.user_id):
                raise RowRefused("unknown_profile", "`id` names nobody here: import the profiles first", "id")
            return self.intake.ensure(unit, "external", row.user_id, now)
        found = self._by_address(unit, row)
        if found is None:
            raise RowRefused(
                "unknown_profile",
                "no profile has this address: give its `id`, or block the address with the action `suppress`",
                "address",
            )
        return self.intake.current(unit, found.profile_id)

    def _is_known_person(self, unit: Unit, user_id: str) -> bool:
        # An erased person has no identifier left; the empty profile under the derived id says: to stay forgotten.
        derived = ids.profile_id(self.project_key, "external", user_id)
        return (unit.profiles.find_by("external", user_id) or unit.profiles.find(derived)) is not None

    @staticmethod
    def _by_address(unit: Unit, row: ConsentRow) -> Profile | None:
        if row.channel is None:
            raise RowRefused("missing", "`channel` is missing: it says what the address is", "channel")
        kind = _LOOKED_UP.get(row.channel.kind, row.channel.name)
        written = dict.fromkeys(each for each in (row.address, row.match_key) if each)
        return next((found for each in written if (found := unit.profiles.find_by(kind, each))), None)


def _people(row: ConsentRow) -> Iterable[tuple[IdentifierKind, str]]:
    if row.user_id is not None:
        yield "external", row.user_id
    elif row.channel is not None and row.address is not None and row.channel.kind in _LOOKED_UP:
        for address in dict.fromkeys((row.address, row.match_key or row.address)):
            yield _LOOKED_UP[row.channel.kind], address


def _is_known(unit: Unit, profile: Profile, consent_id: str) -> bool:
    return any(record.consent_id == consent_id for record in unit.consents.of(profile.profile_id))


def _with_address(profile: Profile, channel: Channel, address: str) -> Profile:
    match channel.kind:
        case "email":
            return replace(profile, email=address)
        case "sms":
            return replace(profile, phone=address)
        case "chat":
            return replace(profile, chat={**profile.chat, channel.name: address})


def _address(given: Mapping[str, Any], channel: Channel | None) -> tuple[str | None, str | None]:
    address = _text(given, "address")
    if address is None or channel is None:
        return address, None
    try:
        return address, normalise(channel.kind, address)
    except BadInput as problem:
        raise RowRefused("address", f"`address`: {problem}", "address") from problem


def _evidence(given: Mapping[str, Any], zone: ZoneInfo | None) -> dict[str, Any]:
    whole = given.get("evidence")
    evidence = {} if cells.is_empty(whole) else dict(cells.mapping("evidence", whole))
    for name, cell in given.items():
        if name.startswith("evidence.") and not cells.is_empty(cell):
            own = name.removeprefix("evidence.")
            evidence[own] = cells.typed(name, "boolean" if own in SOFT_OPT_IN_FACTS else "any", cell, zone)
    return evidence


def _text(given: Mapping[str, Any], name: str) -> str | None:
    value = given.get(name)
    return None if cells.is_empty(value) else cells.text(name, value)


def _instant(given: Mapping[str, Any], name: str, zone: ZoneInfo | None) -> datetime | None:
    value = given.get(name)
    return None if cells.is_empty(value) else cells.reported(name, value, zone)


def _past(given: Mapping[str, Any], name: str, zone: ZoneInfo | None, now: datetime) -> datetime | None:
    value = given.get(name)
    return None if cells.is_empty(value) else cells.past(name, value, zone, now)


def _word(name: str, given: Mapping[str, Any], words: Sequence[Any], default: str) -> Any:
    written = (_text(given, name) or default).casefold()
    if written not in words:
        raise RowRefused("action", f"`{name}` must be one of {' '.join(words)}", name)
    return written
