"""Group commit: what happens to one request harms no other."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.errors import BadInput, StoreUnavailable
from engine.events.intake import Intake
from engine.project import Project
from engine.storage.memory import MemoryStore
from engine.web.commits import Commits
from engine.web.segment import Call, parse_call
from tests.web.conftest import KEY, NOW

PROJECT = Project(name="shop", root=Path(), timezone="UTC", locale="en", database="")


def seen(user_id: str) -> Call:
    body = {"userId": user_id, "event": "Seen", "messageId": user_id}
    return parse_call(json.dumps(body).encode(), "track", NOW).calls[0]


def bad(user_id: str) -> Call:
    body = {"userId": user_id, "traits": {"timezone": "Mars"}}
    return parse_call(json.dumps(body).encode(), "identify", NOW).calls[0]


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def commits(store: MemoryStore) -> Iterator[Commits]:
    def tell() -> None:
        raise RuntimeError("whoever listens is broken")

    group = Commits(store, Intake(PROJECT, KEY), tell)
    yield group
    group.stop()


def known(store: MemoryStore) -> list[str | None]:
    with store.transaction() as unit:
        return sorted(
            str(profile.external_id)
            for profile_id in unit.profiles.all_ids()
            if (profile := unit.profiles.find(profile_id))
        )


def test_a_request_is_kept_whole_or_not_at_all_and_its_neighbours_are_kept(
    store: MemoryStore, commits: Commits
) -> None:
    async def send() -> list[BaseException | None]:
        answers = [commits.submit(calls, NOW) for calls in ([seen("ana")], [seen("ben"), bad("ben")], [seen("cid")])]
        commits.start()
        return await asyncio.gather(*answers, return_exceptions=True)

    first, second, third = asyncio.run(send())
    assert (first, third) == (None, None)
    assert isinstance(second, BadInput)
    assert "timezone" in str(second)
    assert known(store) == ["ana", "cid"]


def test_whoever_hangs_up_does_not_stop_intake(store: MemoryStore, commits: Commits) -> None:
    async def send() -> None:
        gone = commits.submit([seen("gone")], NOW)
        assert gone.cancel()
        commits.start()
        await commits.submit([seen("ana")], NOW)

    asyncio.run(send())
    assert known(store) == ["ana"]


def test_a_broken_listener_does_not_stop_intake(
    store: MemoryStore, commits: Commits, caplog: pytest.LogCaptureFixture
) -> None:
    async def send() -> None:
        await commits.submit([seen("ana")], NOW)
        await commits.submit([seen("ben")], NOW)

    commits.start()
    asyncio.run(send())
    commits.stop()
    assert known(store) == ["ana", "ben"]
    assert "telling of intake failed" in caplog.text


def test_stopping_commits_what_waits(store: MemoryStore, commits: Commits) -> None:
    async def send() -> None:
        answers = [commits.submit([seen(f"u{number}")], NOW) for number in range(50)]
        commits.start()
        commits.stop()
        await asyncio.gather(*answers)

    asyncio.run(send())
    assert len(known(store)) == 50


def test_a_server_that_ended_before_its_answers_loses_nothing(
    store: MemoryStore, commits: Commits, caplog: pytest.LogCaptureFixture
) -> None:
    async def send() -> None:
        commits.submit([seen("ana")], NOW)

    asyncio.run(send())
    commits.start()
    commits.stop()
    assert known(store) == ["ana"]
    assert "ended before 1 requests were answered" in caplog.text


def test_too_many_waiting_requests_are_turned_away(commits: Commits) -> None:
    async def send() -> None:
        for _ in range(2000):
            commits.submit([], NOW)
        with pytest.raises(StoreUnavailable, match="too many requests"):
            commits.submit([seen("ana")], NOW)

    asyncio.run(send())
    commits.start()
