"""Providers' webhooks: only what is provably the provider's is read, and each report counts once."""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from channels.base import AdapterContext
from channels.email.brevo import Brevo
from engine.delivery.model import Delivery
from engine.errors import StoreUnavailable
from tests.channels.test_ses import AmazonsHosts, event, opened, signed
from tests.web.conftest import NOW, Shop

PATH = "/v1/receipts/texts"
STOP = {"MessageSid": "SM1", "SmsStatus": "received", "From": "+34600111222", "Body": "Stop."}


def signature(fields: dict[str, str], *, path: str = PATH, token: str = "a-secret") -> str:
    signed = f"http://127.0.0.1{path}" + "".join(name + value for name, value in sorted(fields.items()))
    return base64.b64encode(hmac.new(token.encode(), signed.encode(), hashlib.sha1).digest()).decode()


def post(
    client: httpx.Client, fields: dict[str, str], sign: str | None, *, path: str = PATH, **more: str
) -> httpx.Response:
    headers = {"Content-Type": "application/x-www-form-urlencoded", **more}
    if sign is not None:
        headers["X-Twilio-Signature"] = sign
    return client.post(path, content=urlencode(fields), headers=headers)


@pytest.fixture
def ana(shop: Shop) -> str:
    with shop.store.transaction() as unit:
        profile = shop.engine.intake.ensure(unit, "external", "ana", NOW)
        shop.engine.intake.set_attributes(unit, profile, {"phone": "+34600111222"}, NOW)
        unit.deliveries.save(
            Delivery(
                delivery_id="d1", enrollment_id="e1", journey="cart", profile_id=profile.profile_id, step_id="text",
                visit=1, channel="texts", via="texts", topic="cart", template="t", status="sent", to="+34600111222",
                is_marketing=True, claimed_at=NOW, sent_at=NOW, provider_message_id="SM9",
            )
        )  # fmt: skip
    return profile.profile_id


def taken(shop: Shop, profile_id: str) -> list[str]:
    with shop.store.transaction() as unit:
        return [event.name for event in unit.events.of(profile_id)]


def test_a_signed_receipt_becomes_an_event_and_moves_its_delivery(shop: Shop, ana: str, stranger: httpx.Client) -> None:
    fields = {"MessageSid": "SM9", "MessageStatus": "delivered", "To": "+34600111222"}
    assert post(stranger, fields, signature(fields)).status_code == 200
    assert taken(shop, ana) == ["SMS Delivered"]
    with shop.store.transaction() as unit:
        delivery = unit.deliveries.find("d1")
    assert delivery is not None
    assert delivery.status == "delivered"
    assert shop.nudges


def test_the_query_that_we_asked_for_is_part_of_what_is_signed(shop: Shop, ana: str, stranger: httpx.Client) -> None:
    path = f"{PATH}?delivery=d1"
    fields = {"MessageSid": "SM7", "MessageStatus": "delivered"}
    assert post(stranger, fields, signature(fields, path=path), path=path).status_code == 200
    assert taken(shop, ana) == ["SMS Delivered"]
    assert post(stranger, fields, signature(fields, path=path), path=f"{PATH}?delivery=d2").status_code == 403


def test_a_replay_counts_once(shop: Shop, ana: str, stranger: httpx.Client) -> None:
    for _ in range(3):
        assert post(stranger, STOP, signature(STOP)).status_code == 200
    assert taken(shop, ana) == ["SMS Replied"]
    with shop.store.transaction() as unit:
        assert [record.action for record in unit.consents.of(ana)] == ["withdraw"]


@pytest.mark.parametrize(
    ("sign", "more"),
    [
        (None, {}),
        ("", {}),
        ("nonsense", {}),
        (signature(STOP, token="another"), {}),
        (signature({**STOP, "Body": "START"}), {}),
        (signature(STOP), {"Content-Type": "application/json"}),
        (signature(STOP), {"Content-Encoding": "gzip"}),
        (signature(STOP, path="/v1/receipts/other"), {"Host": "evil.example"}),
    ],
)
def test_what_is_not_provably_the_providers_is_refused_without_a_reason(
    shop: Shop, ana: str, stranger: httpx.Client, sign: str | None, more: dict[str, str]
) -> None:
    answer = post(stranger, STOP, sign, **more)
    assert (answer.status_code, answer.json()["code"]) == (403, "not_verified")
    assert answer.json()["detail"] == "this request could not be verified as the provider's"
    assert taken(shop, ana) == []


