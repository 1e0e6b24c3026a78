"""`sojourn.yml`: the project's channels, topics, caps, quiet hours and catalogue."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast, get_args

from engine.language.adapters import AdapterInfo
from engine.language.channels_section import ChannelsReader
from engine.language.diagnostics import Problems, suggest
from engine.language.environment import Environment
from engine.language.fields import Fields, as_list, as_mapping, as_name, as_text, written
from engine.language.source import MapNode, Node, ScalarNode
from engine.project import Basis, Cap, Channel, QuietHours, Topic, TopicKind, Tracking

FILE = "sojourn.yml"
_DATABASE = "sqlite:///.sojourn/sojourn.db"
_KEYS = (
    "project", "timezone", "locale", "database", "channels", "topics", "caps", "quiet_hours", "events", "attributes",
    "allowed_hosts", "tracking",
)  # fmt: skip
_TOPIC_KEYS = ("title", "kind", "basis", "channels", "double_opt_in", "tracking")
_TRACKING_KEYS = ("clicks", "opens", "utm")
UTM_KEYS = ("source", "medium", "campaign", "term", "content")
TYPES = ("string", "number", "boolean", "date", "timestamp", "list", "object", "any")
_CAP = "such as `{at_most: 3, per: 24h}`"
_LOCALE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*")
_SCHEMES = ("sqlite", "postgresql", "postgresql+psycopg")


@dataclass(frozen=True, kw_only=True, slots=True)
class ProjectFile:
    """What `sojourn.yml` says; what could not be read is at its default, and has been reported."""

    node: MapNode
    name: str = ""
    timezone: str = "UTC"
    locale: str = "en"
    database: str = field(default=_DATABASE, repr=False)
    channels: Mapping[str, Channel] = field(default_factory=dict)
    topics: Mapping[str, Topic] = field(default_factory=dict)
    caps: tuple[Cap, ...] = ()
    quiet_hours: tuple[QuietHours, ...] = ()
    events: Mapping[str, Mapping[str, str]] | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)
    allowed_hosts: tuple[str, ...] = ()
    tracking: Tracking = field(default_factory=Tracking)
    #: Names of channels that were authored, usable or not: a send on one is no unknown name.
    channel_names: tuple[str, ...] = ()
    topic_names: tuple[str, ...] = ()


def read_project_file(
    document: Node,
    root: Path,
    environ: Mapping[str, str],
    adapters: Mapping[str, AdapterInfo],
    problems: Problems,
) -> ProjectFile | None:
    """The file's contents; None where it is no mapping at all."""
    environment = Environment(environ, problems)
    node = as_mapping(environment.fill(document), problems, FILE)
    if node is None:
        return None
    reader = _Reader(Fields(node, problems, "a project", _KEYS), problems, environment, adapters)
    return reader.read(root)


