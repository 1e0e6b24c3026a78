"""Group commit: what happens to one request harms no other."""

from __future__ import annotations

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
    return parse_call({"userId": user_id, "event": "Seen", "messageId": user_id}, "track", NOW)


def bad(user_id: str) -> Call:
    return parse_call({"userId": user_id, "traits": {"timezone": "Mars"}}, "identify", NOW)


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
    answers = [commits.submit(calls, NOW) for calls in ([seen("ana")], [seen("ben"), bad("ben")], [seen("cid")])]
    commits.start()
    assert answers[0].result(5) is None
    with pytest.raises(BadInput, match="timezone"):
        answers[1].result(5)
    assert answers[2].result(5) is None
    assert known(store) == ["ana", "cid"]


def test_whoever_hangs_up_does_not_stop_intake(store: MemoryStore, commits: Commits) -> None:
    gone = commits.submit([seen("gone")], NOW)
    assert gone.cancel()
    commits.start()
    assert commits.submit([seen("ana")], NOW).result(5) is None
    assert known(store) == ["ana"]


def test_a_broken_listener_does_not_stop_intake(
    store: MemoryStore, commits: Commits, caplog: pytest.LogCaptureFixture
) -> None:
    commits.start()
    commits.submit([seen("ana")], NOW).result(5)
    commits.submit([seen("ben")], NOW).result(5)
    commits.stop()
    assert known(store) == ["ana", "ben"]
    assert "telling of intake failed" in caplog.text


def test_stopping_commits_what_waits(store: MemoryStore, commits: Commits) -> None:
    answers = [commits.submit([seen(f"u{number}")], NOW) for number in range(50)]
    commits.start()
    commits.stop()
    assert all(answer.done() for answer in answers)
    assert len(known(store)) == 50


def test_too_many_waiting_requests_are_turned_away(commits: Commits) -> None:
    for _ in range(2000):
        commits.submit([], NOW)
    with pytest.raises(StoreUnavailable, match="too many requests"):
        commits.submit([seen("ana")], NOW)
    commits.start()
