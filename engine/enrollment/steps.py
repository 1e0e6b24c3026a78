"""What each kind of step does inside its transaction; sends and calls, which leave the house, are the performer's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, assert_never

from engine import ids
from engine.enrollment.awaiting import end_of_wait, find_awaited
from engine.enrollment.ending import end_enrollment
from engine.enrollment.entry import Entries, Occasion
from engine.enrollment.facts import FactsSource
from engine.enrollment.model import Enrollment
from engine.enrollment.planbook import Planbook
from engine.enrollment.scene import Scene
from engine.enrollment.trail import note
from engine.errors import BadInput
from engine.events.intake import Intake
from engine.expressions.evaluate import is_true, resolve
from engine.plan.effects import Chosen, Done, Over, Result, WaitUntil
from engine.plan.model import Branch, Call, Emit, ExitStep, Repeat, Send, Set, Split, Start, Step, Wait, WaitFor
from engine.profiles.model import Profile


@dataclass(frozen=True, kw_only=True, slots=True)
class Forced:
    """What a scenario fixes although a hash would decide it."""

    #: Profile ids whose messages are held out in every journey that has a holdout.
    holdout: frozenset[str] = frozenset()
    #: Step id -> profile id -> side.
    split: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


class Steps:
    """Every step but those that leave the house."""

    def __init__(
        self, *, planbook: Planbook, facts: FactsSource, entries: Entries, intake: Intake, forced: Forced
    ) -> None:
        self._planbook = planbook
        self._facts = facts
        self._entries = entries
        self._intake = intake
        self._forced = forced

    def take(self, scene: Scene, step: Step) -> Result:
        """Takes the step, whose `if` holds; a repeat of the same visit has its effect once."""
        match step:
            case Wait():
                return self._wait(scene, step)
            case WaitFor():
                return self._wait_for(scene, step)
            case Branch():
                arm = next((arm for arm in step.arms if is_true(arm.condition, scene.facts)), None)
                return Chosen(goto=arm.then if arm else step.otherwise)
            case Split():
                return self._split(scene, step)
            case Set():
                if not self._is_done(scene, "set"):
                    self.set_attributes(scene, scene.profile, resolve(step.values, scene.facts))
                return Done()
            case Emit():
                return self._emit(scene, step)
            case Start():
                return self._start(scene, step)
            case Repeat():
                return self._repeat(scene, step)
            case ExitStep():
                end_enrollment(scene.unit, scene.enrollment, step.reason, scene.now, tell=False)
                return Over(reason=step.reason)
            case Send() | Call():
                raise AssertionError("sends and calls are performed outside the transaction")
            case _:
                assert_never(step)

    def _wait(self, scene: Scene, step: Wait) -> Result:
        if scene.effect.is_due:
            return Done()
        reached_at = scene.effect.reached_at
        moment = end_of_wait(self._facts, scene.unit, step, scene.enrollment, scene.profile, reached_at)
        if moment is None or moment < reached_at:
            if step.if_past == "exit" and scene.effect.attempt == 1:
                end_enrollment(scene.unit, scene.enrollment, "past", scene.now, tell=False)
                return Over(reason="past")
            return Done()
        if moment <= scene.now:
            return Done()
        return WaitUntil(until=moment, why="timer")

    def _wait_for(self, scene: Scene, step: WaitFor) -> Result:
        effect = scene.effect
        since = effect.since or effect.reached_at
        deadline = None
        if step.within_seconds is not None:
            deadline = effect.reached_at + timedelta(seconds=step.within_seconds)
        found = find_awaited(self._facts, scene.unit, step, scene.enrollment, scene.profile, since, deadline, scene.now)
        if found:
            event, goto = found
            scene.leave_behind(event_id=event.event_id, visit=effect.visit)
            return Chosen(goto=goto)
        if effect.is_due:
            return Chosen(goto=step.otherwise)
        return WaitUntil(until=deadline, why="event")

    def _split(self, scene: Scene, step: Split) -> Result:
        forced = self._forced.split.get(step.step_id, {}).get(scene.profile.profile_id)
        if forced is None:
            total = sum(side.weight for side in step.sides)
            point = ids.bucket(f"split/{scene.plan.journey}/{step.step_id}", scene.profile.profile_id) / 10_000 * total
            side, upper = step.sides[0], 0.0
            for side in step.sides:
                upper += side.weight
                if point < upper:
                    break
        else:
            side = next(side for side in step.sides if side.name == forced)
        scene.leave_behind(side=side.name)
        return Chosen(goto=side.first)

    def set_attributes(self, scene: Scene, profile: Profile, values: Mapping[str, Any]) -> None:
        """Writes attributes. One that cannot be (no address, no zone) is noted and left: it strands nobody."""
        refused = []
        for name, value in values.items():
            try:
                profile = self._intake.set_attributes(scene.unit, profile, {name: value}, scene.now)
            except BadInput:
                refused.append(name)
        note(scene.unit, scene.enrollment, scene.now, "set", names=sorted(values), refused=refused)

    def _emit(self, scene: Scene, step: Emit) -> Result:
        values = resolve(step.values, scene.facts)
        event = self._intake.track(
            scene.unit,
            profile_id=scene.profile.profile_id,
            name=step.event,
            properties={name: value for name, value in values.items() if value is not None},
            timestamp=scene.now,
            message_id=f"{scene.enrollment.enrollment_id}/{step.step_id}/{scene.effect.visit}",
            now=scene.now,
            source="emit",
        )
        note(scene.unit, scene.enrollment, scene.now, "emitted", event_id=event.event_id if event else None)
        return Done()

    @staticmethod
    def _is_done(scene: Scene, what: str) -> bool:
        """Whether the trail says that this visit has had its effect: a value added to itself is added once."""
        if not scene.is_repeat:
            return False
        mine = (what, scene.effect.step_id, scene.effect.visit)
        trail = scene.unit.enrollments.trail(scene.enrollment.enrollment_id)
        return any((entry.what, entry.step_id, entry.visit) == mine for entry in trail)

    def _start(self, scene: Scene, step: Start) -> Result:
        if self._is_done(scene, "started"):
            return Done()
        values = resolve(step.values, scene.facts)
        plan = self._planbook.current.get(step.journey)
        started = None
        # On an older version, a person may come to a journey that has gone from the project since.
        if plan is not None:
            origin = f"{scene.enrollment.enrollment_id}/{scene.effect.step_id}/{scene.effect.visit}"
            occasion = Occasion(at=scene.now, values=values, origin=origin)
            came = self._entries.enter(scene.unit, plan, scene.profile, occasion, scene.now)
            started = came.enrollment_id if isinstance(came, Enrollment) else None
        note(scene.unit, scene.enrollment, scene.now, "started", enrollment_id=started, journey=step.journey)
        return Done()

    def _repeat(self, scene: Scene, step: Repeat) -> Result:
        effect = scene.effect
        if step.body is None or effect.passes_begun >= step.times:
            return Done()
        if effect.passes_begun and step.every_seconds is not None and effect.pass_began_at is not None:
            next_pass = effect.pass_began_at + timedelta(seconds=step.every_seconds)
            if next_pass > scene.now:
                return WaitUntil(until=next_pass, why="every")
        if step.until is not None and is_true(step.until, scene.facts):
            return Done()
        return Chosen(goto=step.body)
