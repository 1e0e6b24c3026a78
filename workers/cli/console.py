"""Tables, progress, and what went wrong: for a terminal where there is one, plain text where a program reads."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from engine.errors import BadInput, NotFound, ProjectError, SojournError

#: What an instant has beyond its seconds: who reads a table has no use for it, and a program reads JSON.
_FRACTION = re.compile(r"\b(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.\d+(?=Z\b)")


@contextmanager
def progress(label: str, total: int | None) -> Iterator[Callable[[], None]]:
    """A bar on standard error; yields what to call after each of `total` pieces (None: nobody knows how many).

    Nothing where no terminal is.
    """
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(label, total=total)
        yield lambda: bar.advance(task)


@contextmanager
def counting(label: str, total: int | None) -> Iterator[Callable[[int, str], None]]:
    """A bar on standard error; yields what to call with how much of `total` is done (None: nobody knows how much there
    is) and in words. Nothing where no terminal is."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[words]}"), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(label, total=total, words="")
        yield lambda done, words: bar.update(task, completed=done, words=words)


def print_table(headings: Sequence[str], rows: Sequence[Sequence[object]], *, empty: str) -> None:
    """A table on standard output; numbers to the right, instants to the second. Where there are no rows, the sentence
    `empty`."""
    if not rows:
        print(empty)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for index, heading in enumerate(headings):
        is_number = all(isinstance(row[index], int | float) for row in rows)
        table.add_column(heading, justify="right" if is_number else "left", no_wrap=index == 0)
    for row in rows:
        table.add_row(*("" if cell is None else _FRACTION.sub(r"\1", str(cell)) for cell in row))
    # Lines for a program, or in a file, must not break where the terminal of nobody ends.
    console = Console(width=None if sys.stdout.isatty() else 1000)
    console.print(table, markup=False)


def tell_error(error: SojournError) -> int:
    """Tells on standard error what went wrong, in one clean message; the exit code that it means."""
    if isinstance(error, ProjectError):
        # Written as `check` writes them, without the excerpts.
        from engine.language.diagnostics import format_diagnostics

        typer.echo(format_diagnostics(error.diagnostics, "text", {}), err=True)
        return 2
    typer.echo(f"sojourn: {error}", err=True)
    return 2 if isinstance(error, BadInput | NotFound) else 1
