"""`sojourn`: the command line. Each family of verbs is a module of this package with a `register(app)` function.

Exit codes: 0 fine, 1 the answer is no, 2 unusable input; 70 a defect of ours.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import pkgutil
import sys
import traceback
from collections.abc import Sequence
from importlib.metadata import version
from typing import Annotated, NoReturn

import typer

from engine.errors import SojournError
from workers import cli
from workers.cli.console import tell_error

_DEFECT = 70
_INTERRUPTED = 130


def make_app() -> typer.Typer:
    """The application with every verb, in alphabetical order."""
    app = typer.Typer(
        name="sojourn",
        help="Customer journeys as code: written in YAML, run by Temporal, tested before they are sent.",
        no_args_is_help=True,
        # A pretty traceback shows local variables, and those are people's data.
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )

    @app.callback()
    def options(
        is_version: Annotated[
            bool, typer.Option("--version", help="Print the version and leave.", callback=_print_version, is_eager=True)
        ] = False,
    ) -> None:
        del is_version

    for module in pkgutil.iter_modules(cli.__path__):
        register = getattr(importlib.import_module(f"{cli.__name__}.{module.name}"), "register", None)
        if register is not None:
            register(app)
    app.registered_commands.sort(key=lambda command: command.name or "")
    return app


def _print_version(is_wanted: bool) -> None:
    if is_wanted:
        typer.echo(f"sojourn {version('sojourn')}")
        raise typer.Exit


def run(arguments: Sequence[str]) -> int:
    """Runs one command line; its exit code. What goes wrong is told on standard error, in one clean message."""
    try:
        make_app()(args=list(arguments), prog_name="sojourn")
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except SojournError as error:
        return tell_error(error)
    except KeyboardInterrupt:
        return _INTERRUPTED
    except Exception:
        traceback.print_exc()
        typer.echo(
            "sojourn: this is a defect of ours; please report the lines above (look through them first)", err=True
        )
        return _DEFECT
    return 0


def main() -> NoReturn:
    """The entry point. Leaves by `os._exit`: Temporal's client may crash the interpreter's own way out."""
    code = run(sys.argv[1:])
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        # The reader (`| head`) may have gone, and wants no more.
        with contextlib.suppress(BrokenPipeError):
            stream.flush()
    os._exit(code)
