"""The API besides intake: enrolling, profiles, consents, reads, health; keys good for their scopes only."""

from __future__ import annotations

import warnings
from datetime import timedelta
from typing import Any

import httpx
import pytest

from engine.delivery.circuit import Circuit
from engine.store import KeyRecord
from engine.web.access import SCOPES, Scope, key_hash
from tests.waiting import PATIENCE
from tests.web.conftest import ADMIN_KEY, NOW, Shop, basic, doubtful, serving

with warnings.catch_warnings():
    # It announces its own future.
    warnings.simplefilter("ignore")
    from openapi_core import OpenAPI

BEARER = {"Authorization": f"Bearer {ADMIN_KEY}"}
CALLS: list[tuple[str, str, dict[str, Any], set[Scope]]] = [
    ("POST", "/v1/track", {"json": {"userId": "ana", "event": "Seen"}}, {"ingest"}),
    ("POST", "/v1/journeys/welcome/enroll", {"json": {"user_id": "ana"}}, {"author"}),
    ("GET", "/v1/profiles/ana", {}, {"compliance"}),
    ("DELETE", "/v1/profiles/ana", {}, {"compliance"}),
    ("POST", "/v1/consents", {"json": {"user_id": "ana", "action": "withdraw", "source": "crm"}}, {"compliance"}),
    ("GET", "/v1/why?profile=ana", {}, {"ops", "compliance"}),
    ("GET", "/v1/journeys", {}, {"ops", "author"}),
    ("GET", "/v1/deliveries", {}, {"ops"}),
    ("GET", "/v1/enrollments", {}, {"ops"}),
]


@pytest.mark.parametrize("scope", ["ingest", "author", "compliance"])
def test_only_ops_resolve_what_is_in_doubt(shop: Shop, stranger: httpx.Client, scope: Scope) -> None:
    delivery_id = doubtful(shop)
    with shop.store.transaction() as unit:
        unit.access.save_key(KeyRecord(key_hash=key_hash("key"), name=scope, scopes=(scope,), created_at=NOW))
    path = f"/v1/deliveries/{delivery_id}/resolve"
    assert stranger.post(path, json={"as": "sent"}).status_code == 401
    assert stranger.post(path, json={"as": "sent"}, headers=basic("key")).status_code == 403


@pytest.mark.parametrize(("method", "path", "body", "allowed"), CALLS, ids=[row[1] for row in CALLS])
def test_a_key_that_is_no_text_is_unknown(
    stranger: httpx.Client, method: str, path: str, body: dict[str, Any], allowed: set[Scope]
) -> None:
    for offered in (b"Basic \xe9", b"Basic ?", b"Basic /w==", b"Bearer \xe9"):
        answer = stranger.request(method, path, headers=[(b"Authorization", offered)], **body)
        assert answer.status_code == 401


@pytest.mark.parametrize(("method", "path", "body", "allowed"), CALLS, ids=[row[1] for row in CALLS])
def test_each_call_takes_the_scopes_that_it_needs_and_no_others(
    shop: Shop, stranger: httpx.Client, method: str, path: str, body: dict[str, Any], allowed: set[Scope]
) -> None:
    with shop.store.transaction() as unit:
        shop.engine.intake.ensure(unit, "external", "ana", NOW)
        for scope in SCOPES:
            unit.access.save_key(
                KeyRecord(key_hash=key_hash(f"key-{scope}"), name=scope, scopes=(scope,), created_at=NOW)
            )
    assert stranger.request(method, path, **body).status_code == 401
    assert stranger.request(method, path, headers=basic("key-unknown"), **body).status_code == 401
    refused = {
        scope
        for scope in SCOPES
        if stranger.request(method, path, headers=basic(f"key-{scope}"), **body).status_code == 403
    }
    assert refused == set(SCOPES) - allowed
    for scope in allowed:
        assert stranger.request(method, path, headers=basic(f"key-{scope}"), **body).status_code == 200


