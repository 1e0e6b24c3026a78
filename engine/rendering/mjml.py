"""MJML: the markup from which tables for every mail program are made. Jinja2 comes first, so loops may stand anywhere.

What a person's data brings is escaped by then, and stays so: texts and attributes pass through as they are.
"""

from __future__ import annotations

import re
from html.parser import HTMLParser
from types import ModuleType

#: Jinja2's own parts: outputs, and what prints nothing.
_JINJA = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", re.DOTALL)
_ROOT = re.compile(r"<mjml\b(?![^>]*\slang=)", re.IGNORECASE)
_WHOLE = re.compile(r"<mjml[\s>]", re.IGNORECASE)
_UNKNOWN = re.compile(r"<(mj-[a-z-]+)")
#: Fonts are fetched from their owner, who would learn of every reading.
_REMOTE_FONTS = re.compile(
    r'<link\s[^>]*href="https?://[^>]*>|@import url\([^)]*\);?|<style type="text/css">\s*</style>', re.IGNORECASE
)
_VOID = frozenset("area base br col embed hr img input link meta source track wbr".split())  # noqa: SIM905
_NO_LIBRARY = 'templates in MJML need the extra `mjml`: `pip install "sojourn[mjml]"`'


class BadMjml(Exception):
    """Text that is no MJML; `line` counts from 1, of the text."""

    def __init__(self, message: str, line: int = 1) -> None:
        super().__init__(message)
        self.line = line


def to_html(text: str, locale: str) -> str:
    """The mail's HTML, its language said, without fonts from elsewhere. Raises BadMjml."""
    mrml = _library()
    said = _ROOT.sub(lambda root: f'{root.group()} lang="{locale}"', text, count=1)
    try:
        html = str(mrml.to_html(said, render_options=mrml.RenderOptions(fonts={})).content)
    except OSError as error:
        place = _open_element(text)
        if "includ" in str(error):
            raise BadMjml("`<mj-include>` reads no files; use `{% include %}`", _line(text, "<mj-include")) from None
        raise BadMjml(*place) from None
    unknown = _UNKNOWN.search(html)
    if unknown:
        raise BadMjml(f"MJML has no element `<{unknown[1]}>`", _line(text, unknown.group()))
    return _REMOTE_FONTS.sub("", html)


def check_source(body: str) -> BadMjml | None:
    """What is wrong with a template's MJML as it stands, its Jinja2 blanked out; None for a part of a document."""
    if not _WHOLE.search(body):
        return None
    try:
        to_html(_JINJA.sub(_blank, body), "en")
    except BadMjml as problem:
        return problem
    return None


def _blank(found: re.Match[str]) -> str:
    filling = "x" if found.group().startswith("{{") else " "
    return re.sub(r"[^\n]", filling, found.group())


def _library() -> ModuleType:
    try:
        import mrml
    except ModuleNotFoundError:
        raise BadMjml(_NO_LIBRARY) from None
    return mrml


def _line(text: str, written: str) -> int:
    return text[: max(text.find(written), 0)].count("\n") + 1


def _open_element(text: str) -> tuple[str, int]:
    """Why MJML does not parse, which its library does not say: nearly always an element that is not closed."""
    finder = _Finder()
    finder.feed(text)
    finder.close()
    return finder.problem or ("it is no MJML: attributes need quotes, and every element its end", 1)


class _Finder(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.problem: tuple[str, int] | None = None
        self._open: list[tuple[str, int]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002
        if tag not in _VOID:
            self._open.append((tag, self.getpos()[0]))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Closed as soon as it is opened."""

    def handle_endtag(self, tag: str) -> None:
        if tag in _VOID:
            return
        opened, line = self._open.pop() if self._open else ("", self.getpos()[0])
        if opened != tag and self.problem is None:
            said = f"`<{opened}>` is not closed" if opened else f"`</{tag}>` closes nothing"
            self.problem = (said, line)

    def close(self) -> None:
        super().close()
        if self._open and self.problem is None:
            tag, line = self._open[-1]
            self.problem = (f"`<{tag}>` is not closed", line)
