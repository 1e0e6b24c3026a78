"""Random journeys in random worlds: one verdict from both drivers, and the language's promises in every one of them.

A few seeds; `python -m tests.scenarios.fuzz --seeds 300` holds as many as there is time for.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.fuzz.checks import came_of, differences, faults
from tests.scenarios.fuzz.promises import broken_promises
from tests.scenarios.fuzz.record import Record
from tests.scenarios.fuzz.seeds import build, cases

Rows = dict[str, list[dict[str, Any]]]


@pytest.mark.parametrize("first", [0, 10])
def test_promises_hold_and_what_is_harmless_changes_nothing(first: int) -> None:
    assert not list(faults(range(first, first + 10), on_temporal=False))


@pytest.mark.temporal
@pytest.mark.timeout(600)
def test_both_drivers_make_the_same_of_it() -> None:
    """Of these seeds, too, of which they once did not."""
    assert not list(faults([157, 229, 233, 239, 253, 378], on_temporal=True, with_relations=False))


def test_the_worlds_are_rich_enough_to_find_something_in(tmp_path: Path) -> None:
    met: Counter[str] = Counter()
    for first in (110, 120):
        project, found = build(tmp_path / str(first), cases(range(first, first + 10)))
        for case in found:
            came = came_of(project, case.scenario)
            met.update(json.loads(row)["outcome"] for row in came.get("decisions", ()))
            met.update(str(json.loads(row)["reason"]) for row in came.get("enrollments", ()))
            met.update(json.loads(row)["reason"] for row in came.get("entries_refused", ()))
    assert met.keys() >= {"sent", "quiet", "capped", "no_consent", "unreachable", "suppressed"}
    assert met.keys() >= {"completed", "restarted", "exit", "goal", "active", "not_matched"}


def _twice_alive(rows: Rows) -> None:
    rows["enrollments"] += [{**row, "state": "active"} for row in rows["enrollments"]]


def _one_more(rows: Rows) -> None:
    rows["decisions"] *= 4


def _at_night(rows: Rows) -> None:
    for row in rows["decisions"]:
        row["at"] = (datetime.fromisoformat(row["at"]) + timedelta(hours=12)).isoformat()


def _after_the_end(rows: Rows) -> None:
    late = {"what": "reached", "at": "2027-01-01T00:00:00+00:00"}
    rows["trail"] += [{**row, **late} for row in rows["trail"] if row["what"] == "ended"]


@pytest.mark.parametrize(
    ("tamper", "told"),
    [
        (_twice_alive, "two live enrollments"),
        (_one_more, "more than"),
        (_at_night, "sent in quiet hours"),
        (_after_the_end, "something happened after the end"),
    ],
)
def test_a_broken_promise_is_told(tmp_path: Path, tamper: Callable[[Rows], None], told: str) -> None:
    """In one at least of ten worlds that keep it."""
    project, found = build(tmp_path, cases(range(130, 140)))
    sentences = []
    for case in found:
        came = came_of(project, case.scenario)
        assert not list(broken_promises(project, case, came))
        rows: Rows = {section: [json.loads(row) for row in texts] for section, texts in came.items()}
        tamper(rows)
        sentences += broken_promises(project, case, _as_record(rows))
    assert any(told in sentence for sentence in sentences)


def test_a_difference_is_told_with_the_rows_of_both() -> None:
    assert differences({"messages": ("a", "b")}, {"messages": ("b", "c")}) == ["  - messages: a", "  + messages: c"]


def _as_record(rows: Mapping[str, list[dict[str, Any]]]) -> Record:
    return {section: tuple(json.dumps(row) for row in each) for section, each in rows.items()}
