"""Programs of the npm registry that tests run, each as a `package-lock.json` of ours pins it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.waiting import PATIENCE

_VENV = Path(__file__).parents[1] / ".venv"


def install(pinned: Path) -> Path:
    """The `node_modules` with what the folder's lock pins, in `.venv/npm`; once for each lock.

    Needs `npm` and `node`, and the npm registry the first time.
    """
    npm = shutil.which("npm")
    assert npm is not None, f"the tests run what {pinned.name}/package.json names: install npm (and node)"
    assert shutil.which("node") is not None, f"the tests run what {pinned.name}/package.json names: install node"
    cache = _VENV / "npm" / pinned.name
    lock = (pinned / "package-lock.json").read_bytes()
    done = cache / "installed.json"
    if not done.is_file() or done.read_bytes() != lock or not (cache / "node_modules").is_dir():
        shutil.copytree(pinned, cache, dirs_exist_ok=True)
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        answer = subprocess.run(command, cwd=cache, capture_output=True, text=True, timeout=PATIENCE, check=False)
        assert answer.returncode == 0, f"`npm ci` could not install {pinned.name}:\n{answer.stderr}"
        done.write_bytes(lock)
    return cache / "node_modules"
