"""Payloads are encrypted where a key is set, and readable again with the same key only."""

from __future__ import annotations

import asyncio

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.client import Client

from engine.plan.effects import Left, WaitUntil
from engine.plan.model import Awaited, WaitFor
from tests.workers.road import NOON, Script, Workers, make_plan
from workers.connection import EncryptingCodec, connect, register_search_attributes
from workers.embedded import DevServer
from workers.loop import LoopThread


def test_an_encrypted_payload_comes_back_and_shows_nothing() -> None:
    payload = Payload(metadata={"encoding": b"json/plain"}, data=b'{"enrollment_id": "e1"}')
    codec = EncryptingCodec(bytes(32))
    sealed = asyncio.run(codec.encode([payload]))
    assert b"e1" not in sealed[0].SerializeToString()
    assert asyncio.run(codec.decode(sealed)) == [payload]


def test_a_payload_from_before_the_key_stays_readable() -> None:
    payload = Payload(metadata={"encoding": b"json/plain"}, data=b"1")
    assert asyncio.run(EncryptingCodec(bytes(32)).decode([payload])) == [payload]


def test_another_key_opens_nothing() -> None:
    sealed = asyncio.run(EncryptingCodec(bytes(32)).encode([Payload(data=b"1")]))
    with pytest.raises(ValueError, match="SOJOURN_PAYLOAD_KEY"):
        asyncio.run(EncryptingCodec(bytes([1]) * 32).decode(sealed))


def test_an_encrypted_enrollment_is_carried_and_its_history_holds_no_id(
    workers: Workers, dev_server: DevServer, loop: LoopThread
) -> None:
    client = loop.run(connect(dev_server.address, payload_key=bytes([7]) * 32))
    plan = make_plan(WaitFor(step_id="reply", alternatives=(Awaited(event="Replied"),)), journey="secret")
    person = workers.road(client, plan, Script({"reply": WaitUntil(until=None, why="event")}))
    person.enter()
    assert person.settle().step_id == "reply"
    person.nudge(Left(reason="exit"), at=NOON)
    person.end()

    async def raw() -> str:
        plain = await Client.connect(dev_server.address)
        handle = plain.get_workflow_handle(person.handle.id)
        return "".join([str(event) async for event in handle.fetch_history_events()])

    assert person.enrollment.enrollment_id not in loop.run(raw())


def test_registering_search_attributes_again_changes_nothing(dev_client: Client, loop: LoopThread) -> None:
    loop.run(register_search_attributes(dev_client))
