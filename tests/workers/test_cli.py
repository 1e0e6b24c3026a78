"""The command line's frame: exit codes, clean messages, and nothing on the way out that could fail."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from engine.errors import BadInput, Conflict, NotFound, StoreUnavailable
from tests.waiting import PATIENCE
from workers.cli import main
from workers.process import folder_lock

SOJOURN = Path(sys.executable).with_name("sojourn")


def sojourn(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([SOJOURN, *arguments], cwd=cwd, capture_output=True, text=True, timeout=PATIENCE, check=False)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (BadInput("the file is no CSV"), 2),
        (NotFound("no journey `x`"), 2),
        (Conflict("paused already"), 1),
        (StoreUnavailable("the database is locked"), 1),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_goes_wrong_is_one_line_and_an_exit_code(
    error: Exception, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(main, "make_app", lambda: app_that(error))
    assert main.run(["fail"]) == code
    assert capsys.readouterr() == ("", f"sojourn: {error}\n")


def app_that(error: Exception) -> typer.Typer:
    app = typer.Typer(pretty_exceptions_enable=False)

    @app.callback()
    def options() -> None: ...

    @app.command()
    def fail() -> None:
        raise error

    return app


def test_a_defect_is_said_to_be_one(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(main, "make_app", lambda: app_that(ZeroDivisionError()))
    assert main.run(["fail"]) == 70
    assert "a defect of ours" in capsys.readouterr().err


def test_every_verb_has_a_sentence_of_help() -> None:
    app = main.make_app()
    lacking = [
        command.name for command in app.registered_commands if not (command.callback and command.callback.__doc__)
    ]
    assert lacking == []
    assert {"up", "serve", "worker", "journeys"} <= {command.name for command in app.registered_commands}


def test_version_and_unknown_verbs(tmp_path: Path) -> None:
    shown = sojourn("--version", cwd=tmp_path)
    assert (shown.returncode, shown.stdout.split()[0]) == (0, "sojourn")
    assert sojourn("no-such-verb", cwd=tmp_path).returncode == 2


def test_a_folder_without_a_project_is_unusable_input(tmp_path: Path) -> None:
    for verb in ("journeys", "up", "serve", "worker"):
        answer = sojourn(verb, cwd=tmp_path)
        assert answer.returncode == 2, verb
        assert "sojourn.yml" in answer.stderr
        assert "Traceback" not in answer.stderr
    assert list(tmp_path.iterdir()) == []


def test_problems_of_a_project_are_printed_with_their_places(tmp_path: Path) -> None:
    (tmp_path / "sojourn.yml").write_text("project: shop\ntimezone: Europe/Nowhere\nlocale: en\n")
    answer = sojourn("journeys", cwd=tmp_path)
    assert answer.returncode == 2
    assert "sojourn.yml:2:" in answer.stderr


def test_journeys_lists_what_is_authored_and_deployed(tmp_path: Path) -> None:
    make_shop(tmp_path)
    assert sojourn("journeys", cwd=tmp_path).returncode == 1  # no tables yet: the message says `sojourn migrate`
    assert sojourn("migrate", cwd=tmp_path).returncode == 0
    answer = sojourn("journeys", "--format", "json", cwd=tmp_path)
    assert json.loads(answer.stdout)["journeys"] == [
        {
            "journey": "order_updates",
            "title": "Order updates",
            "version": None,
            "state": "draft",
            "active": 0,
            "held": 0,
            "ended": 0,
            "converted": 0,
            "note": None,
        }
    ]
    assert sojourn("journeys", cwd=tmp_path).stdout.splitlines()[1].split()[0] == "order_updates"


def test_a_second_up_in_the_same_folder_is_refused_and_a_dead_one_s_lock_is_not_kept(tmp_path: Path) -> None:
    make_shop(tmp_path)
    with folder_lock(tmp_path):
        answer = sojourn("up", cwd=tmp_path)
        assert answer.returncode == 1
        assert f"runs in {tmp_path} already (process {os.getpid()})" in answer.stderr
    with folder_lock(tmp_path) as folder:
        assert folder.stat().st_mode & 0o077 == 0


def make_shop(root: Path) -> None:
    """A project whose one journey writes twice to whoever orders, some seconds apart, without any consent."""
    (root / "sojourn.yml").write_text(
        """
project: shop
timezone: Europe/Madrid
locale: en
channels:
  email: {use: inbox, kind: email, from: "Shop <hello@shop.example>"}
topics:
  orders: {title: Order updates, kind: transactional, basis: contract}
events:
  Order Completed: {order_id: string}
"""
    )
    journeys, templates = root / "journeys", root / "templates" / "email"
    journeys.mkdir()
    templates.mkdir(parents=True)
    (journeys / "order_updates.yml").write_text(
        """
journey: order_updates
title: Order updates
topic: orders
trigger: {event: Order Completed}
entry: {key: event.order_id}
steps:
  - {send: email, id: thanks, template: order}
  - {wait: 4s}
  - {send: email, id: shipped, template: order}
"""
    )
    (templates / "order.html").write_text("---\nsubject: Your order {{ trigger.order_id }}\n---\n<p>Thank you.</p>\n")
