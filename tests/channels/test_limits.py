"""The longest text that a provider takes is handed over; one character more asks nobody."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from channels.base import AdapterContext
from channels.http import HttpAdapter
from channels.registry import known_adapters
from channels.testing.exhibit import sample_message
from engine.delivery.message import Message
from engine.errors import UnsupportedMessage
from engine.project import ChannelKind

SECRET = "s3" + "cret"
AMAZON = {"region": "eu-west-1", "access_key_id": "AKIA", "secret_access_key": SECRET}
#: Adapter: settings, an address, and the characters of a text.
TEXTS: dict[str, tuple[ChannelKind, dict[str, Any], str, int]] = {
    "twilio": ("sms", {"account_sid": "AC1", "auth_token": SECRET, "from": "+34600000000"}, "+34600111222", 1600),
    "plivo": ("sms", {"auth_id": "MA1", "auth_token": SECRET, "src": "+34600000000"}, "+34600111222", 1600),
    "sns": ("sms", AMAZON, "+34600111222", 1600),
    "sinch": ("sms", {"service_plan_id": "p", "api_token": SECRET, "from": "Shop"}, "+34600111222", 2000),
    "slack": ("chat", {"token": SECRET}, "U123", 40_000),
    "whatsapp": ("chat", {"access_token": SECRET, "phone_number_id": "1"}, "+34600111222", 4096),
    "telegram": ("chat", {"token": SECRET}, "4242", 4096),
    "discord": ("chat", {"token": SECRET}, "channel:42", 2000),
}


def adapter(name: str) -> HttpAdapter[Any]:
    kind, settings, _, _ = TEXTS[name]
    opened = known_adapters()[name].open(settings, AdapterContext(channel="main", kind=kind))
    assert isinstance(opened, HttpAdapter)
    return opened


def message(name: str, text: str) -> Message:
    kind, _, to, _ = TEXTS[name]
    return sample_message(kind, to=to, text=text)


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("character", ["x", "é", "🎉"])
def test_the_longest_text_is_composed_and_a_longer_one_is_unsupported(name: str, character: str) -> None:
    longest = TEXTS[name][3]
    opened = adapter(name)
    assert isinstance(opened.compose(message(name, character * longest)), httpx.Request)
    with pytest.raises(UnsupportedMessage, match=f"at most {longest} characters"):
        opened.compose(message(name, character * (longest + 1)))
    opened.close()


@pytest.mark.parametrize(("name", "most"), [("slack", 50), ("discord", 10)])
def test_as_many_blocks_as_a_provider_takes_are_fine_and_one_more_is_not(name: str, most: int) -> None:
    check = known_adapters()[name].check_blocks
    block = {"type": "divider"}
    assert check([block] * most) == []
    assert [f"at most {most}" in problem for problem in check([block] * (most + 1))] == [True]


@pytest.mark.parametrize(
    ("name", "pool"), [("twilio", {"messaging_service_sid": "MG1"}), ("plivo", {"powerpack_uuid": "p-1"})]
)
def test_a_sender_or_a_pool_of_them_is_named_and_not_both(name: str, pool: dict[str, str]) -> None:
    settings = TEXTS[name][1]
    sender = "from" if name == "twilio" else "src"
    alone = {key: value for key, value in settings.items() if key != sender}
    known = known_adapters()[name]
    assert known.check_settings(settings) == known.check_settings({**alone, **pool}) == []
    assert known.check_settings({**settings, **pool}) == [
        f"settings `{sender}` and `{next(iter(pool))}`: name one of them"
    ]
