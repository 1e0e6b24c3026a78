"""The text twin that is derived from a page."""

from __future__ import annotations

import pytest

from engine.rendering.plain_text import text_of

CASES = {
    "paragraphs are set apart": ("<p>a</p><p>b\n  c</p>", "a\n\nb c"),
    "white space is as a browser shows it": ("<div>  a \n b<br>c&nbsp;</div>", "a b\nc"),
    "divisions begin new lines": ("<div>a<div>b</div></div><div>c</div>", "a\nb\nc"),
    "inline elements do not": ("<p>a<b>b</b><span>c</span></p>", "abc"),
    "links show their target": (
        '<a href="https://x.io/a?b=1&amp;c=2">Shop</a>',
        "Shop (https://x.io/a?b=1&c=2)",
    ),
    "a link that is its own text is not repeated": ('<a href="https://x.io">x.io</a>', "x.io"),
    "mail addresses likewise": ('<a href="mailto:a@b.example">a@b.example</a>', "a@b.example"),
    "a link without text is its target": ('<a href="https://x.io"></a>', "https://x.io"),
    "a link to elsewhere on the page is its text": ('<a href="#top">top</a>', "top"),
    "a picture is its alternative text": (
        '<a href="https://x.io"><img src="i" alt="Logo"></a>',
        "Logo (https://x.io)",
    ),
    "lists have dashes": ("<ul><li>a</li><li>b</li></ul>", "- a\n- b"),
    "a paragraph in a list stays at its dash": ("<ul><li><p>a</p></li><li><p>b</p></li></ul>", "- a\n\n- b"),
    "line breaks are line breaks": ("a<br>b<br><br>c<br><br><br>d", "a\nb\n\nc\n\nd"),
    "table cells stand side by side": (
        "<table><tr><td>tea</td><td>3</td></tr><tr><td>cup</td></tr></table>",
        "tea  3\ncup",
    ),
    "a rule is a rule": ("a<hr>b", "a\n\n---\n\nb"),
    "entities are characters": ("<p>a &lt; b &amp; &euro;</p>", "a < b & €"),
    "head, style and script are not seen": (
        "<head><title>t</title></head><style>p</style><script>x</script>a",
        "a",
    ),
    "hidden elements are not seen": ('<div style="Display : NONE">x<p>y<br></p></div><p hidden>z</p>a', "a"),
    "a hidden element hides what is left open inside it": ('<div style="display:none"><p>x<b>y</div>a', "a"),
    "a hidden picture hides nothing else": ('<img style="display:none" alt="x">a', "a"),
    "padding of preheaders is dropped": ("<p>a&#847;&zwnj;&#8203;&shy;b</p>", "ab"),
    "comments are not seen": ("a<!-- b -->c", "ac"),
    "conditions of mail clients are comments": ("a<!--[if mso]><p>b</p><![endif]--><![if !mso]>c<![endif]>", "ac"),
    "a declaration is not seen": ("<!doctype html><?xml version='1.0'?>a", "a"),
    "an attribute may hold what would end a tag": (
        "<p title=\"a > b\"><a href='https://x.io/?q=>'>c</a></p>",
        "c (https://x.io/?q=>)",
    ),
    "an attribute may go without quotes": ("<a href=https://x.io/>Shop</a>", "Shop (https://x.io/)"),
    "names are in any case": ('<P>a</P><IMG ALT="b"><STYLE>c</Style>', "a\n\nb"),
    "what no tag begins is text": ("1 < 2 <3 and </", "1 < 2 <3 and </"),
    "a script may speak of markup": ("a<script>if (1<2) document.write('</p>')</script>b", "ab"),
    "a comment that nobody ends hides the rest": ("a<!-- b", "a"),
}


@pytest.mark.parametrize(("html", "text"), CASES.values(), ids=CASES)
def test_a_page_in_words(html: str, text: str) -> None:
    assert text_of(html) == text


def test_what_is_only_for_the_eye_is_not_read() -> None:
    assert text_of('<table><tr><td><div aria-hidden="true">H</div></td><td>Huila</td></tr></table>') == "Huila"
