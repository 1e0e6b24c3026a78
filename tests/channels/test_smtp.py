"""Email over SMTP, against a real server on this machine."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from channels.base import ChannelAdapter
from channels.email import smtp as smtp_module
from channels.email.smtp import Smtp
from channels.testing.contract import ProviderContract, Stage
from channels.testing.server import closed_port
from channels.testing.smtp_server import ScriptedSmtp
from engine.delivery.message import Attachment
from engine.errors import (
    ChannelConfigError,
    ChannelError,
    DoubtfulChannelError,
    PermanentChannelError,
    TransientChannelError,
    UnsupportedMessage,
)
from tests.waiting import PATIENCE

SETTINGS = {
    "host": "127.0.0.1",
    "port": 1025,
    "username": "shop",
    "password": "5mtp-passw0rd",
    "from": "Demo Shop <hello@shop.example>",
}


@contextmanager
def sending_to(server: ScriptedSmtp, **settings: Any) -> Iterator[ChannelAdapter[Any]]:
    with server:
        authored = {"host": "127.0.0.1", "port": server.port, "from": "Demo Shop <hello@shop.example>", **settings}
        adapter = Smtp.open(authored, TestSmtp().context())
        try:
            yield adapter
        finally:
            adapter.close()


def taken(server: ScriptedSmtp) -> EmailMessage:
    (mail,) = server.taken
    return message_from_bytes(mail.content, _class=EmailMessage, policy=policy.default)


def failure(server: ScriptedSmtp, **changes: Any) -> ChannelError:
    with sending_to(server) as adapter, pytest.raises(ChannelError) as caught:
        adapter.send(TestSmtp().message(**changes))
    return caught.value


def outcome(**script: str) -> tuple[type[ChannelError], str]:
    error = failure(ScriptedSmtp(**script))  # type: ignore[arg-type]
    return type(error), error.reason if isinstance(error, PermanentChannelError) else ""


class TestSmtp(ProviderContract):
    adapter = Smtp
    settings = SETTINGS

    @contextmanager
    def at(self, stage: Stage) -> Iterator[ChannelAdapter[Any]]:
        if stage == "unreachable":
            adapter = Smtp.open({**SETTINGS, "port": closed_port()}, self.context())
            yield adapter
            return
        login = ("shop", "5mtp-passw0rd")
        server = {
            "accepted": ScriptedSmtp(login=login),
            "refused": ScriptedSmtp(login=login, recipient="550 5.1.1 <ana@shop.example> is nobody here"),
            "down": ScriptedSmtp(login=login, recipient="451 4.3.0 Try again"),
            "unanswered": ScriptedSmtp(login=login, cut="message"),
        }[stage]
        with sending_to(server, username="shop", password="5mtp-passw0rd") as adapter:
            yield adapter


def test_a_mail_arrives_as_it_was_rendered() -> None:
    server = ScriptedSmtp()
    with sending_to(server) as adapter:
        result = adapter.send(
            TestSmtp().message(
                subject="Tu carrito está esperándote, Ñandú — " + "vuelve pronto " * 8,
                text=".\nHola ñ\n..\n.dot\n",
                html="<p>Hola ñ</p>" + "x" * 1200,
                headers={"List-Unsubscribe-Post": "List-Unsubscribe=One-Click", "Reply-To": "desk@shop.example"},
                attachments=(Attachment(name="factura ñ.pdf", media_type="application/pdf", content=b"%PDF"),),
            )
        )
    mail = taken(server)
    assert server.taken[0].sender == "hello@shop.example"
    assert server.taken[0].recipients == ("ana@shop.example",)
    assert result.provider_message_id == mail["Message-ID"] == "<d0123456789abcdef01234567@shop.example>"
    assert mail["From"] == "Demo Shop <hello@shop.example>"
    assert mail["To"] == "ana@shop.example"
    assert mail["Subject"] == ("Tu carrito está esperándote, Ñandú — " + "vuelve pronto " * 8)
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert abs(datetime.now(UTC) - mail["Date"].datetime) < timedelta(hours=1)
    alternative, attachment = mail.iter_parts()
    text, html = alternative.iter_parts()  # type: ignore[union-attr]
    assert (text.get_content_type(), html.get_content_type()) == ("text/plain", "text/html")
    assert text.get_content().replace("\r\n", "\n") == ".\nHola ñ\n..\n.dot\n"
    assert html.get_content().replace("\r\n", "\n") == "<p>Hola ñ</p>" + "x" * 1200 + "\n"
    assert attachment.get_filename() == "factura ñ.pdf"  # type: ignore[union-attr]
    lines = server.taken[0].content.split(b"\r\n")
    assert max(len(line) for line in lines) < 998
    assert server.taken[0].content.isascii()


@pytest.mark.parametrize("length", [10, 60, 74, 75, 76, 120, 300, 600, 880])
def test_list_unsubscribe_stays_plain_and_on_one_line_at_any_length(length: int) -> None:
    address = "https://shop.example/u/".ljust(length, "a")
    headers = {"List-Unsubscribe": f"<{address}>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}
    server = ScriptedSmtp()
    with sending_to(server) as adapter:
        adapter.send(TestSmtp().message(headers=headers))
    lines = server.taken[0].content.split(b"\r\n")
    assert f"List-Unsubscribe: <{address}>".encode() in lines
    assert b"List-Unsubscribe-Post: List-Unsubscribe=One-Click" in lines


def test_a_long_subject_is_encoded_in_words_that_every_reader_takes() -> None:
    server = ScriptedSmtp()
    with sending_to(server) as adapter:
        adapter.send(TestSmtp().message(subject="ñandú " * 40))
    words = [word for word in server.taken[0].content.split() if word.startswith(b"=?")]
    assert len(words) > 1
    assert max(len(word) for word in words) <= 75


@pytest.mark.parametrize(
    "headers",
    [
        {"X\r\nBcc: eve@shop.example": "1"},
        {"X:Y": "1"},
        {"X Y": "1"},
        {"": "1"},
        {"X" * 65: "1"},
        {"Bcc": "eve@shop.example"},
        {"from": "eve@shop.example"},
        {"Content-Type": "text/html"},
        {"DKIM-Signature": "v=1"},
        {"X-A": "1\r\nBcc: eve@shop.example"},
        {"X-A": "1\n2"},
        {"X-A": "1\x00"},
        {"X-A": "1\u2028"},
        {"X-A": "1\x85"},
        {"X-A": "a" * 901},
    ],
)
def test_a_header_that_could_forge_another_is_unsupported(headers: dict[str, str]) -> None:
    with sending_to(server := ScriptedSmtp()) as adapter, pytest.raises(UnsupportedMessage):
        adapter.send(TestSmtp().message(headers=headers))
    assert server.taken == []


@pytest.mark.parametrize("subject", ["a\r\nBcc: eve@shop.example", "a\nb", "a\x00", "a\x0bb", "a\u2029"])
def test_a_subject_with_a_line_break_is_unsupported(subject: str) -> None:
    with sending_to(ScriptedSmtp()) as adapter, pytest.raises(UnsupportedMessage):
        adapter.send(TestSmtp().message(subject=subject))


@pytest.mark.parametrize("to", ["ana", "ana@", "@shop.example", "a b@shop.example", "a@b, c@d", "<ana@shop.example>"])
def test_what_is_no_address_is_refused_for_good(to: str) -> None:
    error = failure(ScriptedSmtp(), to=to)
    assert isinstance(error, PermanentChannelError)
    assert error.reason == "invalid_address"


def test_a_domain_in_other_letters_goes_out_in_ascii() -> None:
    server = ScriptedSmtp()
    with sending_to(server) as adapter:
        adapter.send(TestSmtp().message(to="ana@faß.example", from_="Größe <hallo@größe.example>"))
    assert server.taken[0].recipients == ("ana@xn--fa-hia.example",)
    assert server.taken[0].sender == "hallo@xn--gre-6ka8i.example"
    assert taken(server)["From"] == "Größe <hallo@xn--gre-6ka8i.example>"


def test_a_local_part_in_other_letters_is_unsupported() -> None:
    assert isinstance(failure(ScriptedSmtp(), to="añа@shop.example"), UnsupportedMessage)


def test_a_text_that_cannot_be_encoded_is_unsupported_and_nobody_is_asked() -> None:
    with ScriptedSmtp() as server, pytest.raises(UnsupportedMessage):
        Smtp.open({**SETTINGS, "port": server.port}, TestSmtp().context()).send(TestSmtp().message(text="\ud83c"))
    assert server.connections == 0


@pytest.mark.parametrize("sender", ["", "Shop", "Shop <>", "a@b\r\nBcc: c@d", "señor@shop.example"])
def test_a_sender_that_is_no_address_is_our_configuration(sender: str) -> None:
    with ScriptedSmtp() as server:
        authored = {"host": "127.0.0.1", "port": server.port}
        adapter = Smtp.open(authored, TestSmtp().context())
        with pytest.raises(ChannelConfigError):
            adapter.send(TestSmtp().message(from_=sender))


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("550 5.1.1 No such user", (PermanentChannelError, "invalid_address")),
        ("550 5.1.10 Null MX", (PermanentChannelError, "invalid_address")),
        ("553 5.1.3 Bad address", (PermanentChannelError, "invalid_address")),
        ("550 No such user", (PermanentChannelError, "rejected")),
        ("552 5.2.2 Mailbox full", (PermanentChannelError, "rejected")),
        ("554 5.1.18 Odd", (PermanentChannelError, "rejected")),
        ("550 5.7.1 Relaying denied", (ChannelConfigError, "")),
        ("452 4.2.2 Mailbox full", (TransientChannelError, "")),
        ("450 Greylisted", (TransientChannelError, "")),
        ("421 4.3.2 Shutting down", (TransientChannelError, "")),
    ],
)
def test_a_reply_to_the_recipient_has_its_meaning(reply: str, expected: tuple[type[ChannelError], str]) -> None:
    assert outcome(recipient=reply) == expected


@pytest.mark.parametrize(
    ("stage", "reply", "provider"),
    [
        ("recipient", "452 4.2.2 Mailbox full", "works"),
        ("recipient", "450 Greylisted", "works"),
        ("recipient", "451 4.3.0 Later", "trouble"),
        ("recipient", "421 Too many connections", "trouble"),
        ("recipient", "550 5.7.1 Relaying denied, or this one takes nothing from us", "trouble"),
        ("recipient", "550 5.1.1 No such user", "works"),
        ("message", "452 4.2.2 Mailbox full", "works"),
        ("message", "452 4.3.1 No space", "trouble"),
        ("sender", "550 5.7.1 Sender not allowed", "refuses_us"),
        ("sender", "451 4.2.0 Later", "trouble"),
    ],
)
def test_what_a_mailbox_says_is_not_taken_for_the_servers_own_trouble(stage: str, reply: str, provider: str) -> None:
    assert failure(ScriptedSmtp(**{stage: reply})).provider == provider  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("554 5.7.1 Looks like spam", (PermanentChannelError, "not_allowed")),
        ("554 5.6.0 Odd", (PermanentChannelError, "rejected")),
        ("552 5.3.4 Too large", (PermanentChannelError, "too_large")),
        ("552 Too large", (PermanentChannelError, "too_large")),
        ("550 5.1.1 No such user after all", (PermanentChannelError, "invalid_address")),
        ("451 4.7.1 Later", (TransientChannelError, "")),
    ],
)
def test_a_reply_to_the_message_has_its_meaning(reply: str, expected: tuple[type[ChannelError], str]) -> None:
    assert outcome(message=reply) == expected


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("550 5.7.1 Sender not allowed", (ChannelConfigError, "")),
        ("530 5.7.0 Authentication required", (ChannelConfigError, "")),
        ("552 5.3.4 Too large", (PermanentChannelError, "too_large")),
        ("451 4.3.0 Later", (TransientChannelError, "")),
    ],
)
def test_a_reply_to_the_sender_has_its_meaning(reply: str, expected: tuple[type[ChannelError], str]) -> None:
    assert outcome(sender=reply) == expected


@pytest.mark.parametrize(
    ("stage", "reply"),
    [
        ("sender", "251 Fine"),
        ("recipient", "251 User not local; will forward"),
        ("recipient", "252 Cannot verify, but will try"),
        ("message", "200 Taken"),
    ],
)
def test_any_reply_that_begins_with_two_is_a_yes(stage: str, reply: str) -> None:
    server = ScriptedSmtp(**{stage: reply})  # type: ignore[arg-type]
    with sending_to(server) as adapter:
        adapter.send(TestSmtp().message())
    assert len(server.taken) == 1


def test_a_reply_to_the_message_that_is_none_leaves_it_in_doubt() -> None:
    for reply in ("what was that?", "354 Go on"):
        assert isinstance(failure(ScriptedSmtp(message=reply)), DoubtfulChannelError)


def test_a_connection_lost_before_the_message_is_transient_and_after_it_doubtful() -> None:
    assert isinstance(failure(ScriptedSmtp(cut="recipient")), TransientChannelError)
    assert isinstance(failure(ScriptedSmtp(cut="message")), DoubtfulChannelError)


def test_a_server_that_falls_silent_after_the_message_leaves_it_in_doubt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smtp_module, "REPLY_SECONDS", 0.3)
    assert isinstance(failure(ScriptedSmtp(silent=True)), DoubtfulChannelError)


def test_one_connection_carries_many_mails_also_after_a_refusal() -> None:
    server = ScriptedSmtp()
    with sending_to(server) as adapter:
        for number in range(5):
            server.recipient = "550 5.1.1 No" if number == 2 else ""
            try:
                adapter.send(TestSmtp().message(delivery_id=f"d{number}"))
            except PermanentChannelError:
                assert number == 2
    assert len(server.taken) == 4
    assert server.connections == 1


def test_a_connection_that_died_while_idle_is_replaced() -> None:
    server = ScriptedSmtp()
    with sending_to(server) as adapter:
        adapter.send(TestSmtp().message())
        server.drop_connections()
        adapter.send(TestSmtp().message())
    assert len(server.taken) == 2
    assert server.connections == 2


def test_threads_send_at_once_each_over_its_own_connection() -> None:
    server = ScriptedSmtp()
    with sending_to(server) as adapter, ThreadPoolExecutor(4) as pool:
        ids = [f"d{number:024x}" for number in range(40)]
        list(pool.map(lambda name: adapter.send(TestSmtp().message(delivery_id=name)), ids))
    assert sorted(mail.content.partition(b"Message-ID: <")[2][:25].decode() for mail in server.taken) == ids
    assert server.connections <= 4


def test_who_waits_too_long_for_a_connection_tries_again_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its worker would be given up meanwhile, and the message be handed over by another one, too."""
    monkeypatch.setattr(smtp_module, "CONNECTIONS", 1)
    monkeypatch.setattr(smtp_module, "REPLY_SECONDS", PATIENCE)
    server = ScriptedSmtp(silent=True)
    with sending_to(server) as adapter, ThreadPoolExecutor(1) as pool:
        first = pool.submit(adapter.send, TestSmtp().message(delivery_id="d1"))
        assert server.handed_over.wait(PATIENCE)
        monkeypatch.setattr(smtp_module, "PREPARE_SECONDS", 0.3)
        with pytest.raises(TransientChannelError) as waited:
            adapter.send(TestSmtp().message(delivery_id="d2"))
        server.drop_connections()
        assert isinstance(first.exception(PATIENCE), DoubtfulChannelError)
    assert waited.value.provider == "unknown", "our own crowd says nothing of the server"


