"""docs/command-line.md is made from the command line itself: `UPDATE_DOCS=1 pytest tests/architecture` rewrites it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from typer.main import get_command

from workers.cli.main import make_app

PAGE = Path(__file__).parents[2] / "docs" / "command-line.md"
HEAD = """# The command line

Exit codes everywhere: 0 fine, 1 the answer is no, 2 unusable input. `--help` after any verb tells its options;
`--format json` is there wherever a program may read the output. This page is made from the command line itself.
"""


def reference() -> str:
    """The page as it should be."""
    parts = [HEAD]
    root: Any = get_command(make_app())
    for verb, command in sorted(root.commands.items()):
        parts += _sections(f"sojourn {verb}", command)
    return "\n".join(parts)


def _sections(path: str, command: Any) -> list[str]:
    if hasattr(command, "commands"):
        own = _section(path, command) if command.invoke_without_command else []
        inside = sorted(command.commands.items())
        return own + [line for name, inner in inside for line in _sections(f"{path} {name}", inner)]
    return _section(path, command)


def _section(path: str, command: Any) -> list[str]:
    arguments = " ".join((each.name or "").upper() for each in command.params if each.param_type_name == "argument")
    lines = [f"## `{' '.join(filter(None, (path, arguments)))}`", "", " ".join((command.help or "").split()), ""]
    options = [each for each in command.params if each.param_type_name == "option" and not each.hidden]
    rows = [f"| `{', '.join(each.opts)}` | {' '.join((each.help or '').split())} |" for each in options]
    return [*lines, "| option | meaning |", "| --- | --- |", *rows, ""] if rows else lines


def test_the_page_says_what_the_command_line_does() -> None:
    if os.environ.get("UPDATE_DOCS"):
        PAGE.write_text(reference())
    assert PAGE.read_text() == reference(), "UPDATE_DOCS=1 pytest tests/architecture rewrites it"
