"""The keys that scenarios have, section by section, and the words that are ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

from engine.plan.model import Outcome

SCENARIO = ("scenario", "start", "journeys", "profiles", "events", "until", "answers", "force", "expect")
PERSON = ("id", "email", "phone", "chat", "timezone", "locale", "attributes", "consents")
EXPECTED: Mapping[str, tuple[str, ...]] = {
    "messages": (
        "at",
        "profile",
        "channel",
        "journey",
        "step",
        "template",
        "to",
        "subject",
        "topic",
        "via",
        "contains",
    ),
    "decisions": ("at", "profile", "journey", "step", "channel", "outcome"),
    "enrollments": ("at", "profile", "journey", "key", "state", "reason", "step", "converted"),
    "entries_refused": ("at", "profile", "journey", "key", "reason"),
    "emitted": ("at", "profile", "event", "properties"),
    "calls": ("at", "url", "json", "method"),
    "profiles": ("id", "attributes", "segments", "not_segments"),
}
EXPECTED_AS = {**{name: name for name in EXPECTED}, "messages_include": "messages", "system_messages": "messages"}
#: What a row under `events` may be, by the key that names it, and the keys that it takes.
ACTIONS: Mapping[str, tuple[str, ...]] = {
    "event": ("profile", "properties", "timestamp", "message_id"),
    "set": ("profile",),
    "grant": ("profile", "by"),
    "confirm": ("profile", "by"),
    "withdraw": ("profile", "by"),
    "object": ("profile", "by"),
    "reply": ("profile", "channel"),
    "bounce": ("profile", "channel"),
    "complaint": ("profile", "channel"),
    "open": ("profile",),
    "click": ("profile",),
    "enroll": ("profile", "with"),
    "alias": ("profile",),
    "erase": ("profile",),
    "pause": (),
    "resume": (),
    "stop": (),
    "provider": ("fails", "for"),
}
BASES = ("consent", "soft_opt_in")
#: Expected values that are words of ours.
WORDS: Mapping[str, tuple[str, ...]] = {"outcome": get_args(Outcome), "state": ("active", "ended")}
#: Actions whose key holds a mapping, or may stand alone.
MAPPED = ("set", "grant", "confirm", "withdraw", "object")
