"""What holds of people who were here before a version was: taken as given, so that a deploy fires nothing.

The router and the sweep see changes. When a deploy brings a trigger or begins to follow a segment, what is true already
is no change; and what has fired under the version before does not fire again under the next one, however its triggers
were moved about or re-timed.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from msgspec.structs import replace

from engine.enrollment.planbook import Planbook
from engine.events.dues import DueIndex, Subject
from engine.events.model import Due, Membership
from engine.plan.model import DateTrigger, InactiveTrigger, Plan, ScheduleTrigger, Trigger
from engine.profiles.model import Profile
from engine.store import Unit

_Timed = InactiveTrigger | DateTrigger | ScheduleTrigger


class Baselines:
    """Takes the baselines of the project's plans, against the plans that were deployed before."""

    def __init__(self, planbook: Planbook, dues: DueIndex) -> None:
        self._planbook = planbook
        self._dues = dues

    def is_needed(self, before: Mapping[str, Plan]) -> bool:
        """Whether anything of the sort is new or has changed."""
        return any(True for _ in self._changed(before))

    def take(self, unit: Unit, profile: Profile, before: Mapping[str, Plan], now: datetime) -> None:
        """Of one profile, under its lock. May be repeated."""
        for plan, old in self._changed(before):
            known = self._rows(unit, profile, plan.journey, old)
            self._clear(unit, profile, plan, old)
            for index, trigger in enumerate(plan.triggers):
                subject = Subject(plan.journey, index)
                place = _predecessor(trigger, index, old)
                match trigger:
                    case InactiveTrigger():
                        row = None if place is None else known[place]
                        self._lapse(unit, profile, subject, trigger, row, now, is_new=place is None)
                    case DateTrigger():
                        row = None if place is None else known[place]
                        if row is not None and place != index:
                            unit.dues.put(replace(row, subject=str(subject)))
                        self._dues.put_date(unit, subject, trigger, profile, now)
                    case _:
                        pass
        self._dues.put_local_schedules(unit, profile, now)

    def _lapse(
        self,
        unit: Unit,
        profile: Profile,
        subject: Subject,
        trigger: InactiveTrigger,
        row: Due | None,
        now: datetime,
        *,
        is_new: bool,
    ) -> None:
        """Arms the present lapse, unless it has fired or was over before anybody could have been told."""
        last = self._dues.last_event(unit, trigger, profile)
        lies_ahead = last is not None and last.timestamp + timedelta(seconds=trigger.for_seconds) > now
        if row is not None:
            # Armed until now: one whose moment has come, and which no sweep has seen, is late and not lost.
            lies_ahead = lies_ahead or row.due_at <= now
        elif not is_new:
            lies_ahead = False
        if last and lies_ahead:
            self._dues.arm(unit, subject, trigger, profile, last)
        else:
            unit.dues.remove("inactive", profile.profile_id, str(subject))

    @staticmethod
    def _rows(unit: Unit, profile: Profile, journey: str, old: tuple[Trigger, ...]) -> dict[int, Due | None]:
        return {
            index: unit.dues.find(trigger.kind, profile.profile_id, str(Subject(journey, index)))
            for index, trigger in enumerate(old)
            if isinstance(trigger, _Timed)
        }

    @staticmethod
    def _clear(unit: Unit, profile: Profile, plan: Plan, old: tuple[Trigger, ...]) -> None:
        """Removes rows whose place in the list now says something else."""
        for index, trigger in enumerate(old):
            if isinstance(trigger, _Timed) and _predecessor(trigger, index, plan.triggers) != index:
                unit.dues.remove(trigger.kind, profile.profile_id, str(Subject(plan.journey, index)))

    def _changed(self, before: Mapping[str, Plan]) -> list[tuple[Plan, tuple[Trigger, ...]]]:
        """Plans whose list of triggers differs, where there is one that time fires; with the list of before."""
        found = []
        for plan in self._planbook.current.values():
            old = before[plan.journey].triggers if plan.journey in before else ()
            if old != plan.triggers and any(isinstance(trigger, _Timed) for trigger in (*old, *plan.triggers)):
                found.append((plan, old))
        return found


def taken_as_given(
    profile: Profile, segment: str, is_member: bool, definition: str, before: Membership | None, now: datetime
) -> Membership:
    """A membership that is no change of the person's: as if it had been so from their beginning."""
    was_told = False if before is None else before.is_member if before.told is None else before.told
    is_as_before = before is not None and before.is_member == is_member
    return Membership(
        profile_id=profile.profile_id,
        segment=segment,
        is_member=is_member,
        changed_at=before.changed_at if before is not None and is_as_before else profile.created_at or now,
        definition=definition,
        told=None if was_told == is_member else was_told,
    )


def _predecessor(trigger: Trigger, index: int, others: tuple[Trigger, ...]) -> int | None:
    """Where, in the other version's list, the trigger stands that is counted from the same: at the same place first."""
    places = sorted(range(len(others)), key=lambda place: (others[place] != trigger, place != index))
    return next((place for place in places if _counts_from_the_same(trigger, others[place])), None)


def _counts_from_the_same(one: Trigger, other: Trigger) -> bool:
    match one, other:
        case InactiveTrigger(), InactiveTrigger():
            return one.event == other.event
        case DateTrigger(), DateTrigger():
            return one.date == other.date
        case ScheduleTrigger(), ScheduleTrigger():
            return one.cron == other.cron
        case _:
            return False
