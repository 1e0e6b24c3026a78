"""Tokens, the links made of them, and the headers of one-click unsubscribe."""

from __future__ import annotations

import re
from email.message import EmailMessage
from email.policy import SMTP
from itertools import count
from typing import get_args

import pytest

from engine.errors import BadInput
from engine.rendering.links import LinkKind, link_url, token, token_hash, track_links, unsubscribe_headers

KEY = b"k" * 32


def test_a_token_is_22_url_safe_characters_and_the_same_each_time() -> None:
    assert re.fullmatch(r"[A-Za-z0-9_-]{22}", token(KEY, "unsubscribe", "d1"))
    assert token(KEY, "unsubscribe", "d1") == token(KEY, "unsubscribe", "d1")


def test_tokens_differ_by_project_kind_delivery_and_extra() -> None:
    made = {token(KEY, kind, delivery, extra) for kind in get_args(LinkKind) for delivery in "ab" for extra in "xy"}
    assert len(made | {token(b"other", "click", "a", "x")}) == 5 * 2 * 2 + 1


def test_parts_of_a_token_do_not_run_into_each_other() -> None:
    assert token(KEY, "click", "d1", "2") != token(KEY, "click", "d", "12")


def test_a_store_finds_a_link_by_a_hash_that_does_not_give_the_token_away() -> None:
    made = token(KEY, "confirm", "d1")
    assert token_hash(made) == token_hash(made)
    assert re.fullmatch(r"[0-9a-f]{64}", token_hash(made))


@pytest.mark.parametrize(
    ("kind", "path"),
    [("unsubscribe", "u"), ("preferences", "p"), ("confirm", "c"), ("click", "r"), ("open", "o")],
)
@pytest.mark.parametrize("public_url", ["https://shop.example", "https://shop.example/"])
def test_each_kind_has_its_path(kind: LinkKind, path: str, public_url: str) -> None:
    assert link_url(public_url, kind, "TOKEN") == f"https://shop.example/{path}/TOKEN"


@pytest.mark.parametrize("length", [30, 74, 75, 76, 200, 900])
def test_the_unsubscribe_header_stays_plain_and_on_one_line_at_any_length(length: int) -> None:
    url = "https://shop.example/u/".ljust(length, "x")
    message = EmailMessage(policy=SMTP.clone(max_line_length=998))
    for name, value in unsubscribe_headers(url).items():
        message[name] = value
    raw = message.as_bytes()
    assert f"List-Unsubscribe: <{url}>\r\n".encode() in raw
    assert b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n" in raw


@pytest.mark.parametrize(
    "url",
    [
        "",
        "mailto:a@b.example",
        "ftp://x",
        "https://x/ y",
        "https://x/>,<https://y",
        "https://x/\r\nBcc: a@b.example",
        "https://x/ñ",
        "https://x/" + "y" * 901,
        "https://x/y\n",
    ],
)
def test_an_address_that_cannot_stand_in_a_header_is_refused(url: str) -> None:
    with pytest.raises(BadInput, match="unsubscribe link"):
        unsubscribe_headers(url)


def test_tracked_links_replace_web_targets_and_leave_all_else_as_it_was() -> None:
    numbers = count(1)
    seen: list[str] = []

    def mint(url: str) -> str:
        seen.append(url)
        return f"https://s.example/r/{next(numbers)}"

    html = (
        '<p>\n<a  CLASS="b" href=\'https://x.example/?a=1&amp;b=2\' title="a &quot;b&quot;" download>go</a> <A\nHREF='
        'http://y.example>y</A>\n<a href="mailto:a@b.example">m</a> <a href="#top">t</a> <a name="n">n</a>'
        '<img src="https://i.example/p.png"></p><!-- <a href="https://no.example"> -->'
    )
    assert track_links(html, mint) == (
        '<p>\n<a href="https://s.example/r/1" class="b" title="a &quot;b&quot;" download>go</a> '
        '<a href="https://s.example/r/2">y</A>\n<a href="mailto:a@b.example">m</a> <a href="#top">t</a> '
        '<a name="n">n</a><img src="https://i.example/p.png"></p><!-- <a href="https://no.example"> -->'
    )
    assert seen == ["https://x.example/?a=1&b=2", "http://y.example"]
