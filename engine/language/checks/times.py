"""Times that do not fit together: messages that can never go out, and periods that are over before they count."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from heapq import heappop, heappush
from zoneinfo import ZoneInfo

from engine.language.authored import Authored
from engine.language.diagnostics import Place, Problems
from engine.language.graph import successors
from engine.language.journey_file import JourneyFile
from engine.language.source import ListNode, MapNode
from engine.plan.model import CalendarDays, Elapsed, NextLocal, Plan, Repeat, Send, Step, Wait, WaitFor, Window
from engine.policy.moments import earliest_allowed
from engine.project import QuietHours
from engine.schedule import format_duration, local_moment

_DAY = 86_400
#: Any week serves: windows and quiet hours repeat weekly, and in this zone no clock changes.
_MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
_ZONE = ZoneInfo("UTC")


def check(authored: Authored, problems: Problems) -> None:
    """Reports both."""
    for journey in authored.journeys.values():
        if not journey.is_whole:
            continue
        _check_goal(journey, problems)
        for step_id, step in journey.plan.steps.items():
            if isinstance(step, Send):
                _check_send(step, journey, authored, problems)
            if isinstance(step, Repeat):
                _check_repeat(step, journey.places[step_id], journey.plan, problems)


# ── messages that can never go out ───────────────────────────────────────────────────────────────────────────────────
def _check_send(step: Send, journey: JourneyFile, authored: Authored, problems: Problems) -> None:
    topic = authored.project.topics.get(step.topic)
    if topic is None:
        return  # an unknown topic is reported by its name
    quiet_hours = authored.project.quiet_hours if topic.kind == "marketing" else ()
    places = _channel_places(journey.places[step.step_id], step)
    for channel in step.channels:
        if not _opens(quiet_hours, step.window, channel):
            message = f"this message can never go out on `{channel}`: quiet hours and window leave it no moment"
            problems.warning("SJ407", places[channel], message, "let the window open outside of the quiet hours")
            return
    if step.otherwise["quiet"].action == "wait" and step.expires_seconds is None:
        return  # whenever it is reached, it goes later
    moments = _moments(step.step_id, journey.plan)
    waits = [_wait(moment, step, quiet_hours) for moment in moments]
    if not waits or None in waits:
        return
    shortest = min(wait for wait in waits if wait is not None)
    if not shortest:
        return
    later = format_duration(timedelta(seconds=shortest))
    place = places[step.channels[0]]
    if step.otherwise["quiet"].action != "wait":
        message = f"this message can never go out: its step comes {later} or more before it may, and does not wait"
        problems.warning("SJ407", place, message, "say `otherwise: {quiet: wait}`, or wait until another time of day")
    elif step.expires_seconds is not None and step.expires_seconds < shortest:
        message = f"this message can never go out: its step comes {later} or more before it may, and it expires first"
        problems.warning("SJ407", place, message, "let it expire later, or wait until another time of day")


@lru_cache(maxsize=256)
def _opens(quiet_hours: tuple[QuietHours, ...], window: Window | None, channel: str) -> bool:
    """Whether there is any moment of a week at which a message may go."""
    return earliest_allowed(_MONDAY, _ZONE, quiet_hours, window, (), channel, ()) is not None


def _channel_places(node: MapNode, step: Send) -> Mapping[str, Place]:
    value = node.pairs["send"].value
    items = value.items if isinstance(value, ListNode) else (value,) * len(step.channels)
    return dict(zip(step.channels, items, strict=False))


def _earliest(moment: datetime, step: Send, channel: str, quiet_hours: tuple[QuietHours, ...]) -> datetime | None:
    return earliest_allowed(moment, _ZONE, quiet_hours, step.window, (), channel, ())


def _wait(moment: datetime, step: Send, quiet_hours: tuple[QuietHours, ...]) -> int | None:
    """Seconds until the first of the channels may carry it."""
    allowed = [_earliest(moment, step, channel, quiet_hours) for channel in step.channels]
    seconds = [int((each - moment).total_seconds()) for each in allowed if each is not None]
    return min(seconds, default=None)


def _moments(step_id: str, plan: Plan) -> list[datetime]:
    """The moments of a week at which people reach a step, where every way there is a wait for a local time.

    Empty: at any moment.
    """
    before: dict[str | None, list[Step]] = {}
    for step in plan.steps.values():
        for following in set(successors(step)):
            before.setdefault(following, []).append(step)
    moments: list[datetime] = []
    open_ = [step_id]
    for here in open_:
        if here == plan.first:
            return []
        for step in before.get(here, ()):
            landings = _landings(step)
            if landings is None and step.step_id not in open_:
                open_.append(step.step_id)
            elif landings is not None and not landings:
                return []
            moments += landings or []
    return moments


def _landings(step: Step) -> list[datetime] | None:
    """The moments at which a step lets people go on; empty: any; None: it takes no time of its own."""
    match step:
        case Wait(condition=None, for_=NextLocal(at=at, weekday=weekday)):
            days = range(7) if weekday is None else (weekday - 1,)
        case Wait(condition=None, for_=CalendarDays(at=str(at))):
            days = range(7)
        case Wait() | WaitFor() | Send() | Repeat():
            return []
        case _:
            return None
    return [local_moment(_MONDAY.date() + timedelta(days=day), at, _ZONE) for day in days]


# ── periods that are over before they count ──────────────────────────────────────────────────────────────────────────
def _check_goal(journey: JourneyFile, problems: Problems) -> None:
    goal, plan = journey.plan.goal, journey.plan
    node = journey.node.get("goal")
    if goal is None or goal.within_seconds is None or not isinstance(node, MapNode):
        return
    sends = [seconds for step_id, seconds in _soonest(plan, plan.first) if isinstance(plan.steps[step_id], Send)]
    if sends and min(sends) > goal.within_seconds:
        first = format_duration(timedelta(seconds=min(sends)))
        message = f"the goal's time is over before the first message, which comes after {first} at the soonest"
        problems.warning("SJ408", node.pairs["within"].value, message, "`within` counts from entry: make it longer")


def _check_repeat(step: Repeat, node: MapNode, plan: Plan, problems: Problems) -> None:
    inner = node.pairs["repeat"].value
    if not step.every_seconds or not isinstance(inner, MapNode):
        return
    took = dict(_soonest(plan, step.body, until=step.step_id)).get(step.step_id, 0)
    if took > step.every_seconds:
        message = f"a pass takes {format_duration(timedelta(seconds=took))} or more: the next one begins at once"
        hint = "`every` counts from the start of a pass: make it longer, or leave it out"
        problems.warning("SJ408", inner.pairs["every"].value, message, hint)


def _soonest(plan: Plan, first: str | None, *, until: str | None = None) -> Iterator[tuple[str, int]]:
    """Every step that may be reached from one, with the fewest seconds that it takes; not beyond `until`."""
    open_ = [(0, first)] if first else []
    done: set[str] = set()
    while open_:
        seconds, step_id = heappop(open_)
        if step_id in done or step_id not in plan.steps:
            continue
        done.add(step_id)
        yield step_id, seconds
        for following, more in _lasting(plan.steps[step_id]) if step_id != until else ():
            if following is not None:
                heappush(open_, (seconds + more, following))


def _lasting(step: Step) -> Iterator[tuple[str | None, int]]:
    """What may follow a step, with the fewest seconds that the step takes first."""
    if step.condition is not None:
        yield step.next, 0
    match step:
        case Wait(for_=Elapsed(seconds=seconds)):
            yield step.next, seconds
        case Wait(for_=CalendarDays(days=days, at=at)):
            # A day may be an hour short; until a time of day the last one may take no more than a moment.
            yield step.next, max(0, (days - (at is not None)) * _DAY - _DAY // 24)
        case WaitFor(within_seconds=int(within)):
            for awaited in step.alternatives:
                yield awaited.then or step.next, 0
            yield step.otherwise or step.next, within
        case _:
            for following in successors(step):
                yield following, 0
