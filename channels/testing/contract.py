"""What every adapter must do, ours and anyone's, as pytest classes to subclass.

    AdapterContract     settings, secrets, kinds, webhooks refused by default: for all
    ProviderContract    takes, refuses, is down, does not answer, cannot be reached
    HttpContract        the same over a scripted server from an `HttpExhibit`, and Retry-After, broken JSON, redirects
    KnownSenderContract   genuine, forged, replayed and unreadable webhooks, from a `ReceiptExhibit`
    FreshSenderContract   the same where a signed time comes along: stale and future ones, too
    ReceiptContract       the same where the provider signs the body: tampered ones, too
    TimedReceiptContract  all of these

A test file of an adapter is its exhibits and a class of few lines; see `docs/adding-a-channel.md`.
"""

from __future__ import annotations

import logging
import traceback
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, Literal

import pytest
from pydantic import SecretStr

from channels.base import LARGEST_WEBHOOK, AdapterContext, ChannelAdapter
from channels.http import HttpAdapter, open_client
from channels.signatures import FRESH_SECONDS
from channels.testing.exhibit import HttpExhibit, ReceiptExhibit, sample_message
from channels.testing.server import Reply, ScriptedServer, Step, closed_port
from engine.delivery.message import Attachment, Message, WebhookRequest
from engine.errors import (
    ChannelConfigError,
    ChannelError,
    DoubtfulChannelError,
    PermanentChannelError,
    ReceiptRefused,
    TransientChannelError,
    UnsupportedMessage,
)
from engine.project import ChannelKind

WEBHOOK_URL = "https://shop.example/v1/receipts/main"
#: When the suite's webhooks are signed.
MOMENT = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)

#: What a provider does: takes the message, refuses it for good, is down, gives no answer, cannot be reached.
Stage = Literal["accepted", "refused", "down", "unanswered", "unreachable"]
STAGES: tuple[Stage, ...] = ("accepted", "refused", "down", "unanswered", "unreachable")


class AdapterContract:
    """Holds for every adapter."""

    adapter: type[ChannelAdapter[Any]]
    #: Complete and valid, as authored.
    settings: Mapping[str, Any] = {}
    #: The channel's kind, for an adapter that serves any.
    kind: ChannelKind | None = None

    def context(self) -> AdapterContext:
        kind = self.kind or self.adapter.capabilities.kind
        return AdapterContext(channel="main", kind=kind, webhook_url=WEBHOOK_URL)

    def open(self) -> ChannelAdapter[Any]:
        """An adapter that need not reach anything."""
        return self.adapter.open(self.settings, self.context())

    def message(self, **changes: Any) -> Message:
        return sample_message(self.context().kind, **changes)

    def secrets(self) -> list[str]:
        """The values of the settings that are secret."""
        values = dict(self.adapter.Settings.model_validate(dict(self.settings))).values()
        return [value.get_secret_value() for value in values if isinstance(value, SecretStr)]

    def test_its_settings_pass(self) -> None:
        assert self.adapter.check_settings(self.settings) == []

    def test_an_unknown_setting_is_named_and_its_value_is_not(self) -> None:
        problems = self.adapter.check_settings({**self.settings, "no_such": "c0nfidential"})
        assert len(problems) == 1
        assert "`no_such`" in problems[0]
        assert "c0nfidential" not in problems[0]

    def test_each_missing_or_unusable_setting_is_named_and_no_value_is_shown(self) -> None:
        for name, field in self.adapter.Settings.model_fields.items():
            authored = field.alias or name
            without = {key: value for key, value in self.settings.items() if key != authored}
            problems = self.adapter.check_settings(without)
            assert not field.is_required() or any(f"`{authored}`" in problem for problem in problems)
            problems += self.adapter.check_settings({**self.settings, authored: {"c0nfidential": ["c0nfidential"]}})
            assert any(f"`{authored}`" in problem for problem in problems)
            assert not [problem for problem in problems if "c0nfidential" in problem]
            assert not [secret for secret in self.secrets() if secret in " ".join(problems)]

    def test_unusable_settings_open_nothing(self) -> None:
        with pytest.raises(ChannelConfigError, match="no_such"):
            self.adapter.open({**self.settings, "no_such": 1}, self.context())

    def test_its_repr_shows_no_secret(self) -> None:
        adapter = self.open()
        shown = f"{adapter!r} {adapter} {adapter.settings!r} {adapter.settings} {vars(adapter)}"
        assert not [secret for secret in self.secrets() if secret in shown]

    def test_a_message_of_another_kind_is_unsupported(self) -> None:
        other: ChannelKind = "sms" if self.context().kind != "sms" else "chat"
        with pytest.raises(UnsupportedMessage):
            self.open().send(sample_message(other))

    def test_an_address_that_could_smuggle_a_line_is_refused_for_good(self) -> None:
        for address in ("", " ", "ana@shop.example\r\nBcc: eve@shop.example", "+44770\x00"):
            with pytest.raises(PermanentChannelError) as caught:
                self.open().send(self.message(to=address))
            assert caught.value.reason == "invalid_address"

    def test_attachments_are_unsupported_where_it_says_so(self) -> None:
        adapter = self.open()
        if not adapter.capabilities.has_attachments:
            attached = Attachment(name="a.txt", media_type="text/plain", content=b"a")
            with pytest.raises(UnsupportedMessage):
                adapter.send(self.message(attachments=(attached,)))

    def test_a_webhook_without_signature_is_refused(self) -> None:
        for body in (b"", b"{}", b"a=b", b"\xff\xfe"):
            for content_type in ("application/json", "application/x-www-form-urlencoded", "text/plain", ""):
                with pytest.raises(ReceiptRefused):
                    self.open().verify(_request(body, {"content-type": content_type}))

    def test_a_webhook_too_large_or_compressed_is_refused(self) -> None:
        with pytest.raises(ReceiptRefused):
            self.open().verify(_request(b"x" * (LARGEST_WEBHOOK + 1), {}))
        with pytest.raises(ReceiptRefused):
            self.open().verify(_request(b"x", {"content-encoding": "gzip"}))


