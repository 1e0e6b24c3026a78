"""Segment's tracking API: an unmodified client's calls are committed before they are answered, each once."""

from __future__ import annotations

import gzip
import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from msgspec.structs import replace
from segment.analytics.client import Client
from segment.analytics.request import APIError

from engine.profiles.model import Event, Profile
from engine.store import Store
from engine.web import tracking
from engine.web.access import key_hash
from tests.waiting import PATIENCE
from tests.web.conftest import NOW, WRITE_KEY, Shop, basic, serving


def find(store: Store, user_id: str, kind: str = "external") -> Profile | None:
    with store.transaction() as unit:
        return unit.profiles.find_by(kind, user_id)


def events(store: Store, user_id: str, kind: str = "external") -> list[Event]:
    with store.transaction() as unit:
        profile = unit.profiles.find_by(kind, user_id)
        return list(unit.events.of(profile.profile_id)) if profile else []


@pytest.fixture
def segment(stored_shop: Shop) -> Iterator[Client]:
    """The official client, of which only the host is changed."""
    stored_shop.now = datetime.now(UTC)
    with serving(stored_shop) as served:
        yield Client(WRITE_KEY, host=served, sync_mode=True, gzip=True, max_retries=0)


def test_the_official_client_works_unchanged(segment: Client, stored_shop: Shop) -> None:
    store = stored_shop.store
    now = stored_shop.now
    segment.page(anonymous_id="visitor", name="Pricing", properties={"path": "/pricing", "url": "http://shop/pricing"})
    segment.track(anonymous_id="visitor", event="Cart Updated", properties={"cart_id": "c1", "total": 80})
    segment.identify("ana", {"email": "ana@example.com", "plan": "pro"}, anonymous_id="visitor")
    segment.track("ana", "Order Completed", {"order_id": "o1"}, timestamp=now - timedelta(hours=1), message_id="m1")
    segment.track("ana", "Order Completed", {"order_id": "o1"}, timestamp=now - timedelta(hours=1), message_id="m1")
    segment.screen("ana", name="Home")
    segment.group("ana", "g1", {"name": "Acme"})
    segment.alias("old-visitor", "ana")
    ana = find(store, "ana")
    assert ana is not None
    assert (ana.email, ana.attributes) == (
        "ana@example.com", {"plan": "pro", "group_id": "g1", "group": {"name": "Acme"}},
    )  # fmt: skip
    kept = {event.name: event for event in events(store, "ana") if event.source == "intake"}
    assert list(kept) == ["Order Completed", "Page Viewed", "Cart Updated", "Screen Viewed"]
    assert kept["Page Viewed"].properties == {"name": "Pricing", "path": "/pricing", "url": "http://shop/pricing"}
    assert kept["Cart Updated"].properties == {"cart_id": "c1", "total": 80}
    # The client writes milliseconds.
    written = (now - timedelta(hours=1)).replace(microsecond=now.microsecond // 1000 * 1000)
    assert kept["Order Completed"].timestamp == written
    assert len([event for event in events(store, "ana") if event.name == "Order Completed"]) == 1
    assert find(store, "old-visitor", "anonymous") == ana
    assert stored_shop.nudges


def test_the_official_client_batches_in_the_background(stored_shop: Shop) -> None:
    stored_shop.now = datetime.now(UTC)
    with serving(stored_shop) as served:
        failed: list[Exception] = []
        client = Client(WRITE_KEY, host=served, on_error=lambda error, _: failed.append(error), max_retries=0)
        for number in range(250):
            client.track("ana", "Product Viewed", {"number": number})
        client.shutdown()
        assert failed == []
        numbers = [event.properties["number"] for event in events(stored_shop.store, "ana")]
        assert sorted(numbers) == list(range(250))


def test_the_official_client_reads_our_refusals(segment: Client, stored_shop: Shop) -> None:
    with pytest.raises(APIError) as refused:
        segment.identify("ana", {"timezone": "Europe/Atlantis"})
    assert (refused.value.status, refused.value.code) == (400, "bad_input")
    assert refused.value.message.startswith("batch[0]: `timezone` is unknown")


def test_an_alias_of_somebody_elses_device_is_refused_with_its_place(segment: Client, stored_shop: Shop) -> None:
    segment.identify("ana", {}, anonymous_id="kiosk")
    with pytest.raises(APIError) as refused:
        segment.alias("kiosk", "ben")
    assert refused.value.status == 409
    assert refused.value.message.startswith("batch[0]: `previousId` is a device on which another known person")
    assert find(stored_shop.store, "ben") is None


def test_concurrent_requests_share_transactions_and_none_is_lost(stored_shop: Shop) -> None:
    with (
        serving(stored_shop) as served,
        httpx.Client(base_url=served, headers=basic(WRITE_KEY), timeout=PATIENCE) as client,
    ):

        def send(number: int) -> int:
            body = {"userId": f"u{number % 7}", "event": "Seen", "messageId": f"m{number}"}
            return client.post("/v1/track", json=body).status_code

        with ThreadPoolExecutor(16) as pool:
            assert set(pool.map(send, range(100))) == {200}
    assert sum(len(events(stored_shop.store, f"u{number}")) for number in range(7)) == 100


def test_one_bad_request_among_many_refuses_only_itself(stored_shop: Shop) -> None:
    with (
        serving(stored_shop) as served,
        httpx.Client(base_url=served, headers=basic(WRITE_KEY), timeout=PATIENCE) as client,
    ):

        def send(number: int) -> int:
            traits = {"email": "no address" if number % 5 == 0 else f"u{number}@example.com"}
            return client.post("/v1/identify", json={"userId": f"u{number}", "traits": traits}).status_code

        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(send, range(40)))
    assert answers == [400 if number % 5 == 0 else 200 for number in range(40)]
    known = [find(stored_shop.store, f"u{number}") is not None for number in range(40)]
    assert known == [number % 5 != 0 for number in range(40)]


