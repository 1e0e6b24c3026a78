"""Links that are counted, in pages and in texts, and the parameters that they get."""

from __future__ import annotations

from html import escape
from itertools import count
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.rendering.references import with_plain_ampersands
from engine.rendering.tracking import _attributes, _Tag, plain_url, track_links, track_text, with_parameters
from tests.rendering.conftest import Render


def test_tracked_links_replace_web_targets_and_leave_all_else_as_it_was() -> None:
    numbers = count(1)
    seen: list[str] = []

    def lead(url: str) -> str:
        seen.append(url)
        return f"https://s.example/r/{next(numbers)}"

    html = (
        '<p>\n<a  CLASS="b" href=\'https://x.example/?a=1&amp;b=2\' title="a &quot;b&quot;" download>go</a> <A\nHREF='
        'http://y.example>y</A>\n<a href="mailto:a@b.example">m</a> <a href="#top">t</a> <a name="n">n</a>'
        '<a href="tel:+34600000000">c</a><img src="https://i.example/p.png"></p><!-- <a href="https://no.example"> -->'
        '<a data-tracking="off" href="https://secret.example/reset">r</a>'
    )
    assert track_links(html, lead) == (
        '<p>\n<a href="https://s.example/r/1" class="b" title="a &quot;b&quot;" download>go</a> '
        '<a href="https://s.example/r/2">y</A>\n<a href="mailto:a@b.example">m</a> <a href="#top">t</a> '
        '<a name="n">n</a><a href="tel:+34600000000">c</a><img src="https://i.example/p.png"></p>'
        '<!-- <a href="https://no.example"> --><a data-tracking="off" href="https://secret.example/reset">r</a>'
    )
    assert seen == ["https://x.example/?a=1&b=2", "http://y.example"]


def test_what_only_looks_like_a_link_stays_as_it_is() -> None:
    html = "<article href='https://x.example'><abbr>a</abbr><a>b</a><a title='>' href='https://y.example'>c</a><a href="
    assert track_links(html, lambda _: "led") == html.replace(
        "<a title='>' href='https://y.example'>", '<a href="led" title="&gt;">'
    )


@pytest.mark.parametrize(
    "link",
    [
        "<a href=https://x.example/it's>Don't go</a>",
        "<a class='b'' href='https://x.example/a'>That isn't all</a>",
        """<a href="https://x.example/a"">A 19" screen</a>""",
        """<a href="https://x.example/a" title="the "best"">Go</a>""",
    ],
)
def test_a_stray_quote_in_a_tag_costs_no_word_of_the_message(link: str) -> None:
    assert (
        track_links(link, lambda url: url).partition("</a>")[0].endswith(link.partition("</a>")[0].rpartition(">")[2])
    )
    assert track_links(link, lambda url: url).endswith("</a>")


def test_many_links_of_which_one_is_broken_take_no_time() -> None:
    html = "<a href='https://x.example/" * 5_000
    began = process_time()
    assert track_links(html, lambda url: url) == html
    assert process_time() - began < 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("See https://x.example.", "See <https://x.example>."),
        ("Cart (https://x.example/a)", "Cart (<https://x.example/a>)"),
        ("Wiki (https://x.example/a_(b))", "Wiki (<https://x.example/a_(b)>)"),
        ("HTTP://X.EXAMPLE/?q=1,2; and", "<HTTP://X.EXAMPLE/?q=1,2>; and"),
        ("mailto:a@b.example tel:+34", "mailto:a@b.example tel:+34"),
        ("“https://x.example/¿qué?a=1”", "“<https://x.example/¿qué?a=1>”"),
        ("none", "none"),
        ("\u00abhttps://x.example/a\u00bb", "\u00ab<https://x.example/a>\u00bb"),
        ("\u201chttps://x.example/a\u201d\u2026", "\u201c<https://x.example/a>\u201d\u2026"),
        ("\u300chttps://x.example/a\u300d\u3002", "\u300c<https://x.example/a>\u300d\u3002"),
        ("[https://x.example/a]", "[<https://x.example/a>]"),
        ("https://x.example/?a[]=1", "<https://x.example/?a[]=1>"),
        ("https://[::1]/a", "<https://[::1]/a>"),
    ],
)
def test_in_a_text_an_address_ends_where_its_reader_would_end_it(text: str, expected: str) -> None:
    assert track_text(text, lambda url: f"<{url}>") == expected


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://x.example", "https://x.example?utm_source=shop&utm_term=a+b"),
        ("https://x.example/?", "https://x.example/?utm_source=shop&utm_term=a+b"),
        ("https://x.example/?a=1#top", "https://x.example/?a=1&utm_source=shop&utm_term=a+b#top"),
        ("https://x.example/?utm_source=mine", "https://x.example/?utm_source=mine&utm_term=a+b"),
        ("https://x.example/#/route?x=1", "https://x.example/?utm_source=shop&utm_term=a+b#/route?x=1"),
    ],
)
def test_parameters_join_the_query_and_never_take_the_place_of_the_authors_own(url: str, expected: str) -> None:
    assert with_parameters(url, {"utm_source": "shop", "utm_term": "a b"}) == expected


