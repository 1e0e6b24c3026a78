"""Templates that sends name: that they exist, parse, and find every name they use.

Present are the catalogued properties of the event that triggers (where every way in gives them), the names of the
send's `with`, and what the renderer supplies. Anything else may be missing, and needs a `| default(…)`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from engine.language.authored import Authored
from engine.language.checks.starts import KEY, started_with
from engine.language.diagnostics import Place, Problems, Span, suggest
from engine.language.graph import reachable
from engine.language.journey_file import JourneyFile
from engine.language.source import plain
from engine.plan.model import EventTrigger, JourneyTrigger, Plan, Send, Trigger, WaitFor
from engine.project import Channel
from engine.rendering.inspect import TemplateFacts, inspect_template
from engine.rendering.library import PAGES, Library
from engine.rendering.sms_parts import outside_gsm, sms_size

#: Always there.
_SUPPLIED = ("project", "links", "locale", "profile", "trigger", "steps", "event")
_LINKS = ("unsubscribe", "preferences")
#: Of a text message, before somebody should hear what it costs.
_MOST_PARTS = 3


def check(authored: Authored, problems: Problems) -> None:
    """Reports what is wrong with every template that a send names."""
    inspector = _Inspector(authored, problems)
    started = started_with(authored)
    for journey in authored.journeys.values():
        present = _present_properties(journey, authored, started.get(journey.plan.journey, []))
        for step in journey.plan.steps.values():
            if isinstance(step, Send):
                inspector.check_send(step, journey, present)


class _Inspector:
    def __init__(self, authored: Authored, problems: Problems) -> None:
        self._authored = authored
        self._problems = problems
        self._library = Library(authored.root)
        self._facts: dict[tuple[str, str], TemplateFacts] = {}

    def check_send(self, step: Send, journey: JourneyFile, present: frozenset[str]) -> None:
        """One send on each of its channels."""
        for name in step.channels:
            channel = self._authored.project.channels.get(name)
            if channel:
                self._check_template(step, channel, journey, present)

    def _check_template(self, step: Send, channel: Channel, journey: JourneyFile, present: frozenset[str]) -> None:
        facts = self._inspect(channel.templates, step.template)
        self._check_exists(step, channel, journey.places[step.step_id].pairs["template"].value)
        self._check_names(step, facts, present, journey)
        topic = self._authored.project.topics.get(step.topic)
        if channel.kind == "email" and topic and topic.kind == "marketing":
            # What a file says that does not parse is unknown.
            broken = {problem.file for problem in facts.problems}
            for file in (each for each in facts.without_unsubscribe if each not in broken):
                hint = "add `{{ links.unsubscribe }}` or `{{ links.preferences }}`"
                message = f"a marketing email (topic `{topic.name}`) must let people unsubscribe"
                self._problems.error("SJ604", Span(file=file, line=1, column=1), message, hint)
        if channel.kind == "sms" and topic and topic.kind == "marketing":
            for file in facts.without_stop:
                hint = "end it with `Reply STOP to end`"
                message = f"a marketing text message (topic `{topic.name}`) does not say how to stop more of them"
                self._problems.warning("SJ606", Span(file=file, line=1, column=1), message, hint)
        if channel.kind == "sms":
            self._check_size(facts)
        if channel.kind == "chat":
            self._check_blocks(facts, channel)
        if channel.kind == "email":
            for file in facts.without_subject:
                hint = "begin the file with `---`, `subject: …`, `---`"
                self._problems.error("SJ605", Span(file=file, line=1, column=1), "the email has no subject", hint)

    def _check_size(self, facts: TemplateFacts) -> None:
        """Texts that are long whatever the names in them hold."""
        for file, said in facts.said.items():
            parts = sms_size(said.strip()).parts
            if parts > _MOST_PARTS:
                dear = outside_gsm(said)
                hint = f"without `{dear[:10]}` a part holds more than twice as much" if dear else "say less"
                message = f"the text message takes at least {parts} parts, and carriers charge for each"
                self._problems.warning("SJ609", Span(file=file, line=1, column=1), message, hint)

    def _check_blocks(self, facts: TemplateFacts, channel: Channel) -> None:
        channels = self._authored.project.channels
        # In an outage its backup sends the same message.
        for each in filter(None, (channel, channels.get(channel.backup or ""))):
            adapter = self._authored.adapters.get(each.use)
            for file, blocks in facts.blocks.items():
                for problem in adapter.check_blocks(plain(blocks)) if adapter else ():
                    place = Span(file=file, line=blocks.line, column=blocks.column)
                    self._problems.error("SJ610", place, f"the channel `{each.name}` cannot carry these: {problem}")

    def _check_exists(self, step: Send, channel: Channel, place: Place) -> None:
        extensions = PAGES if channel.kind == "email" else ("txt",)
        # A person of any locale falls back to the project's, then to the file without one.
        locales = self._library.locales(self._authored.project.locale)
        if self._library.find(channel.templates, step.template, extensions, locales):
            return
        name = f"{channel.templates}/{step.template}"
        hint = suggest(step.template, self._names(channel.templates))
        if not hint.startswith("did you mean"):
            hint = f"create `templates/{name}.{extensions[0]}`"
        self._problems.error("SJ601", place, f"there is no template `{name}`", hint)

    def _check_names(self, step: Send, facts: TemplateFacts, present: frozenset[str], journey: JourneyFile) -> None:
        for variable in facts.variables:
            if not _is_present(variable.path, step, journey.plan, present, self._authored):
                place = Span(file=variable.file, line=variable.line, column=variable.column)
                message = f"`{variable.path}` may be missing when `{journey.plan.journey}` sends this"
                hint = f"write `{{{{ {variable.path} | default(…) }}}}`"
                self._problems.error("SJ603", place, message, hint)

    def _inspect(self, folder: str, template: str) -> TemplateFacts:
        key = (folder, template)
        if key not in self._facts:
            facts = self._facts[key] = inspect_template(self._authored.root, folder, template, self._library)
            for problem in facts.problems:
                place = Span(file=problem.file, line=problem.line, column=problem.column)
                self._problems.error("SJ602", place, problem.message, problem.hint)
            for missing in facts.missing:
                place = Span(file=missing.file, line=missing.line, column=missing.column)
                message = f"there is no template `{missing.name}` in `templates/shared/` or `templates/`"
                self._problems.error("SJ601", place, message)
        return self._facts[key]

    def _names(self, folder: str) -> list[str]:
        """The templates of a folder, without locale and extension."""
        top = self._authored.root / "templates" / folder
        files = (path.relative_to(top).as_posix() for path in sorted(top.rglob("*")) if path.is_file())
        return list(dict.fromkeys(file.partition(".")[0] for file in files))


def _is_present(path: str, step: Send, plan: Plan, present: frozenset[str], authored: Authored) -> bool:
    # A list's members are as the list: the catalogue goes no deeper than a property.
    root, *rest = path.replace("[]", "").split(".")
    match root, rest:
        case _, _ if root in step.values:
            return True
        case _, []:
            return root in _SUPPLIED
        case "project", _:
            return True
        case "links", [name]:
            return name in _LINKS
        case "trigger", [name, *_]:
            return name in present
        case "steps", [step_id, "event", name, *_]:
            awaiting = plan.steps.get(step_id)
            return isinstance(awaiting, WaitFor) and _always_came(awaiting, name, step, plan, authored)
        case _:
            return False


def _always_came(awaiting: WaitFor, name: str, step: Send, plan: Plan, authored: Authored) -> bool:
    """Whether nobody gets to the send but by an awaited event that has the property: not after a time that ran out."""
    events = authored.project.events or {}
    without = replace(
        awaiting, alternatives=tuple(each for each in awaiting.alternatives if name not in events.get(each.event, ()))
    )
    return step.step_id not in reachable(plan, plan.first, within={**plan.steps, awaiting.step_id: without})


def _present_properties(journey: JourneyFile, authored: Authored, started: Iterable[frozenset[str]]) -> frozenset[str]:
    """The names of `trigger.` that every way into the journey supplies."""
    ways = [_supplied(trigger, authored) for trigger in journey.plan.triggers]
    ways += started
    # Without its key nobody enters.
    key = KEY.fullmatch(journey.plan.entry.key or "")
    return (frozenset.intersection(*ways) if ways else frozenset()) | frozenset([key[1]] if key else [])


def _supplied(trigger: Trigger, authored: Authored) -> frozenset[str]:
    match trigger:
        case EventTrigger(event=event):
            return frozenset((authored.project.events or {}).get(event, ()))
        case JourneyTrigger():
            # `key` may be none.
            return frozenset(["journey", "reason"])
        case _:
            return frozenset()
