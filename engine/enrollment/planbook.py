"""Plans by version: which one a journey takes people on, and the one on which each person entered."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property

from engine.expressions.references import references
from engine.ids import derived_id
from engine.plan.digest import digest as digest_of
from engine.plan.digest import plan_from_json
from engine.plan.model import EventTrigger, JourneyTrigger, Plan, ScheduleTrigger, SegmentExit, SegmentTrigger
from engine.plan.notices import Notice, notice_name, notice_plans
from engine.project import Project
from engine.store import Unit


class Planbook:
    """The project's plans by journey, and any deployed plan by its hash (which never changes: cached for good)."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self._by_digest: dict[str, Plan] = {}
        self._digests: dict[str, str] = {}
        self._asking: dict[str, tuple[str, ...]] = {}
        #: Our own notices' plans, by name.
        self._notices = {plan.journey: plan for plan in notice_plans(project.channels)}
        for plan in self.everything:
            version = digest_of(plan)
            self._by_digest[version] = plan
            self._digests[plan.journey] = version

    @property
    def current(self) -> Mapping[str, Plan]:
        """The project's plans, by journey."""
        return self.project.plans

    @property
    def everything(self) -> tuple[Plan, ...]:
        """The project's plans and our own notices'."""
        return (*self.project.plans.values(), *self._notices.values())

    def notice(self, notice: Notice, channel: str) -> Plan:
        """The plan of a notice on a channel."""
        return self._notices[notice_name(notice, channel)]

    def digest(self, journey: str) -> str:
        """The version of the project's plan of a journey, or of a notice's."""
        return self._digests[journey]

    def plan(self, unit: Unit, digest: str) -> Plan:
        """The plan with this hash."""
        known = self._by_digest.get(digest)
        if known is None:
            document = unit.journeys.find_plan(digest)
            if document is None:
                raise LookupError(f"no plan with the hash {digest} was ever deployed here")
            known = self._by_digest[digest] = plan_from_json(document)
        return known

    def deployed(self, unit: Unit) -> Mapping[str, Plan]:
        """The plans on which people enter by the store's word, by journey; without those that were retired."""
        records = unit.journeys.all()
        return {each.journey: self.plan(unit, each.digest) for each in records if each.state != "retired"}

    @cached_property
    def by_trigger_event(self) -> Mapping[str, tuple[Plan, ...]]:
        """Plans that an event of a name may trigger."""
        return self._index(lambda plan: {t.event for t in plan.triggers if isinstance(t, EventTrigger)})

    @cached_property
    def by_goal_event(self) -> Mapping[str, tuple[Plan, ...]]:
        return self._index(lambda plan: {plan.goal.event} if plan.goal else set())

    @cached_property
    def by_ended_journey(self) -> Mapping[str, tuple[Plan, ...]]:
        return self._index(lambda plan: {t.journey for t in plan.triggers if isinstance(t, JourneyTrigger)})

    @cached_property
    def tracked_segments(self) -> tuple[str, ...]:
        """Segments whose changes of membership start or end something, in the project's order."""
        named = segments_named(self.current.values())
        return tuple(name for name in self.project.segments if name in named)

    @cached_property
    def definitions(self) -> Mapping[str, str]:
        """Of each tracked segment a hash of its condition, with those of the segments that it asks about."""
        return {
            segment: derived_id("s", segment, *(part for pair in sorted(conditions.items()) for part in pair))
            for segment, conditions in self._tracked_conditions.items()
        }

    def segments_asking(self, event: str) -> tuple[str, ...]:
        """Tracked segments that an event of a name may change, in the project's order."""
        known = self._asking.get(event)
        if known is None:
            known = self._asking[event] = tuple(
                name
                for name, conditions in self._tracked_conditions.items()
                if any(event in references(condition).events for condition in conditions.values())
            )
        return known

    @cached_property
    def _tracked_conditions(self) -> Mapping[str, Mapping[str, str]]:
        """Of each tracked segment its condition and those of the segments that it asks about, by name."""
        found: dict[str, dict[str, str]] = {}
        for segment in self.tracked_segments:
            conditions = found[segment] = {}
            waiting = [segment]
            while waiting:
                name = waiting.pop()
                if name not in conditions and name in self.project.segments:
                    conditions[name] = self.project.segments[name].condition
                    waiting += references(conditions[name]).segments
        return found

    @cached_property
    def journeys_in_segments(self) -> frozenset[str]:
        """Journeys about which segments ask, where any segment is tracked."""
        asked = (references(segment.condition).journeys for segment in self.project.segments.values())
        return frozenset().union(*asked) if self.tracked_segments else frozenset()

    @cached_property
    def schedules(self) -> tuple[tuple[Plan, int, ScheduleTrigger], ...]:
        """Every schedule trigger with its place in its plan."""
        return tuple(
            (plan, index, trigger)
            for plan in self.current.values()
            for index, trigger in enumerate(plan.triggers)
            if isinstance(trigger, ScheduleTrigger)
        )

    def _index(self, names_of: Callable[[Plan], set[str]]) -> dict[str, tuple[Plan, ...]]:
        index: dict[str, list[Plan]] = {}
        for plan in self.current.values():
            for name in sorted(names_of(plan)):
                index.setdefault(name, []).append(plan)
        return {name: tuple(plans) for name, plans in index.items()}


def segments_named(plans: Iterable[Plan]) -> frozenset[str]:
    """Segments whose changes of membership start or end something in these plans."""
    return frozenset(
        part.segment
        for plan in plans
        for part in (*plan.triggers, *plan.exits)
        if isinstance(part, SegmentTrigger | SegmentExit)
    )