# ── deliveries in doubt ──────────────────────────────────────────────────────────────────────────────────────────────
def test_a_delivery_in_doubt_is_resolved_by_a_key_of_ops_and_its_name_is_kept(shop: Shop, admin: httpx.Client) -> None:
    delivery_id = doubtful(shop)
    path = f"/v1/deliveries/{delivery_id}/resolve"
    for changed in (True, False):
        answer = admin.post(path, json={"as": "failed", "note": "never came"})
        assert answer.status_code == 200
        row = answer.json()
        assert (row["delivery_id"], row["status"], row["changed"]) == (delivery_id, "failed", changed)
    assert admin.post(path, json={"as": "sent"}).status_code == 409
    assert admin.post(path, json={"as": "lost"}).status_code == 400
    assert admin.post("/v1/deliveries/dnone/resolve", json={"as": "sent"}).status_code == 404
    assert [row["status"] for row in admin.get("/v1/deliveries?status=failed&channel=email").json()] == ["failed"]
    assert admin.get("/v1/deliveries?channel=sms").json() == []
    assert admin.get("/v1/deliveries?status=lost").status_code == 400
    with shop.store.transaction() as unit:
        trail = [each for one in unit.enrollments.of() for each in unit.enrollments.trail(one.enrollment_id)]
    (detail,) = [each.detail for each in trail if each.what == "resolved"]
    assert (detail["actor"], detail["note"]) == (f"key:{ADMIN_KEY}", "never came")


# ── enrolling ────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_enrolling_obeys_the_entry_rules_and_tells_the_reason(shop: Shop, admin: httpx.Client) -> None:
    first = admin.post("/v1/journeys/welcome/enroll", json={"user_id": "ana", "with": {"plan": "pro"}}).json()
    assert first["enrolled"] is True
    with shop.store.transaction() as unit:
        enrollment = unit.enrollments.find(first["enrollment_id"])
        assert enrollment is not None
        assert (enrollment.journey, enrollment.trigger) == ("welcome", {"plan": "pro"})
        assert [stimulus.enrollment_id for stimulus in unit.queue.stimuli(NOW)] == [first["enrollment_id"]]
    shop.now += timedelta(minutes=1)
    again = admin.post("/v1/journeys/welcome/enroll", json={"user_id": "ana"}).json()
    assert again == {"enrolled": False, "reason": "active", "enrollment_id": None}
    assert shop.nudges


def test_a_triggers_own_condition_leaves_no_record_where_it_is_false(shop: Shop, admin: httpx.Client) -> None:
    with shop.store.transaction() as unit:
        ana = shop.engine.intake.ensure(unit, "external", "ana", NOW)
        shop.engine.intake.set_attributes(unit, ana, {"tier": "none"}, NOW)
    answer = admin.post("/v1/journeys/welcome/enroll", json={"user_id": "ana"}).json()
    assert answer == {"enrolled": False, "reason": "not_triggered", "enrollment_id": None}
    with shop.store.transaction() as unit:
        assert unit.enrollments.refusals() == []


@pytest.mark.parametrize(
    ("journey", "body", "status"),
    [
        ("nowhere", {"user_id": "ana"}, 404),
        ("cart", {"user_id": "ana"}, 409),
        ("welcome", {}, 400),
        ("welcome", {"user_id": ""}, 400),
        ("welcome", {"user_id": "ana", "with": []}, 400),
        ("welcome", {"user_id": "ana", "whit": {}}, 400),
    ],
)
def test_what_cannot_be_enrolled_is_told_and_nobody_is_made(
    shop: Shop, admin: httpx.Client, journey: str, body: dict[str, Any], status: int
) -> None:
    answer = admin.post(f"/v1/journeys/{journey}/enroll", json=body)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    with shop.store.transaction() as unit:
        assert unit.profiles.all_ids() == []


# ── profiles ─────────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.fixture
def ana(shop: Shop) -> str:
    with shop.store.transaction() as unit:
        ana = shop.engine.intake.ensure(unit, "external", "ana", NOW)
        shop.engine.intake.set_attributes(unit, ana, {"email": "ana@example.com", "plan": "pro"}, NOW)
        shop.engine.intake.track(
            unit, user_id="ana", name="Seen", properties={"x": 1}, timestamp=NOW, message_id="m1", now=NOW
        )
    return ana.profile_id


def test_a_profile_is_found_by_any_of_its_names(ana: str, admin: httpx.Client) -> None:
    for name in ("ana", "ana@example.com", ana):
        answer = admin.get(f"/v1/profiles/{name}").json()
        assert answer["profile"]["attributes"] == {"plan": "pro"}
        assert [event["properties"] for event in answer["events"]] == [{"x": 1}]
    assert admin.get("/v1/profiles/nobody").status_code == 404


def test_an_id_made_to_look_like_anothers_does_not_stand_before_it(shop: Shop, ana: str, admin: httpx.Client) -> None:
    with shop.store.transaction() as unit:
        shop.engine.intake.ensure(unit, "external", ana, NOW)
    assert admin.get(f"/v1/profiles/{ana}").json()["profile"]["external_id"] == "ana"


