"""A chat template's blocks, from the author's file to the provider's request: what a person wrote stays what it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from channels.base import AdapterContext
from channels.chat.blocks import as_meant
from channels.http import HttpAdapter
from channels.registry import known_adapters
from channels.testing.exhibit import sample_message
from engine.project import Channel, Project
from engine.rendering.renderer import Renderer

#: What somebody may call themselves.
NAME = 'R&D <!channel> "x" &amp; <https://evil.example|bank>'

CASES: dict[str, tuple[dict[str, str], str, str, str]] = {
    # adapter: settings, address, blocks, what the request holds as JSON
    "whatsapp": (
        {"access_token": "t", "phone_number_id": "1"},
        "+447700900123",
        "{template: cart_waits, language: en_GB, parameters: ['{{ name }}']}",
        json.dumps({"type": "text", "text": NAME}),
    ),
    "telegram": (
        {"token": "1:t"},
        "987654321",
        "{text: '{{ name }}', url: 'https://shop.example/?a=1&b=2'}",
        json.dumps([[{"text": NAME, "url": "https://shop.example/?a=1&b=2"}]]),
    ),
    "discord": (
        {"token": "t"},
        "channel:1",
        "{title: '{{ name }}'}",
        json.dumps([{"title": NAME}]),
    ),
    "teams": (
        {"url": "https://flows.example"},
        "ana",
        "{type: TextRun, text: '{{ name }}'}",
        json.dumps([{"type": "TextRun", "text": NAME}]),
    ),
}


@pytest.mark.parametrize("use", CASES)
def test_a_persons_words_in_a_block_arrive_as_they_wrote_them(use: str, tmp_path: Path) -> None:
    settings, address, block, expected = CASES[use]
    (tmp_path / "templates" / "chat").mkdir(parents=True)
    template = f"---\nblocks:\n  - {block}\n---\nHello {{{{ name }}}}\n"
    (tmp_path / "templates" / "chat" / "hello.txt").write_text(template, encoding="utf-8")
    channel = Channel(name="chat", kind="chat", use=use, settings=settings)
    project = Project(
        name="shop", root=tmp_path, timezone="UTC", locale="en", database="sqlite://", channels={"chat": channel}
    )
    rendered = Renderer(project).render(channel, "hello", "en", {"name": NAME})
    adapter: Any = known_adapters()[use].open(settings, AdapterContext(channel="chat", kind="chat"))
    assert isinstance(adapter, HttpAdapter)
    assert adapter.check_blocks(list(rendered.blocks)) == []
    message = sample_message("chat", to=address, text=rendered.text, blocks=rendered.blocks)
    sent = json.dumps(json.loads(adapter.compose(message).content))
    adapter.close()
    assert expected in sent


def test_only_escapes_are_undone_and_shapes_and_numbers_stay() -> None:
    block = {"a": ["&lt;b&gt; &amp;lt;", 1, True, None], "b": {"c": "x&y"}}
    assert as_meant(block) == {"a": ["<b> &lt;", 1, True, None], "b": {"c": "x&y"}}
