"""Odd and hostile tracking calls, and what becomes of each: the table of docs/events-in.md is made from this one.

`UPDATE_DOCS=1 pytest tests/web/test_odd_inputs.py` rewrites it.
"""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from engine.store import KeyRecord, Store
from engine.web.access import key_hash
from tests.web.conftest import NOW, WRITE_KEY, Shop, basic

PAGE = Path(__file__).parents[2] / "docs" / "events-in.md"
BEGIN, END = "<!-- odd inputs: made by tests/web/test_odd_inputs.py -->\n", "<!-- end -->\n"
AUTHOR_KEY = "sj_author_0123456789abcdef"


@dataclass(frozen=True, kw_only=True)
class Odd:
    """One input, and what becomes of it."""

    what: str
    #: Status and, of a refusal, its detail.
    answer: str
    #: What is in the store afterwards, as `kept` tells it.
    kept: str
    path: str = "track"
    body: bytes | Mapping[str, Any]
    #: Sent first, and taken.
    before: Sequence[Mapping[str, Any]] = ()
    headers: Mapping[str, str] = field(default_factory=lambda: basic(WRITE_KEY))


def call(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in ({"userId": "ana", "event": "Seen"} | fields).items() if value is not ...}


def properties(text: str) -> bytes:
    return b'{"userId": "ana", "event": "Seen", "properties": {' + text.encode("utf-8", "surrogatepass") + b"}}"


def message(**fields: Any) -> dict[str, Any]:
    return {"type": "track", **call(**fields)}


def at(time: Any) -> dict[str, Any]:
    return call(timestamp=time)


OK = "200"
SEEN = "Seen of ana"
NOTHING = "nothing"
NO_ID = "400 `userId` or `anonymousId` is needed: it says whom this is about"
ISO = "400 `timestamp` must be ISO 8601 text, like 2026-03-02T10:00:00Z"
OLD = "400 the timestamp is before the year 1990: were seconds taken for milliseconds?"
TOO_LONG = "413 the body has more than the {} bytes allowed: send less at a time"
GZIP = {"Content-Encoding": "gzip", **basic(WRITE_KEY)}

