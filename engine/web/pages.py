"""HTML without a template engine: literals with placeholders, of which every value is escaped."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from pathlib import Path
from typing import LiteralString

from starlette.responses import HTMLResponse

#: Nothing is loaded but our own stylesheet, nothing is framed, forms lead back to us.
PAGE_POLICY = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'"
PAGE_HEADERS = {
    "Content-Security-Policy": f"{PAGE_POLICY}; frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "X-Robots-Tag": "noindex",
}


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def html(template: LiteralString, **values: object) -> Markup:
    """The template with each value in its place, escaped unless it is Markup; None leaves nothing."""
    return Markup(template.format(**{name: _escaped(value) for name, value in values.items()}))


def join(parts: Iterable[object], between: LiteralString = "") -> Markup:
    """The parts one after another, each escaped unless it is Markup."""
    return Markup(between.join(_escaped(part) for part in parts))


def page(title: str, body: Markup, *, status: int = 200, nav: Markup | None = None) -> HTMLResponse:
    """A whole page."""
    return HTMLResponse(
        html(
            '<!doctype html><html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            '<title>{title}</title><link rel="stylesheet" href="/style.css"></head>'
            "<body>{nav}<main>{body}</main></body></html>",
            title=title,
            nav=nav,
            body=body,
        ),
        status_code=status,
        headers=PAGE_HEADERS,
    )


def table(head: Iterable[object], rows: Iterable[Iterable[object]], *, empty: str) -> Markup:
    """A table, or a sentence that says why there is none."""
    body = [html("<tr>{cells}</tr>", cells=join(html("<td>{c}</td>", c=cell) for cell in row)) for row in rows]
    if not body:
        return html('<p class="empty">{empty}</p>', empty=empty)
    return html(
        '<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>',
        head=join(html('<th scope="col">{c}</th>', c=cell) for cell in head),
        body=join(body),
    )


def _escaped(value: object) -> str:
    match value:
        case None:
            return ""
        case Markup():
            return value
        case _:
            return escape(str(value), quote=True)


STYLE = (Path(__file__).parent / "style.css").read_text(encoding="utf-8")
