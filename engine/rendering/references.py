"""Character references (`&amp;`) in attributes, which browsers read otherwise than the standard library does.

In `?price=9&currency=EUR` the library takes `&curren` for `¤`, and the link leads elsewhere.
"""

from __future__ import annotations

import re
from html.entities import html5

_NAMED = re.compile(r"&([A-Za-z][A-Za-z0-9]*+;?)(=?)")


def with_plain_ampersands(attributes: str) -> str:
    """The source of a tag, or of its attributes, in which each `&` that begins no reference stands as `&amp;`.

    Without its semicolon a name counts only where neither a letter, a digit nor `=` follows (HTML standard, 13.2.5.73).
    """
    return _NAMED.sub(_plain, attributes) if "&" in attributes else attributes


def _plain(found: re.Match[str]) -> str:
    name, equals = found.groups()
    is_reference = name in html5 and (name.endswith(";") or not equals)
    return found.group() if is_reference else f"&amp;{found.group()[1:]}"
