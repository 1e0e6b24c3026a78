"""docs/segments.md, followed to the letter: its segments check, and its commands print what it shows."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from engine.events.intake import Intake
from workers.bootstrap import Installation, open_project
from workers.cli import segment
from workers.cli.main import run
from workers.settings import Settings

PAGE = Path(__file__).parents[2] / "docs" / "segments.md"
NOW = datetime(2026, 3, 2, 11, 0, tzinfo=UTC)
ORDERS = [("ann", 10, 300), ("ann", 20, 250.5), ("bob", 70, 40), ("cleo", 1, 500), ("cleo", 1, "9000")]

Sojourn = Callable[..., tuple[int, str, str]]


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def opened(folder: Path, *, is_migrating: bool = False) -> Installation:
    """As the command line opens it, at the page's own time."""
    return Installation(open_project(folder, {}), Settings(), is_migrating=is_migrating, clock=lambda: NOW)


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with the page's segments, and four people."""
    (tmp_path / "sojourn.yml").write_text(
        "project: shop\ntimezone: Europe/Madrid\nlocale: en\ndatabase: sqlite:///.sojourn/sojourn.db\n"
    )
    (tmp_path / "journeys" / "segments").mkdir(parents=True)
    (tmp_path / ".sojourn").mkdir()
    (tmp_path / "journeys" / "segments" / "shop.yml").write_text("---\n".join(blocks("yaml")))
    (tmp_path / "journeys" / "thanks.yml").write_text(
        "journey: thanks\ntitle: Thanks\ntrigger: {segment: vip, on: enter}\nsteps:\n  - {wait: 1d, id: rest}\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(segment, "open_installation", opened)
    with opened(tmp_path, is_migrating=True) as installation:
        intake = Intake(installation.project, installation.project_key)
        with installation.store.transaction() as unit:
            for number, (who, days_ago, total) in enumerate(ORDERS):
                intake.track(
                    unit,
                    user_id=who,
                    name="Order Completed",
                    properties={"total": total},
                    timestamp=NOW - timedelta(days=days_ago),
                    message_id=f"m{number}",
                    now=NOW,
                )
            intake.ensure(unit, "external", "dan", NOW)
    return tmp_path


@pytest.fixture
def sojourn(shop: Path, capsys: pytest.CaptureFixture[str]) -> Sojourn:
    """Runs a command line: exit code, standard output, standard error."""

    def call(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = run(arguments)
        written = capsys.readouterr()
        return code, written.out, written.err

    return call


def test_the_pages_segments_check(sojourn: Sojourn) -> None:
    code, out, err = sojourn("check")
    assert (code, out) == (0, ""), out + err


def test_the_pages_commands_print_what_it_shows(sojourn: Sojourn) -> None:
    shown = blocks("console")
    assert len(shown) == 5
    for block in shown:
        command, _, output = block.partition("\n")
        code, out, _ = sojourn(*shlex.split(command.removeprefix("$ sojourn ")))
        assert (code, out) == (0, output)


def test_someone_who_is_out_is_told_why_with_exit_code_1(sojourn: Sojourn) -> None:
    code, out, _ = sojourn("segment", "vip", "--why", "dan")
    assert code == 1
    assert "dan is not in it:" in out
    assert '  sum("Order Completed", "total", within="90d")  →  0' in out


def test_json_has_size_members_and_the_parts_of_why(sojourn: Sojourn) -> None:
    code, out, _ = sojourn("segment", "vip", "--members", "--why", "ann", "--format", "json")
    assert code == 0
    text = 'sum("Order Completed", "total", within="90d")'
    assert json.loads(out) == {
        "segment": "vip",
        "members": ["ann", "cleo"],
        "size": 2,
        "why": {
            "is_member": True,
            "text": f"{text} >= 500",
            "value": True,
            "parts": [{"text": text, "value": 550.5, "parts": []}],
        },
    }


def test_a_segment_that_no_journey_follows_has_nothing_to_fill_in(sojourn: Sojourn) -> None:
    code, _, err = sojourn("segment", "customers", "--backfill")
    assert code == 2
    assert "nothing is kept of segment `customers`: no journey's trigger or exit names it" in err


def test_fire_without_backfill_is_unusable_input(sojourn: Sojourn) -> None:
    code, _, err = sojourn("segment", "vip", "--fire")
    assert code == 2
    assert "`--fire` goes with `--backfill`" in err


def test_an_unknown_segment_is_unusable_input(sojourn: Sojourn) -> None:
    code, _, err = sojourn("segment", "whales")
    assert code == 2
    assert "there is no segment `whales`; this project has: at_risk, customers, renewing, sale_fans, vip" in err