@pytest.mark.parametrize("url", ["https://x.example", "https://x.example/?", "https://x.example/#top"])
def test_without_parameters_a_url_stays_as_it_is(url: str) -> None:
    assert with_parameters(url, {}) == url


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (" https://x.example/a b\r\nSet-Cookie: x ", "https://x.example/a%20b%0D%0ASet-Cookie:%20x"),
        ("https://x.example/caf\u00e9?q=\U0001f600", "https://x.example/caf%C3%A9?q=%F0%9F%98%80"),
        ("https://x.example/%20?a=b&c=[d]", "https://x.example/%20?a=b&c=[d]"),
        # A host has no percent-encoding of its own: only browsers would understand it.
        ("https://b\u00fccher.example/\u00fc?q=\u00e9#\u00e9", "https://xn--bcher-kva.example/%C3%BC?q=%C3%A9#%C3%A9"),
        ("HTTPS://B\u00dcCHER.example:8443", "HTTPS://xn--bcher-kva.example:8443"),
        ("http://\u4f8b\u5b50.example?\u4f8b", "http://xn--fsqu00a.example?%E4%BE%8B"),
        ("https://fa\u00df.example#top", "https://xn--fa-hia.example#top"),
        ("https://ana:p\u00e4ss@b\u00fccher.example/", "https://ana:p%C3%A4ss@xn--bcher-kva.example/"),
        ("https://\u00fc\u200d.example/", "https://%C3%BC%E2%80%8D.example/"),
        ("https:///\u00fc", "https:///%C3%BC"),
    ],
)
def test_a_target_fits_into_a_header_whatever_its_author_wrote(url: str, expected: str) -> None:
    assert plain_url(url) == expected


def test_both_parts_of_a_mail_lead_to_the_same_places(render: Render) -> None:
    files = {"email/note.html": "---\nsubject: Hi\n---\n<p><a href='https://x.example/a'>Go</a></p>"}
    found = render(files, channel="email", lead=lambda url: f"https://s.example/r/{url[-1]}")
    assert 'href="https://s.example/r/a"' in (found.html or "")
    assert found.text == "Go (https://s.example/r/a)"


def test_a_twin_of_ones_own_is_led_too(render: Render) -> None:
    files = {
        "email/note.html": "---\nsubject: Hi\n---\n<p><a href='https://x.example/a'>Go</a></p>",
        "email/note.txt": "Go to https://x.example/a.",
    }
    assert render(files, channel="email", lead=lambda _: "https://s.example/r/1").text == "Go to https://s.example/r/1."


def test_a_text_message_is_led_and_a_chat_message_is_not(render: Render) -> None:
    files = {"sms/note.txt": "https://x.example/a", "chat/note.txt": "https://x.example/a"}
    assert render(files, channel="sms", lead=lambda _: "led").text == "led"
    assert render(files, channel="chat", lead=lambda _: "led").text == "https://x.example/a"


REFERENCES = [
    ("?a=1&currency=EUR&copy=2&section=3&notify=4&times=5", "?a=1&currency=EUR&copy=2&section=3&notify=4&times=5"),
    ("?a=1&amp;currency=EUR&#38;copy=2&AMP;b&amp", "?a=1&currency=EUR&copy=2&b&"),
    ("?q=&eacute;&eacute&copyx&copyx;&notit;&notin;&copy", "?q=éé&copyx&copyx;&notit;∉©"),
    ("?q=&&=&;&unknown;&1&#x26;b&copy&amp;c", "?q=&&=&;&unknown;&1&b©&c"),
]


@pytest.mark.parametrize(("written", "meant"), REFERENCES)
@pytest.mark.parametrize("tag", ['<a href="{}">', "<A class='b' HREF='{}'>", "<a href={} class=b>"])
def test_an_ampersand_that_nobody_escaped_is_read_as_browsers_read_it(tag: str, written: str, meant: str) -> None:
    led = track_links(tag.format("https://x.example/" + written), lambda url: url.upper())
    assert escape(f"https://x.example/{meant}".upper()) in led


def test_a_text_twin_tells_a_link_with_its_ampersands(render: Render) -> None:
    page = "<p><a href='https://x.example/?price=9&currency=EUR'>Go</a></p>"
    found = render({"email/note.html": f"---\nsubject: Hi\n---\n{page}"}, channel="email")
    assert found.text == "Go (https://x.example/?price=9&currency=EUR)"


PIECES = [*"ab= \n\t\r>'/;\0\xa0", "&amp;", "&notin", "&#39;", "http://x/"]


@given(
    st.lists(
        st.tuples(
            st.sampled_from([" ", "\n", "\t ", "\f", "\xa0"]),
            st.sampled_from(["href", "HREF", "title", "data-tracking", "x:y", "\u017f"]),
            st.lists(st.sampled_from(PIECES), max_size=5).map("".join),
        ),
        max_size=3,
    ),
    st.sampled_from([">", " >", "/>", " />"]),
)
def test_a_tag_as_people_write_it_is_read_as_the_parser_reads_it(
    attributes: list[tuple[str, str, str]], end: str
) -> None:
    tag = "<a" + "".join(f'{space}{name}="{value}"' for space, name, value in attributes) + end
    parser = _Tag()
    written = with_plain_ampersands(tag)
    parser.feed(written)
    assert list(_attributes(tag)) == (parser.attributes if parser.get_starttag_text() == written else [])
