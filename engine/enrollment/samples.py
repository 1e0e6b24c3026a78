"""Somebody and something made up, by the words of the project's catalogue: for looking at a message before it goes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from engine.project import Project

#: Better than what a type alone would give.
_BY_NAME: Mapping[str, Any] = {
    "name": "Ana",
    "first_name": "Ana",
    "last_name": "García",
    "currency": "EUR",
    "url": "https://shop.example/",
    "path": "/",
}
_ITEMS = (
    {"name": "Huila, washed", "quantity": 2, "price": 14.5, "url": "https://shop.example/huila"},
    {"name": "House espresso, 1 kg", "quantity": 1, "price": 29.0, "url": "https://shop.example/espresso"},
)


def sample_properties(types: Mapping[str, str], now: datetime) -> dict[str, Any]:
    """A value for each property, of its type."""
    return {name: _value(name, kind, now) for name, kind in types.items()}


def sample_attributes(project: Project, locale: str | None, now: datetime) -> dict[str, Any]:
    """What is known of a person who has an address on every channel and each attribute of the catalogue."""
    chats = {name: "sample" for name, channel in project.channels.items() if channel.kind == "chat"}
    return {
        "name": "Ana",
        **sample_properties(project.attributes, now),
        "email": "ana@example.com",
        "phone": "+34600000000",
        "locale": locale or project.locale,
        **({"chat": chats} if chats else {}),
    }


def _value(name: str, kind: str, now: datetime) -> Any:
    match kind:
        case "number":
            return 58
        case "boolean":
            return True
        case "date":
            return now.date().isoformat()
        case "timestamp":
            return now.isoformat()
        case "list":
            return [dict(item) for item in _ITEMS]
        case "object":
            return {}
        case _:
            return _BY_NAME.get(name, f"sample-{name}".replace("_", "-"))
