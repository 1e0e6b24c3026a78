"""`sojourn channels`, on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from workers.cli import channels


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no project here: the adapters alone."""
    monkeypatch.chdir(tmp_path)


def run(*arguments: str) -> str:
    app = typer.Typer()
    channels.register(app)
    app.callback()(lambda: None)
    result = CliRunner().invoke(app, ["channels", *arguments])
    assert result.exit_code == 0, result.output
    return result.output


def test_a_person_reads_what_each_adapter_can_do() -> None:
    lines = run().splitlines()
    assert lines[0].split() == ["adapter", "kind", "can", "settings", "package"]
    (twilio,) = [line for line in lines if line.startswith("twilio")]
    assert " sms " in twilio
    assert "receipts" in twilio
    assert "account_sid auth_token" in twilio


def test_a_program_reads_json() -> None:
    rows = {row["name"]: row for row in json.loads(run("--format", "json"))["adapters"]}
    assert rows["inbox"]["kind"] == "any"
    assert rows["inbox"]["look_up"] is True
    assert rows["twilio"]["settings"][1] == {"name": "auth_token", "is_required": True, "is_secret": True}


def test_a_page_takes_markdown() -> None:
    assert "| `smtp` | email | – | – | – | yes | – | `host [port]" in run("--format", "markdown")
