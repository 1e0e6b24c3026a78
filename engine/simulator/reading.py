"""From scenario files to scenarios; what is wrong with a file is said with its place, all of it at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, cast, get_args

from engine.consent.addresses import normalise
from engine.consent.model import Actor
from engine.errors import BadInput
from engine.language.diagnostics import Problems, Span, suggest
from engine.language.source import ListNode, MapNode, Node, Pair, ScalarNode, plain, read_source
from engine.plan.model import Split
from engine.project import ChannelKind, Project
from engine.schedule import find_zone, parse_duration
from engine.simulator import keys
from engine.simulator.scenario import (
    LONGEST,
    Action,
    Aliased,
    Answer,
    AttributesSet,
    Consented,
    ConsentGiven,
    Enrolled,
    Erased,
    Expected,
    Failure,
    Person,
    ProviderFails,
    Reported,
    Row,
    Scenario,
    Steered,
    Tracked,
)

#: The years in which a scenario plays, its history included.
_YEARS = range(1900, 2200)


def read_scenarios(file: str, content: bytes, project: Project, problems: Problems) -> list[Scenario]:
    """The scenarios of one file; those that cannot be used are left out and named in `problems` (code SJ8xx)."""
    found = []
    for document in read_source(file, content, problems).documents:
        if not isinstance(document, MapNode):
            problems.error("SJ801", document, "a scenario is a mapping that begins with `scenario:`")
            continue
        scenario = read_document(document, project, problems)
        if scenario and not _too_late(scenario, problems):
            found.append(scenario)
    return found


def _too_late(scenario: Scenario, problems: Problems) -> bool:
    """Whether rows come after the end: a test of them could not fail."""
    end = scenario.until or scenario.start + LONGEST
    named = "`until`" if scenario.until else f"the {LONGEST.days} days that a scenario lasts at most"
    late = [row for row in scenario.rows if row.at > end]
    for row in late:
        place = Span(file=scenario.file, line=row.line, column=1)
        problems.error("SJ802", place, f"this row comes after {named}: it would never happen")
    return bool(late)


def read_document(document: MapNode, project: Project, problems: Problems) -> Scenario | None:
    """The scenario of one document, or None where it cannot be used; `problems` says why."""
    reader = _Reader(document, project, problems)
    scenario = reader.read()
    return None if reader.has_failed else scenario


class _Reader:
    """Reads one scenario."""

    def __init__(self, document: MapNode, project: Project, problems: Problems) -> None:
        self._document = document
        self._project = project
        self._problems = problems
        self._start = datetime(2000, 1, 1, tzinfo=UTC)
        #: Everybody whom the profiles and the rows name.
        self._people_known: tuple[str, ...] = ()
        self._taking_part: Iterable[str] = project.plans
        self._steps = {step_id: step for plan in project.plans.values() for step_id, step in plan.steps.items()}
        self.has_failed = False

    def _fail(self, node: Node, message: str, hint: str = "", code: str = "SJ802") -> None:
        self.has_failed = True
        self._problems.error(code, node, message, hint)

    def read(self) -> Scenario | None:
        document = self._document
        self._known(document, keys.SCENARIO)
        name, start = document.get("scenario"), document.get("start")
        if not isinstance(name, ScalarNode) or not isinstance(name.value, str):
            self._fail(name or document, "a scenario has a name: `scenario: what must be true`", code="SJ801")
            return None
        begins = self._instant(start) if start else None
        if begins is None:
            self._fail(start or document, "`start` is the first instant: a timestamp with its offset", code="SJ801")
            return None
        self._start = begins
        people = tuple(self._people(document.get("profiles")))
        journeys = self._journeys(document.get("journeys"))
        if journeys is not None and not self.has_failed:
            self._taking_part = journeys
        until = self._moment(document.get("until"))
        rows = sorted(self._rows(document.get("events")), key=lambda row: row.at)
        named = {person.person for person in people} | {
            name for row in rows for name in (getattr(row.action, "person", None), getattr(row.action, "other", None))
        }
        self._people_known = tuple(sorted(name for name in named if name))
        if until is not None and not self._start <= until <= self._start + LONGEST:
            self._fail(document.get("until") or document, f"`until` lies within {LONGEST.days} days from the start")
        force = document.get("force")
        forced = plain(force) if isinstance(force, MapNode) else {}
        self._check_force(force)
        return Scenario(
            name=name.value,
            file=name.file,
            line=name.line,
            start=self._start,
            journeys=journeys,
            people=people,
            rows=tuple(rows),
            until=until,
            answers=self._answers(document.get("answers")),
            forced_holdout=tuple(str(person) for person in forced.get("holdout") or ()),
            forced_split=forced.get("split") or {},
            expected=self._expected(document.get("expect")),
        )

    # ── pieces ───────────────────────────────────────────────────────────────────────────────────────────────────────
    def _known(self, node: MapNode, allowed: Iterable[str]) -> None:
        names = tuple(allowed)
        for pair in node.pairs.values():
            if pair.key.value not in names:
                self._fail(pair.key, f"`{pair.key.value}` is not known here", suggest(str(pair.key.value), names))

    def _list(self, node: Node | None, what: str) -> tuple[MapNode, ...]:
        if node is None or (isinstance(node, ScalarNode) and node.value is None):
            return ()
        if not isinstance(node, ListNode):
            self._fail(node, f"{what} is a list of mappings")
            return ()
        rows = []
        for item in node.items:
            if isinstance(item, MapNode):
                rows.append(item)
            else:
                self._fail(item, f"each row of {what} is a mapping")
        return tuple(rows)

    def _text(self, node: MapNode, key: str, *, required: bool = False) -> str | None:
        value = node.get(key)
        if value is None or (isinstance(value, ScalarNode) and value.value is None):
            if required:
                self._fail(node, f"`{key}` is missing")
            return None
        if isinstance(value, ScalarNode) and not isinstance(value.value, bool):
            return str(value.value)
        self._fail(value, f"`{key}` is text")
        return None

    def _mapping(self, node: MapNode, key: str) -> Mapping[str, Any]:
        value = node.get(key)
        if value is None or (isinstance(value, ScalarNode) and value.value is None):
            return {}
        if isinstance(value, MapNode):
            return dict(plain(value))
        self._fail(value, f"`{key}` is a mapping")
        return {}

    def _one_of(
        self, node: Node, value: str | None, allowed: Iterable[str], what: str, *, of: str = "this project"
    ) -> str:
        names = tuple(allowed)
        if value in names:
            return value
        message = f"`{what}` is missing" if value is None else f"{value!r} is no {what} of {of}"
        self._fail(node, message, suggest(value or "", names))
        return names[0] if names else ""

    def _word(self, node: Node, value: str | None, allowed: Iterable[str], key: str) -> str:
        words = tuple(allowed)
        if value not in words:
            self._fail(node, f"`{key}` is one of {', '.join(words)}, not {value!r}", suggest(str(value), words))
            return words[0]
        return value

    def _instant(self, node: Node) -> datetime | None:
        if isinstance(node, ScalarNode) and isinstance(node.value, str):
            try:
                moment = datetime.fromisoformat(node.value)
                return moment.astimezone(UTC) if moment.tzinfo and moment.year in _YEARS else None
            except ValueError:
                return None
        return None

    def _moment(self, node: Node | None) -> datetime | None:
        """An offset from the start (`90m`, `-3d`) or a timestamp."""
        if node is None:
            return None
        moment = self._instant(node)
        if moment is not None:
            return moment
        written = str(node.value) if isinstance(node, ScalarNode) else ""
        try:
            moment = self._start + parse_duration(written, can_be_negative=True)
            if moment.year in _YEARS:
                return moment
        except (BadInput, OverflowError):
            pass
        hint = f"`90m`, `3d4h`, `-2d`, or a timestamp with its offset, from {_YEARS[0]} to {_YEARS[-1]}"
        self._fail(node, f"{written!r} is no moment", hint)
        return None

    def _journeys(self, node: Node | None) -> tuple[str, ...] | None:
        if node is None:
            return None
        if not isinstance(node, ListNode):
            self._fail(node, "`journeys` is a list of names")
            return None
        return tuple(self._one_of(item, _written(item), self._project.plans, "journey") for item in node.items)

    def _taking_part_in(self, node: Node, name: str) -> str:
        journey = self._one_of(node, name, self._project.plans, "journey")
        if name == journey and journey not in self._taking_part:
            self._fail(node, f"journey {name!r} takes no part in this scenario", "name it under `journeys`")
        return journey

    def _people(self, node: Node | None) -> Iterable[Person]:
        seen: set[str] = set()
        for row in self._list(node, "`profiles`"):
            self._known(row, keys.PERSON)
            name = self._text(row, "id", required=True) or ""
            if name in seen:
                self._fail(row.get("id") or row, f"there are two profiles with the id {name!r}")
            seen.add(name)
            self._check_own_fields(row)
            consents = []
            for consent in self._list(row.get("consents"), "`consents`"):
                self._known(consent, ("channel", "topic", "basis"))
                named = consent.get("basis") or consent
                basis = self._word(named, self._text(consent, "basis") or "consent", keys.BASES, "basis")
                consents.append(
                    Consented(
                        channel=self._channel(consent),
                        topic=self._one_of(
                            consent.get("topic") or consent,
                            self._text(consent, "topic"),
                            self._project.topics,
                            "topic",
                        ),
                        basis="soft_opt_in" if basis == "soft_opt_in" else "consent",
                    )
                )
            chat = self._mapping(row, "chat")
            yield Person(
                person=name,
                email=self._text(row, "email"),
                phone=self._text(row, "phone"),
                chat={channel: str(handle) for channel, handle in chat.items()},
                timezone=self._text(row, "timezone"),
                locale=self._text(row, "locale"),
                attributes=self._mapping(row, "attributes"),
                consents=tuple(consents),
            )

    def _check_own_fields(self, row: MapNode) -> None:
        kinds: Mapping[str, ChannelKind] = {"email": "email", "phone": "sms"}
        for key, kind in kinds.items():
            address = self._text(row, key)
            if address is not None:
                try:
                    normalise(kind, address)
                except BadInput as problem:
                    self._fail(row.get(key) or row, f"`{key}`: {problem}")
        zone = self._text(row, "timezone")
        if zone is not None and find_zone(zone) is None:
            self._fail(row.get("timezone") or row, "`timezone` is unknown: write an IANA name such as Europe/Madrid")

    def _channel(self, node: MapNode) -> str:
        named = node.get("channel") or node
        return self._one_of(named, self._text(node, "channel"), self._project.channels, "channel")

    def _rows(self, node: Node | None) -> Iterable[Row]:
        for row in self._list(node, "`events`"):
            named = [key for key in keys.ACTIONS if key in row.pairs]
            at = self._moment(row.get("at")) if row.get("at") else None
            if row.get("at") is None:
                self._fail(row, "a row under `events` says `at`")
            if len(named) != 1:
                self._fail(row, "a row under `events` is one of " + ", ".join(f"`{key}`" for key in keys.ACTIONS))
                continue
            self._known(row, ("at", named[0], *keys.ACTIONS[named[0]]))
            if at is None:
                continue
            action = self._action(row, named[0], at)
            if action:
                yield Row(at=at, action=action, line=row.line)

    def _action(self, row: MapNode, key: str, at: datetime) -> Action | None:
        value = row.get(key)
        assert value is not None
        scalar = str(value.value) if isinstance(value, ScalarNode) and value.value is not None else ""
        if not scalar and key not in keys.MAPPED:
            self._fail(value, f"`{key}` names something: it is empty")
        if key in ("complaint", "erase") and not (isinstance(value, ScalarNode) and value.value is True):
            self._fail(value, f"`{key}` is `true`: leave the row out where it does not happen")
        who = self._text(row, "profile", required="profile" in keys.ACTIONS[key]) or ""
        match key:
            case "event":
                return Tracked(
                    person=who,
                    event=scalar,
                    properties=self._mapping(row, "properties"),
                    timestamp=self._moment(row.get("timestamp")) or at,
                    message_id=self._text(row, "message_id"),
                )
            case "set":
                return AttributesSet(person=who, values=self._mapping(row, "set"))
            case "grant" | "confirm" | "withdraw" | "object":
                inner = value if isinstance(value, MapNode) else self._everything(value, key)
                self._known(inner, ("channel", "topic"))
                channel, topic = self._text(inner, "channel"), self._text(inner, "topic")
                if channel is not None:
                    channel = self._channel(inner)
                if topic is not None:
                    topic = self._one_of(inner.get("topic") or inner, topic, self._project.topics, "topic")
                if key in ("grant", "confirm") and (channel is None or topic is None):
                    self._fail(row, f"a `{key}` names its channel and its topic")
                by = self._word(row.get("by") or row, self._text(row, "by") or "person", get_args(Actor), "by")
                return ConsentGiven(person=who, action=key, channel=channel, topic=topic, by=cast("Actor", by))
            case "reply":
                return Reported(person=who, kind="replied", channel=self._channel(row), text=scalar)
            case "bounce":
                self._word(value, scalar, ("hard", "soft"), "bounce")
                return Reported(person=who, kind="bounced", channel=self._channel(row), is_hard=scalar == "hard")
            case "complaint":
                return Reported(person=who, kind="complained", channel=self._channel(row))
            case "open" | "click":
                self._one_of(value, scalar, self._steps, "step")
                return Reported(person=who, kind="opened" if key == "open" else "clicked", step=scalar)
            case "enroll":
                journey = self._taking_part_in(value, scalar)
                return Enrolled(person=who, journey=journey, values=self._mapping(row, "with"))
            case "alias":
                return Aliased(person=who, other=scalar)
            case "erase":
                return Erased(person=who)
            case "pause" | "resume" | "stop":
                journey = self._taking_part_in(value, scalar)
                return Steered(action=key, journey=journey)
            case _:
                return self._provider(row, value, scalar)

    def _everything(self, node: Node, key: str) -> MapNode:
        """What `withdraw:` and `withdraw: true` leave out: the channel and the topic."""
        if not (isinstance(node, ScalarNode) and node.value in (None, True)):
            self._fail(node, f"`{key}` is a mapping of `channel` and `topic`")
        return MapNode(file=node.file, line=node.line, column=node.column, pairs={})

    def _provider(self, row: MapNode, value: Node, channel: str) -> Action | None:
        fails = self._word(row.get("fails") or row, self._text(row, "fails", required=True), get_args(Failure), "fails")
        lasting = self._text(row, "for", required=True) or ""
        try:
            return ProviderFails(
                channel=self._one_of(value, channel, self._project.channels, "channel"),
                how=cast("Failure", fails or "outage"),
                lasting=parse_duration(lasting),
            )
        except BadInput as problem:
            self._fail(row.get("for") or row, str(problem))
            return None

    def _answers(self, node: Node | None) -> Mapping[str, Answer]:
        if node is None:
            return {}
        if not isinstance(node, MapNode):
            self._fail(node, "`answers` is a mapping of URLs")
            return {}
        answers = {}
        for url, pair in node.pairs.items():
            if not isinstance(pair.value, MapNode):
                self._fail(pair.value, "an answer is a mapping of `status` and `json`")
                continue
            self._known(pair.value, ("status", "json"))
            given = plain(pair.value)
            status = given.get("status", 200)
            if not isinstance(status, int) or isinstance(status, bool) or not 100 <= status <= 599:
                self._fail(pair.value.get("status") or pair.value, "`status` is a number from 100 to 599")
                continue
            answers[url] = Answer(status=status, json=given.get("json", {}))
        return answers

    def _check_force(self, node: Node | None) -> None:
        if node is None:
            return
        if not isinstance(node, MapNode):
            self._fail(node, "`force` is a mapping of `holdout` and `split`")
            return
        self._known(node, ("holdout", "split"))
        holdout, split = node.get("holdout"), node.get("split")
        if isinstance(holdout, ListNode):
            for item in holdout.items:
                self._one_of(item, _written(item), self._people_known, "profile", of="this scenario")
        elif holdout is not None:
            self._fail(holdout, "`holdout` is a list of profiles")
        if isinstance(split, MapNode):
            for pair in split.pairs.values():
                self._check_sides(pair)
        elif split is not None:
            self._fail(split, "`split` is a mapping of steps")

    def _check_sides(self, pair: Pair) -> None:
        splits = {step_id: step for step_id, step in self._steps.items() if isinstance(step, Split)}
        step_id = str(pair.key.value)
        self._one_of(pair.key, step_id, splits, "split")
        if not isinstance(pair.value, MapNode):
            self._fail(pair.value, "a split's sides are a mapping of profiles: `{ana: A}`")
        elif step_id in splits:
            sides = tuple(side.name for side in splits[step_id].sides)
            for person in pair.value.pairs.values():
                self._one_of(person.key, str(person.key.value), self._people_known, "profile", of="this scenario")
                self._one_of(person.value, _written(person.value), sides, "side", of="this split")

    def _expected(self, node: Node | None) -> Expected:
        if node is None:
            self._fail(self._document, "a scenario expects something: `expect:`")
            return Expected()
        if not isinstance(node, MapNode):
            self._fail(node, "`expect` is a mapping")
            return Expected()
        self._known(node, keys.EXPECTED_AS)
        read: dict[str, tuple[Mapping[str, Any], ...]] = {}
        for key, kind in keys.EXPECTED_AS.items():
            given = node.get(key)
            if given is not None:
                rows = self._list(given, f"`{key}`")
                read[key] = tuple(self._expected_row(row, kind, is_ours=key == "system_messages") for row in rows)
        return Expected(**read)

    def _expected_row(self, row: MapNode, kind: str, *, is_ours: bool) -> Mapping[str, Any]:
        self._known(row, keys.EXPECTED[kind])
        values = dict(plain(row))
        if "at" in values:
            values["at"] = self._moment(row.get("at"))
        for key, known in self._references().items():
            # The steps, topics and journeys of system messages are our own.
            if key in values and not (is_ours and key in ("journey", "step", "topic")):
                named, value = row.get(key) or row, str(values[key])
                if key in keys.WORDS:
                    self._word(named, value, known, key)
                else:
                    of = "this scenario" if key in ("profile", "id") else "this project"
                    self._one_of(named, value, known, key, of=of)
        match kind:
            case "messages" if "contains" in values:
                values["contains"] = self._contained(row.get("contains") or row)
            case "profiles":
                self._mapping(row, "attributes")
                for key in ("segments", "not_segments"):
                    self._check_segments(row.get(key))
        return values

    def _contained(self, node: Node) -> list[str]:
        """The texts of `contains`; a lone one is a list of one."""
        texts = [_written(item) for item in (node.items if isinstance(node, ListNode) else (node,))]
        if None in texts:
            self._fail(node, "`contains` is a list of texts")
        return [text for text in texts if text is not None]

    def _check_segments(self, node: Node | None) -> None:
        """Being outside of a segment that does not exist would always hold."""
        if node is None:
            return
        if not isinstance(node, ListNode):
            self._fail(node, "segments are a list of names")
            return
        for item in node.items:
            self._one_of(item, _written(item), self._project.segments, "segment")

    def _references(self) -> Mapping[str, Iterable[str]]:
        return {
            "journey": self._project.plans,
            "channel": self._project.channels,
            "step": self._steps,
            "topic": self._project.topics,
            **keys.WORDS,
            "profile": self._people_known,
            "id": self._people_known,
        }


def _written(node: Node) -> str | None:
    """The text of a scalar; None for anything else."""
    return str(node.value) if isinstance(node, ScalarNode) and node.value is not None else None
