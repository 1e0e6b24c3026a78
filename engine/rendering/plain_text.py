"""The text twin of an HTML message, for readers and filters that want one."""

from __future__ import annotations

import re
from html import unescape

from engine.rendering.references import with_plain_ampersands

_BLOCK = frozenset(
    ["address", "article", "blockquote", "div", "dl", "dt", "dd", "figure", "footer", "form", "h1", "h2", "h3", "h4",
     "h5", "h6", "header", "hr", "li", "main", "nav", "ol", "p", "pre", "section", "table", "tr", "ul"]
)  # fmt: skip
#: Blocks that an empty line sets apart.
_SPACED = frozenset(["blockquote", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "ol", "p", "pre", "table", "ul"])
_UNSEEN = frozenset(["head", "script", "style", "title"])
#: Elements without an end.
_VOID = frozenset(
    ["area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"]
)
#: Elements of which an attribute is told.
_TOLD = frozenset(["a", "img"])
#: What a page is made of: words, elements without markup inside, tags, what is not seen, and a `<` that is none of it.
_TOKEN = re.compile(
    r"""
    ([^<]+)
    | <(script|style)(?=[\s/>]).*?(?:</\2(?=[\s/>])[^>]*>|\Z)
    | <([a-z][^\s/<>]*+)((?:[^'"<>]|"[^"]*"|'[^']*')*+|[^<>]*+)>
    | </([a-z][^\s/<>]*+)[^<>]*+>
    | <!--.*?(?:-->|\Z)
    | <(?:[!?]|/(?!\Z))[^<>]*+>
    | (<)
    """,
    re.IGNORECASE | re.DOTALL | re.VERBOSE,
)
_ATTRIBUTE = re.compile(r"""([^\s/>=]+)(?:\s*=\s*("[^"]*"|'[^']*'|[^\s>]*))?""")
_MAY_HIDE = re.compile("hidden|style", re.IGNORECASE)
_DASH = "- "
#: Between two cells of a row; no other tab is ever written.
_NEXT_CELL = "\t"
_HIDDEN_STYLE = re.compile(r"display\s*:\s*none|mso-hide\s*:\s*all|visibility\s*:\s*hidden", re.IGNORECASE)
_LINKS = ("http:", "https:", "mailto:", "tel:")
_WHITE = re.compile(r"[ \t\r\n\f]+")
#: Invisible characters that pad preheaders.
_PADDING = re.compile("[\u00ad\u034f\u200b-\u200f\u2060\ufeff]")


class _Writer:
    def __init__(self) -> None:
        self._out: list[str] = []
        #: Line breaks due before the next words: 2 leave an empty line.
        self._breaks = 0
        #: Open elements inside one that is not seen, itself included.
        self._hidden: list[str] = []
        #: Targets of the open links, each with where its text begins in `_out`.
        self._links: list[tuple[str, int]] = []

    def read(self, html: str) -> None:
        for words, _, tag, attributes, end, stray in _TOKEN.findall(html):
            if words:
                self._say(words)
            elif tag:
                self._open(tag.lower(), attributes)
            elif end:
                self._close(end.lower())
            elif stray:
                self._say(stray)

    def _open(self, tag: str, attributes: str) -> None:
        # Most elements have nothing that matters here: their attributes need not be taken apart.
        given = _given(attributes) if tag in _TOLD or _MAY_HIDE.search(attributes) else {}
        is_hidden = "hidden" in given or given.get("aria-hidden") == "true"
        is_unseen = tag in _UNSEEN or is_hidden or _HIDDEN_STYLE.search(given.get("style", ""))
        if (self._hidden or is_unseen) and tag not in _VOID:
            self._hidden.append(tag)
        if self._hidden or is_unseen:
            return
        if tag == "a":
            self._links.append((given.get("href", ""), len(self._out)))
        elif tag == "br":
            self._breaks += 1
        elif tag == "hr":
            self._break(tag)
            self._write("---")
            self._break(tag)
        elif tag == "li":
            self._break(tag)
            self._write(_DASH)
        elif tag == "img":
            self._write(given.get("alt", ""))
        elif tag in ("td", "th"):
            self._write(_NEXT_CELL)
        else:
            self._break(tag)

    def _close(self, tag: str) -> None:
        if self._hidden:
            if tag in self._hidden:
                # Elements left open inside end with it.
                while self._hidden.pop() != tag:
                    pass
        elif tag == "a" and self._links:
            target, start = self._links.pop()
            shown = "".join(self._out[start:]).strip()
            is_repeated = shown in (target, target.partition(":")[2].removeprefix("//"))
            if target.lower().startswith(_LINKS) and not is_repeated:
                self._write(f" ({target})" if shown else target)
        elif tag not in _VOID:
            self._break(tag)

    def _say(self, words: str) -> None:
        if not self._hidden:
            if "&" in words:
                words = unescape(words)
            self._write(_WHITE.sub(" ", words if words.isascii() else _PADDING.sub("", words)))

    def _break(self, tag: str) -> None:
        # A paragraph in a list item stays beside its dash.
        if tag in _BLOCK and self._out[-1:] != [_DASH]:
            self._breaks = max(self._breaks, 2 if tag in _SPACED else 1)

    def _write(self, words: str) -> None:
        if self._breaks and not words.strip():
            return
        if self._out:
            self._out.append("\n" * min(self._breaks, 2))
        self._breaks = 0
        self._out.append(words)

    def text(self) -> str:
        """All that was written, each line without spare white space."""
        return "\n".join(_spaced(line) for line in "".join(self._out).split("\n")).strip()


def _given(attributes: str) -> dict[str, str]:
    """Attributes by name, as they are meant; one without a value has an empty one."""
    found = _ATTRIBUTE.findall(with_plain_ampersands(attributes))
    return {name.lower(): unescape(value[1:-1] if value[:1] in ("'", '"') else value) for name, value in found}


def _spaced(line: str) -> str:
    cells = (" ".join(cell.split()) for cell in line.split(_NEXT_CELL))
    return "  ".join(cell for cell in cells if cell)


def text_of(html: str) -> str:
    """The words of an HTML document: hidden elements left out, links as `text (url)`, one empty line between blocks."""
    writer = _Writer()
    writer.read(html)
    return writer.text()
