"""Slack's Web API and Events API, by their published shapes."""

from __future__ import annotations

import hashlib
import hmac
import json
import warnings
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from channels.chat.slack import Slack
from channels.testing.contract import MOMENT, WEBHOOK_URL, TimedReceiptContract
from channels.testing.exhibit import HttpExhibit, ReceiptExhibit, Refusal
from channels.testing.server import Reply, SeenRequest
from engine.delivery.message import WebhookRequest
from engine.errors import (
    ChannelConfigError,
    DoubtfulChannelError,
    ReceiptRefused,
    TransientChannelError,
    UnsupportedMessage,
)
from tests.channels.described import DescribedContract

with warnings.catch_warnings():
    # The SDK and what it stands on announce their own future; none of it is about us.
    warnings.simplefilter("ignore")
    from slack_sdk.signature import Clock, SignatureVerifier

SECRET = "5lack-s1gning"
SETTINGS = {"token": "xoxb-5ecret-t0ken", "signing_secret": SECRET}

TAKEN = {
    "ok": True,
    "channel": "C1H9RESGL",
    "ts": "1503435956.000247",
    "message": {
        "text": "Here's a message for you",
        "username": "ecto1",
        "bot_id": "B19LU7CSY",
        "type": "message",
        "subtype": "bot_message",
        "ts": "1503435956.000247",
    },
}


def no(error: str, status: int = 200) -> Reply:
    return Reply(status=status, body={"ok": False, "error": error})


def signed(body: bytes, moment: datetime, secret: str) -> WebhookRequest:
    stamp = str(int(moment.timestamp()))
    mac = hmac.new(secret.encode(), f"v0:{stamp}:".encode() + body, hashlib.sha256).hexdigest()
    headers = {
        "content-type": "application/json",
        "x-slack-signature": f"v0={mac}",
        "x-slack-request-timestamp": stamp,
    }
    return WebhookRequest(url=WEBHOOK_URL, method="POST", headers=headers, body=body, received_at=moment)


def event(id: str, **fields: object) -> bytes:
    inner = {"type": "message", "channel": "D01", "user": "U0ANA0ANA", "ts": "1772445600.000200", **fields}
    envelope = {"type": "event_callback", "event_id": id, "event_time": 1772445600, "event": inner}
    return json.dumps(envelope).encode()


CHALLENGE = json.dumps({"token": "t", "challenge": "3eZbrw1aBm2rZgRNFdxV", "type": "url_verification"}).encode()


