"""What proves a provider's request: a time that is near, and a signature that is ours to the last character."""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta

import pytest
from svix.webhooks import Webhook

from channels.signatures import (
    require_basic,
    require_fresh,
    require_header,
    require_same,
    require_standard,
    standard_signature,
)
from engine.delivery.message import WebhookRequest
from engine.errors import ReceiptRefused

NOW = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
STAMP = int(NOW.timestamp())
BODY = '{"type": "email.delivered", "to": "añá@shop.example"}'.encode()


def request(**headers: str) -> WebhookRequest:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return WebhookRequest(
        url="https://shop.example/v1/receipts/email", method="POST", headers=named, body=BODY, received_at=NOW
    )


@pytest.mark.parametrize("seconds", [-300, -299, 0, 299, 300])
def test_five_minutes_either_way_are_near(seconds: int) -> None:
    require_fresh(str(STAMP + seconds), NOW)


@pytest.mark.parametrize("seconds", [-301, 301, -86_400, 86_400])
def test_more_is_stale_or_ahead(seconds: int) -> None:
    with pytest.raises(ReceiptRefused, match="stale"):
        require_fresh(str(STAMP + seconds), NOW)


def test_whoever_tries_again_for_longer_may_be_given_longer() -> None:
    require_fresh(str(STAMP - 3600), NOW, within=3600)
    with pytest.raises(ReceiptRefused, match="more than 3600 seconds"):
        require_fresh(str(STAMP - 3601), NOW, within=3600)


def test_a_fraction_of_a_second_counts() -> None:
    with pytest.raises(ReceiptRefused, match="stale"):
        require_fresh(str(STAMP), NOW + timedelta(seconds=300, microseconds=1))


@pytest.mark.parametrize(
    "stamp",
    [
        *("", " ", "now", f"{STAMP}.0", f"-{STAMP}", f"+{STAMP}", f" {STAMP}", f"{STAMP}\n", "1e9", "²", "nan"),
        # Digits to Python, and to nobody else; and numbers of any length, which take as long to read.
        str(STAMP).translate({ord(digit): ord(digit) + 0xFEE0 for digit in "0123456789"}),
        "9" * 13,
        "9" * 5000,
    ],
)
def test_a_time_that_is_no_number_of_seconds_is_refused(stamp: str) -> None:
    with pytest.raises(ReceiptRefused, match="not a number of seconds"):
        require_fresh(stamp, NOW)


def test_the_longest_number_of_seconds_is_far_away_and_no_error() -> None:
    with pytest.raises(ReceiptRefused, match="stale"):
        require_fresh("9" * 12, NOW)


@pytest.mark.parametrize("headers", [{}, {"x_signature": ""}])
def test_a_header_that_is_missing_or_empty_is_named(headers: dict[str, str]) -> None:
    with pytest.raises(ReceiptRefused, match="no `x-signature`"):
        require_header(request(**headers), "x-signature")


@pytest.mark.parametrize("given", ["", "abc", "abcde", "ABCD", "abcd ", "abcd\n", "äbcd", "\ud800"])
def test_a_signature_is_the_same_to_the_last_character(given: str) -> None:
    require_same("abcd", "abcd")
    with pytest.raises(ReceiptRefused, match="signature is wrong"):
        require_same("abcd", given)


def test_credentials_are_name_and_password_both() -> None:
    def basic(text: str) -> WebhookRequest:
        return request(authorization="Basic " + base64.b64encode(text.encode()).decode())

    require_basic(basic("shop:pässword"), "shop", "pässword")
    for wrong in ("shop:", ":pässword", "shop:password", "shop:pässword:", "other:pässword", ""):
        with pytest.raises(ReceiptRefused):
            require_basic(basic(wrong), "shop", "pässword")
    with pytest.raises(ReceiptRefused):
        require_basic(request(), "shop", "pässword")


# ── Standard Webhooks ────────────────────────────────────────────────────────────────────────────────────────────────
SECRET = "whsec_" + base64.b64encode(b"twenty-four bytes of key").decode()


def signed(secret: str = SECRET, *, prefix: str = "webhook", stamp: int = STAMP, signature: str = "") -> WebhookRequest:
    made = signature or standard_signature(secret, "msg_1", str(stamp), BODY)
    return request(**{f"{prefix}-id": "msg_1", f"{prefix}-timestamp": str(stamp), f"{prefix}-signature": made})


def test_the_signature_is_the_one_that_svix_makes() -> None:
    assert standard_signature(SECRET, "msg_1", str(STAMP), BODY) == Webhook(SECRET).sign("msg_1", NOW, BODY.decode())
    require_standard(SECRET, signed())
    require_standard(SECRET, signed(prefix="svix"), prefix="svix")
    with pytest.raises(ReceiptRefused, match="no `webhook-id`"):
        require_standard(SECRET, signed(prefix="svix"))


@pytest.mark.parametrize("secret", ["a plain secret", "whsec_no base64!", "d2hzZWNf", "whsec"])
def test_a_secret_that_is_no_base64_is_taken_as_it_is(secret: str) -> None:
    mac = hmac.new(secret.encode(), f"msg_1.{STAMP}.".encode() + BODY, hashlib.sha256).digest()
    assert standard_signature(secret, "msg_1", str(STAMP), BODY) == "v1," + base64.b64encode(mac).decode()
    require_standard(secret, signed(secret))


def test_one_good_signature_among_several_is_enough_and_none_is_not() -> None:
    good = standard_signature(SECRET, "msg_1", str(STAMP), BODY)
    require_standard(SECRET, signed(signature=f"v1,b3RoZXI= v1a,{good[3:]} {good}"))
    for bad in (good[3:], f"v2,{good[3:]}", f"v1a,{good[3:]}", good.replace("v1,", "v1, "), f"{good},{good}", "é", " "):
        with pytest.raises(ReceiptRefused, match="signature is wrong"):
            require_standard(SECRET, signed(signature=bad))


def test_the_id_and_the_time_are_signed_and_the_time_is_near() -> None:
    good = signed()
    for name, value in (("webhook-id", "msg_2"), ("webhook-timestamp", str(STAMP + 1))):
        with pytest.raises(ReceiptRefused, match="signature is wrong"):
            require_standard(SECRET, request(**{**good.headers, name: value}))
    with pytest.raises(ReceiptRefused, match="stale"):
        require_standard(SECRET, signed(stamp=STAMP - 301))
