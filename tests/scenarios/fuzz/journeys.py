"""Random journeys that `sojourn check` accepts: every trigger, every step, every rule of entry and exit."""

from __future__ import annotations

from random import Random
from typing import Any

from tests.scenarios.fuzz.shop import EVENTS, SEGMENTS, segments_of

#: Few spans, so that instants coincide.
SPANS = ("10m", "30m", "1h", "90m", "2h", "6h", "1d")
WITHIN = ("30m", "1h", "3h", "1d")
CLOCK = ("02:30", "09:00", "12:00", "21:00")
Document = dict[str, Any]


def journeys(random: Random, names: list[str]) -> list[Document]:
    """One journey of each name; each may start, or emit to, those after it only: no circle can be."""
    segments = [*SEGMENTS, *segments_of(names[0])]
    return [_Author(random, name, names[place + 1 :], segments).journey() for place, name in enumerate(names)]


class _Author:
    def __init__(self, random: Random, name: str, later: list[str], segments: list[str]) -> None:
        self._random = random
        self._name = name
        self._later = later
        self._segments = segments
        self._count = 0
        #: Ids of the sends so far.
        self._sent: list[str] = []
        #: Ids of steps that every way here has passed.
        self._passed: list[str] = []

    # ── the journey ──────────────────────────────────────────────────────────────────────────────────────────────────
    def journey(self) -> Document:
        triggers = [self._trigger() for _ in range(2 if self._chance(0.2) else 1)]
        # Of one kind each: the same trigger twice is refused.
        triggers = list({str(sorted(each)): each for each in triggers}.values())
        found: Document = {"journey": self._name, "topic": self._pick("asked", "interest", "interest", "orders")}
        found["trigger"] = triggers[0] if len(triggers) == 1 else triggers
        if entry := self._entry():
            found["entry"] = entry
        if exits := [self._exit(number) for number in range(self._pick(0, 0, 1, 1, 2))]:
            found["exit"] = exits
        if self._chance(0.3):
            goal: Document = {"event": self._pick(*EVENTS)}
            if self._chance(0.5):
                goal["within"] = self._pick(*WITHIN)
            if self._chance(0.4):
                goal["exit"] = False
            if self._chance(0.3):
                goal["if"] = self._about_event()
            found["goal"] = goal
        if self._chance(0.1):
            found["holdout"] = "50%"
        if self._chance(0.1):
            found["pace"] = self._pick("2/min", "1/s")
        if self._chance(0.1):
            found["if_late"] = "exit"
        found["steps"] = self._steps(depth=0, most=7, least=3)
        return found

    def _trigger(self) -> Document:
        kind = self._pick(
            "event", "event", "event", "event", "ping", "segment", "inactive", "date", "schedule", "api", "journey"
        )
        trigger: Document
        match kind:
            case "event":
                trigger = {"event": self._pick("Cart Updated", "Cart Updated", *EVENTS)}
                if self._chance(0.3):
                    trigger["if"] = self._about_event()
            case "ping":
                trigger = {"event": f"Ping {self._name}"}
            case "segment":
                trigger = {"segment": self._segment(), "on": self._pick("enter", "enter", "leave")}
            case "inactive":
                trigger = {"inactive": self._pick("any", *EVENTS), "for": self._pick("6h", "1d", "3d")}
            case "date":
                trigger = {
                    "date": self._pick("profile.due_on", "profile.due_on + days(1)", "profile.due_at"),
                    "at": self._pick(*CLOCK),
                }
                if self._chance(0.2):
                    trigger["every"] = "year"
            case "schedule":
                trigger = {
                    "schedule": self._pick("0 9 * * *", "30 2 * * *", "0 12 * * SUN", "0 */6 * * *"),
                    "to": self._segment(),
                }
                if self._chance(0.5):
                    trigger["zone"] = "profile"
            case "api":
                trigger = {"api": True}
            case _:
                trigger = {"journey": self._name[:-1] + "0", "on": "ended"}
                if self._name.endswith("0"):
                    trigger = {"event": "Cart Updated"}
                elif self._chance(0.4):
                    trigger["reason"] = self._pick("completed", "exit", "goal", "early")
        return trigger

    def _entry(self) -> Document:
        entry: Document = {}
        if self._chance(0.3):
            entry["key"] = self._pick("trigger.cart_id", "coalesce(trigger.cart_id, 'none')", "profile.plan")
        if self._chance(0.15):
            entry["if"] = self._about_profile()
        if self._chance(0.35):
            entry["when_active"] = "restart"
        if self._chance(0.25):
            entry["again"] = self._pick("never", {"after": "1d"}, {"after": "2h"})
        if self._chance(0.08):
            entry["limit"] = {"at_most": self._pick(1, 2, 3), "per": self._pick("1h", "1d")}
        if self._chance(0.1):
            entry["ignore_older_than"] = self._pick("1h", "6h")
        return entry

    def _exit(self, number: int) -> Document:
        kind = self._pick("event", "event", "segment", "if")
        found: Document
        match kind:
            case "event":
                found = {"event": self._pick(*EVENTS)}
                if self._chance(0.5):
                    found["if"] = self._pick("event.cart_id == trigger.cart_id", self._about_event())
            case "segment":
                found = {"segment": self._segment(), "on": self._pick("enter", "leave")}
            case _:
                found = {
                    "if": self._pick("profile.plan == 'staff'", "profile.score > 5", "did('Answered', within='2h')")
                }
        if self._chance(0.4):
            found["reason"] = f"out_{number}"
        return found

    # ── steps ────────────────────────────────────────────────────────────────────────────────────────────────────────
    def _steps(self, depth: int, most: int, *, least: int = 1) -> list[Document]:
        steps = []
        passed = list(self._passed)
        number = self._random.randint(least, most)
        for place in range(number):
            step = self._step(depth, is_last=place == number - 1 and depth > 0)
            steps.append(step)
            if "id" in step and "if" not in step:
                self._passed.append(step["id"])
        self._passed = passed
        return steps

    def _step(self, depth: int, *, is_last: bool) -> Document:
        kinds = ["send"] * 6 + ["wait"] * 5 + ["wait_for"] * 3 + ["set"] * 2 + ["emit", "call"]
        if depth < 2:
            kinds += ["branch"] * 2 + ["split", "repeat", "repeat"]
        if self._later:
            kinds += ["start", "ping"]
        if is_last:
            kinds += ["exit"] * 2
        step = self._of_kind(self._pick(*kinds), depth)
        if self._chance(0.08) and "exit" not in step:
            step["if"] = self._about_profile()
        return step

    def _of_kind(self, kind: str, depth: int) -> Document:
        match kind:
            case "send":
                return self._send(depth)
            case "wait":
                return self._wait()
            case "wait_for":
                return self._wait_for(depth)
            case "set":
                return {"set": self._values()}
            case "emit":
                return {"emit": "Noted", "with": {"n": "= coalesce(profile.score, 0) + 1"}}
            case "call":
                step: Document = {
                    "call": {"url": self._pick("https://crm.example/a", "https://crm.example/b")},
                    "id": self._id("c"),
                }
                if self._chance(0.5):
                    step["call"]["save"] = {"score": "data.score"}
                if self._chance(0.3):
                    step["call"] |= {"method": "POST", "json": {"score": "= profile.score"}}
                return step
            case "branch":
                arms = [
                    {"if": condition, "then": self._steps(depth + 1, 2)}
                    for condition in dict.fromkeys(self._about_profile() for _ in range(self._pick(1, 2)))
                ]
                step = {"branch": arms}
                if self._chance(0.6):
                    step["else"] = self._steps(depth + 1, 2)
                return step
            case "split":
                sides = {name: {"weight": self._pick(1, 50), "steps": self._steps(depth + 1, 2)} for name in "AB"}
                return {"split": sides, "id": self._id("x")}
            case "repeat":
                body: Document = {"times": self._pick(2, 3), "every": self._pick("10m", "1h", "6h", "1d")}
                if self._chance(0.3):
                    body["until"] = self._about_profile()
                return {"repeat": {**body, "steps": self._steps(depth + 1, 2)}}
            case "start":
                return {"start": self._pick(*self._later), "with": {"cart_id": "= trigger.cart_id", "total": 7}}
            case "ping":
                return {
                    "emit": f"Ping {self._pick(*self._later)}",
                    "with": {"cart_id": "= coalesce(trigger.cart_id, 'p')"},
                }
            case _:
                return {"exit": "early"}

    def _send(self, depth: int) -> Document:
        channel = self._pick(
            "email", "email", "sms", "chat", ["sms", "email"], ["chat", "sms", "email"], ["email", "sms"]
        )
        topics = ["interest", "interest", "orders"]
        if channel != "chat" and (isinstance(channel, str) or "chat" not in channel):
            topics += ["asked", "asked"]
        if channel == "email":
            topics.append("double")
        step: Document = {"send": channel, "id": self._id("m"), "topic": self._pick(*topics), "template": "note"}
        self._sent.append(step["id"])
        if self._chance(0.3):
            step["with"] = {"say": self._pick("= profile.score", "= coalesce(trigger.cart_id, 'nobody')", "= now")}
        if channel == "email" and self._chance(0.06):
            step |= {"template": "share", "with": {"share": "= coalesce(profile.score, 0)"}}
        if self._chance(0.25):
            step["expires"] = self._pick("10m", "1h", "6h", "1d")
        if self._chance(0.2):
            step["window"] = self._pick(
                {"days": "mon-fri", "from": "09:00", "to": "18:00"},
                {"from": "22:00", "to": "02:00"},
                {"days": ["sat", "sun"], "from": "02:00", "to": "03:00"},
            )
        if self._chance(0.45):
            step["otherwise"] = self._otherwise(depth)
        return step

    def _otherwise(self, depth: int) -> Any:
        if self._chance(0.15):
            return self._pick("skip", "exit")
        outcomes = ["expired", "unreachable", "suppressed", "no_consent", "quiet", "capped", "failed"]
        found: Document = {}
        for outcome in self._random.sample(outcomes, self._pick(1, 2, 3)):
            waits = ["wait", "wait"] if outcome in ("quiet", "capped") else []
            found[outcome] = self._pick("skip", "exit", *waits)
            if depth < 2 and self._chance(0.2):
                found[outcome] = self._steps(depth + 1, 2)
        return found

    def _wait(self) -> Document:
        match self._pick("span", "span", "span", "days", "next", "moment"):
            case "span":
                return {"wait": self._pick(*SPANS), "id": self._id("w")}
            case "days":
                wait: Document = {"days": self._pick(0, 1, 2)}
                if wait["days"] == 0 or self._chance(0.6):
                    wait["at"] = self._pick(*CLOCK)
            case "next":
                wait = {"until": self._pick("", "", "sun ", "mon ") + self._pick(*CLOCK)}
            case _:
                wait = {
                    "until": self._pick(
                        "profile.due_at", "profile.due_on", "now + hours(2)", "trigger.at", "date(now) + days(1)"
                    )
                }
        if self._chance(0.2):
            wait["if_past"] = self._pick("exit", "continue")
        return {"wait": wait, "id": self._id("w")}

    def _wait_for(self, depth: int) -> Document:
        step: Document = {"id": self._id("a")}
        if self._chance(0.7):
            step["wait_for"] = {"event": self._pick(*EVENTS, "Noted", "Email Link Clicked", "Email Opened")}
            if step["wait_for"]["event"].startswith("Email") and self._sent:
                step["wait_for"]["if"] = f"event.step == '{self._pick(*self._sent)}'"
            elif self._chance(0.3):
                step["wait_for"]["if"] = self._about_event()
            if self._chance(0.6):
                step["then"] = self._steps(depth + 1, 2)
        else:
            names = self._random.sample(EVENTS, 2)
            step["wait_for"] = [{"event": name, "then": self._steps(depth + 1, 1)} for name in names]
        if self._chance(0.85):
            step["within"] = self._pick(*SPANS)
            if self._chance(0.6):
                step["else"] = self._steps(depth + 1, 2)
        if self._chance(0.3):
            step["since"] = self._pick("start", *self._passed)
        return step

    # ── words ────────────────────────────────────────────────────────────────────────────────────────────────────────
    def _values(self) -> Document:
        values: Document = self._pick(
            {"score": "= coalesce(profile.score, 0) + 1"},
            {"plan": self._pick("pro", "free", "staff", "none")},
            {"seen": "= now", "score": "= count('Page Viewed')"},
            {"due_on": "= date(now) + days(1)"},
            {"due_at": "= now + hours(3)"},
            {"timezone": self._pick("America/New_York", "Asia/Kolkata")},
            {
                "heard": "= last('Answered')",
                "inside": f"= enrolled('{self._name}')",
                "got": f"= received('{self._name}')",
            },
        )
        return values

    def _about_event(self) -> str:
        return str(
            self._pick("event.total > 50", "event.cart_id != 'c2'", "exists(event.total)", "count('Page Viewed') >= 2")
        )

    def _about_profile(self) -> str:
        return str(
            self._pick(
                "profile.score > 2",
                "profile.plan == 'pro'",
                "profile.plan != 'free'",
                f"segment('{self._segment()}')",
                "did('Answered', within='1h')",
                "count('Page Viewed', within='6h') >= 2",
                "hour(now) < 12",
                "weekday(now) >= 6",
                f"received('{self._name}', within='1d')",
                "consent('email', 'asked')",
                "trigger.total > 50",
                "bucket('x') < 5000",
                "days_since(first('Page Viewed')) >= 1",
            )
        )

    def _segment(self) -> str:
        return str(self._pick(*self._segments))

    def _id(self, letter: str) -> str:
        self._count += 1
        return f"{self._name}_{letter}{self._count}"

    def _pick(self, *choices: Any) -> Any:
        return self._random.choice(choices)

    def _chance(self, share: float) -> bool:
        return self._random.random() < share