GROUPS: dict[str, list[Odd]] = {
    "When it happened": [
        Odd(what="out of order: the older event comes second", path="batch",
            body={"batch": [message(event="Second"), message(event="First", timestamp="2026-03-02T09:00:00Z")]},
            answer=OK, kept="First of ana at 2026-03-02T09:00:00Z; Second of ana"),
        Odd(what="a year late (`ignore_older_than` of a journey says whether it starts anything)",
            body=at("2025-03-02T10:00:00Z"), answer=OK, kept="Seen of ana at 2025-03-02T10:00:00Z"),
        Odd(what="4 minutes ahead", body=at("2026-03-02T10:04:00Z"), answer=OK,
            kept="Seen of ana at 2026-03-02T10:04:00Z"),
        Odd(what="6 minutes ahead", body=at("2026-03-02T10:06:00Z"), answer=OK, kept="Seen of ana, clamped"),
        Odd(what="the year 9999", body=at("9999-12-31T23:59:59Z"), answer=OK, kept="Seen of ana, clamped"),
        Odd(what="the year 1", body=at("0001-01-01T00:00:00Z"), answer=OLD, kept=NOTHING),
        Odd(what="seconds taken for milliseconds", body=at("1970-01-21T12:00:00Z"), answer=OLD, kept=NOTHING),
        Odd(what="an offset of 5:45 hours", body=at("2026-03-02T15:15:00+05:45"), answer=OK,
            kept="Seen of ana at 2026-03-02T09:30:00Z"),
        Odd(what="no offset", body=at("2026-03-02T09:00:00"), kept=NOTHING,
            answer="400 `timestamp` has no offset: write it like 2026-03-02T10:00:00Z"),
        Odd(what="a zone by its name", body=at("2026-03-02T09:00:00 Europe/Madrid"), answer=ISO, kept=NOTHING),
        Odd(what="a leap second", body=at("2016-12-31T23:59:60Z"), answer=ISO, kept=NOTHING),
        Odd(what="the 30th of February", body=at("2026-02-30T10:00:00Z"), answer=ISO, kept=NOTHING),
        Odd(what="a number", body=at(1772445600), answer=ISO, kept=NOTHING),
        Odd(what="`sentAt` an hour behind our clock: the sender's clock is",
            body=call(timestamp="2026-03-02T08:50:00Z", sentAt="2026-03-02T09:00:00Z"), answer=OK,
            kept="Seen of ana at 2026-03-02T09:50:00Z"),
        Odd(what="`sentAt` so that the time is out of range",
            body=call(timestamp="9999-12-31T00:00:00Z", sentAt="0001-01-01T00:00:00Z"), kept=NOTHING,
            answer="400 `timestamp` is out of range"),
    ],
    "Sent twice": [
        Odd(what="the same `messageId`, the same body", before=[call(messageId="m1")], body=call(messageId="m1"),
            answer=OK, kept=SEEN),
        Odd(what="the same `messageId`, another body: the first counts", before=[call(messageId="m1")],
            body=call(messageId="m1", event="Other"), answer=OK, kept=SEEN),
        Odd(what="the same `messageId`, another person", before=[call(messageId="m1")],
            body=call(messageId="m1", userId="ben"), answer=OK, kept=f"{SEEN}; ben"),
        Odd(what="the same `messageId` twice in a batch", path="batch",
            body={"batch": [message(messageId="m1"), message(messageId="m1")]}, answer=OK, kept=SEEN),
        Odd(what="no `messageId`: each is an event of its own", path="batch", body={"batch": [message(), message()]},
            answer=OK, kept=f"{SEEN}; {SEEN}"),
    ],
    "Who it is about": [
        Odd(what="`anonymousId` alone", body=call(userId=..., anonymousId="visitor"), answer=OK,
            kept="Seen of visitor"),
        Odd(what="both: `userId` counts", body=call(anonymousId="visitor"), answer=OK, kept=SEEN),
        Odd(what="neither", body=call(userId=...), answer=NO_ID, kept=NOTHING),
        Odd(what="an empty id", body=call(userId=""), answer=NO_ID, kept=NOTHING),
        Odd(what="an id of blanks", body=call(userId=" \t\u00a0"), answer=NO_ID, kept=NOTHING),
        Odd(what="blanks around an id: another id", body=call(userId=" ana "), answer=OK, kept="Seen of  ana "),
        Odd(what="a whole number: its digits", body=call(userId=42), answer=OK, kept="Seen of 42"),
        Odd(what="a fraction", body=call(userId=4.2), kept=NOTHING,
            answer="400 `userId` must be text of at most 255 characters"),
        Odd(what="`true`", body=call(userId=True), kept=NOTHING,
            answer="400 `userId` must be text of at most 255 characters"),
        Odd(what="256 characters", body=call(userId="x" * 256), kept=NOTHING,
            answer="400 `userId` must be text of at most 255 characters"),
        Odd(what="`__proto__`", body=call(userId="__proto__"), answer=OK, kept="Seen of __proto__"),
        Odd(what="`' OR 1=1; --`", body=call(userId="' OR 1=1; --"), answer=OK, kept="Seen of ' OR 1=1; --"),
    ],
    "What happened": [
        Odd(what="no `event`", body=call(event=...), answer="400 `event` must be text", kept=NOTHING),
        Odd(what="a name of blanks", body=call(event="  "), answer="400 `event` must be text", kept=NOTHING),
        Odd(what="201 characters", body=call(event="x" * 201), kept=NOTHING,
            answer="400 the event name must be text of 1 to 200 characters"),
        Odd(what="a name from right to left, with marks that turn the direction", body=call(event="\u202eأهلا\u202c"),
            answer=OK, kept="\u202eأهلا\u202c of ana"),
        Odd(what="markup, escaped wherever it is shown", body=call(event="<script>alert(1)</script>"), answer=OK,
            kept="<script>alert(1)</script> of ana"),
        Odd(what="a template, which is text", body=call(event="{{ 7 * 7 }}"), answer=OK, kept="{{ 7 * 7 }} of ana"),
        Odd(what="the name of an event of ours", body=call(event="Identified"), answer=OK, kept="Identified of ana"),
    ],
    "Properties": [
        Odd(what="a list", body=call(properties=[]), answer="400 `properties` must be an object", kept=NOTHING),
        Odd(what="characters of four bytes, and joined ones", body=properties('"x": "👩‍🚀𝒳"'), answer=OK,
            kept=f'{SEEN} {{"x": "👩‍🚀𝒳"}}'),
        Odd(what="`\\u0000`", body=properties(r'"x": "a\u0000b"'), answer="400 the body holds U+0000", kept=NOTHING),
        Odd(what="`\\\\u0000`: a backslash and five characters", body=properties(r'"x": "\\u0000"'), answer=OK,
            kept=f'{SEEN} {{"x": "\\\\u0000"}}'),
        Odd(what="half of a surrogate pair", body=properties(r'"x": "\ud800 "'), kept=NOTHING,
            answer="400 the body is no JSON: Input data was truncated"),
        Odd(what="half of a surrogate pair, in bytes", body=properties('"x": "\ud800"'), kept=NOTHING,
            answer="400 the body is not UTF-8"),
        Odd(what="a raw NUL byte", body=properties('"x": "\x00"'), kept=NOTHING,
            answer="400 the body is no JSON: invalid character (byte 56)"),
        Odd(what="`__proto__` and `constructor`, names like any", answer=OK,
            body=properties('"__proto__": {"isAdmin": true}, "constructor": 1'),
            kept=f'{SEEN} {{"__proto__": {{"isAdmin": true}}, "constructor": 1}}'),
        Odd(what="one key twice: the last counts", body=properties('"x": 1, "x": 2'), answer=OK,
            kept=f'{SEEN} {{"x": 2}}'),
        Odd(what="an empty key", body=properties('"": 1'), answer=OK, kept=f'{SEEN} {{"": 1}}'),
        Odd(what="a key of 5,000 characters", body=properties(f'"{"k" * 5000}": 1'), answer=OK,
            kept=f'{SEEN} {{"{"k" * 40}…'),
        Odd(
            what="100 levels deep",
            body=properties('"x":' + '{"x":' * 99 + "1" + "}" * 99),
            answer=OK,
            kept=f"{SEEN} " + ('{"x": ' * 100)[:42] + "…",
        ),
        Odd(
            what="101 levels deep",
            body=properties('"x":' + '{"x":' * 100 + "1" + "}" * 100),
            answer="400 `properties.x.x.x.x.x…` is nested more than 100 levels deep",
            kept=NOTHING,
        ),
        Odd(what="5,000 levels deep", body=properties('"x": ' + "[" * 5000 + "]" * 5000), kept=NOTHING,
            answer="400 the body is nested too deeply"),
        Odd(what="`NaN`", body=properties('"x": NaN'), kept=NOTHING,
            answer="400 the body is no JSON: invalid character (byte 55)"),
        Odd(what="`-Infinity`", body=properties('"x": -Infinity'), kept=NOTHING,
            answer="400 the body is no JSON: invalid character (byte 56)"),
        Odd(what="`1e999`", body=properties('"x": 1e999'), kept=NOTHING,
            answer="400 the body is no JSON: Number out of range - at `$.properties[...]`"),
        Odd(what="a whole number of 30 digits, kept exactly", body=properties('"x": ' + "9" * 30), answer=OK,
            kept=f'{SEEN} {{"x": {"9" * 30}}}'),
        Odd(what="a whole number of 5,000 digits", body=properties('"x": ' + "9" * 5000), kept=NOTHING,
            answer="400 the body is no JSON: Integer value out of range - at `$.properties[...]`"),
        Odd(what="negative zero", body=properties('"x": -0.0'), answer=OK, kept=f'{SEEN} {{"x": -0.0}}'),
        Odd(what="`1e-999`", body=properties('"x": 1e-999'), answer=OK, kept=f'{SEEN} {{"x": 0.0}}'),
    ],
    "Traits": [
        Odd(what="no address", path="identify", body={"userId": "ana", "traits": {"email": "ana"}}, kept=NOTHING,
            answer="400 `email`: this is no email address: write it like name@shop.example"),
        Odd(what="a number for a name", path="identify", body={"userId": "ana", "traits": {"name": 7}}, answer=OK,
            kept="Identified of ana {\"names\": [\"name\"]}"),
        Odd(what="no trait at all", path="identify", body={"userId": "ana"}, answer=OK,
            kept="Identified of ana {\"names\": []}"),
        Odd(what="`group` without `groupId`", path="group", body={"userId": "ana"}, kept=NOTHING,
            answer="400 `groupId` is needed"),
        Odd(what="`alias` to oneself", path="alias", body={"userId": "ana", "previousId": "ana"}, answer=OK,
            kept="ana"),
    ],
    "The body": [
        Odd(what="nothing", body=b"", answer="400 the body is no JSON: Input data was truncated", kept=NOTHING),
        Odd(what="cut off", body=b'{"userId": "an', kept=NOTHING,
            answer="400 the body is no JSON: Input data was truncated"),
        Odd(what="a list", body=b"[]", answer="400 the body must be a JSON object", kept=NOTHING),
        Odd(what="Latin-1", body='{"userId": "ana", "event": "Visité"}'.encode("latin-1"), kept=NOTHING,
            answer="400 the body is not UTF-8"),
        Odd(what="UTF-16", body='{"userId": "ana", "event": "Seen"}'.encode("utf-16"), kept=NOTHING,
            answer="400 the body is no JSON: invalid character (byte 0)"),
        Odd(what="a content type that says otherwise: JSON is what it is", body=call(), answer=OK, kept=SEEN,
            headers={"Content-Type": "text/xml; charset=koi8-r", **basic(WRITE_KEY)}),
        Odd(what="32 KB and a byte", body=call(x="y" * (32 * 1024 + 1 - len(json.dumps(call(x=""))))), kept=NOTHING,
            answer=TOO_LONG.format(32768)),
        Odd(what="gzip", body=gzip.compress(json.dumps(call()).encode()), headers=GZIP, answer=OK, kept=SEEN),
        Odd(what="gzip, cut off", body=gzip.compress(json.dumps(call()).encode())[:-4], headers=GZIP, kept=NOTHING,
            answer="400 the body is no gzip, or is cut off"),
        Odd(what="gzip that is none", body=call(), headers=GZIP, answer="400 the body is no gzip", kept=NOTHING),
        Odd(what="a bomb: 50 MB of blanks in 50 KB", path="batch", body=gzip.compress(b" " * 50_000_000), headers=GZIP,
            answer=TOO_LONG.format(512000), kept=NOTHING),
        Odd(what="another encoding", body=call(), headers={"Content-Encoding": "br", **basic(WRITE_KEY)},
            answer="415 the content encoding is unknown: gzip or none is taken", kept=NOTHING),
    ],
    "Batches": [
        Odd(what="empty", path="batch", body={"batch": []}, answer=OK, kept=NOTHING),
        Odd(what="no list", path="batch", body={"batch": {}}, kept=NOTHING,
            answer="400 `batch` must be a list of messages"),
        Odd(what="one bad message: none is kept, and the answer names it", path="batch", kept=NOTHING,
            body={"batch": [message(), message(event=""), message()]}, answer="400 batch[1]: `event` must be text"),
        Odd(what="an unknown type", path="batch", body={"batch": [message(type="delete")]}, kept=NOTHING,
            answer="400 batch[0].type must be one of track, identify, page, screen, group, alias"),
        Odd(what="a message that is no object", path="batch", body={"batch": [message(), 7]}, kept=NOTHING,
            answer="400 batch[1] must be a JSON object"),
        Odd(what="a message above 32 KB", path="batch", body={"batch": [message(x="y" * 33_000)]}, kept=NOTHING,
            answer="400 batch[0] has more than the 32768 bytes allowed to a message"),
        Odd(what="2,501 messages", path="batch", body={"batch": [7] * 2501}, kept=NOTHING,
            answer="400 `batch` has more than the 2500 messages allowed: send fewer at a time"),
        Odd(what="above 500 KB", path="batch", body={"batch": [], "x": "y" * 512_000}, kept=NOTHING,
            answer=TOO_LONG.format(512000)),
    ],
    "The key": [
        Odd(what="none", body=call(), headers={}, answer="401 the write key is unknown or revoked", kept=NOTHING),
        Odd(what="blank", body=call(), headers=basic(""), answer="401 the write key is unknown or revoked",
            kept=NOTHING),
        Odd(what="unknown", body=call(), headers=basic("sj_other"), kept=NOTHING,
            answer="401 the write key is unknown or revoked"),
        Odd(what="no Base64", body=call(), headers={"Authorization": "Basic ???"}, kept=NOTHING,
            answer="401 the write key is unknown or revoked"),
        Odd(what="of another scope", body=call(), headers=basic(AUTHOR_KEY), kept=NOTHING,
            answer="403 this key does not have the scope `ingest`"),
        Odd(what="in the body, as browsers send it", body=call(writeKey=WRITE_KEY), headers={}, answer=OK, kept=SEEN),
    ],
}  # fmt: skip
ROWS = [(f"{group}: {odd.what}", odd) for group, rows in GROUPS.items() for odd in rows]


