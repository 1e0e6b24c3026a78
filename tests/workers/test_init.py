"""`sojourn init`: what it makes passes `check` and `test`, and it never touches what is there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.waiting import PATIENCE, until
from workers.cli import init

SOJOURN = Path(sys.executable).with_name("sojourn")


def sojourn(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([SOJOURN, *arguments], cwd=cwd, capture_output=True, text=True, timeout=PATIENCE, check=False)


def files(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_a_new_project_passes_check_and_test(tmp_path: Path) -> None:
    made = sojourn("init", "My Shop", cwd=tmp_path)
    assert (made.returncode, made.stderr) == (0, "")
    assert made.stdout.startswith("Made the project `my-shop` in My Shop.")
    shop = tmp_path / "My Shop"
    checked = sojourn("check", cwd=shop)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "No problems.\n")
    tested = sojourn("test", cwd=shop)
    assert tested.returncode == 0, tested.stdout
    assert tested.stdout.startswith("4 of 4 scenarios hold")
    none = sojourn("test", "-k", "nowhere", cwd=shop)
    assert (none.returncode, none.stderr) == (2, "sojourn: none of 4 scenarios has `nowhere` in its name\n")
    assert (shop / ".gitignore").read_text() == ".sojourn/\n"


def test_every_journey_of_a_new_project_has_a_scenario(tmp_path: Path) -> None:
    assert sojourn("init", "shop", cwd=tmp_path).returncode == 0
    journeys = {path.name for path in (tmp_path / "shop" / "journeys").glob("*.yml")}
    assert journeys == {path.name for path in (tmp_path / "shop" / "journeys" / "tests").glob("*.yml")}
    assert len(journeys) == 2


def test_the_editor_finds_the_schemas_that_its_settings_name(tmp_path: Path) -> None:
    assert sojourn("init", "shop", cwd=tmp_path).returncode == 0
    settings = json.loads((tmp_path / "shop" / ".vscode" / "settings.json").read_text())["yaml.schemas"]
    schemas = {name: json.loads((tmp_path / "shop" / name).read_text()) for name in settings}
    assert len(schemas) == 4
    assert schemas["./.sojourn/schemas/journey.json"]["definitions"]["topic"]["enum"] == ["news", "orders"]


def test_an_empty_folder_is_filled_where_it_is(tmp_path: Path) -> None:
    before = tmp_path.stat().st_ino
    assert sojourn("init", ".", cwd=tmp_path).returncode == 0
    assert tmp_path.stat().st_ino == before
    assert sojourn("check", cwd=tmp_path).returncode == 0


def test_a_folder_with_something_in_it_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / ".hidden").write_text("mine")
    refused = sojourn("init", "shop", cwd=tmp_path)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.startswith("sojourn: shop is not empty; ")
    assert files(tmp_path) == {"shop/.hidden": b"mine"}


def test_a_second_time_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    assert sojourn("init", "shop", cwd=tmp_path).returncode == 0
    before = files(tmp_path)
    assert sojourn("init", "shop", cwd=tmp_path).returncode == 2
    assert files(tmp_path) == before


def test_a_file_in_the_way_is_refused(tmp_path: Path) -> None:
    (tmp_path / "shop").write_text("mine")
    refused = sojourn("init", "shop", cwd=tmp_path)
    assert (refused.returncode, refused.stderr.split(";")[0]) == (2, "sojourn: shop is a file")
    below = sojourn("init", "shop/deeper", cwd=tmp_path)
    assert (below.returncode, below.stderr.split(":")[1]) == (2, " shop/deeper cannot be made a project")
    assert files(tmp_path) == {"shop": b"mine"}


@pytest.mark.parametrize("is_there", [False, True])
def test_what_fails_half_way_leaves_nothing_behind(
    is_there: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = tmp_path / "shop"
    if is_there:
        shop.mkdir()
    rename = Path.rename

    def fail_late(path: Path, target: Path) -> Path:
        if path.name == "templates":
            raise OSError(28, "No space left on device")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", fail_late)
    with pytest.raises(OSError, match="No space left"):
        init.init(shop)
    assert list(tmp_path.rglob("*")) == ([shop] if is_there else [])


@pytest.mark.parametrize(
    ("folder", "name"),
    [("My Shop", "my-shop"), ("Café 3", "caf-3"), ("…", "my-shop"), ("_x_", "x"), ("a_b-c", "a_b-c")],
)
def test_a_project_is_called_like_its_folder(folder: str, name: str, tmp_path: Path) -> None:
    init.init(tmp_path / folder)
    assert (tmp_path / folder / "sojourn.yml").read_text().splitlines()[0] == f"project: {name}"


# ── sojourn test --watch ─────────────────────────────────────────────────────────────────────────────────────────────
class Watching:
    """A running `sojourn test --watch`."""

    def __init__(self, root: Path) -> None:
        self._out = root.with_suffix(".out").open("w+")
        environ = {**os.environ, "PYTHONUNBUFFERED": "1"}
        self._process = subprocess.Popen(
            [SOJOURN, "test", "--watch"],
            cwd=root,
            stdout=self._out,
            stderr=subprocess.STDOUT,
            env=environ,
            # A shell starts what runs in its background deaf to Ctrl-C, and that is inherited: these tests press it.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def said(self) -> str:
        return Path(self._out.name).read_text()

    def until(self, condition: Callable[[str], bool]) -> None:
        until(lambda: condition(self.said()), self.said)

    def rounds(self, count: int) -> None:
        """Waits until the scenarios were held so often."""
        self.until(lambda said: said.count("Waiting for a change") >= count)

    def leave(self) -> int:
        """Ctrl-C; the exit code."""
        self._process.send_signal(signal.SIGINT)
        code = self._process.wait(timeout=PATIENCE)
        self._out.close()
        return code


def test_watching_holds_the_scenarios_again_at_every_change(tmp_path: Path) -> None:
    assert sojourn("init", "shop", cwd=tmp_path).returncode == 0
    shop = tmp_path / "shop"
    watching = Watching(shop)
    watching.rounds(1)
    template = shop / "templates" / "email" / "orders" / "thanks.html"
    good = template.read_text()
    template.write_text(good.replace("Thank you for", "Thanks for"))
    watching.rounds(2)
    assert "3 of 4 scenarios hold" in watching.said()
    template.write_text(good)
    watching.rounds(3)
    (shop / "sojourn.yml").write_text(
        (shop / "sojourn.yml").read_text().replace("starter", "x").replace("news:", "nws:")
    )
    watching.rounds(4)
    assert "SJ102" in watching.said()
    # Nothing is cleared where no terminal is, so every round can still be read.
    assert watching.said().count("4 of 4 scenarios hold") == 2
    assert "\x1b" not in watching.said()
    assert watching.leave() == 2


@pytest.mark.parametrize(("change", "code"), [("Welcome, Ana", 0), ("Welcome, Bea", 1)])
def test_leaving_gives_the_last_verdict(change: str, code: int, tmp_path: Path) -> None:
    assert sojourn("init", "shop", cwd=tmp_path).returncode == 0
    scenario = tmp_path / "shop" / "journeys" / "tests" / "welcome.yml"
    scenario.write_text(scenario.read_text().replace("Welcome, Ana", change))
    watching = Watching(tmp_path / "shop")
    watching.rounds(1)
    assert watching.leave() == code
