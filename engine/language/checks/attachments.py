"""Files that sends attach: that each is there and may be sent, and that every channel of the send can carry it."""

from __future__ import annotations

from engine.language.authored import Authored
from engine.language.diagnostics import Problems
from engine.language.journey_file import JourneyFile
from engine.language.source import ListNode, Node
from engine.plan.model import Send
from engine.rendering.attachments import Attachments


def check(authored: Authored, problems: Problems) -> None:
    """Reports attachments that could not be sent."""
    files = Attachments(authored.root)
    for journey in authored.journeys.values():
        for step in journey.plan.steps.values():
            if isinstance(step, Send) and step.attachments:
                _check_files(step, journey, files, problems)
                _check_channels(step, journey, authored, problems)


def _check_files(step: Send, journey: JourneyFile, files: Attachments, problems: Problems) -> None:
    found = files.problem(step.attachments)
    if found:
        name, why = found
        node = journey.places[step.step_id].pairs["attachments"].value
        problems.error("SJ607", _item(node, step.attachments.index(name)), f"the attachment `{name}` {why}")


def _check_channels(step: Send, journey: JourneyFile, authored: Authored, problems: Problems) -> None:
    channels = authored.project.channels
    place = journey.places[step.step_id].pairs["attachments"].key
    for name in step.channels:
        channel = channels.get(name)
        # Of one in an outage, its backup sends the same message.
        for each in (channel, channels.get(channel.backup or "") if channel else None):
            adapter = authored.adapters.get(each.use) if each else None
            if each and adapter and not (adapter.has_attachments and each.kind == "email"):
                hint = "send it by email alone, or link to the file"
                problems.error("SJ608", place, f"the channel `{each.name}` carries no attachments", hint)


def _item(node: Node, index: int) -> Node:
    return node.items[index] if isinstance(node, ListNode) else node
