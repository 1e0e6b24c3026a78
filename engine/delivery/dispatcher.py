"""The one door for a send: decide → claim → render → send → record. There is no second way to reach a person.

`decide` runs the gate and, if the message may go, renders and claims it, all in the caller's transaction (see
`engine.delivery.claiming`). `hand_over` calls the provider with no transaction open. `record` writes what came of it:
sent, failed, in doubt, or when it is tried again.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import cast

from msgspec.structs import replace

from engine.consent.ledger import Ledger
from engine.consent.model import SuppressionKind
from engine.delivery.circuits import Circuits
from engine.delivery.claiming import Claim, Claims
from engine.delivery.closing import doubt, fail
from engine.delivery.gate import Gate, Passage
from engine.delivery.mailing import Mailing
from engine.delivery.message import Adapter, AskableAdapter, SendResult
from engine.delivery.model import DOUBTED, TAKEN, Delivery
from engine.errors import (
    ChannelConfigError,
    ChannelError,
    DoubtfulChannelError,
    PermanentChannelError,
    TransientChannelError,
)
from engine.plan.effects import Result, Sent, WaitUntil
from engine.profiles.model import Profile
from engine.project import Project
from engine.schedule import doubled
from engine.store import Unit

#: A transient error is retried after this, doubling, up to `_LONGEST_RETRY`.
_FIRST_RETRY = timedelta(seconds=30)
_LONGEST_RETRY = timedelta(minutes=10)
#: A provider that says "at once" is given this long all the same.
_SHORTEST_RETRY = timedelta(seconds=1)
#: A provider that says "soon" is taken at its word so often; then we wait as long as without it, if that is longer.
_BELIEVED = 10
#: Answers after which another try may succeed.
_PASSING = (TransientChannelError, DoubtfulChannelError, ChannelConfigError)


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
        circuits: Circuits,
        held_out: frozenset[str] = frozenset(),
    ) -> None:
        self._project = project
        self._ledger = ledger
        self._adapters = adapters
        self._circuits = circuits
        #: Decides before a message is handed over. `held_out`: whom a scenario holds out, whatever the hash says.
        self.claims = Claims(
            project=project, gate=gate, adapters=adapters, mailing=mailing, circuits=circuits, held_out=held_out
        )

    def hand_over(self, claim: Claim) -> SendResult | ChannelError:
        """Calls the provider once; what the adapter raises comes back as the answer.

        Where it may have the message already and can be asked, it is asked first.
        """
        adapter = self._adapters[claim.delivery.via]
        try:
            if claim.is_doubtful and adapter.capabilities.has_look_up:
                found = cast("AskableAdapter", adapter).look_up(claim.delivery.delivery_id)
                if found is not None:
                    return found
            return adapter.send(claim.message)
        except ChannelError as error:
            return error

    def record(
        self, passage: Passage, claim: Claim, answer: SendResult | ChannelError, *, is_over: bool = False
    ) -> Result | Claim:
        """Writes what came of the attempt. An outage leads to the backup within the same dispatch, decided anew.

        `is_over`: the enrollment has ended meanwhile, so nothing is tried again.
        """
        self._learn(passage.unit, claim.delivery, answer, passage.now)
        # Read again: a receipt may have come before the provider's own answer.
        known = passage.unit.deliveries.find(claim.delivery.delivery_id) or claim.delivery
        if isinstance(answer, SendResult) or known.status in TAKEN:
            self._record_sent(passage.unit, known, claim, answer, passage.now)
            return Sent(outcome="sent")
        # We may have been given up while the provider was silent. Whoever has claimed it since speaks for the message.
        # Where it was held, the journey has gone on: nobody would come back for another try, but ops may resend it.
        is_held = known.status == "in_doubt" and isinstance(answer, _PASSING)
        if is_held or known.claimed_at != claim.delivery.claimed_at:
            return Sent(outcome="in_doubt")
        delivery = replace(known, attempts=known.attempts + 1)
        match answer:
            case PermanentChannelError():
                self._heed(passage.unit, passage.profile, delivery, answer.reason, passage.now)
                return self._refused(passage, claim, delivery, answer)
            case DoubtfulChannelError() if not self.claims.is_resent(passage, delivery):
                return self._ask_again(passage, claim, delivery, answer, is_over=is_over)
            case TransientChannelError() | DoubtfulChannelError() | ChannelConfigError():
                if claim.is_doubtful:
                    return self._ask_again(passage, claim, delivery, answer, is_over=is_over)
                return self._try_again(passage, claim, delivery, answer, is_over=is_over)
            case _:
                return self._refused(passage, claim, delivery, answer)

    def record_resent(
        self, unit: Unit, profile: Profile | None, claim: Claim, answer: SendResult | ChannelError, now: datetime
    ) -> Delivery:
        """Writes what came of a message that ops had resent: it went, or it is as doubtful as it was before."""
        self._learn(unit, claim.delivery, answer, now)
        known = unit.deliveries.find(claim.delivery.delivery_id) or claim.delivery
        if isinstance(answer, SendResult):
            return self._record_sent(unit, known, claim, answer, now)
        if isinstance(answer, PermanentChannelError) and profile is not None:
            self._heed(unit, profile, known, answer.reason, now)
        after = replace(known, attempts=known.attempts + 1, error=answer.code)
        unit.deliveries.save(after)
        return after

    @staticmethod
    def record_test(unit: Unit, claim: Claim, answer: SendResult | ChannelError, now: datetime) -> Delivery:
        """Writes what came of a test, of which there is one attempt; the delivery as it is now."""
        delivery = replace(claim.delivery, attempts=1)
        match answer:
            case SendResult():
                number = answer.provider_message_id
                unit.deliveries.save(replace(delivery, status="sent", sent_at=now, provider_message_id=number))
                unit.deliveries.decide(replace(claim.decision, outcome="sent"))
            case PermanentChannelError():
                fail(unit, delivery, claim.decision, answer.reason)
            case _:
                # In doubt, too: whoever sent it sees whether it comes, and nothing of it waits for anybody.
                fail(unit, delivery, claim.decision, answer.code)
        return unit.deliveries.find(delivery.delivery_id) or delivery

    def _learn(self, unit: Unit, delivery: Delivery, answer: SendResult | ChannelError, now: datetime) -> None:
        """What the answer says of the provider, for those who come after."""
        if isinstance(answer, SendResult) or answer.provider == "works":
            self._circuits.worked(unit, delivery.via, now)
        elif answer.provider != "unknown":
            self._circuits.failed(unit, delivery, answer, now)

    @staticmethod
    def _record_sent(
        unit: Unit, known: Delivery, claim: Claim, answer: SendResult | ChannelError, now: datetime
    ) -> Delivery:
        number = answer.provider_message_id if isinstance(answer, SendResult) else known.provider_message_id
        # A receipt may have come before the provider's own answer, and says more.
        status = known.status if known.status in TAKEN else "sent"
        sent = replace(
            known, attempts=known.attempts + 1, status=status, sent_at=now, provider_message_id=number, error=None
        )
        unit.deliveries.save(sent)
        unit.deliveries.decide(replace(claim.decision, outcome="sent"))
        return sent

    def _heed(self, unit: Unit, profile: Profile, delivery: Delivery, reason: str, now: datetime) -> None:
        """A refusal that says something of the address, or of the person, holds for what comes after it."""
        channel = self._project.channels[delivery.channel]
        source = f"delivery:{delivery.delivery_id}"
        match reason:
            case "invalid_address":
                kind: SuppressionKind = "hard_bounce"
            case "opted_out":
                self._ledger.withdraw(
                    unit, profile=profile, channel=channel.name, occurred_at=now, now=now, actor="provider",
                    source=source,
                )  # fmt: skip
                kind = "sms_stop" if channel.kind == "sms" else "complaint"
            case _:
                return
        self._ledger.suppress(unit, channel=channel.name, address=delivery.to, kind=kind, source=source, now=now)

    def _refused(self, passage: Passage, claim: Claim, delivery: Delivery, error: ChannelError) -> Result:
        """No retry helps. A provider that knows our key, if it was asked, has spoken of every attempt."""
        if not claim.is_doubtful:
            return self._give_up(passage, claim, delivery, error.code)
        if error.provider == "unknown":
            return doubt(passage.unit, delivery, claim.decision)
        return fail(passage.unit, delivery, claim.decision, error.code)

    def _try_again(
        self, passage: Passage, claim: Claim, delivery: Delivery, error: ChannelError, *, is_over: bool
    ) -> Result | Claim:
        code = DOUBTED if delivery.error == DOUBTED else error.code
        waiting = replace(delivery, status="retrying", error=code)
        if is_over:
            return self._give_up(passage, claim, waiting, code)
        passage.unit.deliveries.save(waiting)
        backup = self._project.channels[delivery.channel].backup if delivery.via == delivery.channel else None
        if isinstance(error, TransientChannelError) and error.provider == "works":
            backup = None  # a mailbox that is full is so for the backup, too
        if backup and self._circuits.lets(passage.unit, backup, delivery.delivery_id, passage.now):
            return self.claims.decide_again(passage, waiting, via=backup)
        until = self._next_try(passage, delivery, error)
        if until is None:
            return self._give_up(passage, claim, waiting, code)
        passage.unit.deliveries.decide(replace(claim.decision, outcome="failed", until=until))
        return WaitUntil(until=until, why="retry")

    @staticmethod
    def _give_up(passage: Passage, claim: Claim, delivery: Delivery, code: str) -> Result:
        """It will not be tried again: it has failed, unless an earlier attempt may have got through."""
        if delivery.error == DOUBTED:
            return doubt(passage.unit, delivery, claim.decision)
        return fail(passage.unit, delivery, claim.decision, code)

    def _ask_again(
        self, passage: Passage, claim: Claim, delivery: Delivery, error: ChannelError, *, is_over: bool
    ) -> Result:
        """The provider may have the message: it stays claimed, for the same provider; no backup sends a second one."""
        until = self._next_try(passage, delivery, error)
        if is_over or until is None or not self.claims.can_repeat(delivery, until):
            return doubt(passage.unit, delivery, claim.decision)
        passage.unit.deliveries.save(replace(delivery, status="claimed", error=error.code))
        passage.unit.deliveries.decide(replace(claim.decision, until=until))
        return WaitUntil(until=until, why="retry")

    def _next_try(self, passage: Passage, delivery: Delivery, error: ChannelError) -> datetime | None:
        """When to try again, or None once the time for it is over."""
        limit = self.claims.limit(passage, delivery)
        if passage.now >= limit:
            return None
        # Channel and backup were tried in one dispatch: that is one attempt of the message.
        rounds = delivery.attempts // 2 if self._project.channels[delivery.channel].backup else delivery.attempts
        delay = doubled(_FIRST_RETRY, max(rounds, 1) - 1, _LONGEST_RETRY)
        if isinstance(error, TransientChannelError) and error.retry_after is not None:
            said = max(error.retry_after, _SHORTEST_RETRY)
            delay = said if rounds <= _BELIEVED else max(said, delay)
        until: datetime = min(passage.now + delay, limit)
        return until
