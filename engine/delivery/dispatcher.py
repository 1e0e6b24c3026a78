"""The one door for a send: decide → claim → render → send → record. There is no second way to reach a person.

`decide` runs the gate and, if the message may go, renders and claims it, all in the caller's transaction under the
profile's lock: whatever was acknowledged before it began is obeyed, and two journeys in one instant cannot share the
last place under a cap. `hand_over` calls the provider with no transaction open. `record` writes what came of it.

A retry that finds `sent` sends nothing. One that finds `claimed` does not know whether the provider has the message:
where the provider takes our idempotency key it is handed over again; otherwise it is `in_doubt`: marketing is held,
transactional is sent again.

The gate, in this order: over, expired, unreachable, suppressed, no_consent, quiet, capped; then render_error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from engine import ids
from engine.consent.addresses import address_hash
from engine.consent.decide import decide_consent
from engine.consent.suppression import blocking
from engine.delivery.mailing import Mailing
from engine.delivery.message import Adapter, Message, SendResult
from engine.delivery.model import TAKEN, Decision, Delivery
from engine.enrollment.facts import FactsSource, StoreFacts, zone_of
from engine.enrollment.model import Enrollment
from engine.errors import (
    ChannelConfigError,
    ChannelError,
    DoubtfulChannelError,
    PermanentChannelError,
    RenderError,
    TransientChannelError,
)
from engine.expressions.evaluate import resolve
from engine.plan.effects import Perform, Result, Sent, WaitUntil
from engine.plan.model import Outcome, Plan, Send
from engine.policy.caps import decide_cap
from engine.policy.holdout import is_held_out
from engine.policy.moments import earliest_allowed
from engine.policy.quiet import quiet_until
from engine.policy.windows import window_until
from engine.profiles.model import Profile
from engine.project import Channel
from engine.store import Unit

#: A transient error is retried after this, doubling, up to `_LONGEST_RETRY`, for at most `_RETRY_FOR`.
_FIRST_RETRY = timedelta(seconds=30)
_LONGEST_RETRY = timedelta(minutes=10)
_RETRY_FOR = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Claim:
    """A message that is committed to be sent: the provider may be called now."""

    delivery: Delivery
    message: Message = field(repr=False)
    decision: Decision


@dataclass(frozen=True, slots=True)
class _Verdict:
    """The gate's answer for one channel; `outcome` None lets the message go."""

    channel: Channel
    outcome: Outcome | None
    address: str | None = field(repr=False)
    inputs: Mapping[str, Any]
    until: datetime | None = None


