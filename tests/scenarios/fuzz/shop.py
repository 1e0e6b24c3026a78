"""The project around generated journeys: its channels, topics, caps, quiet hours, segments and templates."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

ZONES = ("Europe/Madrid", "America/New_York", "Asia/Kolkata", "Pacific/Auckland", "Australia/Lord_Howe")
#: What people do; `Ping N` is what journeys emit to journeys.
EVENTS = ("Cart Updated", "Order Completed", "Page Viewed", "Answered")
SEGMENTS: Mapping[str, Any] = {
    "spender": 'sum("Order Completed", "total", within="2d") >= 100',
    "looker": 'count("Page Viewed", within="3h") >= 2',
    "paying": 'profile.plan == "pro"',
    "gone": 'days_since(last("Page Viewed")) > 1',
    "early": "hour(now) < 12 and exists(profile.score)",
    "due": "profile.due_at - hours(2) <= now",
    "good": {"all": ["profile.score > 3", {"not": 'segment("gone")'}]},
    "willing": 'consent("email", "asked")',
}
CAPS: Sequence[Sequence[Mapping[str, Any]]] = (
    (),
    ({"at_most": 3, "per": "24h"}, {"at_most": 1, "per": "2h", "channels": ["sms"]}),
    ({"at_most": 1, "per": "3h"},),
    ({"at_most": 2, "per": "1d", "channels": ["email", "sms"]},),
)
QUIET_HOURS: Sequence[Sequence[Mapping[str, Any]]] = (
    (),
    ({"channels": ["sms", "chat"], "from": "21:00", "to": "08:00"},),
    ({"from": "22:30", "to": "07:30"}, {"channels": ["chat"], "from": "07:00", "to": "09:00"}),
    ({"channels": ["email"], "from": "01:30", "to": "03:30"}, {"channels": ["sms"], "from": "12:00", "to": "14:00"}),
)


def project_file(random: Random) -> Mapping[str, Any]:
    """A `sojourn.yml`: the same channels in every shop, caps and quiet hours by chance."""
    return {
        "project": "fuzzed",
        "timezone": random.choice(ZONES),
        "locale": "en",
        "database": "sqlite:///.sojourn/sojourn.db",
        "channels": {
            "email": {"use": "smtp", "from": "Shop <hello@shop.example>", "settings": {"host": "127.0.0.1"}},
            "sms": {"use": "twilio", "backup": "sms_backup", "settings": _twilio()},
            "sms_backup": {"use": "vonage", "settings": {"api_key": "none", "api_secret": "none", "from": "+447700"}},
            "chat": {"use": "slack", "settings": {"token": "none"}},
        },
        "topics": {
            "asked": {"title": "Asked for", "channels": ["email", "sms"], "basis": "consent"},
            "double": {"title": "Twice", "channels": ["email"], "basis": "consent", "double_opt_in": ["email"]},
            "interest": {
                "title": "Of interest",
                "channels": ["email", "sms", "chat"],
                "basis": "legitimate_interest",
            },
            "orders": {"title": "Orders", "kind": "transactional", "basis": "contract"},
        },
        "caps": list(random.choice(CAPS)),
        "quiet_hours": list(random.choice(QUIET_HOURS)),
    }


def _twilio() -> Mapping[str, str]:
    return {"account_sid": "AC0", "auth_token": "none", "from": "+447700900000"}


def segments_of(journey: str) -> Mapping[str, Any]:
    """Segments about one journey, by name."""
    return {
        f"mailed_by_{journey}": {"if": f'received("{journey}", within="2h")'},
        f"inside_{journey}": {"if": f'enrolled("{journey}")'},
    }


def write_shop(folder: Path, shop: Mapping[str, Any]) -> None:
    """Writes a project without journeys; JSON is YAML."""
    for name in ("journeys/segments", "templates/email", "templates/sms", "templates/chat"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "sojourn.yml").write_text(json.dumps(shop))
    segments = {name: {"if": condition} for name, condition in SEGMENTS.items()}
    (folder / "journeys/segments/all.yml").write_text(json.dumps({"segments": segments}))
    no_more = "<a href='{{ links.unsubscribe }}'>No more</a>\n"
    (folder / "templates/email/note.html").write_text(f"---\nsubject: Note {{{{ say | default('') }}}}\n---\n{no_more}")
    (folder / "templates/email/share.html").write_text(f"---\nsubject: 'Share {{{{ 1 / share }}}}'\n---\n{no_more}")
    (folder / "templates/sms/note.txt").write_text("Note {{ say | default('') }}\n")
    (folder / "templates/chat/note.txt").write_text("Note {{ say | default('') }}\n")


def write_journeys(folder: Path, name: str, journeys: Sequence[Mapping[str, Any]]) -> None:
    """Writes journeys, and the segments about the first of them, as files of that name."""
    (folder / f"journeys/{name}.yml").write_text("\n---\n".join(json.dumps(each, indent=1) for each in journeys))
    segments = segments_of(journeys[0]["journey"])
    (folder / f"journeys/segments/{name}.yml").write_text(json.dumps({"segments": segments}))


def remove_journeys(folder: Path, name: str) -> None:
    """Removes what `write_journeys` wrote."""
    for each in (f"journeys/{name}.yml", f"journeys/segments/{name}.yml"):
        (folder / each).unlink()
