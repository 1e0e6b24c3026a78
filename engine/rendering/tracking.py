"""Links that are counted: every web link of a page and of a text, led to where a click is seen before it goes on."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from html import escape, unescape
from html.parser import HTMLParser
from urllib.parse import quote, urlencode

import idna

from engine.rendering.references import with_plain_ampersands

#: Makes of a link's target the target that the message carries.
Lead = Callable[[str], str]

_WEB = ("http://", "https://")
#: What may stand in a URL, and in the header that leads to it, as it is; anything else is percent-encoded.
_PLAIN = ":/%#?=@[]!$&'()*+,;~"
#: The beginning of a link, whatever its attributes hold; or a comment, in which none is one. Only they are parsed.
_LINK = re.compile(r"""<!--.*?-->|<a(?=[\s/])(?:[^>"']++|"[^"]*+"|'[^']*+'){0,99}+>""", re.IGNORECASE | re.DOTALL)
#: A tag as people write it.
_USUAL_TAG = re.compile(r"""<[Aa](?:[ \t\n]+[A-Za-z-]+="[^"]*")+[ \t\n]*>""")
_USUAL_ATTRIBUTE = re.compile(r"""([A-Za-z-]+)="([^"]*)\"""")
_IN_TEXT = re.compile(r"https?://[^\s<>\"]+", re.IGNORECASE)
#: What stands before the host of a web address, it, and what stands after it.
_HOST = re.compile(r"(https?://(?:[^/?#@]*@)?)([^/?#@:\s]+)(.*)", re.IGNORECASE | re.DOTALL)
#: Ends a sentence or a quotation rather than a URL, in whatever script.
_STOPS = (
    ".,;:!?'\""
    "\u00bb\u203a\u2018\u2019\u201c\u201d\u2026"  # guillemets, quotation marks, the ellipsis
    "\u3001\u3002\u300b\u300d\u300f\u3011\uff01\uff09\uff0c\uff1a\uff1b\uff1f"  # Chinese and Japanese
    "\u060c\u061b\u061f"  # Arabic
)
#: Ends one only where it was begun before it.
_PAIRS = (("(", ")"), ("[", "]"))


def track_links(html: str, lead: Lead) -> str:
    """The HTML with the target of every http or https link of an `<a>` replaced by what `lead` makes of it.

    A link with `data-tracking="off"` stays as it is.
    """

    def led(found: re.Match[str]) -> str:
        attributes = _attributes(found.group())
        href = next((value.strip() for name, value in attributes if name == "href" and value), "")
        if not href.lower().startswith(_WEB) or ("data-tracking", "off") in attributes:
            return found.group()
        # The whole tag is written anew: inside it the target may be quoted, escaped and spaced in any way.
        rest = "".join([_attribute(name, value) for name, value in attributes if name != "href"])
        return f'<a href="{escape(lead(href))}"{rest}>'

    return _LINK.sub(led, html)


def track_text(text: str, lead: Lead) -> str:
    """The text with every http or https address in it replaced by what `lead` makes of it."""

    def led(found: re.Match[str]) -> str:
        url = found.group()
        while url and (url[-1] in _STOPS or any(_is_spare(url, *pair) for pair in _PAIRS)):
            url = url[:-1]
        return lead(url) + found.group()[len(url) :]

    return _IN_TEXT.sub(led, text)


def _is_spare(url: str, begin: str, end: str) -> bool:
    return url.endswith(end) and url.count(end) > url.count(begin)


def plain_url(url: str) -> str:
    """The URL in plain ASCII, as browsers send it: fit for a header."""
    parts = _HOST.fullmatch(url.strip())
    if parts is None:
        return quote(url.strip(), safe=_PLAIN)
    before, host, after = parts.groups()
    return quote(before, safe=_PLAIN) + _plain_host(host) + quote(after, safe=_PLAIN)


def _plain_host(host: str) -> str:
    try:
        return host if host.isascii() else idna.encode(host, uts46=True).decode()
    except UnicodeError:
        # No host that anybody could have; the author's own words, all the same.
        return quote(host, safe=_PLAIN)


def with_parameters(url: str, parameters: Mapping[str, str]) -> str:
    """The URL with query parameters added; those that it has already stay as they are."""
    before, mark, fragment = url.partition("#")
    path, _, query = before.partition("?")
    known = {pair.partition("=")[0] for pair in query.split("&")}
    added = urlencode({name: value for name, value in parameters.items() if name not in known})
    asked = "&".join(each for each in (query, added) if each)
    return f"{path}?{asked}{mark}{fragment}" if asked else url


def _attributes(tag: str) -> Sequence[tuple[str, str | None]]:
    """The attributes of a tag; none of a comment, nor of a tag and more, whose end a stray quote seems to hide."""
    tag = with_plain_ampersands(tag)
    if _USUAL_TAG.fullmatch(tag):
        # The parser takes three times as long.
        return [(name.lower(), unescape(value)) for name, value in _USUAL_ATTRIBUTE.findall(tag)]
    parser = _Tag()
    parser.feed(tag)
    return parser.attributes if parser.get_starttag_text() == tag else []


class _Tag(HTMLParser):
    """Takes one tag apart; a comment is none."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002
        self.attributes = attrs


def _attribute(name: str, value: str | None) -> str:
    return f" {name}" if value is None else f' {name}="{escape(value)}"'
