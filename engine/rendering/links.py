"""Links that a message carries: short opaque tokens, their URLs, and the headers of one-click unsubscribe."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Callable
from html import escape
from html.parser import HTMLParser
from typing import Literal

from engine.errors import BadInput

#: What a link lets its holder do. A token of one kind is none of another.
LinkKind = Literal["unsubscribe", "preferences", "confirm", "click", "open"]

_PATHS: dict[LinkKind, str] = {"unsubscribe": "u", "preferences": "p", "confirm": "c", "click": "r", "open": "o"}
#: What may stand in a header as it is. The length leaves room for `List-Unsubscribe: <>` in one line of 998.
_HEADER_URL = re.compile(r"https?://[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]{1,900}")


def token(project_key: bytes, kind: LinkKind, delivery_id: str, extra: str = "") -> str:
    """22 URL-safe characters (128 bits) that only the project's key can make, the same each time.

    A message rendered again after a crash carries the same links. `extra` tells apart several of one kind (the
    target of a click). The token says nothing by itself: its hash is looked up.
    """
    mac = hmac.digest(project_key, "\x00".join(("link", kind, delivery_id, extra)).encode(), "sha256")
    return base64.urlsafe_b64encode(mac[:16]).decode().rstrip("=")


def token_hash(link_token: str) -> str:
    """What the store keeps of a token, and finds it by: whoever reads the table cannot follow the links."""
    return hashlib.sha256(link_token.encode()).hexdigest()


def link_url(public_url: str, kind: LinkKind, link_token: str) -> str:
    """The address of a link: `https://shop.example/u/TOKEN`."""
    return f"{public_url.rstrip('/')}/{_PATHS[kind]}/{link_token}"


def unsubscribe_headers(url: str) -> dict[str, str]:
    """The two headers of RFC 8058 that let mailbox providers unsubscribe with one click.

    Raises `BadInput` for a URL that could not stand in a header plainly: mailbox providers ignore an encoded one.
    """
    if not _HEADER_URL.fullmatch(url):
        raise BadInput("the unsubscribe link must be an http or https address of at most 900 plain characters")
    return {"List-Unsubscribe": f"<{url}>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}


def track_links(html: str, mint: Callable[[str], str]) -> str:
    """The HTML with the target of every http or https link of an `<a>` replaced by what `mint` makes of it."""
    rewriter = _Rewriter(html, mint)
    rewriter.feed(html)
    rewriter.close()
    return "".join([*rewriter.parts, html[rewriter.copied :]])


class _Rewriter(HTMLParser):
    def __init__(self, html: str, mint: Callable[[str], str]) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        #: How much of the source is in `parts`.
        self.copied = 0
        self._html = html
        self._mint = mint
        self._line_starts = [0, *(at.end() for at in re.finditer("\n", html))]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        href = next((value for name, value in attrs if name == "href" and value), "")
        if tag != "a" or not href.lower().startswith(("http://", "https://")):
            return
        line, column = self.getpos()
        start = self._line_starts[line - 1] + column
        written = self.get_starttag_text() or ""
        # The whole tag is written anew: inside it the target may be quoted, escaped and spaced in any way.
        rest = "".join(_attribute(name, value) for name, value in attrs if name != "href")
        self.parts += [self._html[self.copied : start], f'<a href="{escape(self._mint(href))}"{rest}>']
        self.copied = start + len(written)


def _attribute(name: str, value: str | None) -> str:
    return f" {name}" if value is None else f' {name}="{escape(value)}"'
