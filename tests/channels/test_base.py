"""What the base does for every adapter."""

from __future__ import annotations

import traceback
from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest

from channels.base import (
    AdapterContext,
    AdapterSettings,
    ChannelAdapter,
    Meaning,
    Secret,
    Text,
    channel_error,
    has_control_characters,
    safe_word,
)
from channels.http import parse_retry_after, status_meaning
from channels.testing.contract import MOMENT, WEBHOOK_URL
from channels.testing.exhibit import sample_message
from engine.delivery.message import (
    PERMANENT_REASONS,
    Capabilities,
    Message,
    Receipt,
    SendResult,
    WebhookRequest,
)
from engine.errors import (
    ChannelConfigError,
    DoubtfulChannelError,
    PermanentChannelError,
    ReceiptRefused,
    TransientChannelError,
    UnsupportedMessage,
)

CONTEXT = AdapterContext(channel="main", kind="sms")
TOKEN = "t0" + "ken"


class BrokenSettings(AdapterSettings):
    token: Secret
    label: Text = "x"
    port: int = 1


class Broken(ChannelAdapter[BrokenSettings]):
    """An adapter with a defect in each of its verbs."""

    name = "broken"
    Settings = BrokenSettings
    capabilities = Capabilities(kind="sms", has_receipts=True)

    def deliver(self, message: Message) -> SendResult:
        raise KeyError(f"{message.to} {self.settings.token.get_secret_value()}")

    def authenticate(self, request: WebhookRequest) -> None:
        raise ZeroDivisionError(request.body)

    def read(self, request: WebhookRequest) -> list[Receipt]:
        raise UnicodeError(request.body)


def request() -> WebhookRequest:
    return WebhookRequest(url=WEBHOOK_URL, method="POST", headers={}, body=b"s3cret", received_at=MOMENT)


def test_a_defect_of_an_adapter_leaves_the_message_in_doubt_and_tells_only_its_place() -> None:
    with pytest.raises(DoubtfulChannelError, match=r"broken failed with KeyError at test_base\.py:\d+") as caught:
        Broken.open({"token": TOKEN}, CONTEXT).send(sample_message("sms"))
    told = "".join(traceback.format_exception(caught.value))
    assert caught.value.__context__ is None
    assert TOKEN not in told
    assert "+447700900123" not in told


def test_a_defect_in_verifying_or_reading_refuses_the_webhook() -> None:
    adapter = Broken.open({"token": "t0ken"}, CONTEXT)
    for refuse in (adapter.verify, adapter.parse):
        with pytest.raises(ReceiptRefused) as caught:
            refuse(request())
        assert "s3cret" not in "".join(traceback.format_exception(caught.value))


def test_an_adapter_without_receipts_refuses_them() -> None:
    class Silent(Broken):
        authenticate = ChannelAdapter.authenticate
        read = ChannelAdapter.read

    adapter = Silent.open({"token": "t"}, CONTEXT)
    for refuse in (adapter.verify, adapter.parse):
        with pytest.raises(ReceiptRefused, match="takes no receipts"):
            refuse(request())
    assert adapter.answer(request()) == ""


def test_an_adapter_without_look_up_says_so() -> None:
    with pytest.raises(UnsupportedMessage, match="d1"):
        Broken.open({"token": "t"}, CONTEXT).look_up("d1")


def test_problems_of_settings_are_sentences_that_name_them() -> None:
    assert Broken.check_settings({}) == ["setting `token` is missing"]
    assert Broken.check_settings({"token": "", "label": "", "port": "x"}) == [
        "setting `token` is empty",
        "setting `label` is empty",
        "setting `port`: Input should be a valid integer, unable to parse string as an integer",
    ]
    assert Broken.check_settings({"token": 123456, "port": "25"}) == []


def test_every_meaning_has_its_error() -> None:
    wait = timedelta(seconds=3)
    transient = channel_error("transient", "x", retry_after=wait)
    assert isinstance(transient, TransientChannelError)
    assert transient.retry_after == wait
    assert type(channel_error("config", "x")) is ChannelConfigError
    assert type(channel_error("unsupported", "x")) is UnsupportedMessage
    assert type(channel_error("doubtful", "x")) is DoubtfulChannelError
    permanent = channel_error("opted_out", "x")
    assert isinstance(permanent, PermanentChannelError)
    assert permanent.reason == "opted_out"


@pytest.mark.parametrize(
    ("value", "word"),
    [
        ("21211", "21211"),
        (21211, "21211"),
        ("no_text", "no_text"),
        ("To +44 7700: no", ""),
        (None, ""),
        ({}, ""),
        ("", ""),
        ("a" * 65, ""),
        ("a\n", ""),
        ("ñ", ""),
    ],
)
def test_only_a_short_plain_code_is_told(value: object, word: str) -> None:
    assert safe_word(value) == word


@pytest.mark.parametrize("text", ["a\rb", "a\nb", "a\x00b", "a\x0bb", "a\x7fb", "a\x85b", "a\u2028b", "a\u2029b", "\t"])
def test_what_could_end_a_header_is_a_control_character(text: str) -> None:
    assert has_control_characters(text)
    assert not has_control_characters("Ñandú 🛒 – €")


NOW = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "wait"),
    [
        ("120", timedelta(seconds=120)),
        (" 1.5 ", timedelta(seconds=1.5)),
        ("0", timedelta(0)),
        ("999999999", timedelta(hours=24)),
        ("Mon, 02 Mar 2026 10:00:30 GMT", timedelta(seconds=30)),
        ("Mon, 02 Mar 2026 10:00:30 -0000", timedelta(seconds=30)),
        ("Mon, 02 Mar 2026 09:00:00 GMT", timedelta(0)),
        ("Mon, 02 Mar 2036 09:00:00 GMT", timedelta(hours=24)),
        ("", None),
        ("soon", None),
        ("-1", None),
        ("nan", None),
        ("١٢", None),
        ("Mon, 99 Mar 2026 10:00:30 GMT", None),
        ("9" * 30, None),
    ],
)
def test_a_wait_is_read_in_seconds_and_as_a_date(value: str, wait: timedelta | None) -> None:
    assert parse_retry_after(value, NOW) == wait


def test_a_meaning_says_what_it_tells_of_the_provider() -> None:
    told = {meaning: channel_error(meaning, "no").provider for meaning in get_args(Meaning)}
    assert told == {
        "transient": "trouble", "doubtful": "trouble", "forbidden": "trouble",
        "config": "refuses_us",
        "unsupported": "unknown",
        **dict.fromkeys(("busy", "unserved", *PERMANENT_REASONS), "works"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("status", "meaning"),
    [
        (200, "unknown"),
        (302, "forbidden"),
        (400, "rejected"),
        (401, "config"),
        (402, "config"),
        (403, "forbidden"),
        (404, "forbidden"),
        (408, "transient"),
        (413, "too_large"),
        (422, "rejected"),
        (425, "transient"),
        (429, "transient"),
        (500, "transient"),
        (502, "transient"),
        (504, "doubtful"),
        (524, "doubtful"),
        (599, "transient"),
    ],
)
def test_a_status_alone_has_its_meaning(status: int, meaning: str) -> None:
    assert status_meaning(status) == meaning
