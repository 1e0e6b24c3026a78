"""Somebody else's package, `third_party/`: installed for real, found through the entry points, tested by our suite.

The page docs/adding-a-channel.md is held by its own test. Here the adapter speaks no HTTP, nothing of its source is on
the path but what was installed, and the commands of a project meet it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.waiting import PATIENCE

ROOT = Path(__file__).parents[2]
SOURCE = Path(__file__).parent / "third_party"
SOJOURN = ("-c", "from workers.cli.main import main; main()")


def run(folder: Path, *command: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(str(part) for part in (path, ROOT) if part),
        "PAGER_PIN": "pin-s3cr3t",
        "COLUMNS": "200",
    }
    return subprocess.run(
        [sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True, timeout=PATIENCE
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the package was installed: beside this environment, not into it."""
    folder, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("site")
    for name in ("pyproject.toml", "pager.py"):
        shutil.copy(SOURCE / name, folder)
    pip = ("pip", "install", "--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--target", str(target))
    done = run(folder, "-m", *pip, str(folder))
    assert done.returncode == 0, done.stdout + done.stderr
    shutil.rmtree(folder)
    return target


def project(folder: Path, settings: str) -> Path:
    (folder / "sojourn.yml").write_text(
        "project: shop\ntimezone: Europe/Madrid\nlocale: en\n\n"
        f"channels:\n  sms: {{use: pager, settings: {settings}}}\n\n"
        "topics:\n  offers: {kind: marketing}\n",
        encoding="utf-8",
    )
    return folder


def test_the_suite_passes_on_what_was_installed(site: Path, tmp_path: Path) -> None:
    shutil.copy(SOURCE / "suite.py", tmp_path)
    done = run(tmp_path, "-m", "pytest", "-q", "-W", "error", "suite.py", path=site)
    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None
    assert int(passed.group(1)) >= 20


def test_the_suite_fails_for_an_adapter_that_tells_its_secret(site: Path, tmp_path: Path) -> None:
    """The same suite on the same door, with one line of the installed adapter changed."""
    broken = tmp_path / "site"
    shutil.copytree(site, broken)
    text = (broken / "pager.py").read_text(encoding="utf-8")
    changed = text.replace('f"pager refused the message (', 'f"pager refused {self.settings.pin.get_secret_value()} (')
    assert changed != text
    (broken / "pager.py").write_text(changed, encoding="utf-8")
    shutil.copy(SOURCE / "suite.py", tmp_path)
    done = run(tmp_path, "-m", "pytest", "-q", "-W", "error", "-k", "secret", "suite.py", path=broken)
    assert done.returncode == 1
    assert "FAILED suite.py::TestPager::test_no_secret_address_or_text_gets_into_an_error_or_a_log" in done.stdout
    assert "1 failed" in done.stdout


def test_the_command_line_lists_it_with_its_package(site: Path, tmp_path: Path) -> None:
    done = run(tmp_path, *SOJOURN, "channels", "--format", "json", path=site)
    assert done.returncode == 0, done.stderr
    (row,) = [row for row in json.loads(done.stdout)["adapters"] if row["name"] == "pager"]
    assert (row["kind"], row["package"]) == ("sms", "pager")
    assert {"name": "pin", "is_required": True, "is_secret": True} in row["settings"]


def test_a_project_that_uses_it_is_checked_by_its_settings(site: Path, tmp_path: Path) -> None:
    good = project(tmp_path, '{host: pager.example, port: 7000, pin: "${PAGER_PIN}"}')
    done = run(good, *SOJOURN, "check", path=site)
    assert done.returncode == 0, done.stdout + done.stderr
    bad = project(tmp_path, '{host: pager.example, prt: 7000, pin: "${PAGER_PIN}"}')
    done = run(bad, *SOJOURN, "check", "--format", "concise", path=site)
    assert done.returncode == 1
    assert "SJ702" in done.stdout
    assert "`prt`" in done.stdout
    assert "pin-s3cr3t" not in done.stdout


def test_where_it_is_not_installed_the_project_is_told_so(tmp_path: Path) -> None:
    done = run(project(tmp_path, "{host: pager.example}"), *SOJOURN, "check", "--format", "concise")
    assert done.returncode == 1
    assert "SJ108" in done.stdout
