"""Providers that ask whether an address is ours before they report to it: answered, to them alone."""

from __future__ import annotations

import httpx
import pytest

from channels.base import AdapterContext
from channels.chat.slack import Slack
from channels.chat.whatsapp import WhatsApp
from engine.delivery.message import Adapter
from tests.channels.test_slack import CHALLENGE
from tests.channels.test_slack import SECRET as SLACK_SECRET
from tests.channels.test_slack import signed as signed_by_slack
from tests.channels.test_whatsapp import SETTINGS as WHATSAPP
from tests.web.conftest import NOW, Shop

PATH = "/v1/receipts/texts"


def stand_in(shop: Shop, monkeypatch: pytest.MonkeyPatch, adapter: Adapter) -> None:
    adapters = shop.engine.adapters
    assert isinstance(adapters, dict)
    monkeypatch.setitem(adapters, "texts", adapter)


def test_metas_question_is_answered_with_its_challenge_alone(
    shop: Shop, stranger: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(shop, monkeypatch, WhatsApp.open(WHATSAPP, AdapterContext(channel="texts", kind="chat")))
    asked = {"hub.mode": "subscribe", "hub.challenge": "1158201444", "hub.verify_token": WHATSAPP["verify_token"]}
    answer = stranger.get(PATH, params=asked)
    assert (answer.status_code, answer.text) == (200, "1158201444")
    assert answer.headers["content-type"].startswith("text/plain")
    wrong = stranger.get(PATH, params={**asked, "hub.verify_token": "guess"})
    assert (wrong.status_code, wrong.json()["code"]) == (403, "not_verified")
    assert "1158201444" not in wrong.text


def test_slacks_question_is_answered_with_its_challenge_alone(
    shop: Shop, stranger: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"token": "xoxb-1", "signing_secret": SLACK_SECRET}
    stand_in(shop, monkeypatch, Slack.open(settings, AdapterContext(channel="texts", kind="chat")))
    request = signed_by_slack(CHALLENGE, NOW, SLACK_SECRET)
    answer = stranger.post(PATH, content=request.body, headers=dict(request.headers))
    assert (answer.status_code, answer.text) == (200, "3eZbrw1aBm2rZgRNFdxV")
    forged = signed_by_slack(CHALLENGE, NOW, "another")
    assert stranger.post(PATH, content=forged.body, headers=dict(forged.headers)).status_code == 403


def test_a_question_to_an_adapter_that_knows_none_is_refused(shop: Shop, stranger: httpx.Client) -> None:
    assert stranger.get(PATH, params={"hub.challenge": "1158201444"}).status_code == 403
