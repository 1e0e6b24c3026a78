"""A mail's bytes, read back by the standard library's parser."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from channels.email.wire import compose
from engine.delivery.message import Attachment, Message

NOW = datetime(2026, 3, 2, 10, tzinfo=UTC)
SENDER = "Demo Shop <hello@shop.example>"
#: What a text may hold: letters of any kind, and everything that means something in a mail.
TEXTS = st.text(st.sampled_from(list("ab .=-_<>\t\n\r\0\x0c\x85ñ€🛒&?")) | st.characters(codec="utf-8"), max_size=200)
LONG_TEXTS = st.lists(TEXTS, max_size=4).map(lambda parts: "".join(part * 9 for part in parts))


def one_line(longest: int) -> st.SearchStrategy[str]:
    letters = st.characters(codec="utf-8", exclude_categories=["C", "Zl", "Zp"])
    return st.text(letters, max_size=longest).map(lambda text: " ".join(text.split()))


SUBJECTS = one_line(120)
#: Short enough for one encoded word: the parser takes the fold between two in a name for a space of it.
NAMES = one_line(8)


def message(**given: object) -> Message:
    fields: dict[str, object] = {
        "delivery_id": "d0123456789abcdef01234567",
        "channel": "email",
        "kind": "email",
        "to": "ana@shop.example",
        "subject": "Hello",
        "text": "Hello",
    }
    return Message(**{**fields, **given})  # type: ignore[arg-type]


def written(sender: str = SENDER, **given: object) -> bytes:
    return compose(message(**given), sender, NOW).content


def parsed(content: bytes) -> EmailMessage:
    return message_from_bytes(content, _class=EmailMessage, policy=policy.default)


def lines_of(text: str) -> list[bytes]:
    return text.encode().splitlines()


def decoded(part: EmailMessage) -> bytes:
    payload = part.get_payload(decode=True)
    assert isinstance(payload, bytes)
    return payload


def part_of(mail: EmailMessage, media_type: str) -> EmailMessage:
    (found,) = [part for part in mail.walk() if part.get_content_type() == media_type]
    assert isinstance(found, EmailMessage)
    return found


def assert_is_fit_for_smtp(content: bytes) -> None:
    assert content.isascii()
    assert b"\0" not in content
    assert content.endswith(b"\r\n")
    assert not re.search(rb"\r(?!\n)|(?<!\r)\n", content), "each line ends with CR LF, and neither stands alone"
    assert max(map(len, content.split(b"\r\n"))) <= 998


@given(text=LONG_TEXTS, html=st.none() | LONG_TEXTS, content=st.none() | st.binary(max_size=200))
@example(text="", html=None, content=None)
@example(text="a" * 77, html="<p>" + "x" * 5000, content=b"")
@example(text=".\n..\n.a\nFrom here\n trailing \n", html=None, content=None)
@example(text="ñ" * 200, html="日本" * 900, content=None)
def test_whatever_a_mail_says_is_read_back_line_by_line(text: str, html: str | None, content: bytes | None) -> None:
    attachments = () if content is None else (Attachment(name="a ñ.pdf", media_type="x/y", content=content),)
    mail = written(text=text, html=html, attachments=attachments)
    assert_is_fit_for_smtp(mail)
    read = parsed(mail)
    assert not read.defects
    assert decoded(part_of(read, "text/plain")).split(b"\r\n") == [*lines_of(text), b""]
    if html is not None:
        assert decoded(part_of(read, "text/html")).split(b"\r\n") == [*lines_of(html), b""]
    if content is not None:
        attached = part_of(read, "x/y")
        assert (decoded(attached), attached.get_filename()) == (content, "a ñ.pdf")


@given(subject=SUBJECTS, name=NAMES)
@example(subject="Tu carrito, Ñandú — " * 8, name='The "Shop", GmbH')
@example(subject="x" * 2000, name="Größe")
@example(subject="? = _ =", name="a.b")
@example(subject="=?utf-8?q?Free=0D=0ABcc:_x?= Hi", name="=?utf-8?q?Bank?=")
def test_a_subject_and_a_senders_name_are_read_back(subject: str, name: str) -> None:
    quoted = '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
    mail = written(f"{quoted} <hello@shop.example>", subject=subject)
    assert_is_fit_for_smtp(mail)
    read = parsed(mail)
    assert read["From"].addresses[0].addr_spec == "hello@shop.example"
    assert read["From"].addresses[0].display_name == name
    assert read["Subject"] == subject


@pytest.mark.parametrize("length", [10, 74, 75, 76, 300, 880])
@pytest.mark.parametrize("letters", ["a", "=?"])
def test_a_header_of_the_message_stands_plainly_on_one_line(length: int, letters: str) -> None:
    value = f"<https://shop.example/u/{letters * (length // len(letters))}>"[:890]
    assert f"\r\nList-Unsubscribe: {value}\r\n".encode() in written(headers={"List-Unsubscribe": value})


def test_a_name_of_any_length_stands_on_lines_that_servers_take() -> None:
    mail = written(f'"{"Shop, " * 200}" <hello@shop.example>')
    assert_is_fit_for_smtp(mail)
    assert parsed(mail)["From"].addresses[0].addr_spec == "hello@shop.example"


@pytest.mark.parametrize("blank", [" ", "\t", "  ", ""])
@pytest.mark.parametrize("start", ["ñ", "a=b", ""])
def test_quoted_lines_have_76_characters_at_most(start: str, blank: str) -> None:
    text = "\n".join(f"{start}{'x' * length}{blank}" for length in range(60, 160)) + "\nñ\n"
    mail = written(text=text)
    assert b"quoted-printable" in mail
    assert max(map(len, mail.split(b"\r\n"))) <= 76
    assert decoded(part_of(parsed(mail), "text/plain")).split(b"\r\n") == [*lines_of(text), b""]


def test_text_that_holds_the_boundary_does_not_end_its_part() -> None:
    text = "before\n--=_d0123456789abcdef01234567_a--\nafter"
    read = parsed(written(text=text, html="<p>Hi</p>"))
    assert decoded(part_of(read, "text/plain")).decode().split() == text.split()


def test_plain_words_stay_readable_in_transit() -> None:
    assert b"\r\nHello Ana, 3 > 2\r\n" in written(text="Hello Ana, 3 > 2")
    assert b"Content-Transfer-Encoding: 7bit" in written(text="Hello Ana, 3 > 2")


def test_few_foreign_letters_are_quoted_and_many_are_base64() -> None:
    assert b"Hasta ma=C3=B1ana" in written(text="Hasta mañana")
    assert b"Content-Transfer-Encoding: base64" in written(text="こんにちは")


def test_the_same_message_is_written_the_same_in_every_attempt() -> None:
    assert written(html="<p>ñ</p>") == written(html="<p>ñ</p>")
