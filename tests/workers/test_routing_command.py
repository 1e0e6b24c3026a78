"""`sojourn routing` shows what failed without a word of anybody's data, and puts it back."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from engine.events.model import Occurrence
from tests.workers.test_cli import make_shop
from workers.bootstrap import Installation, open_project
from workers.cli.main import run
from workers.settings import Settings


def set_back(root: Path, **given: object) -> Occurrence:
    """Somebody's event that failed in routing."""
    with Installation(open_project(root, {}), Settings(), is_migrating=True) as installation:
        now = installation.clock()
        with installation.store.transaction() as unit:
            installation.engine.intake.track(
                unit, user_id="ana@example.com", name="Order Completed", properties={}, timestamp=now,
                message_id=f"m-{now.isoformat()}", now=now,
            )  # fmt: skip
        with installation.store.transaction() as unit:
            found = unit.queue.next_occurrence()
            assert found is not None
            failed = replace(found, attempts=1, fault="KeyError", **{"set_aside_at": now, **given})
            unit.queue.set_back(failed)
        return failed


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    make_shop(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_what_is_set_aside_is_listed_and_put_back_once(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    failed = set_back(folder)
    assert run(["routing", "list"]) == 0
    shown = capsys.readouterr().out
    assert shown.splitlines()[0].endswith("1 set aside")
    assert "KeyError" in shown
    assert "set aside 20" in shown
    assert "ana@example.com" not in shown
    assert run(["routing", "retry", str(failed.seq), "999"]) == 1
    assert capsys.readouterr().out == (
        "1 put back: routed next\nNot set aside (any more): 999. `sojourn routing list` says what is.\n"
    )
    assert run(["routing", "retry", str(failed.seq), "--format", "json"]) == 1
    assert json.loads(capsys.readouterr().out) == {"put_back": 0, "not_set_aside": [failed.seq]}
    assert run(["routing", "retry", "--all"]) == 0
    assert capsys.readouterr().out == "Nothing is set aside.\n"
    assert run(["routing", "list"]) == 0
    assert "Nothing has failed." in capsys.readouterr().out


def test_what_is_tried_again_says_when(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Installation(open_project(folder, {}), Settings(), is_migrating=True) as installation:
        soon = installation.clock() + timedelta(minutes=1)
    failed = set_back(folder, set_aside_at=None, retry_at=soon)
    assert run(["routing", "list", "--format", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["set_aside"] == 0
    (row,) = document["failed"]
    assert (row["number"], row["fault"], row["attempts"]) == (failed.seq, "KeyError", 1)
    assert row["state"].startswith("tried again 20")


def test_which_to_put_back_must_be_said(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    set_back(folder)
    capsys.readouterr()
    assert run(["routing", "retry"]) == 2
    assert "one or more numbers, or --all" in capsys.readouterr().err
