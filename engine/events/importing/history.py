"""History becomes known silently: memberships and moments follow from it, and nothing starts or ends because of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta

from engine.enrollment.facts import FactsSource
from engine.enrollment.planbook import Planbook
from engine.events.dues import DueIndex, Subject
from engine.events.model import Membership
from engine.expressions.references import references
from engine.plan.model import DateTrigger, InactiveTrigger
from engine.profiles.model import Profile
from engine.store import Unit


class History:
    """Refreshes what is derived of a person's events, after events of the past were added."""

    def __init__(self, planbook: Planbook, facts: FactsSource, dues: DueIndex) -> None:
        self._planbook = planbook
        self._facts = facts
        self._dues = dues

    def before(self, unit: Unit, profile: Profile, names: Collection[str], now: datetime) -> Mapping[str, bool]:
        """Memberships by what is known before events of these names are added, where these may change them."""
        facts = self._facts.of(unit, profile, now)
        return {segment: facts.in_segment(segment) for segment in self._asking(names)}

    def refresh(
        self, unit: Unit, profile: Profile, before: Mapping[str, bool] | None, names: Collection[str], now: datetime
    ) -> None:
        """Takes what past events of these names have changed as given. `before` is None for somebody who was not here
        before."""
        self._refresh_memberships(unit, profile, before, names, now)
        for plan in self._planbook.current.values():
            for index, trigger in enumerate(plan.triggers):
                subject = Subject(plan.journey, index)
                match trigger:
                    case InactiveTrigger():
                        if trigger.event is not None and trigger.event not in names:
                            continue
                        last = self._dues.last_event(unit, trigger, profile)
                        # A lapse that was over before we heard of it is history, too.
                        if last and last.timestamp + timedelta(seconds=trigger.for_seconds) > now:
                            self._dues.arm(unit, subject, trigger, profile, last)
                    case DateTrigger():
                        if before is None or not references(trigger.date).events.isdisjoint(names):
                            self._dues.put_date(unit, subject, trigger, profile, now)
        if before is None:
            self._dues.put_local_schedules(unit, profile, now)

    def _refresh_memberships(
        self, unit: Unit, profile: Profile, before: Mapping[str, bool] | None, names: Collection[str], now: datetime
    ) -> None:
        facts = self._facts.of(unit, profile, now)
        for segment in self._planbook.tracked_segments if before is None else self._asking(names):
            is_member = facts.in_segment(segment)
            # Only what the past has changed is taken silently: a change that awaits the router is still its to make.
            if before is None or before.get(segment) != is_member:
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

    def _asking(self, names: Collection[str]) -> tuple[str, ...]:
        asking = {segment for name in names for segment in self._planbook.segments_asking(name)}
        return tuple(segment for segment in self._planbook.tracked_segments if segment in asking)