@pytest.mark.parametrize("path", ["track", "t"])
def test_the_write_key_may_stand_in_the_body_as_browsers_send_it(shop: Shop, stranger: httpx.Client, path: str) -> None:
    body = {"anonymousId": "visitor", "event": "Seen", "writeKey": WRITE_KEY}
    answer = stranger.post(f"/v1/{path}", content=json.dumps(body), headers={"Content-Type": "text/plain"})
    assert (answer.status_code, answer.json()) == (200, {"success": True})
    assert answer.headers["access-control-allow-origin"] == "*"
    assert len(events(shop.store, "visitor", "anonymous")) == 1


def test_a_browser_may_ask_first_whether_it_may_post(stranger: httpx.Client) -> None:
    answer = stranger.options("/v1/track", headers={"Origin": "https://shop.example"})
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-methods"] == "POST"


@pytest.mark.parametrize(
    "headers",
    [{}, {"Authorization": "Basic !!!"}, {"Authorization": "Digest x"}, basic("sj_unknown"), basic(WRITE_KEY[:-1])],
)
def test_without_a_known_key_nothing_is_kept(shop: Shop, stranger: httpx.Client, headers: dict[str, str]) -> None:
    answer = stranger.post("/v1/track", json={"userId": "ana", "event": "Seen"}, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "unauthorized"
    assert find(shop.store, "ana") is None


def test_no_memory_is_spent_on_a_key_of_any_length(stranger: httpx.Client) -> None:
    kept = tracking._remembered_hash.cache_info().currsize
    answer = stranger.post("/v1/track", json={}, headers={"Authorization": "Bearer " + "k" * 1_000_000})
    assert (answer.status_code, tracking._remembered_hash.cache_info().currsize) == (401, kept)


def test_a_key_in_the_address_is_no_key(stranger: httpx.Client) -> None:
    answer = stranger.post(f"/v1/track?writeKey={WRITE_KEY}", json={"userId": "ana", "event": "Seen"})
    assert answer.status_code == 401


def test_a_revoked_key_is_refused(shop: Shop, client: httpx.Client) -> None:
    body = {"userId": "ana", "event": "Seen"}
    assert client.post("/v1/track", json=body).status_code == 200
    with shop.store.transaction() as unit:
        known = unit.access.find_key(key_hash(WRITE_KEY))
        assert known is not None
        unit.access.save_key(replace(known, revoked_at=NOW))
    shop.now += timedelta(seconds=2)
    assert client.post("/v1/track", json=body).status_code == 401


BAD_BODIES: list[tuple[str, str, bytes, str]] = [
    ("track", "no JSON", b"{", "the body is no JSON"),
    ("track", "no object", b"[]", "must be a JSON object"),
    ("track", "not UTF-8", b'{"userId": "\xff"}', "not UTF-8"),
    (
        "track",
        "NaN",
        b'{"userId": "ana", "event": "E", "properties": {"x": NaN}}',
        "the body is no JSON: invalid character (byte 52)",
    ),
    ("track", "U+0000", b'{"userId": "a\\u0000", "event": "E"}', "U+0000"),
    ("track", "half a surrogate", b'{"userId": "a\\ud800", "event": "E"}', "surrogate"),
    ("track", "too deep", b'{"a":' * 5000 + b"1" + b"}" * 5000, "nested too deeply"),
    ("track", "a number too long", b'{"userId": ' + b"9" * 5000 + b"}", "the body is no JSON"),
    ("track", "nobody", b'{"event": "E"}', "`userId` or `anonymousId` is needed"),
    ("track", "blank id", b'{"userId": "", "event": "E"}', "`userId` or `anonymousId` is needed"),
    ("track", "boolean id", b'{"userId": true, "event": "E"}', "`userId` must be text"),
    ("track", "id too long", b'{"userId": "' + b"x" * 256 + b'", "event": "E"}', "`userId` must be text of at most"),
    ("track", "no event", b'{"userId": "ana"}', "`event` must be text"),
    ("track", "list of properties", b'{"userId": "ana", "event": "E", "properties": []}', "`properties` must be"),
    ("track", "timestamp in words", b'{"userId": "ana", "event": "E", "timestamp": "noon"}', "`timestamp` must be"),
    ("track", "timestamp as number", b'{"userId": "ana", "event": "E", "timestamp": 1772445600}', "`timestamp` must"),
    ("track", "no offset", b'{"userId": "ana", "event": "E", "timestamp": "2026-03-02T10:00:00"}', "has no offset"),
    ("track", "1970", b'{"userId": "ana", "event": "E", "timestamp": "1970-01-21T00:00:00Z"}', "before the year 1990"),
    ("identify", "bad email", b'{"userId": "ana", "traits": {"email": "x"}}', "`email`"),
    ("identify", "bad zone", b'{"userId": "ana", "traits": {"timezone": "Mars"}}', "`timezone` is unknown"),
    ("identify", "traits are text", b'{"userId": "ana", "traits": "x"}', "`traits` must be an object"),
    ("alias", "no previous id", b'{"userId": "ana"}', "`previousId` and `userId` are needed"),
    ("group", "no group id", b'{"userId": "ana"}', "`groupId` is needed"),
    ("batch", "no list", b'{"batch": {}}', "`batch` must be a list"),
    ("batch", "no object inside", b'{"batch": [7]}', "batch[0] must be a JSON object"),
    ("batch", "no type", b'{"batch": [{"userId": "ana"}]}', "batch[0].type must be one of track, identify"),
]


@pytest.mark.parametrize(("path", "name", "body", "words"), BAD_BODIES, ids=[row[1] for row in BAD_BODIES])
def test_a_malformed_body_is_refused_with_its_place_and_changes_nothing(
    shop: Shop, client: httpx.Client, path: str, name: str, body: bytes, words: str
) -> None:
    answer = client.post(f"/v1/{path}", content=body)
    problem = answer.json()
    assert (answer.status_code, problem["status"], problem["code"]) == (400, 400, "bad_input")
    assert words in problem["detail"]
    with shop.store.transaction() as unit:
        assert (unit.profiles.all_ids(), unit.queue.count_occurrences()) == ([], 0)


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ({"type": "track", "userId": "ana"}, "batch[1]: `event` must be text"),
        ({"type": "identify", "userId": "ana", "traits": {"email": "x"}}, "batch[1]: `email`"),
        ({"type": "track", "userId": "ana", "event": "E", "properties": {"x": "y" * 33_000}}, "batch[1] has more than"),
    ],
)
def test_one_bad_message_refuses_its_batch_whole(
    shop: Shop, client: httpx.Client, bad: dict[str, Any], words: str
) -> None:
    good = {"type": "track", "userId": "ben", "event": "Seen"}
    answer = client.post("/v1/batch", json={"batch": [good, bad, good]})
    assert answer.status_code == 400
    assert answer.json()["detail"].startswith(words)
    assert find(shop.store, "ben") is None


