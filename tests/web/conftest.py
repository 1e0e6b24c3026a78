"""A small shop over a real engine, served by a real server on loopback."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from channels.inbox import Inbox
from channels.registry import adapter_infos, open_adapters
from engine import ids
from engine.assembly import Engine
from engine.delivery.model import Delivery
from engine.enrollment.caller import CallRequest
from engine.enrollment.entry import Occasion
from engine.enrollment.model import Enrollment
from engine.language.project import load_project
from engine.storage.memory import MemoryStore
from engine.store import KeyRecord, Store
from engine.web.access import SCOPES, key_hash
from engine.web.app import create_app
from tests.waiting import PATIENCE

KEY = b"a project's key"
NOW = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
WRITE_KEY = "sj_ingest_0123456789abcdef"
ADMIN_KEY = "sj_admin_0123456789abcdef"

FILES = {
    "sojourn.yml": """
project: shop
timezone: Europe/Madrid
locale: en
database: sqlite:///unused.db
channels:
  email: {use: inbox, kind: email, from: "Shop <hello@shop.example>"}
  sms:   {use: inbox, kind: sms}
  texts: {use: twilio, settings: {account_sid: AC1, auth_token: a-secret, from: "+34600000000"}}
topics:
  cart: {title: "Cart reminders", channels: [email, sms]}
  news: {title: "Newsletter", channels: [email]}
  tips: {title: "Tips", channels: [email], double_opt_in: [email]}
""",
    "journeys/cart.yml": """
journey: cart
title: Abandoned cart
topic: cart
trigger: {event: Cart Updated}
entry: {key: event.cart_id}
exit: {event: Order Completed}
steps:
  - {send: email, id: reminder, template: reminder}
""",
    "journeys/welcome.yml": """
journey: welcome
title: Welcome
topic: cart
trigger: {api: true, if: 'profile.tier != "none"'}
entry: {again: never}
steps:
  - {wait: 1h}
""",
    "templates/email/reminder.html": """---
subject: Your cart waits
---
<p>Hello {{ profile.name | default("you") }}!</p><p><a href="{{ links.unsubscribe }}">Unsubscribe</a>
<a href="{{ links.preferences }}">Preferences</a></p>
""",
}


class NoCalls:
    """The network of a journey that calls nobody."""

    def call(self, request: CallRequest) -> Any:
        raise AssertionError("no journey here calls anything")


@dataclass
class Shop:
    """An installation, its clock in the test's hand."""

    engine: Engine
    inbox: Inbox
    now: datetime = NOW
    #: How often the web told that something is to be routed.
    nudges: list[None] = field(default_factory=list)

    @property
    def store(self) -> Store:
        return self.engine.store


@pytest.fixture
def shop_folder(tmp_path: Path) -> Path:
    for name, content in FILES.items():
        path = tmp_path / "shop" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content.lstrip("\n"))
    return tmp_path / "shop"


@pytest.fixture
def open_shop(shop_folder: Path, tmp_path: Path) -> Callable[[Store], Shop]:
    """Puts a shop over a store, with a key for each purpose."""

    def open_on(store: Store) -> Shop:
        project = load_project(shop_folder, {}, adapter_infos())
        inbox = Inbox(tmp_path / "inbox")
        shop: Shop
        engine = Engine(
            project=project,
            store=store,
            adapters=open_adapters(project, inbox),
            caller=NoCalls(),
            project_key=KEY,
            public_url="http://127.0.0.1",
            clock=lambda: shop.now,
        )
        shop = Shop(engine, inbox)
        engine.operations.deploy(NOW)
        with store.transaction() as unit:
            for key, scopes in ((WRITE_KEY, ("ingest",)), (ADMIN_KEY, SCOPES)):
                unit.access.save_key(KeyRecord(key_hash=key_hash(key), name=key, scopes=scopes, created_at=NOW))
        return shop

    return open_on


@pytest.fixture
def shop(open_shop: Callable[[Store], Shop]) -> Shop:
    return open_shop(MemoryStore())


@pytest.fixture
def stored_shop(open_shop: Callable[[Store], Shop], any_store: Store) -> Shop:
    """A shop on each kind of store."""
    return open_shop(any_store)


@contextmanager
def serving(shop: Shop, **options: Any) -> Iterator[str]:
    """Serves a shop on a free port; its URL."""
    app = create_app(shop.engine, on_intake=lambda: shop.nudges.append(None), **options)
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None, ws="none"))
    started = threading.Event()
    startup = server.startup

    async def tell(sockets: Any = None) -> None:
        await startup(sockets)
        started.set()

    server.startup = tell  # type: ignore[method-assign]
    thread = threading.Thread(target=server.run)
    thread.start()
    assert started.wait(PATIENCE), "the server did not start"
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(PATIENCE)


@pytest.fixture
def url(shop: Shop) -> Iterator[str]:
    with serving(shop, inbox=shop.inbox) as served:
        yield served


@pytest.fixture
def client(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, auth=(WRITE_KEY, ""), timeout=PATIENCE) as opened:
        yield opened


@pytest.fixture
def admin(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {ADMIN_KEY}"}, timeout=PATIENCE) as opened:
        yield opened


@pytest.fixture
def stranger(url: str) -> Iterator[httpx.Client]:
    """A browser, a mailbox provider, a mail scanner: nobody that we know."""
    with httpx.Client(base_url=url, timeout=PATIENCE) as opened:
        yield opened


def basic(key: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{key}:".encode()).decode()}


def doubtful(shop: Shop) -> str:
    """A reminder to Ana of which nobody knows whether it went; the delivery's id."""
    engine, at = shop.engine, NOW - timedelta(minutes=5)
    with shop.store.transaction() as unit:
        ana = engine.intake.ensure(unit, "external", "ana", at)
        ana = engine.intake.set_attributes(unit, ana, {"email": "ana@example.com"}, at)
        occasion = Occasion(at=at, values={"cart_id": "c1"})
        enrollment = engine.entries.enter(unit, engine.plans.current["cart"], ana, occasion, at)
        assert isinstance(enrollment, Enrollment)
        delivery = Delivery(
            delivery_id=ids.delivery_id(enrollment.enrollment_id, "reminder", 1),
            enrollment_id=enrollment.enrollment_id, journey="cart", profile_id=ana.profile_id, step_id="reminder",
            visit=1, channel="email", via="email", topic="cart", template="reminder", status="in_doubt",
            to="ana@example.com", is_marketing=True, claimed_at=at, first_attempt_at=at, attempts=1,
        )  # fmt: skip
        unit.deliveries.save(delivery)
    return delivery.delivery_id
