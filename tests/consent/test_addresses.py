"""Equal addresses have equal normal forms, and what is no address is refused without repeating it."""

from __future__ import annotations

import pytest
from email_validator import EmailNotValidError, validate_email
from hypothesis import given
from hypothesis import strategies as st

from engine.consent.addresses import address_hash, normalise
from engine.errors import BadInput
from engine.project import ChannelKind

KEY = b"a key for tests"


@pytest.mark.parametrize(
    ("kind", "address", "normal"),
    [
        ("email", "Ana@Example.COM", "ana@example.com"),
        ("email", "  ana@example.com\n", "ana@example.com"),
        ("email", "ＡＮＡ@example.com", "ana@example.com"),
        ("email", "ana@MÜNCHEN.de", "ana@xn--mnchen-3ya.de"),
        ("email", "ana@xn--mnchen-3ya.de", "ana@xn--mnchen-3ya.de"),
        ("email", "ana+shop@example.com", "ana+shop@example.com"),
        ("email", "a.n.a@shop.test", "a.n.a@shop.test"),
        ("sms", "+34 600 111 222", "+34600111222"),
        ("sms", "tel:+1-202-555-0123", "+12025550123"),
        ("sms", "+44 (0)7700 900222", "+447700900222"),
        ("sms", "＋３４６００１１１２２２", "+34600111222"),
        ("chat", " U0123 ", "U0123"),
        ("chat", "#sales", "#sales"),
    ],
)
def test_an_address_has_one_normal_form(kind: ChannelKind, address: str, normal: str) -> None:
    assert normalise(kind, address) == normal
    assert normalise(kind, normal) == normal


_DOMAINS = (
    "example.com",
    "shop.test",
    "MÜNCHEN.de",
    "a..b",
    "-a.com",
    "localhost",
    "[127.0.0.1]",
    "a b.com",
    "",
    "x.com.",
)


@given(st.text("aZ9.!#+-_ @\"\\'é(<", max_size=12), st.sampled_from(_DOMAINS))
def test_an_email_address_is_one_where_the_validator_says_so(local: str, domain: str) -> None:
    address = f"{local}@{domain}".strip()
    try:
        validate_email(address, check_deliverability=False, test_environment=True)
        is_usable = True
    except EmailNotValidError:
        is_usable = False
    try:
        normalise("email", address)
    except BadInput:
        assert not is_usable
    else:
        assert is_usable


def test_a_look_alike_of_another_script_is_another_address() -> None:
    assert normalise("email", "аna@example.com") != normalise("email", "ana@example.com")


@pytest.mark.parametrize(
    ("kind", "address"),
    [
        ("email", ""),
        ("email", "secret.name"),
        ("email", "secret.name@"),
        ("email", "secret.name@gmail"),
        ("email", "secret.name@example.com, b@example.com"),
        ("email", "secret.name\u200b@example.com"),
        ("email", "secret.name@example.com\r\nBcc: b@example.com"),
        ("email", "Ana <secret.name@example.com>"),
        ("email", "s" * 65 + "@example.com"),
        ("email", "secret.name@" + "a" * 63 + "." + "b" * 63 + "." + "c" * 63 + "." + "d" * 60 + ".com"),
        ("sms", ""),
        ("sms", "07700 900222"),
        ("sms", "600111222"),
        ("sms", "+34"),
        ("sms", "+447700900222 ext 5"),
        ("sms", "+4477009002221234"),
        ("sms", "+999123456789"),
        ("sms", "+1 900 555 0123"),
        ("chat", "  "),
        ("chat", "secret.name\u0000"),
        ("chat", "s" * 256),
    ],
)
def test_what_is_no_address_is_refused_without_being_repeated(kind: ChannelKind, address: str) -> None:
    with pytest.raises(BadInput) as refused:
        normalise(kind, address)
    assert "secret" not in str(refused.value)


def test_the_hash_is_keyed_and_belongs_to_the_kind() -> None:
    one = address_hash(KEY, "email", "ana@example.com")
    assert one == address_hash(KEY, "email", "Ana@EXAMPLE.com")
    assert len(one) == 64
    assert one != address_hash(b"another key", "email", "ana@example.com")
    assert one != address_hash(KEY, "chat", "ana@example.com")


def test_even_what_is_no_address_has_its_hash() -> None:
    assert address_hash(KEY, "sms", " Reception ") == address_hash(KEY, "sms", "reception")
    assert address_hash(KEY, "email", "\ud800") == address_hash(KEY, "email", "\ud800")
