"""Names that must exist elsewhere: channels, topics, segments, journeys, steps."""

from __future__ import annotations

from collections.abc import Sequence

from engine.language.authored import Authored
from engine.language.diagnostics import Problems, suggest
from engine.language.fields import written
from engine.language.mentions import MentionKind

_CODES: dict[MentionKind, str] = {
    "channel": "SJ101",
    "topic": "SJ102",
    "segment": "SJ105",
    "journey": "SJ106",
    "step": "SJ107",
}


def check(authored: Authored, problems: Problems) -> None:
    """Reports every mention of what does not exist."""
    everywhere: dict[MentionKind, Sequence[str]] = {
        "channel": authored.project.channel_names,
        "topic": authored.project.topic_names,
        "segment": tuple(authored.segments),
        "journey": tuple(authored.journeys),
    }
    for journey in authored.journeys.values():
        known = {**everywhere, "step": tuple(journey.places)}
        for mention in journey.mentions.names:
            if mention.kind in known and mention.name not in known[mention.kind]:
                message = f"there is no {mention.kind} {written(mention.place)}"
                hint = suggest(mention.name, known[mention.kind])
                problems.error(_CODES[mention.kind], mention.place, message, hint)
