"""What goes wrong in a template, as one `RenderError`: the file, the line and what it is, never anybody's data."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

from jinja2 import TemplateNotFound, TemplateSyntaxError, UndefinedError
from jinja2.environment import Template
from jinja2.exceptions import SecurityError

from engine.errors import RenderError
from engine.rendering.document import ScriptedLink
from engine.rendering.mjml import BadMjml
from engine.rendering.sandbox import MAX_OUTPUT, MAX_SECONDS, MAX_STEPS, NotText, TooMuch

_NAMED = re.compile(r"'([A-Za-z_][A-Za-z0-9_]*)' is undefined")


@contextmanager
def faults(path: str) -> Iterator[None]:
    """Turns whatever a template raises inside into a `RenderError`; `path` is the file where none is nearer."""
    try:
        yield
    except RenderError:
        raise
    except TemplateSyntaxError as error:
        # Without the cause, here and below: what an exception says may hold a person's data.
        raise RenderError(f"templates/{error.filename or path}, line {error.lineno}: {error.message}") from None
    except Exception as error:
        file, line = _place(error.__traceback__, path)
        at = f", line {line}" if line else ""
        raise RenderError(f"templates/{file}{at}: {_what(error)}") from None


def _place(traceback: TracebackType | None, path: str) -> tuple[str, int]:
    """The innermost template that was running, and its line; 0 where none was."""
    place = (path, 0)
    while traceback:
        template = traceback.tb_frame.f_globals.get("__jinja_template__")
        if isinstance(template, Template) and template.filename:
            place = (template.filename, template.get_corresponding_lineno(traceback.tb_lineno))
        traceback = traceback.tb_next
    return place


def _what(error: Exception) -> str:
    match error:
        case UndefinedError():
            named = _NAMED.fullmatch(error.message or "")
            return f"{f'`{named[1]}`' if named else 'a value'} is missing and has no `| default(…)`"
        case SecurityError():
            return "it reaches for what templates may not use"
        case TooMuch():
            return (
                f"it does or prints too much; at most {MAX_STEPS} loop passes and calls, {MAX_SECONDS:g} seconds and "
                f"{MAX_OUTPUT} characters"
            )
        case NotText():
            return "it prints a list, a mapping or nothing where text belongs"
        case TemplateNotFound():
            return "it includes a template that does not exist in templates/shared/ or templates/"
        case RecursionError():
            return "it includes or calls itself without end"
        case BadMjml():
            return str(error)
        case ScriptedLink():
            return "a link would run code; links are http, https, mailto, tel or sms"
        case _:
            return f"a value is of a kind that cannot be used so ({type(error).__name__})"
