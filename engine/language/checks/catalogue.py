"""Events and attributes against the project's catalogue, where it has one."""

from __future__ import annotations

from collections.abc import Mapping

from engine.delivery import receipt_events
from engine.language.authored import Authored
from engine.language.diagnostics import Problems, suggest
from engine.language.project_file import ProjectFile

_PAGE = dict.fromkeys(("name", "path", "url", "title", "referrer", "search", "category"), "string")
#: Events that nobody needs to list, since they are ours: providers' receipts, and page and screen calls.
OWN_EVENTS: Mapping[str, Mapping[str, str]] = {
    **dict.fromkeys(sorted(receipt_events.NAMES), receipt_events.PROPERTIES),
    "Page Viewed": _PAGE,
    "Screen Viewed": _PAGE,
}


def known_events(project: ProjectFile) -> Mapping[str, Mapping[str, str]]:
    """Every event that the project knows, with its properties."""
    return {**OWN_EVENTS, **(project.events or {})}


def check(authored: Authored, problems: Problems) -> None:
    """Warns of events that the catalogue lacks."""
    if authored.project.events is None:
        return
    known = known_events(authored.project)
    for journey in authored.journeys.values():
        for mention in journey.mentions.names:
            if mention.kind == "event" and mention.name not in known:
                message = f"the catalogue lacks the event `{mention.name}`"
                problems.warning("SJ103", mention.place, message, _hint(mention.name, known))


def _hint(name: str, known: Mapping[str, object]) -> str:
    near = suggest(name, known)
    return near if near.startswith("did you mean") else "add it under `events:` in sojourn.yml"
