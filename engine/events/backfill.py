"""Memberships of segments that are new or were edited: filled in for everybody, and told to nobody unless asked.

What is true already when a segment comes is no change of anybody's, so no trigger fires and no exit ends anything. A
membership keeps by which definition it was evaluated: so a backfill that was killed goes on with those who are left,
and one that is repeated finds nothing to do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from engine.enrollment.facts import FactsSource
from engine.enrollment.planbook import Planbook
from engine.errors import BadInput, NotFound
from engine.events.baselines import taken_as_given
from engine.events.dues import DueIndex
from engine.events.model import Due, Membership
from engine.events.router import Router
from engine.profiles.model import Profile
from engine.store import Store, Unit

#: People in one transaction, read and written together: enough to share its cost, few enough that nobody waits long
#: for a lock.
BATCH = 250


class Backfill:
    """Fills in the memberships of tracked segments."""

    def __init__(self, *, store: Store, planbook: Planbook, facts: FactsSource, router: Router, dues: DueIndex) -> None:
        self._store = store
        self._planbook = planbook
        self._facts = facts
        self._router = router
        self._dues = dues

    def left(self, segment: str, *, is_telling: bool = False) -> Sequence[str]:
        """Ids of everybody whose membership is not filled in by the present definition, ascending; with `is_telling`
        also of those whose membership was filled in silently. Raises NotFound, and BadInput where none are kept."""
        if segment not in self._planbook.project.segments:
            known = ", ".join(sorted(self._planbook.project.segments)) or "none"
            raise NotFound(f"there is no segment `{segment}`; this project has: {known}")
        definition = self._planbook.definitions.get(segment)
        if definition is None:
            raise BadInput(
                f"nothing is kept of segment `{segment}`: no journey's trigger or exit names it, so its members are "
                "computed whenever somebody asks for them, and there is nothing to fill in"
            )
        with self._store.transaction() as unit:
            everybody = unit.profiles.all_ids()
            settled = set(unit.memberships.settled(segment, definition, is_told=is_telling))
        return [profile_id for profile_id in everybody if profile_id not in settled]

    def fill(
        self,
        segment: str,
        profile_ids: Sequence[str],
        now: datetime,
        *,
        is_telling: bool = False,
        is_afresh: bool = False,
        on_person: Callable[[], None] = lambda: None,
    ) -> int:
        """Fills in the memberships of these people, in batches; of how many triggers and exits were told.

        `is_telling`: whoever is in, and of whom that was never said, enters now, with all that follows; whoever no
        longer is, leaves. `is_afresh`: evaluates those anew who were evaluated by this definition before.
        """
        told = 0
        for start in range(0, len(profile_ids), BATCH):
            batch = profile_ids[start : start + BATCH]
            with self._store.transaction() as unit:
                unit.lock_each(sorted(batch))
                found = sorted(unit.profiles.find_each(batch), key=lambda each: each.profile_id)
                people = [profile for profile in found if profile.erased_at is None]
                self._fill(unit, people, segment, now, is_afresh=is_afresh)
                for profile in people if is_telling else ():
                    told += self._router.tell_membership(unit, profile, segment, now)
            for _ in batch:
                on_person()
        return told

    def _fill(self, unit: Unit, people: Sequence[Profile], segment: str, now: datetime, *, is_afresh: bool) -> None:
        # Here, so that who plays in memory loads no SQLAlchemy.
        from engine.storage.segments.people import read_together

        definition = self._planbook.definitions[segment]
        ids = [profile.profile_id for profile in people]
        known = {each.profile_id: each for each in unit.memberships.of_each(ids, segment)}
        if not is_afresh:
            # Some were filled in by the router, since it was asked who is left.
            settled = {each.profile_id for each in known.values() if each.definition == definition}
            people = [profile for profile in people if profile.profile_id not in settled]
        ids = [profile.profile_id for profile in people]
        together = read_together(unit, self._planbook.project, segment, ids)
        memberships: list[Membership] = []
        dues: list[Due] = []
        for profile in people:
            facts = self._facts.of(together, profile, now)
            before = known.get(profile.profile_id)
            is_member = facts.in_segment(segment)
            memberships.append(taken_as_given(profile, segment, is_member, definition, before, now))
            due = self._dues.segment_due(profile, segment, facts)
            if due is not None:
                dues.append(due)
        unit.memberships.save_each(memberships)
        unit.dues.remove_each("segment", ids, segment)
        unit.dues.put_each(dues)
