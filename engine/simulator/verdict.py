"""Expectations held against what came: exactly where named, completely where the rule says complete."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from engine.simulator.observed import Observed
from engine.simulator.scenario import Expected

Row = Mapping[str, Any]

#: Times match to the second.
_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Mismatch:
    """One expectation that does not hold."""

    #: `messages`, `decisions`, …
    section: str
    sentence: str
    expected: tuple[Row, ...]
    actual: tuple[Row, ...]


def judge(expected: Expected, observed: Observed) -> tuple[Mismatch, ...]:
    """Everything that does not hold, in the order of the sections; empty where all holds."""
    found: list[Mismatch | None] = []
    if expected.messages is not None:
        found.append(_in_order("messages", expected.messages, observed.messages))
    if expected.system_messages is not None:
        found.append(_in_order("system_messages", expected.system_messages, observed.system_messages))
    if expected.messages_include is not None:
        found.append(_among("messages_include", expected.messages_include, observed.messages, distinct=True))
    if expected.decisions is not None:
        found.append(_among("decisions", expected.decisions, observed.decisions, distinct=False))
    if expected.enrollments is not None:
        found.extend(_enrollments(expected.enrollments, observed.enrollments))
    for section, rows, came in (
        ("entries_refused", expected.entries_refused, observed.entries_refused),
        ("emitted", expected.emitted, observed.emitted),
        ("calls", expected.calls, observed.calls),
    ):
        if rows is not None:
            found.append(_exactly(section, rows, came))
    if expected.profiles is not None:
        found.extend(_profiles(expected.profiles, observed.profiles))
    return tuple(mismatch for mismatch in found if mismatch)


# ── sections ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def _in_order(section: str, expected: Sequence[Row], actual: Sequence[Row]) -> Mismatch | None:
    """The complete list, by time; what came within one second in any order."""
    sentence = _count_sentence(section, len(expected), len(actual))
    if sentence is None:
        place = 0
        for _, group in groupby(actual, key=lambda row: _to_second(row["at"])):
            came = list(group)
            if not _pair_off(expected[place : place + len(came)], came):
                sentence = f"{section}: not those that were expected"
                break
            place += len(came)
    return _mismatch(section, sentence, expected, actual)


def _among(section: str, expected: Sequence[Row], actual: Sequence[Row], *, distinct: bool) -> Mismatch | None:
    missing = [row for row in expected if not any(_fits(row, came) for came in actual)]
    if not missing and distinct and not _pair_off(expected, actual, complete=False):
        missing = list(expected)
    sentence = f"{section}: {len(missing)} of {len(expected)} expected did not come" if missing else None
    return _mismatch(section, sentence, missing or expected, actual)


def _exactly(section: str, expected: Sequence[Row], actual: Sequence[Row]) -> Mismatch | None:
    sentence = _count_sentence(section, len(expected), len(actual))
    if sentence is None and not _pair_off(expected, actual):
        sentence = f"{section}: not those that were expected"
    return _mismatch(section, sentence, expected, actual)


def _enrollments(expected: Sequence[Row], actual: Sequence[Row]) -> list[Mismatch | None]:
    """Complete for each profile and journey named; an empty list says that there was none at all."""
    if not expected:
        return [_exactly("enrollments", expected, actual)]
    named = list(dict.fromkeys((row.get("profile"), row.get("journey")) for row in expected))
    found = []
    for profile, journey in named:
        rows = [row for row in expected if (row.get("profile"), row.get("journey")) == (profile, journey)]
        came = [row for row in actual if profile in (None, row["profile"]) and journey in (None, row["journey"])]
        found.append(_exactly("enrollments", rows, came))
    return found


def _profiles(expected: Sequence[Row], actual: Sequence[Row]) -> list[Mismatch | None]:
    found = []
    by_id = {row["id"]: row for row in actual}
    for row in expected:
        came = by_id.get(row.get("id"))
        if came is None:
            found.append(_mismatch("profiles", f"profiles: nobody is called {row.get('id')!r}", [row], []))
            continue
        wrong = [
            f"attribute {name} is {came['attributes'].get(name)!r}, not {value!r}"
            for name, value in (row.get("attributes") or {}).items()
            if not _equal(value, came["attributes"].get(name))
        ]
        wrong += [f"not in segment {name}" for name in row.get("segments") or () if name not in came["segments"]]
        wrong += [f"in segment {name}" for name in row.get("not_segments") or () if name in came["segments"]]
        sentence = f"profiles: {row['id']}: " + ", ".join(wrong) if wrong else None
        found.append(_mismatch("profiles", sentence, [row], [came]))
    return found


# ── rows ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
def _fits(expected: Row, actual: Row) -> bool:
    return all(_field(name, value, actual) for name, value in expected.items())


def _field(name: str, value: Any, actual: Row) -> bool:
    match name:
        case "at":
            return _same_time(value, actual["at"])
        case "contains":
            parts = [str(actual.get(part) or "") for part in ("html", "text", "subject")]
            return all(any(str(wanted) in part for part in parts) for wanted in value or ())
        case "key":
            return (None if value is None else str(value)) == actual.get("key")
        case _:
            return _equal(value, actual.get(name))


def _same_time(expected: datetime | None, actual: datetime | None) -> bool:
    if expected is None or actual is None:
        return expected is actual
    return -_SECOND < actual - expected < _SECOND


def _equal(expected: Any, actual: Any) -> bool:
    """Numbers as numbers, a boolean is no number, containers by their contents."""
    match expected:
        case bool() | None:
            return expected is actual
        case int() | float():
            return isinstance(actual, int | float) and not isinstance(actual, bool) and abs(expected - actual) < 1e-9
        case Mapping():
            return (
                isinstance(actual, Mapping)
                and expected.keys() == actual.keys()
                and all(_equal(value, actual[name]) for name, value in expected.items())
            )
        case list() | tuple():
            return (
                isinstance(actual, list | tuple) and len(expected) == len(actual) and all(map(_equal, expected, actual))
            )
        case _:
            return bool(expected == actual)


def _pair_off(expected: Sequence[Row], actual: Sequence[Row], *, complete: bool = True) -> bool:
    """Whether every expected row fits an actual one of its own (augmenting paths), none left over if `complete`."""
    if complete and len(expected) != len(actual):
        return False
    taken: dict[int, int] = {}

    def place(row: int, tried: set[int]) -> bool:
        for index, came in enumerate(actual):
            if index not in tried and _fits(expected[row], came):
                tried.add(index)
                if index not in taken or place(taken[index], tried):
                    taken[index] = row
                    return True
        return False

    return all(place(row, set()) for row in range(len(expected)))


def _to_second(moment: datetime) -> datetime:
    return (moment + timedelta(milliseconds=500)).replace(microsecond=0)


def _count_sentence(section: str, expected: int, actual: int) -> str | None:
    return None if expected == actual else f"{section}: {expected} expected, {actual} came"


def _mismatch(section: str, sentence: str | None, expected: Sequence[Row], actual: Sequence[Row]) -> Mismatch | None:
    if sentence is None:
        return None
    return Mismatch(section=section, sentence=sentence, expected=tuple(expected), actual=tuple(actual))