def kept(store: Store) -> str:
    """Everybody in the store, each with their events: by name, then by time."""
    said: list[str] = []
    with store.transaction() as unit:
        for profile_id in unit.profiles.all_ids():
            names = [
                value for kind, value in unit.profiles.identifiers(profile_id) if kind in ("external", "anonymous")
            ]
            happened = unit.events.of(profile_id)
            said += [f"{event.name} of {names[0]}{_details(event)}" for event in happened] or [names[0]]
    return "; ".join(sorted(said)) or NOTHING


def _details(event: Any) -> str:
    when = ", clamped" if event.is_clamped else ""
    if event.timestamp != event.received_at:
        when = f" at {event.timestamp.isoformat().replace('+00:00', 'Z')}"
    held = json.dumps(event.properties, ensure_ascii=False)
    return when + ("" if held == "{}" else f" {held}" if len(held) < 200 else f" {held[:42]}…")


@pytest.fixture
def odd_shop(shop: Shop) -> Shop:
    with shop.store.transaction() as unit:
        unit.access.save_key(
            KeyRecord(key_hash=key_hash(AUTHOR_KEY), name="author", scopes=("author",), created_at=NOW)
        )
    return shop


@pytest.mark.parametrize("odd", [odd for _, odd in ROWS], ids=[name for name, _ in ROWS])
def test_what_becomes_of_an_odd_input(odd_shop: Shop, stranger: httpx.Client, odd: Odd) -> None:
    for body in (*odd.before, odd.body):
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        answer = stranger.post(f"/v1/{odd.path}", content=content, headers=odd.headers)
    refusal = f" {answer.json()['detail']}" if answer.status_code != 200 else ""
    assert f"{answer.status_code}{refusal}" == odd.answer
    assert kept(odd_shop.store) == odd.kept


def table() -> str:
    """The page's part: a table for each group."""
    parts = []
    for group, rows in GROUPS.items():
        lines = [f"| {_cell(odd.what)} | {_cell(odd.answer)} | {_cell(_code(odd.kept))} |" for odd in rows]
        parts.append(f"### {group}\n| what comes | answer | kept |\n| --- | --- | --- |\n" + "\n".join(lines) + "\n")
    return "\n".join(parts)


def _code(text: str) -> str:
    return text if text == NOTHING else f"`{text}`"


def _cell(text: str) -> str:
    # Marks that turn the direction of writing would turn the page's.
    return text.replace("|", "\\|").replace("\u202e", "").replace("\u202c", "").replace("\t", " ")


def test_the_page_has_the_table() -> None:
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    assert after or rest.endswith(END), f"{PAGE.name} has lost its marks"
    page = f"{before}{BEGIN}{table()}{END}{after}"
    if os.environ.get("UPDATE_DOCS"):
        PAGE.write_text(page, encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == page, "UPDATE_DOCS=1 pytest tests/web/test_odd_inputs.py rewrites it"