class Dispatcher:
    """Decides, claims, hands over, records. `adapters` are by channel name."""

    def __init__(
        self,
        *,
        facts: FactsSource,
        adapters: Mapping[str, Adapter],
        mailing: Mailing,
        held_out: frozenset[str] = frozenset(),
    ) -> None:
        self._facts = facts
        self._project = facts.project
        self._adapters = adapters
        self._mailing = mailing
        #: Profiles that a scenario holds out, whatever the hash says.
        self._held_out = held_out

    # ── decide and claim ─────────────────────────────────────────────────────────────────────────────────────────────
    def decide(
        self,
        unit: Unit,
        plan: Plan,
        step: Send,
        enrollment: Enrollment,
        profile: Profile,
        effect: Perform,
        facts: StoreFacts,
        now: datetime,
    ) -> Result | Claim:
        """The gate for each channel of the step, and the claim on the first that lets the message go.

        The caller has made sure, in the same transaction, that the enrollment is alive and that no exit is stored.
        """
        known = unit.deliveries.find(ids.delivery_id(enrollment.enrollment_id, step.step_id, effect.visit))
        if known:
            settled = self._settled(unit, known)
            if settled:
                return settled
        return self._decide(unit, plan, step, enrollment, profile, effect, facts, now, known=known, via=None)

    def _settled(self, unit: Unit, known: Delivery) -> Result | None:
        """What a delivery of this very visit already says, or None where it is to be sent (again)."""
        match known.status:
            case "retrying":
                return None
            case "failed" | "held_out" | "in_doubt":
                return Sent(outcome=known.status)
            case "claimed":
                adapter = self._adapters[known.via]
                if adapter.capabilities.has_idempotency or not known.is_marketing:
                    return None
                return self._doubt(unit, known)
            case _:
                return Sent(outcome="sent")

    def _decide(
        self,
        unit: Unit,
        plan: Plan,
        step: Send,
        enrollment: Enrollment,
        profile: Profile,
        effect: Perform,
        facts: StoreFacts,
        now: datetime,
        *,
        known: Delivery | None,
        via: str | None,
    ) -> Result | Claim:
        limit = None if step.expires_seconds is None else effect.reached_at + timedelta(seconds=step.expires_seconds)
        verdicts: list[_Verdict] = []
        for name in step.channels if known is None or not known.attempts else (known.channel,):
            verdict = self._gate(
                unit, step, enrollment, profile, effect, facts, now, limit, self._project.channels[name]
            )
            verdicts.append(verdict)
            if verdict.outcome is None:
                for passed in verdicts[:-1]:
                    self._write(unit, plan, step, enrollment, effect, passed, passed.outcome or "sent", now)
                return self._claim(unit, plan, step, enrollment, profile, effect, facts, now, verdict, known, via)
        if known and known.attempts and verdicts[0].outcome == "expired":
            # It was tried and the provider was out: it has failed, it did not merely come too late.
            verdicts = [replace(verdicts[0], outcome="failed")]
            unit.deliveries.save(replace(known, status="failed"))
        for verdict in verdicts:
            self._write(unit, plan, step, enrollment, effect, verdict, verdict.outcome or "sent", now)
        for verdict in verdicts:
            if verdict.outcome == "quiet" and verdict.until and step.otherwise["quiet"].action == "wait":
                return WaitUntil(until=verdict.until, why="quiet")
        first = verdicts[0]
        if first.outcome == "capped" and first.until and step.otherwise["capped"].action == "wait":
            return WaitUntil(until=first.until, why="capped")
        return Sent(outcome=first.outcome or "sent")

    def _gate(
        self,
        unit: Unit,
        step: Send,
        enrollment: Enrollment,
        profile: Profile,
        effect: Perform,
        facts: StoreFacts,
        now: datetime,
        limit: datetime | None,
        channel: Channel,
    ) -> _Verdict:
        project = self._project
        topic = project.topics[step.topic]
        is_marketing = topic.kind == "marketing"
        zone = zone_of(profile, project)
        inputs: dict[str, Any] = {"topic": topic.name, "zone": zone.key, "reached_at": effect.reached_at.isoformat()}
        to = resolve(step.to, facts) if step.to is not None else profile.address(channel.name, channel.kind)
        address = str(to) if to else None

        def verdict(outcome: Outcome | None, until: datetime | None = None) -> _Verdict:
            return _Verdict(channel, outcome, address, inputs, until)

        if limit is not None:
            inputs["expires_at"] = limit.isoformat()
            if now > limit:
                return verdict("expired")
        if address is None:
            return verdict("unreachable")
        hashed = address_hash(self._facts.project_key, channel.kind, address)
        blocked = blocking(unit.consents.suppressions(channel.kind, hashed), is_marketing)
        if blocked:
            inputs["suppression"] = blocked.suppression_id
            inputs["suppressed_by"] = blocked.kind
            return verdict("suppressed")
        if is_marketing:
            consent = decide_consent(topic, channel.name, hashed, unit.consents.of(profile.profile_id), now)
            inputs["consent"] = consent.consent_id
            inputs["consent_reason"] = consent.reason
            if not consent.is_allowed:
                return verdict("no_consent")
        rules = project.quiet_hours if is_marketing else ()
        caps = project.caps if is_marketing else ()
        counted = self._counted(unit, profile, now) if caps else ()
        opens = [
            moment
            for moment in (
                quiet_until(now, zone, rules, channel.name),
                window_until(now, zone, step.window) if step.window else None,
            )
            if moment is not None
        ]
        outcome: Outcome | None = None
        until: datetime | None = None
        if opens:
            outcome, until = "quiet", earliest_allowed(now, zone, rules, step.window, (), channel.name, ())
        elif caps:
            capped = decide_cap(now, caps, channel.name, counted)
            inputs["caps"] = [list(count) if isinstance(count, tuple) else count for count in capped.counts]
            if capped.is_capped:
                outcome, until = "capped", capped.until
        if outcome and limit is not None and step.otherwise[outcome].action == "wait":
            earliest = earliest_allowed(now, zone, rules, step.window, caps, channel.name, counted)
            if earliest is None or earliest > limit:
                inputs["held_by"] = outcome
                return verdict("expired")
        return verdict(outcome, until)

    def _counted(self, unit: Unit, profile: Profile, now: datetime) -> Sequence[tuple[datetime, str]]:
        longest = max(cap.per_seconds for cap in self._project.caps)
        return unit.deliveries.counted(profile.profile_id, now - timedelta(seconds=longest))

    def _claim(
        self,
        unit: Unit,
        plan: Plan,
        step: Send,
        enrollment: Enrollment,
        profile: Profile,
        effect: Perform,
        facts: StoreFacts,
        now: datetime,
        verdict: _Verdict,
        known: Delivery | None,
        via: str | None,
    ) -> Result | Claim:
        channel, topic = verdict.channel, self._project.topics[step.topic]
        assert verdict.address is not None, "the gate lets nothing go that has no address"
        is_marketing = topic.kind == "marketing"
        delivery = Delivery(
            delivery_id=ids.delivery_id(enrollment.enrollment_id, step.step_id, effect.visit),
            enrollment_id=enrollment.enrollment_id,
            journey=enrollment.journey,
            profile_id=profile.profile_id,
            step_id=step.step_id,
            visit=effect.visit,
            channel=channel.name,
            via=via or channel.name,
            topic=topic.name,
            template=step.template,
            status="claimed",
            to=verdict.address,
            is_marketing=is_marketing,
            claimed_at=now,
            first_attempt_at=known.first_attempt_at if known and known.first_attempt_at else now,
            attempts=known.attempts if known else 0,
        )
        if is_marketing and self._is_held_out(plan, profile):
            unit.deliveries.save(replace(delivery, status="held_out", sent_at=now))
            self._write(unit, plan, step, enrollment, effect, verdict, "held_out", now)
            return Sent(outcome="held_out")
        try:
            message, rendered = self._mailing.compose(unit, delivery, channel, topic, step, profile, facts, now)
        except RenderError as error:
            failed = replace(verdict, inputs={**verdict.inputs, "render_error": str(error)})
            self._write(unit, plan, step, enrollment, effect, failed, "render_error", now)
            return Sent(outcome="render_error")
        delivery = replace(delivery, subject=message.subject, html=message.html, text=message.text)
        unit.deliveries.save(delivery)
        sent = replace(
            verdict, inputs={**verdict.inputs, "template": rendered.source, "template_digest": rendered.digest}
        )
        decision = self._decision(plan, step, enrollment, effect, sent, "in_doubt", now)
        unit.deliveries.decide(decision)
        return Claim(delivery, message, decision)

    def _is_held_out(self, plan: Plan, profile: Profile) -> bool:
        if not plan.holdout:
            return False
        return profile.profile_id in self._held_out or is_held_out(plan.journey, profile.profile_id, plan.holdout)

    # ── hand over ────────────────────────────────────────────────────────────────────────────────────────────────────
    def hand_over(self, claim: Claim) -> SendResult | ChannelError:
        """Calls the provider once; what the adapter raises comes back as the answer."""
        try:
            return self._adapters[claim.delivery.via].send(claim.message)
        except ChannelError as error:
            return error

    # ── record ───────────────────────────────────────────────────────────────────────────────────────────────────────
    def record(
        self,
        unit: Unit,
        plan: Plan,
        step: Send,
        enrollment: Enrollment,
        claim: Claim,
        answer: SendResult | ChannelError,
        now: datetime,
    ) -> Result | Claim:
        """Writes what came of the attempt. An outage leads to the backup within the same dispatch, decided anew."""
        delivery = replace(claim.delivery, attempts=claim.delivery.attempts + 1)
        match answer:
            case SendResult():
                unit.deliveries.save(
                    replace(delivery, status="sent", sent_at=now, provider_message_id=answer.provider_message_id)
                )
                unit.deliveries.decide(replace(claim.decision, outcome="sent"))
                return Sent(outcome="sent")
            case DoubtfulChannelError() if delivery.is_marketing:
                return self._doubt(unit, delivery, claim.decision)
            case TransientChannelError() | DoubtfulChannelError() | ChannelConfigError():
                return self._retry(unit, plan, step, enrollment, claim, delivery, answer, now)
            case _:
                if isinstance(answer, PermanentChannelError) and answer.reason == "invalid_address":
                    self._mailing.suppress_dead_address(unit, delivery, self._project.channels[delivery.channel], now)
                reason = answer.reason if isinstance(answer, PermanentChannelError) else type(answer).__name__
                return self._fail(unit, delivery, claim.decision, reason)

    def _retry(
        self,
        unit: Unit,
        plan: Plan,
        step: Send,
        enrollment: Enrollment,
        claim: Claim,
        delivery: Delivery,
        error: TransientChannelError | DoubtfulChannelError | ChannelConfigError,
        now: datetime,
    ) -> Result | Claim:
        code = type(error).__name__
        waiting = replace(delivery, status="retrying", error=code)
        unit.deliveries.save(waiting)
        backup = self._project.channels[delivery.channel].backup
        reached_at = enrollment.reached_at or now
        effect = Perform(step_id=step.step_id, visit=delivery.visit, attempt=1, reached_at=reached_at)
        if backup and delivery.via == delivery.channel:
            profile = unit.profiles.find(delivery.profile_id)
            if profile:
                facts = self._facts.of(unit, profile, now, enrollment=enrollment)
                return self._decide(
                    unit, plan, step, enrollment, profile, effect, facts, now, known=waiting, via=backup
                )
        # The backup's own failure is no second attempt of the message: both were tried in one dispatch.
        attempt = delivery.attempts if delivery.via == delivery.channel else (delivery.attempts + 1) // 2
        limit = (delivery.first_attempt_at or now) + _RETRY_FOR
        if step.expires_seconds is not None:
            limit = min(limit, reached_at + timedelta(seconds=step.expires_seconds))
        if isinstance(error, ChannelConfigError) or now >= limit:
            return self._fail(unit, delivery, claim.decision, code)
        delay = min(_FIRST_RETRY * 2 ** min(attempt - 1, 10), _LONGEST_RETRY)
        if isinstance(error, TransientChannelError) and error.retry_after is not None:
            delay = error.retry_after
        until = min(now + delay, limit)
        unit.deliveries.decide(replace(claim.decision, outcome="failed", until=until))
        return WaitUntil(until=until, why="retry")

    @staticmethod
    def _fail(unit: Unit, delivery: Delivery, decision: Decision, code: str) -> Result:
        unit.deliveries.save(replace(delivery, status="failed", error=code))
        unit.deliveries.decide(
            replace(decision, outcome="failed", until=None, inputs={**decision.inputs, "error": code})
        )
        return Sent(outcome="failed")

    def _doubt(self, unit: Unit, delivery: Delivery, decision: Decision | None = None) -> Result:
        """Nobody knows whether the provider has it: held for ops to see, never guessed."""
        if delivery.status in TAKEN:
            return Sent(outcome="sent")
        unit.deliveries.save(replace(delivery, status="in_doubt"))
        if decision:
            unit.deliveries.decide(replace(decision, outcome="in_doubt"))
        return Sent(outcome="in_doubt")

    # ── decisions ────────────────────────────────────────────────────────────────────────────────────────────────────
    def _write(
        self,
        unit: Unit,
        plan: Plan,
        step: Send,
        enrollment: Enrollment,
        effect: Perform,
        verdict: _Verdict,
        outcome: Outcome,
        now: datetime,
    ) -> None:
        unit.deliveries.decide(self._decision(plan, step, enrollment, effect, verdict, outcome, now))

    @staticmethod
    def _decision(
        plan: Plan,
        step: Send,
        enrollment: Enrollment,
        effect: Perform,
        verdict: _Verdict,
        outcome: Outcome,
        now: datetime,
    ) -> Decision:
        delivery_id = ids.delivery_id(enrollment.enrollment_id, step.step_id, effect.visit)
        # A message that goes has one decision, however often it is tried; each time it is held back has its own.
        occasion = "go" if outcome in ("in_doubt", "failed") else f"{outcome}@{now.isoformat()}"
        return Decision(
            decision_id=ids.derived_id("c", delivery_id, verdict.channel.name, occasion),
            delivery_id=delivery_id,
            enrollment_id=enrollment.enrollment_id,
            journey=enrollment.journey,
            digest=enrollment.digest,
            profile_id=enrollment.profile_id,
            step_id=step.step_id,
            visit=effect.visit,
            channel=verdict.channel.name,
            outcome=outcome,
            decided_at=now,
            until=verdict.until,
            inputs=verdict.inputs,
        )
