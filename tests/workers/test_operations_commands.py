"""`sojourn plan`, `deploy`, `pause`, `resume`, `stop` from another process than the one that works."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest

from channels.inbox import Inbox
from engine.enrollment.model import Enrollment
from tests.waiting import until
from tests.workers.test_cli import make_shop
from tests.workers.test_larger_installation import running
from workers.bootstrap import Installation, open_project
from workers.cli.main import run
from workers.embedded import DevServer
from workers.settings import Settings

JOURNEY = """
journey: order_updates
title: Order updates
topic: orders
trigger: {event: Order Completed}
entry: {key: event.order_id}
steps:
  - {wait: 9d, id: rest}
  - {send: email, id: thanks, template: order}
"""

Sojourn = Callable[..., tuple[int, str, str]]


def write(root: Path, journey: str = JOURNEY) -> None:
    (root / "journeys" / "order_updates.yml").write_text(journey)


def opened(root: Path, *, is_migrating: bool = False) -> Installation:
    return Installation(open_project(root, {}), Settings(), is_migrating=is_migrating)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    make_shop(tmp_path)
    write(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert run(["migrate"]) == 0
    return tmp_path


@pytest.fixture
def sojourn(folder: Path, capsys: pytest.CaptureFixture[str]) -> Sojourn:
    capsys.readouterr()

    def call(*arguments: str) -> tuple[int, str, str]:
        code = run(arguments)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return call


def order(root: Path, person: str = "ana", number: str = "o1") -> None:
    """Ana has ordered; whoever works routes it."""
    with opened(root) as installation, installation.store.transaction() as unit:
        now = installation.clock()
        profile = installation.engine.intake.ensure(unit, "external", person, now)
        installation.engine.intake.set_attributes(unit, profile, {"email": f"{person}@example.com"}, now)
        installation.engine.intake.track(
            unit, user_id=person, name="Order Completed", properties={"order_id": number}, timestamp=now,
            message_id=f"{person}-{number}", now=now,
        )  # fmt: skip


def enrollments(root: Path) -> list[Enrollment]:
    with opened(root) as installation, installation.store.transaction() as unit:
        return list(unit.enrollments.of())


def route(root: Path) -> None:
    with opened(root) as installation:
        installation.engine.router.route_all(installation.clock())


def test_a_first_plan_a_deploy_and_nothing_left_to_do(sojourn: Sojourn) -> None:
    code, out, _ = sojourn("plan")
    assert code == 0
    assert out.startswith("order_updates (new, ")
    assert "nobody inside" in out
    code, out, _ = sojourn("deploy")
    assert (code, out.startswith("order_updates: new, people enter on version ")) == (0, True)
    assert sojourn("plan")[:2] == (0, "Nothing to deploy: 1 deployed as they are.\n")
    assert sojourn("deploy")[:2] == (0, "Nothing to deploy: every journey is deployed as it is.\n")


def test_a_plan_is_readable_and_parsable(folder: Path, sojourn: Sojourn) -> None:
    sojourn("deploy")
    order(folder)
    route(folder)
    write(folder, JOURNEY.replace("id: rest", "id: pause").replace("template: order", "template: order, expires: 1h"))
    _, out, _ = sojourn("plan")
    assert out.splitlines()[1:] == [
        "    first step: rest → pause",
        "  + wait 9d · pause",
        "  ~ send email · thanks",
        "      expires: none → 1h",
        # Ana has entered, and nobody has carried her to the first step yet.
        "  - wait 9d · rest  [nobody here]",
    ]
    [change] = json.loads(sojourn("plan", "--format", "json")[1])["journeys"]
    assert [(each["change"], each["step_id"]) for each in change["steps"]] == [
        ("added", "pause"), ("changed", "thanks"), ("removed", "rest")
    ]  # fmt: skip
    assert sum(change["inside"].values()) == 1


def test_steering_says_whom_it_concerns(folder: Path, sojourn: Sojourn) -> None:
    sojourn("deploy")
    order(folder)
    route(folder)
    assert sojourn("pause", "order_updates", "--reason", "a wrong price")[:2] == (
        0, "order_updates is paused: 1 person inside\n"
    )  # fmt: skip
    [row] = json.loads(sojourn("journeys", "--format", "json")[1])["journeys"]
    assert (row["state"], row["note"], row["active"], row["held"]) == ("paused", "a wrong price", 1, 0)
    assert sojourn("resume", "order_updates")[:2] == (0, "order_updates goes on: 0 people let on\n")
    assert sojourn("resume", "order_updates")[0] == 1
    answer = sojourn("stop", "order_updates", "--format", "json")
    assert json.loads(answer[1]) == {"journey": "order_updates", "state": "stopped", "ended": 1}
    assert [each.reason for each in enrollments(folder)] == ["stopped"]


def test_a_journey_that_is_none_is_unusable_input(sojourn: Sojourn) -> None:
    for verb in ("pause", "resume", "stop"):
        code, _, err = sojourn(verb, "order_update")
        assert (code, "`sojourn journeys`" in err) == (2, True), verb


@pytest.fixture
def at_work(folder: Path, sojourn: Sojourn, dev_server: DevServer) -> Iterator[Path]:
    """A shop deployed, with a worker; Ana has ordered and waits nine days."""
    sojourn("deploy")
    with ExitStack() as processes:
        processes.enter_context(running(folder, "worker", TEMPORAL_ADDRESS=dev_server.address))
        order(folder, person=folder.name)
        until(lambda: any(each.waiting == "timer" for each in enrollments(folder)))
        yield folder


def now_in(root: Path) -> Enrollment:
    [only] = enrollments(root)
    return only


@pytest.mark.temporal
def test_who_waits_on_a_real_server_is_moved_by_a_deploy_from_elsewhere(at_work: Path, sojourn: Sojourn) -> None:
    inbox = Inbox(at_work / ".sojourn" / "inbox")
    write(at_work, JOURNEY.replace("  - {wait: 9d, id: rest}\n", ""))
    code, _, err = sojourn("deploy", "--in-flight", "move")
    assert (code, "order_updates: rest (1 person)" in err) == (1, True)
    write(at_work, JOURNEY.replace("wait: 9d, id: rest", "wait: 1s, id: pause") + "moved: {rest: pause}\n")
    code, out, _ = sojourn("deploy", "--in-flight", "move")
    assert (code, "1 person on older versions move" in out) == (0, True)
    until(lambda: inbox.count() == 1)
    until(lambda: now_in(at_work).state == "ended")
    moved = now_in(at_work)
    assert (moved.reason, moved.step_id) == ("completed", "thanks")


@pytest.mark.temporal
def test_a_pause_holds_and_a_resume_lets_on_from_elsewhere(at_work: Path, sojourn: Sojourn) -> None:
    inbox = Inbox(at_work / ".sojourn" / "inbox")
    sojourn("pause", "order_updates")
    write(at_work, JOURNEY.replace("wait: 9d", "wait: 1s"))
    sojourn("deploy", "--in-flight", "move")
    until(lambda: now_in(at_work).waiting == "held")
    assert inbox.count() == 0
    [row] = json.loads(sojourn("journeys", "--format", "json")[1])["journeys"]
    assert row["held"] == 1
    assert sojourn("resume", "order_updates")[1] == "order_updates goes on: 1 person let on\n"
    until(lambda: inbox.count() == 1)


@pytest.mark.temporal
def test_a_stop_from_elsewhere_tells_whoever_carries_people(at_work: Path, sojourn: Sojourn) -> None:
    assert sojourn("stop", "order_updates")[1] == "order_updates is stopped: 1 person ended\n"
    with opened(at_work) as installation:
        store = installation.store

        def is_told() -> bool:
            with store.transaction() as unit:
                return not unit.queue.stimuli(installation.clock() + timedelta(days=1))

        until(is_told)