def test_an_erased_person_is_gone_and_may_not_be_brought_back(
    shop: Shop, ana: str, admin: httpx.Client, client: httpx.Client
) -> None:
    assert admin.delete("/v1/profiles/ana").json() == {"profile_id": ana, "erased": True}
    assert admin.delete("/v1/profiles/ana").json() == {"profile_id": ana, "erased": True}
    left = admin.get("/v1/profiles/ana").json()
    assert (left["profile"]["email"], left["profile"]["attributes"]) == (None, {})
    assert [event["properties"] for event in left["events"]] == [{}]
    body = {"userId": "ana", "traits": {"email": "ana@example.com"}}
    assert client.post("/v1/identify", json=body).status_code == 200
    assert admin.get(f"/v1/profiles/{ana}").json()["profile"]["email"] is None
    assert admin.post("/v1/journeys/welcome/enroll", json={"user_id": "ana"}).status_code == 409
    consent = {"user_id": "ana", "action": "withdraw", "source": "crm"}
    assert admin.post("/v1/consents", json=consent).status_code == 409


# ── consents ─────────────────────────────────────────────────────────────────────────────────────────────────────────
GRANT = {
    "user_id": "ana", "action": "grant", "channel": "email", "topic": "news", "source": "form:checkout",
    "wording": "v1", "occurred_at": "2026-03-01T09:00:00Z",
}  # fmt: skip


def test_a_grant_with_its_evidence_is_recorded(shop: Shop, ana: str, admin: httpx.Client) -> None:
    answer = admin.post("/v1/consents", json=GRANT)
    assert answer.status_code == 200
    with shop.store.transaction() as unit:
        (record,) = unit.consents.of(ana)
    assert (record.consent_id, record.action, record.actor) == (answer.json()["consent_id"], "grant", "api")


@pytest.mark.parametrize("missing", ["wording", "channel", "topic", "source"])
def test_a_grant_that_lacks_evidence_is_refused(shop: Shop, ana: str, admin: httpx.Client, missing: str) -> None:
    answer = admin.post("/v1/consents", json={name: value for name, value in GRANT.items() if name != missing})
    assert answer.status_code in (400, 409)
    with shop.store.transaction() as unit:
        assert unit.consents.of(ana) == []


def test_a_program_cannot_lift_a_withdrawal(shop: Shop, ana: str, admin: httpx.Client) -> None:
    withdrawal = {"user_id": "ana", "action": "withdraw", "channel": "email", "source": "crm"}
    assert admin.post("/v1/consents", json=withdrawal).status_code == 200
    shop.now += timedelta(days=1)
    answer = admin.post("/v1/consents", json={**GRANT, "occurred_at": shop.now.isoformat()})
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")


@pytest.mark.parametrize(
    "change",
    [{"action": "confirm"}, {"occurred_at": "2026-03-01T09:00:00"}, {"channel": "pigeon"}, {"evidence": "yes"}],
)
def test_an_unusable_consent_is_refused_with_its_place_and_without_its_values(
    shop: Shop, ana: str, admin: httpx.Client, change: dict[str, Any]
) -> None:
    answer = admin.post("/v1/consents", json={**GRANT, "user_id": "ana-secret", **change})
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert "ana-secret" not in answer.text
    with shop.store.transaction() as unit:
        assert unit.consents.of(ana) == []


@pytest.mark.parametrize("action", ["grant", "withdraw", "object"])
@pytest.mark.parametrize("mistyped", [{"channel": "emial"}, {"topic": "nwes"}])
def test_a_consent_about_nothing_that_the_project_has_is_refused_and_says_what_it_has(
    shop: Shop, ana: str, admin: httpx.Client, action: str, mistyped: dict[str, str]
) -> None:
    answer = admin.post("/v1/consents", json={**GRANT, "action": action, **mistyped})
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_input")
    (field,) = mistyped
    assert answer.json()["detail"].startswith(f"`{field}` is none of the project's: ")
    with shop.store.transaction() as unit:
        assert unit.consents.of(ana) == []


@pytest.mark.parametrize(
    "change",
    [
        {"occurred_at": "0001-01-01T00:00:00+14:00"},
        {"occurred_at": "1970-01-21T12:20:38Z"},
        {"expires_at": "9999-12-31T23:59:59-14:00"},
        {"expires_at": "0001-01-01T00:00:00+14:00"},
    ],
)
@pytest.mark.parametrize("action", ["grant", "withdraw", "object"])
def test_a_time_that_no_database_gives_back_is_refused(stored_shop: Shop, action: str, change: dict[str, str]) -> None:
    """Were it stored, whatever reads the person's consents would fail from then on."""
    with stored_shop.store.transaction() as unit:
        ana = stored_shop.engine.intake.ensure(unit, "external", "ana", NOW)
        stored_shop.engine.intake.set_attributes(unit, ana, {"email": "ana@example.com"}, NOW)
    with (
        serving(stored_shop) as url,
        httpx.Client(base_url=url, headers={"Authorization": f"Bearer {ADMIN_KEY}"}, timeout=PATIENCE) as on,
    ):
        answer = on.post("/v1/consents", json={**GRANT, "action": action, **change})
        assert answer.status_code == (400 if action == "grant" or "occurred_at" in change else 200)
        assert on.get("/v1/profiles/ana").status_code == 200


