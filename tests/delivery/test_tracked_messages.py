"""Tracking as its author says it: off leaves a message as it is, and on leads only to what is stored with it."""

from __future__ import annotations

import re
from typing import Any

import pytest

from engine.delivery.message import Message
from engine.project import Tracking
from engine.rendering.links import token_hash
from engine.store import LinkRecord, Store
from tests.factories import NOW, ScriptedProvider, Shop, plan, send, topic

URL = "http://127.0.0.1"
CART = "https://x.example/cart?id=1"


def sent(store: Store, step: Any = None, **given: Any) -> tuple[Shop, Message]:
    """The message of a shop's one step, as its provider was handed it."""
    providers = {"email": ScriptedProvider("email"), "sms": ScriptedProvider("sms")}
    shop = Shop(store, plan(step or send(template="links")), providers=providers, **given).open()
    shop.person(phone="+34600000001", consents=[("email", "news"), ("sms", "news")])
    assert shop.perform(shop.enrolled()).kind == "sent"
    [message] = [message for provider in providers.values() for message in provider.handed]
    return shop, message


def stored(shop: Shop, url: str) -> LinkRecord:
    with shop.store.transaction() as unit:
        found = unit.access.find_link(token_hash(url.rpartition("/")[2]))
    assert found is not None
    return found


def targets(html: str | None) -> list[str]:
    return [target.replace("&amp;", "&") for target in re.findall(r'href="([^"]+)"', html or "")]


def test_nothing_is_tracked_unless_its_author_says_so(any_store: Store) -> None:
    _, message = sent(any_store)
    assert targets(message.html)[:3] == [CART, CART, "mailto:a@b.example"]
    assert "/o/" not in (message.html or "")
    assert f"Cart ({CART})" in message.text


def test_a_tracked_link_is_stored_with_its_target_and_consent_links_stay_themselves(any_store: Store) -> None:
    shop, message = sent(any_store, tracking=Tracking(clicks=True))
    cart, again, mail, unsubscribe, preferences = targets(message.html)
    assert re.fullmatch(r"https?://[^/]+/r/[A-Za-z0-9_-]{22}", cart)
    assert (again, mail) == (cart, "mailto:a@b.example")
    assert "/u/" in unsubscribe
    assert "/p/" in preferences
    assert f"Cart ({cart})" in message.text
    assert unsubscribe in message.text
    link = stored(shop, cart)
    assert (link.kind, link.url, link.delivery_id, link.created_at) == ("click", CART, message.delivery_id, NOW)


def test_parameters_say_where_a_visitor_comes_from(any_store: Store) -> None:
    utm = "utm_source=shop&utm_medium=email&utm_campaign=cart&utm_content=hello"
    _, message = sent(any_store, tracking=Tracking(utm={}))
    assert targets(message.html)[0] == f"{CART}&{utm}"
    assert "utm" not in targets(message.html)[3]


def test_an_author_may_say_it_otherwise_and_a_click_leads_there(any_store: Store) -> None:
    shop, message = sent(any_store, tracking=Tracking(clicks=True, utm={"campaign": "spring sale"}))
    assert stored(shop, targets(message.html)[0]).url == (
        f"{CART}&utm_source=shop&utm_medium=email&utm_campaign=spring+sale&utm_content=hello"
    )


def test_the_pixel_stands_at_the_end_and_only_in_the_page(any_store: Store) -> None:
    shop, message = sent(any_store, tracking=Tracking(opens=True))
    [pixel] = re.findall(r'<img src="([^"]+)" width="1" height="1" alt=""[^>]*>\s*</body>', message.html or "")
    assert stored(shop, pixel).kind == "open"
    assert "/o/" not in message.text


def test_a_text_message_carries_the_short_link(any_store: Store) -> None:
    shop, message = sent(any_store, send(channels=("sms",), template="links"), tracking=Tracking(clicks=True))
    found = re.fullmatch(r"Your cart: (https?://\S+/r/[\w-]{22})\. STOP to end\.", message.text)
    assert found
    assert stored(shop, found[1]).url == CART


@pytest.mark.parametrize("clicks", [True, False])
def test_parameters_never_make_a_text_message_longer(any_store: Store, clicks: bool) -> None:
    step = send(channels=("sms",), template="links")
    shop, message = sent(any_store, step, tracking=Tracking(clicks=clicks, utm={"campaign": "spring"}))
    link = message.text.removeprefix("Your cart: ").removesuffix(". STOP to end.")
    assert "utm" not in link
    if clicks:
        assert str(stored(shop, link).url).endswith("utm_medium=sms&utm_campaign=spring&utm_content=hello")
    else:
        assert link == CART


def test_a_preview_of_a_text_message_is_as_long_as_the_message(any_store: Store) -> None:
    """What it costs is seen there: its links are as they will stand. Those of a page are tried out, and lead on."""
    tracking = Tracking(clicks=True, utm={"campaign": "spring"})
    shop, message = sent(any_store, send(channels=("sms",), template="links"), tracking=tracking)
    with shop.store.transaction() as unit:
        profile = unit.profiles.find(shop.id_of("ana"))
        assert profile is not None
        shown = shop.engine.rehearsal.preview(unit, "links", profile, channel="sms", now=NOW).message.text
        page = shop.engine.rehearsal.preview(unit, "links", profile, channel="email", now=NOW).message.html
    assert len(shown) == len(message.text)
    assert "/r/" in shown
    assert targets(page)[0].startswith(CART)


@pytest.mark.parametrize(("own", "is_tracked"), [(None, True), (Tracking(), False), (Tracking(clicks=True), True)])
def test_a_topic_has_the_last_word(any_store: Store, own: Tracking | None, is_tracked: bool) -> None:
    _, message = sent(any_store, tracking=Tracking(clicks=True), topics={"news": topic(tracking=own)})
    assert ("/r/" in targets(message.html)[0]) is is_tracked


def test_what_goes_to_our_own_people_is_never_tracked(any_store: Store) -> None:
    step = send(template="links", topic="desk", to="sales@shop.example")
    _, message = sent(any_store, step, tracking=Tracking(clicks=True, opens=True, utm={}))
    assert targets(message.html)[0] == CART
    assert "/o/" not in (message.html or "")
