"""The house as it says it stands: what no linter checks."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from typer.main import get_command

from workers.cli.main import make_app

ROOT = Path(__file__).parents[2]
PACKAGES = ("engine", "channels", "workers")
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
DOCS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", [path for path in MODULES if path.name == "__init__.py"], ids=name)
def test_a_package_is_a_sentence_and_imports_nothing(path: Path) -> None:
    """An import in a parent package is paid by every workflow that loads anything below it."""
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree)
    assert len(tree.body) == 1


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_a_module_says_what_it_is_for_and_is_short_or_says_why_not(path: Path) -> None:
    text = path.read_text()
    docstring = ast.get_docstring(ast.parse(text)) or ""
    assert docstring, "a module begins with a sentence"
    if text.count("\n") > 500:
        assert "500 lines" in docstring, "more than 500 lines need a reason in the docstring (`500 lines: …`)"


def test_nothing_names_a_machine_or_a_registry() -> None:
    forbidden = re.compile(
        "|".join(["/wor" + "k/", "/far" + "m/", "/roo" + "t/", "pypi" + r"\.org", "npmjs" + r"\.org"])
    )
    tracked = [
        path
        for pattern in ("*.py", "*.md", "*.yml", "*.toml", "*.lock", "Makefile", "*.json", "*.html", "*.txt")
        for path in ROOT.rglob(pattern)
        if not {".venv", ".git", "node_modules", ".sojourn"} & set(path.parts)
    ]
    assert [name(path) for path in tracked if forbidden.search(path.read_text(errors="replace"))] == []


def test_every_verb_of_the_command_line_is_documented() -> None:
    text = "\n".join(path.read_text() for path in DOCS)
    missing = [verb for verb in get_command(make_app()).commands if f"sojourn {verb}" not in text]  # type: ignore[attr-defined]
    assert missing == [], "docs/command-line.md has a line for each"


@pytest.mark.parametrize("path", DOCS, ids=name)
def test_links_between_documents_lead_somewhere(path: Path) -> None:
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text())
    assert [target for target in targets if not (path.parent / target).exists()] == []


def test_the_two_commands_of_the_readme_are_targets_of_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for command in re.findall(r"^    make (\w+)", (ROOT / "README.md").read_text(), re.MULTILINE):
        assert f"\n{command}:" in makefile