def test_a_server_that_takes_its_time_for_each_answer_is_given_up_before_the_message(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However quick each of them is: all of them together must leave time for the answer to the message."""
    server = ScriptedSmtp(pause=0.3)
    with sending_to(server) as adapter:
        adapter.send(TestSmtp().message(delivery_id="d1"))
        monkeypatch.setattr(smtp_module, "PREPARE_SECONDS", 0.5)
        with pytest.raises(TransientChannelError, match="nothing was sent"):
            adapter.send(TestSmtp().message(delivery_id="d2"))
        monkeypatch.undo()
        adapter.send(TestSmtp().message(delivery_id="d3"))
    assert len(server.taken) == 2


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate and its key, for 127.0.0.1, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    start = datetime(2020, 1, 1, tzinfo=UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=36500))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "server.pem"
    path.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return path


def tls_server(certificate: Path, **script: Any) -> ScriptedSmtp:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    return ScriptedSmtp(tls=context, login=("shop", "5mtp-passw0rd"), **script)


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
def test_it_signs_in_over_tls(tls: str, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    server = tls_server(certificate, is_implicit=tls == "implicit")
    with sending_to(server, tls=tls, username="shop", password="5mtp-passw0rd") as adapter:
        adapter.send(TestSmtp().message())
    assert len(server.taken) == 1
    assert server.signed_in == ["shop"]


def test_a_certificate_of_nobody_we_trust_is_our_configuration(certificate: Path) -> None:
    server = tls_server(certificate)
    with sending_to(server, tls="starttls") as adapter, pytest.raises(ChannelConfigError, match="certificate"):
        adapter.send(TestSmtp().message())


def test_a_server_without_starttls_gets_nothing() -> None:
    server = ScriptedSmtp()
    with sending_to(server, tls="starttls") as adapter, pytest.raises(ChannelConfigError, match="STARTTLS"):
        adapter.send(TestSmtp().message())
    assert server.taken == []


def test_a_wrong_password_is_our_configuration_and_stays_untold() -> None:
    server = ScriptedSmtp(login=("shop", "right"))
    with (
        sending_to(server, username="shop", password="wr0ng-one") as adapter,
        pytest.raises(ChannelConfigError) as caught,
    ):
        adapter.send(TestSmtp().message())
    assert "wr0ng-one" not in str(caught.value)
    assert "sign-in" in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"host": "mail.example", "tls": "none", "username": "a", "password": "c0nfidential"}, "`tls`"),
        ({"host": "mail.example", "username": "a"}, "`password`"),
        ({"host": "mail.example", "tls": "ssl"}, "'starttls'"),
        ({"host": "mail.example", "port": 0}, "`port`"),
        ({"host": ""}, "`host` is empty"),
        ({}, "`host` is missing"),
    ],
)
def test_settings_that_do_not_fit_are_named(settings: dict[str, Any], problem: str) -> None:
    (told,) = Smtp.check_settings(settings)
    assert problem in told
    assert "c0nfidential" not in told


@pytest.mark.parametrize(
    ("settings", "security"),
    [
        ({"host": "127.0.0.1", "port": 1025}, "none"),
        ({"host": "localhost", "port": "1025"}, "none"),
        ({"host": "mail.example"}, "starttls"),
        ({"host": "mail.example", "port": 465}, "implicit"),
        ({"host": "mail.example", "port": 25, "tls": "none"}, "none"),
    ],
)
def test_tls_is_on_unless_the_server_is_this_machine(settings: dict[str, Any], security: str) -> None:
    adapter = Smtp.open(settings, TestSmtp().context())
    assert adapter.settings.security == security
