"""Golden files: `cases/err/X` gives `X.out`, `cases/ok/X` is silent and compiles to the plans in `X.json`.

A case is one journey (`X.yml`), or a folder of files laid over `standard/`. `UPDATE_GOLDEN=1 pytest tests/language`
rewrites what is expected; the difference is for review.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from engine.language.adapters import AdapterInfo
from engine.language.codes import CODES
from engine.language.diagnostics import Diagnostic, format_diagnostics
from engine.language.project import check_project, compile_project, load_project
from engine.plan.digest import plan_to_json
from engine.simulator.runner import collect_scenarios

HERE = Path(__file__).parent
IS_UPDATE = bool(os.environ.get("UPDATE_GOLDEN"))


def names(folder: str) -> list[str]:
    found = (path.stem for path in (HERE / "cases" / folder).iterdir() if path.suffix in ("", ".yml"))
    return sorted(found)


def check_settings(settings: Mapping[str, Any]) -> list[str]:
    return [] if "from" in settings else ["setting `from` is missing"]


def check_blocks(blocks: Sequence[Any]) -> list[str]:
    return ["a block has a `type`" for block in blocks if "type" not in block]


ADAPTERS = {
    "smtp": AdapterInfo(kind="email", check_settings=lambda settings: [], has_attachments=True),
    "twilio": AdapterInfo(kind="sms", check_settings=check_settings),
    "vonage": AdapterInfo(kind="sms", check_settings=check_settings),
    "slack": AdapterInfo(kind="chat", check_settings=lambda settings: [], check_blocks=check_blocks),
    "inbox": AdapterInfo(kind=None, check_settings=lambda settings: []),
}


def lay_out(folder: str, name: str, root: Path) -> None:
    shutil.copytree(HERE / "standard", root, dirs_exist_ok=True)
    case = HERE / "cases" / folder / name
    if case.is_dir():
        shutil.copytree(case, root, dirs_exist_ok=True)
    else:
        shutil.copy(case.with_name(f"{name}.yml"), root / "journeys" / "case.yml")


def found(root: Path) -> list[Diagnostic]:
    """What `sojourn check` says."""
    environ = {"SET": "hunter2"}
    project, problems = compile_project(root, environ, ADAPTERS)
    if project is None:
        return check_project(root, environ, ADAPTERS)
    is_tested = (root / "journeys" / "tests").is_dir()
    return problems + (collect_scenarios(project, [])[1] if is_tested else [])


def expect(path: Path, actual: str) -> None:
    if IS_UPDATE:
        path.write_text(actual)
    assert path.read_text() == actual


@pytest.mark.parametrize("name", names("err"))
def test_what_is_wrong_is_said(name: str, tmp_path: Path) -> None:
    lay_out("err", name, tmp_path)
    expect(HERE / "cases" / "err" / f"{name}.out", format_diagnostics(found(tmp_path), "concise", {}) + "\n")


@pytest.mark.parametrize("name", names("ok"))
def test_what_is_right_is_silent_and_compiles(name: str, tmp_path: Path) -> None:
    lay_out("ok", name, tmp_path)
    assert format_diagnostics(found(tmp_path), "concise", {}) == ""
    plans = load_project(tmp_path, {}, ADAPTERS).plans
    written = {journey: json.loads(plan_to_json(plan)) for journey, plan in plans.items() if journey != "welcome"}
    text = json.dumps(written, indent=2, sort_keys=True, ensure_ascii=False)
    expect(HERE / "cases" / "ok" / f"{name}.json", text + "\n")


def test_every_code_has_a_case() -> None:
    said = "".join(path.read_text() for path in (HERE / "cases" / "err").glob("*.out"))
    # The two with a test of their own below.
    said += ": SJ005 : SJ012 "
    assert [code for code in CODES if f": {code} " not in said] == []


def test_no_case_is_silent() -> None:
    silent = [path.stem for path in (HERE / "cases" / "err").glob("*.out") if not path.read_text().strip()]
    assert silent == []


def test_a_document_that_is_too_large_is_said_to_be(tmp_path: Path) -> None:
    """Written here, for a golden file of a megabyte helps nobody."""
    shutil.copytree(HERE / "standard", tmp_path, dirs_exist_ok=True)
    (tmp_path / "journeys" / "large.yml").write_text(f"journey: large\ntitle: {'x' * 1024 * 1024}\nsteps: []\n")
    assert [(each.code, each.file, each.line) for each in found(tmp_path)] == [("SJ005", "journeys/large.yml", 1)]


def test_a_file_that_cannot_be_read_is_said_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(HERE / "standard", tmp_path, dirs_exist_ok=True)
    read_bytes = Path.read_bytes

    def refuse(path: Path) -> bytes:
        if path.name == "welcome.yml":
            raise PermissionError(13, "Permission denied")
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", refuse)
    assert [(each.code, each.file) for each in found(tmp_path)] == [("SJ012", "journeys/welcome.yml")]
