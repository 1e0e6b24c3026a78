"""How people enter and leave a journey: triggers, entry, exits, goal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, cast

from engine.errors import BadInput
from engine.language.fields import Fields, as_mapping
from engine.language.mentions import Mentions
from engine.language.source import ListNode, MapNode, Node
from engine.plan.model import (
    ApiTrigger,
    ConditionExit,
    DateTrigger,
    Entry,
    EventExit,
    EventTrigger,
    Exit,
    Goal,
    InactiveTrigger,
    JourneyTrigger,
    Limit,
    ScheduleTrigger,
    SegmentExit,
    SegmentTrigger,
    Trigger,
)
from engine.schedule import check_cron

_EnterLeave = Literal["enter", "leave"]

_TRIGGER_KEYS: Mapping[str, tuple[str, ...]] = {
    "event": ("event", "if"),
    "segment": ("segment", "on", "if"),
    "inactive": ("inactive", "for", "if"),
    "date": ("date", "at", "every", "if"),
    "schedule": ("schedule", "to", "zone", "if"),
    "api": ("api", "if"),
    "journey": ("journey", "on", "reason", "if"),
}
_EXIT_KEYS: Mapping[str, tuple[str, ...]] = {
    "event": ("event", "if", "reason"),
    "segment": ("segment", "on", "if", "reason"),
}


def one_or_many(node: Node | None) -> tuple[Node, ...]:
    """The items of a list, or the node itself."""
    if node is None:
        return ()
    return node.items if isinstance(node, ListNode) else (node,)


class Doors:
    """Reads a journey's ways in and out."""

    def __init__(self, mentions: Mentions) -> None:
        self._mentions = mentions
        self._problems = mentions.problems

    # ── triggers ─────────────────────────────────────────────────────────────────────────────────────────────────────
    def triggers(self, node: Node | None) -> tuple[Trigger, ...]:
        """One, or a list."""
        read = (self._trigger(item) for item in one_or_many(node))
        return tuple(trigger for trigger in read if trigger)

    def _trigger(self, node: Node) -> Trigger | None:
        mapping = as_mapping(node, self._problems, "a trigger", "such as `{event: Order Completed}`")
        if mapping is None:
            return None
        kinds = [key for key in mapping.pairs if key in _TRIGGER_KEYS]
        if len(kinds) != 1:
            message = f"a trigger is one of {', '.join(f'`{kind}`' for kind in _TRIGGER_KEYS)}"
            if kinds:
                hint = "write a list with one trigger each"
                self._problems.error("SJ211", mapping.pairs[kinds[1]].key, f"{message}, not several", hint)
            else:
                anywhere = dict.fromkeys(key for keys in _TRIGGER_KEYS.values() for key in keys)
                Fields(mapping, self._problems, "a trigger", tuple(anywhere))
                self._problems.error("SJ202", mapping, message)
            return None
        kind = kinds[0]
        readers: Mapping[str, Callable[[Fields], Trigger | None]] = {
            "event": self._event_trigger,
            "segment": self._segment_trigger,
            "inactive": self._inactive_trigger,
            "date": self._date_trigger,
            "schedule": self._schedule_trigger,
            "api": self._api_trigger,
            "journey": self._journey_trigger,
        }
        return readers[kind](Fields(mapping, self._problems, f"the trigger `{kind}`", _TRIGGER_KEYS[kind]))

    def _event_trigger(self, fields: Fields) -> Trigger | None:
        event = self._mentions.name("event", fields.get("event"), "`event`")
        condition = self._before(fields, event)
        return EventTrigger(event=event, condition=condition) if event else None

    def _segment_trigger(self, fields: Fields) -> Trigger | None:
        segment = self._mentions.name("segment", fields.get("segment"), "`segment`")
        on = cast("_EnterLeave", fields.word("on", ("enter", "leave")) or "enter")
        condition = self._before(fields)
        return SegmentTrigger(segment=segment, on=on, condition=condition) if segment else None

    def _inactive_trigger(self, fields: Fields) -> Trigger | None:
        event = fields.text("inactive")
        if event is not None and event != "any":
            self._mentions.name("event", fields.get("inactive"), "`inactive`")
        for_seconds = fields.duration("for", is_positive=True) if fields.need("for") else None
        condition = self._before(fields)
        if event is None or not for_seconds:
            return None
        return InactiveTrigger(event=None if event == "any" else event, for_seconds=for_seconds, condition=condition)

    def _date_trigger(self, fields: Fields) -> Trigger | None:
        date = self._mentions.condition(fields.get("date"), "`date`", standing="before", is_moment=True)
        at = fields.time("at") if fields.need("at") else None
        every = fields.word("every", ("year",))
        condition = self._before(fields)
        if date is None or at is None:
            return None
        return DateTrigger(date=date, at=at, is_yearly=every == "year", condition=condition)

    def _schedule_trigger(self, fields: Fields) -> Trigger | None:
        cron = fields.text("schedule")
        if cron is not None:
            try:
                check_cron(cron)
            except BadInput as error:
                hint = 'such as "0 9 * * MON", Mondays at nine'
                self._problems.error("SJ208", fields.node.pairs["schedule"].value, str(error), hint)
                cron = None
        fields.need("to")
        to = self._mentions.name("segment", fields.get("to"), "`to`")
        zone = cast("Literal['project', 'profile']", fields.word("zone", ("project", "profile")) or "project")
        condition = self._before(fields)
        return ScheduleTrigger(cron=cron, to=to, zone=zone, condition=condition) if cron and to else None

    def _api_trigger(self, fields: Fields) -> Trigger | None:
        is_on = fields.boolean("api")
        if is_on is False:
            self._problems.error("SJ204", fields.place("api"), "`api` can only be true", "leave the trigger out")
        return ApiTrigger(condition=self._mentions.condition(fields.get("if"), "`if`", standing="called"))

    def _journey_trigger(self, fields: Fields) -> Trigger | None:
        journey = self._mentions.name("journey", fields.get("journey"), "`journey`")
        fields.word("on", ("ended",))
        reason = fields.name("reason")
        condition = self._mentions.condition(fields.get("if"), "`if`", standing="ended")
        return JourneyTrigger(journey=journey, reason=reason, condition=condition) if journey else None

    def _before(self, fields: Fields, event: str | None = None) -> str | None:
        events = (event,) if event else ()
        return self._mentions.condition(fields.get("if"), "`if`", standing="before", events=events)

    # ── entry ────────────────────────────────────────────────────────────────────────────────────────────────────────
    def entry(self, node: Node | None) -> Entry:
        """Who may enter; the default where nothing is said."""
        mapping = None if node is None else as_mapping(node, self._problems, "`entry`", "such as `{again: never}`")
        if mapping is None:
            return Entry()
        keys = ("key", "if", "when_active", "again", "ignore_older_than", "limit")
        fields = Fields(mapping, self._problems, "`entry`", keys)
        key = self._mentions.condition(fields.get("key"), "`key`", standing="entry")
        condition = self._mentions.condition(fields.get("if"), "`if`", standing="entry")
        when_active = fields.word("when_active", ("ignore", "restart"))
        again, after = self._again(fields)
        older = fields.duration("ignore_older_than")
        return Entry(
            key=key,
            condition=condition,
            when_active=cast("Literal['ignore', 'restart']", when_active or "ignore"),
            again=again,
            again_after_seconds=after,
            ignore_older_than_seconds=86_400 if older is None else older,
            limit=self._limit(fields),
        )

    def _again(self, fields: Fields) -> tuple[Literal["always", "never", "after"], int | None]:
        node = fields.get("again")
        if not isinstance(node, MapNode):
            hint = "allowed: `always`, `never`, `{after: 7d}`"
            word = fields.word("again", ("always", "never"), hint=hint) or "always"
            return cast("Literal['always', 'never']", word), None
        inner = Fields(node, self._problems, "`again`", ("after",))
        after = inner.duration("after", is_positive=True) if inner.need("after") else None
        return ("always", None) if after is None else ("after", after)

    def _limit(self, fields: Fields) -> Limit | None:
        mapping = fields.mapping("limit")
        if mapping is None:
            return None
        inner = Fields(mapping, self._problems, "`limit`", ("at_most", "per"))
        inner.need("at_most", "per")
        at_most = inner.number("at_most", least=0, hint="such as `{at_most: 500, per: 1h}`")
        per = inner.duration("per", is_positive=True)
        return None if at_most is None or not per else Limit(at_most=int(at_most), per_seconds=per)

    # ── exits and goal ───────────────────────────────────────────────────────────────────────────────────────────────
    def exits(self, node: Node | None) -> tuple[Exit, ...]:
        """One, or a list."""
        read = (self._exit(item) for item in one_or_many(node))
        return tuple(exit_ for exit_ in read if exit_)

    def _exit(self, node: Node) -> Exit | None:
        mapping = as_mapping(node, self._problems, "an exit", "such as `{event: Order Completed}`")
        if mapping is None:
            return None
        kinds = [key for key in mapping.pairs if key in _EXIT_KEYS]
        if len(kinds) > 1:
            hint = "write a list with one exit each"
            message = "an exit is an event, a segment or a condition, not several"
            self._problems.error("SJ211", mapping.pairs[kinds[1]].key, message, hint)
            return None
        if not kinds:
            fields = Fields(mapping, self._problems, "an exit", ("event", "segment", "if", "reason"))
            if "if" not in fields:
                self._problems.error("SJ202", mapping, "an exit needs one of `event`, `segment` and `if`")
            condition = self._condition(fields)
            reason = fields.name("reason") or "exit"
            return ConditionExit(condition=condition, reason=reason) if condition else None
        fields = Fields(mapping, self._problems, f"the exit `{kinds[0]}`", _EXIT_KEYS[kinds[0]])
        reason = fields.name("reason") or "exit"
        if kinds[0] == "event":
            event = self._mentions.name("event", fields.get("event"), "`event`")
            condition = self._condition(fields, event)
            return EventExit(event=event, condition=condition, reason=reason) if event else None
        segment = self._mentions.name("segment", fields.get("segment"), "`segment`")
        on = cast("_EnterLeave", fields.word("on", ("enter", "leave")) or "leave")
        condition = self._condition(fields)
        return SegmentExit(segment=segment, on=on, condition=condition, reason=reason) if segment else None

    def goal(self, node: Node | None) -> Goal | None:
        """What the journey is for."""
        hint = "such as `{event: Order Completed, within: 7d}`"
        mapping = None if node is None else as_mapping(node, self._problems, "`goal`", hint)
        if mapping is None:
            return None
        fields = Fields(mapping, self._problems, "`goal`", ("event", "if", "within", "exit"))
        fields.need("event")
        event = self._mentions.name("event", fields.get("event"), "`event`")
        condition = self._condition(fields, event)
        within = fields.duration("within", is_positive=True)
        is_exit = fields.boolean("exit")
        if event is None:
            return None
        return Goal(event=event, condition=condition, within_seconds=within, is_exit=is_exit is not False)

    def _condition(self, fields: Fields, event: str | None = None) -> str | None:
        return self._mentions.condition(fields.get("if"), "`if`", events=(event,) if event else ())
