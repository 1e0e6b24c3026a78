"""Every diagnostic has a page, and each page's examples do what it says."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from channels.registry import adapter_infos
from engine.language.codes import CODES
from engine.language.diagnostics import Diagnostic, format_diagnostics
from engine.language.project import check_project, compile_project
from engine.simulator.runner import collect_scenarios

PAGES = Path(__file__).parents[2] / "docs" / "checks"
#: A file's name in a line of its own, and below it what it holds.
_FILE = re.compile(r"^`([^`\n]+)`\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SAID = re.compile(r"^```text\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_ROW = re.compile(r"^\| \[(SJ\d+)\]\((\S+)\) \| (.+?) \| (.+) \|$", re.MULTILINE)
#: What stands below the title.
_SEVERITIES = {"An error.": {"error"}, "A warning.": {"warning"}, "An error, or a warning.": {"error", "warning"}}
#: What a page cannot show: how its example is saved.
_SAVED: Mapping[str, Callable[[str], bytes]] = {
    "SJ002": lambda text: text.encode("latin-1"),
    "SJ003": lambda text: text.replace("␀", "\0").encode(),
    "SJ005": lambda text: text.replace("…", "a" * 1024 * 1024).encode(),
}


def page(code: str) -> str:
    return (PAGES / f"{code}.md").read_text(encoding="utf-8")


def parts(code: str) -> tuple[str, str]:
    """The page's example, and what it puts in its place."""
    before, _, instead = page(code).partition("\n## Instead\n")
    return before.partition("\n## Example\n")[2], instead


def lay_out(written: str, root: Path, save: Callable[[str], bytes] = str.encode) -> None:
    shop = _FILE.findall((PAGES / "README.md").read_text(encoding="utf-8"))
    for name, text in [*((name, text.encode()) for name, text in shop), *_saved(written, save)]:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text)


def _saved(written: str, save: Callable[[str], bytes]) -> list[tuple[str, bytes]]:
    return [(name, save(text)) for name, text in _FILE.findall(written)]


def found(root: Path) -> list[Diagnostic]:
    """What `sojourn check` says."""
    project, problems = compile_project(root, {}, adapter_infos())
    if project is None:
        return check_project(root, {}, adapter_infos())
    return problems + (collect_scenarios(project, [])[1] if (root / "journeys" / "tests").is_dir() else [])


def test_every_code_has_a_page_of_its_own_title() -> None:
    titles = {path.stem: path.read_text(encoding="utf-8").partition("\n")[0] for path in PAGES.glob("SJ*.md")}
    assert titles == {code: f"# {code}: {title}" for code, title in CODES.items()}


def test_the_index_lists_every_page_by_its_title() -> None:
    rows = _ROW.findall((PAGES / "README.md").read_text(encoding="utf-8"))
    assert [row[:3] for row in rows] == [(code, f"{code}.md", title) for code, title in CODES.items()]
    # The index says why in the page's own words.
    assert [code for code, _, _, why in rows if f"\n\n**Why it matters.** {why}\n\n" not in page(code)] == []


def test_the_shop_of_the_examples_is_sound(tmp_path: Path) -> None:
    lay_out("", tmp_path)
    assert found(tmp_path) == []


@pytest.mark.parametrize("code", CODES)
def test_an_example_is_told_what_its_page_says(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    example, _ = parts(code)
    lay_out(example, tmp_path, _SAVED.get(code, str.encode))
    if code == "SJ012":
        refuse_to_open(_FILE.findall(example)[0][0], monkeypatch)
    told = found(tmp_path)
    said = format_diagnostics(told, "concise", {}) + "\n"
    if os.environ.get("UPDATE_GOLDEN"):
        block = f"```text\n{said}```"
        (PAGES / f"{code}.md").write_text(_SAID.sub(lambda _: block, page(code)), encoding="utf-8")
        example, _ = parts(code)
    assert _SAID.findall(example) == [said]
    assert {each.code for each in told} == {code}
    assert {each.severity for each in told} <= _SEVERITIES[page(code).split("\n")[2]]


@pytest.mark.parametrize("code", CODES)
def test_what_a_page_puts_in_its_place_is_silent(code: str, tmp_path: Path) -> None:
    _, instead = parts(code)
    assert _FILE.findall(instead)
    lay_out(instead, tmp_path)
    assert found(tmp_path) == []


def refuse_to_open(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the file system does to others: whoever runs the tests may be allowed to read everything."""
    read_bytes = Path.read_bytes

    def refuse(path: Path) -> bytes:
        if path.as_posix().endswith(name):
            raise PermissionError(13, "Permission denied")
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", refuse)