def test_a_no_keeps_its_evidence_and_the_channel_that_it_names(shop: Shop, ana: str, admin: httpx.Client) -> None:
    said = {"user_id": "ana", "channel": "email", "source": "crm", "evidence": {"ticket": 7}}
    for action in ("withdraw", "object"):
        assert admin.post("/v1/consents", json={**said, "action": action}).status_code == 200
    with shop.store.transaction() as unit:
        kept = [(record.action, record.channel, record.evidence) for record in unit.consents.of(ana)]
    assert kept == [("withdraw", "email", {"ticket": 7}), ("object", "email", {"ticket": 7})]


# ── bodies and addresses ─────────────────────────────────────────────────────────────────────────────────────────────
_DEEP = '{"x":' * 101 + "1" + "}" * 101
_DEEPER = "[" * 5_000 + "]" * 5_000


@pytest.mark.parametrize(
    "value", ["NaN", "Infinity", "1e999", r'"\u0000"', r'"\ud800"', _DEEP, "[" * 5_000 + "]" * 5_000]
)
def test_what_no_store_can_hold_is_refused_wherever_json_is_read(
    shop: Shop, ana: str, admin: httpx.Client, value: str
) -> None:
    for path, body in (
        ("/v1/consents", '{"user_id": "ana", "action": "withdraw", "source": "crm", "evidence": {"x": %s}}'),
        ("/v1/journeys/welcome/enroll", '{"user_id": "ana", "with": {"x": %s}}'),
    ):
        answer = admin.post(path, content=body % value, headers={"Content-Type": "application/json"})
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_input")
    with shop.store.transaction() as unit:
        assert (unit.consents.of(ana), unit.enrollments.of()) == ([], [])


@pytest.mark.parametrize("kind", ["application/JSON", "Application/Json; charset=utf-8", "application/vnd.shop+JSON"])
def test_json_is_json_in_whatever_letters_it_is_called_so(shop: Shop, ana: str, admin: httpx.Client, kind: str) -> None:
    body = r'{"user_id": "ana", "action": "withdraw", "source": "c\u0000rm"}'
    answer = admin.post("/v1/consents", content=body, headers={"Content-Type": kind})
    assert (answer.status_code, answer.json()["detail"]) == (400, "the body holds U+0000")
    with shop.store.transaction() as unit:
        assert unit.consents.of(ana) == []


def test_a_request_without_a_body_may_call_itself_json(shop: Shop, ana: str, admin: httpx.Client) -> None:
    called = {"Content-Type": "application/json"}
    assert admin.get("/v1/profiles/ana", headers=called).status_code == 200
    assert admin.get("/v1/why?profile=ana", headers=called).status_code == 200
    assert admin.post("/v1/consents", headers=called).status_code == 400
    assert admin.delete("/v1/profiles/ana", headers=called).status_code == 200


