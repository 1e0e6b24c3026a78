"""What a send may do under its topic: channels, other addresses."""

from __future__ import annotations

from engine.language.authored import Authored
from engine.language.diagnostics import Problems
from engine.language.journey_file import JourneyFile
from engine.language.source import ListNode, ScalarNode
from engine.plan.model import Send


def check(authored: Authored, problems: Problems) -> None:
    """Reports sends that their topic does not allow."""
    for journey in authored.journeys.values():
        for step in journey.plan.steps.values():
            if isinstance(step, Send):
                _check_send(step, journey, authored, problems)


def _check_send(step: Send, journey: JourneyFile, authored: Authored, problems: Problems) -> None:
    topic = authored.project.topics.get(step.topic)
    if topic is None:
        return  # an unknown topic is reported by its name
    node = journey.places[step.step_id]
    for channel in _channel_nodes(node.pairs["send"].value):
        if topic.channels and channel.value in step.channels and channel.value not in topic.channels:
            if channel.value not in authored.project.channel_names:
                continue
            allowed = ", ".join(f"`{each}`" for each in topic.channels)
            message = f"the topic `{topic.name}` does not allow the channel `{channel.value}`"
            problems.error("SJ501", channel, message, f"it allows {allowed}")
    if step.to is not None and topic.kind != "internal":
        hint = "send it under a topic of `kind: internal`"
        message = f"`to` names another address than the person's, and the topic `{topic.name}` is {topic.kind}"
        problems.error("SJ503", node.pairs["to"].key, message, hint)


def _channel_nodes(node: object) -> list[ScalarNode]:
    items = node.items if isinstance(node, ListNode) else (node,)
    return [item for item in items if isinstance(item, ScalarNode)]
