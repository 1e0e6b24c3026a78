"""What the descriptions catch: otherwise a test that leans on them proves nothing."""

from __future__ import annotations

import json

import pytest

from channels.testing.server import Reply, SeenRequest
from tests.channels.described import described

GOOD = {
    "personalizations": [{"to": [{"email": "ana@shop.example"}]}],
    "from": {"email": "hello@shop.example"},
    "subject": "Your cart",
    "content": [{"type": "text/plain", "value": "It waits"}],
}


def seen(body: object, path: str = "/v3/mail/send", token: str = "Bearer SG.x") -> SeenRequest:
    headers = {"content-type": "application/json", "authorization": token}
    return SeenRequest(method="POST", path=path, headers=headers, body=json.dumps(body).encode())


def test_a_request_as_described_passes() -> None:
    described("sendgrid").check_request(seen(GOOD))


@pytest.mark.parametrize(
    "request_",
    [
        seen({**GOOD, "personalizations": "ana@shop.example"}),
        seen({**GOOD, "from": "hello@shop.example"}),
        seen({name: value for name, value in GOOD.items() if name != "from"}),
        seen(GOOD, path="/v3/mail/sent"),
        SeenRequest(method="POST", path="/v3/mail/send", headers={}, body=json.dumps(GOOD).encode()),
    ],
)
def test_a_request_that_is_not_as_described_is_caught(request_: SeenRequest) -> None:
    with pytest.raises(Exception, match=r".+") as caught:
        described("sendgrid").check_request(request_)
    assert type(caught.value).__module__.startswith("openapi_core")


def test_an_answer_that_is_not_as_described_is_caught() -> None:
    request = SeenRequest(
        method="POST",
        path="/email",
        headers={"content-type": "application/json", "x-postmark-server-token": "t"},
        body=b"{}",
    )
    described("postmark").check_response(request, Reply(status=200, body={"ErrorCode": 0}))
    with pytest.raises(Exception, match=r".+") as caught:
        described("postmark").check_response(request, Reply(status=200, body={"ErrorCode": "none"}))
    assert type(caught.value).__module__.startswith("openapi_core")
