"""The `call` step's caller, against real servers on the loopback."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from channels.calls import HttpCaller
from engine.enrollment.caller import CallRequest


class Site(ThreadingHTTPServer):
    """Answers from a list of (status, headers, body), and notes what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: list[tuple[int, dict[str, str], bytes]] = []
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class Handler(BaseHTTPRequestHandler):
    server: Site

    def handle_one(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.asked.append((self.command, self.path, dict(self.headers), body))
        status, headers, content = self.server.answers.pop(0)
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = handle_one  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None: ...


@pytest.fixture
def site() -> Iterator[Site]:
    server = Site()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def caller() -> Iterator[HttpCaller]:
    """Knows one host of the author's, which is on this machine, and admits it."""
    opened = HttpCaller(allowed_hosts=["crm.example"], resolve=lambda host, port: ["127.0.0.1"])
    yield opened
    opened.close()


def request(site: Site, path: str = "/", **changes: Any) -> CallRequest:
    return CallRequest(**{"url": f"http://crm.example:{site.port}{path}", "method": "GET", **changes})


def test_the_answer_s_json_comes_back(site: Site, caller: HttpCaller) -> None:
    site.answers = [(200, {}, b'{"score": 7}')]
    sent = request(site, "/score?x=1", method="POST", json={"id": "p1"}, headers={"X-Key": "k"})
    assert caller.call(sent) == {"score": 7}
    method, path, headers, body = site.asked[0]
    assert (method, path, json.loads(body)) == ("POST", "/score?x=1", {"id": "p1"})
    assert headers["Host"] == f"crm.example:{site.port}"
    assert headers["X-Key"] == "k"
    assert headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.1.2.3", "169.254.169.254", "::1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "fd00::1", "0.0.0.0"],
)
def test_a_name_that_leads_to_a_private_address_is_refused(site: Site, address: str) -> None:
    caller = HttpCaller(resolve=lambda host, port: ["93.184.216.34", address])
    assert caller.call(request(site)) is None
    assert site.asked == []
    caller.close()


def test_a_redirect_into_our_own_network_is_refused(site: Site) -> None:
    addresses = {"crm.example": ["127.0.0.1"], "inside.example": ["127.0.0.1"]}
    caller = HttpCaller(allowed_hosts=["crm.example"], resolve=lambda host, port: addresses[host])
    site.answers = [(302, {"Location": f"http://inside.example:{site.port}/"}, b""), (200, {}, b'"secret"')]
    assert caller.call(request(site)) is None
    assert len(site.asked) == 1
    caller.close()


def test_a_redirect_to_another_host_does_not_take_the_headers_along(site: Site) -> None:
    caller = HttpCaller(allowed_hosts=["crm.example", "other.example"], resolve=lambda host, port: ["127.0.0.1"])
    site.answers = [(307, {"Location": f"http://other.example:{site.port}/two"}, b""), (200, {}, b"1")]
    assert caller.call(request(site, method="POST", json={}, headers={"Authorization": "Bearer t"})) == 1
    assert [(method, path) for method, path, *_ in site.asked] == [("POST", "/"), ("POST", "/two")]
    assert "Authorization" not in site.asked[1][2]
    caller.close()


def test_what_is_transient_is_tried_again_and_then_given_up(site: Site, caller: HttpCaller) -> None:
    site.answers = [(503, {}, b""), (200, {}, b'"well"')]
    assert caller.call(request(site)) == "well"
    site.answers = [(503, {}, b"")] * 3
    assert caller.call(request(site)) is None
    assert len(site.asked) == 5


@pytest.mark.parametrize(
    ("status", "body"), [(404, b'{"a": 1}'), (200, b"<html>"), (200, b" " * (1024 * 1024 + 1)), (200, b"[" * 100_000)]
)
def test_an_answer_that_cannot_be_used_is_none(site: Site, caller: HttpCaller, status: int, body: bytes) -> None:
    site.answers = [(status, {}, body)]
    assert caller.call(request(site)) is None
    assert len(site.asked) == 1


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "http://", "http://a:b@crm.example/", "http://[::1", "gopher://x/"]
)
def test_a_url_that_is_none_is_refused(caller: HttpCaller, url: str) -> None:
    assert caller.call(CallRequest(url=url, method="GET")) is None


def test_the_time_out_is_for_the_whole_call(site: Site, caller: HttpCaller) -> None:
    site.answers = [(503, {}, b"")] * 3
    assert caller.call(request(site, timeout_seconds=1)) is None
    assert len(site.asked) == 2


def test_a_header_that_would_begin_another_is_refused(site: Site, caller: HttpCaller) -> None:
    assert caller.call(request(site, headers={"X-Name": "a\r\nX-Admin: yes"})) is None
    assert site.asked == []