def test_a_body_is_read_no_further_than_its_limit_whoever_sends_it(stranger: httpx.Client) -> None:
    answer = stranger.post("/v1/consents", content=b" " * 32_769, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


def test_an_id_with_slashes_is_its_own_persons(shop: Shop, admin: httpx.Client) -> None:
    with shop.store.transaction() as unit:
        for user_id in ("gid://shop/Customer", "gid://shop/Customer/7"):
            shop.engine.intake.ensure(unit, "external", user_id, NOW)
    found = admin.get("/v1/profiles/gid%3A%2F%2Fshop%2FCustomer%2F7").json()
    assert found["profile"]["external_id"] == "gid://shop/Customer/7"
    # One that ends in a slash is not the one that does not.
    assert admin.delete("/v1/profiles/gid%3A%2F%2Fshop%2FCustomer%2F", follow_redirects=True).status_code == 404
    assert admin.get("/v1/profiles/gid%3A%2F%2Fshop%2FCustomer").json()["profile"]["erased_at"] is None


@pytest.mark.parametrize("path", ["/v1/profiles/%00", "/v1/why?profile=%00", "/v1/enrollments?journey=a%00b"])
def test_an_address_with_a_nul_is_refused_on_every_store(stored_shop: Shop, path: str) -> None:
    with (
        serving(stored_shop) as url,
        httpx.Client(base_url=url, headers={"Authorization": f"Bearer {ADMIN_KEY}"}, timeout=PATIENCE) as on,
    ):
        answer = on.get(path)
    assert (answer.status_code, answer.json()["detail"]) == (400, "the address holds U+0000")


# ── health and description ───────────────────────────────────────────────────────────────────────────────────────────
def test_the_metrics_tell_of_a_channel_that_is_out_and_of_messages_in_doubt(shop: Shop, stranger: httpx.Client) -> None:
    doubtful(shop)
    with shop.store.transaction() as unit:
        unit.circuits.save(Circuit(channel="email", state="open", reason="account", opened_at=NOW, probe_at=NOW))
    metrics = stranger.get("/metrics").text
    assert 'sojourn_channel_out{channel="email",reason="account"} 1.0' in metrics
    assert 'sojourn_channel_out{channel="email",reason="outage"} 0.0' in metrics
    assert 'sojourn_channel_out{channel="sms",reason="outage"} 0.0' in metrics
    assert "sojourn_deliveries_in_doubt 1.0" in metrics
    with shop.store.transaction() as unit:
        unit.circuits.remove("email")
    assert 'sojourn_channel_out{channel="email",reason="account"} 0.0' in stranger.get("/metrics").text


def test_it_says_that_it_lives_is_ready_and_what_it_counts(shop: Shop, ana: str, stranger: httpx.Client) -> None:
    assert stranger.get("/healthz").json() == {"status": "alive"}
    assert stranger.get("/readyz").json() == {"status": "ready"}
    metrics = stranger.get("/metrics").text
    assert "sojourn_occurrences_waiting 2.0" in metrics
    assert "sojourn_occurrences_set_aside 0.0" in metrics
    assert 'sojourn_enrollments{journey="cart",state="active"} 0.0' in metrics
    assert 'sojourn_http_requests_total{status="2xx"} 2.0' in metrics
    assert "ana" not in metrics


def test_the_description_covers_intake_too(stranger: httpx.Client) -> None:
    paths = stranger.get("/openapi.json").json()["paths"]
    assert {"/v1/track", "/v1/batch", "/v1/why", "/v1/journeys/{name}/enroll", "/v1/receipts/{channel}"} <= set(paths)


def test_the_description_is_valid_and_tells_of_keys_and_problems(stranger: httpx.Client) -> None:
    described = stranger.get("/openapi.json").json()
    OpenAPI.from_dict(described)
    resolve = described["paths"]["/v1/deliveries/{delivery_id}/resolve"]["post"]
    assert resolve["security"] == [{"basic": []}, {"bearer": []}]
    assert set(resolve["responses"]) == {"200", "default"}
    assert [parameter["name"] for parameter in resolve["parameters"]] == ["delivery_id"]
    assert described["paths"].keys() >= {"/v1/import", "/v1/enrollments", "/v1/deliveries"}


def test_a_body_that_does_not_call_itself_json_is_told_how_to(shop: Shop, admin: httpx.Client) -> None:
    body = b'{"user_id": "ana", "action": "withdraw", "source": "support"}'
    for headers in ({"Content-Type": "application/x-www-form-urlencoded"}, {}):
        answer = admin.post("/v1/consents", content=body, headers=headers)
        assert answer.status_code == 415
        assert "`Content-Type: application/json`" in answer.json()["detail"]
    assert admin.post("/v1/consents", json=[]).status_code == 400


def test_what_is_not_there_answers_a_program_with_a_problem(stranger: httpx.Client) -> None:
    answer = stranger.get("/v1/nothing")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


@pytest.mark.parametrize(
    ("method", "path", "status", "code", "words"),
    [
        ("GET", "/v1/track", 405, "method_not_allowed", "OPTIONS, POST"),
        ("POST", "/v1/why", 405, "method_not_allowed", "GET"),
        ("POST", "/v1/tracks", 404, "not_found", "/openapi.json"),
        ("POST", "/v1/track/", 404, "not_found", "/openapi.json"),
    ],
)
def test_an_address_or_a_method_that_there_is_not_is_told_with_what_there_is(
    admin: httpx.Client, method: str, path: str, status: int, code: str, words: str
) -> None:
    answer = admin.request(method, path)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert words in answer.json()["message"]
    assert status == 404 or answer.headers["allow"] == words


def test_a_challenge_names_its_realm(stranger: httpx.Client) -> None:
    """RFC 7617 asks for it."""
    answer = stranger.post("/v1/track", json={"userId": "ana", "event": "Seen"})
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, 'Basic realm="Sojourn"')
