"""Which adapters there are, and those of a project opened."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from channels.base import AdapterSettings, ChannelAdapter
from channels.catalog import adapter_rows, markdown
from channels.email.smtp import Smtp
from channels.inbox import Inbox, InboxAdapter
from channels.registry import GROUP, adapter_infos, known_adapters, load_adapters, open_adapters
from channels.sms.twilio import Twilio
from channels.testing.exhibit import sample_message
from engine.errors import BadInput, ChannelConfigError, NotFound
from engine.project import Channel, Project
from tests.channels.pages import PAGE, hold


def project(root: Path, *channels: Channel) -> Project:
    return Project(
        name="shop",
        root=root,
        timezone="UTC",
        locale="en",
        database="sqlite://",
        channels={channel.name: channel for channel in channels},
    )


def test_ours_are_registered_through_the_door_for_all() -> None:
    assert {"inbox", "slack", "smtp", "twilio", "vonage"} <= set(known_adapters())
    assert known_adapters()["smtp"] is Smtp


def test_every_adapter_is_named_as_it_registers_and_lives_under_one_class() -> None:
    for name, adapter in known_adapters().items():
        assert adapter.name == name
        assert issubclass(adapter, ChannelAdapter)
        assert issubclass(adapter.Settings, AdapterSettings)


def test_two_adapters_of_one_name_are_an_error_that_names_both() -> None:
    points = (
        EntryPoint("smtp", "channels.email.smtp:Smtp", GROUP),
        EntryPoint("smtp", "elsewhere.smtp:Smtp", GROUP),
    )
    with pytest.raises(BadInput, match=r"`smtp`.*channels\.email\.smtp:Smtp and elsewhere\.smtp:Smtp"):
        load_adapters(points)


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("gone", "no.such.module:X", "does not load"),
        ("gone", "channels.email.smtp:NoSuch", "does not load"),
        ("odd", "channels.email.smtp:SmtpSettings", "no subclass"),
        ("mail", "channels.email.smtp:Smtp", "calls itself `smtp`"),
    ],
)
def test_an_unusable_registration_is_named(name: str, value: str, problem: str) -> None:
    with pytest.raises(BadInput, match=problem):
        load_adapters((EntryPoint(name, value, GROUP),))


def test_the_compiler_learns_kinds_and_settings() -> None:
    infos = adapter_infos()
    assert {name: infos[name].kind for name in ("smtp", "twilio", "vonage", "slack", "inbox")} == {
        "smtp": "email",
        "twilio": "sms",
        "vonage": "sms",
        "slack": "chat",
        "inbox": None,
    }
    assert infos["twilio"].check_settings({"account_sid": "AC0", "auth_token": "none", "from": "+4477"}) == []
    assert infos["twilio"].check_settings({"account_sid": "AC0", "tokn": "c0nfidential"}) == [
        "setting `auth_token` is missing",
        "unknown setting `tokn`: allowed are base_url, account_sid, auth_token, from, messaging_service_sid",
    ]


def test_a_project_gets_an_adapter_a_channel(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"account_sid": "AC0", "auth_token": "t"}
    opened = open_adapters(
        project(
            tmp_path,
            Channel(name="email", use="inbox", kind="email"),
            Channel(name="chat", use="inbox", kind="chat"),
            Channel(name="sms", use="twilio", kind="sms", from_="+34600000000", settings=settings),
        ),
        public_url="https://shop.example/",
    )
    assert list(opened) == ["email", "chat", "sms"]
    assert [adapter.capabilities.kind for adapter in opened.values()] == ["email", "chat", "sms"]
    assert opened["sms"].context.webhook_url == "https://shop.example/v1/receipts/sms"
    assert isinstance(opened["sms"], Twilio)
    assert opened["sms"].settings.from_ == "+34600000000"
    opened["chat"].send(sample_message("chat"))
    assert Inbox(tmp_path / ".sojourn" / "inbox").count() == 1


def test_an_inbox_given_is_the_one_used(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path / "elsewhere")
    opened = open_adapters(project(tmp_path, Channel(name="sms", use="inbox", kind="sms")), inbox)
    assert isinstance(opened["sms"], InboxAdapter)
    opened["sms"].send(sample_message("sms"))
    assert inbox.count() == 1


def test_an_adapter_that_is_not_registered_is_named_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"`pigeon`.*inbox, .*smtp"):
        open_adapters(project(tmp_path, Channel(name="email", use="pigeon", kind="email")))


def test_unusable_settings_are_named_with_their_channel_and_without_their_values(tmp_path: Path) -> None:
    channel = Channel(name="chat", use="slack", kind="chat", settings={"tokn": "xoxb-c0nfidential"})
    with pytest.raises(ChannelConfigError, match=r"channel `chat` \(slack\).*`token` is missing.*`tokn`") as caught:
        open_adapters(project(tmp_path, channel))
    assert "c0nfidential" not in str(caught.value)


def test_the_table_in_the_documentation_is_current() -> None:
    hold("adapters", markdown(row for row in adapter_rows() if row.package == "sojourn"))


def test_every_adapter_has_a_paragraph_in_the_documentation() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert [row.name for row in adapter_rows() if row.package == "sojourn" and f"**{row.name}**" not in page] == []
