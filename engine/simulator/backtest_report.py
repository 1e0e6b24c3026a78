"""What a journey would have done, for a person and for a program. Moments are local to the project's zone."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from engine.insight.people import iso
from engine.simulator.backtest import Backtest, Planned
from engine.simulator.backtest_difference import Difference

_INDENT = "  "


def report_text(ran: Backtest, zone: ZoneInfo, limit: int, seconds: float, difference: Difference | None = None) -> str:
    """The counts, the busiest hour, and the first `limit` messages; with a difference, what it consists of."""
    seen = ran.survey
    when = f"{_day(seen.first, zone)} to {_day(seen.last, zone)} ({zone.key})"
    lines = [
        f"{ran.journey} ({ran.version[:12]}) over {seen.events:,} events of {len(seen.people):,} people, {when}",
        "",
        f"{ran.enrollments:,} enrollments of {ran.entered:,} people; {ran.converted:,} reached the goal",
        *_counted("ended", {name: n for name, n in ran.endings.items() if name != "active"}),
        *_counted("still inside at the last event", {n: c for n, c in ran.endings.items() if n == "active"}),
        *_counted("not let in", ran.refusals),
    ]
    if ran.outcomes:
        rows = [
            (step, channel, outcome.replace("_", " "), f"{count:,}")
            for (_, step, channel), outcomes in ran.outcomes.items()
            for outcome, count in sorted(outcomes.items(), key=lambda item: -item[1])
        ]
        lines += ["", *_table(("step", "channel", "outcome", "times"), rows)]
    lines += ["", _messages_line(ran, zone)]
    if limit and ran.messages:
        lines += ["", *_table(("when", "who", "step", "channel", "subject"), _rows(ran.messages[:limit], zone))]
        if len(ran.messages) > limit:
            lines.append(f"{_INDENT}… and {len(ran.messages) - limit:,} more (--format json has all of them)")
    if difference:
        lines += ["", *_difference(difference, zone, limit)]
    lines += ["", f"{seconds:.1f} s, {ran.enrollments / seconds:,.0f} enrollments a second"]
    return "\n".join(lines)


def report_json(
    ran: Backtest, zone: ZoneInfo, limit: int | None, seconds: float, difference: Difference | None = None
) -> str:
    """Everything, as one JSON document; with a limit, so many messages of each list."""
    busiest = ran.busiest_hour()
    document: dict[str, Any] = {
        "journey": ran.journey,
        "version": ran.version,
        "zone": zone.key,
        "events": ran.survey.events,
        "people": len(ran.survey.people),
        "first": iso(ran.survey.first),
        "last": iso(ran.survey.last),
        "enrollments": ran.enrollments,
        "people_entered": ran.entered,
        "endings": dict(ran.endings),
        "converted": ran.converted,
        "entries_refused": dict(ran.refusals),
        "outcomes": [
            {"journey": journey, "step": step, "channel": channel, "outcome": outcome, "count": count}
            for (journey, step, channel), outcomes in ran.outcomes.items()
            for outcome, count in outcomes.items()
        ],
        "people_messaged": len({message.person for message in ran.messages}),
        "message_count": len(ran.messages),
        "busiest_hour": {"from": iso(busiest[0]), "messages": busiest[1]} if busiest else None,
        "messages": [_message(message) for message in ran.messages[:limit]],
        "seconds": round(seconds, 3),
    }
    if difference:
        document["difference"] = {
            "same": difference.same,
            "added_count": len(difference.added),
            "removed_count": len(difference.removed),
            "moved_count": len(difference.moved),
            "added": [_message(message) for message in difference.added[:limit]],
            "removed": [_message(message) for message in difference.removed[:limit]],
            "moved": [{**_message(after), "before": iso(before.at)} for before, after in difference.moved[:limit]],
        }
    return json.dumps(document, indent=2, ensure_ascii=False)


def _message(message: Planned) -> dict[str, Any]:
    return {
        "at": iso(message.at),
        "profile": message.person,
        "journey": message.journey,
        "step": message.step,
        "channel": message.channel,
        "subject": message.subject,
    }


def _messages_line(ran: Backtest, zone: ZoneInfo) -> str:
    busiest = ran.busiest_hour()
    if busiest is None:
        return "No message would have been sent."
    people = len({message.person for message in ran.messages})
    hour, count = busiest
    local = hour.astimezone(zone)
    return (
        f"{len(ran.messages):,} messages to {people:,} people; "
        f"the busiest hour is {local:%a %Y-%m-%d %H:%M} with {count:,} of them"
    )


def _difference(difference: Difference, zone: ZoneInfo, limit: int) -> Iterator[str]:
    yield (
        f"against the other version: {difference.same:,} messages the same, {len(difference.added):,} more, "
        f"{len(difference.removed):,} fewer, {len(difference.moved):,} at another moment"
    )
    for sign, messages in (("+", difference.added), ("-", difference.removed)):
        for row in _table(("when", "who", "step", "channel", "subject"), _rows(messages[:limit], zone))[1:]:
            yield f"{sign}{row}"
    moved = [
        (_moment(before.at, zone), "→", _moment(after.at, zone), after.person, after.step)
        for before, after in difference.moved[:limit]
    ]
    yield from _table(("before", "", "now", "who", "step"), moved) if moved else ()


def _counted(what: str, counts: Mapping[str, int]) -> Iterator[str]:
    if counts:
        told = ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in _largest_first(counts))
        yield f"{_INDENT}{what}: {told}"


def _largest_first(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _rows(messages: Sequence[Planned], zone: ZoneInfo) -> list[tuple[str, ...]]:
    return [(_moment(m.at, zone), m.person, m.step, m.channel, m.subject or "") for m in messages]


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns as wide as what stands in them; the last one, and numbers, as they are."""
    widths = [max(len(row[place]) for row in (headings, *rows)) for place in range(len(headings))]
    return [
        _INDENT + "  ".join(_set(cell, width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (headings, *rows)
    ]


def _set(cell: str, width: int) -> str:
    return cell.rjust(width) if cell.replace(",", "").isdigit() else cell.ljust(width)


def _moment(at: datetime, zone: ZoneInfo) -> str:
    return f"{at.astimezone(zone):%Y-%m-%d %a %H:%M}"


def _day(at: datetime, zone: ZoneInfo) -> str:
    return f"{at.astimezone(zone):%Y-%m-%d}"
