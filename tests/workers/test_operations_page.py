"""The examples of docs/operations.md are run as they stand there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from engine.simulator.virtual import VirtualCarrier
from tests.workers.test_cli import make_shop
from workers.bootstrap import Installation, open_project
from workers.cli.main import run
from workers.settings import Settings

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"
#: Files, sessions and what happens between them, in the order of the page.
PARTS = re.compile(
    r"^```yaml\n# (?P<file>\S+)\n(?P<content>.*?)^```$|^```console\n(?P<session>.*?)^```$|^<!-- (?P<event>.*?) -->$",
    re.MULTILINE | re.DOTALL,
)
VERSION = re.compile(r"\b[0-9a-f]{16}\b")


def three_people_order(root: Path) -> None:
    with Installation(open_project(root, {}), Settings()) as installation:
        engine, now = installation.engine, installation.clock()
        for person in ("ana", "bob", "cid"):
            with installation.store.transaction() as unit:
                engine.intake.track(
                    unit, user_id=person, name="Order Completed", properties={"order_id": person}, timestamp=now,
                    message_id=person, now=now,
                )  # fmt: skip
        carrier = VirtualCarrier(engine, lambda: now)
        engine.router.route_all(now)
        engine.courier.deliver_due(carrier, now)
        carrier.settle()


def played(command: str, capsys: pytest.CaptureFixture[str]) -> str:
    """What the command prints, as the page shows it."""
    code = run(shlex.split(command)[1:])
    printed = capsys.readouterr()
    shown = printed.out + printed.err + (f"[exit {code}]\n" if code else "")
    return "\n".join(line.rstrip() for line in VERSION.sub("0123456789abcdef", shown).splitlines())


def test_the_page_shows_what_happens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_shop(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert run(["migrate"]) == 0
    capsys.readouterr()
    commands = 0
    for part in PARTS.finditer(PAGE.read_text(encoding="utf-8")):
        if part["file"]:
            (tmp_path / part["file"]).write_text(part["content"], encoding="utf-8")
        elif part["event"]:
            assert part["event"] == "three people order"
            three_people_order(tmp_path)
        else:
            command, _, expected = part["session"].partition("\n")
            assert played(command.removeprefix("$ "), capsys) == expected.strip("\n"), command
            commands += 1
    assert commands == 8
