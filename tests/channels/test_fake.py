"""The fake adapter passes the suite of the real ones, and fails when told to."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from channels.base import AdapterContext, ChannelAdapter
from channels.testing.contract import ProviderContract, Stage
from channels.testing.exhibit import sample_message
from channels.testing.fake import FakeAdapter
from engine.errors import DoubtfulChannelError, PermanentChannelError, TransientChannelError
from engine.project import ChannelKind

START = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)


class _FakeContract(ProviderContract):
    adapter = FakeAdapter
    kind: ChannelKind

    def context(self) -> AdapterContext:
        return AdapterContext(channel="main", kind=self.kind)

    @contextmanager
    def at(self, stage: Stage) -> Iterator[ChannelAdapter[Any]]:
        adapter = FakeAdapter(self.kind, channel="main")
        match stage:
            case "refused":
                adapter.fail("permanent")
            case "down" | "unreachable":
                adapter.fail("outage")
            case "unanswered":
                adapter.fail("doubtful")
            case "accepted":
                pass
        yield adapter


class TestFakeEmail(_FakeContract):
    kind = "email"


class TestFakeSms(_FakeContract):
    kind = "sms"


class TestFakeChat(_FakeContract):
    kind = "chat"


def test_an_outage_ends_when_its_time_is_over() -> None:
    now = [START]
    adapter = FakeAdapter("sms", clock=lambda: now[0])
    adapter.fail("outage", START + timedelta(minutes=10))
    for minutes, fails in ((0, True), (9, True), (10, False), (11, False)):
        now[0] = START + timedelta(minutes=minutes)
        if fails:
            with pytest.raises(TransientChannelError):
                adapter.send(sample_message("sms"))
        else:
            adapter.send(sample_message("sms"))
    assert len(adapter.sent) == 2


def test_a_doubtful_message_was_taken_and_can_be_looked_up() -> None:
    adapter = FakeAdapter("email")
    adapter.fail("doubtful")
    with pytest.raises(DoubtfulChannelError):
        adapter.send(sample_message("email"))
    assert adapter.look_up(sample_message("email").delivery_id) is not None
    assert adapter.look_up("d999") is None


def test_a_permanent_failure_lasts_until_it_is_mended() -> None:
    adapter = FakeAdapter("email")
    adapter.fail("permanent")
    with pytest.raises(PermanentChannelError) as caught:
        adapter.send(sample_message("email"))
    assert caught.value.reason == "rejected"
    adapter.mend()
    adapter.send(sample_message("email"))
    assert [message.delivery_id for message in adapter.sent] == [sample_message("email").delivery_id]
    adapter.clear()
    assert adapter.sent == []


def test_threads_lose_no_message() -> None:
    adapter = FakeAdapter("sms")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: adapter.send(sample_message("sms", text=str(number))), range(200)))
    assert {message.text for message in adapter.sent} == {str(number) for number in range(200)}
