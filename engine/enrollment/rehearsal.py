"""A message tried out before people get it: looked at, or sent for real to an address that somebody names.

Both need what a journey would bring to it. That is the person's newest enrollment there, else the newest event of
theirs that would begin one, else one made up by the catalogue; nothing of it is stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from msgspec.structs import replace

from engine import ids
from engine.consent.addresses import normalise
from engine.delivery.claiming import Claim
from engine.delivery.dispatcher import Dispatcher
from engine.delivery.gate import Passage
from engine.delivery.mailing import Mailing
from engine.delivery.message import Message
from engine.delivery.model import Delivery
from engine.enrollment.facts import FactsSource
from engine.enrollment.model import Enrollment
from engine.enrollment.planbook import Planbook
from engine.enrollment.samples import sample_attributes, sample_properties
from engine.errors import BadInput, ChannelError, Conflict, NotFound
from engine.events.intake import Intake
from engine.plan.effects import Perform
from engine.plan.model import EventTrigger, Plan, Send, WaitFor
from engine.plan.notices import ANSWERING
from engine.profiles.model import Profile
from engine.project import Channel, Project
from engine.rendering.renderer import Rendered
from engine.store import Store, Unit

#: The step and the journey of a template that no journey sends.
_ALONE = "preview"
#: To whom a message is shown that has no address.
_NOBODY = "nobody"


@dataclass(frozen=True, kw_only=True, slots=True)
class Preview:
    """A message as one person would get it."""

    channel: Channel
    #: The journey and the step that send it; None where none does.
    journey: str | None
    step_id: str | None
    message: Message = field(repr=False)
    rendered: Rendered = field(repr=False)


class Rehearsal:
    """Tries out the messages of one project."""

    def __init__(
        self,
        *,
        project: Project,
        store: Store,
        planbook: Planbook,
        facts: FactsSource,
        intake: Intake,
        dispatcher: Dispatcher,
        mailing: Mailing,
    ) -> None:
        self._project = project
        self._store = store
        self._planbook = planbook
        self._facts = facts
        self._intake = intake
        self._dispatcher = dispatcher
        self._mailing = mailing

    # ── looking ──────────────────────────────────────────────────────────────────────────────────────────────────────
    def sample(self, unit: Unit, template: str, locale: str | None, now: datetime) -> Profile:
        """Somebody made up, who has just done what begins the journey that sends the template. Not for a real store."""
        profile = self._intake.ensure(unit, "external", "sample", now)
        profile = self._intake.set_attributes(unit, profile, sample_attributes(self._project, locale, now), now)
        plan, _ = self._sending(template, None)
        for trigger in plan.triggers[:1] if plan else ():
            if isinstance(trigger, EventTrigger):
                properties = self._sample(trigger.event, now)
                self._intake.track(
                    unit,
                    user_id="sample",
                    name=trigger.event,
                    properties=properties,
                    timestamp=now,
                    message_id=_ALONE,
                    now=now,
                )
        return profile

    def preview(
        self,
        unit: Unit,
        template: str,
        profile: Profile,
        *,
        channel: str | None = None,
        locale: str | None = None,
        now: datetime,
    ) -> Preview:
        """The message that the person would get. Raises NotFound for an unknown channel, RenderError."""
        plan, step = self._sending(template, channel)
        name = channel or (step.channels[0] if step else self._holding(template))
        chosen = self._channel(name)
        if plan is None or step is None:
            topic = next(iter(self._project.topics), ANSWERING)
            step = Send(step_id=_ALONE, channels=(name,), template=template, topic=topic)
            plan = Plan(journey=_ALONE, title=_ALONE, triggers=(), first=_ALONE, steps={_ALONE: step})
        if locale is not None:
            profile = replace(profile, locale=locale)
        passage = self._passage(unit, plan, step, profile, now)
        delivery = self._delivery(passage, chosen, profile.address(name, chosen.kind) or _NOBODY, is_test=False)
        message, rendered = self._mailing.compose(
            passage, delivery, chosen, self._project.topic(step.topic), keeps_links=False
        )
        is_sent = step.step_id != _ALONE
        return Preview(
            channel=chosen,
            journey=plan.journey if is_sent else None,
            step_id=step.step_id if is_sent else None,
            message=message,
            rendered=rendered,
        )

    # ── sending ──────────────────────────────────────────────────────────────────────────────────────────────────────
    def send_test(
        self,
        journey: str,
        step_id: str,
        *,
        profile_id: str,
        to: str,
        channel: str | None = None,
        actor: str,
        now: datetime,
    ) -> Delivery:
        """One real message of a step to an address, marked as a test, and its record.

        It counts nowhere, its links change nothing, and what becomes of it is no event. Raises NotFound and BadInput
        for what does not exist or is no address, Conflict for a blocked address, RenderError, ChannelError.
        """
        plan = self._project.plans.get(journey)
        if plan is None:
            raise NotFound(f"no journey is called {journey!r}: there are {', '.join(self._project.plans) or 'none'}")
        step = plan.steps.get(step_id)
        if not isinstance(step, Send):
            sends = [each.step_id for each in plan.steps.values() if isinstance(each, Send)]
            raise NotFound(f"{journey} sends nothing at a step {step_id!r}: it does at {', '.join(sends) or 'none'}")
        name = channel or step.channels[0]
        if name not in step.channels:
            raise BadInput(f"the step {step_id} sends on {', '.join(step.channels)}, not on {name!r}")
        chosen = self._channel(name)
        address = normalise(chosen.kind, to)
        with self._store.transaction(profile_id) as unit:
            profile = self._intake.current(unit, profile_id)
            if profile.erased_at is not None:
                raise NotFound("this person was erased")
            passage = self._passage(unit, plan, step, profile, now)
            delivery = self._delivery(passage, chosen, address, is_test=True)
            claim = self._dispatcher.claims.claim_test(passage, delivery, actor)
        if not isinstance(claim, Claim):
            raise Conflict(f"this address is blocked ({claim.kind}): a test goes to nobody who must not be written to")
        answer = self._dispatcher.hand_over(claim)
        with self._store.transaction(profile_id) as unit:
            recorded = self._dispatcher.record_test(unit, claim, answer, now)
        if isinstance(answer, ChannelError):
            raise answer
        return recorded

    # ── what a journey would bring ───────────────────────────────────────────────────────────────────────────────────
    def _sending(self, template: str, channel: str | None) -> tuple[Plan | None, Send | None]:
        """The first journey, by name, that sends the template (on the channel), and its step."""
        for plan in self._project.plans.values():
            for step in plan.steps.values():
                if isinstance(step, Send) and step.template == template and channel in (None, *step.channels):
                    return plan, step
        return None, None

    def _holding(self, template: str) -> str:
        channels = self._project.channels.items()
        found = next((name for name, channel in channels if self._mailing.has(channel, template)), None)
        if found is None:
            steps = (step for plan in self._project.plans.values() for step in plan.steps.values())
            sent = sorted({step.template for step in steps if isinstance(step, Send)})
            raise NotFound(
                f"no channel has a template `{template}`: name it without folder, locale and ending; journeys send: "
                + (", ".join(sent) or "none")
            )
        return found

    def _channel(self, name: str) -> Channel:
        found = self._project.channels.get(name)
        if found is None:
            raise NotFound(f"no channel is called {name!r}: there are {', '.join(self._project.channels)}")
        return found

    def _passage(self, unit: Unit, plan: Plan, step: Send, profile: Profile, now: datetime) -> Passage:
        enrollment = self._stand_in(unit, plan, profile, step, now)
        effect = Perform(step_id=step.step_id, visit=1, attempt=1, reached_at=now)
        facts = self._facts.of(unit, profile, now, enrollment=enrollment)
        return Passage(unit, plan, step, enrollment, profile, effect, facts, now)

    def _stand_in(self, unit: Unit, plan: Plan, profile: Profile, step: Send, now: datetime) -> Enrollment:
        # Of its own, so that no delivery of a real one is taken for it.
        enrollment_id = ids.derived_id(
            "e", "rehearsal", profile.profile_id, plan.journey, step.step_id, now.isoformat()
        )
        newest = next(iter(unit.enrollments.of(profile_id=profile.profile_id, journey=plan.journey, limit=1)), None)
        if newest is not None:
            steps = {**self._sample_steps(plan, now), **newest.steps}
            return replace(newest, enrollment_id=enrollment_id, steps=steps)
        return Enrollment(
            enrollment_id=enrollment_id,
            journey=plan.journey,
            digest=self._planbook.digest(plan.journey) if plan.journey in self._project.plans else "",
            profile_id=profile.profile_id,
            key=None,
            number=1,
            entered_at=now,
            trigger_at=now,
            trigger=self._trigger(unit, plan, profile, now),
            steps=self._sample_steps(plan, now),
        )

    def _trigger(self, unit: Unit, plan: Plan, profile: Profile, now: datetime) -> Mapping[str, Any]:
        names = [trigger.event for trigger in plan.triggers if isinstance(trigger, EventTrigger)]
        for name in names:
            events = unit.events.of(profile.profile_id, name)
            if events:
                return events[-1].properties
        return self._sample(names[0], now) if names else {}

    def _sample_steps(self, plan: Plan, now: datetime) -> dict[str, dict[str, Any]]:
        """What steps that await an event would have left behind."""
        return {
            step.step_id: {"event": self._sample(step.alternatives[0].event, now)}
            for step in plan.steps.values()
            if isinstance(step, WaitFor)
        }

    def _sample(self, event: str, now: datetime) -> dict[str, Any]:
        return sample_properties((self._project.events or {}).get(event, {}), now)

    def _delivery(self, passage: Passage, channel: Channel, to: str, *, is_test: bool) -> Delivery:
        topic = self._project.topic(passage.step.topic)
        return Delivery(
            delivery_id=passage.delivery_id,
            enrollment_id=passage.enrollment.enrollment_id,
            journey=passage.plan.journey,
            profile_id=passage.profile.profile_id,
            step_id=passage.step.step_id,
            visit=1,
            channel=channel.name,
            via=channel.name,
            topic=topic.name,
            template=passage.step.template,
            status="claimed",
            to=to,
            is_marketing=topic.kind == "marketing",
            is_test=is_test,
            claimed_at=passage.now,
            first_attempt_at=passage.now,
        )
