"""The local inbox."""

from __future__ import annotations

import smtplib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from channels.base import AdapterContext
from channels.email.smtp import Smtp
from channels.inbox import Inbox, InboxAdapter, InboxServer
from channels.testing.contract import AdapterContract
from channels.testing.exhibit import sample_message
from engine.delivery.message import Attachment
from engine.errors import ChannelConfigError, Conflict, TransientChannelError
from engine.project import ChannelKind
from tests.ports import free_ports


class _InboxContract(AdapterContract):
    adapter = InboxAdapter

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.folder = tmp_path / "inbox"

    def context(self) -> AdapterContext:
        assert self.kind is not None
        return AdapterContext(channel="main", kind=self.kind, inbox_folder=self.folder)

    def test_a_message_is_kept_whole(self) -> None:
        adapter = self.open()
        message = self.message(from_="Shop", headers={"X-A": "1"}, blocks=({"type": "divider"},))
        result = adapter.send(message)
        (caught,) = Inbox(self.folder).messages()
        assert caught.id == result.provider_message_id
        assert caught.kind == self.kind
        assert (caught.to, caught.from_) == (message.to, "Shop")
        assert (caught.subject, caught.text, caught.html) == (message.subject or "", message.text, message.html)
        assert (caught.headers, caught.blocks) == ({"X-A": "1"}, ({"type": "divider"},))
        assert caught.delivery_id == message.delivery_id

    def test_a_message_can_be_looked_up_by_its_delivery(self) -> None:
        adapter = self.open()
        result = adapter.send(self.message())
        assert adapter.look_up(self.message().delivery_id) == result
        assert adapter.look_up("d999") is None

    def test_a_folder_that_cannot_be_written_is_transient(self) -> None:
        self.folder.write_text("a file in its place")
        with pytest.raises(TransientChannelError):
            self.open().send(self.message())


class TestInboxOfEmail(_InboxContract):
    kind: ChannelKind = "email"


class TestInboxOfSms(_InboxContract):
    kind: ChannelKind = "sms"


class TestInboxOfChat(_InboxContract):
    kind: ChannelKind = "chat"


@pytest.fixture
def inbox(tmp_path: Path) -> Inbox:
    return Inbox(tmp_path / "inbox")


def test_an_installation_without_inbox_says_so() -> None:
    with pytest.raises(ChannelConfigError, match="no local inbox"):
        InboxAdapter.open({}, AdapterContext(channel="main", kind="sms"))


def test_messages_come_newest_first_and_the_oldest_go_beyond_the_limit(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path / "inbox", kept=3)
    assert (inbox.messages(), inbox.count()) == ([], 0)
    for number in range(5):
        inbox.keep(kind="sms", to="+1", text=str(number))
    assert [caught.text for caught in inbox.messages()] == ["4", "3", "2"]
    assert [caught.text for caught in inbox.messages(limit=1)] == ["4"]
    assert inbox.count() == 3


def test_another_process_sees_the_same_inbox_and_a_restart_keeps_it(inbox: Inbox) -> None:
    caught = inbox.keep(kind="chat", to="U01", text="hi")
    assert Inbox(inbox.folder).messages() == [caught]
    assert Inbox(inbox.folder).find(caught.id) == caught
    Inbox(inbox.folder).clear()
    assert inbox.count() == 0
    assert inbox.find(caught.id) is None


def test_an_id_cannot_leave_the_folder(inbox: Inbox) -> None:
    inbox.keep(kind="sms", to="+1")
    (inbox.folder.parent / "secret.json").write_text("{}")
    for name in ("../secret", "", ".", "a/b", "\x00", "00000000000000000000-1-1"):
        assert inbox.find(name) is None


def test_threads_write_at_once_and_nothing_is_lost(inbox: Inbox) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: inbox.keep(kind="sms", to="+1", text=str(number)), range(60)))
    assert {int(caught.text) for caught in inbox.messages()} == set(range(60))


def test_a_mail_over_smtp_is_caught_with_its_parts(inbox: Inbox) -> None:
    with InboxServer(inbox, port=free_ports(1)[0]) as server:
        adapter = Smtp.open(
            {"host": "127.0.0.1", "port": server.port, "from": "Tienda <hola@shop.example>"},
            AdapterContext(channel="email", kind="email"),
        )
        adapter.send(
            sample_message(
                "email",
                subject="Tu carrito, Ñandú",
                text="Hola ñ",
                html="<p>ñ</p>",
                headers={"List-Unsubscribe": "<https://shop.example/u/abc>"},
                attachments=(Attachment(name="a.txt", media_type="text/plain", content=b"a"),),
            )
        )
        adapter.close()
    (caught,) = inbox.messages()
    assert (caught.kind, caught.to, caught.from_) == ("email", "ana@shop.example", "Tienda <hola@shop.example>")
    assert (caught.subject, caught.text.strip(), (caught.html or "").strip()) == (
        "Tu carrito, Ñandú",
        "Hola ñ",
        "<p>ñ</p>",
    )
    assert caught.headers["List-Unsubscribe"] == "<https://shop.example/u/abc>"
    assert caught.attachments == ("a.txt",)
    assert caught.delivery_id == "d0123456789abcdef01234567"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no headers at all",
        b"Content-Type: text/plain; charset=nobody-knows\r\n\r\n\xff\xfe",
        b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nbroken",
        b"Subject: =?utf-8?b?!!!?=\r\nMessage-ID: <<>>\r\n\r\nhi",
        b"Subject: caf\xe9\r\nX-\xe9: \xff\r\n\r\ncaf\xe9",
    ],
)
def test_a_mail_out_of_shape_is_caught_all_the_same(inbox: Inbox, content: bytes) -> None:
    with InboxServer(inbox, port=free_ports(1)[0]) as server, smtplib.SMTP("127.0.0.1", server.port, "test") as client:
        client.sendmail("a@shop.example", ["b@shop.example", "c@shop.example"], content)
    assert sorted(caught.to for caught in inbox.messages()) == ["b@shop.example", "c@shop.example"]
    for caught in inbox.messages():
        f"{caught.subject} {caught.text} {caught.headers}".encode()


def test_a_taken_port_is_named(inbox: Inbox) -> None:
    with InboxServer(inbox, port=free_ports(1)[0]) as server, pytest.raises(Conflict, match=str(server.port)):
        InboxServer(inbox, port=server.port).start()


def test_the_server_cannot_be_reached_once_stopped(inbox: Inbox) -> None:
    with InboxServer(inbox, port=free_ports(1)[0]) as server:
        port = server.port
    with pytest.raises(OSError, match="refused"):
        smtplib.SMTP("127.0.0.1", port, "test")
