"""Links that a message carries: short opaque tokens, their URLs, and the headers of one-click unsubscribe."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from typing import Literal

from engine.errors import BadInput

#: What a link lets its holder do. A token of one kind is none of another.
LinkKind = Literal["unsubscribe", "preferences", "confirm", "click", "open"]

#: What the links of a test stand for in place of what they are: nothing that could be done or shown.
VOID = "test"

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


def is_own(public_url: str, url: str) -> bool:
    """Whether a URL is one of the links above, which mean something only as they are."""
    start = public_url.rstrip("/") + "/"
    return any(url.startswith(f"{start}{path}/") for path in _PATHS.values())


def unsubscribe_headers(url: str) -> dict[str, str]:
    """The two headers of RFC 8058 that let mailbox providers unsubscribe with one click.

    Raises `BadInput` for a URL that could not stand in a header plainly: mailbox providers ignore an encoded one.
    """
    if not _HEADER_URL.fullmatch(url):
        raise BadInput("the unsubscribe link must be an http or https address of at most 900 plain characters")
    return {"List-Unsubscribe": f"<{url}>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}
