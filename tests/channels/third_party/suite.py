"""The pager under the contract suite, as its own author would run it: the adapter comes through Sojourn's door."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from channels.base import ChannelAdapter
from channels.registry import known_adapters
from channels.testing.contract import ProviderContract, Stage
from channels.testing.server import closed_port
from engine.errors import ChannelConfigError, DoubtfulChannelError, PermanentChannelError, UnsupportedMessage

SETTINGS = {"host": "127.0.0.1", "port": 7000, "pin": "pin-s3cr3t"}
ANSWERS: Mapping[Stage, bytes] = {
    "accepted": b"ok p1\n",
    "refused": b"no unknown\n",
    "down": b"no later\n",
    "unanswered": b"",
}


class TestPager(ProviderContract):
    adapter = known_adapters()["pager"]
    settings = SETTINGS

    @contextmanager
    def at(self, stage: Stage) -> Iterator[ChannelAdapter[Any]]:
        if stage == "unreachable":
            yield self.adapter.open({**self.settings, "port": closed_port()}, self.context())
            return
        with self.exchange(ANSWERS[stage]) as (adapter, _):
            yield adapter

    @contextmanager
    def exchange(self, answer: bytes) -> Iterator[tuple[ChannelAdapter[Any], list[bytes]]]:
        heard: list[bytes] = []
        with socket.create_server(("127.0.0.1", 0)) as server:

            def serve() -> None:
                connection, _ = server.accept()
                with connection, connection.makefile("rb") as stream:
                    heard.append(stream.readline())
                    connection.sendall(answer)

            thread = threading.Thread(target=serve, daemon=True)
            thread.start()
            yield self.adapter.open({**self.settings, "port": server.getsockname()[1]}, self.context()), heard
            thread.join(60)

    def test_the_exchange_gets_one_line(self) -> None:
        with self.exchange(b"ok p1\n") as (adapter, heard):
            assert adapter.send(self.message()).provider_message_id == "p1"
        assert json.loads(heard[0]) == {"pin": "pin-s3cr3t", "to": "+447700900123", "text": "Your cart waits, Ana"}

    @pytest.mark.parametrize(
        ("answer", "error"),
        [
            (b"no unknown\n", PermanentChannelError),
            (b"no something-new\n", PermanentChannelError),
            (b"no long\n", UnsupportedMessage),
            (b"no pin\n", ChannelConfigError),
            (b"<html>\n", DoubtfulChannelError),
        ],
    )
    def test_each_answer_has_its_meaning(self, answer: bytes, error: type[Exception]) -> None:
        with self.exchange(answer) as (adapter, _), pytest.raises(error):
            adapter.send(self.message())
