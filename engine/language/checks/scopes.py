"""What expressions may name where they stand."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from engine.expressions.scope import ANYTHING, Scope, Shape
from engine.language.authored import Authored
from engine.language.checks.catalogue import known_events
from engine.language.checks.starts import started_with
from engine.language.journey_file import JourneyFile
from engine.language.mentions import Usage
from engine.plan.model import ApiTrigger, Call, EventTrigger, JourneyTrigger, Set, Split, Step, WaitFor

#: What a journey's end hands on.
_ENDED = Shape(names={"journey": "string", "reason": "string", "key": "any"}, of="a journey's end")


class Scopes:
    """What may be named where."""

    def __init__(self, authored: Authored) -> None:
        project = authored.project
        self._events = known_events(project) if project.events is not None else None
        self._started = started_with(authored)
        self.everywhere = Scope(
            events=self._events,
            attributes={**_written(authored), **project.attributes} if project.attributes else None,
            segments=authored.segments,
            journeys=authored.journeys,
            channels=project.channel_names,
            topics=project.topic_names,
        )

    def of_journey(self, journey: JourneyFile) -> Scope:
        """Inside a journey."""
        steps = {step_id: self._left_behind(step) for step_id, step in journey.plan.steps.items()}
        # A step that could not be read has been reported; what it leaves behind is anybody's guess.
        unread: dict[str, dict[str, Shape | str]] = {
            step_id: {"event": Shape(is_open=True), "response": "any"}
            for step_id in journey.places
            if step_id not in journey.plan.steps
        }
        return replace(self.everywhere, trigger=self._trigger(journey), steps={**steps, **unread})

    def of_usage(self, usage: Usage, of_journey: Scope) -> Scope:
        """Where one expression stands."""
        event = self._shape(usage.events) if usage.events else None
        match usage.standing:
            case "before":
                return replace(of_journey, event=event, trigger=None, steps=None)
            case "called":
                return replace(of_journey, event=ANYTHING, trigger=ANYTHING, steps=None)
            case "ended":
                return replace(of_journey, event=_ENDED, trigger=_ENDED, steps=None)
            case "entry":
                return replace(of_journey, event=of_journey.trigger, steps=None)
            case "inside":
                return replace(of_journey, event=event)

    def _trigger(self, journey: JourneyFile) -> Shape:
        names: dict[str, str] = {}
        is_open = False
        for trigger in journey.plan.triggers:
            match trigger:
                case EventTrigger(event=event):
                    shape = self._shape((event,))
                    names |= shape.names
                    is_open = is_open or shape.is_open
                case JourneyTrigger():
                    names |= _ENDED.names
                case ApiTrigger():
                    is_open = True
        for started in self._started.get(journey.plan.journey, ()):
            names |= dict.fromkeys(started, "any")
        return Shape(names=names, is_open=is_open, of="what begins the journey")

    def _shape(self, events: Iterable[str]) -> Shape:
        """The properties of an event that is one of several."""
        names: dict[str, str] = {}
        is_open = self._events is None
        for event in events:
            listed = (self._events or {}).get(event)
            names |= listed or {}
            is_open = is_open or listed is None
        return Shape(names=names, is_open=is_open, of=" or ".join(f"the event `{event}`" for event in events))

    def _left_behind(self, step: Step) -> dict[str, Shape | str]:
        match step:
            case WaitFor():
                return {"event": self._shape([each.event for each in step.alternatives])}
            case Call():
                return {"response": "any"}
            case Split():
                return {"side": "string"}
            case _:
                return {}


def _written(authored: Authored) -> dict[str, str]:
    """Attributes that journeys themselves write."""
    written: dict[str, str] = {}
    for journey in authored.journeys.values():
        for step in journey.plan.steps.values():
            match step:
                case Set(values=values):
                    written |= dict.fromkeys(values, "any")
                case Call(save=save):
                    written |= dict.fromkeys(save, "any")
    return written