class ProviderContract(AdapterContract):
    """Holds for every adapter of a provider that can fail."""

    @abstractmethod
    def at(self, stage: Stage) -> AbstractContextManager[ChannelAdapter[Any]]:
        """An adapter whose provider is in that state."""

    def test_a_message_taken_gives_a_result(self) -> None:
        with self.at("accepted") as adapter:
            adapter.send(self.message())

    def test_a_refusal_is_permanent(self) -> None:
        with self.at("refused") as adapter, pytest.raises(PermanentChannelError):
            adapter.send(self.message())

    def test_a_provider_that_is_down_is_transient(self) -> None:
        with self.at("down") as adapter, pytest.raises(TransientChannelError):
            adapter.send(self.message())

    def test_no_answer_is_doubtful(self) -> None:
        with self.at("unanswered") as adapter, pytest.raises(DoubtfulChannelError):
            adapter.send(self.message())

    def test_a_provider_out_of_reach_is_transient(self) -> None:
        with self.at("unreachable") as adapter, pytest.raises(TransientChannelError):
            adapter.send(self.message())

    def test_no_secret_address_or_text_gets_into_an_error_or_a_log(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        message = self.message()
        told = []
        for stage in STAGES:
            with self.at(stage) as adapter:
                try:
                    adapter.send(message)
                except ChannelError as error:
                    told += traceback.format_exception(error)
                    told += traceback.format_exception(error.__context__) if error.__context__ else []
        # `mail.log` is the scripted SMTP server's own.
        ours = [record.getMessage() for record in caplog.records if not record.name.startswith("mail.log")]
        seen = "\n".join(told + ours)
        assert not [value for value in (*self.secrets(), message.to, message.text) if value in seen]


class HttpContract(ProviderContract):
    """Holds for every adapter over HTTP."""

    adapter: type[HttpAdapter[Any]]
    exhibit: HttpExhibit

    @contextmanager
    def serving(self, *script: Step) -> Iterator[tuple[ChannelAdapter[Any], ScriptedServer]]:
        """An adapter whose provider answers by this script."""
        with ScriptedServer(*script) as server:
            # One that says nothing is given up soon; the others may take their time on a busy machine.
            patience = 0.3 if "silence" in script else 60.0
            yield from ((adapter, server) for adapter in self._opened(server.url, patience))

    def _opened(self, address: str, patience: float) -> Iterator[ChannelAdapter[Any]]:
        settings = self.adapter.Settings.model_validate({**self.settings, self._address_setting(): address})
        adapter = self.adapter(settings, self.context(), open_client(read_seconds=patience))
        try:
            yield adapter
        finally:
            adapter.close()

    @contextmanager
    def at(self, stage: Stage) -> Iterator[ChannelAdapter[Any]]:
        if stage == "unreachable":
            yield from self._opened(f"http://127.0.0.1:{closed_port()}", 60.0)
            return
        refused = next(row.reply for row in self.exhibit.refusals if row.error is PermanentChannelError)
        script: dict[Stage, Step] = {
            "accepted": self.exhibit.accepted,
            "refused": refused,
            "down": Reply(status=503, body="<html>busy</html>"),
            "unanswered": "silence",
        }
        with self.serving(script[stage]) as (adapter, _):
            yield adapter

    def test_the_providers_id_comes_back(self) -> None:
        with self.serving(self.exhibit.accepted) as (adapter, server):
            assert adapter.send(self.message()).provider_message_id == self.exhibit.message_id
            assert len(server.seen) == 1

    def test_a_text_that_cannot_be_encoded_is_unsupported_and_not_in_doubt(self) -> None:
        with self.at("accepted") as adapter, pytest.raises(UnsupportedMessage):
            adapter.send(self.message(text="half a character: \ud83c"))

    def test_each_published_refusal_has_its_meaning(self) -> None:
        for refusal in self.exhibit.refusals:
            assert self._outcome(refusal.reply) == (refusal.error, refusal.reason), refusal.reply.body

    def test_an_unknown_refusal_is_permanent_or_the_accounts(self) -> None:
        for status in (400, 418, 422):
            error, _ = self._outcome(Reply(status=status, body="{}"))
            assert error in (PermanentChannelError, ChannelConfigError)

    def test_credentials_refused_are_our_configuration(self) -> None:
        assert self._outcome(Reply(status=401, body="{}"))[0] is ChannelConfigError

    def test_every_5xx_is_transient(self) -> None:
        outcomes = {self._outcome(Reply(status=status, body="<html>")) for status in (500, 502, 503)}
        assert outcomes == {(TransientChannelError, "")}

    def test_a_gateway_that_got_no_answer_either_leaves_the_message_in_doubt(self) -> None:
        assert self._outcome(Reply(status=504, body="<html>")) == (DoubtfulChannelError, "")

    def test_too_fast_is_transient_and_the_providers_wait_is_honoured(self) -> None:
        in_an_hour = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
        waits = {}
        for value in ("7", "0", in_an_hour, "soon", "-3", "9" * 40):
            throttled = self.exhibit.throttled
            slow_down = replace(throttled, headers={**throttled.headers, "Retry-After": value})
            with self.serving(slow_down) as (adapter, _), pytest.raises(TransientChannelError) as caught:
                adapter.send(self.message())
            waits[value] = caught.value.retry_after
        by_date = waits.pop(in_an_hour)
        assert by_date is not None
        assert timedelta(minutes=50) < by_date <= timedelta(hours=1)
        assert waits == {"7": timedelta(seconds=7), "0": timedelta(0), "soon": None, "-3": None, "9" * 40: None}

    def test_a_connection_cut_after_the_request_is_doubtful(self) -> None:
        with self.serving("cut") as (adapter, server):
            with pytest.raises(DoubtfulChannelError):
                adapter.send(self.message())
            assert len(server.seen) == 1

    def test_an_answer_that_cannot_be_read_is_no_success_unless_the_status_alone_says_so(self) -> None:
        accepted = self.exhibit.accepted
        if not accepted.body:
            return
        for garbled in ("{", "<html>hello</html>", "[]", "null", "\x00", "[" * 100_000):
            with self.serving(replace(accepted, body=garbled)) as (adapter, _), pytest.raises(DoubtfulChannelError):
                adapter.send(self.message())

    def test_a_redirect_is_not_followed(self) -> None:
        with ScriptedServer(self.exhibit.accepted) as elsewhere:
            moved = Reply(status=307, headers={"Location": elsewhere.url})
            assert self._outcome(moved)[0] is ChannelConfigError
            assert elsewhere.seen == []

    def test_secrets_do_not_go_over_plain_http_to_another_machine(self) -> None:
        problems = self.adapter.check_settings({**self.settings, self._address_setting(): "http://api.example"})
        assert len(problems) == 1
        assert "https://" in problems[0]

    def _address_setting(self) -> str:
        return self.adapter.Settings.model_fields["base_url"].alias or "base_url"

    def _outcome(self, reply: Reply) -> tuple[type[ChannelError], str]:
        with self.serving(reply) as (adapter, _), pytest.raises(ChannelError) as caught:
            adapter.send(self.message())
        return type(caught.value), caught.value.reason if isinstance(caught.value, PermanentChannelError) else ""


class KnownSenderContract(AdapterContract):
    """Holds for every adapter whose provider reports back, and proves at least that it is the provider."""

    receipts: ReceiptExhibit

    def signed(self, body: bytes, moment: datetime = MOMENT) -> WebhookRequest:
        return self.receipts.sign(body, moment, self.receipts.secret)

    def test_it_says_that_it_has_receipts(self) -> None:
        assert self.open().capabilities.has_receipts

    def test_genuine_reports_are_verified_and_read(self) -> None:
        adapter = self.open()
        for body, kinds in self.receipts.bodies:
            request = self.signed(body)
            adapter.verify(request)
            found = adapter.parse(request)
            assert tuple(receipt.kind for receipt in found) == kinds, body
            assert all(receipt.occurred_at.tzinfo is not None and receipt.raw for receipt in found)

    def test_a_replayed_report_has_the_same_ids_and_another_report_has_others(self) -> None:
        adapter = self.open()
        ids = []
        for body, _ in self.receipts.bodies:
            first, again = self.signed(body), self.signed(body, MOMENT + timedelta(seconds=30))
            assert [row.receipt_id for row in adapter.parse(first)] == [row.receipt_id for row in adapter.parse(again)]
            ids += [receipt.receipt_id for receipt in adapter.parse(first)]
        assert len(set(ids)) == len(ids)

    def test_a_report_signed_with_another_secret_is_refused(self) -> None:
        body = self.receipts.bodies[0][0]
        with pytest.raises(ReceiptRefused):
            self.open().verify(self.receipts.sign(body, MOMENT, "another secret"))

    def test_empty_or_foreign_signatures_are_refused(self) -> None:
        request = self.signed(self.receipts.bodies[0][0])
        names = [name for name in request.headers if name != "content-type"]
        for value in ("", "x", "ÿ", "a" * 5000, ", ".join([*request.headers.values()] * 2)):
            forged = replace(request, headers={**request.headers, **dict.fromkeys(names, value)})
            if names:
                with pytest.raises(ReceiptRefused):
                    self.open().verify(forged)

    def test_an_unknown_word_is_kept_as_unknown_with_all_that_came(self) -> None:
        found = self.open().parse(self.signed(self.receipts.unknown))
        assert [receipt.kind for receipt in found] == ["unknown"]
        assert found[0].raw

    def test_a_body_that_cannot_be_read_is_refused_though_signed(self) -> None:
        for body in self.receipts.unreadable:
            with pytest.raises(ReceiptRefused):
                self.open().parse(self.signed(body))


class FreshSenderContract(KnownSenderContract):
    """Holds where the provider signs the time, too."""

    #: How far from its arrival a report's own time may be. Longer than the usual only where a provider repeats its
    #: reports with the time and signature of the first attempt.
    fresh_seconds: int = FRESH_SECONDS

    def test_stale_and_future_reports_are_refused_and_near_ones_are_not(self) -> None:
        request = self.signed(self.receipts.bodies[0][0])
        near, far = self.fresh_seconds - 1, self.fresh_seconds + 1
        for seconds in (-near, 0, near):
            self.open().verify(replace(request, received_at=MOMENT + timedelta(seconds=seconds)))
        for seconds in (-10 * far, -far, far, 10 * far):
            with pytest.raises(ReceiptRefused):
                self.open().verify(replace(request, received_at=MOMENT + timedelta(seconds=seconds)))


class ReceiptContract(KnownSenderContract):
    """Holds where the provider signs what it reports."""

    def test_a_report_changed_after_signing_is_refused(self) -> None:
        for body, _ in self.receipts.bodies:
            request = self.signed(body)
            for changed in (body + b"1", body[:-1], b"", body.replace(b"e", b"a", 1)):
                with pytest.raises(ReceiptRefused):
                    self.open().verify(replace(request, body=changed))


class TimedReceiptContract(ReceiptContract, FreshSenderContract):
    """Holds where the provider signs what it reports, and when."""


def _request(body: bytes, headers: Mapping[str, str]) -> WebhookRequest:
    return WebhookRequest(url=WEBHOOK_URL, method="POST", headers=headers, body=body, received_at=MOMENT)
