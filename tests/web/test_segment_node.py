"""Segment's client for Node.js, unchanged but for the host, against the served API on every kind of store."""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.npm import install
from tests.waiting import PATIENCE
from tests.web.conftest import WRITE_KEY, Shop, serving

PINNED = Path(__file__).parent / "segment_node"


def send(host: str, write_key: str) -> dict[str, Any]:
    """What the client says of its own sending."""
    command = ["node", str(PINNED / "send.mjs"), host, write_key, str(install(PINNED))]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert answer.returncode == 0, answer.stderr
    said: dict[str, Any] = json.loads(answer.stdout)
    return said


def test_every_call_of_the_node_client_arrives(stored_shop: Shop) -> None:
    stored_shop.now = datetime.now(UTC)
    with serving(stored_shop) as served:
        assert send(served, WRITE_KEY) == {"failures": []}
    with stored_shop.store.transaction() as unit:
        ana = unit.profiles.find_by("external", "ana")
        ben = unit.profiles.find_by("external", "ben")
        assert ana is not None
        assert ben is not None
        assert unit.profiles.find_by("anonymous", "visitor") == unit.profiles.find_by("anonymous", "old-visitor") == ana
        kept = [event for event in unit.events.of(ana.profile_id) if event.source == "intake"]
        seen = unit.events.of(ben.profile_id, "Product Viewed")
    assert (ana.email, ana.attributes) == (
        "ana@example.com", {"plan": "pro", "group_id": "g1", "group": {"name": "Acme"}},
    )  # fmt: skip
    # The client sends batches beside one another: of what happened in one millisecond, either may arrive first.
    assert kept[0].name == "Order Completed"
    assert sorted(event.name for event in kept[1:]) == ["Cart Updated", "Page Viewed", "Screen Viewed"]
    properties = {event.name: event.properties for event in kept}
    assert properties["Page Viewed"] == {"name": "Pricing", "path": "/pricing", "url": "http://shop/pricing"}
    assert properties["Cart Updated"] == {"cart_id": "c1", "total": 80.5, "items": ["ñandú", "靴"]}
    assert properties["Order Completed"] == {
        "order_id": "o1", "coupon": None, "at": "1970-01-01T00:00:00.000Z", "nested": {"deep": [1, 2.5, True]},
    }  # fmt: skip
    assert abs(kept[0].timestamp - (stored_shop.now - timedelta(hours=1))) < timedelta(minutes=1)
    assert sorted(event.properties["number"] for event in seen) == list(range(100))


def test_the_node_client_hears_that_its_key_is_wrong(shop: Shop) -> None:
    with serving(shop) as served:
        failures = send(served, "sj_unknown")["failures"]
    assert failures
    assert all("401" in failure for failure in failures)
