"""The ledger's pen: checks what is to be recorded about consent, and records it once.

Every method writes in the caller's transaction, under the profile's lock, and queues the effects for the router.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from msgspec.structs import replace

from engine.consent.addresses import address_hash
from engine.consent.decide import (
    KEYWORD,
    SKEW,
    SMS_KEYWORD,
    SOFT_OPT_IN_FACTS,
    decide_consent,
    standing_denial,
)
from engine.consent.model import Actor, ConsentRecord, Suppression, SuppressionKind
from engine.consent.records import check_instant, make_record
from engine.consent.replies import ReplyMeaning, classify_reply
from engine.consent.suppression import suppression_of
from engine.errors import BadInput, GrantRefused
from engine.events.model import Occurrence
from engine.profiles.model import Profile
from engine.project import Channel, Project, Topic
from engine.store import Unit

#: What the person's own word lifts: a confirmation through the address, a plain grant, START.
_LIFTED_BY_CONFIRM: tuple[SuppressionKind, ...] = ("complaint", "revocation")
_LIFTED_BY_GRANT: tuple[SuppressionKind, ...] = ("revocation",)
_LIFTED_BY_START: tuple[SuppressionKind, ...] = ("sms_stop", "revocation")


class Ledger:
    """Records grants, confirmations, withdrawals, objections and replies."""

    def __init__(self, project: Project, project_key: bytes) -> None:
        self._project = project
        self._key = project_key

    # ── yes ──────────────────────────────────────────────────────────────────────────────────────────────────────────
    def grant(
        self,
        unit: Unit,
        *,
        profile: Profile,
        channel: str,
        topic: str,
        occurred_at: datetime,
        now: datetime,
        actor: Actor,
        source: str | None,
        wording: str | None,
        basis: Literal["consent", "soft_opt_in"] = "consent",
        evidence: Mapping[str, Any] | None = None,
        expires_at: datetime | None = None,
        confirmed_at: datetime | None = None,
    ) -> ConsentRecord:
        """Records a grant for the profile's present address; pending where the topic asks for double opt-in.

        `confirmed_at`: the person confirmed it elsewhere already, so that nothing is pending.

        Raises GrantRefused where evidence is missing, where its time is ahead of ours, or where the person has said no
        (withdrawal, objection, complaint, STOP, erasure) and it is not the person who grants.
        """
        configured, asked = self._channel(channel), self._topic(topic)
        check_instant(occurred_at)
        address = profile.address(configured.name, configured.kind)
        for field, value, help_ in (
            ("address", address, f"the profile has none for the channel {channel!r}"),
            ("source", source, "say where it was given, such as form:checkout"),
            ("wording", wording, "name the version of the text that the person saw"),
        ):
            if not value:
                raise GrantRefused(f"the grant lacks its {field}: {help_}")
        given = dict(evidence or {})
        if basis == "soft_opt_in":
            missing = [fact for fact in SOFT_OPT_IN_FACTS if given.get(fact) is not True]
            if missing:
                raise GrantRefused(f"a soft opt-in needs all of its facts as evidence; missing: {' '.join(missing)}")
        if confirmed_at is not None:
            check_instant(confirmed_at)
            if not occurred_at <= confirmed_at <= now + SKEW:
                raise GrantRefused("the grant was confirmed before it was given, or in the future: check both times")
        if occurred_at > now + SKEW:
            raise GrantRefused("the grant lies in the future: a grant is recorded when it has been given")
        hashed = address_hash(self._key, configured.kind, str(address))
        if actor != "person":
            self._refuse_over_a_no(unit, profile, configured, asked, hashed, now)
        record = make_record(
            "grant",
            profile=profile,
            channel=channel,
            topic=topic,
            occurred_at=occurred_at,
            now=now,
            actor=actor,
            source=str(source),
            address_hash=hashed,
            wording=wording,
            basis=basis,
            evidence=given,
            expires_at=expires_at,
        )
        if confirmed_at is not None:
            # Before the grant, so that nobody is asked to confirm it again.
            confirmation = make_record(
                "confirm", profile=profile, channel=channel, topic=topic, occurred_at=confirmed_at, now=now,
                actor=actor, source=str(source), address_hash=hashed,
            )  # fmt: skip
            unit.consents.add(confirmation)
        added = self._add(unit, record, now)
        if added and actor == "person" and basis == "consent" and channel not in asked.double_opt_in:
            self._lift(unit, configured, hashed, _LIFTED_BY_GRANT, now)
        return record

    def confirm(
        self,
        unit: Unit,
        *,
        profile: Profile,
        channel: str,
        topic: str,
        occurred_at: datetime,
        now: datetime,
        source: str,
        address_hash: str | None = None,
        evidence: Mapping[str, Any] | None = None,
    ) -> ConsentRecord:
        """Records the person's confirmation of a grant (double opt-in) on the present address, or on a link's own."""
        configured, _ = self._channel(channel), self._topic(topic)
        hashed = address_hash or self._own_hash(profile, configured)
        if hashed is None:
            raise GrantRefused(f"there is no address to confirm: the profile has none for the channel {channel!r}")
        record = make_record(
            "confirm",
            profile=profile,
            channel=channel,
            topic=topic,
            occurred_at=occurred_at,
            now=now,
            actor="person",
            source=source,
            address_hash=hashed,
            evidence=evidence,
        )
        if self._add(unit, record, now):
            self._lift(unit, configured, hashed, _LIFTED_BY_CONFIRM, now)
        return record

    # ── no ───────────────────────────────────────────────────────────────────────────────────────────────────────────
    def withdraw(
        self,
        unit: Unit,
        *,
        profile: Profile,
        channel: str | None = None,
        topic: str | None = None,
        occurred_at: datetime,
        now: datetime,
        actor: Actor = "person",
        source: str | None = None,
        evidence: Mapping[str, Any] | None = None,
    ) -> ConsentRecord:
        """Records a withdrawal from a channel, a topic, both, or (neither named) everything.

        Never refused: a name that the project no longer knows is recorded as it is. One from the future holds from now;
        only a time that cannot be (without an offset, before 1990) is BadInput.
        """
        return self._deny("withdraw", unit, profile, channel, topic, occurred_at, now, actor, source, evidence)

    def object(
        self,
        unit: Unit,
        *,
        profile: Profile,
        channel: str | None = None,
        topic: str | None = None,
        occurred_at: datetime,
        now: datetime,
        actor: Actor = "person",
        source: str | None = None,
        evidence: Mapping[str, Any] | None = None,
    ) -> ConsentRecord:
        """Records an objection to marketing, to a topic or (none named) altogether; otherwise like `withdraw`."""
        return self._deny("object", unit, profile, channel, topic, occurred_at, now, actor, source, evidence)

    def suppress(
        self, unit: Unit, *, channel: str, address: str, kind: SuppressionKind, source: str, now: datetime
    ) -> Suppression:
        """Blocks an address on the channel's kind; `source` says why, such as `receipt:ID`."""
        configured = self._channel(channel)
        hashed = address_hash(self._key, configured.kind, address)
        # STOPs are kept apart by channel: START lifts what came to its own.
        own = channel if kind == "sms_stop" else ""
        suppression = suppression_of(configured.kind, hashed, kind, source=source, now=now, channel=own)
        unit.consents.suppress(suppression)
        return suppression

    # ── replies ──────────────────────────────────────────────────────────────────────────────────────────────────────
    def reply(
        self, unit: Unit, *, profile: Profile | None, channel: str, text: str, now: datetime, address: str | None = None
    ) -> ReplyMeaning:
        """Gives a person's reply its effect, and says what it means.

        STOP withdraws from the channel at once, and blocks a phone number for everything; START undoes both on the
        number and channel to which it comes; a yes confirms what awaits it; what sounds like a revocation blocks
        marketing to the address until somebody has looked. `address` is the sender's, where it is not the profile's
        present one; without a profile, STOP and revocations still block the address.
        """
        configured = self._channel(channel)
        sender = address or (profile.address(configured.name, configured.kind) if profile else None)
        if sender is None:
            return classify_reply(text)
        hashed = address_hash(self._key, configured.kind, sender)
        pending = self._pending(unit, profile, channel, hashed, now) if profile else ()
        meaning = classify_reply(text, is_pending=bool(pending))
        match meaning:
            case "stop":
                if configured.kind == "sms":
                    self.suppress(unit, channel=channel, address=sender, kind="sms_stop", source="reply", now=now)
                if profile:
                    self._keyword("withdraw", unit, profile, configured, hashed, text, now)
            case "start":
                self._lift(unit, configured, hashed, _LIFTED_BY_START, now)
                if profile:
                    self._keyword("confirm", unit, profile, configured, hashed, text, now)
            case "confirm":
                assert profile is not None, "only a profile has something pending"
                for topic in pending:
                    self.confirm(
                        unit, profile=profile, channel=channel, topic=topic, occurred_at=now, now=now, source="reply",
                        address_hash=hashed, evidence={"text": text},
                    )  # fmt: skip
            case "revocation":
                self.suppress(unit, channel=channel, address=sender, kind="revocation", source="reply", now=now)
            case "help" | "other":
                pass
        return meaning

    def _keyword(
        self,
        action: Literal["withdraw", "confirm"],
        unit: Unit,
        profile: Profile,
        channel: Channel,
        hashed: str,
        text: str,
        now: datetime,
    ) -> None:
        """STOP or START: on the channel, and on those for which it stands in as their backup."""
        for name in self._heard_for(channel):
            record = make_record(
                action,
                profile=profile,
                channel=name,
                topic=None,
                occurred_at=now,
                now=now,
                actor="person",
                source=SMS_KEYWORD if channel.kind == "sms" else KEYWORD,
                address_hash=hashed,
                evidence={"text": text},
            )
            self._add(unit, record, now)

    def _pending(self, unit: Unit, profile: Profile, channel: str, hashed: str, now: datetime) -> tuple[str, ...]:
        records = unit.consents.of(profile.profile_id)
        return tuple(
            topic.name
            for topic in self._project.topics.values()
            if decide_consent(topic, channel, hashed, records, now).reason == "unconfirmed"
        )

    def _heard_for(self, channel: Channel) -> tuple[str, ...]:
        backed = (other.name for other in self._project.channels.values() if other.backup == channel.name)
        return (channel.name, *backed)

    # ── underneath ───────────────────────────────────────────────────────────────────────────────────────────────────
    def _deny(
        self,
        action: Literal["withdraw", "object"],
        unit: Unit,
        profile: Profile,
        channel: str | None,
        topic: str | None,
        occurred_at: datetime,
        now: datetime,
        actor: Actor,
        source: str | None,
        evidence: Mapping[str, Any] | None,
    ) -> ConsentRecord:
        record = make_record(
            action,
            profile=profile,
            channel=channel,
            topic=topic,
            occurred_at=occurred_at,
            now=now,
            actor=actor,
            source=source or "unstated",
            evidence=evidence,
        )
        self._add(unit, record, now)
        return record

    def _refuse_over_a_no(
        self, unit: Unit, profile: Profile, channel: Channel, topic: Topic, hashed: str, now: datetime
    ) -> None:
        denial = standing_denial(topic, channel.name, hashed, unit.consents.of(profile.profile_id), now)
        if denial:
            said = "objected" if denial.action == "object" else "withdrawn"
            raise GrantRefused(
                f"the person has {said} ({denial.consent_id}): only the person's own grant can lift that"
            )
        for block in unit.consents.suppressions(channel.kind, hashed):
            # A dead mailbox says nothing about what its owner wants; every other block does.
            if block.lifted_at is None and block.kind != "hard_bounce":
                raise GrantRefused(
                    f"the address is blocked ({block.kind}, {block.suppression_id}): only the person can lift that"
                )

    def _add(self, unit: Unit, record: ConsentRecord, now: datetime) -> bool:
        """Appends the record and queues its effects; False, and nothing, where it is known."""
        if not unit.consents.add(record):
            return False
        detail: dict[str, Any] = {"action": record.action, "channel": record.channel, "topic": record.topic}
        if record.action == "grant":
            records = unit.consents.of(record.profile_id)
            asked = self._topic(str(record.topic))
            decision = decide_consent(asked, str(record.channel), str(record.address_hash), records, now)
            # True: whoever sends confirmations owes one for this grant.
            detail["is_pending"] = decision.reason == "unconfirmed"
        unit.queue.add_occurrence(
            Occurrence(profile_id=record.profile_id, kind="consented", ref=record.consent_id, detail=detail, at=now)
        )
        return True

    def _lift(
        self, unit: Unit, channel: Channel, hashed: str, kinds: tuple[SuppressionKind, ...], now: datetime
    ) -> None:
        own_stop = suppression_of(channel.kind, hashed, "sms_stop", source="", now=now, channel=channel.name)
        for block in unit.consents.suppressions(channel.kind, hashed):
            is_other_stop = block.kind == "sms_stop" and block.suppression_id != own_stop.suppression_id
            if block.lifted_at is None and block.kind in kinds and not is_other_stop:
                unit.consents.suppress(replace(block, lifted_at=now))

    def _own_hash(self, profile: Profile, channel: Channel) -> str | None:
        address = profile.address(channel.name, channel.kind)
        return None if address is None else address_hash(self._key, channel.kind, address)

    def _channel(self, name: str) -> Channel:
        known = self._project.channels.get(name)
        if known is None:
            raise BadInput(f"there is no channel {name!r} here: {' '.join(sorted(self._project.channels))}")
        return known

    def _topic(self, name: str) -> Topic:
        known = self._project.topics.get(name)
        if known is None:
            raise BadInput(f"there is no topic {name!r} here: {' '.join(sorted(self._project.topics))}")
        return known
