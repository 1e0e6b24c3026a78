"""What becomes of rendered HTML before it is mailed: one document, hidden preheader, inlined styles, safe links."""

from __future__ import annotations

import re
from html import escape
from html.parser import HTMLParser

import css_inline

#: For a template that is only a fragment, in a project without a layout of its own. Styles are inline already.
_SKELETON = """\
<!doctype html>
<html lang="{locale}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{subject}</title>
</head>
<body style="margin:0;padding:0;background:#ffffff;color:#1f2328">
<div style="max-width:600px;margin:0 auto;padding:24px;font:16px/1.5 'Segoe UI',Helvetica,Arial,sans-serif">
{content}
</div>
</body>
</html>
"""
_PREHEADER = '<div style="display:none;max-height:0;overflow:hidden;mso-hide:all">{preheader}</div>'

_WHOLE = re.compile(r"<html[\s>]", re.IGNORECASE)
_BODY = re.compile(r"<body(?:\s[^>]*)?>", re.IGNORECASE)
_STYLE = re.compile(r"<style[\s>]", re.IGNORECASE)
#: Schemes that run code or carry the content along; browsers pass over white space inside them.
_SCRIPTED = re.compile(
    "|".join("[\\x00-\\x20]*".join([*scheme, ":"]) for scheme in ("javascript", "vbscript", "data")), re.IGNORECASE
)
#: The same schemes in text that holds nothing of what may stand inside them.
_SCRIPTED_CLOSED = (b"javascript:", b"vbscript:", b"data:")
#: References to characters of ASCII, which a scheme may be written with; but for the quotation marks of escaped values.
_DISGUISING = re.compile(
    "&(?:colon;|tab;|newline;|#(?!3[49];|x27;)"
    "(?:x0*[0-7]?[0-9a-f](?![0-9a-f])|0*(?:[0-9]{1,2}|1[01][0-9]|12[0-7])(?![0-9])))",
    re.IGNORECASE,
)
_BLANKS = bytes(range(0x21))
_LEADING = "".join(map(chr, range(0x21)))
_URL_ATTRIBUTES = frozenset(["href", "src", "action", "formaction", "background", "poster"])

# Remote sheets would be fetched while a message is rendered; `@media` rules live in the style element, so it stays.
_INLINER = css_inline.CSSInliner(keep_style_tags=True, load_remote_stylesheets=False)


class ScriptedLink(Exception):
    """A link whose scheme runs code in the reader's program; `line` is the document's."""


def is_whole(html: str) -> bool:
    """True where the HTML is a document, not a fragment of one."""
    return _WHOLE.search(html) is not None


def in_skeleton(content: str, *, subject: str, locale: str) -> str:
    """A fragment as a small responsive document."""
    return _SKELETON.format(content=content, subject=escape(subject), locale=escape(locale))


def with_preheader(html: str, preheader: str) -> str:
    """The document with the line that inboxes show beside the subject, hidden at the top of its body."""
    hidden = _PREHEADER.format(preheader=escape(preheader))
    body = _BODY.search(html)
    return f"{html[: body.end()]}\n{hidden}{html[body.end() :]}" if body else hidden + html


def with_pixel(html: str, url: str) -> str:
    """The document with a picture of one pixel at its end."""
    pixel = f'<img src="{escape(url)}" width="1" height="1" alt="" style="display:block;border:0">'
    end = html.lower().rfind("</body>")
    return html + pixel if end < 0 else f"{html[:end]}{pixel}{html[end:]}"


def with_inlined_styles(html: str) -> str:
    """The document with the rules of its style elements on the elements, as mail clients want them."""
    return _INLINER.inline(html) if _STYLE.search(html) else html


def check_links(html: str) -> None:
    """Raises `ScriptedLink` where a link or an image would run code or carry its content along."""
    # Nearly no message holds one of the schemes; only those that do are parsed. Bytes are searched ten times as fast.
    closed = html.encode(errors="replace").translate(None, _BLANKS).lower()
    if any(scheme in closed for scheme in _SCRIPTED_CLOSED) or _DISGUISING.search(html):
        checker = _LinkChecker()
        checker.feed(html)
        checker.close()


class _LinkChecker(HTMLParser):
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002
        for name, value in attrs:
            if name in _URL_ATTRIBUTES and _SCRIPTED.match((value or "").lstrip(_LEADING)):
                raise ScriptedLink
