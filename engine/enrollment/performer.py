"""Performs one step of one enrollment against the store and says what came of it.

Every step passes here, from any driver: is the enrollment still alive, has something stored ended it, is the journey
paused, does the step's `if` hold; then the step itself. What a step awaits is registered in the transaction that looks
whether it has already come, under the profile's lock: nothing falls between.
"""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Any

from msgspec.structs import replace

from engine.delivery.claiming import Claim
from engine.delivery.dispatcher import Dispatcher
from engine.delivery.gate import Passage
from engine.enrollment.caller import Caller, CallRequest, inside, plain_json
from engine.enrollment.ending import Exits, end_enrollment
from engine.enrollment.facts import FactsSource
from engine.enrollment.memberships import tell_segments
from engine.enrollment.model import Enrollment
from engine.enrollment.planbook import Planbook
from engine.enrollment.scene import Scene, stand
from engine.enrollment.steering import journey_state
from engine.enrollment.steps import Steps
from engine.enrollment.trail import note
from engine.errors import ChannelError, NotFound
from engine.expressions.evaluate import is_true, resolve
from engine.plan.effects import Chosen, Done, Held, Over, Perform, Result, Sent, WaitUntil
from engine.plan.model import Call, Plan, Repeat, Send, Step, WaitFor
from engine.profiles.model import Event, Profile
from engine.store import Store, Unit


