"""The first half of a send: may it go, by which provider, and the claim on it.

All of it happens in the caller's transaction under the profile's lock: whatever was acknowledged before it began is
obeyed, and two journeys in one instant cannot share the last place under a cap.

A retry that finds `sent` sends nothing. One that finds `claimed` does not know whether the provider has the message.
Where that very provider can be asked, or takes our idempotency key, the message is handed over again to it and to
nobody else, until an answer ends the doubt. Otherwise the step's `in_doubt` decides, then the channel's, else marketing
is held as `in_doubt` and all else is sent again, once: whoever takes messages and never answers shall not make ten of
one.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, assert_never

from msgspec import Struct
from msgspec.structs import replace

from engine import ids
from engine.consent.model import Suppression
from engine.delivery.circuits import Circuits
from engine.delivery.closing import doubt, give_up
from engine.delivery.gate import Gate, Passage, Verdict
from engine.delivery.mailing import Mailing, made_of
from engine.delivery.message import Adapter, Message
from engine.delivery.model import DOUBTED, Decision, Delivery, Status
from engine.delivery.settling import going_id
from engine.errors import RenderError
from engine.plan.effects import Result, Sent, WaitUntil
from engine.plan.model import UNSENT, Outcome
from engine.policy.holdout import is_held_out
from engine.project import Channel, Project
from engine.rendering.renderer import Rendered

#: A message is tried for as long, unless its author says for less.
_TRIED_FOR = timedelta(hours=24)
#: The error of a delivery that was not handed over because its provider is out.
CIRCUIT_OPEN = "circuit_open"


class Claim(Struct, frozen=True):
    """A message that is committed to be sent: the provider may be called now."""

    delivery: Delivery
    message: Message
    decision: Decision
    #: It was handed over before and nobody knows what came of it: the provider may have it already.
    is_doubtful: bool = False


class Claims:
    """Decides and claims. `adapters` are by channel name."""

    def __init__(
        self,
        *,
        project: Project,
        gate: Gate,
        adapters: Mapping[str, Adapter],
        mailing: Mailing,
        circuits: Circuits,
        held_out: frozenset[str],
    ) -> None:
        self._project = project
        self._gate = gate
        self._adapters = adapters
        self._mailing = mailing
        self._circuits = circuits
        self._held_out = held_out

    def decide(self, passage: Passage) -> Result | Claim:
        """The gate for each channel of the step, and the claim on the first that lets the message go.

        The caller has made sure, in the same transaction, that the enrollment is alive and that no exit is stored.
        """
        self._gate.expect(passage)
        known = passage.unit.deliveries.find(passage.delivery_id)
        if known is None:
            return self._decide(passage)
        return self._settled(passage, known) or self.decide_again(passage, known)

    def decide_again(self, passage: Passage, known: Delivery, via: str | None = None) -> Result | Claim:
        """The gate for a message that was claimed before: it stays with its channel, and in doubt with its provider."""
        before = known
        is_doubtful = known.status == "claimed" and self.can_repeat(known, passage.now)
        if known.status == "claimed" and not is_doubtful:
            known = replace(known, error=DOUBTED)
        # The place that it holds under the caps is its own.
        passage.unit.deliveries.save(replace(known, status="failed"))
        verdict = self._gate.pass_through(passage, self._project.channels[known.channel])
        if verdict.outcome is None:
            return self._claim(passage, verdict, known, known.via if is_doubtful else via, is_doubtful=is_doubtful)
        if verdict.outcome in ("quiet", "capped") and self._waits(passage, verdict):
            # It is not handed over yet: what is resent once is resent then.
            passage.unit.deliveries.save(before)
            self._write(passage, [verdict])
            return WaitUntil(until=verdict.until, why=verdict.outcome)
        return self._refuse_again(passage, known, verdict)

    def is_resent(self, passage: Passage, delivery: Delivery) -> bool:
        """Whether a message that may have gone is handed over once more, although that may make two of it."""
        if self.can_repeat(delivery, passage.now) or delivery.error == DOUBTED:
            return False
        authored = passage.step.in_doubt or self._project.channels[delivery.channel].in_doubt
        return authored == "resend" if authored else not delivery.is_marketing

    def can_repeat(self, delivery: Delivery, at: datetime) -> bool:
        """Whether handing it over once more then, to the same provider, cannot make a second message of it."""
        able = self._adapters[delivery.via].capabilities
        # It may have had the key since the first attempt.
        began = delivery.first_attempt_at or delivery.claimed_at
        is_known = able.has_idempotency and (able.key_lasts is None or at < began + able.key_lasts)
        return able.has_look_up or is_known

    @staticmethod
    def limit(passage: Passage, delivery: Delivery) -> datetime:
        """The last instant at which it is tried."""
        limit = (delivery.first_attempt_at or passage.now) + _TRIED_FOR
        return limit if passage.limit is None else min(limit, passage.limit)

    def record_over(self, passage: Passage, reason: str, event_id: str | None = None) -> None:
        """A dispatch found its enrollment over: recorded like every other decision, unless the message has gone."""
        known = passage.unit.deliveries.find(passage.delivery_id)
        if known and known.status not in ("claimed", "retrying"):
            return
        give_up(passage.unit, passage.delivery_id)
        inputs = {"reason": reason} | ({"event": event_id} if event_id else {})
        for name in passage.step.channels:
            verdict = Verdict(channel=self._project.channels[name], outcome="ended", address=None, inputs=inputs)
            self._write(passage, [verdict])

    def _settled(self, passage: Passage, known: Delivery) -> Result | None:
        """What a delivery of this very visit already says, or None where it is to be sent (again)."""
        match known.status:
            case "retrying":
                return None
            case "failed":
                return Sent(outcome=known.error if known.error in UNSENT else "failed")
            case "held_out" | "in_doubt":
                return Sent(outcome=known.status)
            case "claimed":
                is_again = self.can_repeat(known, passage.now) or self.is_resent(passage, known)
                return None if is_again else doubt(passage.unit, known)
            case "sent" | "delivered" | "bounced" | "complained" | "opened" | "clicked":
                return Sent(outcome="sent")
            case _:
                assert_never(known.status)

    def _decide(self, passage: Passage) -> Result | Claim:
        held: list[Verdict] = []
        out: list[Verdict] = []
        for name in passage.step.channels:
            verdict = self._gate.pass_through(passage, self._project.channels[name])
            if verdict.outcome is not None:
                held.append(verdict)
            elif len(passage.step.channels) > 1 and self._way(passage, verdict.channel) is None:
                # It would have to wait for its provider; the author has named others.
                out.append(verdict)
            else:
                self._write(passage, [*held, *(_passed_over(each) for each in out)])
                return self._claim(passage, verdict)
        self._write(passage, held)
        if out:
            self._write(passage, [_passed_over(each) for each in out[1:]])
            return self._claim(passage, out[0])
        first = held[0]
        waiting = next((each for each in held if each.outcome == "quiet" and self._waits(passage, each)), None)
        if waiting is None and first.outcome == "capped" and self._waits(passage, first):
            waiting = first
        if waiting is not None:
            return WaitUntil(until=waiting.until, why=str(waiting.outcome))
        return Sent(outcome=first.outcome or "failed")

    def _refuse_again(self, passage: Passage, known: Delivery, verdict: Verdict) -> Result:
        if known.status == "claimed" or known.error == DOUBTED:
            self._write(passage, [verdict])
            return doubt(passage.unit, known)
        # Tried until it was too late: it has failed, it did not merely come too late.
        outcome: Outcome = "failed" if verdict.outcome == "expired" else (verdict.outcome or "failed")
        self._write(passage, [replace(verdict, outcome=outcome)])
        error = known.error if outcome == "failed" else outcome
        passage.unit.deliveries.save(replace(known, status="failed", error=error))
        return Sent(outcome=outcome)

    @staticmethod
    def _waits(passage: Passage, verdict: Verdict) -> bool:
        return verdict.until is not None and passage.step.otherwise[str(verdict.outcome)].action == "wait"

    def _claim(
        self,
        passage: Passage,
        verdict: Verdict,
        known: Delivery | None = None,
        via: str | None = None,
        *,
        is_doubtful: bool = False,
    ) -> Result | Claim:
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
            error=known.error if known else None,
        )
        if delivery.is_marketing and self._is_held_out(passage):
            passage.unit.deliveries.save(replace(delivery, status="held_out", sent_at=passage.now))
            passage.unit.deliveries.decide(_decision(passage, verdict, "held_out"))
            return Sent(outcome="held_out")
        way = self._way(passage, channel, via)
        if way is None and passage.now >= self.limit(passage, delivery):
            # Its time is over: the last try is made however the provider does.
            way = via or channel.name
        if way is None:
            return self._hold(passage, verdict, delivery, is_doubtful=is_doubtful)
        delivery = replace(delivery, via=way)
        try:
            message, rendered = self._mailing.compose(passage, delivery, channel, topic)
        except RenderError as error:
            inputs = {**verdict.inputs, "render_error": str(error)}
            failed = replace(verdict, outcome="render_error", inputs=inputs)
            if known is not None:
                return self._refuse_again(passage, known, failed)
            self._write(passage, [failed])
            return Sent(outcome="render_error")
        return _claimed(passage, verdict, delivery, message, rendered, is_doubtful=is_doubtful)

    def _way(self, passage: Passage, channel: Channel, via: str | None = None) -> str | None:
        """The channel whose provider may be called now: `via` alone where it is given; None where all are out."""
        ways = [via] if via else [name for name in (channel.name, channel.backup) if name]
        lets = self._circuits.lets
        return next((each for each in ways if lets(passage.unit, each, passage.delivery_id, passage.now)), None)

    def _hold(self, passage: Passage, verdict: Verdict, delivery: Delivery, *, is_doubtful: bool) -> Result:
        """Its provider is out: it waits without an attempt, until the circuit lets it go, or for its last try."""
        limit = self.limit(passage, delivery)
        decision = replace(_decision(passage, verdict, "failed", {"circuit": "open"}), until=limit)
        status: Status = "claimed" if is_doubtful else "retrying"
        error = DOUBTED if delivery.error == DOUBTED else CIRCUIT_OPEN
        passage.unit.deliveries.save(replace(delivery, status=status, error=error))
        passage.unit.deliveries.decide(replace(decision, outcome="in_doubt") if is_doubtful else decision)
        return WaitUntil(until=limit, why="retry")

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

    # ── by hand ──────────────────────────────────────────────────────────────────────────────────────────────────────
    def claim_test(self, passage: Passage, delivery: Delivery, actor: str) -> Claim | Suppression:
        """The claim on a test: a message to an address that `actor` named, or what blocks that address.

        It is not the person who gets it: neither their consent nor caps, hours and holdout have a say, and it holds no
        place under a cap. Raises RenderError.
        """
        channel, topic = self._project.channels[delivery.channel], self._project.topic(delivery.topic)
        inputs = {"test_by": actor, "topic": topic.name}
        verdict = Verdict(channel=channel, outcome=None, address=delivery.to, inputs=inputs)
        block = self._gate.block(passage.unit, channel, delivery.to)
        if block:
            found = {"suppression": block.suppression_id, "suppressed_by": block.kind}
            self._write(passage, [replace(verdict, outcome="suppressed", inputs={**inputs, **found})])
            return block
        message, rendered = self._mailing.compose(passage, delivery, channel, topic)
        return _claimed(passage, verdict, delivery, message, rendered)

    def resend(self, passage: Passage, known: Delivery) -> Claim | str:
        """Claims a message in doubt once more because ops say so, or says by its code why it may not go now.

        It stays `in_doubt`: nobody performs its step again, so a crash must leave it where ops see it. What the gate
        refuses is undone by the caller, who rolls back.
        """
        deliveries = passage.unit.deliveries
        # The place that it holds under the caps is its own.
        deliveries.save(replace(known, status="failed"))
        verdict = self._gate.pass_through(passage, self._project.channels[known.channel])
        if verdict.outcome is not None:
            return verdict.outcome
        is_doubtful = self.can_repeat(known, passage.now)
        claim = self._claim(passage, verdict, known, known.via, is_doubtful=is_doubtful)
        if not isinstance(claim, Claim):
            return claim.outcome if isinstance(claim, Sent) else CIRCUIT_OPEN
        deliveries.save(replace(claim.delivery, status="in_doubt"))
        return claim


def _claimed(
    passage: Passage,
    verdict: Verdict,
    delivery: Delivery,
    message: Message,
    rendered: Rendered,
    *,
    is_doubtful: bool = False,
) -> Claim:
    """Writes the claim on a message that was made, and what it was made of."""
    delivery = replace(delivery, subject=message.subject, html=message.html, text=message.text)
    passage.unit.deliveries.save(delivery)
    # Until the provider has answered nobody knows: the record says so, also after a crash.
    decision = _decision(passage, verdict, "in_doubt", made_of(message, rendered))
    passage.unit.deliveries.decide(decision)
    return Claim(delivery, message, decision, is_doubtful)


def _passed_over(verdict: Verdict) -> Verdict:
    """A channel that would have let the message go, had its provider not been out."""
    return replace(verdict, outcome="failed", inputs={**verdict.inputs, "circuit": "open"})


def _decision(
    passage: Passage, verdict: Verdict, outcome: Outcome, versions: Mapping[str, Any] | None = None
) -> Decision:
    # A message that goes has one decision, however often it is tried; each time it is held back has its own.
    if outcome in ("in_doubt", "failed"):
        decision_id = going_id(passage.delivery_id, verdict.channel.name)
    else:
        occasion = f"{outcome}@{passage.now.isoformat()}"
        decision_id = ids.derived_id("c", passage.delivery_id, verdict.channel.name, occasion)
    return Decision(
        decision_id=decision_id,
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
        inputs={**verdict.inputs, **versions} if versions else verdict.inputs,
    )
