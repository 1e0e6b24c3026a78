"""The word that a running `sojourn up` leaves for the other commands of its folder."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from workers.whereabouts import Whereabouts, find, left


def word(process: int) -> Whereabouts:
    return Whereabouts(process=process, public_url="http://127.0.0.1:8081", smtp_port=1026)


#: Leaves word, and never comes to its end.
LEAVING = """
import sys, time
from pathlib import Path
from workers.whereabouts import Whereabouts, left
with left(Path(sys.argv[1]), Whereabouts(process=7, public_url="http://127.0.0.1:8081", smtp_port=1026)):
    print("left", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / ".sojourn").mkdir()
    return tmp_path / ".sojourn"


def test_it_is_found_while_it_runs_and_not_after(tmp_path: Path, folder: Path) -> None:
    assert find(tmp_path) is None
    with left(folder, word(os.getpid())):
        assert find(tmp_path) == word(os.getpid())
    assert find(tmp_path) is None


def test_what_one_that_died_has_left_is_nothing_even_where_its_number_is_another_process(
    tmp_path: Path, folder: Path
) -> None:
    """In a container it is always 1, its successor's too."""
    (folder / "up.json").write_text(json.dumps(asdict(word(os.getpid()))))
    assert find(tmp_path) is None


def test_what_one_that_was_killed_has_left_is_nothing(tmp_path: Path, folder: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", LEAVING, folder], stdout=subprocess.PIPE, text=True) as killed:
        assert killed.stdout is not None
        assert killed.stdout.readline() == "left\n"
        assert find(tmp_path) == word(7)
        killed.kill()
    assert (folder / "up.json").exists()
    assert find(tmp_path) is None
    with left(folder, word(os.getpid())):
        assert find(tmp_path) == word(os.getpid())


@pytest.mark.parametrize("text", ["", "{", "[]", "7", "{}", '{"process": 1}', '{"process": "x", "public_url": 1}'])
def test_what_cannot_be_read_is_nothing(tmp_path: Path, folder: Path, text: str) -> None:
    with (folder / "up.json").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(text)
        file.flush()
        assert find(tmp_path) is None


def test_a_folder_that_never_ran_has_none(tmp_path: Path) -> None:
    assert find(tmp_path / "nowhere") is None
