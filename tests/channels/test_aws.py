"""Amazon's Signature Version 4, against botocore's."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import botocore.auth
import httpx
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from channels.aws import AwsSettings, SigV4, service_address

NOW = datetime(2026, 3, 2, 10, 0, 5, tzinfo=UTC)
KEYS = {"region": "eu-west-1", "access_key_id": "AKIDEXAMPLE", "secret_access_key": "wJalrXUtnFEMI/K7MDENG+bPxRfi"}


@pytest.fixture
def botocores_clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda: NOW.replace(tzinfo=None))
    return


REQUESTS = {
    "json": ("POST", "https://email.eu-west-1.amazonaws.com/v2/email/outbound-emails", {"json": {"a": "é & + /"}}),
    "form": ("POST", "https://sns.eu-west-1.amazonaws.com/", {"data": {"Message": "50% + más", "Action": "Publish"}}),
    "query": ("GET", "https://email.eu-west-1.amazonaws.com/v2/x?b=2&a=1%20%2B&a=0&empty=&c=~-_.", {}),
    "path": ("GET", "https://email.eu-west-1.amazonaws.com/v2/addresses/ana%2Bx%40shop.example/%20é~", {}),
    "port": ("POST", "http://127.0.0.1:15001/v2/x", {"content": b"", "headers": {"X-Amz-Target": "  a   b "}}),
}


@pytest.mark.parametrize("token", [None, "FwoGZXIvYXdzE/token=="])
@pytest.mark.parametrize("name", REQUESTS)
def test_a_signature_is_the_one_that_botocore_makes(name: str, token: str | None, botocores_clock: None) -> None:
    method, url, more = REQUESTS[name]
    extra: dict[str, Any] = dict(more)
    request = httpx.Request(method, url, **extra)
    counted = {key: value for key, value in request.headers.items() if key in ("content-type", "x-amz-target")}
    theirs = AWSRequest(method=method, url=str(request.url), data=request.content, headers=counted)
    credentials = Credentials(KEYS["access_key_id"], KEYS["secret_access_key"], token)
    botocore.auth.SigV4Auth(credentials, "ses", "eu-west-1").add_auth(theirs)
    settings = AwsSettings.model_validate({**KEYS, "session_token": token})
    SigV4(settings, "ses").sign(request, NOW)
    assert request.headers["authorization"] == theirs.headers["Authorization"]
    assert request.headers["x-amz-date"] == theirs.headers["X-Amz-Date"] == "20260302T100005Z"
    assert request.headers.get("x-amz-security-token") == token


def test_a_request_is_signed_as_it_leaves() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200)

    with httpx.Client(transport=httpx.MockTransport(answer)) as client:
        request = client.build_request("POST", "https://sns.eu-west-1.amazonaws.com/", data={"Action": "Publish"})
        client.send(request, auth=SigV4(AwsSettings.model_validate(KEYS), "sns"))
    assert "SignedHeaders=content-type;host;x-amz-date" in seen[0].headers["authorization"]


def test_a_region_leads_to_its_address_and_to_no_other() -> None:
    assert service_address("email", "eu-west-1") == "https://email.eu-west-1.amazonaws.com"
    assert service_address("sns", "cn-north-1") == "https://sns.cn-north-1.amazonaws.com.cn"
    with pytest.raises(ValueError, match="region"):
        AwsSettings.model_validate({**KEYS, "region": "evil.example/x-1"})
