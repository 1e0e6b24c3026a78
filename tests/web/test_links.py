"""The links in messages: looking changes no consent, one click does, and a stranger learns nothing."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from msgspec.structs import replace

from engine.consent.addresses import address_hash
from engine.consent.model import ConsentRecord
from engine.delivery.model import Delivery
from engine.plan.effects import Perform
from engine.profiles.model import Event, Profile
from engine.rendering import links
from engine.storage.memory import MemoryStore
from engine.store import LinkRecord, Store
from tests.waiting import PATIENCE
from tests.web.conftest import KEY, NOW, Shop, serving

MAIL = "ana@example.com"


@pytest.fixture
def ana(shop: Shop) -> Profile:
    """A person who agreed to cart reminders, long ago."""
    engine = shop.engine
    with shop.store.transaction() as unit:
        profile = engine.intake.ensure(unit, "external", "ana", NOW)
        profile = engine.intake.set_attributes(unit, profile, {"email": MAIL, "name": "Ana"}, NOW)
        engine.ledger.grant(
            unit, profile=profile, channel="email", topic="cart", occurred_at=NOW - timedelta(days=9), now=NOW,
            actor="person", source="form:checkout", wording="v1",
        )  # fmt: skip
    return profile


def mint(shop: Shop, profile: Profile, kind: str, *, url: str | None = None, **changes: object) -> str:
    """A token as a message carries it."""
    token = links.token(KEY, kind, "d1", url or "")  # type: ignore[arg-type]
    link = LinkRecord(
        token_hash=links.token_hash(token), kind=kind, profile_id=profile.profile_id, delivery_id="d1",
        channel="email", topic=str(changes.get("topic", "cart")), address_hash=address_hash(KEY, "email", MAIL),
        url=url, created_at=NOW, expires_at=changes.get("expires_at"),  # type: ignore[arg-type]
    )  # fmt: skip
    with shop.store.transaction() as unit:
        unit.access.add_links([link])
        unit.deliveries.save(
            Delivery(
                delivery_id="d1", enrollment_id="e1", journey="cart", profile_id=profile.profile_id,
                step_id="reminder", visit=1, channel="email", via="email", topic="cart", template="reminder",
                status="sent", to=MAIL, is_marketing=True, claimed_at=NOW, sent_at=NOW,
            )
        )  # fmt: skip
    return token


def records(shop: Shop, profile: Profile) -> list[ConsentRecord]:
    with shop.store.transaction() as unit:
        return [record for record in unit.consents.of(profile.profile_id) if record.source != "form:checkout"]


def events(shop: Shop, profile: Profile, name: str) -> list[Event]:
    with shop.store.transaction() as unit:
        return list(unit.events.of(profile.profile_id, name))


# ── unsubscribe ──────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
@pytest.mark.parametrize(("kind", "path"), [("unsubscribe", "u"), ("preferences", "p"), ("confirm", "c")])
def test_looking_changes_nothing(
    shop: Shop, ana: Profile, stranger: httpx.Client, method: str, kind: str, path: str
) -> None:
    token = mint(shop, ana, kind)
    with shop.store.transaction() as unit:
        before = unit.queue.count_occurrences()
    answer = stranger.request(method, f"/{path}/{token}")
    assert answer.status_code == (405 if method == "OPTIONS" else 200)
    assert records(shop, ana) == []
    with shop.store.transaction() as unit:
        assert unit.queue.count_occurrences() == before


def test_the_unsubscribe_page_asks_with_one_button_and_without_script(
    shop: Shop, ana: Profile, stranger: httpx.Client
) -> None:
    page = stranger.get(f"/u/{mint(shop, ana, 'unsubscribe')}").text
    assert page.count("<button") == 1
    assert '<form method="post"' in page
    assert "<script" not in page
    assert "Cart reminders" in page
    assert MAIL not in page


@pytest.mark.parametrize(
    "form",
    [
        {"data": {"List-Unsubscribe": "One-Click"}},
        {"files": {"List-Unsubscribe": (None, "One-Click")}},
        {"content": b""},
        {"content": b"\xff\x00 anything", "headers": {"Content-Type": "application/octet-stream"}},
    ],
    ids=["urlencoded", "multipart", "empty", "anything"],
)
def test_one_click_unsubscribes_without_cookie_login_or_redirect(
    shop: Shop, ana: Profile, stranger: httpx.Client, form: dict[str, object]
) -> None:
    answer = stranger.post(f"/u/{mint(shop, ana, 'unsubscribe')}", **form)  # type: ignore[arg-type]
    assert answer.status_code == 200
    assert "set-cookie" not in answer.headers
    kept = records(shop, ana)
    assert [(r.action, r.channel, r.topic, r.actor, r.source) for r in kept] == [
        ("withdraw", "email", "cart", "person", "one_click")
    ]
    assert [event.properties for event in events(shop, ana, "Unsubscribed")] == [
        {"channel": "email", "topic": "cart", "delivery": "d1", "journey": "cart", "step": "reminder"}
    ]
    assert shop.nudges


def test_a_hundred_repeats_at_once_are_one_withdrawal(shop: Shop, ana: Profile, stranger: httpx.Client) -> None:
    token = mint(shop, ana, "unsubscribe")

    def click(_: int) -> int:
        return stranger.post(f"/u/{token}").status_code

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(click, range(100))) == {200}
    assert len(records(shop, ana)) == 1
    assert len(events(shop, ana, "Unsubscribed")) == 1


def test_who_agreed_again_can_withdraw_again_by_the_same_link(shop: Shop, ana: Profile, stranger: httpx.Client) -> None:
    token = mint(shop, ana, "unsubscribe")
    stranger.post(f"/u/{token}")
    shop.now += timedelta(hours=1)
    with shop.store.transaction() as unit:
        shop.engine.ledger.grant(
            unit, profile=ana, channel="email", topic="cart", occurred_at=shop.now, now=shop.now, actor="person",
            source="form:account", wording="v1",
        )  # fmt: skip
    shop.now += timedelta(hours=1)
    stranger.post(f"/u/{token}")
    assert [record.action for record in records(shop, ana)] == ["withdraw", "grant", "withdraw"]


def test_an_unsubscribe_link_never_expires(shop: Shop, ana: Profile, stranger: httpx.Client) -> None:
    token = mint(shop, ana, "unsubscribe")
    shop.now += timedelta(days=3650)
    assert stranger.post(f"/u/{token}").status_code == 200
    assert len(records(shop, ana)) == 1


def test_after_an_erasure_the_link_still_says_unsubscribed(shop: Shop, ana: Profile, stranger: httpx.Client) -> None:
    token = mint(shop, ana, "unsubscribe")
    with shop.store.transaction() as unit:
        shop.engine.intake.erase(unit, ana, NOW)
    assert stranger.get(f"/u/{token}").status_code == 200
    assert stranger.post(f"/u/{token}").status_code == 200
    assert (records(shop, ana), events(shop, ana, "Unsubscribed")) == ([], [])


def test_after_a_merge_the_link_withdraws_for_the_person(shop: Shop, ana: Profile, stranger: httpx.Client) -> None:
    token = mint(shop, ana, "unsubscribe")
    with shop.store.transaction() as unit:
        whole = shop.engine.intake.alias(unit, previous_id="ana", user_id="ana-maria", now=NOW)
    stranger.post(f"/u/{token}")
    assert "one_click" in [record.source for record in records(shop, whole)]


# ── tokens ───────────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("path", ["u", "p", "c", "r", "o"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_every_token_that_means_nothing_gets_the_same_page(
    shop: Shop, ana: Profile, stranger: httpx.Client, path: str, method: str
) -> None:
    good = {kind: mint(shop, ana, kind, url="https://shop.example/") for kind in links._PATHS}
    own = {"u": "unsubscribe", "p": "preferences", "c": "confirm", "r": "click", "o": "open"}[path]
    strange = [token for kind, token in good.items() if kind != own]
    strange += [good[own][:-1], good[own] + "=", good[own][::-1], "x" * 22, "a.b", "%00" * 8]
    strange.append(links.token(b"another project's key", own, "d1"))  # type: ignore[arg-type]
    posted = {"content": b"do=stop"} if method == "POST" else {}
    answers = [stranger.request(method, f"/{path}/{token}", **posted) for token in strange]  # type: ignore[arg-type]
    expected = {405} if path in "ro" and method == "POST" else {404}
    assert {answer.status_code for answer in answers} == expected
    assert len({answer.text for answer in answers}) == 1
    assert records(shop, ana) == []


def test_pages_carry_the_headers_that_keep_a_token_to_itself(shop: Shop, ana: Profile, stranger: httpx.Client) -> None:
    for path in (f"/u/{mint(shop, ana, 'unsubscribe')}", f"/p/{mint(shop, ana, 'preferences')}", "/u/unknown"):
        headers = stranger.get(path).headers
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == "no-store"
        assert headers["x-robots-tag"] == "noindex"
        assert headers["x-frame-options"] == "DENY"
        assert headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert "set-cookie" not in headers


# ── double opt-in ────────────────────────────────────────────────────────────────────────────────────────────────────
def test_only_a_post_confirms(shop: Shop, ana: Profile, stranger: httpx.Client) -> None:
    token = mint(shop, ana, "confirm", topic="tips")
    page = stranger.get(f"/c/{token}").text
    assert "Tips" in page
    assert records(shop, ana) == []
    assert stranger.post(f"/c/{token}").status_code == 200
    assert [(r.action, r.channel, r.topic, r.actor) for r in records(shop, ana)] == [
        ("confirm", "email", "tips", "person")
    ]


@pytest.mark.parametrize(("kind", "path"), [("confirm", "c"), ("preferences", "p")])
def test_an_expired_link_says_so_and_does_nothing(
    shop: Shop, ana: Profile, stranger: httpx.Client, kind: str, path: str
) -> None:
    token = mint(shop, ana, kind, expires_at=NOW + timedelta(hours=72))
    shop.now += timedelta(hours=72)
    assert stranger.get(f"/{path}/{token}").status_code == 410
    assert stranger.post(f"/{path}/{token}", data={"do": "stop"}).status_code == 410
    assert records(shop, ana) == []


# ── preferences ──────────────────────────────────────────────────────────────────────────────────────────────────────
def ticked(page: str) -> dict[str, bool]:
    boxes = re.findall(r'<input type="checkbox" name="want" value="([^"]+)"( checked)?>', page)
    return {value: bool(checked) for value, checked in boxes}


def test_the_preference_page_shows_what_may_be_sent_by_topic_and_channel(
    shop: Shop, ana: Profile, stranger: httpx.Client
) -> None:
    page = stranger.get(f"/p/{mint(shop, ana, 'preferences')}").text
    # She has no number, so there is nothing to choose for text messages.
    assert ticked(page) == {"cart|email": True, "news|email": False, "tips|email": False}
    assert MAIL not in page
    assert "a•••@e•••.com" in page


def test_a_choice_is_saved_as_the_persons_own_act(shop: Shop, ana: Profile, stranger: httpx.Client) -> None:
    token = mint(shop, ana, "preferences")
    page = stranger.post(f"/p/{token}", data={"do": "save", "want": ["news|email"]}).text
    assert ticked(page) == {"cart|email": False, "news|email": True, "tips|email": False}
    assert [(r.action, r.topic, r.actor, r.source, r.wording) for r in records(shop, ana)] == [
        ("withdraw", "cart", "person", "preferences", None),
        ("grant", "news", "person", "preferences", "preferences-page-1"),
    ]
    stranger.post(f"/p/{token}", data={"do": "save", "want": ["news|email"]})
    assert len(records(shop, ana)) == 2


def test_stop_all_withdraws_from_everything(shop: Shop, ana: Profile, stranger: httpx.Client) -> None:
    page = stranger.post(f"/p/{mint(shop, ana, 'preferences')}", data={"do": "stop", "want": ["cart|email"]}).text
    assert set(ticked(page).values()) == {False}
    assert [(r.action, r.channel, r.topic) for r in records(shop, ana)] == [("withdraw", None, None)]


def test_a_double_opt_in_topic_stays_off_until_it_is_confirmed(
    shop: Shop, ana: Profile, stranger: httpx.Client
) -> None:
    page = stranger.post(
        f"/p/{mint(shop, ana, 'preferences')}", data={"do": "save", "want": ["cart|email", "tips|email"]}
    ).text
    assert ticked(page)["tips|email"] is False
    assert [(r.action, r.topic) for r in records(shop, ana)] == [("grant", "tips")]


@pytest.mark.parametrize(
    "content", [b"", b"do=delete", b"do=save&do=stop", b"want=cart%7Cemail", b"\xff=1", b"&" * 500]
)
def test_a_form_that_is_not_ours_changes_nothing(
    shop: Shop, ana: Profile, stranger: httpx.Client, content: bytes
) -> None:
    assert stranger.post(f"/p/{mint(shop, ana, 'preferences')}", content=content).status_code == 400
    assert records(shop, ana) == []


# ── engagement ───────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_click_leads_only_to_what_was_stored_and_becomes_an_event(
    shop: Shop, ana: Profile, stranger: httpx.Client
) -> None:
    token = mint(shop, ana, "click", url="https://shop.example/cart?id=1")
    answer = stranger.get(f"/r/{token}?r=https://evil.example/", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (302, "https://shop.example/cart?id=1")
    clicked = events(shop, ana, "Email Link Clicked")
    assert [(e.properties["step"], e.properties["url"], e.source) for e in clicked] == [
        ("reminder", "https://shop.example/cart?id=1", "receipt")
    ]
    assert records(shop, ana) == []


def test_a_link_to_anything_but_the_web_leads_nowhere(shop: Shop, ana: Profile, stranger: httpx.Client) -> None:
    token = mint(shop, ana, "click", url="javascript:alert(1)")
    assert stranger.get(f"/r/{token}", follow_redirects=False).status_code == 404


def test_the_pixel_records_an_open(shop: Shop, ana: Profile, stranger: httpx.Client) -> None:
    answer = stranger.get(f"/o/{mint(shop, ana, 'open')}")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/gif")
    assert answer.content.startswith(b"GIF89a")
    assert len(events(shop, ana, "Email Opened")) == 1


def test_a_look_at_the_headers_alone_is_no_engagement(shop: Shop, ana: Profile, stranger: httpx.Client) -> None:
    stranger.head(f"/o/{mint(shop, ana, 'open')}")
    stranger.head(f"/r/{mint(shop, ana, 'click', url='https://shop.example/')}", follow_redirects=False)
    assert events(shop, ana, "Email Opened") == events(shop, ana, "Email Link Clicked") == []


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Purpose": "prefetch;prerender"},
        {"Purpose": "prefetch"},
        {"X-Purpose": "preview"},
        {"User-Agent": "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)"},
        {"User-Agent": "facebookexternalhit/1.1"},
        {"User-Agent": "Mozilla/5.0 (compatible; bingbot/2.0)"},
    ],
)
def test_a_program_that_says_what_it_is_gets_there_and_is_no_engagement(
    shop: Shop, ana: Profile, stranger: httpx.Client, headers: dict[str, str]
) -> None:
    clicked = stranger.get(f"/r/{mint(shop, ana, 'click', url='https://shop.example/')}", headers=headers)
    opened = stranger.get(f"/o/{mint(shop, ana, 'open')}", headers=headers)
    assert (clicked.status_code, opened.status_code) == (302, 200)
    assert events(shop, ana, "Email Opened") == events(shop, ana, "Email Link Clicked") == []


def test_an_impatient_finger_clicks_once_and_whoever_comes_back_clicks_again(
    shop: Shop, ana: Profile, stranger: httpx.Client
) -> None:
    token = mint(shop, ana, "click", url="https://shop.example/")
    other = mint(shop, ana, "click", url="https://shop.example/other")
    for seconds in (0, 1, 8, 30):
        shop.now = NOW + timedelta(seconds=seconds)
        stranger.get(f"/r/{token}")
    assert [(e.timestamp - NOW).total_seconds() for e in events(shop, ana, "Email Link Clicked")] == [0, 30]
    stranger.get(f"/r/{other}")
    assert len(events(shop, ana, "Email Link Clicked")) == 3


def test_the_pixel_is_asked_for_anew_each_time_and_tells_nobody_where(
    shop: Shop, ana: Profile, stranger: httpx.Client
) -> None:
    headers = stranger.get(f"/o/{mint(shop, ana, 'open')}").headers
    assert (headers["cache-control"], headers["referrer-policy"]) == ("no-store", "no-referrer")
    assert "set-cookie" not in headers


def test_after_an_erasure_a_click_leads_nowhere(stored_shop: Shop) -> None:
    engine = stored_shop.engine
    with stored_shop.store.transaction() as unit:
        person = engine.intake.ensure(unit, "external", "ana", NOW)
    token = mint(stored_shop, person, "click", url="https://shop.example/ana")
    with stored_shop.store.transaction() as unit:
        engine.intake.erase(unit, person, NOW)
    with serving(stored_shop) as url:
        assert httpx.get(f"{url}/r/{token}", timeout=PATIENCE).status_code == 404


# ── tests ────────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_the_links_of_a_test_act_and_show_nothing(shop: Shop, ana: Profile, stranger: httpx.Client) -> None:
    shop.engine.rehearsal.send_test(
        "cart", "reminder", profile_id=ana.profile_id, to="colleague@shop.example", actor="eva", now=shop.now
    )
    [message] = shop.inbox.messages()
    assert message.subject == "[Test] Your cart waits"
    paths = re.findall(r'href="http://127.0.0.1(/[up]/[^"]+)"', message.html or "")
    assert len(paths) == 2
    for path in paths:
        for answer in (stranger.get(path), stranger.post(path, data={"do": "stop"})):
            assert answer.status_code == 200
            assert "sent as a test" in answer.text
            assert "Ana" not in answer.text
    assert records(shop, ana) == []


def test_a_click_in_a_test_leads_there_and_is_no_event(shop: Shop, ana: Profile, stranger: httpx.Client) -> None:
    token = mint(shop, ana, "click", url="https://shop.example/")
    with shop.store.transaction() as unit:
        delivery = unit.deliveries.find("d1")
        assert delivery is not None
        unit.deliveries.save(replace(delivery, is_test=True))
    assert stranger.get(f"/r/{token}").status_code == 302
    assert events(shop, ana, "Email Link Clicked") == []


# ── from a message to its link ───────────────────────────────────────────────────────────────────────────────────────
def test_the_links_of_a_message_that_was_really_sent_work(
    shop: Shop, ana: Profile, stranger: httpx.Client, client: httpx.Client
) -> None:
    body = {"userId": "ana", "event": "Cart Updated", "properties": {"cart_id": "c1"}, "messageId": "m1"}
    client.post("/v1/track", json=body)
    shop.engine.router.route_all(shop.now)
    with shop.store.transaction() as unit:
        (enrollment,) = unit.enrollments.active(ana.profile_id)
    step = Perform(step_id="reminder", visit=1, attempt=1, reached_at=shop.now)
    assert shop.engine.performer.perform(enrollment.enrollment_id, step, shop.now).kind == "sent"
    (message,) = shop.inbox.messages()
    path = httpx.URL(message.headers["List-Unsubscribe"].strip("<>")).path
    assert stranger.get(path).status_code == 200
    assert stranger.post(path, data={"List-Unsubscribe": "One-Click"}).status_code == 200
    assert [record.action for record in records(shop, ana)] == ["withdraw"]
    (preferences,) = re.findall(r'href="http://127.0.0.1(/p/[^"]+)"', message.html or "")
    assert ticked(stranger.get(preferences).text)["cart|email"] is False


def test_a_link_of_a_message_that_was_really_sent_is_counted_on_its_way(
    shop_folder: Path, open_shop: Callable[[Store], Shop]
) -> None:
    project, template = shop_folder / "sojourn.yml", shop_folder / "templates/email/reminder.html"
    project.write_text(project.read_text() + "tracking: {clicks: true, opens: true, utm: {campaign: carts}}\n")
    template.write_text(template.read_text() + '<a href="https://shop.example/cart?id=1#top">Your cart</a>')
    shop = open_shop(MemoryStore())
    with shop.store.transaction() as unit:
        ana = shop.engine.intake.ensure(unit, "external", "ana", NOW)
        ana = shop.engine.intake.set_attributes(unit, ana, {"email": MAIL}, NOW)
        shop.engine.ledger.grant(
            unit, profile=ana, channel="email", topic="cart", occurred_at=NOW - timedelta(days=9), now=NOW,
            actor="person", source="form:checkout", wording="v1",
        )  # fmt: skip
        shop.engine.intake.track(
            unit, user_id="ana", name="Cart Updated", properties={"cart_id": "c1"}, timestamp=NOW, message_id="m1",
            now=NOW,
        )  # fmt: skip
    shop.engine.router.route_all(shop.now)
    with shop.store.transaction() as unit:
        (enrollment,) = unit.enrollments.active(ana.profile_id)
    step = Perform(step_id="reminder", visit=1, attempt=1, reached_at=shop.now)
    assert shop.engine.performer.perform(enrollment.enrollment_id, step, shop.now).kind == "sent"
    (message,) = shop.inbox.messages()
    paths = dict(re.findall(r'"http://127.0.0.1/([upro])/([^"]+)"', message.html or ""))
    assert set(paths) == {"u", "p", "r", "o"}
    with serving(shop) as url:
        answer = httpx.get(f"{url}/r/{paths['r']}", timeout=PATIENCE)
        assert httpx.get(f"{url}/o/{paths['o']}", timeout=PATIENCE).status_code == 200
    target = (
        "https://shop.example/cart?id=1&utm_source=shop&utm_medium=email&utm_campaign=carts&utm_content=reminder#top"
    )
    assert (answer.status_code, answer.headers["location"]) == (302, target)
    [clicked], [opened] = (events(shop, ana, name) for name in ("Email Link Clicked", "Email Opened"))
    assert (clicked.properties["journey"], clicked.properties["step"], clicked.properties["url"]) == (
        "cart", "reminder", target
    )  # fmt: skip
    assert opened.properties["step"] == "reminder"
    assert f"Your cart (http://127.0.0.1/r/{paths['r']})" in message.text
