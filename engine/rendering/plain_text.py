"""The text twin of an HTML message, for readers and filters that want one."""

from __future__ import annotations

import re
from html.parser import HTMLParser

_BLOCK = re.compile(
    "address|article|blockquote|div|dl|dt|dd|figure|footer|form|h[1-6]|header|hr|li|main|nav|ol|p|pre|section|table|tr|ul"
)
#: Blocks that an empty line sets apart.
_SPACED = re.compile("blockquote|h[1-6]|hr|ol|p|pre|table|ul")
_UNSEEN = re.compile("head|script|style|title")
#: Elements without an end.
_VOID = re.compile("area|base|br|col|embed|hr|img|input|link|meta|source|track|wbr")
_DASH = "- "
#: Between two cells of a row; no other tab is ever written.
_NEXT_CELL = "\t"
_HIDDEN_STYLE = re.compile(r"display\s*:\s*none|mso-hide\s*:\s*all|visibility\s*:\s*hidden", re.IGNORECASE)
_LINKS = ("http:", "https:", "mailto:", "tel:")
_WHITE = re.compile(r"[ \t\r\n\f]+")
#: Invisible characters that pad preheaders.
_PADDING = re.compile("[\u00ad\u034f\u200b-\u200f\u2060\ufeff]")


class _Writer(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._out: list[str] = []
        #: Line breaks due before the next words: 2 leave an empty line.
        self._breaks = 0
        #: Open elements inside one that is not seen, itself included.
        self._hidden: list[str] = []
        #: Targets of the open links, each with where its text begins in `_out`.
        self._links: list[tuple[str, int]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        is_unseen = _UNSEEN.fullmatch(tag) or "hidden" in given or _HIDDEN_STYLE.search(given.get("style") or "")
        if (self._hidden or is_unseen) and not _VOID.fullmatch(tag):
            self._hidden.append(tag)
        if self._hidden or is_unseen:
            return
        if tag == "a":
            self._links.append((given.get("href") or "", len(self._out)))
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
            self._write(given.get("alt") or "")
        elif tag in ("td", "th"):
            self._write(_NEXT_CELL)
        else:
            self._break(tag)

    def handle_endtag(self, tag: str) -> None:
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
        elif not _VOID.fullmatch(tag):
            self._break(tag)

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self._write(_WHITE.sub(" ", data if data.isascii() else _PADDING.sub("", data)))

    def updatepos(self, i: int, j: int) -> int:  # noqa: ARG002
        """Nobody asks for lines and columns, so nobody counts them."""
        return j

    def _break(self, tag: str) -> None:
        # A paragraph in a list item stays beside its dash.
        if _BLOCK.fullmatch(tag) and self._out[-1:] != [_DASH]:
            self._breaks = max(self._breaks, 2 if _SPACED.fullmatch(tag) else 1)

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


def _spaced(line: str) -> str:
    cells = (" ".join(cell.split()) for cell in line.split(_NEXT_CELL))
    return "  ".join(cell for cell in cells if cell)


def text_of(html: str) -> str:
    """The words of an HTML document: hidden elements left out, links as `text (url)`, one empty line between blocks."""
    writer = _Writer()
    writer.feed(html)
    writer.close()
    return writer.text()
