"""Links that are counted: every web link of a page and of a text, led to where a click is seen before it goes on."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from html import escape
from html.parser import HTMLParser
from urllib.parse import quote, urlencode

#: Makes of a link's target the target that the message carries.
Lead = Callable[[str], str]

_WEB = ("http://", "https://")
#: What may stand in a URL, and in the header that leads to it, as it is; anything else is percent-encoded.
_PLAIN = ":/%#?=@[]!$&'()*+,;~"
_IN_TEXT = re.compile(r"https?://[^\s<>\"]+", re.IGNORECASE)
#: Ends a sentence rather than a URL.
_STOPS = ".,;:!?'\""


def track_links(html: str, lead: Lead) -> str:
    """The HTML with the target of every http or https link of an `<a>` replaced by what `lead` makes of it.

    A link with `data-tracking="off"` stays as it is.
    """
    rewriter = _Rewriter(html, lead)
    rewriter.feed(html)
    rewriter.close()
    return "".join([*rewriter.parts, html[rewriter.copied :]])


def track_text(text: str, lead: Lead) -> str:
    """The text with every http or https address in it replaced by what `lead` makes of it."""

    def led(found: re.Match[str]) -> str:
        url = found.group()
        while url and (url[-1] in _STOPS or (url[-1] == ")" and url.count(")") > url.count("("))):
            url = url[:-1]
        return lead(url) + found.group()[len(url) :]

    return _IN_TEXT.sub(led, text)


def plain_url(url: str) -> str:
    """The URL in plain ASCII, as browsers send it: fit for a header."""
    return quote(url.strip(), safe=_PLAIN)


def with_parameters(url: str, parameters: Mapping[str, str]) -> str:
    """The URL with query parameters added; those that it has already stay as they are."""
    before, mark, fragment = url.partition("#")
    path, _, query = before.partition("?")
    known = {pair.partition("=")[0] for pair in query.split("&")}
    added = urlencode({name: value for name, value in parameters.items() if name not in known})
    asked = "&".join(each for each in (query, added) if each)
    return f"{path}?{asked}{mark}{fragment}" if asked else url


class _Rewriter(HTMLParser):
    def __init__(self, html: str, lead: Lead) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        #: How much of the source is in `parts`.
        self.copied = 0
        self._html = html
        self._lead = lead
        self._line_starts = [0, *(at.end() for at in re.finditer("\n", html))]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        href = next((value.strip() for name, value in attrs if name == "href" and value), "")
        if tag != "a" or not href.lower().startswith(_WEB) or ("data-tracking", "off") in attrs:
            return
        line, column = self.getpos()
        start = self._line_starts[line - 1] + column
        written = self.get_starttag_text() or ""
        # The whole tag is written anew: inside it the target may be quoted, escaped and spaced in any way.
        rest = "".join(_attribute(name, value) for name, value in attrs if name != "href")
        self.parts += [self._html[self.copied : start], f'<a href="{escape(self._lead(href))}"{rest}>']
        self.copied = start + len(written)


def _attribute(name: str, value: str | None) -> str:
    return f" {name}" if value is None else f' {name}="{escape(value)}"'
