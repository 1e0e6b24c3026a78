"""docs/adding-a-channel.md, followed to the letter: files as printed, installed, tested, listed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.waiting import PATIENCE

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "adding-a-channel.md"


def written(folder: Path) -> None:
    """Writes the page's files: each code block goes into the file that the text before it names."""
    page = PAGE.read_text(encoding="utf-8")
    found = re.findall(r"`([\w.]+\.(?:toml|py))`:(?:(?!```).)*?```(?:toml|python)\n(.*?)```", page, re.DOTALL)
    assert [name for name, _ in found] == ["pyproject.toml", "pigeon.py", "test_pigeon.py"]
    for name, text in found:
        (folder / name).write_text(text, encoding="utf-8")


def run(folder: Path, *command: str, path: Path | None = None) -> str:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(str(part) for part in (path, ROOT) if part)}
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=folder, env=environment, capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def installed(tmp_path: Path) -> tuple[Path, Path]:
    """The page's folder, and where it was installed: beside this environment, not into it."""
    folder, target = tmp_path / "pigeon", tmp_path / "site"
    folder.mkdir()
    written(folder)
    pip = ("pip", "install", "--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--target", str(target))
    run(folder, *pip, str(folder))
    return folder, target


def test_the_adapter_of_the_page_passes_the_suite_and_is_listed(installed: tuple[Path, Path]) -> None:
    folder, target = installed
    told = run(folder, "pytest", "-q", "-W", "error", path=target)
    passed = re.search(r"(\d+) passed", told)
    assert passed is not None
    assert int(passed.group(1)) > 30
    script = (
        "from channels.catalog import *; import json; print(json.dumps([[r.name, r.package] for r in adapter_rows()]))"
    )
    listed = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(target), str(ROOT)))},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ["pigeon", "pigeon"] in json.loads(listed.stdout)
