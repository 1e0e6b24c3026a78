"""The one door for a send: decide → claim → render → send → record. There is no second way to reach a person.

`decide` runs the gate and, if the message may go, renders and claims it, all in the caller's transaction under the
profile's lock: whatever was acknowledged before it began is obeyed, and two journeys in one instant cannot share the
last place under a cap. `hand_over` calls the provider with no transaction open. `record` writes what came of it.

A retry that finds `sent` sends nothing. One that finds `claimed` does not know whether the provider has the message:
where the provider takes our idempotency key it is handed over again; otherwise it is `in_doubt`: marketing is held,
transactional is sent again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import assert_never

from engine import ids
from engine.consent.ledger import Ledger
from engine.consent.model import SuppressionKind
from engine.delivery.gate import Gate, Passage, Verdict
from engine.delivery.mailing import Mailing
from engine.delivery.message import Adapter, Message, SendResult
from engine.delivery.model import TAKEN, Decision, Delivery
from engine.errors import (
    ChannelConfigError,
    ChannelError,
    DoubtfulChannelError,
    PermanentChannelError,
    RenderError,
    TransientChannelError,
)
from engine.plan.effects import Result, Sent, WaitUntil
from engine.plan.model import Outcome
from engine.policy.holdout import is_held_out
from engine.project import Project
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


class Dispatcher:
    """Decides, claims, hands over, records. `adapters` are by channel name."""

    def __init__(
        self,
        *,
        project: Project,
        gate: Gate,
        ledger: Ledger,
        adapters: Mapping[str, Adapter],
        mailing: Mailing,
        held_out: frozenset[str] = frozenset(),
    ) -> None:
        self._project = project
        self._gate = gate
        self._ledger = ledger
        self._adapters = adapters
        self._mailing = mailing
        #: Profiles that a scenario holds out, whatever the hash says.
        self._held_out = held_out

    # ── decide and claim ─────────────────────────────────────────────────────────────────────────────────────────────
    def decide(self, passage: Passage) -> Result | Claim:
        """The gate for each channel of the step, and the claim on the first that lets the message go.

        The caller has made sure, in the same transaction, that the enrollment is alive and that no exit is stored.
        """
        known = passage.unit.deliveries.find(passage.delivery_id)
        settled = self._settled(passage.unit, known) if known else None
        return settled or self._decide(passage, known=known, via=None)

    def record_over(self, passage: Passage) -> None:
        """A dispatch found its enrollment over: recorded like every other decision."""
        for name in passage.step.channels:
            verdict = Verdict(channel=self._project.channels[name], outcome="ended", address=None, inputs={})
            passage.unit.deliveries.decide(_decision(passage, verdict, "ended"))

    def _settled(self, unit: Unit, known: Delivery) -> Result | None:
        """What a delivery of this very visit already says, or None where it is to be sent (again)."""
        match known.status:
            case "retrying":
                return None
            case "failed" | "held_out" | "in_doubt":
                return Sent(outcome=known.status)
            case "claimed":
                if self._adapters[known.via].capabilities.has_idempotency or not known.is_marketing:
                    return None
                return _doubt(unit, known)
            case "sent" | "delivered" | "bounced" | "complained" | "opened" | "clicked":
                return Sent(outcome="sent")
            case _:
                assert_never(known.status)

    def _decide(self, passage: Passage, *, known: Delivery | None, via: str | None) -> Result | Claim:
        # A message that has been tried on a channel stays with it: its next try must not become another message.
        channels = (known.channel,) if known and known.attempts else passage.step.channels
        held: list[Verdict] = []
        for name in channels:
            verdict = self._gate.pass_through(passage, self._project.channels[name])
            if verdict.outcome is None:
                self._write(passage, held)
                return self._claim(passage, verdict, known, via)
            held.append(verdict)
        if known and known.attempts and held[0].outcome == "expired":
            # It was tried and the provider was out: it has failed, it did not merely come too late.
            passage.unit.deliveries.save(replace(known, status="failed"))
            held = [replace(held[0], outcome="failed")]
        self._write(passage, held)
        first = held[0]
        waiting = next((each for each in held if each.outcome == "quiet" and self._waits(passage, each)), None)
        if waiting is None and first.outcome == "capped" and self._waits(passage, first):
            waiting = first
        if waiting is not None:
            return WaitUntil(until=waiting.until, why=str(waiting.outcome))
        return Sent(outcome=first.outcome or "failed")

    @staticmethod
    def _waits(passage: Passage, verdict: Verdict) -> bool:
        return verdict.until is not None and passage.step.otherwise[str(verdict.outcome)].action == "wait"

    def _claim(self, passage: Passage, verdict: Verdict, known: Delivery | None, via: str | None) -> Result | Claim:
        channel, topic = verdict.channel, self._project.topic(passage.step.topic)
        assert verdict.address is not None, "the gate lets nothing go that has no address"
        delivery = Delivery(
            delivery_id=passage.delivery_id,
            enrollment_id=passage.enrollment.enrollment_id,
            journey=passage.enrollment.journey,
            profile_id=passage.profile.profile_id,
            step_id=passage.step.step_id,
            visit=passage.effect.visit,
            channel=channel.name,
            via=via or channel.name,
            topic=topic.name,
            template=passage.step.template,
            status="claimed",
            to=verdict.address,
            is_marketing=topic.kind == "marketing",
            claimed_at=passage.now,
            first_attempt_at=known.first_attempt_at if known and known.first_attempt_at else passage.now,
            attempts=known.attempts if known else 0,
        )
        if delivery.is_marketing and self._is_held_out(passage):
            passage.unit.deliveries.save(replace(delivery, status="held_out", sent_at=passage.now))
            passage.unit.deliveries.decide(_decision(passage, verdict, "held_out"))
            return Sent(outcome="held_out")
        try:
            message, rendered = self._mailing.compose(passage, delivery, channel, topic)
        except RenderError as error:
            failed = replace(verdict, inputs={**verdict.inputs, "render_error": str(error)})
            passage.unit.deliveries.decide(_decision(passage, failed, "render_error"))
            return Sent(outcome="render_error")
        delivery = replace(delivery, subject=message.subject, html=message.html, text=message.text)
        passage.unit.deliveries.save(delivery)
        versions = {"template": rendered.source, "template_digest": rendered.digest, "via": delivery.via}
        # Until the provider has answered nobody knows: the record says so, also after a crash.
        decision = _decision(passage, replace(verdict, inputs={**verdict.inputs, **versions}), "in_doubt")
        passage.unit.deliveries.decide(decision)
        return Claim(delivery, message, decision)

    def _is_held_out(self, passage: Passage) -> bool:
        plan, profile_id = passage.plan, passage.profile.profile_id
        if not plan.holdout:
            return False
        return profile_id in self._held_out or is_held_out(plan.journey, profile_id, plan.holdout)

    @staticmethod
    def _write(passage: Passage, verdicts: list[Verdict]) -> None:
        for verdict in verdicts:
            if verdict.outcome is not None:
                passage.unit.deliveries.decide(_decision(passage, verdict, verdict.outcome))

    # ── hand over ────────────────────────────────────────────────────────────────────────────────────────────────────
    def hand_over(self, claim: Claim) -> SendResult | ChannelError:
        """Calls the provider once; what the adapter raises comes back as the answer."""
        try:
            return self._adapters[claim.delivery.via].send(claim.message)
        except ChannelError as error:
            return error

    # ── record ───────────────────────────────────────────────────────────────────────────────────────────────────────
    def record(self, passage: Passage, claim: Claim, answer: SendResult | ChannelError) -> Result | Claim:
        """Writes what came of the attempt. An outage leads to the backup within the same dispatch, decided anew."""
        deliveries = passage.unit.deliveries
        # Read again: a receipt may have come before the provider's own answer.
        known = deliveries.find(claim.delivery.delivery_id) or claim.delivery
        delivery = replace(known, attempts=known.attempts + 1)
        if isinstance(answer, SendResult) or delivery.status in TAKEN:
            status = delivery.status if delivery.status in TAKEN else "sent"
            number = answer.provider_message_id if isinstance(answer, SendResult) else delivery.provider_message_id
            deliveries.save(replace(delivery, status=status, sent_at=passage.now, provider_message_id=number))
            deliveries.decide(replace(claim.decision, outcome="sent"))
            return Sent(outcome="sent")
        match answer:
            case DoubtfulChannelError() if delivery.is_marketing:
                return _doubt(passage.unit, delivery, claim.decision)
            case TransientChannelError() | DoubtfulChannelError() | ChannelConfigError():
                return self._try_again(passage, claim, delivery, answer)
            case PermanentChannelError():
                self._heed(passage, delivery, answer.reason)
                return _fail(passage.unit, delivery, claim.decision, answer.reason)
            case _:
                return _fail(passage.unit, delivery, claim.decision, type(answer).__name__)

    def _heed(self, passage: Passage, delivery: Delivery, reason: str) -> None:
        """A refusal that says something of the address, or of the person, holds for what comes after it."""
        channel = self._project.channels[delivery.channel]
        source = f"delivery:{delivery.delivery_id}"
        match reason:
            case "invalid_address":
                kind: SuppressionKind = "hard_bounce"
            case "opted_out":
                self._ledger.withdraw(
                    passage.unit, profile=passage.profile, channel=channel.name, occurred_at=passage.now,
                    now=passage.now, actor="provider", source=source,
                )  # fmt: skip
                kind = "sms_stop" if channel.kind == "sms" else "complaint"
            case _:
                return
        self._ledger.suppress(
            passage.unit, channel=channel.name, address=delivery.to, kind=kind, source=source, now=passage.now
        )

    def _try_again(self, passage: Passage, claim: Claim, delivery: Delivery, error: ChannelError) -> Result | Claim:
        code = type(error).__name__
        waiting = replace(delivery, status="retrying", error=code)
        passage.unit.deliveries.save(waiting)
        backup = self._project.channels[delivery.channel].backup
        if backup and delivery.via == delivery.channel:
            return self._decide(passage, known=waiting, via=backup)
        limit = (delivery.first_attempt_at or passage.now) + _RETRY_FOR
        if passage.limit is not None:
            limit = min(limit, passage.limit)
        if isinstance(error, ChannelConfigError) or passage.now >= limit:
            return _fail(passage.unit, delivery, claim.decision, code)
        # Channel and backup were tried in one dispatch: that is one attempt of the message.
        rounds = delivery.attempts // 2 if backup else delivery.attempts
        delay = min(_FIRST_RETRY * 2 ** min(max(rounds, 1) - 1, 10), _LONGEST_RETRY)
        if isinstance(error, TransientChannelError) and error.retry_after is not None:
            delay = error.retry_after
        until = min(passage.now + delay, limit)
        passage.unit.deliveries.decide(replace(claim.decision, outcome="failed", until=until))
        return WaitUntil(until=until, why="retry")


def _fail(unit: Unit, delivery: Delivery, decision: Decision, code: str) -> Result:
    unit.deliveries.save(replace(delivery, status="failed", error=code))
    unit.deliveries.decide(replace(decision, outcome="failed", until=None, inputs={**decision.inputs, "error": code}))
    return Sent(outcome="failed")


def _doubt(unit: Unit, delivery: Delivery, decision: Decision | None = None) -> Result:
    """Nobody knows whether the provider has it: held for ops to see, never guessed."""
    if delivery.status in TAKEN:
        return Sent(outcome="sent")
    unit.deliveries.save(replace(delivery, status="in_doubt"))
    if decision:
        unit.deliveries.decide(replace(decision, outcome="in_doubt"))
    return Sent(outcome="in_doubt")


def _decision(passage: Passage, verdict: Verdict, outcome: Outcome) -> Decision:
    # A message that goes has one decision, however often it is tried; each time it is held back has its own.
    occasion = "go" if outcome in ("in_doubt", "failed") else f"{outcome}@{passage.now.isoformat()}"
    return Decision(
        decision_id=ids.derived_id("c", passage.delivery_id, verdict.channel.name, occasion),
        delivery_id=passage.delivery_id,
        enrollment_id=passage.enrollment.enrollment_id,
        journey=passage.enrollment.journey,
        digest=passage.enrollment.digest,
        profile_id=passage.profile.profile_id,
        step_id=passage.step.step_id,
        visit=passage.effect.visit,
        channel=verdict.channel.name,
        outcome=outcome,
        decided_at=passage.now,
        until=verdict.until,
        inputs=verdict.inputs,
    )
