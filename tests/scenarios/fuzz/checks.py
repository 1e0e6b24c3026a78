"""Seeds held: the same from both drivers, nothing from what is harmless, and no promise broken."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime
from itertools import groupby
from pathlib import Path
from random import Random

from engine.project import Project
from tests.scenarios.fuzz.happenings import engagement
from tests.scenarios.fuzz.journeys import Document
from tests.scenarios.fuzz.promises import broken_promises
from tests.scenarios.fuzz.record import Played, Record, problem_or_record, record, virtually
from tests.scenarios.fuzz.relations import (
    HALF_WAY,
    harmless_changes,
    in_order,
    last_person,
    of_others,
    shortened,
    without_person,
    without_the_stranger,
)
from tests.scenarios.fuzz.seeds import Case, build, cases, read, shop_of
from workers.simulation import TemporalDriver


def faults(seeds: Sequence[int], *, on_temporal: bool, with_relations: bool = True) -> Iterator[str]:
    """What is wrong, in paragraphs that begin with the seed; nothing where all holds."""
    for _, together in groupby(seeds, shop_of):
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            project, found = build(folder, cases(list(together)))
            temporal = stack.enter_context(TemporalDriver(project)) if on_temporal else None
            for quiet_case in found:
                case = with_engagement(quiet_case, came_of(project, quiet_case.scenario))
                came = came_of(project, case.scenario)
                if with_relations:
                    yield from _relations(project, case, came)
                if temporal is not None:
                    other = came_of(project, case.scenario, temporal.played)
                    yield from _told(case, "virtual time and Temporal differ", differences(came, other))


def with_engagement(case: Case, came: Record) -> Case:
    """The case in which people open and click some of what they get."""
    messages = [json.loads(row) for row in came.get("messages", ())]
    rows = case.scenario["events"] + engagement(Random(case.seed), case.scenario, messages)
    return replace(case, scenario={**case.scenario, "events": in_order(rows)})


def differences(one: Record, other: Record) -> list[str]:
    """Rows of one record that the other lacks, with a minus, and those that it has instead, with a plus."""
    lines = []
    for section in sorted({*one, *other}):
        here, there = Counter(one.get(section, ())), Counter(other.get(section, ()))
        lines += [f"  - {section}: {row}" for row in (here - there).elements()]
        lines += [f"  + {section}: {row}" for row in (there - here).elements()]
    return lines


def _relations(project: Project, case: Case, came: Record) -> Iterator[str]:
    if "problem" in came:
        return  # the scenario asks the impossible: its journey was stopped, say
    for sentence in broken_promises(project, case, came):
        yield f"seed {case.seed}: {sentence}"
    for change, document in harmless_changes(case):
        other = without_the_stranger(came_of(project, document))
        yield from _told(case, change, differences(came, other))
    absent = last_person(case)
    if absent is not None:
        others = of_others(came_of(project, without_person(case, absent)), absent)
        yield from _told(case, f"{absent} does not exist", differences(of_others(came, absent), others))
    if not any(row.keys() & {"erase", "alias"} for row in case.scenario["events"]):
        early = came_of(project, shortened(case))
        end = datetime.fromisoformat(case.scenario["start"]) + HALF_WAY
        until_then = {
            section: tuple(row for row in came[section] if datetime.fromisoformat(json.loads(row)["at"]) <= end)
            # A decision on a message that is tried again is its latest, so it may lie beyond.
            for section in ("messages", "emitted", "calls")
        }
        seen = {section: early[section] for section in until_then}
        yield from _told(case, "a look half-way shows something else", differences(until_then, seen))


def came_of(project: Project, document: Document, played: Played | None = None) -> Record:
    """What comes of a scenario: in virtual time, or as `played` plays it."""
    scenario = read(project, document)

    def play() -> Record:
        with played(scenario) if played else virtually(project, scenario) as (world, ended_at):
            return record(world, ended_at)

    return problem_or_record(play)


def _told(case: Case, sentence: str, lines: Sequence[str]) -> Iterator[str]:
    if lines:
        yield "\n".join([f"seed {case.seed}: {sentence}", *lines])
