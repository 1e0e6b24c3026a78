"""What the base does for every adapter."""

from __future__ import annotations

import json
import traceback
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

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

    def read(self, request: WebhookRequest) -> Sequence[Receipt]:
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


class Reporting(Broken):
    """An adapter whose provider reports in batches."""

    def read(self, request: WebhookRequest) -> list[Receipt]:
        return self.each(json.loads(request.body), self._report)

    def _report(self, row: dict[str, Any]) -> list[Receipt]:
        if row["kind"] == "progress":
            return []
        known: dict[str, Any] = {"kind": "delivered", "receipt_id": "r1", "occurred_at": MOMENT}
        row.pop("kind")
        moment = row.pop("at", None)
        return [Receipt(**{**known, **row, **({"occurred_at": datetime.fromisoformat(moment)} if moment else {})})]


def reports(*rows: Any) -> list[Receipt]:
    body = json.dumps(rows).encode()
    asked = WebhookRequest(url=WEBHOOK_URL, method="POST", headers={}, body=body, received_at=MOMENT)
    return list(Reporting.open({"token": "t0ken"}, CONTEXT).parse(asked))


#: What no report of a provider may bring: keys that no database takes, and values of other kinds.
BAD_REPORTS: tuple[Any, ...] = (
    7,
    {},
    {"kind": "x", "receipt_id": ""},
    {"kind": "x", "receipt_id": None},
    {"kind": "x", "receipt_id": "r\x00"},
    {"kind": "x", "receipt_id": "r\ud800"},
    {"kind": "x", "receipt_id": ["r"]},
    {"kind": "x", "delivery_id": ["d"]},
    {"kind": "x", "delivery_id": "d\x00"},
    {"kind": "x", "delivery_id": True},
    {"kind": "x", "provider_message_id": "m\x00"},
    {"kind": "x", "address": {"email": "ana@example.com"}},
    {"kind": "x", "address": "+44\x007700900222"},
    {"kind": "x", "text": 5},
    {"kind": "x", "url": ["https://shop.example"]},
    {"kind": "x", "at": "yesterday"},
)


@pytest.mark.parametrize("bad", BAD_REPORTS)
def test_one_report_of_a_batch_that_cannot_be_used_keeps_nothing_from_the_others(
    bad: Any, caplog: pytest.LogCaptureFixture
) -> None:
    found = reports({"kind": "x", "receipt_id": "r1"}, bad, {"kind": "x", "receipt_id": "r2"})
    assert [receipt.receipt_id for receipt in found] == ["r1", "r2"]
    assert "1 of 3 reports" in caplog.text
    assert "ana@example.com" not in caplog.text


@pytest.mark.parametrize("bad", BAD_REPORTS)
def test_a_request_of_which_no_report_can_be_used_is_refused(bad: Any) -> None:
    with pytest.raises(ReceiptRefused):
        reports(bad, bad)


def test_a_batch_of_progress_alone_is_none_to_refuse() -> None:
    assert reports({"kind": "progress"}, {"kind": "progress"}) == []
    assert reports({"kind": "progress"}, 7, {"kind": "progress"}) == []
    assert reports() == []


def test_a_number_that_a_provider_gives_as_an_id_is_that_id() -> None:
    """What it says of a message when it takes it is kept as text, too."""
    (found,) = reports({"kind": "x", "receipt_id": 5, "provider_message_id": 7, "delivery_id": "d1"})
    assert (found.receipt_id, found.provider_message_id, found.delivery_id) == ("5", "7", "d1")


def test_a_time_without_a_zone_is_utc() -> None:
    (found,) = reports({"kind": "x", "at": "2026-03-02T10:00:00"})
    assert found.occurred_at == datetime(2026, 3, 2, 10, tzinfo=UTC)


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
