"""Promises of the language that hold in every world, looked for in what came and not in how it came about."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, time, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from engine.project import Project
from engine.schedule import parse_days
from tests.scenarios.fuzz.journeys import Document
from tests.scenarios.fuzz.record import Record
from tests.scenarios.fuzz.seeds import Case

Row = Mapping[str, Any]


def broken_promises(project: Project, case: Case, record: Record) -> Iterator[str]:
    """A sentence for each promise that this world breaks."""
    came = {name: [json.loads(row) for row in rows] for name, rows in record.items()}
    own = {journey["journey"] for journey in case.journeys}
    sent = sorted(
        (row for row in came["decisions"] if row["outcome"] in ("sent", "held_out") and row["journey"] in own),
        key=lambda row: row["at"],
    )
    marketing = [row for row in sent if _is_marketing(project, row)]
    yield from _nights(project, marketing)
    yield from _caps(project, marketing)
    yield from _windows(case, sent)
    for row in sent:
        if "expires_at" in row["inputs"] and _at(row) > datetime.fromisoformat(row["inputs"]["expires_at"]):
            yield f"sent after it had expired: {row}"
    yield from _trails(came["trail"])
    # Two that became one have the past, the addresses and the enrollments of both.
    if not any("alias" in row for row in case.scenario["events"]):
        yield from _enrollments(case, came["enrollments"])
        yield from _exits(case, came["enrollments"])
        yield from _refusals(case, came["messages"])


def _is_marketing(project: Project, row: Row) -> bool:
    return project.topics[row["inputs"]["topic"]].kind == "marketing"


def _nights(project: Project, marketing: Sequence[Row]) -> Iterator[str]:
    for row in marketing:
        local = _local(row)
        for hours in project.quiet_hours:
            is_quiet = _within(local, hours.from_, hours.to) and row["channel"] in (hours.channels or (row["channel"],))
            # An hour that occurs twice is the night's once; one that does not exist, never.
            if is_quiet and not _is_near_a_change(row):
                yield f"sent in quiet hours: {row}"


def _caps(project: Project, marketing: Sequence[Row]) -> Iterator[str]:
    by_person: dict[str, list[Row]] = defaultdict(list)
    for row in marketing:
        by_person[row["profile"]].append(row)
    for rows in by_person.values():
        for cap in project.caps:
            counted = [_at(row) for row in rows if not cap.channels or row["channel"] in cap.channels]
            for first, over in zip(counted, counted[cap.at_most :], strict=False):
                if over - first < timedelta(seconds=cap.per_seconds):
                    yield f"more than {cap.at_most} in {cap.per_seconds} s: at {over} to {rows[0]['profile']}"


def _windows(case: Case, sent: Sequence[Row]) -> Iterator[str]:
    windows = {step["id"]: step["window"] for step in _steps(case.journeys) if "window" in step}
    for row in sent:
        window = windows.get(row["step"])
        if window is None or _is_near_a_change(row):
            continue
        local = _local(row)
        days = window.get("days", "mon-sun")
        allowed = parse_days(days if isinstance(days, str) else ",".join(days))
        # What crosses midnight belongs to the day on which it began.
        began = local - timedelta(days=1) if window["to"] < window["from"] and _clock(local) < window["to"] else local
        if not _within(local, window["from"], window["to"]) or began.isoweekday() not in allowed:
            yield f"sent outside of its window {window}: {row}"


def _enrollments(case: Case, enrollments: Sequence[Row]) -> Iterator[str]:
    rules = {journey["journey"]: journey.get("entry", {}) for journey in case.journeys}
    lives: dict[tuple[str, str, str], list[Row]] = defaultdict(list)
    for row in sorted(enrollments, key=lambda row: (row["entered_at"], row["state"] == "active", row["at"])):
        lives[row["journey"], row["profile"], row["key"]].append(row)
    for (journey, *_), rows in lives.items():
        again = rules[journey].get("again", "always")
        restarts = rules[journey].get("when_active") == "restart"
        for one, other in pairwise(rows):
            if one["state"] == "active" or other["entered_at"] < one["at"]:
                yield f"two live enrollments under one key: {one} and {other}"
            if again == "never" and not restarts:
                yield f"entered again in spite of `never`: {other}"
            if isinstance(again, dict) and not restarts:
                span = timedelta(hours=2 if again["after"] == "2h" else 24)
                if datetime.fromisoformat(other["entered_at"]) - datetime.fromisoformat(one["entered_at"]) < span:
                    yield f"entered again too early: {other}"


def _trails(trail: Sequence[Row]) -> Iterator[str]:
    ends = {row["enrollment"]: row["at"] for row in trail if row["what"] == "ended"}
    for row in trail:
        if row["enrollment"] in ends and row["at"] > ends[row["enrollment"]] and row["what"] != "converted":
            yield f"something happened after the end: {row}"


def _exits(case: Case, enrollments: Sequence[Row]) -> Iterator[str]:
    """An event that ends everybody inside, whatever it says, leaves nobody inside."""
    start = datetime.fromisoformat(case.scenario["start"])
    names = [row.get("message_id") for row in case.scenario["events"]]
    for journey in case.journeys:
        events = {each["event"] for each in journey.get("exit", ()) if "event" in each and "if" not in each}
        for row in case.scenario["events"]:
            if row.get("event") not in events or "timestamp" in row or names.count(row["message_id"]) > 1:
                continue
            at = start + timedelta(minutes=int(row["at"].removesuffix("m")))
            for life in enrollments:
                if (life["journey"], life["profile"]) != (journey["journey"], row["profile"]):
                    continue
                # A trigger may be stamped five minutes ahead.
                entered = datetime.fromisoformat(life["entered_at"]) + timedelta(minutes=5)
                if entered < at and (life["state"] == "active" or at < _at(life)):
                    yield f"still inside after {row['event']} at {at}: {life}"


def _refusals(case: Case, messages: Sequence[Row]) -> Iterator[str]:
    """Who has said STOP, or no to everything, and has not taken it back, gets nothing of that kind."""
    start = datetime.fromisoformat(case.scenario["start"])
    rows = case.scenario["events"]
    for number, row in enumerate(rows):
        taken_back = any(
            each.get("profile") == row.get("profile")
            and (each.keys() & {"grant", "confirm"} or each.get("reply") == "START")
            for each in rows[number:]
        )
        at = start + timedelta(minutes=int(row["at"].removesuffix("m")))
        later = [each for each in messages if each["profile"] == row.get("profile") and _at(each) > at]
        if taken_back:
            continue
        if row.get("withdraw") == {}:
            later = [each for each in later if each["topic"] != "orders"]
        elif row.get("reply") == "STOP":
            later = [each for each in later if each["channel"].startswith("sms")]
        elif row.get("bounce") == "hard":
            later = [each for each in later if each["channel"] == row["channel"]]
        else:
            continue
        has_address = any(each["id"] == row["profile"] for each in case.scenario["profiles"])
        for each in later:
            if has_address:
                yield f"sent in spite of {row}: {each['step']} at {each['at']}"


# ── words ────────────────────────────────────────────────────────────────────────────────────────────────────────────
def _steps(value: Any) -> Iterator[Document]:
    match value:
        case dict():
            if "id" in value:
                yield value
            for each in value.values():
                yield from _steps(each)
        case list():
            for each in value:
                yield from _steps(each)


def _at(row: Row) -> datetime:
    return datetime.fromisoformat(row["at"])


def _local(row: Row) -> datetime:
    return _at(row).astimezone(ZoneInfo(row["inputs"]["zone"]))


def _clock(local: datetime) -> str:
    return time(local.hour, local.minute).isoformat("minutes")


def _within(local: datetime, begin: str, end: str) -> bool:
    clock = _clock(local)
    return begin <= clock < end if begin < end else clock >= begin or clock < end


def _is_near_a_change(row: Row) -> bool:
    zone = ZoneInfo(row["inputs"]["zone"])
    return len({(_at(row) + timedelta(hours=hours)).astimezone(zone).utcoffset() for hours in (-4, 0, 4)}) > 1