# Slack's description names its OAuth scheme by a word that openapi-core does not know.
@pytest.mark.filterwarnings("ignore:Unsupported scheme type:UserWarning")
class TestSlack(DescribedContract, TimedReceiptContract):
    adapter = Slack
    description = "slack"
    settings = SETTINGS
    exhibit = HttpExhibit(
        accepted=Reply(status=200, body=TAKEN),
        message_id="C1H9RESGL:1503435956.000247",
        refusals=(
            Refusal(reply=no("channel_not_found"), reason="rejected"),
            Refusal(reply=no("is_archived"), reason="rejected"),
            Refusal(reply=no("user_not_found"), reason="invalid_address"),
            Refusal(reply=no("not_in_channel"), reason="not_allowed"),
            Refusal(reply=no("some_new_word"), reason="unknown"),
            Refusal(reply=no("msg_too_long"), error=UnsupportedMessage),
            Refusal(reply=no("no_text"), error=UnsupportedMessage),
            Refusal(reply=no("invalid_blocks"), error=UnsupportedMessage),
            Refusal(reply=no("invalid_auth"), error=ChannelConfigError),
            Refusal(reply=no("token_revoked"), error=ChannelConfigError),
            Refusal(reply=no("account_inactive"), error=ChannelConfigError),
            Refusal(reply=no("missing_scope"), error=ChannelConfigError),
            Refusal(reply=no("ratelimited", 429), error=TransientChannelError),
            Refusal(reply=no("internal_error"), error=TransientChannelError),
            Refusal(reply=no("service_unavailable"), error=TransientChannelError),
            Refusal(reply=no("fatal_error"), error=DoubtfulChannelError),
            Refusal(reply=Reply(status=200, body={"ok": False}), error=DoubtfulChannelError),
        ),
        throttled=no("ratelimited", 429),
    )
    receipts = ReceiptExhibit(
        sign=signed,
        secret=SECRET,
        bodies=(
            (event("Ev01", text="Thank you!"), ("replied",)),
            (event("Ev02", bot_id="B01", text="Your cart"), ()),
            (event("Ev03", subtype="message_changed"), ()),
            (CHALLENGE, ()),
        ),
        unknown=event("Ev04", type="teleported"),
        unreadable=(b"{", b"[]", b"null", b'{"type": "event_callback"}', b"\xff"),
    )

    def as_described(self, seen: SeenRequest) -> SeenRequest:
        # The description has the token in a header of its own; the documents, in `Authorization`.
        return replace(seen, headers={**seen.headers, "token": seen.headers["authorization"].removeprefix("Bearer ")})

    def test_the_request_is_the_published_form(self) -> None:
        with self.serving(self.exhibit.accepted) as (adapter, server):
            adapter.send(self.message(blocks=({"type": "divider"},)))
        request = server.seen[0]
        assert (request.method, request.path) == ("POST", "/chat.postMessage")
        assert request.headers["authorization"] == "Bearer xoxb-5ecret-t0ken"
        form = request.form()
        assert json.loads(form.pop("metadata")) == {
            "event_type": "sojourn_delivery",
            "event_payload": {"delivery": "d0123456789abcdef01234567"},
        }
        assert json.loads(form.pop("blocks")) == [{"type": "divider"}]
        assert form == {"channel": "U0ANA0ANA", "text": "Your cart waits, Ana", "link_names": "false"}

    def test_markup_from_a_profile_reaches_nobody_else(self) -> None:
        """`<!channel>`, `<@U…>` and a link under a bank's name come out as they were typed."""
        evil = "<!channel> <@U0EVE> <https://evil.example|bank> R&D"
        with self.serving(self.exhibit.accepted) as (adapter, server):
            adapter.send(self.message(text=evil, blocks=({"type": "section", "text": {"text": evil}},)))
        form = server.seen[0].form()
        assert form["text"] == "&lt;!channel&gt; &lt;@U0EVE&gt; &lt;https://evil.example|bank&gt; R&amp;D"
        told = json.loads(form["blocks"])[0]["text"]["text"]
        assert told == "&lt;!channel> &lt;@U0EVE> <https://evil.example|bank> R&D"

    def test_a_reply_carries_its_text_its_sender_and_the_message_of_its_thread(self) -> None:
        (receipt,) = self.open().parse(self.signed(event("Ev05", text="stop", thread_ts="1503435956.000247")))
        assert (receipt.kind, receipt.text, receipt.address) == ("replied", "stop", "U0ANA0ANA")
        assert receipt.provider_message_id == "D01:1503435956.000247"
        assert receipt.receipt_id == "Ev05"
        assert receipt.occurred_at == datetime.fromtimestamp(1772445600, UTC)

    def test_the_challenge_is_echoed_and_nothing_else_is(self) -> None:
        adapter = self.open()
        adapter.verify(self.signed(CHALLENGE))
        assert adapter.answer(self.signed(CHALLENGE)) == "3eZbrw1aBm2rZgRNFdxV"
        assert adapter.answer(self.signed(event("Ev06", text="hi", challenge="no"))) == ""

    def test_a_timestamp_that_is_no_number_is_refused(self) -> None:
        request = self.signed(self.receipts.bodies[0][0])
        for stamp in ("", "soon", "-5", "1e9", "١٢٣", "9" * 400):
            headers = {**request.headers, "x-slack-request-timestamp": stamp}
            with pytest.raises(ReceiptRefused):
                self.open().verify(replace(request, headers=headers))

    def test_without_a_signing_secret_events_are_refused(self) -> None:
        adapter = Slack.open({"token": "xoxb-1"}, self.context())
        with pytest.raises(ReceiptRefused, match="signing_secret"):
            adapter.verify(self.signed(CHALLENGE))

    def test_the_sdk_of_slack_and_we_believe_the_same_requests(self) -> None:
        class AtMoment(Clock):  # type: ignore[misc]
            def now(self) -> float:
                return MOMENT.timestamp()

        sdk = SignatureVerifier(SECRET, AtMoment())
        genuine = self.signed(event("Ev07", text="ç 🛒"))
        for request in (
            genuine,
            self.receipts.sign(genuine.body, MOMENT, "another"),
            replace(self.signed(genuine.body, MOMENT - timedelta(seconds=301)), received_at=MOMENT),
            replace(genuine, body=genuine.body + b" "),
        ):
            if sdk.is_valid_request(request.body, dict(request.headers)):
                self.open().verify(request)
                assert request is genuine
            else:
                assert request is not genuine
                with pytest.raises(ReceiptRefused):
                    self.open().verify(request)

    def test_a_block_that_slack_does_not_take_is_named(self) -> None:
        assert Slack.check_blocks([{"type": "divider"}]) == []
        assert len(Slack.check_blocks([{"text": "x"}, "x"])) == 2
        assert Slack.check_blocks([{"type": "divider"}] * 51) != []
