"""The ordered checks between a due message and its provider, for one channel, with every input written down.

In this order, each with the outcome that it gives: too late (`expired`), no address (`unreachable`), a suppressed
address (`suppressed`), no valid consent (`no_consent`), quiet hours or the author's window (`quiet`), a cap (`capped`).
That the enrollment is over (`ended`) has been looked at before, in the same transaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from msgspec import Struct

from engine import ids
from engine.consent.addresses import address_hash
from engine.consent.model import Suppression
from engine.consent.permission import decide_permission
from engine.consent.suppression import blocking
from engine.enrollment.facts import StoreFacts, zone_of
from engine.enrollment.model import Enrollment
from engine.expressions.evaluate import resolve
from engine.plan.effects import Perform
from engine.plan.model import Outcome, Plan, Send
from engine.plan.notices import ANSWERING
from engine.policy.caps import decide_cap
from engine.policy.moments import earliest_allowed
from engine.policy.quiet import quiet_until
from engine.policy.windows import window_until
from engine.profiles.model import Profile
from engine.project import Channel, Project, Topic
from engine.store import Unit


class Passage(Struct, frozen=True):
    """One visit of one `send` on its way through the gate, inside a transaction under the profile's lock."""

    unit: Unit
    plan: Plan
    step: Send
    enrollment: Enrollment
    profile: Profile
    effect: Perform
    facts: StoreFacts
    now: datetime

    @property
    def delivery_id(self) -> str:
        return ids.delivery_id(self.enrollment.enrollment_id, self.step.step_id, self.effect.visit)

    @property
    def limit(self) -> datetime | None:
        """The last instant at which the message may go, where its author set one."""
        seconds = self.step.expires_seconds
        return None if seconds is None else self.effect.reached_at + timedelta(seconds=seconds)


class Verdict(Struct, frozen=True, kw_only=True):
    """The gate's answer for one channel."""

    channel: Channel
    #: None lets the message go.
    outcome: Outcome | None
    address: str | None
    #: What was looked at, in ids and codes.
    inputs: Mapping[str, Any]
    #: When a held message may be tried again.
    until: datetime | None = None

    def __repr__(self) -> str:
        """Without the address: a repr ends up in logs."""
        return f"Verdict({self.channel.name}, {self.outcome or 'goes'}, {self.inputs})"


class Gate:
    """The checks of one project."""

    def __init__(self, project: Project, project_key: bytes) -> None:
        self._project = project
        self._key = project_key

    def pass_through(self, passage: Passage, channel: Channel) -> Verdict:
        """Whether the message may go on this channel now."""
        project, now = self._project, passage.now
        topic = project.topic(passage.step.topic)
        address = self._address(passage, channel)
        inputs: dict[str, Any] = {
            "topic": topic.name,
            "zone": zone_of(passage.profile, project).key,
            "reached_at": passage.effect.reached_at.isoformat(),
        }

        def verdict(outcome: Outcome | None, until: datetime | None = None) -> Verdict:
            return Verdict(channel=channel, outcome=outcome, address=address, inputs=inputs, until=until)

        if passage.limit is not None:
            inputs["expires_at"] = passage.limit.isoformat()
            if now > passage.limit:
                return verdict("expired")
        if address is None:
            return verdict("unreachable")
        refused = self._permission(passage, channel, topic, address, inputs)
        if refused:
            return verdict(refused)
        held = self._time(passage, channel, topic, inputs)
        if held is None:
            return verdict(None)
        outcome, until, earliest = held
        waits = passage.step.otherwise[outcome].action == "wait"
        if waits and passage.limit is not None and (earliest is None or earliest > passage.limit):
            # It would be held past its expiry: it is too late already, not only then.
            inputs["held_by"] = outcome
            return verdict("expired")
        return verdict(outcome, until)

    def expect(self, passage: Passage) -> None:
        """Says what is asked about a message that goes at once on its step's first channel, until it is claimed."""
        channel = self._project.channels[passage.step.channels[0]]
        address = self._address(passage, channel) if passage.step.to is None else None

        def reads(soon: Unit) -> None:
            if address is not None:
                soon.consents.suppressions(channel.kind, address_hash(self._key, channel.kind, address))
            soon.consents.of(passage.profile.profile_id)
            self._counted(soon, passage, self._project.topic(passage.step.topic))
            soon.circuits.find(channel.name)

        passage.unit.expect(reads)

    def block(self, unit: Unit, channel: Channel, address: str) -> Suppression | None:
        """What blocks an address from any message at all, or None."""
        hashed = address_hash(self._key, channel.kind, address)
        return blocking(unit.consents.suppressions(channel.kind, hashed), is_marketing=True)

    @staticmethod
    def _address(passage: Passage, channel: Channel) -> str | None:
        if passage.step.to is None:
            return passage.profile.address(channel.name, channel.kind)
        given = resolve(passage.step.to, passage.facts)
        return str(given) if given else None

    def _permission(
        self, passage: Passage, channel: Channel, topic: Topic, address: str, inputs: dict[str, Any]
    ) -> Outcome | None:
        hashed = address_hash(self._key, channel.kind, address)
        consents = passage.unit.consents
        suppressions = consents.suppressions(channel.kind, hashed)
        if topic.name == ANSWERING:
            # The answer to STOP goes to the number that STOP has just blocked, and to no other block's.
            suppressions = [each for each in suppressions if each.kind != "sms_stop"]
        permission = decide_permission(
            topic,
            channel.name,
            hashed,
            consents.of(passage.profile.profile_id),
            suppressions,
            passage.now,
        )
        inputs["consent"] = permission.consent.consent_id
        inputs["consent_reason"] = permission.consent.reason
        if permission.suppression:
            inputs["suppression"] = permission.suppression.suppression_id
            inputs["suppressed_by"] = permission.suppression.kind
        return permission.outcome

    def _time(
        self, passage: Passage, channel: Channel, topic: Topic, inputs: dict[str, Any]
    ) -> tuple[Outcome, datetime | None, datetime | None] | None:
        """The outcome that holds the message, until when, and when everything would let it go; None lets it go now."""
        project, now, window = self._project, passage.now, passage.step.window
        is_marketing = topic.kind == "marketing"
        zone = zone_of(passage.profile, project)
        rules = project.quiet_hours if is_marketing else ()
        caps = project.caps if is_marketing else ()
        counted = self._counted(passage.unit, passage, topic)
        is_quiet = quiet_until(now, zone, rules, channel.name) is not None
        is_outside = window is not None and window_until(now, zone, window) is not None
        earliest = None
        if is_quiet or is_outside:
            inputs["quiet_by"] = "quiet_hours" if is_quiet else "window"
            until = earliest_allowed(now, zone, rules, window, (), channel.name, ())
            earliest = earliest_allowed(now, zone, rules, window, caps, channel.name, counted)
            return "quiet", until, earliest
        if caps:
            capped = decide_cap(now, caps, channel.name, counted)
            inputs["caps"] = capped.counts
            if capped.is_capped:
                earliest = earliest_allowed(now, zone, rules, window, caps, channel.name, counted)
                return "capped", capped.until, earliest
        return None

    def _counted(self, unit: Unit, passage: Passage, topic: Topic) -> Sequence[tuple[datetime, str]]:
        """What holds a place under the caps that the message is subject to."""
        caps = self._project.caps if topic.kind == "marketing" else ()
        if not caps:
            return ()
        longest = max(cap.per_seconds for cap in caps)
        return unit.deliveries.counted(passage.profile.profile_id, passage.now - timedelta(seconds=longest))
