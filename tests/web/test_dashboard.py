"""The dashboard: open on one's own machine, behind a key elsewhere; whatever people wrote is shown, never run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

import httpx
import pytest
from msgspec.structs import replace

from engine.delivery.circuit import Circuit
from engine.plan.effects import Perform
from engine.storage.memory import MemoryStore
from engine.store import Store
from tests.waiting import PATIENCE
from tests.web.conftest import ADMIN_KEY, NOW, WRITE_KEY, Shop, doubtful, serving

SCRIPT = "<script>alert('x')</script>"


@pytest.fixture
def busy(shop: Shop) -> Shop:
    """A shop in which a person with a hostile name got a reminder, and one without consent did not."""
    engine = shop.engine
    with shop.store.transaction() as unit:
        for name in ("ana", "ben"):
            profile = engine.intake.ensure(unit, "external", name, NOW)
            traits = {"email": f"{name}@example.com", "name": SCRIPT}
            profile = engine.intake.set_attributes(unit, profile, traits, NOW)
            if name == "ana":
                engine.ledger.grant(
                    unit, profile=profile, channel="email", topic="cart", occurred_at=NOW - timedelta(days=1),
                    now=NOW, actor="person", source="form:checkout", wording="v1",
                )  # fmt: skip
            engine.intake.track(
                unit, user_id=name, name="Cart Updated", properties={"cart_id": SCRIPT}, timestamp=NOW,
                message_id=name, now=NOW,
            )  # fmt: skip
    engine.router.route_all(NOW)
    with shop.store.transaction() as unit:
        entered = unit.enrollments.of(journey="cart")
    for enrollment in entered:
        step = Perform(step_id="reminder", visit=1, attempt=1, reached_at=NOW)
        engine.performer.perform(enrollment.enrollment_id, step, NOW)
    return shop


def test_the_overview_shows_journeys_deliveries_and_decisions(busy: Shop, stranger: httpx.Client) -> None:
    page = stranger.get("/").text
    assert "Abandoned cart" in page
    assert "no valid consent for this topic and channel" in page
    assert '<span class="tag good">sent</span>' in page


def test_the_overview_says_first_what_somebody_is_to_look_at(busy: Shop, stranger: httpx.Client) -> None:
    assert 'class="alert"' not in stranger.get("/").text
    doubtful(busy)
    with busy.store.transaction() as unit:
        unit.circuits.save(Circuit(channel="email", state="open", reason="account", opened_at=NOW))
    page = stranger.get("/").text
    assert "The provider of the channel email refuses our account or settings" in page
    assert "In doubt: 1." in page


def test_a_journeys_page_says_how_it_stands_and_why(busy: Shop, stranger: httpx.Client) -> None:
    with busy.store.transaction() as unit:
        record = unit.journeys.find("cart")
        assert record is not None
        unit.journeys.save(replace(record, state="paused", note=SCRIPT))
    page = stranger.get("/journeys/cart").text
    assert "<h1>Abandoned cart</h1>" in page
    assert '<span class="tag wait">paused</span> &lt;script&gt;' in page
    assert "2 inside, 0 ended, 0 converted" in page


def test_a_test_is_called_one(busy: Shop, stranger: httpx.Client) -> None:
    with busy.store.transaction() as unit:
        (delivery,) = unit.deliveries.of()
        unit.deliveries.save(replace(delivery, is_test=True))
    assert '<span class="tag good">sent</span> a test' in stranger.get("/deliveries").text


def test_why_tells_of_a_person_in_words(busy: Shop, stranger: httpx.Client) -> None:
    page = stranger.get("/people", params={"name": "ben"}).text
    assert "not sent: no valid consent" in page
    assert "consent_reason no_grant" in page
    assert stranger.get("/people", params={"name": "nobody"}).status_code == 404


def test_the_inbox_lists_and_shows_what_was_caught(busy: Shop, stranger: httpx.Client) -> None:
    assert "Your cart waits" in stranger.get("/inbox").text
    (message,) = busy.inbox.messages()
    page = stranger.get(f"/inbox/{message.id}")
    assert (
        f'sandbox="allow-popups allow-popups-to-escape-sandbox" title="The message" src="/inbox/{message.id}/html"'
        in (page.text)
    )
    body = stranger.get(f"/inbox/{message.id}/html")
    assert body.headers["content-security-policy"].startswith("sandbox allow-popups")
    assert "default-src 'none'" in body.headers["content-security-policy"]
    assert stranger.get("/inbox/nothing").status_code == 404


@pytest.mark.parametrize(
    "path", ["/", "/deliveries", "/journeys/cart", "/people?name=ana", "/inbox", "/people?name=" + SCRIPT]
)
def test_whatever_people_wrote_is_escaped(busy: Shop, stranger: httpx.Client, path: str) -> None:
    busy.inbox.keep(kind="sms", to=SCRIPT, subject=SCRIPT, text=SCRIPT)
    answer = stranger.get(path)
    assert SCRIPT not in answer.text
    assert "script" not in answer.headers["content-security-policy"]
    assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_a_caught_message_is_escaped_but_in_its_own_frame(busy: Shop, stranger: httpx.Client) -> None:
    caught = busy.inbox.keep(
        kind="email", to="a@b.example", subject=SCRIPT, text=SCRIPT, html=SCRIPT, headers={"X": SCRIPT}
    )
    assert SCRIPT not in stranger.get(f"/inbox/{caught.id}").text


def test_the_dashboard_shows_no_address_in_its_tables(busy: Shop, stranger: httpx.Client) -> None:
    for path in ("/", "/deliveries", "/journeys/cart", "/people?name=ana"):
        assert "ana@example.com" not in stranger.get(path).text


def test_a_name_that_only_resolves_to_this_machine_does_not_open_it(busy: Shop, stranger: httpx.Client) -> None:
    answer = stranger.get("/", headers={"Host": "evil.example"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")


# ── in doubt ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def form_of(page: str) -> str:
    return page.partition('action="/deliveries/resolve"')[2].partition('name="form" value="')[2].partition('"')[0]


def test_a_message_in_doubt_is_resolved_by_a_button(shop: Shop, stranger: httpx.Client) -> None:
    assert "In doubt" not in stranger.get("/deliveries").text
    delivery_id = doubtful(shop)
    page = stranger.get("/deliveries").text
    assert "In doubt" in page
    said = {"delivery": delivery_id, "as": "sent", "note": SCRIPT, "form": form_of(page)}
    answer = stranger.post("/deliveries/resolve", data=said)
    assert (answer.status_code, answer.headers["location"]) == (303, "/deliveries?status=in_doubt")
    assert "In doubt" not in stranger.get("/deliveries").text
    assert "dashboard resolved the message in doubt as `sent`" in stranger.get("/people?name=ana").text
    assert SCRIPT not in stranger.get("/people?name=ana").text
    # Somebody else was quicker.
    late = stranger.post("/deliveries/resolve", data=said | {"as": "failed"})
    assert late.status_code == 409
    assert "is not in doubt" in late.text


@pytest.mark.parametrize("how", ["no form", "guessed form", "another site", "no such word"])
def test_only_our_own_form_resolves(shop: Shop, stranger: httpx.Client, how: str) -> None:
    delivery_id = doubtful(shop)
    said = {"delivery": delivery_id, "as": "sent", "form": form_of(stranger.get("/deliveries").text)}
    headers = {}
    match how:
        case "no form":
            said.pop("form")
        case "guessed form":
            said["form"] = "0" * 64
        case "another site":
            headers = {"Origin": "https://evil.example"}
        case _:
            said["as"] = "lost"
    answer = stranger.post("/deliveries/resolve", data=said, headers=headers)
    assert answer.status_code == (409 if how == "no such word" else 403)
    with shop.store.transaction() as unit:
        assert [each.status for each in unit.deliveries.of()] == ["in_doubt"]


# ── routing ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def failed(shop: Shop, person: str, **given: object) -> int:
    """An event of a hostile name, and the first that waits has failed; its number."""
    with shop.store.transaction() as unit:
        shop.engine.intake.track(
            unit, user_id=person, name=SCRIPT, properties={}, timestamp=NOW, message_id=person, now=NOW
        )
        found = unit.queue.next_occurrence(NOW)
        assert found is not None
        unit.queue.set_back(replace(found, attempts=found.attempts + 1, fault="KeyError", **given))
    return found.seq


def test_what_is_set_aside_is_shown_and_put_back_by_a_button(shop: Shop, stranger: httpx.Client) -> None:
    assert "Nothing has failed." in stranger.get("/routing").text
    assert "/routing" not in stranger.get("/").text
    number = failed(shop, "ana", set_aside_at=NOW)
    failed(shop, "ben", retry_at=NOW + timedelta(minutes=4))
    assert '<a href="/routing">' in stranger.get("/").text
    page = stranger.get("/routing").text
    assert (">ana</a>" in page, "KeyError" in page, SCRIPT in page) == (True, True, False)
    assert "2026-03-02 10:04:00" in page
    form = page.partition('name="form" value="')[2].partition('"')[0]
    for numbers in ("", "9" * 30, "-1", str(number + 1000)):
        assert stranger.post("/routing/retry", data={"number": numbers, "form": form}).status_code == 303
    assert stranger.post("/routing/retry", data={"number": str(number), "form": "0" * 64}).status_code == 403
    with shop.store.transaction() as unit:
        assert unit.queue.count_set_aside() == 1
    answer = stranger.post("/routing/retry", data={"number": str(number), "form": form})
    assert (answer.status_code, answer.headers["location"]) == (303, "/routing")
    with shop.store.transaction() as unit:
        assert unit.queue.count_set_aside() == 0
    failed(shop, "cid", set_aside_at=NOW)
    stranger.post("/routing/retry", data={"number": "all", "form": form})
    assert "Put back" not in stranger.get("/routing").text


# ── sessions ─────────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.fixture
def guarded(open_shop: Callable[[Store], Shop]) -> Iterator[tuple[Shop, httpx.Client]]:
    """A shop elsewhere: no inbox, so no open door."""
    shop = open_shop(MemoryStore())
    with serving(shop) as served, httpx.Client(base_url=served, timeout=PATIENCE) as browser:
        yield shop, browser


def test_without_a_session_every_page_leads_to_the_login(guarded: tuple[Shop, httpx.Client]) -> None:
    _, browser = guarded
    for path in ("/", "/deliveries", "/journeys/cart", "/people?name=ana"):
        assert browser.get(path).headers["location"] == "/login"
    assert browser.get("/inbox").status_code == 404


def test_a_key_of_ops_begins_a_session_that_ends(guarded: tuple[Shop, httpx.Client]) -> None:
    shop, browser = guarded
    answer = browser.post("/login", data={"key": ADMIN_KEY})
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert ADMIN_KEY not in cookie
    assert browser.get("/").status_code == 200
    shop.now += timedelta(hours=8, seconds=1)
    assert browser.get("/").status_code == 303


def test_a_session_resolves_in_the_name_of_its_key_and_without_one_nobody_does(
    guarded: tuple[Shop, httpx.Client],
) -> None:
    shop, browser = guarded
    delivery_id = doubtful(shop)
    said = {"delivery": delivery_id, "as": "sent", "form": ""}
    assert browser.post("/deliveries/resolve", data=said).headers["location"] == "/login"
    browser.post("/login", data={"key": ADMIN_KEY})
    said["form"] = form_of(browser.get("/deliveries").text)
    assert browser.post("/deliveries/resolve", data=said).status_code == 303
    assert f"key:{ADMIN_KEY} resolved the message" in browser.get("/people?name=ana").text


@pytest.mark.parametrize("key", ["", "wrong", WRITE_KEY])
def test_another_key_begins_none(guarded: tuple[Shop, httpx.Client], key: str) -> None:
    _, browser = guarded
    answer = browser.post("/login", data={"key": key})
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


def test_another_site_cannot_log_somebody_in(guarded: tuple[Shop, httpx.Client]) -> None:
    _, browser = guarded
    answer = browser.post("/login", data={"key": ADMIN_KEY}, headers={"Origin": "https://evil.example"})
    assert answer.status_code == 403


def test_a_forged_or_changed_session_is_none(guarded: tuple[Shop, httpx.Client]) -> None:
    _, browser = guarded
    browser.post("/login", data={"key": ADMIN_KEY})
    value = browser.cookies["sojourn_session"]
    key, ends, mac = value.split(".")
    for forged in ("", "x", f"{key}.{int(ends) + 9999}.{mac}", f"{key}.{ends}.{'0' * 64}", f"{key}.x.{mac}", "é.1.é"):
        answer = httpx.get(
            f"{browser.base_url}/", headers={"Cookie": f"sojourn_session={forged}".encode()}, timeout=PATIENCE
        )
        assert answer.status_code == 303


def test_logging_out_takes_a_form_of_ones_own(guarded: tuple[Shop, httpx.Client]) -> None:
    _, browser = guarded
    browser.post("/login", data={"key": ADMIN_KEY})
    assert "set-cookie" not in browser.post("/logout", data={"form": "guessed"}).headers
    form = browser.get("/").text.partition('name="form" value="')[2].partition('"')[0]
    browser.post("/logout", data={"form": form})
    assert browser.get("/").status_code == 303


def test_a_caught_mail_is_shown_by_the_rules_of_its_own_document_with_its_files_named(
    shop: Shop, stranger: httpx.Client
) -> None:
    html = "<!doctype html><html><head lang='en'><title>t</title></head><body>b</body></html>"
    caught = shop.inbox.keep(kind="email", to="a@b.example", html=html, attachments=("terms.pdf",))
    body = stranger.get(f"/inbox/{caught.id}/html").text
    assert body.startswith("<!doctype html><html><head lang='en'><base target=\"_blank\"><title>")
    assert "terms.pdf" in stranger.get(f"/inbox/{caught.id}").text