class _Reader:
    def __init__(
        self, fields: Fields, problems: Problems, environment: Environment, adapters: Mapping[str, AdapterInfo]
    ) -> None:
        self._fields = fields
        self._problems = problems
        self._environment = environment
        self._channels = ChannelsReader(fields.mapping("channels"), problems, environment, adapters)

    def read(self, root: Path) -> ProjectFile:
        fields = self._fields
        fields.need("project")
        tracking = self._tracking(fields, Tracking())
        return ProjectFile(
            node=fields.node,
            name=self._slug() or "",
            timezone=fields.zone("timezone") or "UTC",
            locale=self._locale() or "en",
            database=_under(root, self._database() or _DATABASE),
            channels=self._channels.read(),
            topics=self._topics(tracking),
            caps=tuple(cap for item in self._items("caps") if (cap := self._cap(item))),
            quiet_hours=tuple(hours for item in self._items("quiet_hours") if (hours := self._quiet_hours(item))),
            events=self._events(),
            attributes=self._types(fields.get("attributes"), "`attributes`"),
            allowed_hosts=tuple(str(each.value) for each in fields.texts("allowed_hosts")),
            tracking=tracking,
            channel_names=self._channels.names,
            topic_names=tuple(self._keys("topics")),
        )

    # ── the project's own ────────────────────────────────────────────────────────────────────────────────────────────
    def _slug(self) -> str | None:
        name = self._fields.text("project")
        if name is not None and not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", name):
            node = self._fields.node.pairs["project"].value
            hint = "lower-case letters, digits, hyphens and underscores"
            self._problems.error("SJ205", node, f"a project cannot be called {written(node)}", hint)
            return None
        return name

    def _locale(self) -> str | None:
        locale = self._fields.text("locale")
        if locale is not None and not _LOCALE.fullmatch(locale):
            node = self._fields.node.pairs["locale"].value
            self._problems.error("SJ205", node, f"{written(node)} is no locale", "such as `en` or `es-MX`")
            return None
        return locale

    def _database(self) -> str | None:
        url = self._fields.text("database")
        if not url or not self._environment.is_complete(self._fields.node.pairs["database"].value):
            return None
        scheme, separator, _ = url.partition("://")
        if not separator or scheme not in _SCHEMES:
            # The URL may hold a password: it is not quoted.
            hint = "begin with `sqlite:///` or `postgresql+psycopg://`"
            self._problems.error("SJ705", self._fields.node.pairs["database"].value, "unsupported database", hint)
            return None
        return url

    # ── topics, caps, quiet hours ────────────────────────────────────────────────────────────────────────────────────
    def _topics(self, tracking: Tracking) -> dict[str, Topic]:
        topics: dict[str, Topic] = {}
        for name, key, node in self._named("topics"):
            mapping = as_mapping(node, self._problems, f"the topic `{name}`", "such as `{title: Newsletter}`")
            if mapping is not None and as_name(key, self._problems, "a topic"):
                topics[name] = self._topic(name, mapping, tracking)
        return topics

    def _topic(self, name: str, node: MapNode, tracking: Tracking) -> Topic:
        fields = Fields(node, self._problems, f"the topic `{name}`", _TOPIC_KEYS)
        kind = cast("TopicKind", fields.word("kind", get_args(TopicKind)) or "marketing")
        # Only marketing needs a basis of its own; what a contract asks for needs no consent.
        basis = cast(
            "Basis",
            fields.word("basis", get_args(Basis)) or ("consent" if kind == "marketing" else "contract"),
        )
        if kind == "marketing" and basis == "contract":
            hint = "choose `consent`, `soft_opt_in` or `legitimate_interest`, or say `kind: transactional`"
            self._problems.error("SJ504", fields.place("basis"), f"`{name}` is marketing without consent", hint)
        channels = self._channels.names_in(fields, "channels")
        double_opt_in = self._channels.names_in(fields, "double_opt_in")
        stray = [each for each in double_opt_in if channels and each not in channels]
        for each in stray:
            message = f"`{name}` asks for a double opt-in on `{each}`, which it does not allow"
            self._problems.error("SJ501", fields.place("double_opt_in"), message, f"add `{each}` to its channels")
        return Topic(
            name=name,
            title=fields.text("title") or name,
            kind=kind,
            basis=basis,
            channels=channels,
            double_opt_in=double_opt_in,
            tracking=self._tracking(fields, tracking) if "tracking" in fields else None,
        )

    def _tracking(self, fields: Fields, default: Tracking) -> Tracking:
        """What a `tracking:` says, over what holds without it."""
        mapping = fields.mapping("tracking")
        if mapping is None:
            return default
        inner = Fields(mapping, self._problems, "`tracking`", _TRACKING_KEYS)
        clicks, opens = inner.boolean("clicks"), inner.boolean("opens")
        return Tracking(
            clicks=default.clicks if clicks is None else clicks,
            opens=default.opens if opens is None else opens,
            utm=self._utm(inner) if "utm" in inner else default.utm,
        )

    def _utm(self, fields: Fields) -> dict[str, str] | None:
        if not isinstance(fields.get("utm"), MapNode):
            return {} if fields.boolean("utm") else None
        mapping = fields.mapping("utm")
        assert mapping is not None, "it was one a moment ago"
        inner = Fields(mapping, self._problems, "`utm`", UTM_KEYS)
        return {key: text for key in UTM_KEYS if (text := inner.text(key)) is not None}

    def _cap(self, node: Node) -> Cap | None:
        mapping = as_mapping(node, self._problems, "a cap", _CAP)
        if mapping is None:
            return None
        fields = Fields(mapping, self._problems, "a cap", ("at_most", "per", "channels"))
        fields.need("at_most", "per")
        at_most, per = fields.number("at_most", least=0, hint=_CAP), fields.duration("per", is_positive=True)
        channels = self._channels.names_in(fields, "channels")
        if at_most is None or per is None:
            return None
        return Cap(at_most=int(at_most), per_seconds=per, channels=channels)

    def _quiet_hours(self, node: Node) -> QuietHours | None:
        mapping = as_mapping(node, self._problems, "quiet hours", 'such as `{from: "21:00", to: "08:00"}`')
        if mapping is None:
            return None
        fields = Fields(mapping, self._problems, "quiet hours", ("channels", "from", "to"))
        fields.need("from", "to")
        from_, to = fields.time("from"), fields.time("to")
        channels = self._channels.names_in(fields, "channels")
        if from_ is None or to is None:
            return None
        if from_ == to:
            hint = "`from` is inside and `to` is outside"
            self._problems.error("SJ207", fields.place("to"), "quiet hours end when they begin", hint)
            return None
        return QuietHours(from_=from_, to=to, channels=channels)

    # ── the catalogue ────────────────────────────────────────────────────────────────────────────────────────────────
    def _events(self) -> dict[str, dict[str, str]] | None:
        if self._fields.get("events") is None:
            return None
        return {name: self._types(node, f"the event `{name}`") for name, _, node in self._named("events")}

    def _types(self, node: Node | None, what: str) -> dict[str, str]:
        if node is None or (isinstance(node, ScalarNode) and node.value is None):
            return {}
        mapping = as_mapping(node, self._problems, what, "such as `{total: number}`")
        types: dict[str, str] = {}
        for name, pair in mapping.pairs.items() if mapping else ():
            word = as_text(pair.value, self._problems, f"the type of `{name}`")
            if word in TYPES:
                types[name] = word
            elif word is not None:
                self._problems.error(
                    "SJ204", pair.value, f"there is no type {written(pair.value)}", suggest(word, TYPES)
                )
        return types

    # ── shapes ───────────────────────────────────────────────────────────────────────────────────────────────────────
    def _keys(self, key: str) -> list[str]:
        node = self._fields.get(key)
        return list(node.pairs) if isinstance(node, MapNode) else []

    def _named(self, key: str) -> list[tuple[str, ScalarNode, Node]]:
        mapping = self._fields.mapping(key)
        return [(name, pair.key, pair.value) for name, pair in mapping.pairs.items()] if mapping else []

    def _items(self, key: str) -> tuple[Node, ...]:
        node = self._fields.get(key)
        items = None if node is None else as_list(node, self._problems, f"`{key}`")
        return items.items if items else ()


def _under(root: Path, url: str) -> str:
    """The URL with a relative path of SQLite laid under the project's root."""
    prefix = "sqlite:///"
    path = url.removeprefix(prefix)
    if not url.startswith(prefix) or path.startswith(("/", ":memory:", "file:")) or not path:
        return url
    return f"{prefix}{(root / path).absolute()}"