@pytest.mark.parametrize(
    ("path", "size", "status"),
    [("track", 31 * 1024, 200), ("track", 33 * 1024, 413), ("batch", 501 * 1024, 413)],
)
def test_a_body_over_the_limit_is_refused_however_it_comes(
    client: httpx.Client, path: str, size: int, status: int
) -> None:
    body = json.dumps({"userId": "ana", "event": "E", "properties": {"x": "y" * size}}).encode()
    assert client.post(f"/v1/{path}", content=body).status_code == status
    packed = client.post(f"/v1/{path}", content=gzip.compress(body), headers={"Content-Encoding": "gzip"})
    assert packed.status_code == status


@pytest.mark.parametrize(
    ("content", "encoding", "status"),
    [
        (b"no gzip", "gzip", 400),
        (gzip.compress(b'{"userId": "ana", "event": "E"}', mtime=0)[:-4], "gzip", 400),
        (gzip.compress(b"{}", mtime=0) + b"more", "gzip", 400),
        (gzip.compress(b" " * 50_000_000, mtime=0), "gzip", 413),
        (b"{}", "br", 415),
    ],
)
def test_a_broken_or_swelling_encoding_is_refused(
    client: httpx.Client, content: bytes, encoding: str, status: int
) -> None:
    answer = client.post("/v1/track", content=content, headers={"Content-Encoding": encoding})
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("sent_at", "timestamp", "kept"),
    [
        # The sender's clock is an hour behind: it happened ten minutes before it was sent.
        (NOW - timedelta(hours=1), NOW - timedelta(minutes=70), NOW - timedelta(minutes=10)),
        # An hour ahead: without `sentAt` this would have been clamped.
        (NOW + timedelta(hours=1), NOW + timedelta(minutes=50), NOW - timedelta(minutes=10)),
        # A second on its way is no skew: what the sender wrote stands.
        (NOW - timedelta(seconds=1), NOW - timedelta(minutes=10), NOW - timedelta(minutes=10)),
        (None, NOW + timedelta(hours=1), NOW),
    ],
)
def test_a_senders_skewed_clock_is_corrected_by_when_it_says_it_sent(
    shop: Shop, client: httpx.Client, sent_at: datetime | None, timestamp: datetime, kept: datetime
) -> None:
    message = {"type": "track", "userId": "ana", "event": "Seen", "timestamp": timestamp.isoformat()}
    body = {"batch": [message]} | ({"sentAt": sent_at.isoformat()} if sent_at else {})
    assert client.post("/v1/batch", json=body).status_code == 200
    assert [event.timestamp for event in events(shop.store, "ana")] == [kept]


