"""`sojourn check`: every problem of every file."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from engine.language.adapters import AdapterInfo
from engine.language.diagnostics import Diagnostic, Format, format_diagnostics
from engine.language.project import check_project, compile_project
from engine.language.project_file import FILE
from engine.simulator.runner import collect_scenarios


def register(app: typer.Typer) -> None:
    app.command("check")(check)


def check(
    path: Annotated[Path, typer.Argument(help="The project's folder.")] = Path(),
    form: Annotated[
        Format, typer.Option("--format", help="text: with excerpts; concise: a line each; github: annotations.")
    ] = "text",
) -> None:
    """Checks every file of a project: exit 0 when it can run (warnings included), 1 when not, 2 without a project."""
    # Adapters take their time to import; help and usage errors need none.
    from channels.registry import adapter_infos

    found = [_from_here(each, path) for each in _problems(path.resolve(), adapter_infos())]
    if found or form == "json":
        is_colourful = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        typer.echo(format_diagnostics(found, form, _texts(found), is_colourful=is_colourful))
    errors = sum(each.is_error for each in found)
    if form == "text":
        typer.echo(_summary(errors, len(found) - errors), err=True)
    if errors:
        raise typer.Exit(1)


def _problems(root: Path, adapters: Mapping[str, AdapterInfo]) -> list[Diagnostic]:
    project, found = compile_project(root, os.environ, adapters)
    if project is None:
        # Without the project a scenario's names mean nothing: of those files the YAML alone is checked.
        return check_project(root, os.environ, adapters)
    if not (root / "journeys" / "tests").is_dir():
        return found
    return sorted([*found, *collect_scenarios(project, [])[1]], key=lambda each: (each.file, each.line, each.column))


def _from_here(each: Diagnostic, path: Path) -> Diagnostic:
    """With file names as seen from the working directory, which editors and annotations can follow."""
    others = tuple(replace(other, file=(path / other.file).as_posix()) for other in each.related)
    return replace(each, file=(path / each.file).as_posix(), related=others)


def _texts(found: list[Diagnostic]) -> dict[str, str]:
    files = {each.file for each in found} | {other.file for each in found for other in each.related}
    # Lines of the project's file may hold secrets beside what is wrong: no excerpts of it.
    return {
        file: Path(file).read_text(encoding="utf-8", errors="replace")
        for file in files
        if Path(file).is_file() and Path(file).name != FILE
    }


def _summary(errors: int, warnings: int) -> str:
    if not errors and not warnings:
        return "No problems."
    counts = [_count(errors, "error"), _count(warnings, "warning")]
    return f"{' and '.join(count for count in counts if count)}."


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}" if number else ""
