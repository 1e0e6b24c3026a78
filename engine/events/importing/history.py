"""History becomes known silently: memberships and moments follow from it, and nothing starts or ends because of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from engine.enrollment.facts import FactsSource
from engine.enrollment.planbook import Planbook
from engine.events.dues import DueIndex, Subject
from engine.events.model import Membership
from engine.plan.model import DateTrigger, InactiveTrigger
from engine.profiles.model import Profile
from engine.store import Unit


class History:
    """Refreshes what is derived of a person's events, after events of the past were added."""

    def __init__(self, planbook: Planbook, facts: FactsSource, dues: DueIndex) -> None:
        self._planbook = planbook
        self._facts = facts
        self._dues = dues

    def before(self, unit: Unit, profile: Profile, now: datetime) -> Mapping[str, bool]:
        """Memberships by what is known before the past is added."""
        facts = self._facts.of(unit, profile, now)
        return {segment: facts.in_segment(segment) for segment in self._planbook.tracked_segments}

    def refresh(self, unit: Unit, profile: Profile, before: Mapping[str, bool], now: datetime) -> None:
        """Takes what the past has changed as given. `before` is empty for somebody who was not here before."""
        self._refresh_memberships(unit, profile, before, now)
        for plan in self._planbook.current.values():
            for index, trigger in enumerate(plan.triggers):
                subject = Subject(plan.journey, index)
                match trigger:
                    case InactiveTrigger():
                        last = self._dues.last_event(unit, trigger, profile)
                        # A lapse that was over before we heard of it is history, too.
                        if last and last.timestamp + timedelta(seconds=trigger.for_seconds) > now:
                            self._dues.arm(unit, subject, trigger, profile, last)
                    case DateTrigger():
                        self._dues.put_date(unit, subject, trigger, profile, now)
        self._dues.put_local_schedules(unit, profile, now)

    def _refresh_memberships(self, unit: Unit, profile: Profile, before: Mapping[str, bool], now: datetime) -> None:
        facts = self._facts.of(unit, profile, now)
        for segment in self._planbook.tracked_segments:
            is_member = facts.in_segment(segment)
            # Only what the past has changed is taken silently: a change that awaits the router is still its to make.
            if before.get(segment) != is_member:
                unit.memberships.save(
                    Membership(
                        profile_id=profile.profile_id,
                        segment=segment,
                        is_member=is_member,
                        changed_at=now,
                        definition=self._planbook.definitions[segment],
                    )
                )
            due = unit.dues.find("segment", profile.profile_id, segment)
            # And a moment that has come is still the sweep's.
            if due is None or due.due_at > now:
                self._dues.put_segment(unit, profile, segment, facts)