def test_a_page_call_of_the_browser_library_takes_its_place_from_the_context(shop: Shop, client: httpx.Client) -> None:
    body = {
        "anonymousId": "visitor", "name": "Pricing", "properties": {"plan": "pro"},
        "context": {"page": {"path": "/pricing", "url": "https://shop.example/pricing", "title": "Prices"}},
    }  # fmt: skip
    client.post("/v1/page", json=body)
    assert [(event.name, event.properties) for event in events(shop.store, "visitor", "anonymous")] == [
        (
            "Page Viewed",
            {
                "name": "Pricing", "path": "/pricing", "url": "https://shop.example/pricing", "title": "Prices",
                "plan": "pro",
            },
        )
    ]  # fmt: skip


def test_two_messages_without_an_id_are_two_events(shop: Shop, client: httpx.Client) -> None:
    message = {"type": "track", "userId": "ana", "event": "Seen"}
    client.post("/v1/batch", json={"batch": [message, message]})
    assert len(events(shop.store, "ana")) == 2


def test_a_number_is_taken_as_an_id_of_that_spelling(shop: Shop, client: httpx.Client) -> None:
    client.post("/v1/track", json={"userId": 42, "event": "Seen"})
    assert find(shop.store, "42") is not None


def test_an_empty_batch_is_fine(client: httpx.Client) -> None:
    assert client.post("/v1/batch", json={"batch": []}).status_code == 200


def test_a_client_that_hangs_up_in_the_middle_is_no_defect_of_ours(
    stored_shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    with serving(stored_shop) as served:
        host, _, port = served.removeprefix("http://").partition(":")
        for _ in range(3):
            with socket.create_connection((host, int(port))) as connection:
                head = f"POST /v1/track HTTP/1.1\r\nHost: x\r\nAuthorization: {basic(WRITE_KEY)['Authorization']}\r\n"
                connection.sendall(f"{head}Content-Length: 500\r\n\r\n{{".encode())
        # A whole one gets its answer after them.
        body = {"userId": "ana", "event": "Seen", "messageId": "m1"}
        answer = httpx.post(f"{served}/v1/track", json=body, headers=basic(WRITE_KEY), timeout=PATIENCE)
    assert answer.status_code == 200
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
    assert [event.name for event in events(stored_shop.store, "ana")] == ["Seen"]
