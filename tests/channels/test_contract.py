"""The contract suite itself: each defect that it is there for makes it fail."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import httpx
import pytest

from channels.chat.slack import Slack
from engine.delivery.message import Message, Receipt, SendResult, WebhookRequest
from engine.errors import ChannelError, PermanentChannelError, TransientChannelError
from tests.channels.test_slack import TestSlack

# Inside a dict, or pytest would collect and run it here a second time.
SLACK = {"suite": TestSlack}
del TestSlack

#: What a failing test raises: an assertion, or pytest's "did not raise".
Failed = (AssertionError, pytest.fail.Exception)


class TellsItsToken(Slack):
    def refusal(self, word: object, response: httpx.Response) -> ChannelError:
        return PermanentChannelError(f"refused {self.settings.token.get_secret_value()}")


class ShowsItsToken(Slack):
    def __repr__(self) -> str:
        return f"<Slack {self.settings.token.get_secret_value()}>"


class BelievesEverybody(Slack):
    def authenticate(self, request: WebhookRequest) -> None:
        pass


class IgnoresTheClock(Slack):
    def authenticate(self, request: WebhookRequest) -> None:
        stamp = request.headers["x-slack-request-timestamp"]
        super().authenticate(replace(request, received_at=datetime.fromtimestamp(int(stamp), UTC)))


class NumbersReceiptsAnew(Slack):
    _count = itertools.count()

    def read(self, request: WebhookRequest) -> Sequence[Receipt]:
        return [replace(receipt, receipt_id=str(next(self._count))) for receipt in super().read(request)]


class TriesAgainBlindly(Slack):
    def unanswered(self, what: str) -> ChannelError:
        return TransientChannelError(f"slack {what}")


class TakesGarbageForYes(Slack):
    def accept(self, response: httpx.Response) -> SendResult:
        return SendResult()


class FollowsRedirects(Slack):
    def exchange(self, request: httpx.Request) -> httpx.Response:
        return self._client.send(request, follow_redirects=True)


class ForgetsToWait(Slack):
    def retry_after(self, response: httpx.Response) -> None:
        return None


class TakesAnyKind(Slack):
    def send(self, message: Message) -> SendResult:
        return self.deliver(replace(message, kind="chat"))


# As in the suite that it runs.
@pytest.mark.filterwarnings("ignore:Unsupported scheme type:UserWarning")
@pytest.mark.parametrize(
    ("adapter", "caught_by"),
    [
        (TellsItsToken, "test_no_secret_address_or_text_gets_into_an_error_or_a_log"),
        (ShowsItsToken, "test_its_repr_shows_no_secret"),
        (BelievesEverybody, "test_a_report_signed_with_another_secret_is_refused"),
        (BelievesEverybody, "test_a_report_changed_after_signing_is_refused"),
        (BelievesEverybody, "test_a_webhook_without_signature_is_refused"),
        (BelievesEverybody, "test_empty_or_foreign_signatures_are_refused"),
        (IgnoresTheClock, "test_stale_and_future_reports_are_refused_and_near_ones_are_not"),
        (NumbersReceiptsAnew, "test_a_replayed_report_has_the_same_ids_and_another_report_has_others"),
        (TriesAgainBlindly, "test_no_answer_is_doubtful"),
        (TriesAgainBlindly, "test_a_connection_cut_after_the_request_is_doubtful"),
        (TakesGarbageForYes, "test_an_answer_that_cannot_be_read_is_no_success_unless_the_status_alone_says_so"),
        (TakesGarbageForYes, "test_each_published_refusal_has_its_meaning"),
        (FollowsRedirects, "test_a_redirect_is_not_followed"),
        (ForgetsToWait, "test_too_fast_is_transient_and_the_providers_wait_is_honoured"),
        (TakesAnyKind, "test_a_message_of_another_kind_is_unsupported"),
    ],
)
def test_the_suite_catches_it(adapter: type[Slack], caught_by: str, caplog: pytest.LogCaptureFixture) -> None:
    # Made here, so that pytest does not collect them as tests of their own.
    suite = type("Suite", (SLACK["suite"],), {"adapter": adapter})()
    arguments = (caplog,) if "log" in caught_by.split("_") else ()
    with pytest.raises((*Failed, ChannelError, httpx.HTTPError)):
        getattr(suite, caught_by)(*arguments)
    # The same test passes for the adapter as it is.
    getattr(SLACK["suite"](), caught_by)(*arguments)
