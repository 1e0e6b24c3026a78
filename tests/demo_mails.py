"""Every mail that the demo shop sends in its six weeks, as its provider is handed it."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from channels.registry import adapter_infos
from engine.delivery.message import Capabilities, Message, SendResult
from engine.language.project import load_project
from engine.simulator.runner import collect_scenarios
from engine.simulator.timeline import play
from engine.simulator.virtual import VirtualCarrier
from engine.simulator.world import World
from engine.storage.memory import MemoryStore

ROOT = Path(__file__).parents[1]


class _Postbox:
    """A provider that keeps what it takes."""

    capabilities = Capabilities(kind="email", has_idempotency=True)

    def __init__(self) -> None:
        self.messages: list[Message] = []

    def send(self, message: Message) -> SendResult:
        self.messages.append(message)
        return SendResult(provider_message_id=message.delivery_id)


@cache
def demo_mails() -> tuple[Message, ...]:
    """In the order in which they are sent; links lead to https://shop.example."""
    project = load_project(ROOT, {}, adapter_infos())
    [weeks], problems = collect_scenarios(project, [ROOT / "journeys" / "tests" / "demo_week.yml"])
    assert problems == []
    postbox = _Postbox()
    world = World(project, weeks, MemoryStore(), adapters={"email": postbox})
    play(world, VirtualCarrier(world.engine, world.clock))
    return tuple(postbox.messages)


def file_name(message: Message) -> str:
    """`abandoned_cart-reminder-d0123.html`."""
    return "-".join([*message.metadata.values(), message.delivery_id[:5]])
