"""Tokens, the links made of them, and the headers of one-click unsubscribe."""

from __future__ import annotations

import re
from email.message import EmailMessage
from email.policy import SMTP
from typing import get_args

import pytest

from engine.errors import BadInput
from engine.rendering.links import LinkKind, is_own, link_url, token, token_hash, unsubscribe_headers

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


def test_only_what_leads_back_to_us_is_our_own_link() -> None:
    assert all(
        is_own("https://shop.example", link_url("https://shop.example/", kind, "T")) for kind in get_args(LinkKind)
    )
    others = (
        "https://shop.example/products",
        "https://shop.example.evil/u/T",
        "https://x.example/?https://shop.example/u/T",
    )
    assert not any(is_own("https://shop.example", url) for url in others)


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
