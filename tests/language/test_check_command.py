"""`sojourn check` on the command line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from engine.errors import NotFound
from workers.cli import check

STANDARD = Path(__file__).parent / "standard"


def run(*arguments: str) -> Result:
    app = typer.Typer()

    @app.callback()
    def sojourn() -> None:
        """Several verbs: each is called by its name."""

    check.register(app)
    return CliRunner().invoke(app, ["check", *arguments])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    shutil.copytree(STANDARD, tmp_path / "shop")
    project = tmp_path / "shop" / "sojourn.yml"
    # The local inbox needs no settings.
    text = project.read_text()
    for channel, kind in (("email", "email"), ("sms", "sms"), ("sms_backup", "sms"), ("chat", "chat")):
        text = "\n".join(
            f"  {channel}: {{use: inbox, kind: {kind}}}" if line.strip().startswith(f"{channel}:") else line
            for line in text.splitlines()
        )
    project.write_text(text + "\n")
    return tmp_path / "shop"


def test_a_sound_project_leaves_with_0(root: Path) -> None:
    result = run(str(root))
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "No problems.\n")


def test_errors_leave_with_1_and_name_files_as_seen_from_here(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "journeys" / "a.yml").write_text("journey: a\ntrigger: {event: Signed Up}\nsteps: [{wait: 3 days}]\n")
    monkeypatch.chdir(root.parent)
    result = run("shop")
    assert result.exit_code == 1
    assert "  --> shop/journeys/a.yml:3:16\n   3 | steps: [{wait: 3 days}]\n" in result.stdout
    assert result.stderr == "1 error.\n"
    assert run("shop", "--format", "concise").stdout.startswith("shop/journeys/a.yml:3:16: SJ206 ")
    assert run("shop", "--format", "github").stdout.startswith("::error file=shop/journeys/a.yml,line=3,col=16,")
    monkeypatch.chdir(root)
    assert json.loads(run("--format", "json").stdout)["diagnostics"][0]["file"] == "journeys/a.yml"


def test_warnings_leave_with_0(root: Path) -> None:
    (root / "journeys" / "a.yml").write_text("journey: a\nsteps: [{wait: 1h}]\n")
    result = run(str(root))
    assert (result.exit_code, result.stderr) == (0, "1 warning.\n")


def test_scenarios_are_checked_too(root: Path) -> None:
    (root / "journeys" / "tests").mkdir()
    (root / "journeys" / "tests" / "a.yml").write_text("scenario: without a beginning\n")
    result = run(str(root), "--format", "concise")
    assert result.exit_code == 1
    assert "journeys/tests/a.yml:1:1: SJ801 " in result.stdout


def test_no_line_of_the_projects_file_is_shown(root: Path) -> None:
    project = root / "sojourn.yml"
    project.write_text(
        project.read_text().replace("{use: inbox, kind: chat}", "{use: slak, settings: {token: hunter2}}")
    )
    result = run(str(root))
    assert result.exit_code == 1
    assert "SJ108" in result.stdout
    assert "hunter2" not in result.stdout


def test_no_project_is_unusable_input(tmp_path: Path) -> None:
    assert isinstance(run(str(tmp_path)).exception, NotFound)
