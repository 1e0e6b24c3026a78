"""Verdicts as text, JSON and JUnit: expected and actual side by side, and the decisions that led there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from engine.schedule import format_duration
from engine.simulator.runner import Verdict
from engine.simulator.verdict import Mismatch

#: Characters that XML cannot say in any spelling.
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
#: What of a message is shown beside what was expected of it.
_SHOWN = (
    "at",
    "profile",
    "channel",
    "journey",
    "step",
    "to",
    "subject",
    "outcome",
    "reason",
    "state",
    "key",
    "converted",
    "event",
    "url",
    "via",
)


def report_text(verdicts: Sequence[Verdict], seconds: float) -> str:
    """One line a failure's beginning, then its details; a closing line with the counts."""
    lines: list[str] = []
    for verdict in verdicts:
        if not verdict.holds:
            lines += _failure(verdict)
    held = sum(verdict.holds for verdict in verdicts)
    lines.append(f"{held} of {len(verdicts)} scenarios hold ({seconds:.1f} s)")
    return "\n".join(lines)


def report_json(verdicts: Sequence[Verdict], seconds: float) -> str:
    """`{"scenarios": [{file, line, scenario, holds, problem, mismatches}], "held", "failed", "seconds"}`."""
    return json.dumps(
        {
            "scenarios": [
                {
                    "file": verdict.scenario.file,
                    "line": verdict.scenario.line,
                    "scenario": verdict.scenario.name,
                    "holds": verdict.holds,
                    "problem": verdict.problem,
                    "mismatches": [
                        {
                            "section": mismatch.section,
                            "sentence": mismatch.sentence,
                            "expected": [_plain(row) for row in mismatch.expected],
                            "actual": [_plain(row) for row in mismatch.actual],
                        }
                        for mismatch in verdict.mismatches
                    ],
                }
                for verdict in verdicts
            ],
            "held": sum(verdict.holds for verdict in verdicts),
            "failed": sum(not verdict.holds for verdict in verdicts),
            "seconds": round(seconds, 3),
        },
        indent=2,
        ensure_ascii=False,
    )


def report_junit(verdicts: Sequence[Verdict], seconds: float) -> str:
    """JUnit's XML: a test case a scenario."""
    failed = sum(not verdict.holds for verdict in verdicts)
    cases = []
    for verdict in verdicts:
        name, file = quoteattr(verdict.scenario.name), quoteattr(verdict.scenario.file)
        body = ""
        if not verdict.holds:
            message = verdict.problem or "; ".join(mismatch.sentence for mismatch in verdict.mismatches)
            body = f"<failure message={quoteattr(message)}>{escape(chr(10).join(_failure(verdict)))}</failure>"
        cases.append(
            f'<testcase classname={file} name={name} file={file} line="{verdict.scenario.line}">{body}</testcase>'
        )
    head = f'<testsuite name="sojourn" tests="{len(verdicts)}" failures="{failed}" time="{seconds:.3f}">'
    return _NO_XML.sub("\ufffd", "\n".join(['<?xml version="1.0" encoding="UTF-8"?>', head, *cases, "</testsuite>"]))


def _failure(verdict: Verdict) -> list[str]:
    scenario = verdict.scenario
    lines = [f"FAILS  {scenario.file}:{scenario.line}  {scenario.name}"]
    if verdict.problem:
        return [*lines, f"  {verdict.problem}", ""]
    for mismatch in verdict.mismatches:
        lines += ["", f"  {mismatch.sentence}", *_side_by_side(mismatch, scenario.start)]
    if verdict.observed:
        lines += ["", "  decisions:"]
        lines += [
            "    " + _line(row, scenario.start, ("at", "profile", "journey", "step", "channel", "outcome"))
            for row in verdict.observed.decisions
        ] or ["    none"]
    return [*lines, ""]


def _side_by_side(mismatch: Mismatch, start: datetime) -> Iterable[str]:
    named = [name for name in _SHOWN if any(name in row for row in mismatch.expected)] or list(_SHOWN)
    shown = [name for name in ("at", "profile", *named) if name in _SHOWN]
    left = [_line(row, start, tuple(row)) for row in mismatch.expected] or ["(none)"]
    right = [_line(row, start, tuple(dict.fromkeys(shown))) for row in mismatch.actual] or ["(none)"]
    width = min(max(len(line) for line in [*left, "expected"]), 70)
    yield f"    {'expected':<{width}} │ actual"
    for place in range(max(len(left), len(right))):
        one = left[place] if place < len(left) else ""
        other = right[place] if place < len(right) else ""
        yield f"    {one:<{width}} │ {other}"


def _line(row: Mapping[str, Any], start: datetime, names: Sequence[str]) -> str:
    return "  ".join(
        _moment(row[name], start) if isinstance(row[name], datetime) else f"{name}={row[name]}"
        for name in names
        if name in row and row[name] is not None
    )


def _moment(moment: datetime, start: datetime) -> str:
    offset = moment - start
    sign = "-" if offset < timedelta() else ""
    return f"{sign}{format_duration(abs(offset))} ({moment:%Y-%m-%dT%H:%M:%SZ})"


def _plain(value: Any) -> Any:
    match value:
        case datetime():
            return value.isoformat()
        case Mapping():
            return {name: _plain(inner) for name, inner in value.items() if name not in ("html", "text", "inputs")}
        case list() | tuple():
            return [_plain(inner) for inner in value]
        case _:
            return value
