"""Random worlds for given journeys: people, and everything that may happen to them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from tests.scenarios.fuzz.journeys import Document
from tests.scenarios.fuzz.shop import EVENTS, ZONES

#: Days around which clocks change, and one on which nothing does.
STARTS = (
    datetime(2026, 3, 28, 8, tzinfo=UTC),
    datetime(2026, 10, 24, 17, 30, tzinfo=UTC),
    datetime(2026, 3, 7, 22, tzinfo=UTC),
    datetime(2026, 4, 4, 6, 15, tzinfo=UTC),
    datetime(2026, 10, 31, 23, tzinfo=UTC),
    datetime(2026, 6, 10, 10, tzinfo=UTC),
)
TOPICS = ("asked", "interest", "double")


def scenario(random: Random, name: str, documents: list[Document]) -> Document:
    """A scenario that expects nothing: what comes of it is compared elsewhere."""
    return _World(random, documents).scenario(name)


def engagement(random: Random, document: Document, messages: list[Document]) -> list[Document]:
    """Rows in which some of the messages of the first three days are opened or clicked, some minutes after."""
    start = datetime.fromisoformat(document["start"])
    declared = {profile["id"] for profile in document["profiles"]}
    rows = []
    for message in messages:
        sent = (datetime.fromisoformat(message["at"]) - start) // timedelta(minutes=1)
        is_ours = message["channel"] == "email" and message["profile"] in declared
        if is_ours and sent < 3 * 1440 and random.random() < 0.4:
            at = f"{sent + random.choice((1, 10, 30))}m"
            rows.append({"at": at, random.choice(("open", "click")): message["step"], "profile": message["profile"]})
    return rows


class _World:
    def __init__(self, random: Random, documents: list[Document]) -> None:
        self._random = random
        self._documents = documents
        self._names = [document["journey"] for document in documents]
        self._start = random.choice(STARTS)
        self._people = ["ana", "bea", "carl"][: random.choice((1, 2, 2, 3))]
        self._number = 0

    def scenario(self, name: str) -> Document:
        rows = [self._row(self._minutes()) for _ in range(self._random.randint(8, 26))]
        for name in self._names:
            if self._chance(0.2):
                rows += self._pauses(name)
        if self._chance(0.5):
            rows += [self._event(self._minutes() - 4 * 1440) for _ in range(3)]
        found: Document = {
            "scenario": name,
            "start": self._start.isoformat(),
            "journeys": self._names,
            "profiles": [self._profile(person) for person in self._people],
            "events": [self._written(minute, row) for minute, row in sorted(rows, key=lambda each: each[0])],
            "expect": {},
            "answers": {"https://crm.example/a": {"status": 200, "json": {"data": {"score": 4}}}},
        }
        if self._chance(0.3):
            found["answers"]["https://crm.example/b"] = {"status": self._pick(404, 500)}
        # A schedule or a loop of journeys may go on for ever: most worlds are looked at for some days only.
        found["until"] = f"{self._pick(4, 6, 10)}d"
        return found

    def _minutes(self) -> int:
        """Often a round number: what happens is to meet what falls due."""
        minute = self._random.randint(0, 3 * 1440)
        return minute if self._chance(0.3) else minute // 30 * 30

    def _written(self, minute: int, row: Document) -> Document:
        return {"at": f"{minute}m", **row}

    def _profile(self, person: str) -> Document:
        profile: Document = {"id": person, "attributes": {}, "consents": []}
        if self._chance(0.92):
            profile["email"] = f"{person}@example.com"
        if self._chance(0.85):
            profile["phone"] = "+4477009001" + str(10 + len(person) + ord(person[0]) % 7)
        if self._chance(0.7):
            profile["chat"] = {"chat": f"U{person}"}
        if self._chance(0.75):
            profile["timezone"] = self._pick(*ZONES)
        attributes = profile["attributes"]
        if self._chance(0.6):
            attributes["plan"] = self._pick("pro", "free")
        if self._chance(0.5):
            attributes["score"] = self._pick(0, 2, 4)
        if self._chance(0.4):
            attributes["due_on"] = (self._start + timedelta(days=self._pick(0, 1, 2))).date().isoformat()
        if self._chance(0.4):
            attributes["due_at"] = (self._start + timedelta(hours=self._pick(-3, 5, 26))).isoformat()
        for channel, topic in (("email", "asked"), ("sms", "asked"), ("email", "double")):
            if self._chance(0.7) and ("email" if channel == "email" else "phone") in profile:
                profile["consents"].append({"channel": channel, "topic": topic})
        return profile

    # ── rows ─────────────────────────────────────────────────────────────────────────────────────────────────────────
    def _row(self, minute: int) -> tuple[int, Document]:
        if self._chance(0.62):
            return self._event(minute)
        who = self._pick(*self._people)
        kinds = ["set", "set", "grant", "withdraw", "object", "reply", "bounce", "complaint", "enroll", "enroll"]
        kinds += ["provider", "provider", "confirm"]
        rare = ["stop", "erase", "alias", "become one"]
        kind = self._pick(*kinds) if self._chance(0.93) else self._pick(*rare)
        channel = self._pick("email", "sms")
        journey = self._pick(*self._names)
        rows: dict[str, Document] = {
            "set": {"set": self._attributes(), "profile": who},
            "grant": {"grant": {"channel": channel, "topic": "asked"}, "profile": who},
            "confirm": {"confirm": {"channel": "email", "topic": "double"}, "profile": who},
            "withdraw": {
                "withdraw": self._pick({}, {"channel": channel}, {"topic": self._pick(*TOPICS)}),
                "profile": who,
            },
            "object": {"object": {"topic": "interest"}, "profile": who},
            "reply": {"reply": self._pick("STOP", "START", "HELP", "thanks"), "channel": "sms", "profile": who},
            "bounce": {"bounce": self._pick("hard", "soft"), "channel": channel, "profile": who},
            "complaint": {"complaint": True, "channel": "email", "profile": who},
            "enroll": {"enroll": journey, "profile": who, "with": {"cart_id": self._cart(), "total": 60}},
            "provider": {
                "provider": self._pick("email", "sms", "sms_backup", "chat"),
                "fails": self._pick("outage", "outage", "permanent", "no_answer"),
                "for": self._pick("10m", "1h", "6h", "2d"),
            },
            "stop": {"stop": journey},
            "erase": {"erase": True, "profile": who},
            "alias": {"alias": f"anonymous_{who}", "profile": who},
            "become one": {"alias": self._people[-1], "profile": self._people[0]},
        }
        if kind == "become one" and len(self._people) == 1:
            kind = "alias"
        if kind in ("reply", "bounce", "complaint") and self._chance(0.5):
            kind = "set"
        return minute, rows[kind]

    def _pauses(self, journey: str) -> list[tuple[int, Document]]:
        begin = self._minutes()
        return [(begin, {"pause": journey}), (begin + self._pick(30, 120, 1440), {"resume": journey})]

    def _event(self, minute: int) -> tuple[int, Document]:
        who = self._pick(*self._people)
        if self._chance(0.05):
            who = f"anonymous_{who}"
        self._number += 1
        row: Document = {
            "event": self._pick("Cart Updated", *EVENTS),
            "profile": who,
            "message_id": f"event-{self._number}",
        }
        row["properties"] = {"cart_id": self._cart(), "total": self._pick(10, 60, 120)}
        if self._chance(0.15):
            row["properties"]["at"] = (self._start + timedelta(hours=self._pick(1, 30, 50))).isoformat()
        if self._chance(0.1):
            row["properties"].pop("cart_id")
        if self._chance(0.15):
            moved = minute - self._pick(1, 30, 60, 120, 1440, -3, -10)
            row["timestamp"] = (self._start + timedelta(minutes=moved)).isoformat()
        if self._chance(0.06):
            row["message_id"] = f"event-{max(1, self._number - 1)}"
        return minute, row

    def _attributes(self) -> Document:
        hours = self._pick(-1, 3, 20, 50)
        return dict(
            self._pick(
                {"plan": self._pick("pro", "free", "staff")},
                {"score": self._pick(1, 3, 7)},
                {"timezone": self._pick(*ZONES)},
                {"due_at": (self._start + timedelta(hours=hours)).isoformat()},
                {"due_on": (self._start + timedelta(hours=hours)).date().isoformat()},
                {"plan": None},
            )
        )

    def _cart(self) -> str:
        return str(self._pick("c1", "c1", "c2"))

    def _pick(self, *choices: Any) -> Any:
        return self._random.choice(choices)

    def _chance(self, share: float) -> bool:
        return self._random.random() < share
