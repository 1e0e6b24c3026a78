"""The word that a running `sojourn up` leaves for the other commands of its folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from workers.whereabouts import Whereabouts, find, left


def word(process: int) -> Whereabouts:
    return Whereabouts(process=process, public_url="http://127.0.0.1:8081", smtp_port=1026)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / ".sojourn").mkdir()
    return tmp_path / ".sojourn"


def test_it_is_found_while_it_runs_and_not_after(tmp_path: Path, folder: Path) -> None:
    assert find(tmp_path) is None
    with left(folder, word(os.getpid())):
        assert find(tmp_path) == word(os.getpid())
    assert find(tmp_path) is None


def test_what_one_that_died_has_left_is_nothing(tmp_path: Path, folder: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    with left(folder, word(gone.pid)):
        assert find(tmp_path) is None


@pytest.mark.parametrize("text", ["", "{", "[]", "7", "{}", '{"process": 1}', '{"process": "x", "public_url": 1}'])
def test_what_cannot_be_read_is_nothing(tmp_path: Path, folder: Path, text: str) -> None:
    (folder / "up.json").write_text(text)
    assert find(tmp_path) is None


def test_a_folder_that_never_ran_has_none(tmp_path: Path) -> None:
    assert find(tmp_path / "nowhere") is None
