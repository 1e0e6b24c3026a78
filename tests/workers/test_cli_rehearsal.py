"""`sojourn preview` and `sojourn send-test`, as an author uses them."""

from __future__ import annotations

import json
import webbrowser
from pathlib import Path

import pytest

from channels.inbox import Inbox
from tests.workers.test_cli_people import FILES, Sojourn, opened
from workers.cli.main import run

REMINDER = ("preview", "reminder")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, content in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content.lstrip("\n"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def sojourn(capsys: pytest.CaptureFixture[str]) -> Sojourn:
    """Runs a command line: exit code, standard output, standard error."""

    def call(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = run(arguments)
        written = capsys.readouterr()
        return code, written.out, written.err

    return call


def test_a_preview_needs_no_store_and_shows_everything(folder: Path, sojourn: Sojourn) -> None:
    code, said, _ = sojourn(*REMINDER)
    assert code == 0
    assert "Subject    Your cart waits" in said
    assert "From       Shop <hello@shop.example>" in said
    assert "Sent by    cart · reminder, on email" in said
    assert "For        somebody made up" in said
    assert "Hello! Unsubscribe (http" in said
    assert "<p" in (folder / ".sojourn/preview/reminder.html").read_text()
    assert not (folder / ".sojourn/sojourn.db").exists()


def test_a_program_reads_it_as_json(folder: Path, sojourn: Sojourn) -> None:
    told = json.loads(sojourn(*REMINDER, "--format", "json")[1])
    assert (told["subject"], told["is_clipped"], told["attachments"]) == ("Your cart waits", False, [])
    assert told["bytes"] == len(told["html"].encode())
    assert "List-Unsubscribe" in told["headers"]


def test_a_browser_opens_the_page(folder: Path, sojourn: Sojourn, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    monkeypatch.setattr(webbrowser, "open", seen.append)
    sojourn(*REMINDER, "--open")
    assert seen == [(folder / ".sojourn/preview/reminder.html").as_uri()]


def test_a_page_that_gmail_would_cut_off_is_told(folder: Path, sojourn: Sojourn) -> None:
    template = folder / "templates/email/reminder.html"
    template.write_text(template.read_text() + "<p>" + "long " * 22_000 + "</p>")
    assert "Gmail cuts pages off" in sojourn(*REMINDER)[1]


def test_a_text_message_has_its_parts_counted(folder: Path, sojourn: Sojourn) -> None:
    project = folder / "sojourn.yml"
    project.write_text(project.read_text().replace("topics:", "  sms: {use: inbox}\ntopics:"))
    (folder / "templates/sms").mkdir()
    (folder / "templates/sms/note.txt").write_text("Añoranza " * 20)
    code, said, _ = sojourn("preview", "note")
    assert (code, "Size       2 parts, 179 characters (GSM-7)" in said) == (0, True)


@pytest.mark.parametrize("words", [("nowhere",), ("reminder", "--channel", "fax")])
def test_what_is_not_there_is_told(folder: Path, sojourn: Sojourn, words: tuple[str, ...]) -> None:
    code, _, said = sojourn("preview", *words)
    assert code == 2
    assert "no channel" in said


def test_a_template_that_is_not_there_is_told_with_those_that_journeys_send(folder: Path, sojourn: Sojourn) -> None:
    assert "journeys send: reminder" in sojourn("preview", "remainder")[2]


def test_a_test_message_arrives_in_the_inbox_and_is_told_as_one(folder: Path, sojourn: Sojourn) -> None:
    with opened(folder, is_migrating=True) as installation, installation.store.transaction() as unit:
        engine = installation.engine
        engine.intake.ensure(unit, "external", "ana", installation.clock())
    words = ("send-test", "cart", "reminder", "--profile", "ana", "--to", "me@shop.example")
    code, said, _ = sojourn(*words)
    assert code == 0
    assert said.startswith("Sent on email: [Test] Your cart waits")
    [message] = Inbox(folder / ".sojourn" / "inbox").messages()
    assert (message.to, message.headers["X-Sojourn-Test"]) == ("me@shop.example", "yes")
    assert json.loads(sojourn(*words, "--format", "json")[1])["is_test"] is True
    told = sojourn("why", "ana")[1]
    assert "email: a test, taken by the provider" in told
    assert "test_by" in told
