"""Messages in doubt, resolved by ops: it went, it did not, or it is to be handed over once more."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from engine.delivery.claiming import Claim
from engine.delivery.dispatcher import Dispatcher
from engine.delivery.gate import Passage
from engine.delivery.model import TAKEN, Delivery
from engine.delivery.settling import settle_decision
from engine.enrollment.ending import Exits
from engine.enrollment.facts import FactsSource
from engine.enrollment.memberships import tell_segments
from engine.enrollment.model import Enrollment, TrailEntry
from engine.enrollment.planbook import Planbook
from engine.errors import BadInput, Conflict, NotFound
from engine.locking import under_lock
from engine.plan.effects import Perform
from engine.plan.model import Outcome, Send
from engine.store import Store, Unit

#: `sent`: the provider has it. `failed`: it has not, and it will not be sent. `resend`: hand it over once more.
Resolution = Literal["sent", "resend", "failed"]

#: So long after a message was handed over, its provider may still be answering.
_ANSWERS_WITHIN = timedelta(minutes=1)
_LONGEST_NOTE = 500
#: Ends that say nothing against a message of the journey: it ran out, or ended because of this very doubt.
_HARMLESS_ENDS = ("completed", "in_doubt")


class Resolved(Struct, frozen=True, kw_only=True):
    """What a resolution came to."""

    delivery: Delivery
    #: False where it had been resolved so already.
    is_changed: bool


class Resolver:
    """Resolves deliveries in doubt. Every resolution is a line of the enrollment's trail, with who made it and why."""

    def __init__(
        self, *, store: Store, planbook: Planbook, facts: FactsSource, exits: Exits, dispatcher: Dispatcher
    ) -> None:
        self._store = store
        self._planbook = planbook
        self._facts = facts
        self._exits = exits
        self._dispatcher = dispatcher

    def resolve(
        self, delivery_id: str, resolution: Resolution, now: datetime, *, actor: str, note: str | None = None
    ) -> Resolved:
        """Resolves one delivery; a repeat changes nothing.

        `resend` passes the gate once more (consent, caps, quiet hours, exits), asks the provider first where it can be
        asked, and leaves the delivery in doubt where the provider does not take it.

        Raises NotFound for a delivery that the store does not know, Conflict where it is not in doubt or may not be
        sent now, BadInput for a note that is too long.
        """
        note = _checked(note)
        with self._store.transaction() as unit:
            delivery = self._find(unit, delivery_id)
            if _is_resolved_so(delivery, resolution):
                return Resolved(delivery=delivery, is_changed=False)
            if delivery.status != "in_doubt":
                raise Conflict(f"delivery {delivery_id} is not in doubt: it is `{delivery.status}`")
            detail = {"delivery": delivery_id, "as": resolution, "actor": actor, "note": note}
            unit.enrollments.add_trail(
                TrailEntry(
                    enrollment_id=delivery.enrollment_id, seq=0, at=now, what="resolved", step_id=delivery.step_id,
                    visit=delivery.visit, detail=detail,
                )
            )  # fmt: skip
            match resolution:
                case "sent":
                    sent = replace(delivery, status="sent", sent_at=delivery.sent_at or delivery.claimed_at, error=None)
                    self._settle(unit, sent, "sent", now)
                    return Resolved(delivery=sent, is_changed=True)
                case "failed":
                    failed = replace(delivery, status="failed", error="resolved")
                    self._settle(unit, failed, "failed", now)
                    return Resolved(delivery=failed, is_changed=True)
                case "resend":
                    claim = self._claim(unit, delivery, now)
        answer = self._dispatcher.hand_over(claim)
        with self._store.transaction(claim.delivery.profile_id) as unit:
            profile = unit.profiles.find(claim.delivery.profile_id)
            after = self._dispatcher.record_resent(unit, profile, claim, answer, now)
            if after.status in TAKEN:
                tell_segments(unit, self._planbook, after.journey, after.profile_id, now)
        return Resolved(delivery=after, is_changed=True)

    @staticmethod
    def _find(unit: Unit, delivery_id: str) -> Delivery:
        def look() -> tuple[str, Delivery]:
            found = unit.deliveries.find(delivery_id)
            if found is None:
                raise NotFound(
                    f"no delivery {delivery_id!r} in this store; `sojourn deliveries --status in_doubt` lists them"
                )
            return found.profile_id, found

        # Read again under the lock: a receipt may have resolved it while we waited.
        return under_lock(unit, look()[0], look)

    def _settle(self, unit: Unit, delivery: Delivery, outcome: Outcome, now: datetime) -> None:
        unit.deliveries.save(delivery)
        settle_decision(unit, delivery, outcome, settled_by="ops")
        if outcome == "sent":
            tell_segments(unit, self._planbook, delivery.journey, delivery.profile_id, now)

    def _claim(self, unit: Unit, delivery: Delivery, now: datetime) -> Claim:
        until = delivery.claimed_at + _ANSWERS_WITHIN
        if now < until:
            raise Conflict(
                f"delivery {delivery.delivery_id} was handed over less than a minute ago: its provider may yet answer; "
                f"try again after {until.isoformat(timespec='seconds').replace('+00:00', 'Z')}"
            )
        enrollment = unit.enrollments.find(delivery.enrollment_id)
        passage = self._passage(unit, delivery, enrollment, now)
        over = self._exits.stored(unit, passage.plan, passage.enrollment, passage.profile, now, with_conditions=True)
        if over:
            raise Conflict(f"not sent: the person has left the journey since (`{over[0]}`)")
        claimed = self._dispatcher.claims.resend(passage, delivery)
        if not isinstance(claimed, Claim):
            raise Conflict(f"not sent, and still in doubt: `{claimed}` by now; `sojourn why` explains it")
        return claimed

    def _passage(self, unit: Unit, delivery: Delivery, enrollment: Enrollment | None, now: datetime) -> Passage:
        profile = unit.profiles.find(delivery.profile_id)
        if enrollment is None or profile is None or profile.erased_at is not None:
            raise Conflict("not sent: the person was erased")
        if enrollment.state == "ended" and enrollment.reason not in _HARMLESS_ENDS:
            raise Conflict(f"not sent: the enrollment has ended (`{enrollment.reason}`)")
        plan = self._planbook.plan(unit, enrollment.digest)
        step = plan.steps.get(delivery.step_id)
        if not isinstance(step, Send):
            raise Conflict(
                f"not sent: the person's version of {plan.journey} has no send {delivery.step_id!r} any more"
            )
        facts = self._facts.of(unit, profile, now, enrollment=enrollment)
        effect = Perform(
            step_id=delivery.step_id,
            visit=delivery.visit,
            attempt=1,
            reached_at=delivery.first_attempt_at or delivery.claimed_at,
        )
        return Passage(unit, plan, step, enrollment, profile, effect, facts, now)


def _is_resolved_so(delivery: Delivery, resolution: Resolution) -> bool:
    return delivery.status == "failed" if resolution == "failed" else delivery.status in TAKEN


def _checked(note: str | None) -> str | None:
    note = (note or "").strip()
    if len(note) > _LONGEST_NOTE:
        raise BadInput(f"a note has at most {_LONGEST_NOTE} characters")
    if any(character < " " for character in note):
        raise BadInput("a note is one line, without control characters")
    return note or None