class Performer:
    """Steps in, results out. One instance serves any number of threads."""

    def __init__(
        self,
        *,
        store: Store,
        planbook: Planbook,
        facts: FactsSource,
        exits: Exits,
        steps: Steps,
        dispatcher: Dispatcher,
        caller: Caller,
    ) -> None:
        self._store = store
        self._planbook = planbook
        self._facts = facts
        self._exits = exits
        self._steps = steps
        self._dispatcher = dispatcher
        self._caller = caller

    def perform(self, enrollment_id: str, effect: Perform, now: datetime) -> Result:
        """Performs the step that the effect names; a repeat of the same call is harmless.

        Raises NotFound for an enrollment that the store does not know, StoreUnavailable when it cannot be asked.
        """
        with self._store.transaction(is_shared=True) as unit:
            scene = self._open(unit, enrollment_id, effect, now)
            if not isinstance(scene, Scene):
                return scene
            step = scene.plan.steps[effect.step_id]
            leaving: Result | Claim | CallRequest
            match step:
                case Send():
                    leaving = self._dispatcher.claims.decide(_passage(scene, step))
                case Call():
                    leaving = self._request(scene, step)
                case _:
                    leaving = self._steps.take(scene, step)
            if not isinstance(leaving, Claim | CallRequest):
                return self._close(scene, step, leaving)
        # What leaves the house leaves it with no transaction open: none waits while somebody else answers.
        if isinstance(leaving, Claim):
            return self._send(scene, leaving)
        return self._call(scene, self._caller.call(leaving))

    def finish(self, enrollment_id: str, reason: str, now: datetime) -> None:
        """Records that an enrollment has come to its end; one already ended keeps its first reason."""
        with self._store.transaction(is_shared=True) as unit:
            enrollment = self._find(unit, enrollment_id)
            if enrollment.state == "active":
                end_enrollment(unit, enrollment, reason, now, tell=False)

    # ── before the step ──────────────────────────────────────────────────────────────────────────────────────────────
    def _find(
        self, unit: Unit, enrollment_id: str, profile_id: str | None = None, claim: Claim | None = None
    ) -> Enrollment:
        """The enrollment, under its profile's lock. `profile_id`: whose it was when it was last read. `claim`: of which
        the answer is to be recorded."""
        owner = profile_id or unit.enrollments.owner(enrollment_id)
        while owner:
            unit.lock(owner)
            unit.expect(partial(_read_next, owner, claim))
            # Read under the lock: an exit may have been committed in between, or the person become another's.
            found = unit.enrollments.find(enrollment_id)
            if found and found.profile_id == owner:
                return found
            unit.let_go()
            owner = found.profile_id if found else None
        raise NotFound(f"no enrollment {enrollment_id!r} in this store")

    def _open(self, unit: Unit, enrollment_id: str, effect: Perform, now: datetime) -> Scene | Result:
        enrollment = self._find(unit, enrollment_id)
        if effect.digest not in (None, enrollment.digest) and enrollment.state == "active":
            enrollment = self._move(unit, enrollment, str(effect.digest), now)
        plan = self._planbook.plan(unit, effect.digest or enrollment.digest)
        step = plan.steps[effect.step_id]
        profile = unit.profiles.find(enrollment.profile_id)
        is_held = enrollment.waiting == "held"
        is_new = effect.attempt == 1 or is_held
        # A step is taken or a message leaves; a wait that goes on, or is over, is neither.
        is_taken = is_new or isinstance(step, Send)
        if is_taken:
            unit.expect(lambda soon: soon.journeys.find(plan.journey))
        over = self._over(unit, plan, enrollment, profile, now, with_conditions=is_taken)
        if over:
            reason, event = over
            if isinstance(step, Send) and profile is not None:
                facts = self._facts.of(unit, profile, now, enrollment=enrollment)
                passage = Passage(unit, plan, step, enrollment, profile, effect, facts, now)
                self._dispatcher.claims.record_over(passage, reason, event.event_id if event else None)
            self._end(unit, enrollment, reason, event, now)
            return Over(reason=reason)
        assert profile is not None, "who is nobody's is over"
        here = (effect.step_id, effect.visit, effect.reached_at)
        is_repeat = is_new and (enrollment.step_id, enrollment.visit, enrollment.reached_at) == here
        if is_taken:
            state = journey_state(unit, plan.journey)
            if state == "stopped":
                # Entered while the journey was being stopped.
                end_enrollment(unit, enrollment, "stopped", now, tell=False)
                return Over(reason="stopped")
            # Whom a resume will let on in their turn, a move leaves where they are.
            if state == "paused" or (is_held and effect.digest is not None):
                stand(unit, enrollment, effect, waiting="held", wake_at=None)
                return Held()
        if effect.digest is not None and enrollment.waiting == "retry" and not is_new:
            # A move is no reason to ask the provider before its time.
            return WaitUntil(until=enrollment.wake_at, why="retry")
        facts = self._facts.of(unit, profile, now, enrollment=enrollment)
        if is_new:
            enrollment = stand(unit, enrollment, effect, waiting=None, wake_at=None)
            if not is_true(step.condition, facts):
                note(unit, enrollment, now, "passed_over")
                return Done()
            if not is_repeat:
                note(unit, enrollment, now, "reached")
        return Scene(unit, plan, enrollment, profile, effect, facts, now, is_repeat)

    def _move(self, unit: Unit, enrollment: Enrollment, digest: str, now: datetime) -> Enrollment:
        """The enrollment on another version; what steps left behind is found under their new ids, too."""
        plan = self._planbook.plan(unit, digest)
        left = {**{plan.renamed(old): values for old, values in enrollment.steps.items()}, **enrollment.steps}
        note(unit, enrollment, now, "moved", version=digest)
        moved = replace(enrollment, digest=digest, steps=left)
        unit.enrollments.save(moved)
        return moved

    def _over(
        self,
        unit: Unit,
        plan: Plan,
        enrollment: Enrollment,
        profile: Profile | None,
        now: datetime,
        *,
        with_conditions: bool = True,
    ) -> tuple[str, Event | None] | None:
        """Why the enrollment is over by what is stored, routed or not, and the event that ends it; or None."""
        if enrollment.state == "ended":
            return enrollment.reason or "exit", None
        if profile is None or profile.erased_at is not None:
            return "erased", None
        return self._exits.stored(unit, plan, enrollment, profile, now, with_conditions=with_conditions)

    def _end(self, unit: Unit, enrollment: Enrollment, reason: str, event: Event | None, now: datetime) -> None:
        if enrollment.state == "ended":
            return
        if event:
            self._exits.convert(unit, self._planbook, enrollment.journey, event, now)
            enrollment = unit.enrollments.find(enrollment.enrollment_id) or enrollment
        end_enrollment(unit, enrollment, reason, now, tell=False)

    # ── after the step ───────────────────────────────────────────────────────────────────────────────────────────────
    def _close(self, scene: Scene, step: Step, result: Result) -> Result:
        match result:
            case WaitUntil():
                stand(
                    scene.unit,
                    scene.enrollment,
                    scene.effect,
                    waiting=result.why,
                    wake_at=result.until,
                    awaits_since=scene.effect.since if isinstance(step, WaitFor) else None,
                )
                until = result.until.isoformat() if result.until else None
                note(scene.unit, scene.enrollment, scene.now, "waits", why=result.why, until=until)
            case Chosen() if not isinstance(step, Repeat):
                note(scene.unit, scene.enrollment, scene.now, "chose", goto=result.goto)
            case _:
                pass
        return result

    def _again(self, scene: Scene, unit: Unit, enrollment: Enrollment) -> Scene:
        """The same scene in a later transaction."""
        profile = unit.profiles.find(enrollment.profile_id) or scene.profile
        facts = self._facts.of(unit, profile, scene.now, enrollment=enrollment)
        return Scene(unit, scene.plan, enrollment, profile, scene.effect, facts, scene.now)

    def _send(self, scene: Scene, claim: Claim) -> Result:
        step = scene.plan.steps[scene.effect.step_id]
        assert isinstance(step, Send)
        while True:
            answer = self._dispatcher.hand_over(claim)
            with self._store.transaction(is_shared=True) as unit:
                enrollment = self._find(unit, scene.enrollment.enrollment_id, scene.profile.profile_id, claim)
                again = self._again(scene, unit, enrollment)
                over = None
                if enrollment.state == "ended" or isinstance(answer, ChannelError):
                    # What would be tried again is decided again, and so is whether it still may be.
                    over = self._over(unit, scene.plan, enrollment, again.profile, scene.now)
                result = self._dispatcher.record(_passage(again, step), claim, answer, is_over=over is not None)
                if over is not None:
                    self._end(unit, enrollment, over[0], over[1], scene.now)
                    return Over(reason=over[0])
                if not isinstance(result, Claim):
                    if result == Sent(outcome="sent"):
                        tell_segments(unit, self._planbook, scene.plan.journey, enrollment.profile_id, scene.now)
                    return self._close(again, step, result)
            claim = result

    def _request(self, scene: Scene, step: Call) -> CallRequest:
        return CallRequest(
            url=str(resolve(step.url, scene.facts)),
            method=step.method,
            json=plain_json(resolve(step.json, scene.facts)),
            headers={name: str(value) for name, value in resolve(step.headers, scene.facts).items()},
            timeout_seconds=step.timeout_seconds,
        )

    def _call(self, scene: Scene, answer: Any) -> Result:
        step = scene.plan.steps[scene.effect.step_id]
        assert isinstance(step, Call)
        with self._store.transaction(is_shared=True) as unit:
            enrollment = self._find(unit, scene.enrollment.enrollment_id, scene.profile.profile_id)
            profile = unit.profiles.find(enrollment.profile_id)
            if profile is None or enrollment.state == "ended":
                return Over(reason=enrollment.reason or "erased")
            again = self._again(scene, unit, enrollment)
            again.leave_behind(response=answer)
            note(unit, enrollment, scene.now, "called", answered=answer is not None)
            saved = {name: inside(answer, path) for name, path in step.save.items()}
            if saved and answer is not None:
                self._steps.set_attributes(again, profile, saved)
        return Done()


def _read_next(profile_id: str, claim: Claim | None, soon: Unit) -> None:
    """What is read once an enrollment was found under its lock."""
    soon.profiles.find(profile_id)
    if claim is not None:
        soon.circuits.find(claim.delivery.via)
        soon.deliveries.find(claim.delivery.delivery_id)


def _passage(scene: Scene, step: Send) -> Passage:
    return Passage(scene.unit, scene.plan, step, scene.enrollment, scene.profile, scene.effect, scene.facts, scene.now)
