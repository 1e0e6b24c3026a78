"""docs/getting-started.md and docs/editors.md, followed to the letter."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from tests.ports import free_ports
from tests.waiting import PATIENCE, until

ROOT = Path(__file__).parents[2]
STARTER = ROOT / "workers" / "starter"
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_EDIT = re.compile(r"in `([^`]+)`, write `([^`]+)` for\s+`([^`]+)`")


@dataclass
class Command:
    text: str
    #: What must be printed; `…` stands for anything.
    expected: str


@dataclass
class Edit:
    file: str
    new: str
    old: str


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def blocks(name: str, language: str) -> list[str]:
    return [found[2] for found in _BLOCK.finditer(page(name)) if found[1] == language]


def story(name: str) -> Iterator[Command | Edit]:
    """What the page does, in its order."""
    text = page(name)
    parts = [(found.start(), found) for pattern in (_BLOCK, _EDIT) for found in pattern.finditer(text)]
    for _, found in sorted(parts, key=lambda part: part[0]):
        if found.re is _EDIT:
            yield Edit(*found.groups())
        elif found[1] == "console":
            for command in re.split(r"^\$ ", found[2], flags=re.MULTILINE)[1:]:
                first, _, expected = command.partition("\n")
                yield Command(first, expected)


def matches(expected: str, printed: str) -> bool:
    pattern = re.escape(expected.strip()).replace("…", ".*")
    return re.fullmatch(pattern, printed.strip(), re.DOTALL) is not None


class Terminal:
    """Runs commands in a folder as the page writes them, but on ports that are free here."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ports = free_ports(4)
        self.environ = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        self.up: subprocess.Popen[bytes] | None = None

    def run(self, command: str) -> str:
        """What it prints."""
        if command.startswith("cd "):
            self.folder /= command.removeprefix("cd ")
            return ""
        if command == "sojourn up":
            return self._start()
        command = command.replace(":8080/", f":{self.ports[0]}/")
        done = subprocess.run(
            ["bash", "-c", command], cwd=self.folder, env=self.environ, capture_output=True, text=True, timeout=PATIENCE
        )
        return done.stdout + done.stderr

    def _start(self) -> str:
        names = ("--port", "--temporal-port", "--temporal-ui-port", "--smtp-port")
        options = [part for name, port in zip(names, self.ports, strict=True) for part in (name, str(port))]
        log = self.folder / ".sojourn" / "up.log"
        with log.open("wb") as out:
            self.up = subprocess.Popen(
                ["sojourn", "up", *options], cwd=self.folder, env=self.environ, stdout=out, stderr=out
            )
        until(lambda: "Ctrl-C" in log.read_text(), log.read_text)
        return log.read_text().split("\n")[0]

    def close(self) -> int:
        """Ctrl-C in the first terminal; its exit code."""
        assert self.up is not None
        self.up.send_signal(signal.SIGINT)
        return self.up.wait(timeout=PATIENCE)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    opened = Terminal(tmp_path)
    yield opened
    if opened.up is not None and opened.up.poll() is None:
        opened.up.kill()
        opened.up.wait()


@pytest.mark.temporal
@pytest.mark.timeout(1_200)
def test_the_first_half_hour_goes_as_written(terminal: Terminal) -> None:
    followed = 0
    for part in story("getting-started.md"):
        followed += 1
        if isinstance(part, Edit):
            path = terminal.folder / part.file
            assert part.old in path.read_text()
            path.write_text(path.read_text().replace(part.old, part.new))
            continue
        if part.text.startswith("sojourn why"):
            # What the page asks `why` about takes its moment to happen.
            asked = partial(terminal.run, part.text)
            until(lambda part=part, asked=asked: matches(part.expected, asked()), asked)  # type: ignore[misc]
        else:
            printed = terminal.run(part.text)
            assert matches(part.expected, printed), (part, printed)
    assert followed > 15
    assert terminal.close() == 0


def test_the_journey_on_the_page_is_the_one_that_init_writes() -> None:
    assert blocks("getting-started.md", "yaml") == [(STARTER / "journeys" / "welcome.yml").read_text()]


def test_the_editors_page_goes_as_written(terminal: Terminal) -> None:
    shutil.copytree(STARTER, terminal.folder, dirs_exist_ok=True)
    for part in story("editors.md"):
        assert isinstance(part, Command)
        assert matches(part.expected, terminal.run(part.text)), part
    [settings] = blocks("editors.md", "json")
    assert json.loads(settings) == json.loads((STARTER / ".vscode" / "settings.json").read_text())
    # The first line names the schema from where the file stands.
    [modeline] = blocks("editors.md", "yaml")
    named = re.match(r"# yaml-language-server: \$schema=(\S+)\njourney: ", modeline)
    assert named is not None
    assert (terminal.folder / "journeys" / named[1]).resolve().is_file()
