"""Discord's API, by its published shapes and its description."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest

from channels.base import ChannelAdapter
from channels.chat.discord import Discord
from channels.testing.contract import HttpContract
from channels.testing.exhibit import HttpExhibit, Refusal
from channels.testing.server import Reply, ScriptedServer, Step
from engine.delivery.message import Message
from engine.errors import (
    ChannelConfigError,
    PermanentChannelError,
    TransientChannelError,
    UnsupportedMessage,
)
from tests.channels.described import described

MESSAGE_ID = "334385199974967042"
ROOM = "290926798999357250"
PERSON = "80351110224678912"
TAKEN = Reply(status=200, body={"id": MESSAGE_ID, "channel_id": ROOM, "nonce": "d0123456789abcdef01234567"})
OPENED = Reply(status=200, body={"id": ROOM, "type": 1})
SETTINGS = {"token": "d1sc0rd.b0t.t0ken"}


def no(code: int, status: int = 400) -> Reply:
    return Reply(status=status, body={"code": code, "message": "U0ANA0ANA: no"})


def throttled(seconds: float) -> Reply:
    return Reply(status=429, body={"message": "You are being rate limited.", "retry_after": seconds, "global": False})


class TestDiscord(HttpContract):
    adapter = Discord
    settings = SETTINGS
    exhibit = HttpExhibit(
        accepted=TAKEN,
        message_id=MESSAGE_ID,
        refusals=(
            Refusal(reply=no(50007, 403), reason="invalid_address"),
            Refusal(reply=no(10013, 404), reason="invalid_address"),
            Refusal(reply=no(10003, 404), reason="rejected"),
            Refusal(reply=no(50001, 403), reason="not_allowed"),
            Refusal(reply=no(50035), reason="rejected"),
            Refusal(reply=no(999999), reason="rejected"),
            Refusal(reply=no(50006), error=UnsupportedMessage),
            Refusal(reply=no(0, 401), error=ChannelConfigError),
            Refusal(reply=no(20026, 403), error=ChannelConfigError),
            Refusal(reply=no(40003, 429), error=TransientChannelError),
            Refusal(reply=throttled(64.57), error=TransientChannelError),
        ),
    )

    def message(self, **changes: Any) -> Message:
        return super().message(**{"to": f"channel:{ROOM}", **changes})

    @contextmanager
    def serving(self, *script: Step) -> Iterator[tuple[ChannelAdapter[Any], ScriptedServer]]:
        with super().serving(*script) as (adapter, server):
            yield adapter, server
            # That of direct rooms is not among the operations that we have the description of.
            for seen in server.seen:
                if seen.path != "/users/@me/channels":
                    described("discord").check_request(seen)

    def test_the_request_is_the_published_one(self) -> None:
        with self.serving(TAKEN) as (adapter, server):
            adapter.send(self.message())
        request = server.seen[0]
        assert (request.method, request.path) == ("POST", f"/channels/{ROOM}/messages")
        assert request.headers["authorization"] == "Bot d1sc0rd.b0t.t0ken"
        assert json.loads(request.body) == {
            "content": "Your cart waits, Ana",
            "allowed_mentions": {"parse": []},
            "nonce": "d0123456789abcdef01234567",
            "enforce_nonce": True,
        }

    def test_a_person_is_written_to_in_the_room_of_the_two(self) -> None:
        with self.serving(OPENED, TAKEN) as (adapter, server):
            assert adapter.send(self.message(to=PERSON)).provider_message_id == MESSAGE_ID
        opening, sending = server.seen
        assert (opening.method, opening.path) == ("POST", "/users/@me/channels")
        assert json.loads(opening.body) == {"recipient_id": PERSON}
        assert sending.path == f"/channels/{ROOM}/messages"

    def test_a_person_who_takes_no_message_is_so_at_either_step(self) -> None:
        for script in ((no(50033),), (OPENED, no(50007, 403))):
            with self.serving(*script) as (adapter, _), pytest.raises(PermanentChannelError) as caught:
                adapter.send(self.message(to=PERSON))
            assert caught.value.reason == "invalid_address"

    @pytest.mark.parametrize(
        "step", ["cut", Reply(status=200, body="{"), Reply(status=200, body={"id": None}), no(0, 500)]
    )
    def test_a_room_that_is_not_told_leaves_no_doubt_since_nothing_was_sent(self, step: Step) -> None:
        with self.serving(step) as (adapter, server), pytest.raises(TransientChannelError):
            adapter.send(self.message(to=PERSON))
        assert len(server.seen) == 1

    @pytest.mark.parametrize("address", ["ana", "channel:", "channel:general", "../users", "١٢٣"])
    def test_an_address_that_is_no_id_is_refused_for_good_and_goes_nowhere(self, address: str) -> None:
        with self.serving(TAKEN) as (adapter, server), pytest.raises(PermanentChannelError) as caught:
            adapter.send(self.message(to=address))
        assert caught.value.reason == "invalid_address"
        assert server.seen == []

    def test_blocks_are_embeds(self) -> None:
        with self.serving(TAKEN) as (adapter, server):
            adapter.send(self.message(blocks=({"title": "R&amp;D", "url": "https://shop.example"},)))
        assert json.loads(server.seen[0].body)["embeds"] == [{"title": "R&D", "url": "https://shop.example"}]
        assert Discord.check_blocks([{"title": "x"}]) == []
        assert Discord.check_blocks(["x"]) != []
        assert Discord.check_blocks([{}] * 11) != []

    def test_markup_from_a_profile_hides_no_link(self) -> None:
        with self.serving(TAKEN) as (adapter, server):
            adapter.send(self.message(text="[bank](https://evil.example)"))
        assert json.loads(server.seen[0].body)["content"] == "[bank]\\(https://evil.example)"

    def test_a_text_too_long_or_too_many_embeds_are_unsupported(self) -> None:
        for changes in ({"text": "a" * 2001}, {"blocks": ({"title": "x"},) * 11}):
            with pytest.raises(UnsupportedMessage):
                self.open().send(self.message(**changes))

    def test_the_wait_that_the_body_names_is_honoured(self) -> None:
        with self.serving(throttled(1.25)) as (adapter, _), pytest.raises(TransientChannelError) as caught:
            adapter.send(self.message())
        assert caught.value.retry_after == timedelta(seconds=1.25)