def test_the_log_says_why_and_not_more_than_once_a_minute(
    shop: Shop, ana: str, stranger: httpx.Client, caplog: pytest.LogCaptureFixture
) -> None:
    for seconds in (0, 30, 60):
        shop.now = NOW + timedelta(seconds=seconds)
        post(stranger, STOP, "nonsense")
    post(stranger, STOP, signature(STOP))
    told = [record.getMessage() for record in caplog.records if record.name == "sojourn.channels"]
    assert len(told) == 2
    assert "channel `texts`" in told[0]
    assert "the request's signature is wrong" in told[0]
    assert "+34600111222" not in caplog.text


def test_a_batch_that_breaks_off_is_taken_up_again_and_each_report_counts_once(
    shop: Shop, ana: str, stranger: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    brevo = Brevo.open({"api_key": "k", "webhook_token": "t"}, AdapterContext(channel="texts", kind="email"))
    assert isinstance(shop.engine.adapters, dict)
    monkeypatch.setitem(shop.engine.adapters, "texts", brevo)
    words = ("delivered", "opened", "click")
    reports = [{"event": word, "email": "x", "X-Mailin-custom": "d1", "ts_epoch": 1772445600000} for word in words]
    take, calls = shop.engine.receipts.take, iter([True, False])

    def take_once(*given: Any) -> Any:
        if next(calls, True):
            return take(*given)
        raise StoreUnavailable("the store is away")

    monkeypatch.setattr(shop.engine.receipts, "take", take_once)
    answers = [stranger.post(PATH, json=reports, headers={"Authorization": "Bearer t"}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [503, 200]
    assert taken(shop, ana) == ["SMS Delivered", "SMS Opened", "SMS Link Clicked"]


def test_a_report_that_cannot_be_read_does_not_keep_back_the_others_of_its_batch(
    shop: Shop, ana: str, stranger: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    brevo = Brevo.open({"api_key": "k", "webhook_token": "t"}, AdapterContext(channel="texts", kind="email"))
    assert isinstance(shop.engine.adapters, dict)
    monkeypatch.setitem(shop.engine.adapters, "texts", brevo)
    good = {"email": "x", "X-Mailin-custom": "d1", "ts_epoch": 1772445600000}
    reports = [{**good, "event": "delivered"}, {"event": "opened"}, {**good, "event": "opened", "email": ["x"]}]
    reports += [{**good, "event": "click", "link": "https://shop.example/"}]
    assert stranger.post(PATH, json=reports, headers={"Authorization": "Bearer t"}).status_code == 200
    assert taken(shop, ana) == ["SMS Delivered", "SMS Link Clicked"]


def test_a_second_signature_beside_a_good_one_is_refused(shop: Shop, ana: str, stranger: httpx.Client) -> None:
    headers = [
        ("Content-Type", "application/x-www-form-urlencoded"),
        ("X-Twilio-Signature", "nonsense"),
        ("X-Twilio-Signature", signature(STOP)),
    ]
    assert stranger.post(PATH, content=urlencode(STOP), headers=headers).status_code == 403
    assert taken(shop, ana) == []


@pytest.mark.parametrize("channel", ["nowhere", "email", "sms"])
def test_a_channel_that_takes_no_receipts_is_not_there(ana: str, stranger: httpx.Client, channel: str) -> None:
    assert stranger.post(f"/v1/receipts/{channel}", content=b"x=1").status_code == 404


def test_a_body_over_a_megabyte_is_refused_before_it_is_verified(ana: str, stranger: httpx.Client) -> None:
    fields = {**STOP, "Body": "x" * 1_100_000}
    assert post(stranger, fields, signature(fields)).status_code == 413


def test_a_proof_out_of_reach_asks_the_provider_for_another_attempt(
    shop: Shop, stranger: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Amazon's certificate cannot be fetched at the moment: refused, the report would be lost for good."""
    adapters = shop.engine.adapters
    assert isinstance(adapters, dict)
    monkeypatch.setitem(adapters, "texts", opened(AmazonsHosts(b"", status=503)))
    request = signed(event("Delivery"), NOW, "ours")
    answer = stranger.post(PATH, content=request.body, headers=dict(request.headers))
    assert (answer.status_code, answer.json()["code"]) == (503, "provider_unavailable")
    assert answer.headers["Retry-After"] == "30"
